/**
 * An Intel GPU by the files of its driver, i915 or the newer xe. Neither tells how busy the GPU is: that is reckoned from
 * those who have it open, and so is the memory in use.
 */
import type { GpuIdentity, GpuLoad, GpuTraffic } from "../health/reading.ts";
import { cardName } from "./card-names.ts";
import type { DeviceUse } from "./drm-clients.ts";
import { Rate } from "./rate.ts";
import type { Card } from "./sysfs-cards.ts";
import type { KernelFolder } from "./sysfs-folder.ts";
import { Hwmon } from "./sysfs-hwmon.ts";
import { PcieLink } from "./sysfs-link.ts";

/** By the end of the file's name, in our words. Limits of current (pl4, iccmax, vr_tdc, fastvmode) are met by any busy chip. */
const REASONS: Readonly<Record<string, string>> = {
  pl1: "sw_power_cap",
  pl2: "sw_power_cap",
  psys_pl1: "sw_power_cap",
  psys_pl2: "sw_power_cap",
  pl4: "sw_power_cap",
  iccmax: "sw_power_cap",
  psys_crit: "hw_slowdown",
  vr_tdc: "sw_power_cap",
  fastvmode: "sw_power_cap",
  thermal: "sw_thermal",
  soc_thermal: "sw_thermal",
  soc_avg_thermal: "sw_thermal",
  mem_thermal: "sw_thermal",
  ratl: "sw_thermal",
  prochot: "hw_thermal",
  vr_thermalert: "hw_thermal",
  vr_thermal: "hw_thermal",
};

/** The files of one graphics part, in one driver's names. */
interface Part {
  readonly folder: KernelFolder;
  readonly now: string;
  readonly max: string;
  readonly throttle: KernelFolder;
  readonly prefix: string;
}

export class SysfsIntel {
  readonly card: Card;
  readonly #device: KernelFolder;
  readonly #node: KernelFolder;
  /** Found anew with each look at identities: its number changes with the driver. */
  #hwmon: Hwmon | undefined;
  readonly #link: PcieLink;
  /** As they were when it was awake last. */
  #limits: Partial<GpuIdentity> = {};
  readonly #power = new Rate();
  readonly #parts: readonly Part[];
  readonly #tiles: readonly KernelFolder[];

  constructor(card: Card, device: KernelFolder, node: KernelFolder) {
    this.card = card;
    this.#device = device;
    this.#node = node;
    this.#hwmon = Hwmon.of(device, [card.driver]);
    this.#link = new PcieLink(card.device);
    this.#tiles = card.driver === "xe" ? device.names(/^tile\d{1,2}$/).map((name) => device.in(name)) : [];
    this.#parts = card.driver === "xe" ? this.#tiles.flatMap(partOfTile) : [partOfNode(node)];
  }

  uuid(): string {
    return `intel-${this.card.pciAddress}`;
  }

  /** Of a card that sleeps only what the driver has in memory, and what it told when it was awake. */
  identity(index: number, isAwake: boolean): GpuIdentity {
    this.#hwmon = Hwmon.of(this.#device, [this.card.driver]);
    if (isAwake) this.#limits = this.#limitsNow();
    return {
      index,
      vendor: "intel",
      name: cardName("intel", this.#device.hex("device")),
      pciAddress: this.card.pciAddress,
      memoryTotalBytes: this.#memoryTotal(),
      ...this.#limits,
    };
  }

  /** `use` is whole, or undefined. */
  load(nowMs: number, use: DeviceUse | undefined): GpuLoad {
    const hwmon = this.#hwmon;
    const energyJoules = hwmon?.millionths("energy1_input") ?? hwmon?.millionths("energy2_input");
    return {
      utilization: use?.utilization,
      ...this.#memory(use),
      temperatureCelsius: hwmon?.celsius(this.#sensor("pkg")),
      memoryCelsius: hwmon?.celsius(this.#sensor("vram")),
      powerWatts: this.#power.take(energyJoules, nowMs),
      powerLimitWatts: hwmon?.limit("power1_max") ?? hwmon?.limit("power2_max"),
      energyJoules,
      graphicsClockMhz: greatest(this.#parts.map(({ folder, now }) => folder.amount(now))),
      fanRpm: hwmon?.folder.amount("fan1_input"),
      throttleReasons: this.#throttleReasons(),
    };
  }

  traffic(): GpuTraffic {
    return this.#link.now();
  }

  #limitsNow(): Partial<GpuIdentity> {
    const hwmon = this.#hwmon;
    return {
      graphicsClockMhzMax: greatest(this.#parts.map(({ folder, max }) => folder.amount(max))),
      ...this.#link.max(),
      shutdownCelsius: hwmon?.celsius(this.#sensor("pkg"), "emergency"),
      slowdownCelsius: hwmon?.celsius(this.#sensor("pkg"), "crit"),
      memoryCelsiusMax: hwmon?.celsius(this.#sensor("vram"), "crit"),
      powerLimitWattsMax: hwmon?.limit("power1_rated_max") ?? hwmon?.limit("power2_rated_max"),
    };
  }

  /** xe names its sensors; i915 has one, without a name. */
  #sensor(label: "pkg" | "vram"): string | undefined {
    const named = this.#hwmon?.sensor("temp", label);
    return named ?? (this.card.driver === "i915" && label === "pkg" ? "temp1" : undefined);
  }

  #memoryTotal(): number | undefined {
    const tiles = this.#tiles.flatMap((tile) => tile.amount("physical_vram_size_bytes") ?? []);
    if (tiles.length > 0) return tiles.reduce((all, bytes) => all + bytes, 0) || undefined;
    return this.#node.amount("lmem_total_bytes") ?? this.#device.amount("lmem_total_bytes");
  }

  /** What all who have it open have on it, where it has memory of its own. */
  #memory(use: DeviceUse | undefined): GpuLoad {
    const total = this.#memoryTotal();
    if (total === undefined || use === undefined) return {};
    const known = use.clients.map(({ memoryBytes }) => memoryBytes);
    if (known.includes(undefined)) return {};
    const used = known.reduce<number>((all, bytes) => all + (bytes ?? 0), 0);
    // Memory that is shared counts for each who has it.
    return used > total ? {} : { memoryUsedBytes: used, memoryFreeBytes: total - used };
  }

  #throttleReasons(): string[] | undefined {
    const words = new Set<string>();
    let isKnown = false;
    for (const { throttle, prefix } of this.#parts) {
      const status = throttle.amount(`${prefix}status`);
      if (status === undefined) continue;
      isKnown = true;
      if (status === 0) continue;
      for (const name of throttle.names(new RegExp(`^${prefix}(?!status$)`))) {
        const word = REASONS[name.slice(prefix.length).replace(/^reason_/, "")];
        if (word !== undefined && (throttle.amount(name) ?? 0) > 0) words.add(word);
      }
    }
    return isKnown ? [...words] : undefined;
  }
}

/** The first part of a tile computes and draws, others are for video. */
function partOfTile(tile: KernelFolder): Part[] {
  const [first] = tile.names(/^gt\d{1,2}$/);
  if (first === undefined) return [];
  const folder = tile.in(first).in("freq0");
  return [{ folder, now: "act_freq", max: "rp0_freq", throttle: folder.in("throttle"), prefix: "" }];
}

function partOfNode(node: KernelFolder): Part {
  const folder = node.in("gt").in("gt0");
  if (folder.has("rps_act_freq_mhz"))
    return { folder, now: "rps_act_freq_mhz", max: "rps_RP0_freq_mhz", throttle: folder, prefix: "throttle_reason_" };
  // Before Linux 5.18.
  return { folder: node, now: "gt_act_freq_mhz", max: "gt_RP0_freq_mhz", throttle: folder, prefix: "throttle_reason_" };
}

function greatest(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}
