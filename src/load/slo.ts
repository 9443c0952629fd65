/** What a request should come to, and whether it did. */
import type { Row } from "./tally.ts";

export interface Slo {
  readonly ttftMs: number;
  /** Mean of a request. */
  readonly itlMs: number;
  /** 0: none. */
  readonly endMs: number;
}

/** From when it was due. A whole answer (no stream) has its first token with its last. */
export function ttftOf({ firstMs, endMs, dueMs }: Row): number {
  return (Number.isNaN(firstMs) ? endMs : firstMs) - dueMs;
}

/** Of one that was answered. */
export function isGood(row: Row, slo: Slo): boolean {
  if (ttftOf(row) > slo.ttftMs || (slo.endMs > 0 && row.endMs - row.dueMs > slo.endMs)) return false;
  return Number.isNaN(row.itlMs) || row.itlMs <= slo.itlMs;
}
