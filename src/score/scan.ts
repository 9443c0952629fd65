/** The scorer in TypeScript, the twin of native/scorer.c and scan.h: pick.ts tells the formula and the rules. */
import {
  ALL_EJECTED,
  ALL_FULL,
  BLOCK_ROWS,
  BLOCK_WORD,
  BLOCK_WORDS,
  COLUMN,
  MODELS_WORD,
  NO_TARGET,
  READ_ATTEMPTS,
} from "./layout.ts";
import type { Picker, PickRequest } from "./pick.ts";
import type { ScoreTable } from "./table.ts";

const RESTARTS = 2;
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
  #cached: Float32Array | null = null;
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
    const { prefix, model } = request;
    request.cachedTokens = 0;
    if (prefix === null || prefix.blocks === 0 || model < 0 || model >= this.#modelsMax)
      return this.#pick(request, null);
    prefix.match();
    const row = this.#pick(request, prefix.cached);
    if (row >= 0) request.cachedTokens = prefix.cached[row] ?? 0;
    prefix.clear();
    return row;
  }

  #pick(request: PickRequest, cached: Float32Array | null): number {
    const { model } = request;
    this.#cached = cached;
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
    const miss = request.missWeight;
    const cached = this.#cached;
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
      const before = positive(fround(words[at + COLUMN.queuedTokens] ?? 0));
      const has = cached === null ? 0 : (cached[block * BLOCK_ROWS + lane] ?? 0);
      const fresh = positive(fround(prompt - has));
      const queued = fround(before + fresh);
      const rate = floats[at + COLUMN.secondsPerPrefillToken] ?? 0;
      const work = fround(before * rate);
      const price = fround(1 + fround(miss * (work < 1 ? work : 1)));
      let cost = fround(fround(before + fround(fresh * price)) * rate);
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
