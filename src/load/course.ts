/**
 * A run over its time, in slices of equal length: a second each, or as much more as keeps them SLICES_MAX at most. What was
 * due, and how well it went, stands where it was due; what ended, where it ended. The warm-up is left out.
 */
import { FAILURE } from "./flight.ts";
import { isGood, type Slo, ttftOf } from "./slo.ts";
import { spreadOf } from "./spread.ts";
import type { Tally } from "./tally.ts";

export const SLICES_MAX = 240;
const WIDTHS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

export interface Slice {
  /** Since the start. */
  readonly fromMs: number;
  readonly due: number;
  readonly good: number;
  readonly ok: number;
  readonly failed: number;
  readonly outputTokens: number;
  /** null: nothing that was due then was answered. */
  readonly ttftP50Ms: number | null;
  readonly ttftP95Ms: number | null;
  /** null: nothing of it had two tokens. */
  readonly itlP50Ms: number | null;
  readonly itlP95Ms: number | null;
}

export interface Course {
  readonly sliceMs: number;
  readonly slices: readonly Slice[];
}

/** `lastMs`: the last end of a request. */
export function courseOf(tally: Tally, slo: Slo, lastMs: number): Course {
  const fromMs = tally.warmUpMs;
  const sliceMs = widthOf(lastMs - fromMs);
  const open = Array.from({ length: lastMs > fromMs ? Math.floor((lastMs - fromMs) / sliceMs) + 1 : 0 }, () => ({
    due: 0,
    good: 0,
    ok: 0,
    failed: 0,
    outputTokens: 0,
    ttfts: [] as number[],
    itls: [] as number[],
  }));
  const at = (ms: number) => open[Math.min(open.length - 1, Math.max(0, Math.floor((ms - fromMs) / sliceMs)))];
  for (let index = 0; index < tally.rows; index += 1) {
    const row = tally.row(index);
    const [due, end] = [at(row.dueMs), at(row.endMs)];
    if (row.isWarmUp || row.failure === FAILURE.unfinished || due === undefined || end === undefined) continue;
    due.due += 1;
    if (row.failure !== "") {
      end.failed += 1;
      continue;
    }
    end.ok += 1;
    end.outputTokens += Math.max(0, row.outputTokens);
    due.ttfts.push(ttftOf(row));
    if (!Number.isNaN(row.itlMs)) due.itls.push(row.itlMs);
    if (isGood(row, slo)) due.good += 1;
  }
  const slices = open.map(({ ttfts, itls, ...counts }, place): Slice => {
    const [ttft, itl] = [spreadOf(Float64Array.from(ttfts).sort()), spreadOf(Float64Array.from(itls).sort())];
    const spreads = { ttftP50Ms: ttft.p50, ttftP95Ms: ttft.p95, itlP50Ms: itl.p50, itlP95Ms: itl.p95 };
    return { fromMs: fromMs + place * sliceMs, ...counts, ...spreads };
  });
  return { sliceMs, slices };
}

/** A day is the longest run, and an hour's timeout comes on top; what is longer still has slices of its own length. */
function widthOf(ms: number): number {
  const enough = WIDTHS_S.find((seconds) => Math.floor(ms / (seconds * 1000)) < SLICES_MAX);
  return enough === undefined ? Math.ceil(ms / (SLICES_MAX - 1)) : enough * 1000;
}
