/**
 * What workers see of first tokens, in shared memory, for the main thread to learn rates from (row-rates.ts): a count of
 * the prompt tokens that were sent to each row, which all workers add to, and a ring for each worker, which that worker
 * alone writes and the main thread alone reads. A note is some stores, and no message.
 *
 * A ring that is full takes no more, and says so: the main thread then knows that it has not heard of all. Rings hold what
 * a busy worker sees in some tens of milliseconds; memory that no worker uses is never touched.
 */
import { assert } from "../base/assert.ts";
import { COLUMN, rowWord, type TableShape } from "./layout.ts";
import type { FirstToken, StreamEnd } from "./row-rates.ts";
import type { ScoreTable } from "./table.ts";

const RING = 512;
/** Words of 8 bytes of a note. */
const FIELDS = 8;
const ROW = 0;
const GENERATION = 1;
const KIND = 2;
const TOKENS = 3;
const SENT_TOKENS = 4;
const OTHERS_TOKENS = 5;
const SENT_MS = 6;
const FIRST_MS = 7;
// Of a stream's end.
const SECONDS_PER_TOKEN = 3;
const REQUESTS = 4;

const STREAMED = 0;
const WHOLE = 1;
const STREAM_END = 2;

/** Words of 4 bytes before the counts of tokens: of each worker its ring's end, its beginning, and what it lost. */
const WORKER = 3;
const END = 0;
const BEGIN = 1;
const LOST = 2;

/** What was noted, with the row that it was then; times by the Unix clock. */
export type Note = { readonly row: number; readonly generation: number } & (
  | ({ readonly kind: "first" } & FirstToken)
  | ({ readonly kind: "end" } & StreamEnd)
);

export class FirstTokens {
  readonly buffer: SharedArrayBuffer;
  readonly #table: ScoreTable;
  readonly #words: Int32Array;
  readonly #notes: Float64Array;

  private constructor(buffer: SharedArrayBuffer, table: ScoreTable) {
    const words = wordsOf(table);
    assert(buffer.byteLength === bytesOf(table), "the buffer holds no first tokens of that table's rows");
    this.buffer = buffer;
    this.#table = table;
    this.#words = new Int32Array(buffer, 0, words);
    this.#notes = new Float64Array(buffer, words * 4);
  }

  static create(table: ScoreTable): FirstTokens {
    return new FirstTokens(new SharedArrayBuffer(bytesOf(table)), table);
  }

  static attach(buffer: SharedArrayBuffer, table: ScoreTable): FirstTokens {
    return new FirstTokens(buffer, table);
  }

  // ---- any worker

  /** Prompt tokens are sent to a row; how many were, with these. The count wraps. */
  sent(row: number, tokens: number): number {
    const word = this.#table.workersMax * WORKER + row;
    return (Atomics.add(this.#words, word, tokens) + tokens) | 0;
  }

  /** The first token of a prompt came, or its whole answer; `sentTokens` as `sent` said. */
  first(
    worker: number,
    row: number,
    tokens: number,
    sentTokens: number,
    sentMs: number,
    firstMs: number,
    isWhole: boolean,
  ): void {
    const at = this.#place(worker, row, isWhole ? WHOLE : STREAMED);
    if (at < 0) return;
    const notes = this.#notes;
    notes[at + TOKENS] = tokens;
    notes[at + SENT_TOKENS] = sentTokens;
    notes[at + OTHERS_TOKENS] = this.#othersTokens(row);
    notes[at + SENT_MS] = sentMs;
    notes[at + FIRST_MS] = firstMs;
    this.#publish(worker);
  }

  /** Where nobody else has requests a sample may still have counted some tokens more than were claimed. */
  #othersTokens(row: number): number {
    const { words, blocksWord } = this.#table;
    const word = blocksWord + rowWord(row);
    return words[word + COLUMN.activeOffset]! > 0 ? words[word + COLUMN.tokenOffset]! : 0;
  }

  /** A stream has ended. */
  ended(worker: number, row: number, secondsPerToken: number, requests: number, atMs: number): void {
    const at = this.#place(worker, row, STREAM_END);
    if (at < 0) return;
    this.#notes[at + SECONDS_PER_TOKEN] = secondsPerToken;
    this.#notes[at + REQUESTS] = requests;
    this.#notes[at + FIRST_MS] = atMs;
    this.#publish(worker);
  }

  #place(worker: number, row: number, kind: number): number {
    const word = worker * WORKER;
    const end = this.#words[word + END]!;
    if (((end - this.#words[word + BEGIN]!) | 0) >= RING) {
      this.#words[word + LOST]! += 1;
      return -1;
    }
    const at = (worker * RING + (end & (RING - 1))) * FIELDS;
    this.#notes[at + ROW] = row;
    this.#notes[at + GENERATION] = this.#table.generation(row);
    this.#notes[at + KIND] = kind;
    return at;
  }

  #publish(worker: number): void {
    const word = worker * WORKER + END;
    Atomics.store(this.#words, word, (this.#words[word]! + 1) | 0);
  }

  // ---- main thread

  /** How many notes found no room. */
  get lost(): number {
    let lost = 0;
    const { workersMax } = this.#table;
    for (let worker = 0; worker < workersMax; worker += 1) lost += this.#words[worker * WORKER + LOST]!;
    return lost >>> 0;
  }

  /** Takes all that was noted, in the order in which it happened. */
  take(): Note[] {
    const taken: Note[] = [];
    for (let worker = 0; worker < this.#table.workersMax; worker += 1) {
      const word = worker * WORKER;
      const end = Atomics.load(this.#words, word + END);
      let begin = this.#words[word + BEGIN]!;
      for (; begin !== end; begin = (begin + 1) | 0) {
        taken.push(this.#note((worker * RING + (begin & (RING - 1))) * FIELDS));
      }
      Atomics.store(this.#words, word + BEGIN, begin);
    }
    return taken.sort((a, b) => momentOf(a) - momentOf(b));
  }

  #note(at: number): Note {
    const field = (place: number): number => this.#notes[at + place]!;
    const [row, generation, kind] = [field(ROW), field(GENERATION), field(KIND)];
    if (kind === STREAM_END) {
      const [secondsPerToken, requests] = [field(SECONDS_PER_TOKEN), field(REQUESTS)];
      return { kind: "end", row, generation, secondsPerToken, requests, atMs: field(FIRST_MS) };
    }
    return {
      kind: "first",
      row,
      generation,
      tokens: field(TOKENS),
      sentTokens: field(SENT_TOKENS),
      othersTokens: field(OTHERS_TOKENS),
      sentMs: field(SENT_MS),
      firstMs: field(FIRST_MS),
      isWhole: kind === WHOLE,
    };
  }
}

function momentOf(note: Note): number {
  return note.kind === "end" ? note.atMs : note.firstMs;
}

/** Words of 4 bytes, an even number of them. */
function wordsOf({ rowsMax, workersMax }: TableShape): number {
  return Math.ceil((workersMax * WORKER + rowsMax) / 2) * 2;
}

function bytesOf(table: TableShape): number {
  return wordsOf(table) * 4 + table.workersMax * RING * FIELDS * 8;
}
