/**
 * A request by HTTP/2 that is no gRPC: the port's app answers it, as it answers HTTP/1.1. So all of the API is there in
 * both versions of HTTP, the Connect protocol among it.
 *
 * A request's body is read whole (it is bounded) before the app is called; only that of a Connect stream is given to the
 * app as it comes, since such a stream may be answered before it ends. Backpressure goes both ways: of such a body the
 * client's window is held, and an answer that streams is asked for more when the client has taken what there was.
 */
import { MeshError } from "../base/errors.ts";
import { FIELD_KIND, fieldOf } from "../wire/header-field.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { H2_ERROR } from "../wire/http2-frames.ts";
import type { Http2Stream } from "../wire/http2-stream.ts";
import { overBudget } from "./byte-budget.ts";
import { errorResponse, HOP_BY_HOP, urlOf } from "./front-head.ts";
import { type CallClient, type PortCall, SendWatch } from "./port-call.ts";
import { RequestBody } from "./request-body.ts";
import { StreamedBody } from "./streamed-body.ts";

const NOTHING = new Uint8Array(0);
/** Of a Connect stream; what else streams to us is read whole. */
const STREAMS = /^application\/connect\+/i;

export class AppCall implements PortCall {
  readonly #client: CallClient;
  readonly #stream: Http2Stream;
  readonly #block: HeaderBlock;
  readonly #body: RequestBody;
  readonly #bodyBytesMax: number;
  readonly #path: string;
  readonly #abort = new AbortController();
  readonly #watch = new SendWatch();
  /** Of a body that is read as it comes. */
  #streamed: StreamedBody | null = null;
  /** When a body that is read whole must be here; Infinity: nothing is waited for. */
  #bodyDueMs = Infinity;
  #isOver = false;
  #reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #wakeWriter: (() => void) | null = null;

  constructor(client: CallClient, stream: Http2Stream, block: HeaderBlock) {
    this.#client = client;
    this.#stream = stream;
    this.#block = block;
    this.#path = (block.path?.text ?? "").split("?", 1)[0] ?? "";
    this.#body = new RequestBody(client.context.budget);
    this.#bodyBytesMax = client.context.bodyBytesMax(this.#path);
  }

  begin(ended: boolean): void {
    const { contentType, contentLength } = this.#block;
    if (ended) {
      void this.#serve(null);
    } else if (STREAMS.test(contentType?.text ?? "")) {
      const { connection } = this.#client;
      this.#streamed = new StreamedBody((bytes) => {
        this.#client.hold(-bytes);
        connection.consume(this.#stream, bytes);
        this.#client.schedule();
      });
      void this.#serve(this.#streamed.stream);
    } else if (contentLength > this.#bodyBytesMax) {
      this.#refuseLength(contentLength);
    } else {
      this.#bodyDueMs = performance.now() + this.#client.context.limits.bodyTimeoutMs;
    }
  }

  stop(): void {
    // What is being answered is answered; streams are ended by who makes them.
  }

  async #serve(body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null): Promise<void> {
    this.#bodyDueMs = Infinity;
    const { context, remoteAddress } = this.#client;
    let response: Response;
    try {
      const request = this.#request(body);
      response = await context.fetch(request, { path: this.#path, remoteAddress, isDuplex: true });
    } catch (error) {
      if (!(error instanceof MeshError)) context.onError(error, this.#name);
      response = errorResponse(error instanceof MeshError ? error : new MeshError("internal", "internal error"));
    }
    this.#body.clear();
    await this.#answer(response);
  }

  async #answer(response: Response): Promise<void> {
    try {
      await this.#send(response);
    } catch (error) {
      // The head is out: a stream cut short is the only way left to say so.
      this.#client.context.onError(error, this.#name);
      this.#client.connection.reset(this.#stream, H2_ERROR.internal);
      this.#over();
    }
  }

  get #name(): string {
    return `${this.#block.method?.text ?? ""} ${this.#path}`;
  }

  #request(body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null): Request {
    const block = this.#block;
    const method = block.method?.text ?? "";
    if (method === "CONNECT" || method === "TRACE" || method === "TRACK") {
      throw new MeshError("not_supported", "the method is not served here");
    }
    const headers = new Headers();
    for (const { name, source, valueStart } of block.fields) {
      if (name.isPseudo || name.kind === FIELD_KIND.te) continue;
      headers.append(
        name.text,
        Buffer.from(source.buffer, source.byteOffset, source.length).toString("latin1", valueStart),
      );
    }
    const authority = block.authority?.text ?? block.host?.text ?? this.#client.context.authority;
    headers.set("host", authority);
    const hasBody = body !== null && method !== "GET" && method !== "HEAD";
    return new Request(urlOf(block.path?.text ?? "/", authority), {
      method,
      headers,
      signal: this.#abort.signal,
      ...(hasBody ? { body, duplex: "half" } : {}),
    });
  }

  async #send(response: Response): Promise<void> {
    const { body, status } = response;
    const isWhole = body === null || this.#block.method?.text === "HEAD" || status === 204 || status === 304;
    if (isWhole || this.#isOver) body?.cancel().catch(() => {});
    if (this.#isOver) return;
    const head = headOf(response);
    this.#client.connection.sendHead(this.#stream, head, 0, head.length, isWhole);
    this.#client.schedule();
    if (body === null || isWhole) {
      this.#finish();
      return;
    }
    const reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    this.#reader = reader;
    for (;;) {
      const part = await reader.read();
      if (this.#isOver) return;
      if (part.done) break;
      if (!this.#put(part.value, false)) await this.#drained();
      if (this.#isOver) return;
    }
    this.#reader = null;
    this.#put(NOTHING, true);
    this.#finish();
  }

  /** False while the client does not take all of it. */
  #put(bytes: Uint8Array, ended: boolean): boolean {
    const isSent = this.#client.connection.sendBody(this.#stream, bytes, 0, bytes.length, ended);
    this.#client.schedule();
    return isSent;
  }

  async #drained(): Promise<void> {
    return new Promise<void>((resolve) => (this.#wakeWriter = resolve));
  }

  #wake(): void {
    const wake = this.#wakeWriter;
    this.#wakeWriter = null;
    wake?.();
  }

  /** All of the answer is on its way. */
  #finish(): void {
    this.#over();
    this.#leaveStream();
  }

  /** A client that was answered need not go on (RFC 9113 section 8.1). */
  #leaveStream(): void {
    const stream = this.#stream;
    if (stream.localEnded && !stream.remoteEnded) this.#client.connection.reset(stream, H2_ERROR.none);
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#bodyDueMs = Infinity;
    this.#streamed?.close();
    this.#body.clear();
    this.#client.connection.release(this.#stream);
    this.#abort.abort();
    this.#reader?.cancel().catch(() => {});
    this.#wake();
    this.#client.ended(this);
  }

  #refuse(error: MeshError): void {
    this.#bodyDueMs = Infinity;
    void this.#answer(errorResponse(error));
  }

  #refuseLength(length: number): void {
    const why = `the body is ${length} bytes long; at most ${this.#bodyBytesMax} are allowed`;
    this.#refuse(new MeshError("payload_too_large", why));
  }

  // ---- the stream's word

  answered(): void {
    // A server's stream is answered by us.
  }

  body(_stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const length = end - start;
    if (!this.#isOver && this.#streamed !== null) {
      this.#client.hold(length);
      this.#streamed.push(bytes, start, end);
      if (ended) this.#streamed.end();
      return;
    }
    this.#client.connection.consume(this.#stream, length);
    // Over, or refused already.
    if (this.#isOver || this.#bodyDueMs === Infinity) return;
    if (this.#body.length + length > this.#bodyBytesMax) this.#refuseLength(this.#body.length + length);
    else if (!this.#body.append(bytes, start, end, this.#bodyBytesMax)) this.#refuse(overBudget());
    else if (ended) void this.#serve(this.#body.bytes);
  }

  trailers(): void {
    if (this.#isOver) return;
    if (this.#streamed !== null) this.#streamed.end();
    else if (this.#bodyDueMs !== Infinity) void this.#serve(this.#body.bytes);
  }

  writable(): void {
    if (this.#isOver) this.#leaveStream();
    else this.#wake();
    this.#client.schedule();
  }

  lost(): void {
    this.#over();
  }

  wake(nowMs: number): void {
    if (nowMs >= this.#bodyDueMs) {
      this.#refuse(new MeshError("request_timeout", "the request's body took too long to arrive"));
    } else if (this.#watch.isStuck(this.#stream, nowMs, this.#client.context.limits.writeTimeoutMs)) {
      this.#client.connection.reset(this.#stream, H2_ERROR.cancel);
      this.#over();
    }
  }
}

function headOf(response: Response): Uint8Array {
  const fields = [fieldOf(":status", String(response.status)), fieldOf("date", new Date().toUTCString())];
  for (const [name, value] of response.headers) {
    if (!HOP_BY_HOP.has(name)) fields.push(fieldOf(name, Buffer.from(value, "latin1")));
  }
  return Buffer.concat(fields.map(({ encoded }) => encoded));
}
