/**
 * The rows of one model as a view for strategies: each row has a number among the targets, which it keeps while it leads
 * to the same target; one that leaves makes its number free for another, and what was remembered of it is forgotten. So
 * there are never more numbers than the model had rows at a time.
 *
 * Reads single words of the table, each of them whole; a row that changes meanwhile is found out by `tryBegin`, as after
 * any pick. Costs some loads for each row of the model.
 */
import { ALL_EJECTED, ALL_FULL, COLUMN, NO_TARGET, rowWord } from "./layout.ts";
import type { PickRequest } from "./pick.ts";
import { RowSides } from "./row-sides.ts";
import type { ScoreTable } from "./table.ts";
import { TargetView } from "./view.ts";

const FREE = -1;
const ROOM_MIN = 16;

export class RowView {
  view = new TargetView(ROOM_MIN);
  readonly #table: ScoreTable;
  readonly #sides: RowSides;
  /** As they were given last. */
  #rows: readonly number[] = [];
  /** By target. */
  readonly #rowOf: number[] = [];
  readonly #lives: number[] = [];
  readonly #targetOf = new Map<number, number>();

  constructor(table: ScoreTable) {
    this.#table = table;
    this.#sides = new RowSides(table);
    this.view.count = 0;
  }

  /** The row of a target. */
  rowAt(target: number): number {
    return this.#rowOf[target] ?? NO_TARGET;
  }

  /** The target that the row is, if it still leads to that one; -1: it is none. */
  targetOf(row: number): number {
    const target = this.#targetOf.get(row) ?? FREE;
    return target >= 0 && this.#lives[target] === this.#table.generation(row) ? target : FREE;
  }

  /** These are the model's rows from now on; `forget` hears of numbers that lead to nobody any more, or to another one. */
  sync(rows: readonly number[], forget: (target: number) => void): void {
    if (rows === this.#rows) return;
    this.#rows = rows;
    const now = new Set(rows);
    for (const [row, target] of this.#targetOf) {
      if (now.has(row) && this.#lives[target] === this.#table.generation(row)) continue;
      this.#targetOf.delete(row);
      this.#rowOf[target] = FREE;
      forget(target);
    }
    for (const row of rows) if (!this.#targetOf.has(row)) this.#number(row);
    while (this.#rowOf.at(-1) === FREE) this.#rowOf.pop();
    this.view.count = this.#rowOf.length;
    // What lies behind them is nobody's: whoever looks there finds none that may be sent to.
    this.view.routable.fill(0);
  }

  #number(row: number): void {
    const free = this.#rowOf.indexOf(FREE);
    const target = free < 0 ? this.#rowOf.length : free;
    this.#rowOf[target] = row;
    this.#lives[target] = this.#table.generation(row);
    this.#targetOf.set(row, target);
    if (target >= this.view.routable.length) this.view = new TargetView(target * 2);
  }

  /**
   * Fills the view in for a request; answers null, or why nobody may be picked. `weightOf` a row is more than 0. Rows
   * in other zones are left out while one in the router's own has room in its batch: most strategies don't go by what a
   * row costs, of which distance is a part.
   */
  fill(request: PickRequest, weightOf: (row: number) => number): number | null {
    const { view } = this;
    let isRoutable = false;
    let hasRoom = false;
    let isAny = false;
    let isNear = false;
    for (let target = 0; target < view.count; target += 1) {
      view.routable[target] = 0;
      const row = this.#rowOf[target]!;
      if (row === FREE) continue;
      const at = this.#table.blocksWord + rowWord(row);
      const capacity = this.#table.floats[at + COLUMN.capacity]!;
      if (!(capacity > 0) || isExcluded(request, row)) continue;
      isRoutable = true;
      const active = Math.max(0, Atomics.load(this.#table.words, at + COLUMN.activeRequests));
      if (active >= capacity) continue;
      hasRoom = true;
      if (Atomics.load(this.#table.words, at + COLUMN.ejectedUntil) > request.nowDeciseconds) continue;
      isAny = true;
      view.routable[target] = 1;
      if (active < this.#table.floats[at + COLUMN.slots]! && !this.#sides.isAway(row)) isNear = true;
      view.active[target] = active;
      view.weight[target] = weightOf(row);
      this.#fillFigures(target, row, at);
    }
    if (isNear) this.#leaveOutAway();
    if (isAny) return null;
    if (!isRoutable) return NO_TARGET;
    return hasRoom ? ALL_EJECTED : ALL_FULL;
  }

  #leaveOutAway(): void {
    const { view } = this;
    for (let target = 0; target < view.count; target += 1) {
      if (view.routable[target] === 1 && this.#sides.isAway(this.#rowOf[target]!)) view.routable[target] = 0;
    }
  }

  #fillFigures(target: number, row: number, at: number): void {
    const { view } = this;
    const { words, floats } = this.#table;
    view.queuedTokens[target] = Math.max(0, Atomics.load(words, at + COLUMN.queuedTokens));
    view.secondsPerPrefillToken[target] = floats[at + COLUMN.secondsPerPrefillToken]!;
    view.secondsPerActive[target] = floats[at + COLUMN.secondsPerActive]!;
    view.slots[target] = floats[at + COLUMN.slots]!;
    view.secondsPerQueuedRequest[target] = floats[at + COLUMN.secondsPerQueuedRequest]!;
    view.kvOffset[target] = floats[at + COLUMN.kvOffset]!;
    view.kvPerToken[target] = floats[at + COLUMN.kvPerToken]!;
    view.penaltySeconds[target] = floats[at + COLUMN.penaltySeconds]!;
    this.#sides.fill(view, target, row);
  }

  /** Fills in what the rows are believed to have cached of the request's prompt; `match` looks it up. */
  fillPrefixes({ prefix }: PickRequest, match: () => void): void {
    const { view } = this;
    view.matchedTokens.fill(0, 0, view.count);
    if (prefix === null) return;
    for (let target = 0; target < view.count; target += 1) {
      if (view.routable[target] === 1) view.cachedBlocks[target] = prefix.index.blocksOf(this.#rowOf[target]!);
    }
    if (prefix.blocks === 0) return;
    match();
    for (let place = 0; place < prefix.touchedCount; place += 1) {
      const target = this.#targetOf.get(prefix.touchedRow(place));
      if (target !== undefined) view.matchedTokens[target] = prefix.touchedTokens(place);
    }
  }
}

function isExcluded(request: PickRequest, row: number): boolean {
  const { excludedCount } = request;
  for (let index = 0; index < excludedCount; index += 1) if (request.excludedRow(index) === row) return true;
  return false;
}
