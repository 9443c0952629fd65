/**
 * One client connection of the admin front: head, body, answer, and again.
 *
 * Requests are answered one at a time, in order: bytes of pipelined requests wait in the input buffer, and beyond
 * `PIPELINE_BYTES_MAX` the socket is no longer read. A body is read whole (it is bounded) before the app is called.
 * An answer that is complete at once gets a Content-Length; one that streams is chunked (HTTP/1.1) or ends with the
 * connection (HTTP/1.0), and waits for the socket whenever that is full.
 *
 * A client that ends its side aborts `request.signal`, and its stream is cancelled; an answer that the app still
 * gives is sent, since some clients half-close after their request. A closed connection cancels both.
 *
 * After an error the front says why, ends its side and discards input for a moment: closing with unread input would
 * reset the connection and take the message away from the client.
 */
import { MeshError, type ErrorCode } from "../base/errors.ts";
import { Outbox } from "../net/outbox.ts";
import { CHUNKS_BAD, CHUNKS_MORE, ChunkScanner } from "../wire/chunks.ts";
import { HEAD_LIMITS, PARSE_BAD, PARSE_MORE, RequestHead } from "../wire/http1.ts";
import { type ByteBudget, overBudget } from "./byte-budget.ts";
import { errorBytes, errorResponse, readExchange, responseHead, type Exchange, type Framing } from "./front-head.ts";
import { RequestBody } from "./request-body.ts";
import type { AdminConfig } from "./settings.ts";

export type FrontSocket = Bun.Socket<PortConnection | undefined>;

/** A client's connection, in either version of HTTP: what its socket and its port tell it. */
export interface PortConnection {
  data(bytes: Uint8Array): void;
  drain(): void;
  end(): void;
  closed(): void;
  stop(): void;
  terminate(): void;
  sweep(nowMs: number): void;
}

/** What the app is to know of a request beside itself. */
export interface RequestFacts {
  readonly path: string;
  readonly remoteAddress: string;
  readonly isDuplex: boolean;
}

/** What connections share. */
export interface FrontContext {
  readonly limits: AdminConfig;
  readonly stopping: boolean;
  /** As the operator configured it; "" for every address. */
  readonly hostname: string;
  /** The Host of requests that name none. */
  readonly authority: string;
  /** The longest body that a path takes. */
  bodyBytesMax(path: string): number;
  /** Of requests under way, of all connections. */
  readonly budget: ByteBudget;
  fetch(request: Request, how: RequestFacts): Response | Promise<Response>;
  onError(error: unknown, request: string): void;
  onNotice(message: string, remoteAddress: string): void;
  /** Goes on in HTTP/2 with a socket and what it sent; false where that is not spoken. */
  speakHttp2(socket: FrontSocket, before: PortConnection, bytes: Uint8Array): boolean;
}

const PIPELINE_BYTES_MAX = 64 * 1024;
const BUFFER_BYTES_MIN = 2048;
const LINGER_MS = 1000;
const LINGER_BYTES_MAX = 4 * 1024 * 1024;

/** How HTTP/2 with prior knowledge begins (RFC 9113, 3.4), as far as it takes to know it. */
const HTTP2_PREFACE = Buffer.from("PRI * HTTP/2.0");
const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");
const CRLF = Buffer.from("\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");
const NOTHING = Buffer.alloc(0);

type Phase = "idle" | "head" | "body" | "answer" | "closing" | "gone";

export class FrontConnection implements PortConnection {
  readonly #socket: FrontSocket;
  readonly #context: FrontContext;
  readonly #outbox = new Outbox();
  readonly #head = new RequestHead(HEAD_LIMITS);
  #phase: Phase = "idle";
  #deadlineMs: number;
  #fresh = true;
  #peerEnded = false;
  #paused = false;
  #discarded = 0;

  /** Input not read yet: bytes [start, end) of the buffer. */
  #input = NOTHING;
  #start = 0;
  #end = 0;

  #exchange: Exchange | null = null;
  readonly #body: RequestBody;
  #bodyLeft = 0;
  #bodyMax = 0;
  #chunks: ChunkScanner | null = null;

  #abort: AbortController | null = null;
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #wakeWriter: (() => void) | null = null;

  constructor(socket: FrontSocket, context: FrontContext) {
    this.#socket = socket;
    this.#context = context;
    this.#body = new RequestBody(context.budget);
    this.#deadlineMs = performance.now() + context.limits.idleTimeoutMs;
  }

  /** Bytes came in; they are only valid during the call. */
  data(bytes: Uint8Array): void {
    if (this.#phase === "closing") {
      this.#discarded += bytes.length;
      if (this.#discarded > LINGER_BYTES_MAX) this.terminate();
      return;
    }
    this.#append(bytes);
    this.#advance();
  }

  /** The socket takes bytes again. */
  drain(): void {
    const before = this.#outbox.pending;
    const empty = this.#outbox.flush(this.#socket);
    if (this.#outbox.pending < before) this.#deadlineMs = performance.now() + this.#context.limits.writeTimeoutMs;
    if (empty) this.#wake();
  }

  /** The client ended its side. */
  end(): void {
    this.#peerEnded = true;
    if (this.#phase === "answer") {
      this.#abort?.abort();
      if (this.#reader !== null) this.terminate();
    } else if (this.#phase === "closing") {
      if (this.#outbox.pending === 0) this.#socket.end();
    } else {
      this.#close();
    }
  }

  /** The connection is gone. */
  closed(): void {
    this.#phase = "gone";
    this.#abort?.abort();
    this.#reader?.cancel().catch(() => {});
    this.#wake();
    this.#outbox.clear();
    this.#body.clear();
    this.#input = NOTHING;
  }

  /** The server stops: what is idle closes now, an answer under way is the last. */
  stop(): void {
    if (this.#phase === "idle" || this.#phase === "head") this.#close();
  }

  terminate(): void {
    this.#socket.terminate();
  }

  /** Enforces the deadline of the phase. */
  sweep(nowMs: number): void {
    if (nowMs < this.#deadlineMs) return;
    switch (this.#phase) {
      case "idle":
        this.#close();
        break;
      case "head":
        this.#fail("request_timeout", "the request's head took too long to arrive");
        break;
      case "body":
        this.#fail("request_timeout", "the request's body took too long to arrive");
        break;
      case "answer":
        // The app takes the time it needs; a client that does not read does not.
        if (this.#outbox.pending > 0) this.terminate();
        break;
      case "closing":
        this.terminate();
        break;
      case "gone":
        break;
    }
  }

  #append(bytes: Uint8Array): void {
    const size = this.#end - this.#start + bytes.length;
    if (this.#end + bytes.length > this.#input.length) {
      // The parser remembers offsets from the head's start: bytes only move between heads, to the same place or 0.
      const grown = Buffer.allocUnsafeSlow(Math.max(BUFFER_BYTES_MIN, 2 ** Math.ceil(Math.log2(size))));
      this.#input.copy(grown, 0, this.#start, this.#end);
      if (this.#start > 0 && this.#phase === "head") this.#head.reset();
      this.#end -= this.#start;
      this.#start = 0;
      this.#input = grown;
    }
    this.#input.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Reads on until more bytes are needed or an answer is. */
  #advance(): void {
    for (;;) {
      if (this.#phase === "idle" || this.#phase === "head") {
        if (!this.#readHead()) break;
      } else if (this.#phase === "body") {
        if (!this.#readBody()) break;
      } else {
        break;
      }
    }
    if (this.#phase === "answer" && this.#end - this.#start > PIPELINE_BYTES_MAX && !this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
    if (this.#peerEnded && (this.#phase === "idle" || this.#phase === "head" || this.#phase === "body")) this.#close();
  }

  #readHead(): boolean {
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
      // Idle connections hold no buffer.
      if (this.#phase === "idle") this.#input = NOTHING;
      return false;
    }
    if (this.#phase === "idle") {
      this.#phase = "head";
      this.#deadlineMs = performance.now() + this.#context.limits.headTimeoutMs;
    }
    if (this.#fresh && this.#isHttp2()) return false;
    const head = this.#head;
    const parsed = head.parse(this.#input, this.#start, this.#end);
    if (parsed === PARSE_MORE) return false;
    if (parsed === PARSE_BAD) {
      this.#fail(head.bad === "" ? "bad_request" : head.bad, head.badReason);
      return false;
    }
    this.#fresh = false;
    this.#start = head.headEnd;
    try {
      this.#exchange = readExchange(head, this.#input, this.#context.authority);
    } catch (error) {
      this.#fail(error instanceof MeshError ? error.code : "bad_request", (error as Error).message);
      return false;
    }
    return this.#beginBody();
  }

  /** Whether this is, or may yet turn out to be, HTTP/2's preface: then another connection goes on from here. */
  #isHttp2(): boolean {
    const length = Math.min(HTTP2_PREFACE.length, this.#end - this.#start);
    if (this.#input.compare(HTTP2_PREFACE, 0, length, this.#start, this.#start + length) !== 0) return false;
    if (length < HTTP2_PREFACE.length) return true;
    const input = this.#input.subarray(this.#start, this.#end);
    this.#phase = "gone";
    this.#input = NOTHING;
    if (this.#context.speakHttp2(this.#socket, this, input)) return true;
    this.#phase = "head";
    this.#fail("version_not_supported", "HTTP/2 is not served on this port");
    return true;
  }

  #beginBody(): boolean {
    const head = this.#head;
    const { bodyTimeoutMs } = this.#context.limits;
    const maxBodyBytes = this.#context.bodyBytesMax(new URL(this.#exchange!.url).pathname);
    this.#bodyMax = maxBodyBytes;
    this.#bodyLeft = Math.max(0, head.contentLength);
    if (this.#bodyLeft > maxBodyBytes) {
      this.#fail("payload_too_large", `the body is ${this.#bodyLeft} bytes long; at most ${maxBodyBytes} are allowed`);
      return false;
    }
    if (head.chunked) {
      this.#chunks ??= new ChunkScanner();
      this.#chunks.reset();
    } else if (this.#bodyLeft === 0) {
      this.#answer();
      return true;
    } else {
      this.#chunks = null;
    }
    this.#phase = "body";
    this.#deadlineMs = performance.now() + bodyTimeoutMs;
    if (head.expectContinue && this.#start === this.#end) this.#write(CONTINUE);
    return true;
  }

  #readBody(): boolean {
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
      return false;
    }
    if (!this.#head.chunked) {
      const taken = Math.min(this.#bodyLeft, this.#end - this.#start);
      if (!this.#keepBody(this.#start, this.#start + taken)) return false;
      this.#start += taken;
      this.#bodyLeft -= taken;
      if (this.#bodyLeft > 0) return true;
      this.#answer();
      return true;
    }
    const chunks = this.#chunks!;
    const done = chunks.push(this.#input, this.#start, this.#end);
    if (done === CHUNKS_BAD) {
      this.#fail("bad_request", "the chunked body is malformed");
      return false;
    }
    for (let i = 0; i < chunks.spanCount; i++) {
      if (!this.#keepBody(chunks.spans[2 * i]!, chunks.spans[2 * i + 1]!)) return false;
    }
    this.#start = done === CHUNKS_MORE ? this.#end : done;
    if (done !== CHUNKS_MORE) this.#answer();
    return true;
  }

  /** False when that is more than may be, which the client was told. */
  #keepBody(start: number, end: number): boolean {
    if (this.#body.length + end - start > this.#bodyMax) {
      this.#fail("payload_too_large", `the body is longer than ${this.#bodyMax} bytes`);
      return false;
    }
    if (this.#body.append(this.#input, start, end, this.#bodyMax)) return true;
    const { code, message } = overBudget();
    this.#fail(code, message);
    return false;
  }

  /** The request is whole: hands it to the app. */
  #answer(): void {
    const exchange = this.#exchange!;
    const body = this.#body;
    this.#phase = "answer";
    this.#deadlineMs = Number.POSITIVE_INFINITY;
    this.#abort = new AbortController();
    const hasBody = body.length > 0 && exchange.method !== "GET" && exchange.method !== "HEAD";
    let request: Request;
    try {
      request = new Request(exchange.url, {
        method: exchange.method,
        headers: exchange.headers,
        signal: this.#abort.signal,
        ...(hasBody ? { body: body.bytes } : {}),
      });
    } catch {
      this.#fail("not_supported", "the method is not served here");
      return;
    }
    void this.#serve(request, exchange);
  }

  async #serve(request: Request, exchange: Exchange): Promise<void> {
    const path = new URL(exchange.url).pathname;
    const name = `${exchange.method} ${path}`;
    let response: Response;
    try {
      // undefined for one that is gone by now, whatever the types say.
      const remoteAddress = this.#socket.remoteAddress as string | undefined;
      response = await this.#context.fetch(request, { path, remoteAddress: remoteAddress ?? "", isDuplex: false });
    } catch (error) {
      this.#context.onError(error, name);
      response = errorResponse(new MeshError("internal", "internal error"));
    }
    this.#body.clear();
    const last = this.#peerEnded && this.#start === this.#end;
    if (this.#context.stopping || last) exchange.keepAlive = false;
    try {
      await this.#send(response, exchange);
    } catch (error) {
      // The head is out: a connection cut short is the only way left to say so.
      this.#context.onError(error, name);
      if (this.#phase !== "gone") this.terminate();
      return;
    }
    this.#abort = null;
    this.#exchange = null;
    if (this.#phase === "gone") return;
    // A server that began to stop while this was being answered takes nothing more.
    if (!exchange.keepAlive || this.#context.stopping) {
      this.#close();
      return;
    }
    this.#phase = "idle";
    this.#deadlineMs = performance.now() + this.#context.limits.idleTimeoutMs;
    this.#head.reset();
    if (this.#paused) {
      this.#paused = false;
      this.#socket.resume();
    }
    this.#advance();
  }

  async #send(response: Response, exchange: Exchange): Promise<void> {
    const { body, status } = response;
    const bodyless = exchange.method === "HEAD" || status === 204 || status === 304;
    if (body === null || bodyless || this.#phase === "gone") {
      body?.cancel().catch(() => {});
      this.#write(responseHead(response, exchange, bodyless ? "none" : 0));
      return this.#drained();
    }
    const reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    let next = reader.read();
    const first = await soon(next);
    if (first !== null && !first.done) next = reader.read();
    const second = first === null || first.done ? null : await soon(next);
    if (first?.done === true || second?.done === true) {
      const whole = first!.value ?? NOTHING;
      this.#write(responseHead(response, exchange, whole.length));
      this.#write(whole);
      return this.#drained();
    }
    const framing: Framing = exchange.minorVersion === 0 ? "close" : "chunked";
    if (framing === "close") exchange.keepAlive = false;
    this.#write(responseHead(response, exchange, framing));
    this.#reader = reader;
    if (this.#isGone()) await reader.cancel();
    try {
      if (first?.value !== undefined) this.#writePart(first.value, framing);
      for (;;) {
        await this.#drained();
        const part = await next;
        if (this.#isGone()) return;
        if (part.done) break;
        this.#writePart(part.value, framing);
        next = reader.read();
      }
    } finally {
      this.#reader = null;
    }
    if (framing === "chunked") this.#write(LAST_CHUNK);
    return this.#drained();
  }

  #writePart(part: Uint8Array, framing: Framing): void {
    if (part.length === 0) return;
    if (framing === "close") this.#write(part);
    else this.#write(Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, CRLF]));
  }

  #write(bytes: Uint8Array): void {
    if (this.#phase === "gone" || this.#outbox.write(this.#socket, bytes, 0, bytes.length)) return;
    this.#deadlineMs = performance.now() + this.#context.limits.writeTimeoutMs;
  }

  /** Resolves when nothing waits to be sent, or when the connection is gone. */
  async #drained(): Promise<void> {
    while (this.#phase !== "gone" && this.#outbox.pending > 0) {
      await new Promise<void>((resolve) => (this.#wakeWriter = resolve));
    }
    if (this.#phase === "answer") this.#deadlineMs = Number.POSITIVE_INFINITY;
  }

  #wake(): void {
    const wake = this.#wakeWriter;
    this.#wakeWriter = null;
    wake?.();
    if (this.#phase === "closing") this.#finish();
  }

  #isGone(): boolean {
    return this.#phase === "gone";
  }

  #fail(code: ErrorCode, reason: string): void {
    this.#context.onNotice(reason, this.#socket.remoteAddress);
    this.#write(errorBytes(new MeshError(code, reason)));
    this.#close();
  }

  /** Ends our side once everything is sent, then waits for the client to end its own. */
  #close(): void {
    if (this.#phase === "gone" || this.#phase === "closing") return;
    this.#phase = "closing";
    this.#input = NOTHING;
    this.#body.clear();
    if (this.#paused) this.#socket.resume();
    if (this.#outbox.pending === 0) this.#finish();
  }

  #finish(): void {
    this.#deadlineMs = performance.now() + LINGER_MS;
    if (this.#peerEnded) this.#socket.end();
    else this.#socket.shutdown();
  }
}

/** What a promise gives if it settles within this turn of the event loop, else null. */
async function soon<T>(promise: Promise<T>): Promise<T | null> {
  return Promise.race([promise, new Promise<null>((resolve) => setImmediate(() => resolve(null)))]);
}
