/**
 * Which row is expected to give the first token soonest: the request, the interface of the two scorers, and the one in
 * TypeScript. The other is native/scorer.c, opened by native.ts; it does the same float32 arithmetic in the same order
 * and answers the same row, bit for bit. Change both or neither.
 *
 * For each row, in seconds (DESIGN.md tells where the figures come from):
 *
 *   active = max(0, activeRequests)                      in flight, and what samples tell of others
 *   queued = max(0, queuedTokens) + promptTokens
 *   cost   = queued * secondsPerPrefillToken
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
 * Prefix affinity will lower `promptTokens` by what each row has cached; REQUEST.cachedTokens is its place.
 */

import {
  ALL_EJECTED,
  ALL_FULL,
  BLOCK_ROWS,
  BLOCK_WORD,
  BLOCK_WORDS,
  COLUMN,
  EXCLUDED_MAX,
  MODELS_WORD,
  NO_TARGET,
  READ_ATTEMPTS,
  REQUEST,
} from "./layout.ts";
import type { ScoreTable } from "./table.ts";

/** What a pick answers instead of a row. */
export { ALL_EJECTED, ALL_FULL, NO_TARGET } from "./layout.ts";

/** As `nowDeciseconds`: looks at ejected rows too. */
export const NEVER_EJECTED = 0x7fff_ffff;
/** More than any prompt has; with VALUE_MAX of the writer it keeps costs finite. */
const TOKENS_MAX = 1e9;
const RESTARTS = 2;

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

const ROUTABLE = 1;
const ROOM = 2;

export class TypeScriptPicker implements Picker {
  readonly kind = "typescript";
  readonly #words: Int32Array;
  readonly #floats: Float32Array;
  readonly #blocksWord: number;
  readonly #modelsMax: number;
  readonly #blocksMax: number;
  /** The costs of one block, Infinity where a row is passed over. */
  readonly #costs = new Float32Array(BLOCK_ROWS);
  readonly #tied: Int32Array;
  #ties = 0;
  #best = Infinity;
  #torn = 0;
  /** ROUTABLE and ROOM, of the block scored last and of all. */
  #blockSeen = 0;
  #seen = 0;

  constructor(table: ScoreTable) {
    this.#words = table.words;
    this.#floats = table.floats;
    this.#blocksWord = table.blocksWord;
    this.#modelsMax = table.modelsMax;
    this.#blocksMax = table.rowsMax / BLOCK_ROWS;
    this.#tied = new Int32Array(table.rowsMax);
  }

  pick(request: PickRequest): number {
    const { model } = request;
    this.#torn = 0;
    if (model >= 0 && model < this.#modelsMax) {
      for (let tries = 0; !this.#scan(request, model) && tries < RESTARTS; tries += 1);
      if (this.#ties > 0) {
        request.answer(this.#best, this.#ties, this.#torn);
        return this.#tied[request.seed % this.#ties] ?? NO_TARGET;
      }
    } else {
      this.#seen = 0;
    }
    request.answer(0, 0, this.#torn);
    if ((this.#seen & ROUTABLE) === 0) return NO_TARGET;
    return (this.#seen & ROOM) === 0 ? ALL_FULL : ALL_EJECTED;
  }

  /** Looks at the model's blocks; false when one turned out to belong to another model. */
  #scan(request: PickRequest, model: number): boolean {
    const words = this.#words;
    this.#best = Infinity;
    this.#ties = 0;
    this.#seen = 0;
    let link = Atomics.load(words, MODELS_WORD + model);
    // A list that changes under our feet could lead in a circle: never take more steps than there are blocks.
    for (let steps = 0; link !== 0 && steps < this.#blocksMax; steps += 1) {
      const block = link - 1;
      const base = this.#blocksWord + block * BLOCK_WORDS;
      let used = 0;
      for (let attempt = 1; ; attempt += 1) {
        const sequence = Atomics.load(words, base + BLOCK_WORD.sequence);
        if ((sequence & 1) === 0 || attempt === READ_ATTEMPTS) {
          const owner = Atomics.load(words, base + BLOCK_WORD.model);
          link = Atomics.load(words, base + BLOCK_WORD.next);
          used = Atomics.load(words, base + BLOCK_WORD.used);
          if (owner === model + 1) this.#score(request, block, base, used);
          const same = Atomics.load(words, base + BLOCK_WORD.sequence) === sequence && (sequence & 1) === 0;
          if (same && owner !== model + 1) return false;
          if (same) break;
          if (attempt === READ_ATTEMPTS) {
            this.#torn += 1;
            if (owner !== model + 1) return false;
            break;
          }
        }
      }
      this.#fold(block, used);
    }
    return true;
  }

  /** Fills `#costs`. Math.fround after each step is what C does in float. */
  #score(request: PickRequest, block: number, base: number, used: number): void {
    const fround = Math.fround;
    const floats = this.#floats;
    const words = this.#words;
    const costs = this.#costs;
    const prompt = request.promptTokens;
    const now = request.nowDeciseconds;
    const excluded = request.excludedCount;
    let seen = 0;
    for (let lane = 0; lane < used; lane += 1) {
      const at = base + lane;
      costs[lane] = Infinity;
      const capacity = floats[at + COLUMN.capacity] ?? 0;
      if (!(capacity > 0)) continue;
      if (excluded > 0 && isExcluded(request, excluded, block * BLOCK_ROWS + lane)) continue;
      const active = positive(fround(words[at + COLUMN.activeRequests] ?? 0));
      seen |= ROUTABLE;
      if (!(capacity > active)) continue;
      seen |= ROOM;
      if ((words[at + COLUMN.ejectedUntil] ?? 0) > now) continue;
      const queued = fround(positive(fround(words[at + COLUMN.queuedTokens] ?? 0)) + prompt);
      let cost = fround(queued * (floats[at + COLUMN.secondsPerPrefillToken] ?? 0));
      cost = fround(cost + fround(active * (floats[at + COLUMN.secondsPerActive] ?? 0)));
      const waiting = positive(fround(fround(active + 1) - (floats[at + COLUMN.slots] ?? 0)));
      cost = fround(cost + fround(waiting * (floats[at + COLUMN.secondsPerQueuedRequest] ?? 0)));
      const added = fround(queued * (floats[at + COLUMN.kvPerToken] ?? 0));
      const excess = positive(fround((floats[at + COLUMN.kvOffset] ?? 0) + added));
      cost = fround(cost + fround(excess * excess));
      costs[lane] = fround(cost + (floats[at + COLUMN.penaltySeconds] ?? 0));
    }
    this.#blockSeen = seen;
  }

  #fold(block: number, used: number): void {
    this.#seen |= this.#blockSeen;
    const costs = this.#costs;
    for (let lane = 0; lane < used; lane += 1) {
      const cost = costs[lane] ?? Infinity;
      if (cost > this.#best || cost === Infinity) continue;
      if (cost < this.#best) {
        this.#best = cost;
        this.#ties = 0;
      }
      this.#tied[this.#ties] = block * BLOCK_ROWS + lane;
      this.#ties += 1;
    }
  }
}

function positive(value: number): number {
  return value > 0 ? value : 0;
}

function isExcluded(request: PickRequest, count: number, row: number): boolean {
  for (let index = 0; index < count; index += 1) if (request.excludedRow(index) === row) return true;
  return false;
}
