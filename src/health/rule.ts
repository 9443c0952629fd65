/** One rule of a GPU's health: what it sees in a reading. Each GPU has its own, for some remember what was before. */
import type { ConditionTimes, Judgement } from "./condition.ts";
import type { GpuReading } from "./reading.ts";

export type Severity = "degraded" | "quarantined";

export interface Finding {
  readonly is: Judgement;
  /** With figures; of a bad finding. */
  readonly text?: string;
}

export const GOOD: Finding = { is: "good" };
export const BETWEEN: Finding = { is: "between" };
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
  accept?(reading: GpuReading): void;
  /** When time alone changes what it finds; Infinity or absent: never. */
  readonly wakeAtMs?: number;
}

/** Bad from `limit` on, good from `limit - band` downwards. */
export function above(value: number | undefined, limit: number, band: number, text: () => string): Finding {
  if (value === undefined) return UNKNOWN;
  if (value >= limit) return { is: "bad", text: text() };
  return value > limit - band ? BETWEEN : GOOD;
}
