/**
 * A worker's pen: what it counts, and where that lies in its region of the shared memory (worker-stats.ts).
 */

import { COUNT } from "./worker-counts.ts";
import {
  DECISION_MICROSECONDS,
  DURATION_SECONDS,
  FIRST_TOKEN_SECONDS,
  TOKEN_GAP_SECONDS,
  bucketOf,
} from "./buckets.ts";

export const PICK_REASONS = ["best", "tie", "retry", "ejected-fallback", "late", "shadow"] as const;
export type PickReason = (typeof PICK_REASONS)[number];

export const UPSTREAM_ERROR_KINDS = ["connect", "timeout", "reset", "bad-response", "truncated", "exhausted"] as const;
export type UpstreamErrorKind = (typeof UPSTREAM_ERROR_KINDS)[number];

/** Statuses counted by themselves; any other counts under its class. */
export const CODES = [
  ..."200 201 202 204 206 301 302 304 307 400 401 403 404 405 408 409 411 413 414 415 422 429 431".split(" "),
  ..."499 500 501 502 503 504 505 1xx 2xx 3xx 4xx 5xx other".split(" "),
];

/** From a status to its place in CODES. */
const CODE_OF = Uint8Array.from({ length: 600 }, (_, status) => {
  const own = CODES.indexOf(String(status));
  const ofClass = CODES.indexOf(`${Math.floor(status / 100)}xx`);
  return own >= 0 ? own : ofClass >= 0 ? ofClass : CODES.length - 1;
});

const LOADS = {
  used: COUNT.loadsUsed,
  unknown: COUNT.loadsUnknown,
  malformed: COUNT.loadsMalformed,
} as const;
/** What is so now rather than counted: gone with its worker. */
const GAUGES = [COUNT.connections, COUNT.waiting, COUNT.cacheEntries, COUNT.cacheBytes] as const;

export const DECISIONS = Object.keys(COUNT).length;
/** How long who was held waited until it was bound, in seconds. */
export const LATE_WAITS = DECISIONS + DECISION_MICROSECONDS.length + 2;
export const FIXED = LATE_WAITS + FIRST_TOKEN_SECONDS.length + 2;

// Places in a model's part: counts by code, then three histograms (buckets, +Inf, sum), then tokens.
export const DURATIONS = CODES.length;
export const FIRST_TOKENS = DURATIONS + DURATION_SECONDS.length + 2;
export const TOKEN_GAPS = FIRST_TOKENS + FIRST_TOKEN_SECONDS.length + 2;
/** Tokens of prompts, then of completions. */
export const TOKENS = TOKEN_GAPS + TOKEN_GAP_SECONDS.length + 2;
export const PER_MODEL = TOKENS + 2;

export const PER_ROW = PICK_REASONS.length + UPSTREAM_ERROR_KINDS.length;

export interface WorkerStatsLimits {
  readonly workersMax: number;
  readonly modelsMax: number;
  readonly targetsMax: number;
}

export interface Layout extends WorkerStatsLimits {
  /** Where a worker's rows begin in its region. */
  readonly rows: number;
  /** Length of a region. */
  readonly region: number;
}

export function layoutOf({ workersMax, modelsMax, targetsMax }: WorkerStatsLimits): Layout {
  // Part 0 is for requests of no model: refused before their model was known.
  const rows = FIXED + (modelsMax + 1) * PER_MODEL;
  return { workersMax, modelsMax, targetsMax, rows, region: rows + targetsMax * PER_ROW };
}

/** One worker's pen. Model -1 stands for none; a number beyond the limits is counted under none, or not at all. */
export class WorkerCounters {
  readonly #values: Float64Array;
  readonly #layout: Layout;

  constructor(values: Float64Array, layout: Layout) {
    this.#values = values;
    this.#layout = layout;
  }

  /** A request was answered (or given up: 499). */
  request(model: number, status: number, durationMs: number): void {
    const values = this.#values;
    const at = this.#model(model);
    const code = at + (status >= 0 && status < 600 ? (CODE_OF[status | 0] ?? CODES.length - 1) : CODES.length - 1);
    values[code] = (values[code] ?? 0) + 1;
    observe(values, at + DURATIONS, DURATION_SECONDS, durationMs / 1000);
  }

  /** The first byte of an answer's body went out. */
  firstToken(model: number, ttftMs: number): void {
    observe(this.#values, this.#model(model) + FIRST_TOKENS, FIRST_TOKEN_SECONDS, ttftMs / 1000);
  }

  /** Time between two events of an answer's stream. */
  tokenGap(model: number, gapMs: number): void {
    observe(this.#values, this.#model(model) + TOKEN_GAPS, TOKEN_GAP_SECONDS, gapMs / 1000);
  }

  /** Tokens of a whole answer, as it told them, or as its stream's events were counted. */
  tokens(model: number, prompt: number, completion: number): void {
    const at = this.#model(model) + TOKENS;
    add(this.#values, at, prompt);
    add(this.#values, at + 1, completion);
  }

  pick(row: number, reason: PickReason): void {
    this.#countRow(row, PICK_REASONS.indexOf(reason));
  }

  upstreamError(row: number, kind: UpstreamErrorKind): void {
    this.#countRow(row, PICK_REASONS.length + UPSTREAM_ERROR_KINDS.indexOf(kind));
  }

  /** A request was sent again, to another target. */
  retry(): void {
    add(this.#values, COUNT.retries, 1);
  }

  /** A request was sent a second time since its first token was late. */
  hedge(): void {
    add(this.#values, COUNT.hedges, 1);
  }

  /** A hedged request was answered: by its second try, if `isWon`; so many prompt tokens were sent in vain. */
  hedgeOver(isWon: boolean, wastedTokens: number): void {
    if (isWon) add(this.#values, COUNT.hedgesWon, 1);
    add(this.#values, COUNT.hedgeWaste, wastedTokens);
  }

  /** How a strategy of a user's did. */
  module(what: "moduleThrew" | "moduleSlow" | "moduleInvalid" | "moduleAgreed" | "moduleDiffered"): void {
    add(this.#values, COUNT[what], 1);
  }

  shadow(what: "shadowsSent" | "shadowsSkipped" | "shadowsFailed"): void {
    add(this.#values, COUNT[what], 1);
  }

  /** How long it took to choose a target. */
  decision(microseconds: number): void {
    observe(this.#values, DECISIONS, DECISION_MICROSECONDS, microseconds);
  }

  /** A client's connection opened (1) or closed (-1). */
  connections(delta: number): void {
    add(this.#values, COUNT.connections, delta);
    if (delta > 0) add(this.#values, COUNT.connectionsTotal, delta);
  }

  /** Bytes from clients and to clients. */
  bytes(inward: number, outward: number): void {
    add(this.#values, COUNT.bytesIn, inward);
    add(this.#values, COUNT.bytesOut, outward);
  }

  /** A request began to wait for a place at a target (1), or does not wait any more (-1). */
  waiting(delta: number): void {
    add(this.#values, COUNT.waiting, delta);
    if (delta > 0) add(this.#values, COUNT.queued, delta);
  }

  /** A request got no place: it was not let in, made room for others, or waited too long. */
  turnedAway(why: "refused" | "pushedOut" | "expired"): void {
    add(this.#values, COUNT[why], 1);
  }

  /** A breaker opened: its target gets nothing for a while. */
  breakerOpened(): void {
    add(this.#values, COUNT.breakerOpenings, 1);
  }

  /** A model that stands in for another was given the request. */
  fallback(): void {
    add(this.#values, COUNT.fallbacks, 1);
  }

  /** An access rule did not let a request pass. */
  denied(): void {
    add(this.#values, COUNT.denied, 1);
  }

  /** A first token came later than its policy promises. */
  lateFirstToken(): void {
    add(this.#values, COUNT.lateFirstTokens, 1);
  }

  /**
   * A request of a model that is bound late met an open target, or was bound without the desk since that is silent, or
   * could not go where the desk had bound it.
   */
  late(how: "lateAtOnce" | "lateAlone" | "lateUnreached"): void {
    add(this.#values, COUNT[how], 1);
  }

  /** The desk bound a request that had waited for so long since it came. */
  lateBound(waitedMs: number): void {
    add(this.#values, COUNT.lateBound, 1);
    observe(this.#values, LATE_WAITS, FIRST_TOKEN_SECONDS, waitedMs / 1000);
  }

  /** The desk was told something. */
  lateMessage(): void {
    add(this.#values, COUNT.lateMessages, 1);
  }

  /** A target told of its load: figures that are used, none of those, or nothing that can be read. */
  loadReport(what: keyof typeof LOADS): void {
    add(this.#values, LOADS[what], 1);
  }

  /** A target was chosen for a prompt of so many tokens, of which it is believed to have some cached. */
  prefixAsked(promptTokens: number, expectedTokens: number): void {
    add(this.#values, COUNT.prefixPrompt, promptTokens);
    add(this.#values, COUNT.prefixExpected, expectedTokens);
  }

  /** An answer told how much of its prompt was cached. */
  prefixTold(promptTokens: number, cachedTokens: number, expectedTokens: number): void {
    add(this.#values, COUNT.prefixToldPrompt, promptTokens);
    add(this.#values, COUNT.prefixToldCached, cachedTokens);
    add(this.#values, COUNT.prefixToldExpected, expectedTokens);
  }

  /** A request that the cache may answer: it did, by what it keeps or by the answer that another was waiting for; or not. */
  cache(how: "hit" | "shared" | "miss"): void {
    add(this.#values, how === "hit" ? COUNT.cacheHits : how === "shared" ? COUNT.cacheShares : COUNT.cacheMisses, 1);
  }

  /** What the cache holds now. */
  cacheHolds(entries: number, bytes: number): void {
    this.#values[COUNT.cacheEntries] = entries;
    this.#values[COUNT.cacheBytes] = bytes;
  }

  /** What a dead worker held is gone, such as its open connections. Called by the main thread before the successor starts. */
  clearGauges(): void {
    for (const gauge of GAUGES) this.#values[gauge] = 0;
  }

  #model(model: number): number {
    const known = model >= 0 && model < this.#layout.modelsMax;
    return FIXED + (known ? model + 1 : 0) * PER_MODEL;
  }

  #countRow(row: number, which: number): void {
    if (row < 0 || row >= this.#layout.targetsMax || which < 0) return;
    add(this.#values, this.#layout.rows + row * PER_ROW + which, 1);
  }
}

export function add(values: Float64Array, at: number, amount: number): void {
  values[at] = (values[at] ?? 0) + amount;
}

function observe(values: Float64Array, at: number, bounds: readonly number[], value: number): void {
  // A clock that stepped back, or a start that was never noted, must not spoil the sum for good.
  const seen = value > 0 ? value : 0;
  add(values, at + bucketOf(bounds, seen), 1);
  add(values, at + bounds.length + 1, seen);
}
