/**
 * Which row is expected to give the first token soonest: the request, and the interface of the two scorers. One is
 * scan.ts, the other native/scorer.c, opened by native.ts; they do the same float32 arithmetic in the same order and
 * answer the same row, bit for bit. Change both or neither.
 *
 * For each row, in seconds (DESIGN.md tells where the figures come from):
 *
 *   active = max(0, activeRequests)                      in flight, and what samples tell of others
 *   before = max(0, queuedTokens)
 *   fresh  = max(0, promptTokens - what the row has of the prompt in its cache)
 *   queued = before + fresh
 *   price  = 1 + missWeight * min(1, before * secondsPerPrefillToken)
 *   cost   = (before + fresh * price) * secondsPerPrefillToken
 *          + active * secondsPerActive
 *          + max(0, active + 1 - slots) * secondsPerQueuedRequest
 *          + max(0, kvOffset + queued * kvPerToken)^2
 *          + penaltySeconds
 *
 * Rows that are not routable, full, ejected or excluded are passed over. Equal costs are decided by the request's seed:
 * row number `seed % ties` of those tied, in the order of the table. Each row's load is read once, so what decides is
 * one set of numbers even while other threads change them.
 *
 * A block that the main thread keeps changing is read anew up to 16 times and then taken as it is, old and new figures
 * mixed; `torn` tells. A block that was given to another model in between starts the pick anew, twice at most.
 *
 * What rows have cached is looked up in the prefix index (prefix-lookup.ts) where the request has a question to it, in
 * the same call; else it is nothing.
 */

import { EXCLUDED_MAX, REQUEST } from "./layout.ts";
import type { PrefixLookup } from "./prefix-lookup.ts";

/** What a pick answers instead of a row. */
export { ALL_EJECTED, ALL_FULL, NO_TARGET } from "./layout.ts";

/** As `nowDeciseconds`: looks at ejected rows too. */
export const NEVER_EJECTED = 0x7fff_ffff;
/** More than any prompt has; with VALUE_MAX of the writer it keeps costs finite. */
const TOKENS_MAX = 1e9;

/** How urgent a request is, for strategies that go by that; the scan does not. */
export interface Urgency {
  /** 0 is the first. */
  readonly priority: number;
  /** Until its first token is wanted; `patienceMs` after it came where nobody says. */
  leftMs(patienceMs: number, nowMs: number): number;
}

/**
 * One question to a scorer and its answer, a struct that C reads in place. Use one object for all picks of a thread.
 * `exclude` keeps up to 8 rows out (those already tried) until `clearExcluded`.
 */
export class PickRequest {
  /** Its own buffer, held as long as the request, so that its address stays valid. */
  readonly buffer: ArrayBuffer;
  /** The picker that has put its table's address into the struct, and the struct's own address; see native.ts. */
  owner: Picker | undefined = undefined;
  address = 0;
  urgency: Urgency | null = null;
  /** A number of the session that the request is of, for who chooses by that; 0: it is of none. */
  session = 0;
  #prefix: PrefixLookup | null = null;
  readonly #ints: Int32Array;
  readonly #floats: Float32Array;

  constructor() {
    this.buffer = new ArrayBuffer(REQUEST.size);
    this.#ints = new Int32Array(this.buffer);
    this.#floats = new Float32Array(this.buffer);
  }

  get model(): number {
    return this.#ints[REQUEST.model / 4] ?? 0;
  }
  set model(model: number) {
    this.#ints[REQUEST.model / 4] = model;
  }

  /** Estimated tokens of the prompt, kept as float32; what is not a positive number counts as 0. */
  get promptTokens(): number {
    return this.#floats[REQUEST.promptTokens / 4] ?? 0;
  }
  set promptTokens(tokens: number) {
    this.#floats[REQUEST.promptTokens / 4] = tokens > 0 ? Math.min(TOKENS_MAX, tokens) : 0;
  }

  /** `ScoreTable.nowDeciseconds`, or NEVER_EJECTED. */
  get nowDeciseconds(): number {
    return this.#ints[REQUEST.nowDeciseconds / 4] ?? 0;
  }
  set nowDeciseconds(deciseconds: number) {
    this.#ints[REQUEST.nowDeciseconds / 4] = deciseconds;
  }

  /** Any 32 bits, fresh for each pick: they decide among equals. */
  get seed(): number {
    return (this.#ints[REQUEST.seed / 4] ?? 0) >>> 0;
  }
  set seed(seed: number) {
    this.#ints[REQUEST.seed / 4] = seed;
  }

  /** How many times as dear the request's own tokens get where a second of work waits; 0: no dearer. */
  get missWeight(): number {
    return this.#floats[REQUEST.missWeight / 4] ?? 0;
  }
  set missWeight(weight: number) {
    this.#floats[REQUEST.missWeight / 4] = weight;
  }

  /** What is asked of the prefix index with each pick, where it has any blocks; its rows are those of the table. */
  get prefix(): PrefixLookup | null {
    return this.#prefix;
  }
  set prefix(prefix: PrefixLookup | null) {
    this.#prefix = prefix;
    this.owner = undefined;
  }

  get excludedCount(): number {
    return this.#ints[REQUEST.excludedCount / 4] ?? 0;
  }

  /** False when eight rows are excluded already. */
  exclude(row: number): boolean {
    const count = this.excludedCount;
    if (count >= EXCLUDED_MAX) return false;
    this.#ints[REQUEST.excluded / 4 + count] = row;
    this.#ints[REQUEST.excludedCount / 4] = count + 1;
    return true;
  }

  clearExcluded(): void {
    this.#ints[REQUEST.excludedCount / 4] = 0;
  }

  excludedRow(index: number): number {
    return this.#ints[REQUEST.excluded / 4 + index] ?? -1;
  }

  /** Answer: the cost of the row picked, in seconds; 0 where none was. */
  get cost(): number {
    return this.#floats[REQUEST.cost / 4] ?? 0;
  }
  /** Answer: rows that cost the same as the one picked, itself included. */
  get ties(): number {
    return this.#ints[REQUEST.ties / 4] ?? 0;
  }
  /** Answer: blocks that could not be read in one state. */
  get torn(): number {
    return this.#ints[REQUEST.torn / 4] ?? 0;
  }

  /** Answer: tokens of the prompt that the row picked has cached. */
  get cachedTokens(): number {
    return this.#floats[REQUEST.cachedTokens / 4] ?? 0;
  }
  set cachedTokens(tokens: number) {
    this.#floats[REQUEST.cachedTokens / 4] = tokens;
  }

  answer(cost: number, ties: number, torn: number): void {
    this.#floats[REQUEST.cost / 4] = cost;
    this.#ints[REQUEST.ties / 4] = ties;
    this.#ints[REQUEST.torn / 4] = torn;
  }
}

export interface Picker {
  readonly kind: "c" | "typescript";
  /** The best row; or NO_TARGET (no row is routable), ALL_FULL, or ALL_EJECTED (what has room is ejected). */
  pick(request: PickRequest): number;
}
