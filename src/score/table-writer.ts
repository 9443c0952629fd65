/**
 * The main thread's side of the score table: which rows there are, to which model they belong, and their figures.
 *
 * Rows live in blocks of 64; a block belongs to one model, and a model's blocks are a linked list in the table. A row
 * that is removed stops being routable at once, but while requests are in flight at it, it is parked: it is handed out
 * again, and its block goes back to the pool, only when they have ended. Readers that are on their way through a list
 * while it changes see a block's new owner and start again (pick.ts).
 *
 * One writer a table, in one thread; it keeps its books in plain fields.
 */

import { assert } from "../base/assert.ts";
import { BLOCK_ROWS, BLOCK_WORD, BLOCK_WORDS, COLUMN, COST_COLUMNS, HEADER, MODELS_WORD, rowWord } from "./layout.ts";
import { mark } from "./row-marks.ts";
import { NO_SIDES, RowSides, type SideFigures } from "./row-sides.ts";
import type { ScoreTable } from "./table.ts";

/** The figures of one row, as cost.ts makes them; layout.ts gives their scales. All must be finite. */
export interface RowValues {
  /** Prompt tokens queued at the sample, less those that routers had in flight then, plus the other routers' of now. */
  readonly tokenOffset: number;
  /** Requests running and waiting at the sample, less and plus the same. */
  readonly activeOffset: number;
  readonly secondsPerPrefillToken: number;
  /** What each active request adds to the time to first token of the next. */
  readonly secondsPerActive: number;
  /** Requests that the runtime batches. */
  readonly slots: number;
  /** What each request that waits for a slot adds. */
  readonly secondsPerQueuedRequest: number;
  /** KV cache in use beyond the knee, scaled so that its square is the penalty in seconds; negative below the knee. */
  readonly kvOffset: number;
  /** What each queued token adds to that. */
  readonly kvPerToken: number;
  /** Round trip, health and staleness. */
  readonly penaltySeconds: number;
  /** Most requests active at once; 0 while not routable. */
  readonly capacity: number;
  /** The target tells how fast it computes prompts. */
  readonly isPaced?: boolean;
  /** Its KV cache is full: what begins to compute there may be preempted. */
  readonly isKvFull?: boolean;
}

const FLOAT_COLUMNS = [...COST_COLUMNS, "capacity"] as const;
/** Larger figures could make a cost overflow, and a row with an infinite cost is never picked. */
const VALUE_MAX = 1e9;
const LANE_FREE = 0;
const LANE_LIVE = 1;
const LANE_PARKED = 2;

export class TableWriter {
  readonly #table: ScoreTable;
  readonly #lanes: Uint8Array;
  /** Lanes that are not free, for each block. */
  readonly #taken: Uint8Array;
  /** Blocks of each model, in list order; undefined where no such model is. */
  readonly #blocks: (number[] | undefined)[] = [];
  /** Model ids given back, the longest unused first. */
  readonly #freeModels: number[] = [];
  readonly #freeBlocks: number[] = [];
  readonly #sides: RowSides;
  readonly #parked = new Set<number>();
  /** Blocks of removed models that still hold parked rows. */
  readonly #orphans = new Set<number>();
  readonly #bits = new Float32Array(1);
  readonly #bitsAsWord = new Int32Array(this.#bits.buffer);

  constructor(table: ScoreTable) {
    const taken = Atomics.compareExchange(table.words, HEADER.writerTaken, 0, 1);
    assert(taken === 0, "a score table has one writer");
    this.#table = table;
    this.#sides = new RowSides(table);
    const blocks = table.rowsMax / BLOCK_ROWS;
    this.#lanes = new Uint8Array(table.rowsMax);
    this.#taken = new Uint8Array(blocks);
    for (let block = blocks - 1; block >= 0; block -= 1) this.#freeBlocks.push(block);
  }

  /** A model without rows, or -1 when there is no room for one. */
  addModel(): number {
    let model = this.#blocks.length;
    if (model >= this.#table.modelsMax) {
      const freed = this.#freeModels.shift();
      if (freed === undefined) return -1;
      model = freed;
    }
    this.#blocks[model] = [];
    return model;
  }

  /** Takes a model and all of its rows away. Its number is given to another model as late as possible. */
  removeModel(model: number): void {
    const blocks = this.#blocksOf(model);
    for (const row of this.rowsOf(model)) this.removeRow(row);
    this.#reclaim();
    for (const block of blocks) this.#orphans.add(block);
    Atomics.store(this.#table.words, MODELS_WORD + model, 0);
    this.#blocks[model] = undefined;
    this.#freeModels.push(model);
    this.#reclaim();
  }

  /** A row for a target of that model, not routable before its first `write`; -1 when the table is full. */
  addRow(model: number): number {
    const blocks = this.#blocksOf(model);
    this.#reclaim();
    let block = blocks.find((candidate) => (this.#taken[candidate] ?? 0) < BLOCK_ROWS);
    if (block === undefined) {
      block = this.#freeBlocks.pop();
      if (block === undefined) return -1;
      this.#link(model, blocks, block);
    }
    const first = block * BLOCK_ROWS;
    const lane = this.#lanes.subarray(first, first + BLOCK_ROWS).indexOf(LANE_FREE);
    const row = first + lane;
    this.#lanes[row] = LANE_LIVE;
    this.#taken[block] = (this.#taken[block] ?? 0) + 1;
    assert(this.#table.inFlight(row) <= 0, `row ${row} is handed out with requests in flight`);
    this.#table.clearEject(row);
    this.#nextGeneration(row);
    this.#fill(row, undefined);
    this.#setUsed(block);
    return row;
  }

  /** Takes a row away: not routable at once, free for another target when nothing is in flight at it. */
  removeRow(row: number): void {
    assert(this.#lanes[row] === LANE_LIVE, `row ${row} is not in use`);
    this.#fill(row, undefined);
    this.#nextGeneration(row);
    this.#lanes[row] = LANE_PARKED;
    this.#parked.add(row);
    this.#reclaim();
  }

  /** Publishes a row's figures: readers see all of them or none. */
  write(row: number, values: RowValues, sides: SideFigures = NO_SIDES): void {
    assert(this.#lanes[row] === LANE_LIVE, `row ${row} is not in use`);
    this.#sides.write(row, sides);
    this.#fill(row, values);
  }

  /** The rows of a model, in the order in which a pick sees them. */
  rowsOf(model: number): number[] {
    const rows: number[] = [];
    for (const block of this.#blocksOf(model)) {
      for (let row = block * BLOCK_ROWS; row < (block + 1) * BLOCK_ROWS; row += 1) {
        if (this.#lanes[row] === LANE_LIVE) rows.push(row);
      }
    }
    return rows;
  }

  /** Rows that wait for their requests to end, now that their target is gone. */
  parked(): number {
    this.#reclaim();
    return this.#parked.size;
  }

  #blocksOf(model: number): number[] {
    const blocks = this.#blocks[model];
    assert(blocks !== undefined, `there is no model ${model}`);
    return blocks;
  }

  /** Frees the parked rows that have drained, and the blocks that are empty. */
  #reclaim(): void {
    for (const row of this.#parked) {
      if (this.#table.inFlight(row) > 0 || this.#table.inFlightTokens(row) > 0) continue;
      this.#parked.delete(row);
      this.#lanes[row] = LANE_FREE;
      const block = Math.trunc(row / BLOCK_ROWS);
      const left = (this.#taken[block] ?? 0) - 1;
      this.#taken[block] = left;
      this.#setUsed(block);
      if (left === 0) this.#unlink(block);
    }
    for (const block of this.#orphans) if (this.#taken[block] === 0) this.#unlink(block);
  }

  #link(model: number, blocks: number[], block: number): void {
    this.#change(block, (words, word) => {
      Atomics.store(words, word + BLOCK_WORD.next, 0);
      Atomics.store(words, word + BLOCK_WORD.used, 0);
      Atomics.store(words, word + BLOCK_WORD.model, model + 1);
    });
    this.#point(model, blocks.at(-1), block + 1);
    blocks.push(block);
  }

  #unlink(block: number): void {
    const model = Atomics.load(this.#table.words, this.#wordOfBlock(block) + BLOCK_WORD.model) - 1;
    if (model < 0) return;
    if (!this.#orphans.delete(block)) {
      const blocks = this.#blocksOf(model);
      const at = blocks.indexOf(block);
      const next = blocks[at + 1];
      this.#point(model, blocks[at - 1], next === undefined ? 0 : next + 1);
      blocks.splice(at, 1);
    }
    this.#change(block, (words, word) => {
      Atomics.store(words, word + BLOCK_WORD.model, 0);
      Atomics.store(words, word + BLOCK_WORD.next, 0);
    });
    this.#freeBlocks.push(block);
  }

  /** Makes the block `before`, or the model itself when there is none, point to the next one. */
  #point(model: number, before: number | undefined, link: number): void {
    if (before === undefined) {
      Atomics.store(this.#table.words, MODELS_WORD + model, link);
      return;
    }
    this.#change(before, (words, word) => Atomics.store(words, word + BLOCK_WORD.next, link));
  }

  #setUsed(block: number): void {
    const first = block * BLOCK_ROWS;
    let used = BLOCK_ROWS;
    while (used > 0 && this.#lanes[first + used - 1] === LANE_FREE) used -= 1;
    this.#change(block, (words, word) => Atomics.store(words, word + BLOCK_WORD.used, used));
  }

  #fill(row: number, values: RowValues | undefined): void {
    if (values !== undefined) check(row, values);
    const lane = row % BLOCK_ROWS;
    this.#change(Math.trunc(row / BLOCK_ROWS), (words, word) => {
      for (const name of FLOAT_COLUMNS) {
        this.#bits[0] = values === undefined ? 0 : values[name];
        Atomics.store(words, word + COLUMN[name] + lane, this.#bitsAsWord[0] ?? 0);
      }
      shift(words, word + lane, COLUMN.activeOffset, COLUMN.activeRequests, values?.activeOffset ?? 0);
      shift(words, word + lane, COLUMN.tokenOffset, COLUMN.queuedTokens, values?.tokenOffset ?? 0);
      mark(words, word, lane, BLOCK_WORD.paced, values?.isPaced === true);
      mark(words, word, lane, BLOCK_WORD.kvFull, values?.isKvFull === true);
    });
  }

  #nextGeneration(row: number): void {
    Atomics.add(this.#table.words, this.#table.blocksWord + rowWord(row) + COLUMN.generation, 1);
  }

  /** Atomics for the data too: no compiler may then move it past the sequence words. */
  #change(block: number, write: (words: Int32Array, word: number) => void): void {
    const { words } = this.#table;
    const word = this.#wordOfBlock(block);
    Atomics.add(words, word + BLOCK_WORD.sequence, 1);
    write(words, word);
    Atomics.add(words, word + BLOCK_WORD.sequence, 1);
  }

  #wordOfBlock(block: number): number {
    return this.#table.blocksWord + block * BLOCK_WORDS;
  }
}

/** Changes an offset, and the load that contains it by as much: what is in flight stays. */
function shift(words: Int32Array, lane: number, offset: number, load: number, value: number): void {
  const whole = Math.round(value);
  const before = Atomics.exchange(words, lane + offset, whole);
  if (whole !== before) Atomics.add(words, lane + load, whole - before);
}

function check(row: number, values: RowValues): void {
  for (const name of [...FLOAT_COLUMNS, "activeOffset", "tokenOffset"] as const) {
    const value = values[name];
    assert(Math.abs(value) <= VALUE_MAX, `${name} of row ${row} is ${value}`);
  }
}
