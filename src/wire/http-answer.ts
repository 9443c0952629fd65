/**
 * One HTTP/1.1 answer as it comes in: its head, its framing (a length, chunks, the connection's end), and its body whole
 * or in pieces. Interim heads (1xx) are passed over; trailers are read and dropped. Split anywhere.
 *
 * The body is kept in a buffer that the next answer uses again: whoever wants it for longer copies it. After an answer
 * that was much larger than those that follow the buffer is given back.
 *
 * Limits: 64 KiB and 256 lines of a head; the body's length as the request says. There is no recovery: what is bad ends
 * its connection.
 */
import { CHUNKS_BAD, CHUNKS_MORE, ChunkScanner } from "./chunks.ts";
import { KIND } from "./fields.ts";
import { METHOD, PARSE_BAD, PARSE_MORE, ResponseHead } from "./http1.ts";

const HEAD_LIMITS = { headBytesMax: 65_536, headersMax: 256, targetBytesMax: 8192 };
const BUFFER_BYTES = 16_384;
/** A buffer that is this many times as large as what was in it last is given back. */
const SLACK = 16;
/** Bytes copied at once while a head is sought. */
const HEAD_STEP_BYTES = 4096;
const VALUE_CHARACTERS_MAX = 256;

export type AnswerState = "more" | "done" | "bad" | "too_large";

const FRAMING = { length: 0, chunked: 1, close: 2 } as const;

export interface AnswerOptions {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly bytesMax: number;
  /** Told of each piece of the body, which is not kept then; the bytes are to be used at once. */
  readonly piece?: ((bytes: Uint8Array) => void) | undefined;
}

const latin1 = new TextDecoder("latin1");

export class AnswerReader {
  readonly #head = new ResponseHead(HEAD_LIMITS);
  readonly #chunks = new ChunkScanner();
  /** Heads that are not whole yet. */
  #heads = new Uint8Array(new ArrayBuffer(HEAD_STEP_BYTES));
  #headLength = 0;
  #headStart = 0;
  #inBody = false;
  #framing: number = FRAMING.length;
  #left = 0;
  #body = new Uint8Array(new ArrayBuffer(BUFFER_BYTES));
  #length = 0;
  #options: AnswerOptions = { method: "GET", bytesMax: 0 };
  /** Why it is bad. */
  reason = "";
  /** The connection takes another request after this answer. */
  keepsAlive = false;
  status = 0;
  contentType = "";
  /** It has a header by which this mesh says which node has served; `node` is that one. */
  isFromMesh = false;
  node = "";

  begin(options: AnswerOptions): void {
    if (this.#body.length > BUFFER_BYTES && this.#body.length > this.#length * SLACK) {
      this.#body = new Uint8Array(new ArrayBuffer(BUFFER_BYTES));
    }
    this.#options = options;
    this.#head.reset();
    this.#headLength = 0;
    this.#headStart = 0;
    this.#inBody = false;
    this.#length = 0;
    this.reason = "";
    this.keepsAlive = false;
    this.status = 0;
    this.contentType = "";
    this.isFromMesh = false;
    this.node = "";
  }

  /** Something of it has come. */
  get hasBegun(): boolean {
    return this.#inBody || this.#headLength > 0;
  }

  /** The value of the first header of that name, in lower case, or ""; as long as no other answer has begun. */
  header(name: string): string {
    for (let line = 0; line < this.#head.lineCount; line++) if (this.#nameIs(line, name)) return this.#valueOf(line);
    return "";
  }

  /** As long as no other answer has begun. */
  get body(): Uint8Array {
    return this.#body.subarray(0, this.#options.piece === undefined ? this.#length : 0);
  }

  /** Takes the bytes [start, end). */
  push(buffer: Uint8Array, start: number, end: number): AnswerState {
    let at = start;
    while (!this.#inBody) {
      if (at >= end) return "more";
      const from = at;
      at = Math.min(end, from + HEAD_STEP_BYTES);
      const before = this.#headLength;
      this.#keepHead(buffer.subarray(from, at));
      const read = this.#readHeads();
      if (read === PARSE_BAD) return this.#bad(this.#head.badReason);
      if (read === PARSE_MORE) continue;
      at = from + (this.#head.headEnd - before);
      const fault = this.#beginBody();
      if (fault !== undefined) return fault;
    }
    return this.#readBody(buffer, at, end);
  }

  /** The other side has ended its half. */
  ended(): AnswerState {
    if (this.#inBody && this.#framing === FRAMING.close) return "done";
    return this.#bad(this.hasBegun ? "it ended the connection amid its answer" : "it ended the connection unanswered");
  }

  #keepHead(bytes: Uint8Array): void {
    const length = this.#headLength + bytes.length;
    if (length > this.#heads.length) {
      const grown = new Uint8Array(new ArrayBuffer(Math.max(length, this.#heads.length * 2)));
      grown.set(this.#heads.subarray(0, this.#headLength));
      this.#heads = grown;
    }
    this.#heads.set(bytes, this.#headLength);
    this.#headLength = length;
  }

  /** Reads on to the end of a final head. */
  #readHeads(): number {
    for (;;) {
      const read = this.#head.parse(this.#heads, this.#headStart, this.#headLength);
      if (read === PARSE_MORE || read === PARSE_BAD) return read;
      if (this.#head.status >= 200) return read;
      this.#headStart = this.#head.headEnd;
      if (this.#headStart > HEAD_LIMITS.headBytesMax) {
        this.#head.badReason = "it goes on with interim answers";
        return PARSE_BAD;
      }
      this.#head.reset();
    }
  }

  #beginBody(): AnswerState | undefined {
    const head = this.#head;
    this.#inBody = true;
    this.status = head.status;
    this.keepsAlive = head.keepAlive;
    this.contentType = this.#valueOf(head.contentTypeLine);
    for (let line = 0; line < head.lineCount; line++) {
      if (head.kind[line] === KIND.node) {
        this.isFromMesh = true;
        this.node = this.#valueOf(line);
      }
      if (head.kind[line] === KIND.other && this.#nameIs(line, "content-encoding")) {
        const coding = this.#valueOf(line).toLowerCase();
        if (coding !== "" && coding !== "identity")
          return this.#bad(`it answers in ${coding}, which was not asked for`);
      }
    }
    if (head.bodyless(METHOD.GET)) {
      this.#framing = FRAMING.length;
      this.#left = 0;
    } else if (head.chunked) {
      this.#framing = FRAMING.chunked;
      this.#chunks.reset();
    } else if (head.contentLength >= 0) {
      this.#framing = FRAMING.length;
      this.#left = head.contentLength;
      if (this.#left > this.#options.bytesMax) return this.#tooLarge();
    } else {
      this.#framing = FRAMING.close;
      this.keepsAlive = false;
    }
    return undefined;
  }

  #readBody(buffer: Uint8Array, start: number, end: number): AnswerState {
    if (this.#framing === FRAMING.chunked) return this.#readChunks(buffer, start, end);
    const isMeasured = this.#framing === FRAMING.length;
    const stop = isMeasured ? Math.min(end, start + this.#left) : end;
    if (!this.#keep(buffer, start, stop)) return this.#tooLarge();
    if (!isMeasured) return "more";
    this.#left -= stop - start;
    if (this.#left > 0) return "more";
    this.keepsAlive &&= stop === end;
    return "done";
  }

  #readChunks(buffer: Uint8Array, start: number, end: number): AnswerState {
    const read = this.#chunks.push(buffer, start, end);
    if (read === CHUNKS_BAD) return this.#bad("its chunked framing is broken");
    for (let span = 0; span < this.#chunks.spanCount; span++) {
      const [from = 0, to = 0] = [this.#chunks.spans[span * 2], this.#chunks.spans[span * 2 + 1]];
      if (!this.#keep(buffer, from, to)) return this.#tooLarge();
    }
    if (read === CHUNKS_MORE) return "more";
    this.keepsAlive &&= read === end;
    return "done";
  }

  /** False where the body is longer than it may be. */
  #keep(buffer: Uint8Array, start: number, end: number): boolean {
    const bytes = end - start;
    if (bytes === 0) return true;
    const length = this.#length + bytes;
    if (length > this.#options.bytesMax) return false;
    const { piece } = this.#options;
    if (piece === undefined) {
      if (length > this.#body.length) {
        const grown = new Uint8Array(new ArrayBuffer(Math.max(length, this.#body.length * 2)));
        grown.set(this.#body.subarray(0, this.#length));
        this.#body = grown;
      }
      this.#body.set(buffer.subarray(start, end), this.#length);
    } else piece(buffer.subarray(start, end));
    this.#length = length;
    return true;
  }

  #nameIs(line: number, name: string): boolean {
    const { lineStart, nameEnd } = this.#head;
    const start = lineStart[line] ?? 0;
    const end = nameEnd[line] ?? 0;
    return end - start === name.length && latin1.decode(this.#heads.subarray(start, end)).toLowerCase() === name;
  }

  #valueOf(line: number): string {
    if (line < 0) return "";
    const start = this.#head.valueStart[line] ?? 0;
    const end = Math.min(this.#head.valueEnd[line] ?? 0, start + VALUE_CHARACTERS_MAX);
    return latin1.decode(this.#heads.subarray(start, end));
  }

  #tooLarge(): AnswerState {
    this.reason = `it answers with more than ${this.#options.bytesMax} bytes`;
    this.keepsAlive = false;
    return "too_large";
  }

  #bad(reason: string): AnswerState {
    this.reason = reason;
    this.keepsAlive = false;
    return "bad";
  }
}
