/**
 * An AMD card by amdgpu's own files, without any library. What there is differs by chip and kernel: each figure is taken of
 * the file that is made for it, else of the card's gpu_metrics.
 */
import type { GpuIdentity, GpuLoad, GpuTraffic, GpuUpdate, GpuWear } from "../health/reading.ts";
import { type AmdFigures, amdFiguresOf } from "./amd-figures.ts";
import { isIntegrated, readMetrics } from "./amd-metrics.ts";
import { AmdRas, readEccMode } from "./amd-ras.ts";
import { AmdThrottle } from "./amd-throttle.ts";
import { cardName } from "./card-names.ts";
import type { DeviceClient } from "./drm-clients.ts";
import type { KfdNode } from "./kfd.ts";
import { clockLevelsOf } from "./kernel-text.ts";
import { shareOf } from "./nvml-decode.ts";
import { OneCounter, Rate } from "./rate.ts";
import type { Card } from "./sysfs-cards.ts";
import type { KernelFolder } from "./sysfs-folder.ts";
import { Hwmon } from "./sysfs-hwmon.ts";
import { PcieLink } from "./sysfs-link.ts";

/** "GPU-0123456789abcdef", as ROCm's own programs name it; by its place on the bus where it has no number. */
export function amdUuid(uniqueId: string | undefined, pciAddress: string): string {
  return uniqueId === undefined ? `amd-${pciAddress}` : `GPU-${uniqueId.padStart(16, "0")}`;
}

export class SysfsAmd {
  readonly card: Card;
  readonly #device: KernelFolder;
  /** Found anew with each look at identities: its number changes with the driver. */
  #hwmon: Hwmon | undefined;
  readonly #link: PcieLink;
  /** As they were when it was awake last. */
  #limits: Partial<GpuIdentity> = {};
  readonly #throttle = new AmdThrottle();
  readonly #ras: AmdRas;
  readonly #replays = new OneCounter();
  readonly #read = new Rate();
  readonly #written = new Rate();

  constructor(card: Card, device: KernelFolder) {
    this.card = card;
    this.#device = device;
    this.#ras = new AmdRas(device);
    this.#hwmon = sensorsOf(device);
    this.#link = new PcieLink(card.device);
  }

  uuid(): string {
    return amdUuid(this.#device.hex("unique_id"), this.card.pciAddress);
  }

  /** Of a card that sleeps only what the driver has in memory, and what it told when it was awake. */
  identity(index: number, node: KfdNode | undefined, isAwake: boolean): GpuIdentity {
    const device = this.#device;
    this.#hwmon = sensorsOf(device);
    if (isAwake) this.#limits = this.#limitsNow();
    return {
      index,
      vendor: "amd",
      name: device.text("product_name") ?? cardName("amd", device.hex("device")),
      serial: device.text("serial_number"),
      pciAddress: this.card.pciAddress,
      architecture: node?.gfxName,
      memoryTotalBytes: device.amount("mem_info_vram_total"),
      ...this.#limits,
      eccMode: readEccMode(device),
      fabric: device.in("xgmi_hive_info").hex("xgmi_hive_id") ?? node?.hive,
    };
  }

  load(): GpuLoad {
    const device = this.#device;
    const raw = this.#metrics();
    const figures = amdFiguresOf(raw);
    const total = device.amount("mem_info_vram_total");
    const used = device.amount("mem_info_vram_used");
    const isWhole = total !== undefined && used !== undefined && used <= total;
    const levels = device.has("pp_dpm_sclk") ? device : undefined;
    return {
      utilization: shareOf(device.whole("gpu_busy_percent")) ?? figures.utilization,
      memoryUtilization: shareOf(device.whole("mem_busy_percent")) ?? figures.memoryUtilization,
      decoderUtilization: shareOf(device.whole("vcn_busy_percent")) ?? figures.videoUtilization,
      jpegUtilization: figures.jpegUtilization,
      memoryUsedBytes: isWhole ? used : undefined,
      memoryFreeBytes: isWhole ? total - used : undefined,
      hostMemoryUsedBytes: device.amount("mem_info_gtt_used"),
      ...this.#heat(figures),
      ...this.#power(figures),
      energyJoules: figures.energyJoules,
      graphicsClockMhz:
        this.#clock("freq1_input") ?? figures.graphicsClockMhz ?? clockLevelsOf(levels?.text("pp_dpm_sclk")).currentMhz,
      memoryClockMhz:
        this.#clock("freq2_input") ?? figures.memoryClockMhz ?? clockLevelsOf(levels?.text("pp_dpm_mclk")).currentMhz,
      videoClockMhz: figures.videoClockMhz,
      fans: this.#hwmon?.fans(),
      fanRpm: this.#hwmon?.folder.amount("fan1_input") ?? figures.fanRpm,
      throttleReasons: this.#throttle.take(raw),
    };
  }

  traffic(nowMs: number): GpuTraffic {
    const figures = amdFiguresOf(this.#metrics());
    const now = this.#link.now();
    return {
      pcieGeneration: now.pcieGeneration ?? figures.pcieGeneration,
      pcieWidth: now.pcieWidth ?? figures.pcieWidth,
      pcieReplays: this.#replays.take(this.#device.amount("pcie_replay_count"), figures.pcieReplays),
      linkRxBytesPerSecond: this.#read.take(figures.linkReadBytes, nowMs),
      linkTxBytesPerSecond: this.#written.take(figures.linkWrittenBytes, nowMs),
      links: figures.links,
    };
  }

  wear(): GpuWear {
    return this.#ras.read();
  }

  #limitsNow(): Partial<GpuIdentity> {
    const device = this.#device;
    const hwmon = this.#hwmon;
    const sensor = hwmon?.sensor("temp", "edge") ?? hwmon?.sensor("temp", "junction");
    return {
      isIntegrated: isIntegrated(device.bytes("gpu_metrics")),
      graphicsClockMhzMax: clockLevelsOf(device.text("pp_dpm_sclk")).maxMhz,
      memoryClockMhzMax: clockLevelsOf(device.text("pp_dpm_mclk")).maxMhz,
      videoClockMhzMax: clockLevelsOf(device.text("pp_dpm_vclk")).maxMhz,
      ...this.#link.max(),
      slowdownCelsius: hwmon?.celsius(sensor, "crit"),
      shutdownCelsius: hwmon?.celsius(sensor, "emergency"),
      memoryCelsiusMax: hwmon?.celsius(hwmon.sensor("temp", "mem"), "crit"),
      powerLimitWattsMin: hwmon?.millionths("power1_cap_min"),
      powerLimitWattsMax: hwmon?.limit("power1_cap_max"),
    };
  }

  #metrics(): ReturnType<typeof readMetrics> {
    const bytes = this.#device.bytes("gpu_metrics");
    return bytes === undefined ? undefined : readMetrics(bytes);
  }

  #heat(figures: AmdFigures): GpuLoad {
    const hwmon = this.#hwmon;
    const at = (label: string): number | undefined => hwmon?.celsius(hwmon.sensor("temp", label));
    const hotspot = at("junction") ?? figures.hotspotCelsius;
    return {
      // The large ones have no sensor at their edge.
      temperatureCelsius: at("edge") ?? figures.edgeCelsius ?? hotspot,
      hotspotCelsius: hotspot,
      memoryCelsius: at("mem") ?? figures.memoryCelsius,
    };
  }

  #power(figures: AmdFigures): GpuLoad {
    const mean = this.#hwmon?.millionths("power1_average") ?? figures.powerWattsMean;
    return {
      powerWatts: this.#hwmon?.millionths("power1_input") ?? figures.powerWatts ?? mean,
      powerWattsMean: mean,
      powerLimitWatts: this.#hwmon?.limit("power1_cap"),
    };
  }

  /** Of hertz. */
  #clock(name: string): number | undefined {
    return this.#hwmon?.millionths(name);
  }
}

function sensorsOf(device: KernelFolder): Hwmon | undefined {
  return Hwmon.of(device, ["amdgpu"]);
}

/** The processes that use the card: of its compute driver, which sees all, and of those who have it open besides. */
export function amdProcesses(
  ofCompute: ReadonlyMap<number, number | undefined> | undefined,
  clients: readonly DeviceClient[],
): NonNullable<GpuUpdate["traffic"]>["processes"] {
  const processes = [...(ofCompute ?? [])].map(([pid, memoryBytes]) => ({ pid, memoryBytes }));
  // What a process has computed is in none of the kernel's counters of engines, so that it would seem idle.
  return processes.concat(clients.filter(({ pid }) => ofCompute?.has(pid) !== true));
}
