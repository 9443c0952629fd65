/** How a GPU is, and why. */
export const HEALTHS = ["healthy", "degraded", "quarantined"] as const;
export type Health = (typeof HEALTHS)[number];

export interface HealthReason {
  readonly rule: string;
  /** With figures: "the GPU is at 93 °C; it slows down at 92 °C". */
  readonly text: string;
  readonly severity: "degraded" | "quarantined";
  /** Since when it is so, by the clock of nowMs. */
  readonly sinceMs: number;
  /** auto: it ends when it is over; manual: it stays until it is ended by hand. */
  readonly recovery: "auto" | "manual";
}

export interface Verdict {
  readonly health: Health;
  /** Since when the health is this one. */
  readonly sinceMs: number;
  /** The worst first. */
  readonly reasons: readonly HealthReason[];
}

/** Whether there is no news in the second: figures and their wording may differ. */
export function isSame(a: Verdict, b: Verdict): boolean {
  return (
    a.health === b.health &&
    a.reasons.length === b.reasons.length &&
    a.reasons.every((reason, at) => isSameReason(reason, b.reasons[at] as HealthReason))
  );
}

function isSameReason(a: HealthReason, b: HealthReason): boolean {
  return a.rule === b.rule && a.severity === b.severity && a.sinceMs === b.sinceMs;
}
