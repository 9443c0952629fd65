/**
 * What became of the requests of a run: a row each, from which the report and the list of all requests are made.
 *
 * Limits: REQUESTS_MAX requests, 104 bytes each; gaps between tokens are counted in a histogram.
 */
import { FAILURE, type Flight } from "./flight.ts";
import { type HistogramState, LogHistogram } from "./spread.ts";

export const REQUESTS_MAX = 5_000_000;
const BLOCK_ROWS = 16_384;
const WIDTH = 13;
/** Kinds of failures, and nodes, that are told apart; further ones are counted together. */
const NAMES_MAX = 4096;
export const OTHERS = "others";

/** One request that has ended. Times are since the start; NaN: it did not come to that. */
export interface Row {
  readonly number: number;
  readonly dueMs: number;
  readonly sentMs: number;
  readonly firstMs: number;
  readonly endMs: number;
  readonly itlMs: number;
  /** What this side alone was late by. */
  readonly lagMs: number;
  /** -1: unknown. */
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
  readonly status: number;
  readonly node: string;
  /** "": it ended well. */
  readonly failure: string;
  readonly isWarmUp: boolean;
}

/** What one holds, as it goes from thread to thread. */
export interface TallyState {
  readonly blocks: readonly Float64Array[];
  readonly failures: readonly string[];
  readonly nodes: readonly string[];
  readonly words: readonly (readonly [failure: string, words: string])[];
  readonly gaps: HistogramState;
  readonly rows: number;
  readonly dueCount: number;
  readonly sentCount: number;
  readonly okCount: number;
  readonly failedCount: number;
  readonly events: number;
}

/** Words as numbers. */
class Names {
  readonly all: string[] = [];
  readonly #numbers = new Map<string, number>();

  of(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    if (this.all.length >= NAMES_MAX && name !== OTHERS) return this.of(OTHERS);
    this.#numbers.set(name, this.all.length);
    return this.all.push(name) - 1;
  }
}

export class Tally {
  readonly #blocks: Float64Array[] = [];
  readonly #failures = new Names();
  readonly #nodes = new Names();
  readonly gaps = new LogHistogram();
  /** The first words that a server had for each kind of failure. */
  readonly words = new Map<string, string>();
  startMs = 0;
  warmUpMs = 0;
  rows = 0;
  /** All of them, the warm-up's too. */
  dueCount = 0;
  sentCount = 0;
  okCount = 0;
  failedCount = 0;
  /** Text that came, in events. */
  events = 0;

  start(nowMs: number, warmUpMs: number): void {
    this.startMs = nowMs;
    this.warmUpMs = warmUpMs;
  }

  due(_flight: Flight): void {
    this.dueCount += 1;
  }

  sent(_flight: Flight): void {
    this.sentCount += 1;
  }

  gap(flight: Flight, ms: number): void {
    if (!flight.isWarmUp) this.gaps.add(ms);
  }

  ended(flight: Flight): void {
    const { failure, words } = flight;
    if (failure === "") this.okCount += 1;
    else if (failure !== FAILURE.unfinished) this.failedCount += 1;
    this.events += flight.events;
    if (failure !== "" && words !== "" && this.words.size < NAMES_MAX && !this.words.has(failure)) {
      this.words.set(failure, words);
    }
    const [block, at] = this.#room();
    block[at] = flight.number;
    block[at + 1] = flight.dueMs - this.startMs;
    block[at + 2] = flight.sentMs - this.startMs;
    block[at + 3] = flight.firstMs - this.startMs;
    block[at + 4] = flight.endMs - this.startMs;
    block[at + 5] = flight.itlMs;
    block[at + 6] = flight.promptTokens >= 0 ? flight.promptTokens : flight.planned.promptTokens;
    block[at + 7] = flight.generated;
    block[at + 8] = flight.cachedTokens;
    block[at + 9] = flight.status;
    block[at + 10] = this.#nodes.of(flight.node);
    block[at + 11] = this.#failures.of(failure) * 2 + (flight.isWarmUp ? 1 : 0);
    block[at + 12] = flight.lagMs;
  }

  /** All of it, for another thread; it may be of no more use here. */
  state(): TallyState {
    const { rows, dueCount, sentCount, okCount, failedCount, events } = this;
    return {
      blocks: this.#blocks,
      failures: this.#failures.all,
      nodes: this.#nodes.all,
      words: [...this.words],
      gaps: this.gaps.state(),
      rows,
      dueCount,
      sentCount,
      okCount,
      failedCount,
      events,
    };
  }

  /** As if what another thread saw of the same run had been seen here. */
  absorb(state: TallyState): void {
    for (let index = 0; index < state.rows; index += 1) {
      const from = state.blocks[Math.floor(index / BLOCK_ROWS)]!;
      const source = (index % BLOCK_ROWS) * WIDTH;
      const [block, at] = this.#room();
      block.set(from.subarray(source, source + WIDTH), at);
      const mark = from[source + 11]!;
      block[at + 10] = this.#nodes.of(state.nodes[from[source + 10]!]!);
      block[at + 11] = this.#failures.of(state.failures[Math.floor(mark / 2)]!) * 2 + (mark % 2);
    }
    for (const [failure, words] of state.words) {
      if (this.words.size < NAMES_MAX && !this.words.has(failure)) this.words.set(failure, words);
    }
    this.gaps.absorb(state.gaps);
    this.dueCount += state.dueCount;
    this.sentCount += state.sentCount;
    this.okCount += state.okCount;
    this.failedCount += state.failedCount;
    this.events += state.events;
  }

  /** Of a new row. */
  #room(): readonly [block: Float64Array, at: number] {
    const at = (this.rows % BLOCK_ROWS) * WIDTH;
    if (at === 0) this.#blocks.push(new Float64Array(BLOCK_ROWS * WIDTH));
    this.rows += 1;
    return [this.#blocks.at(-1)!, at];
  }

  /** In the order in which they ended. */
  row(index: number): Row {
    const block = this.#blocks[Math.floor(index / BLOCK_ROWS)]!;
    const at = (index % BLOCK_ROWS) * WIDTH;
    const mark = block[at + 11]!;
    return {
      number: block[at]!,
      dueMs: block[at + 1]!,
      sentMs: block[at + 2]!,
      firstMs: block[at + 3]!,
      endMs: block[at + 4]!,
      itlMs: block[at + 5]!,
      lagMs: block[at + 12]!,
      promptTokens: block[at + 6]!,
      outputTokens: block[at + 7]!,
      cachedTokens: block[at + 8]!,
      status: block[at + 9]!,
      node: this.#nodes.all[block[at + 10]!]!,
      failure: this.#failures.all[Math.floor(mark / 2)]!,
      isWarmUp: mark % 2 === 1,
    };
  }
}
