/**
 * All that is read of one GPU by librocm_smi64, and of the kernel's files where the library has nothing or is not to be
 * trusted with them: built as distributions build it, it ends the process on a file that is not as it was when it was
 * written (a third line in a block's error counts, a card without sensors).
 */
import type { GpuIdentity, GpuLoad, GpuProcess, GpuTraffic, GpuWear } from "../health/reading.ts";
import { amdFiguresOf } from "./amd-figures.ts";
import { type RawMetrics, isIntegrated, readMetrics } from "./amd-metrics.ts";
import { AmdRas, readEccMode } from "./amd-ras.ts";
import { AmdThrottle } from "./amd-throttle.ts";
import { cardName } from "./card-names.ts";
import { type ClockLevels, clockLevelsOf } from "./kernel-text.ts";
import type { KfdNode } from "./kfd.ts";
import { shareOf } from "./nvml-decode.ts";
import { OneCounter, Rate } from "./rate.ts";
import { type RocmDevice, SENSOR } from "./rocm-device.ts";
import { type Card, isAsleep } from "./sysfs-cards.ts";
import { KernelFolder } from "./sysfs-folder.ts";
import { PcieLink } from "./sysfs-link.ts";

const MEMORY = { vram: 0, gtt: 2 } as const;
const CLOCKS = { graphics: [0, "pp_dpm_sclk"], memory: [4, "pp_dpm_mclk"] } as const;

/** What the library was written for, and nothing else. */
const NUMBER = /^(?:0x)?[0-9a-f]{4}$/i;
const LEVEL = /^\d{1,2}: \d{1,5}Mhz ?\*?$/;

export class RocmGpu {
  readonly device: RocmDevice;
  readonly card: Card;
  readonly #files: KernelFolder;
  readonly #link: PcieLink;
  readonly #throttle = new AmdThrottle();
  readonly #ras: AmdRas;
  readonly #replays = new OneCounter();
  readonly #read = new Rate();
  readonly #written = new Rate();
  /** The library looks for sensors once, and must not be asked where it found none. */
  #hasSensors = false;

  #isAwake = true;
  #told: Omit<GpuIdentity, "index"> | undefined;
  /** It may be asked for what it has of the card's gpu_metrics. */
  #knowsMetrics = false;

  constructor(device: RocmDevice, card: Card) {
    this.device = device;
    this.card = card;
    this.#files = new KernelFolder(card.device);
    this.#link = new PcieLink(card.device);
    this.#ras = new AmdRas(this.#files);
    this.meet(device.index);
  }

  /** The library was initialised, and the card is this one of its. What is remembered of the card goes on. */
  meet(index: number): void {
    this.device.index = index;
    this.device.forget();
    this.#hasSensors = this.#files.in("hwmon").names(/^hwmon\d/).length > 0;
  }

  /** Answers whether it may be asked: the library would wake up a card that sleeps. Before each look. */
  begin(nowMs: number): boolean {
    const isAwake = !isAsleep(this.card.device);
    if (isAwake && !this.#isAwake) this.device.forget();
    this.#isAwake = isAwake;
    this.device.nowMs = nowMs;
    return isAwake;
  }

  /** Of a card that sleeps what it told when it was awake, or what the driver has in memory. */
  identity(index: number, node: KfdNode | undefined): GpuIdentity {
    if (this.#isAwake) this.#told = this.#identityNow(node);
    return { index, ...(this.#told ?? this.#identityAsleep(node)) };
  }

  load(): GpuLoad {
    const device = this.device;
    const raw = this.#metrics();
    const figures = amdFiguresOf(raw);
    const total = device.choice("rsmi_dev_memory_total_get", MEMORY.vram);
    const used = device.choice("rsmi_dev_memory_usage_get", MEMORY.vram);
    const isWhole = total !== undefined && used !== undefined && used <= total;
    const hotspot = this.#celsius(SENSOR.junction) ?? figures.hotspotCelsius;
    const power = this.#hasSensors ? device.power() : {};
    const mean = power.mean ?? figures.powerWattsMean;
    const fan = this.#fan();
    return {
      utilization: shareOf(device.word("rsmi_dev_busy_percent_get")) ?? figures.utilization,
      memoryUtilization: shareOf(device.word("rsmi_dev_memory_busy_percent_get")) ?? figures.memoryUtilization,
      decoderUtilization: figures.videoUtilization,
      jpegUtilization: figures.jpegUtilization,
      memoryUsedBytes: isWhole ? used : undefined,
      memoryFreeBytes: isWhole ? total - used : undefined,
      hostMemoryUsedBytes: device.choice("rsmi_dev_memory_usage_get", MEMORY.gtt),
      temperatureCelsius: this.#celsius(SENSOR.edge) ?? figures.edgeCelsius ?? hotspot,
      hotspotCelsius: hotspot,
      memoryCelsius: this.#celsius(SENSOR.memory) ?? figures.memoryCelsius ?? this.#hottestStack(),
      powerWatts: power.now ?? figures.powerWatts ?? mean,
      powerWattsMean: mean,
      powerLimitWatts: this.#hasSensors ? wattsOf(device.choice("rsmi_dev_power_cap_get", 0)) || undefined : undefined,
      energyJoules: (this.#knowsMetrics ? device.energy() : undefined) ?? figures.energyJoules,
      graphicsClockMhz: this.#levels(CLOCKS.graphics).currentMhz ?? figures.graphicsClockMhz,
      memoryClockMhz: this.#levels(CLOCKS.memory).currentMhz ?? figures.memoryClockMhz,
      videoClockMhz: figures.videoClockMhz,
      fans: fan.share === undefined ? undefined : [fan.share],
      fanRpm: fan.rpm ?? figures.fanRpm,
      throttleReasons: this.#throttle.take(raw),
    };
  }

  traffic(nowMs: number, processes: readonly GpuProcess[] | undefined): GpuTraffic {
    const figures = amdFiguresOf(this.#metrics());
    const now = this.#link.now();
    return {
      pcieGeneration: now.pcieGeneration ?? figures.pcieGeneration,
      pcieWidth: now.pcieWidth ?? figures.pcieWidth,
      pcieReplays: this.#replays.take(this.device.long("rsmi_dev_pci_replay_counter_get"), figures.pcieReplays),
      linkRxBytesPerSecond: this.#read.take(figures.linkReadBytes, nowMs),
      linkTxBytesPerSecond: this.#written.take(figures.linkWrittenBytes, nowMs),
      links: figures.links,
      processes,
    };
  }

  /** Of the files alone, which are all that the library counts by: of two that read one counter each may fail at times. */
  wear(): GpuWear {
    return this.#ras.read();
  }

  #identityAsleep(node: KfdNode | undefined): Omit<GpuIdentity, "index"> {
    const files = this.#files;
    return {
      vendor: "amd",
      name: files.text("product_name") ?? cardName("amd", files.hex("device")),
      serial: files.text("serial_number"),
      pciAddress: this.card.pciAddress,
      architecture: node?.gfxName,
      memoryTotalBytes: files.amount("mem_info_vram_total"),
      eccMode: readEccMode(files),
      fabric: files.in("xgmi_hive_info").hex("xgmi_hive_id") ?? node?.hive,
    };
  }

  #identityNow(node: KfdNode | undefined): Omit<GpuIdentity, "index"> {
    const device = this.device;
    const range = this.#hasSensors ? device.powerRange() : undefined;
    const sensor = this.#celsius(SENSOR.edge) === undefined ? SENSOR.junction : SENSOR.edge;
    const hive = device.halves("rsmi_dev_xgmi_hive_id_get");
    return {
      vendor: "amd",
      name: this.#name(),
      serial: device.text("rsmi_dev_serial_number_get"),
      pciAddress: this.card.pciAddress,
      architecture: node?.gfxName,
      memoryTotalBytes: device.choice("rsmi_dev_memory_total_get", MEMORY.vram),
      isIntegrated: isIntegrated(this.#files.bytes("gpu_metrics")),
      graphicsClockMhzMax: this.#levels(CLOCKS.graphics).maxMhz,
      memoryClockMhzMax: this.#levels(CLOCKS.memory).maxMhz,
      ...this.#link.max(),
      slowdownCelsius: this.#celsius(sensor, "critical"),
      shutdownCelsius: this.#celsius(sensor, "emergency"),
      memoryCelsiusMax: this.#celsius(SENSOR.memory, "critical"),
      powerLimitWattsMin: wattsOf(range?.min),
      powerLimitWattsMax: wattsOf(range?.max) || undefined,
      eccMode: readEccMode(this.#files),
      fabric: hexOf(hive) ?? node?.hive,
    };
  }

  /**
   * Of the card's own bytes, which say how long they are: what the library makes of them differs by its version. It is asked
   * where they are of a version that is not known here. Before 6.0 it knows versions 1.0 to 1.3, and ends the process on a
   * later one.
   */
  #metrics(): RawMetrics | undefined {
    const own = this.#files.bytes("gpu_metrics");
    const isNew = own === undefined || own[2] !== 1 || (own[3] ?? 0) > 2;
    this.#knowsMetrics = !this.device.session.isOld || !isNew;
    const read = own === undefined ? undefined : readMetrics(own);
    return read ?? (this.#knowsMetrics ? this.device.metrics() : undefined);
  }

  /** The library looks names up in a list that may be older than the card: then it tells of its number. */
  #name(): string {
    const isNumbered = ["vendor", "device"].every((name) => NUMBER.test(this.#files.text(name) ?? ""));
    const name = isNumbered ? this.device.text("rsmi_dev_name_get") : this.#files.text("product_name");
    return name === undefined || NUMBER.test(name) ? cardName("amd", this.#files.hex("device")) : name;
  }

  #celsius(sensor: number, what: "now" | "critical" | "emergency" = "now"): number | undefined {
    return this.#hasSensors ? this.device.celsius(sensor, what) : undefined;
  }

  /** Of the memory's stacks, the hottest one. */
  #hottestStack(): number | undefined {
    if (!this.#knowsMetrics) return undefined;
    const known = SENSOR.hbm.flatMap((sensor) => this.#celsius(sensor) ?? []);
    return known.length === 0 ? undefined : Math.max(...known);
  }

  /** Before 6.0 the library ends the process on lines of another form, as of a clock that sleeps ("S: 19Mhz *"). */
  #levels([clock, file]: (typeof CLOCKS)[keyof typeof CLOCKS]): ClockLevels {
    const text = this.device.session.isOld ? this.#files.text(file) : undefined;
    const isTrusted = text === undefined || text.split("\n").every((line) => LEVEL.test(line.trim()));
    return isTrusted ? this.device.levels(clock) : clockLevelsOf(text);
  }

  #fan(): { readonly share?: number; readonly rpm?: number | undefined } {
    if (!this.#hasSensors) return {};
    const speed = this.device.choice("rsmi_dev_fan_speed_get", 0);
    const greatest = this.device.choice("rsmi_dev_fan_speed_max_get", 0) ?? 255;
    const rpm = this.device.choice("rsmi_dev_fan_rpms_get", 0);
    return speed === undefined || greatest === 0 || speed > greatest ? { rpm } : { share: speed / greatest, rpm };
  }
}

/** Of microwatts. */
function wattsOf(microwatts: number | undefined): number | undefined {
  return microwatts === undefined ? undefined : microwatts / 1e6;
}

/** 64 bits of a name, the low ones first; undefined for none. */
export function hexOf(halves: readonly [low: number, high: number] | undefined): string | undefined {
  if (halves === undefined) return undefined;
  const [low, high] = halves;
  const digits = high.toString(16) + low.toString(16).padStart(8, "0");
  return /^0+$/.test(digits) ? undefined : digits.replace(/^0+/, "");
}
