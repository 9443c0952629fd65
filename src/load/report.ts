/**
 * What a run comes to. Names and units are those of a simulation's outcome (sim/tally.ts), so that one can be laid beside
 * the other: TTFT and ITL of each request, goodput as the share of the requests that were good.
 *
 * Counted are the requests that were due after the warm-up, those that failed as well: a request that failed was not good.
 * Unfinished ones (the run was stopped) are told and not counted. A whole answer (no stream) has its first token with its
 * last, and no ITL.
 *
 * A run is only as good as its generator: `lagMs` is what this side alone was late by, and `isLagging` says that it was so
 * late that nobody should trust the rest.
 */
import { type Course, courseOf } from "./course.ts";
import { FAILURE } from "./flight.ts";
import { isGood, type Slo, ttftOf } from "./slo.ts";
import { shares, spreadOf, type Spread } from "./spread.ts";
import type { Tally } from "./tally.ts";

/** A request counts as sent late from here on: timers of this process are exact to about a millisecond. */
export const LATE_MS = 5;
/** A generator whose p99 is later than this, and than a twentieth of the median TTFT, could not keep up. */
export const LAG_MS = 5;
const LAG_SHARE = 0.05;
const CDF_POINTS = 200;

/** What was asked, in words; the shell knows. */
export interface LoadAbout {
  readonly url: string;
  readonly model: string;
  readonly workload: string;
  readonly seed: number;
  /** Unix time. */
  readonly startedAtMs: number;
  readonly isStopped: boolean;
}

export interface LoadReport extends LoadAbout {
  readonly kind: "infermesh-load";
  readonly version: 2;
  /** From the warm-up's end to the last end of a request. */
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly slo: Slo;
  /** Counted; `ok` and `failed` of them. */
  readonly requests: number;
  readonly ok: number;
  readonly failed: number;
  readonly unfinished: number;
  readonly warmUpRequests: number;
  readonly goodput: number | null;
  readonly goodPerSecond: number | null;
  readonly duePerSecond: number | null;
  readonly okPerSecond: number | null;
  readonly ttftMs: Spread;
  /** Of each request with two tokens or more, its mean. */
  readonly itlMs: Spread;
  /** Of each pair of tokens that came one after the other. */
  readonly gapMs: Spread;
  readonly endMs: Spread;
  /** From when requests were due to when they were sent. */
  readonly behindMs: Spread;
  /** Sent later than LATE_MS, or never. */
  readonly late: number;
  /** From when requests were due and there was room for them to when they were sent: what this side alone was late by. */
  readonly lagMs: Spread;
  /** It was too late for the rest to be trusted. */
  readonly isLagging: boolean;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly outputTokensPerSecond: number | null;
  /** null: no answer tells. */
  readonly cachedTokens: number | null;
  /** Of the prompt tokens of answers that tell. */
  readonly hitRate: number | null;
  readonly errors: readonly { readonly kind: string; readonly count: number; readonly words: string }[];
  readonly nodes: readonly { readonly node: string; readonly requests: number; readonly outputTokens: number }[];
  /** Of equal shares of the requests, from the least to the greatest. */
  readonly ttftCdfMs: readonly number[];
  readonly itlCdfMs: readonly number[];
  readonly endCdfMs: readonly number[];
  readonly course: Course;
}

export function reportOf(tally: Tally, slo: Slo, about: LoadAbout): LoadReport {
  const ttfts: number[] = [];
  const itls: number[] = [];
  const ends: number[] = [];
  const behind: number[] = [];
  const lags: number[] = [];
  const errors = new Map<string, number>();
  const nodes = new Map<string, { requests: number; outputTokens: number }>();
  const sums = { ok: 0, failed: 0, unfinished: 0, warmUp: 0, good: 0, late: 0, prompt: 0, output: 0 };
  let [cached, cachedOf, isCacheTold, lastMs] = [0, 0, false, tally.warmUpMs];
  for (let index = 0; index < tally.rows; index += 1) {
    const row = tally.row(index);
    if (row.isWarmUp) {
      sums.warmUp += 1;
      continue;
    }
    if (row.failure === FAILURE.unfinished) {
      sums.unfinished += 1;
      continue;
    }
    const behindMs = Number.isNaN(row.sentMs) ? row.endMs - row.dueMs : row.sentMs - row.dueMs;
    behind.push(behindMs);
    if (behindMs > LATE_MS) sums.late += 1;
    if (!Number.isNaN(row.lagMs)) lags.push(row.lagMs);
    lastMs = Math.max(lastMs, row.endMs);
    if (row.failure !== "") {
      sums.failed += 1;
      errors.set(row.failure, (errors.get(row.failure) ?? 0) + 1);
      continue;
    }
    sums.ok += 1;
    ttfts.push(ttftOf(row));
    ends.push(row.endMs - row.dueMs);
    if (!Number.isNaN(row.itlMs)) itls.push(row.itlMs);
    if (isGood(row, slo)) sums.good += 1;
    sums.prompt += row.promptTokens;
    sums.output += Math.max(0, row.outputTokens);
    if (row.cachedTokens >= 0) {
      isCacheTold = true;
      cached += row.cachedTokens;
      cachedOf += row.promptTokens;
    }
    const node = nodes.get(row.node) ?? { requests: 0, outputTokens: 0 };
    node.requests += 1;
    node.outputTokens += Math.max(0, row.outputTokens);
    nodes.set(row.node, node);
  }
  const requests = sums.ok + sums.failed;
  const durationMs = lastMs - tally.warmUpMs;
  const perSecond = (count: number) => (durationMs > 0 ? (count * 1000) / durationMs : null);
  const sorted = { ttft: ascending(ttfts), itl: ascending(itls), end: ascending(ends) };
  const [ttftMs, lagMs] = [spreadOf(sorted.ttft), spreadOf(ascending(lags))];
  return {
    kind: "infermesh-load",
    version: 2,
    ...about,
    durationMs,
    warmUpMs: tally.warmUpMs,
    slo,
    requests,
    ok: sums.ok,
    failed: sums.failed,
    unfinished: sums.unfinished,
    warmUpRequests: sums.warmUp,
    goodput: requests > 0 ? sums.good / requests : null,
    goodPerSecond: perSecond(sums.good),
    duePerSecond: perSecond(requests),
    okPerSecond: perSecond(sums.ok),
    ttftMs,
    itlMs: spreadOf(sorted.itl),
    gapMs: tally.gaps.spread(),
    endMs: spreadOf(sorted.end),
    behindMs: spreadOf(ascending(behind)),
    late: sums.late,
    lagMs,
    isLagging: (lagMs.p99 ?? 0) > Math.max(LAG_MS, LAG_SHARE * (ttftMs.p50 ?? 0)),
    promptTokens: sums.prompt,
    outputTokens: sums.output,
    outputTokensPerSecond: perSecond(sums.output),
    cachedTokens: isCacheTold ? cached : null,
    hitRate: isCacheTold && cachedOf > 0 ? cached / cachedOf : null,
    errors: [...errors]
      .map(([kind, count]) => ({ kind, count, words: tally.words.get(kind) ?? "" }))
      .toSorted((a, b) => b.count - a.count),
    nodes: [...nodes].map(([node, its]) => ({ node, ...its })).toSorted((a, b) => (a.node < b.node ? -1 : 1)),
    ttftCdfMs: shares(sorted.ttft, CDF_POINTS),
    itlCdfMs: shares(sorted.itl, CDF_POINTS),
    endCdfMs: shares(sorted.end, CDF_POINTS),
    course: courseOf(tally, slo, lastMs),
  };
}

function ascending(values: readonly number[]): Float64Array {
  return Float64Array.from(values).sort();
}
