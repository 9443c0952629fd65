/**
 * The answer on its way from a target to the client: its head rewritten for the client's hop, its body as it comes.
 *
 * Event streams are passed on in whole chunks, and an unfinished one is kept back up to a bound: so a stream that breaks
 * can be ended with an error event and a well-formed end, in place of silence. Chunks go to an HTTP/1.0 client without
 * their framing. The head goes out with the first bytes of the body, in one write.
 */
import type { MeshError } from "../base/errors.ts";
import type { ChunkScanner } from "../wire/chunks.ts";
import { KIND } from "../wire/fields.ts";
import type { ResponseHead } from "../wire/http1.ts";
import { SseScanner } from "../wire/sse.ts";
import { brokenStream, statusLine } from "./replies.ts";
import { FRAMING } from "./upstream.ts";

/** The client's side of an exchange. */
export interface Downstream {
  /** Sends bytes to the client; false when some had to be queued. */
  write(bytes: Uint8Array, start: number, end: number): boolean;
  pauseReading(): void;
  resumeReading(): void;
  /** Both sides speak another protocol from now on: whatever comes from the client belongs to `tunnelled`. */
  tunnelBegins(): void;
  /** The target has ended its half of a tunnel: ours ends behind what was written, the client's goes on. */
  endHalf(): void;
  /** The answer is complete; false: the connection can't carry another request. */
  exchangeEnded(keepAlive: boolean): void;
  /** The answer can't be completed: the connection is cut, so that the client sees that something is missing. */
  exchangeCut(): void;
}

/** What the request says about its answer. */
export interface Asked {
  readonly minorVersion: 0 | 1;
  /** The client's connection can carry another request after this one, as far as the request goes. */
  readonly mayKeepAlive: boolean;
  /** Holds the request's `x-request-id: ID CRLF` line, of which [idStart, idEnd) is the id. */
  readonly held: Buffer;
  readonly idStart: number;
  readonly idEnd: number;
}

const SCRATCH_BYTES = 262_144;
/** How much of an unfinished chunk of an event stream is kept back. */
const TAIL_BYTES_MAX = 65_536;

const scratch = Buffer.alloc(SCRATCH_BYTES);
const ID_NAME_BYTES = "x-request-id: ".length;
const CLOSE = Buffer.from("connection: close\r\n");
const KEEP_ALIVE = Buffer.from("connection: keep-alive\r\n");
const UPGRADE = Buffer.from("connection: upgrade\r\n");
const CHUNKED = Buffer.from("transfer-encoding: chunked\r\n");
const NOTHING = Buffer.alloc(0);

export class Answer {
  status = 0;
  /** Something of it has gone to the client. */
  committed = false;
  eventStream = false;
  /** The client's connection can carry another request after it. */
  keepAlive = false;
  /** Bytes that went to the client. */
  sent = 0;
  #firstByte = false;
  #headEnd = 0;
  #dechunk = false;
  #tail: Buffer | null = null;
  #cutInChunk = false;
  #inEvent = false;
  readonly #events = new SseScanner();

  reset(): void {
    this.status = 0;
    this.committed = false;
    this.eventStream = false;
    this.keepAlive = false;
    this.sent = 0;
    this.#firstByte = false;
    this.#headEnd = 0;
    this.#dechunk = false;
    this.#tail = null;
    this.#cutInChunk = false;
    this.#inEvent = false;
  }

  /** Takes the head; `headEnd` is what this router adds to it, up to the end. */
  begin(head: ResponseHead, buffer: Buffer, framing: number, asked: Asked, headEnd: Buffer | null): void {
    const isTunnel = framing === FRAMING.tunnel;
    this.status = head.status;
    this.eventStream = head.eventStream && framing === FRAMING.chunked;
    this.#dechunk = framing === FRAMING.chunked && asked.minorVersion === 0;
    this.keepAlive = asked.mayKeepAlive && framing !== FRAMING.close && !isTunnel && !this.#dechunk;
    this.#events.reset();

    let at = 0;
    let from = -1;
    // The status line goes on as it is, in one piece with the lines behind it.
    if (head.minorVersion === 1) from = head.start;
    else at = copyInto(statusLine(head.status), scratch, 0);
    for (let line = 0; line < head.lineCount; line++) {
      const start = head.lineStart[line] ?? 0;
      if (head.drop[line] === 0 || (isTunnel && head.kind[line] === KIND.upgrade)) {
        if (from < 0) from = start;
      } else if (from >= 0) {
        at += buffer.copy(scratch, at, from, start);
        from = -1;
      }
    }
    if (from >= 0) at += buffer.copy(scratch, at, from, head.headEnd - 2);
    if (framing === FRAMING.chunked && !this.#dechunk) at = copyInto(CHUNKED, scratch, at);
    if (isTunnel) at = copyInto(UPGRADE, scratch, at);
    else if (!this.keepAlive) at = copyInto(CLOSE, scratch, at);
    else if (asked.minorVersion === 0) at = copyInto(KEEP_ALIVE, scratch, at);
    // The whole line of the id, as it stands in the request's head.
    at += asked.held.copy(scratch, at, asked.idStart - ID_NAME_BYTES, asked.idEnd + 2);
    this.#headEnd = at + (headEnd?.copy(scratch, at) ?? 0);
  }

  /** Whether the first token has come. */
  get hasBegun(): boolean {
    return this.#firstByte;
  }

  /**
   * Whether bytes [start, end) of the body hold the first token: the first event of a stream, the first byte of anything
   * else. True once.
   */
  seesFirst(chunks: ChunkScanner | null, buffer: Buffer, start: number, end: number, ended: boolean): boolean {
    if (this.#firstByte || (end <= start && !ended)) return false;
    if (this.eventStream && !ended) {
      if (chunks !== null) {
        for (let i = 0; i < chunks.spanCount; i++) {
          this.#events.push(buffer, chunks.spans[i * 2] ?? start, chunks.spans[i * 2 + 1] ?? end);
        }
      }
      if (this.#events.events === 0) return false;
    }
    this.#firstByte = true;
    return true;
  }

  /** Passes bytes [start, end) of the framed body on; false when the client is slower than the target. */
  relay(
    client: Downstream,
    chunks: ChunkScanner | null,
    buffer: Buffer,
    start: number,
    end: number,
    ended: boolean,
  ): boolean {
    this.committed = true;
    let clear = true;
    if (this.#dechunk) clear = this.#sendSpans(client, chunks, buffer);
    else if (this.eventStream) clear = this.#sendEvents(client, chunks, buffer, start, end, ended);
    else clear = this.#send(client, buffer, start, end);
    return this.#headEnd > 0 ? this.#send(client, NOTHING, 0, 0) : clear;
  }

  /** What ends the answer that has begun, as its framing allows it; null: the connection must be cut. */
  brokenEnd(error: MeshError): Buffer | null {
    return this.eventStream && !this.#dechunk && !this.#cutInChunk ? brokenStream(error, this.#inEvent) : null;
  }

  /** Sends bytes, in one write with the head where that is still to be sent. */
  #send(client: Downstream, buffer: Buffer, start: number, end: number): boolean {
    this.sent += this.#headEnd + end - start;
    if (this.#headEnd === 0) return start >= end || client.write(buffer, start, end);
    const headEnd = this.#headEnd;
    this.#headEnd = 0;
    if (end - start <= SCRATCH_BYTES - headEnd) {
      buffer.copy(scratch, headEnd, start, end);
      return client.write(scratch, 0, headEnd + end - start);
    }
    const clear = client.write(scratch, 0, headEnd);
    return client.write(buffer, start, end) && clear;
  }

  #sendSpans(client: Downstream, chunks: ChunkScanner | null, buffer: Buffer): boolean {
    let clear = true;
    if (chunks === null) return clear;
    for (let i = 0; i < chunks.spanCount; i++) {
      clear = this.#send(client, buffer, chunks.spans[i * 2] ?? 0, chunks.spans[i * 2 + 1] ?? 0) && clear;
    }
    return clear;
  }

  /** Sends whole chunks of an event stream on and keeps an unfinished one back, up to a bound. */
  #sendEvents(
    client: Downstream,
    chunks: ChunkScanner | null,
    buffer: Buffer,
    start: number,
    end: number,
    ended: boolean,
  ): boolean {
    const whole = ended || chunks === null || chunks.atBoundary;
    const cut = whole ? end : Math.max(start, chunks.boundary);
    let clear = true;
    if (cut > start) {
      if (this.#tail !== null) {
        clear = this.#send(client, this.#tail, 0, this.#tail.length);
        this.#tail = null;
      }
      clear = this.#send(client, buffer, start, cut) && clear;
      this.#cutInChunk = false;
      // A chunk ends with CRLF; an event ends with an empty line before it.
      const before = cut - start >= 4 ? buffer[cut - 4] : 0;
      this.#inEvent = !(buffer[cut - 3] === 10 && (before === 10 || before === 13));
    }
    if (cut < end) {
      const rest = buffer.subarray(cut, end);
      this.#tail = this.#tail === null ? Buffer.from(rest) : Buffer.concat([this.#tail, rest]);
      if (this.#tail.length > TAIL_BYTES_MAX) {
        clear = this.#send(client, this.#tail, 0, this.#tail.length);
        this.#tail = null;
        this.#cutInChunk = true;
      }
    }
    return clear;
  }
}

/** Copies `source` whole into `target`; answers the position behind it. */
function copyInto(source: Buffer, target: Buffer, at: number): number {
  return at + source.copy(target, at);
}
