/**
 * What is known of a table's rows that the scan does not count by, and other strategies do: requests that wait, use of the
 * KV cache, a price, and the tokens of all contexts that this router has there. It lies behind the rows' slots in the
 * table's buffer, in single words, each of them whole: there is nothing that must be seen together.
 *
 * Contexts are counted only by who chooses by them, each worker by itself beside the sum, so that what one had that died
 * can be taken back.
 */
import { assert } from "../base/assert.ts";
import { SIDE, SIDE_WORDS } from "./layout.ts";
import type { ModelSample } from "./sample.ts";
import type { ScoreTable } from "./table.ts";
import type { TargetView } from "./view.ts";

/** As samples and operators tell it. */
export interface SideFigures {
  /** Requests that wait for a place in the batch. */
  readonly waiting: number;
  /** 0 to 1. */
  readonly kvUsage: number;
  /** 0: nobody has said. */
  readonly pricePerHour: number;
  /** Between two tokens of each answer; 0: not known. */
  readonly stepSeconds: number;
  /** Requests that ran then. */
  readonly running: number;
  /** 1: it stands in another zone than the router, whose own is preferred. */
  readonly isAway: number;
  /** The part of the row's penalty that is for requests which are bound at once: it is in use only lately, in another router's share. */
  readonly atOnceSeconds: number;
}

export const NO_SIDES: SideFigures = {
  waiting: 0,
  kvUsage: 0,
  pricePerHour: 0,
  stepSeconds: 0,
  running: 0,
  isAway: 0,
  atOnceSeconds: 0,
};
const SIDES = Object.keys(NO_SIDES) as (keyof SideFigures)[];

/** How long a step of the batch takes, by a sample: it makes a token of each running request. */
export function stepOf(
  sample: Pick<ModelSample, "runningRequests" | "decodeTokensPerSecond"> | null,
): Pick<SideFigures, "stepSeconds" | "running"> {
  const running = sample?.runningRequests ?? 0;
  const rate = sample?.decodeTokensPerSecond ?? 0;
  const seconds = running / rate;
  return seconds > 0 && seconds < Infinity ? { stepSeconds: seconds, running } : { stepSeconds: 0, running: 0 };
}

export class RowSides {
  readonly #table: ScoreTable;

  constructor(table: ScoreTable) {
    this.#table = table;
  }

  // ---- main thread

  write(row: number, figures: SideFigures): void {
    const { floats } = this.#table;
    const at = this.#wordOf(row);
    for (const side of SIDES) floats[at + SIDE[side]] = figures[side];
  }

  /** Takes back all contexts that a worker had counted. Call it when the worker is gone for good. */
  clearWorker(worker: number): void {
    const { words, rowsMax } = this.#table;
    for (let row = 0; row < rowsMax; row += 1) {
      const tokens = Atomics.exchange(words, this.#ownWord(worker, row), 0);
      if (tokens !== 0) Atomics.sub(words, this.#wordOf(row) + SIDE.contextTokens, tokens);
    }
  }

  // ---- any thread

  of(row: number): SideFigures & { readonly contextTokens: number } {
    const { floats } = this.#table;
    const at = this.#wordOf(row);
    const figures = Object.fromEntries(SIDES.map((side) => [side, floats[at + SIDE[side]]!])) as unknown as SideFigures;
    return { ...figures, contextTokens: this.contextTokens(row) };
  }

  /** Fills them into a view. */
  fill(view: TargetView, target: number, row: number): void {
    const { floats } = this.#table;
    const at = this.#wordOf(row);
    view.waiting[target] = floats[at + SIDE.waiting]!;
    view.kvUsage[target] = floats[at + SIDE.kvUsage]!;
    view.pricePerHour[target] = floats[at + SIDE.pricePerHour]!;
    view.stepSeconds[target] = floats[at + SIDE.stepSeconds]!;
    view.running[target] = floats[at + SIDE.running]!;
    view.contextTokens[target] = this.contextTokens(row);
  }

  isAway(row: number): boolean {
    return this.#table.floats[this.#wordOf(row) + SIDE.isAway] === 1;
  }

  atOnceSeconds(row: number): number {
    return this.#table.floats[this.#wordOf(row) + SIDE.atOnceSeconds]!;
  }

  contextTokens(row: number): number {
    return Math.max(0, Atomics.load(this.#table.words, this.#wordOf(row) + SIDE.contextTokens));
  }

  /** A request with a context of so many tokens came to the row, or less than 0: left it. */
  addContext(worker: number, row: number, tokens: number): void {
    const { words } = this.#table;
    Atomics.add(words, this.#ownWord(worker, row), tokens);
    Atomics.add(words, this.#wordOf(row) + SIDE.contextTokens, tokens);
  }

  #wordOf(row: number): number {
    const { sidesWord, rowsMax } = this.#table;
    if (!(row >= 0 && row < rowsMax)) assert(false, `there is no row ${row}`);
    return sidesWord + row * SIDE_WORDS;
  }

  #ownWord(worker: number, row: number): number {
    const { sidesWord, rowsMax, workersMax } = this.#table;
    if (!(worker >= 0 && worker < workersMax)) assert(false, `there is no worker ${worker}`);
    return sidesWord + rowsMax * (SIDE_WORDS + worker) + row;
  }
}
