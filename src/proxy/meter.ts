/**
 * Counts the tokens of one answer on its way, from what is looked at anyway: an event of a stream is taken for a token
 * unless the answer says at its end how many there were (wire/usage.ts).
 *
 * An event is a chunk that begins as data and ends a line: servers write one event a chunk. One that is cut, or holds
 * several, is counted as one or none; the count at the end puts that right. Streams that come otherwise (lines of JSON,
 * events without chunks) are counted by their lines.
 */
import type { ChunkScanner } from "../wire/chunks.ts";
import { Usage } from "../wire/usage.ts";

const LOWER_D = 100;
const LF = 10;
const OPEN_BRACE = 123;
const BRACE = 125;
const BRACKET = 91;
/** `data: ` stands before what an event says. */
const DATA_BYTES = 6;

export class Meter {
  readonly #usage = new Usage();
  #events = 0;
  #isTold = false;
  /** What was read of a stream by lines ends a line. */
  #isLineEnd = true;

  reset(): void {
    this.#usage.reset();
    this.#events = 0;
    this.#isTold = false;
    this.#isLineEnd = true;
  }

  /** Of the prompt; 0 where it was not told. */
  get promptTokens(): number {
    return this.#usage.promptTokens;
  }

  /** Of the prompt, as the target had them cached; -1 where it was not told. */
  get cachedTokens(): number {
    return this.#usage.cachedTokens;
  }

  get completionTokens(): number {
    return this.#isTold ? this.#usage.completionTokens : this.#events;
  }

  /** Takes the chunks of a piece of an event stream; whether there was an event in it. */
  readEvents(chunks: ChunkScanner, buffer: Uint8Array): boolean {
    const before = this.#events;
    for (let i = 0; i < chunks.spanCount; i++) {
      const start = chunks.spans[i * 2] ?? 0;
      const end = chunks.spans[i * 2 + 1] ?? 0;
      if (buffer[start] !== LOWER_D || buffer[end - 1] !== LF || buffer[start + DATA_BYTES] === BRACKET) continue;
      this.#events++;
      // Counts stand in an object at the event's end; a usual event ends with a list of choices.
      if (buffer[end - 3] === BRACE && buffer[end - 4] === BRACE) this.#readUsage(buffer, start, end);
    }
    return this.#events > before;
  }

  /** Takes a piece of a stream that is told apart by its lines: bytes [start, end), or what its chunks hold of them. */
  readLines(chunks: ChunkScanner | null, buffer: Uint8Array, start: number, end: number): void {
    if (chunks === null) {
      this.#countLines(buffer, start, end);
      return;
    }
    for (let i = 0; i < chunks.spanCount; i++) {
      this.#countLines(buffer, chunks.spans[i * 2] ?? 0, chunks.spans[i * 2 + 1] ?? 0);
    }
  }

  #countLines(buffer: Uint8Array, start: number, end: number): void {
    if (end <= start) return;
    let from = this.#isLineEnd ? start : lineAfter(buffer, start, end);
    while (from < end) {
      const first = buffer[from];
      const isLast = buffer[from + DATA_BYTES] === BRACKET && from + DATA_BYTES < end;
      if (first === OPEN_BRACE || (first === LOWER_D && !isLast)) this.#events++;
      from = lineAfter(buffer, from, end);
    }
    this.#isLineEnd = buffer[end - 1] === LF;
    this.#readUsage(buffer, start, end);
  }

  /** Takes the last bytes [start, end) of any other answer. */
  readEnd(buffer: Uint8Array, start: number, end: number): void {
    this.#readUsage(buffer, start, end);
  }

  #readUsage(buffer: Uint8Array, start: number, end: number): void {
    if (this.#usage.read(buffer, start, end)) this.#isTold = true;
  }
}

/** Where the next line begins; `end`: not here. */
function lineAfter(buffer: Uint8Array, start: number, end: number): number {
  const at = buffer.indexOf(LF, start);
  return at < 0 || at >= end ? end : at + 1;
}
