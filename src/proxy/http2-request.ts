/**
 * A request of HTTP/2 that is not gRPC, served by the machinery of HTTP/1.1: a stream that acts as a client's socket.
 *
 * The request is written down as HTTP/1.1 (http2-rewrite.ts) and given to a ClientConnection of its own; the answer
 * that this one writes is read and sent on as HEADERS and DATA. Everything that clients of HTTP/1.1 get, errors,
 * retries, timeouts, event streams, is therefore the same here. A reset by the client is a connection that closes; a
 * connection that is cut is a reset.
 *
 * Trailers go on behind a chunked body, and are checked as those of HTTP/1.1 are (wire/chunks.ts). A body of known length
 * is chunked too where trailers are announced; else they are left out, since HTTP/1.1 has no place for them.
 *
 * Backpressure passes through: a stream whose window is closed is a socket that takes no bytes, and what comes while
 * the socket is paused is kept, up to the stream's window, and not consumed.
 */
import { CHUNKS_BAD, ChunkScanner } from "../wire/chunks.ts";
import { PARSE_BAD, PARSE_MORE, ResponseHead } from "../wire/http1.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { FRAME_BYTES, H2_ERROR } from "../wire/http2-frames.ts";
import type { Http2Stream, StreamOwner } from "../wire/http2-stream.ts";
import { ClientConnection } from "./client.ts";
import type { ClientSocket } from "./client.ts";
import { nowMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { answerFields, chunked, lastChunk, requestHead } from "./http2-rewrite.ts";
import type { ClientSide, Wires } from "./http2-wire.ts";
import { WaitingBytes } from "./waiting-bytes.ts";

const HEAD_LIMITS = { headBytesMax: 131_072, headersMax: 512, targetBytesMax: 8192 };

/** How the answer's body ends. */
const AWAIT_HEAD = 0;
const LENGTH = 1;
const CHUNKED = 2;
const CLOSE = 3;
const ENDED = 4;

const NOTHING = Buffer.alloc(0);
const NO_TRAILERS = lastChunk([]);
/** The parser of every answer's head: it comes in one piece, or is read anew. */
const head = new ResponseHead(HEAD_LIMITS);

export class Http2Request implements StreamOwner, ClientSocket {
  readonly remoteAddress: string | undefined;
  readonly #client: ClientSide;
  readonly #stream: Http2Stream;
  readonly #connection: ClientConnection;
  readonly #isHead: boolean;
  readonly #isChunked: boolean;
  readonly #stallMs: number;
  readonly #wires: Wires;
  #isPaused = false;
  /** What came while the socket was paused, and whether the request's end is behind it. */
  readonly #waiting = new WaitingBytes();
  #isEndWaiting = false;
  /** What ends a chunked body. */
  #lastChunk: Buffer = NO_TRAILERS;
  #isFeeding = false;
  #phase = AWAIT_HEAD;
  #partial: Buffer = NOTHING;
  #left = 0;
  #chunks: ChunkScanner | null = null;
  /** When the client last took something. */
  #takenMs = nowMs();

  constructor(
    context: WorkerContext,
    client: ClientSide,
    stream: Http2Stream,
    request: HeaderBlock,
    ended: boolean,
    remoteAddress: string | undefined,
    free: Exchange[],
  ) {
    this.#client = client;
    this.#stream = stream;
    this.remoteAddress = remoteAddress;
    this.#isHead = request.method?.text === "HEAD";
    this.#isChunked = !ended && (request.contentLength < 0 || request.hasTrailers);
    this.#stallMs = context.config.streamTimeoutMs;
    this.#wires = context.wires;
    this.#connection = new ClientConnection(context, this, free, true);
    stream.owner = this;
    const written = requestHead(request, this.#isChunked);
    this.#connection.received(written, 0, written.length);
  }

  // ---- the client's stream

  answered(): void {
    // A server's stream is answered by us.
  }

  body(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const piece = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
    if (this.#mustWait) {
      this.#waiting.keep(piece);
      this.#isEndWaiting = ended;
      return;
    }
    this.#feed(piece, ended);
    this.#client.connection.consume(stream, end - start);
  }

  trailers(_stream: Http2Stream, block: HeaderBlock): void {
    this.#lastChunk = lastChunk(block.fields);
    if (this.#mustWait) this.#isEndWaiting = true;
    else this.#feed(NOTHING, true);
  }

  writable(): void {
    this.#takenMs = nowMs();
    this.#leaveStream();
    this.#connection.drained();
  }

  lost(): void {
    this.#phase = ENDED;
    this.#connection.closed();
  }

  wake(now: number): void {
    if (this.#stream.queue !== null && now - this.#takenMs >= this.#stallMs) {
      this.#reset();
      this.#connection.closed();
      return;
    }
    this.#connection.expire(now);
  }

  get #mustWait(): boolean {
    return this.#phase !== ENDED && (this.#isPaused || !this.#waiting.isEmpty);
  }

  /** Gives a piece of the body to the connection, as its framing asks. */
  #feed(piece: Buffer, ended: boolean): void {
    if (this.#phase === ENDED) return;
    if (!this.#isChunked) {
      if (piece.length > 0) this.#connection.received(piece, 0, piece.length);
      return;
    }
    const framed = chunked(piece, ended ? this.#lastChunk : NOTHING);
    if (framed.length > 0) this.#connection.received(framed, 0, framed.length);
  }

  // ---- the socket that the connection sees

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#isFeeding || this.#phase === ENDED) return;
    if (this.#waiting.isEmpty && !this.#isEndWaiting) return;
    this.#isFeeding = true;
    // The connection is in the midst of something when it says so.
    this.#wires.atTurnEnd(() => this.#feedWaiting());
  }

  #feedWaiting(): void {
    this.#isFeeding = false;
    while (!this.#isPaused && !this.#waiting.isEmpty) {
      const piece = this.#waiting.take(FRAME_BYTES);
      this.#feed(piece, false);
      this.#client.connection.consume(this.#stream, piece.length);
    }
    if (!this.#isPaused) {
      if (this.#isEndWaiting) this.#feed(NOTHING, true);
      this.#isEndWaiting = false;
    }
    this.#client.wire.schedule();
  }

  write(bytes: Uint8Array, offset = 0, length = bytes.length - offset): number {
    if (this.#stream.gone || this.#phase === ENDED) return length;
    // The window is closed: this socket is full.
    if (this.#stream.queue !== null) return 0;
    this.#takenMs = nowMs();
    this.#answer(Buffer.from(bytes.buffer, bytes.byteOffset + offset, length));
    this.#client.wire.schedule();
    return length;
  }

  shutdown(): void {
    this.end();
  }

  end(): void {
    if (this.#phase === CLOSE) this.#send(NOTHING, 0, 0, true);
    else this.terminate();
  }

  terminate(): void {
    if (this.#phase !== ENDED) this.#reset();
  }

  #reset(): void {
    this.#phase = ENDED;
    this.#waiting.clear();
    this.#client.connection.reset(this.#stream, H2_ERROR.internal);
    this.#client.wire.schedule();
  }

  // ---- the answer

  #answer(data: Buffer): void {
    let buffer = data;
    let at = 0;
    if (this.#phase === AWAIT_HEAD) {
      if (this.#partial.length > 0) buffer = Buffer.concat([this.#partial, data]);
      at = this.#readHead(buffer);
      if (at < 0) return;
    }
    const end = buffer.length;
    switch (this.#phase) {
      case LENGTH: {
        const stop = Math.min(end, at + this.#left);
        this.#left -= stop - at;
        this.#send(buffer, at, stop, this.#left === 0);
        break;
      }
      case CHUNKED:
        this.#sendChunks(buffer, at, end);
        break;
      case CLOSE:
        this.#send(buffer, at, end, false);
        break;
      default:
        break;
    }
  }

  /** Sends heads on until the final one; answers where the body begins, or -1 when there is nothing to go on with. */
  #readHead(buffer: Buffer): number {
    let at = 0;
    for (;;) {
      head.reset();
      const result = head.parse(buffer, at, buffer.length);
      if (result === PARSE_MORE) {
        this.#partial = Buffer.from(buffer.subarray(at));
        return -1;
      }
      if (result === PARSE_BAD) {
        this.terminate();
        return -1;
      }
      at = head.headEnd;
      const isFinal = head.status >= 200;
      const isBodyless = this.#isHead || head.status === 204 || head.status === 304 || head.contentLength === 0;
      const ended = isFinal && isBodyless && !(head.chunked && !this.#isHead);
      const fields = answerFields(buffer, head);
      this.#client.connection.sendHead(this.#stream, fields, 0, fields.length, ended);
      if (!isFinal) continue;
      this.#partial = NOTHING;
      if (ended) this.#finished();
      else if (head.chunked) this.#phase = CHUNKED;
      else this.#phase = head.contentLength > 0 ? LENGTH : CLOSE;
      this.#left = head.contentLength;
      return ended ? -1 : at;
    }
  }

  #sendChunks(buffer: Buffer, start: number, end: number): void {
    this.#chunks ??= new ChunkScanner();
    const result = this.#chunks.push(buffer, start, end);
    if (result === CHUNKS_BAD) {
      this.terminate();
      return;
    }
    const { spans, spanCount } = this.#chunks;
    for (let i = 0; i < spanCount; i++) {
      this.#send(buffer, spans[i * 2] ?? 0, spans[i * 2 + 1] ?? 0, result >= 0 && i === spanCount - 1);
    }
    if (result >= 0 && spanCount === 0) this.#send(buffer, 0, 0, true);
  }

  #send(buffer: Buffer, start: number, end: number, ended: boolean): void {
    this.#client.connection.sendBody(this.#stream, buffer, start, end, ended);
    if (ended) this.#finished();
  }

  /** The answer is complete, though some of it may wait for the client's window. */
  #finished(): void {
    this.#phase = ENDED;
    this.#waiting.clear();
    this.#client.connection.release(this.#stream);
    this.#leaveStream();
    this.#client.wire.schedule();
  }

  /** A client that was answered need not go on with its request (RFC 9113 section 8.1). */
  #leaveStream(): void {
    if (this.#phase !== ENDED || !this.#stream.localEnded || this.#stream.remoteEnded) return;
    this.#client.connection.reset(this.#stream, H2_ERROR.none);
  }
}
