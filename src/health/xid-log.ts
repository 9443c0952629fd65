/**
 * The XIDs of one GPU that count: for each code how often it came and when last. A storm is counted, not stored: at most
 * 64 codes are kept, and of more the one that degrades for a time and was silent longest goes.
 */
import { Growth } from "./growth.ts";
import type { GpuFault } from "./reading.ts";
import { type Finding, type Rule, above, minutes } from "./rule.ts";
import type { HealthConfig } from "./settings.ts";
import type { HealthReason } from "./verdict.ts";
import { type Xid, xidOf } from "./xid.ts";

const CODES_MAX = 64;

interface Entry {
  readonly xid: Xid;
  readonly sinceMs: number;
  count: number;
  lastMs: number;
  gpuInstance: number | undefined;
}

export class XidLog {
  readonly #config: HealthConfig["xid"];
  readonly #entries = new Map<number, Entry>();
  readonly #programs: Growth;

  constructor({ xid, xidRepeats }: HealthConfig) {
    this.#config = xid;
    this.#programs = new Growth(xidRepeats.windowMs);
  }

  take({ xid: code, gpuInstance }: GpuFault, nowMs: number): void {
    const xid = judged(code, this.#config);
    if (xid.class === "application") this.#programs.add(1, nowMs);
    if (xid.effect === "event" || !this.#config.enabled) return;
    const known = this.#entries.get(code);
    if (known === undefined) {
      if (this.#entries.size >= CODES_MAX && !this.#makeRoom()) return;
      this.#entries.set(code, { xid, sinceMs: nowMs, count: 1, lastMs: nowMs, gpuInstance });
      return;
    }
    known.count += 1;
    known.lastMs = nowMs;
    known.gpuInstance = gpuInstance;
  }

  /** Forgets those whose time is over. */
  reasons(nowMs: number): HealthReason[] {
    const reasons: HealthReason[] = [];
    for (const [code, { xid, sinceMs, count, lastMs, gpuInstance }] of this.#entries) {
      if (xid.recovery === "auto" && nowMs - lastMs >= this.#config.autoMs) {
        this.#entries.delete(code);
        continue;
      }
      const times = count === 1 ? "" : `; ${count} times`;
      const where = gpuInstance === undefined ? "" : ` (MIG instance ${gpuInstance})`;
      const text = `XID ${code}${where}: ${xid.meaning}${times}`;
      const severity = xid.effect === "quarantined" ? "quarantined" : "degraded";
      reasons.push({ rule: "xid", text, severity, sinceMs, recovery: xid.recovery === "auto" ? "auto" : "manual" });
    }
    return reasons;
  }

  get wakeAtMs(): number {
    let atMs = Infinity;
    for (const { xid, lastMs } of this.#entries.values()) {
      if (xid.recovery === "auto") atMs = Math.min(atMs, lastMs + this.#config.autoMs);
    }
    return atMs;
  }

  /** Ends those that end by hand; answers whether there was any. */
  clear(): boolean {
    return this.#end((xid) => xid.recovery !== "auto");
  }

  /** The GPU was reset, or its driver loaded anew. */
  reset(): void {
    this.#end((xid) => xid.recovery === "reset");
  }

  /** The rule over those that programs cause. */
  repeats({ holdMs, clearMs, countMax, windowMs }: HealthConfig["xidRepeats"]): Rule {
    const programs = this.#programs;
    return {
      name: "xid_repeats",
      severity: "degraded",
      recovery: "auto",
      times: { holdMs, clearMs },
      look(_reading, nowMs): Finding {
        const total = programs.total(nowMs);
        const band = countMax - Math.floor(countMax / 2);
        return above(total, countMax, band, () => `${total} XIDs that programs cause, in ${minutes(windowMs)}`);
      },
      get wakeAtMs() {
        return programs.wakeAtMs;
      },
    };
  }

  #end(ends: (xid: Xid) => boolean): boolean {
    let isAny = false;
    for (const [code, { xid }] of this.#entries) {
      if (!ends(xid)) continue;
      this.#entries.delete(code);
      isAny = true;
    }
    return isAny;
  }

  #makeRoom(): boolean {
    let oldest: Entry | undefined;
    for (const entry of this.#entries.values()) {
      if (entry.xid.recovery === "auto" && (oldest === undefined || entry.lastMs < oldest.lastMs)) oldest = entry;
    }
    return oldest !== undefined && this.#entries.delete(oldest.xid.code);
  }
}

/** By the table, unless the settings say otherwise. */
function judged(code: number, config: HealthConfig["xid"]): Xid {
  const xid = xidOf(code);
  if (config.quarantinedCodes.includes(code)) {
    return xid.effect === "quarantined" ? xid : { ...xid, effect: "quarantined", recovery: "manual" };
  }
  if (config.degradedCodes.includes(code)) return { ...xid, effect: "degraded", recovery: "auto" };
  if (config.eventCodes.includes(code)) return { ...xid, effect: "event", recovery: "none" };
  return xid;
}
