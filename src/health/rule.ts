/** One rule of a GPU's health: what it finds. Each GPU has its own, for some remember what was before. */
import type { ConditionTimes, Judgement } from "./condition.ts";
import { Growth } from "./growth.ts";
import type { GpuReading } from "./reading.ts";

export type Severity = "degraded" | "quarantined";

export interface Finding {
  readonly is: Judgement;
  /** With figures; of a bad finding. */
  readonly text?: string;
}

export const GOOD: Finding = { is: "good" };
const BETWEEN: Finding = { is: "between" };
export const UNJUDGED: Finding = { is: "unjudged" };
export const UNKNOWN: Finding = { is: "unknown" };

export interface Rule {
  readonly name: string;
  readonly severity: Severity;
  /** manual: it stays until it is ended by hand, or by a reset where the rule sees one. */
  readonly recovery: "auto" | "manual";
  readonly times: Omit<ConditionTimes, "forgetMs">;
  /** Called with each new reading, and again with the same one when time alone may have changed something. */
  look(reading: GpuReading, nowMs: number): Finding;
  /** Takes what is there for what should be there, by hand. */
  accept?(): void;
  /** When time alone changes what it finds; Infinity or absent: never. */
  readonly wakeAtMs?: number;
}

/** Bad from `limit` on, good from `limit - band` downwards. */
export function above(value: number | undefined, limit: number, band: number, text: () => string): Finding {
  if (value === undefined) return UNKNOWN;
  if (value >= limit) return { is: "bad", text: text() };
  return value > limit - band ? BETWEEN : GOOD;
}

export function isSo(value: boolean | undefined, text: () => string): Finding {
  if (value === undefined) return UNKNOWN;
  return value ? { is: "bad", text: text() } : GOOD;
}

interface GrowthConfig {
  readonly holdMs: number;
  readonly clearMs: number;
  readonly countMax: number;
  readonly windowMs: number;
}

/** Degraded while a counter grows by `countMax` within the window, until it grows by half of that. */
export class GrowthRule implements Rule {
  readonly name: string;
  readonly severity = "degraded";
  readonly recovery = "auto";
  readonly times: Rule["times"];
  readonly #config: GrowthConfig;
  readonly #growth: Growth;
  readonly #count: (reading: GpuReading, growth: Growth, nowMs: number) => boolean;
  readonly #noun: string;

  /** `count` takes what is new into the growth; false where it is not known. */
  constructor(
    name: string,
    config: GrowthConfig,
    noun: string,
    count: (reading: GpuReading, growth: Growth, nowMs: number) => boolean,
  ) {
    this.name = name;
    this.times = { holdMs: config.holdMs, clearMs: config.clearMs };
    this.#config = config;
    this.#growth = new Growth(config.windowMs);
    this.#noun = noun;
    this.#count = count;
  }

  get wakeAtMs(): number {
    return this.#growth.wakeAtMs;
  }

  look(reading: GpuReading, nowMs: number): Finding {
    const isKnown = this.#count(reading, this.#growth, nowMs);
    const total = this.#growth.total(nowMs);
    if (!isKnown) return UNKNOWN;
    const { countMax, windowMs } = this.#config;
    const band = countMax - Math.floor(countMax / 2);
    return above(total, countMax, band, () => `${total} ${this.#noun} in ${minutes(windowMs)}`);
  }

  accept(): void {
    this.#growth.clear();
  }
}

export function minutes(ms: number): string {
  return ms >= 60_000 ? `${Math.round(ms / 6_000) / 10} min` : `${Math.round(ms / 100) / 10} s`;
}
