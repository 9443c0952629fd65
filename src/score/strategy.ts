/**
 * Ways to balance other than by expected time to first token: for a model whose operator says so. The rows that may be
 * picked are the scorer's own (routable, with room, neither ejected nor excluded); the answers too.
 *
 *   least-loaded   fewest requests for its weight, those of others counted as samples tell of them
 *   two-choices    the less loaded of two that are drawn (Mitzenmacher's power of two choices): near to the former, and
 *                  many routers that know the same don't all run to the same row
 *   random         drawn
 *   round-robin    in turns, smoothly: a row of weight 2 comes twice as often, and not twice in a row (nginx's way)
 *
 * Draws and turns go by weight. What is told as the cost is the row's load for its weight, requests rather than seconds.
 *
 * Reads single words of the table, each of them whole; a row that changes meanwhile is found out by `tryBegin`, as after
 * any pick. Costs as many steps as the model has rows, and keeps one number a row.
 */
import { ALL_EJECTED, ALL_FULL, COLUMN, NO_TARGET, rowWord } from "./layout.ts";
import type { PickRequest } from "./pick.ts";
import type { ScoreTable } from "./table.ts";

export type Strategy = "least-loaded" | "two-choices" | "random" | "round-robin";

/** A second draw from the same seed, unlike the first: the multiplier of Numerical Recipes' generator, and its sum. */
const DRAW_FACTOR = 1_664_525;
const DRAW_STEP = 1_013_904_223;
const DRAWS = 2 ** 32;

export class StrategyPicker {
  readonly #words: Int32Array;
  readonly #floats: Float32Array;
  readonly #blocksWord: number;
  /** The rows that may be picked, with their weights and loads. */
  readonly #rows: number[] = [];
  readonly #weights: number[] = [];
  readonly #loads: number[] = [];
  /** How far each row is from its turn, by row; those of rows that were never asked for lie at random places. */
  readonly #turns = new Map<number, number>();

  constructor(table: ScoreTable) {
    this.#words = table.words;
    this.#floats = table.floats;
    this.#blocksWord = table.blocksWord;
  }

  /** As a Picker's, among these `rows` of the request's model; `weightOf` a row is more than 0. */
  pick(request: PickRequest, strategy: Strategy, rows: readonly number[], weightOf: (row: number) => number): number {
    const nobody = this.#gather(request, rows, weightOf);
    if (nobody !== null) {
      request.answer(0, 0, 0);
      return nobody;
    }
    let place: number;
    let ties = 1;
    switch (strategy) {
      case "least-loaded": {
        const tied = this.#leastLoaded();
        ties = tied.length;
        place = tied[request.seed % ties]!;
        break;
      }
      case "two-choices":
        place = this.#lesserOfTwo(request.seed);
        break;
      case "random":
        place = this.#draw(request.seed, -1);
        break;
      case "round-robin":
        place = this.#nextInTurn(request.seed);
        break;
    }
    request.answer(this.#loads[place]!, ties, 0);
    return this.#rows[place]!;
  }

  /** Finds the rows that may be picked; or tells why there are none. */
  #gather(request: PickRequest, rows: readonly number[], weightOf: (row: number) => number): number | null {
    const { excludedCount, nowDeciseconds } = request;
    this.#rows.length = 0;
    this.#weights.length = 0;
    this.#loads.length = 0;
    let isRoutable = false;
    let hasRoom = false;
    for (const row of rows) {
      const at = this.#blocksWord + rowWord(row);
      const capacity = this.#floats[at + COLUMN.capacity] ?? 0;
      if (!(capacity > 0) || (excludedCount > 0 && isExcluded(request, excludedCount, row))) continue;
      isRoutable = true;
      const active = Math.max(0, Atomics.load(this.#words, at + COLUMN.activeRequests));
      if (active >= capacity) continue;
      hasRoom = true;
      if (Atomics.load(this.#words, at + COLUMN.ejectedUntil) > nowDeciseconds) continue;
      const weight = weightOf(row);
      this.#rows.push(row);
      this.#weights.push(weight);
      this.#loads.push((active + 1) / weight);
    }
    if (this.#rows.length > 0) return null;
    if (!isRoutable) return NO_TARGET;
    return hasRoom ? ALL_EJECTED : ALL_FULL;
  }

  #leastLoaded(): number[] {
    let best = Infinity;
    for (const load of this.#loads) if (load < best) best = load;
    return [...this.#loads.keys()].filter((place) => this.#loads[place] === best);
  }

  /** The place that the seed draws, by weight, of all but one. */
  #draw(seed: number, except: number): number {
    let total = 0;
    for (let place = 0; place < this.#weights.length; place++) if (place !== except) total += this.#weights[place]!;
    let left = (seed / DRAWS) * total;
    let last = -1;
    for (let place = 0; place < this.#weights.length; place++) {
      if (place === except) continue;
      last = place;
      left -= this.#weights[place]!;
      if (left < 0) break;
    }
    return last;
  }

  #lesserOfTwo(seed: number): number {
    const first = this.#draw(seed, -1);
    if (this.#rows.length === 1) return first;
    const second = this.#draw((Math.imul(seed, DRAW_FACTOR) + DRAW_STEP) >>> 0, first);
    return this.#loads[second]! < this.#loads[first]! ? second : first;
  }

  #nextInTurn(seed: number): number {
    let total = 0;
    let best = 0;
    let bestTurn = -Infinity;
    for (const [place, row] of this.#rows.entries()) {
      const weight = this.#weights[place]!;
      // Workers begin at different rows, or the first ones would get the first request of each.
      const before = this.#turns.get(row) ?? (((seed ^ Math.imul(row + 1, DRAW_FACTOR)) >>> 0) / DRAWS) * weight;
      const turn = before + weight;
      this.#turns.set(row, turn);
      total += weight;
      if (turn <= bestTurn) continue;
      bestTurn = turn;
      best = place;
    }
    this.#turns.set(this.#rows[best]!, bestTurn - total);
    return best;
  }
}

function isExcluded(request: PickRequest, count: number, row: number): boolean {
  for (let index = 0; index < count; index++) if (request.excludedRow(index) === row) return true;
  return false;
}
