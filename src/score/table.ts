/**
 * The score table: what every worker knows of every target, in one SharedArrayBuffer.
 *
 * A row is one target for one model. Its figures are written by the main thread (table-writer.ts) under the sequence
 * word of its block: odd, data, even (a seqlock), so a reader can tell when it saw half a change and reads again.
 *
 * Its load is changed by any thread with Atomics: what this router has in flight there, plus an offset by which the
 * main thread brings in what samples tell of others. Each worker also keeps its own share of what is in flight, so that
 * a worker that crashed can be taken out of the sums: load = offset + sum of slots, whenever no call is under way.
 *
 * Limits: 65,536 rows, 2^31 tokens in flight a row. Recovery: `clearWorker` after a crash; `reconcile`, called now and
 * then, repairs a total that a worker left wrong by dying between two steps. Layout: layout.ts.
 */

import { AssertionError, assert } from "../base/assert.ts";
import { integer, section, type Infer } from "../base/settings.ts";
import {
  BLOCK_ROWS,
  COLUMN,
  HEADER,
  MODELS_WORD,
  ROWS_MAX,
  layoutWord,
  rowWord,
  tableParts,
  type TableShape,
} from "./layout.ts";

export const tableSettings = section({
  targetsMax: integer({
    default: 4096,
    min: 1,
    max: ROWS_MAX,
    doc: "Rows of the score table: one for each model of each target. Unused rows cost address space only.",
  }),
  modelsMax: integer({
    default: 256,
    min: 1,
    max: 65_536,
    doc: "Models routed at once. Each has its own blocks of 64 rows, so many small models need more rows.",
  }),
  workersMax: integer({
    default: 64,
    min: 1,
    max: 1024,
    doc: "Workers that can share the table; each takes 8 bytes a row, once it is used.",
  }),
});

export type TableConfig = Infer<typeof tableSettings>;

const DECISECONDS_MAX = 0x7fff_fffe;

export class ScoreTable implements TableShape {
  readonly buffer: SharedArrayBuffer;
  readonly rowsMax: number;
  readonly modelsMax: number;
  readonly workersMax: number;
  /** Views over all of `buffer`, for the scorers and the writer. */
  readonly words: Int32Array;
  readonly floats: Float32Array;
  /** First word of the blocks. */
  readonly blocksWord: number;
  /** First word of the rows' sides (row-sides.ts). */
  readonly sidesWord: number;
  readonly #slotsWord: number;
  #workersSeen = 0;
  #epochSeconds = 0;
  /** Differences between total and slots that the last `reconcile` saw, by word of the total. */
  #suspects = new Map<number, number>();

  private constructor(buffer: SharedArrayBuffer) {
    assert(buffer.byteLength >= MODELS_WORD * 4, "the buffer is too short for a score table");
    const words = new Int32Array(buffer);
    assert(Atomics.load(words, HEADER.layout) === layoutWord(), "the buffer holds no score table of this layout");
    this.buffer = buffer;
    this.words = words;
    this.floats = new Float32Array(buffer);
    this.rowsMax = Atomics.load(words, HEADER.rowsMax);
    this.modelsMax = Atomics.load(words, HEADER.modelsMax);
    this.workersMax = Atomics.load(words, HEADER.workersMax);
    const parts = tableParts(this);
    assert(parts.bytes === buffer.byteLength, "the score table's buffer is cut short");
    this.blocksWord = parts.blocksWord;
    this.#slotsWord = parts.slotsWord;
    this.sidesWord = parts.sidesWord;
  }

  /** A new table; the rows are rounded up to whole blocks. Its memory is zero pages until rows are used. */
  static create(config: TableConfig): ScoreTable {
    const rowsMax = Math.ceil(config.targetsMax / BLOCK_ROWS) * BLOCK_ROWS;
    const shape = { rowsMax, modelsMax: config.modelsMax, workersMax: config.workersMax };
    assert(rowsMax > 0 && rowsMax <= ROWS_MAX, `a score table has 1 to ${ROWS_MAX} rows`);
    assert(shape.modelsMax > 0 && shape.workersMax > 0, "a score table has at least one model and one worker");
    const parts = tableParts(shape);
    const buffer = new SharedArrayBuffer(parts.bytes);
    const words = new Int32Array(buffer, 0, MODELS_WORD);
    words[HEADER.rowsMax] = rowsMax;
    words[HEADER.modelsMax] = shape.modelsMax;
    words[HEADER.workersMax] = shape.workersMax;
    words[HEADER.blocksWord] = parts.blocksWord;
    words[HEADER.slotsWord] = parts.slotsWord;
    Atomics.store(words, HEADER.layout, layoutWord());
    return new ScoreTable(buffer);
  }

  /** The table that another thread created. */
  static attach(buffer: SharedArrayBuffer): ScoreTable {
    return new ScoreTable(buffer);
  }

  // ---- any thread

  /**
   * Claims one request and its prompt tokens at a row. False, and nothing claimed, when the row is full or not
   * routable: two workers can never both take the last place.
   */
  tryBegin(worker: number, row: number, prefillTokens: number): boolean {
    const word = this.#wordOf(row);
    const slot = this.#slotOf(worker, row);
    const active = word + COLUMN.activeRequests;
    for (let current = this.words[active]!; ;) {
      if (!(Math.max(0, current) < (this.floats[word + COLUMN.capacity] ?? 0))) return false;
      const seen = Atomics.compareExchange(this.words, active, current, current + 1);
      if (seen === current) break;
      current = seen;
    }
    Atomics.add(this.words, slot, 1);
    Atomics.add(this.words, slot + this.rowsMax, prefillTokens);
    Atomics.add(this.words, word + COLUMN.queuedTokens, prefillTokens);
    return true;
  }

  /** Gives back a request's prompt tokens: at its first token, or when it ends before that. */
  endPrefill(worker: number, row: number, prefillTokens: number): void {
    const before = Atomics.sub(this.words, this.#slotOf(worker, row) + this.rowsMax, prefillTokens);
    Atomics.sub(this.words, this.#wordOf(row) + COLUMN.queuedTokens, prefillTokens);
    if (before < prefillTokens) unclaimed(worker, row);
  }

  /** Gives back a request, whose tokens were given back before. */
  end(worker: number, row: number): void {
    const before = Atomics.sub(this.words, this.#slotOf(worker, row), 1);
    Atomics.sub(this.words, this.#wordOf(row) + COLUMN.activeRequests, 1);
    if (before <= 0) unclaimed(worker, row);
  }

  /** Keeps picks away from a row that just failed, until a moment; the later of two marks stays. */
  eject(row: number, untilDeciseconds: number): void {
    const word = this.#wordOf(row) + COLUMN.ejectedUntil;
    const until = Math.min(DECISECONDS_MAX, Math.trunc(untilDeciseconds));
    for (let current = Atomics.load(this.words, word); current < until;) {
      const seen = Atomics.compareExchange(this.words, word, current, until);
      if (seen === current) return;
      current = seen;
    }
  }

  isEjected(row: number, nowDeciseconds: number): boolean {
    return this.words[this.#wordOf(row) + COLUMN.ejectedUntil]! > nowDeciseconds;
  }

  clearEject(row: number): void {
    Atomics.store(this.words, this.#wordOf(row) + COLUMN.ejectedUntil, 0);
  }

  /**
   * Whether the target may be asked for something now that it is asked for once in so many deciseconds, whichever worker
   * asks; then it counts as asked.
   */
  tryAsk(row: number, nowDeciseconds: number, everyDeciseconds: number): boolean {
    const word = this.#wordOf(row) + COLUMN.askedAt;
    const asked = this.words[word]!;
    // It is nought on a row that nobody was asked at.
    if (asked > 0 && nowDeciseconds - asked < everyDeciseconds) return false;
    return Atomics.compareExchange(this.words, word, asked, Math.max(1, nowDeciseconds)) === asked;
  }

  /** Requests at a row, as far as is known: what is in flight, and what others have there. */
  active(row: number): number {
    return this.words[this.#wordOf(row) + COLUMN.activeRequests]!;
  }

  /** Requests in flight at a row, of all workers; exact on the main thread, which alone changes the offset. */
  inFlight(row: number): number {
    const word = this.#wordOf(row);
    return this.words[word + COLUMN.activeRequests]! - this.words[word + COLUMN.activeOffset]!;
  }

  /** Prompt tokens in flight at a row, of all workers: claimed, and no first token seen yet. */
  inFlightTokens(row: number): number {
    const word = this.#wordOf(row);
    return this.words[word + COLUMN.queuedTokens]! - this.words[word + COLUMN.tokenOffset]!;
  }

  /**
   * Changes whenever the row is given to another target or taken away. Read it after `tryBegin`: from then on the row
   * cannot be given away, so an equal generation means that the row is still the target that the caller means.
   */
  generation(row: number): number {
    return this.words[this.#wordOf(row) + COLUMN.generation]!;
  }

  /**
   * A wall-clock time (Date.now()) in the table's deciseconds, the same in every thread. They start at the first call
   * of any thread, and last for 6.8 years.
   */
  nowDeciseconds(unixMs: number): number {
    if (this.#epochSeconds === 0) {
      const seconds = Math.max(1, Math.trunc(unixMs / 1000));
      const before = Atomics.compareExchange(this.words, HEADER.epochSeconds, 0, seconds);
      this.#epochSeconds = before === 0 ? seconds : before >>> 0;
    }
    return Math.min(DECISECONDS_MAX, Math.max(0, Math.trunc(unixMs / 100) - this.#epochSeconds * 10));
  }

  // ---- main thread

  /** Gives back all that a worker had in flight. Call it when the worker is gone for good: it must not run any more. */
  clearWorker(worker: number): void {
    for (let row = 0; row < this.rowsMax; row += 1) {
      const slot = this.#slotOf(worker, row);
      const word = this.#wordOf(row);
      const requests = Atomics.exchange(this.words, slot, 0);
      const tokens = Atomics.exchange(this.words, slot + this.rowsMax, 0);
      if (requests !== 0) Atomics.sub(this.words, word + COLUMN.activeRequests, requests);
      if (tokens !== 0) Atomics.sub(this.words, word + COLUMN.queuedTokens, tokens);
    }
  }

  /**
   * Compares each row's total with the sum of its slots. A worker changes one after the other, so a difference may be a
   * change under way; one that two calls in a row find is repaired. Returns how many were.
   */
  reconcile(): number {
    const suspects = new Map<number, number>();
    let repairs = 0;
    const workers = Atomics.load(this.words, HEADER.workersSeen);
    for (let row = 0; row < this.rowsMax; row += 1) {
      const word = this.#wordOf(row);
      repairs += this.#compare(row, word + COLUMN.activeRequests, word + COLUMN.activeOffset, workers, suspects);
      const slots = this.rowsMax + row;
      repairs += this.#compare(slots, word + COLUMN.queuedTokens, word + COLUMN.tokenOffset, workers, suspects);
    }
    this.#suspects = suspects;
    return repairs;
  }

  #compare(slot: number, total: number, offset: number, workers: number, suspects: Map<number, number>): number {
    let excess = 0;
    // A change under way takes nanoseconds: what is there at three looks is rarely that.
    for (let look = 0; look < 3; look += 1) {
      let sum = 0;
      for (let worker = 0; worker < workers; worker += 1) {
        sum += Atomics.load(this.words, this.#slotsWord + worker * this.rowsMax * 2 + slot);
      }
      excess = Atomics.load(this.words, total) - Atomics.load(this.words, offset) - sum;
      if (excess === 0) return 0;
    }
    if (this.#suspects.get(total) !== excess) {
      suspects.set(total, excess);
      return 0;
    }
    Atomics.sub(this.words, total, excess);
    return 1;
  }

  #wordOf(row: number): number {
    // The message is made only when it is needed: this is on the way of every request.
    if (!(row >= 0 && row < this.rowsMax)) assert(false, `there is no row ${row}`);
    return this.blocksWord + rowWord(row);
  }

  /** The word of a worker's in-flight requests at a row; its tokens lie `rowsMax` words further. */
  #slotOf(worker: number, row: number): number {
    if (!(worker >= 0 && worker < this.workersMax)) assert(false, `there is no worker ${worker}`);
    if (worker >= this.#workersSeen) this.#see(worker);
    return this.#slotsWord + worker * this.rowsMax * 2 + row;
  }

  #see(worker: number): void {
    for (let seen = Atomics.load(this.words, HEADER.workersSeen); seen <= worker;) {
      seen = Atomics.compareExchange(this.words, HEADER.workersSeen, seen, worker + 1);
    }
    this.#workersSeen = worker + 1;
  }
}

function unclaimed(worker: number, row: number): never {
  throw new AssertionError(`worker ${worker} gave back what it had not claimed at row ${row}`);
}
