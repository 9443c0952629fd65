/** Readings of a GPU that is well, and of one that is not. */
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { GpuHealth } from "../../src/health/gpu-health.ts";
import type { GpuIdentity, GpuLoad, GpuReading, GpuTraffic, GpuWear } from "../../src/health/reading.ts";
import { type HealthConfig, healthSettings } from "../../src/health/settings.ts";

export const DEFAULTS: HealthConfig = defaultsOf(healthSettings);
export const UUID = "GPU-a";

const IDENTITY: GpuIdentity = {
  index: 0,
  vendor: "nvidia",
  name: "NVIDIA H100 80GB HBM3",
  memoryTotalBytes: 100,
  slowdownCelsius: 92,
  shutdownCelsius: 95,
  memoryCelsiusMax: 95,
  pcieGenerationMax: 5,
  pcieWidthMax: 16,
};

const LOAD: GpuLoad = {
  utilization: 0.9,
  temperatureCelsius: 60,
  memoryCelsius: 70,
  memoryUsedBytes: 90,
  energyJoules: 1_000,
  throttleReasons: ["sw_power_cap"],
};

export const LINKS = Array.from({ length: 18 }, (_, index) => ({
  index,
  isActive: true,
  crcErrors: 0,
  replayErrors: 0,
  recoveryErrors: 0,
}));

const TRAFFIC: GpuTraffic = { pcieGeneration: 5, pcieWidth: 16, pcieReplays: 7, links: LINKS };

const WEAR: GpuWear = {
  eccCorrected: 5,
  eccUncorrected: 0,
  retiredPagesPending: false,
  remapPending: false,
  remapFailed: false,
  recoveryAction: "none",
};

export interface Other {
  readonly uuid?: string;
  readonly identity?: Partial<GpuIdentity>;
  readonly load?: Partial<GpuLoad>;
  readonly traffic?: Partial<GpuTraffic>;
  readonly wear?: Partial<GpuWear>;
}

/** A GPU that is well but for what is given. */
export function gpu({ uuid = UUID, identity, load, traffic, wear }: Other = {}): GpuReading {
  return {
    uuid,
    identity: { ...IDENTITY, ...identity },
    load: { ...LOAD, ...load },
    traffic: { ...TRAFFIC, ...traffic },
    wear: { ...WEAR, ...wear },
  };
}

/** A health core on a clock of its own: once a second the same is read again, as a source does. */
export class Ward {
  readonly health: GpuHealth;
  nowMs = 0;

  constructor(config: HealthConfig = DEFAULTS) {
    this.health = new GpuHealth(config);
    this.read();
  }

  read(...others: readonly Other[]): void {
    this.health.look((others.length === 0 ? [{}] : others).map(gpu), this.nowMs);
  }

  /** What is given is read for `ms`, once a second and at the end. */
  stay(ms: number, ...others: readonly Other[]): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      this.read(...others);
      if (this.nowMs >= untilMs) return;
      this.nowMs = Math.min(untilMs, this.nowMs + 1_000);
    }
  }

  /** The rules that count, as "rule severity". */
  reasons(uuid = UUID): string[] {
    return this.health.verdict(uuid).reasons.map(({ rule, severity }) => `${rule} ${severity}`);
  }

  texts(uuid = UUID): string[] {
    return this.health.verdict(uuid).reasons.map(({ text }) => text);
  }
}

export type RuleKey = Exclude<keyof HealthConfig, "forgetMs" | "xid">;

/** One rule alone. */
export function only(key: RuleKey): HealthConfig {
  const off = Object.entries(DEFAULTS).map(([name, rule]) => [
    name,
    name === key || typeof rule === "number" ? rule : { ...rule, enabled: false },
  ]);
  return Object.fromEntries(off) as HealthConfig;
}
