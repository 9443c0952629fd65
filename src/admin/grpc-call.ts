/**
 * One gRPC call at an admin port: a stream of HTTP/2, its messages, its deadline and its status.
 *
 * Backpressure goes both ways. The client's window is given back when the method has taken what came, but for the part
 * of a message that is still to be put together; and a method that streams is asked for its next message when the one
 * before has left for the socket. So a caller that does not read stops its method, and holds one message.
 *
 * Limits: messages of `maxBodyBytes`, inflated where they come compressed, and eight times as much held for all calls of
 * a connection; over them a call ends with RESOURCE_EXHAUSTED. Who reads nothing of an answer for `writeTimeoutMs` is
 * left. Messages are read as they are or in gzip; another encoding is UNIMPLEMENTED. Answers are not compressed.
 */
import { MeshError } from "../base/errors.ts";
import { MESSAGE_HEAD_BYTES } from "../wire/grpc-framing.ts";
import { REFLECTION_PATHS } from "../wire/grpc-reflection.ts";
import { parseTimeout } from "../wire/grpc-timeout.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { H2_ERROR } from "../wire/http2-frames.ts";
import type { Http2Stream } from "../wire/http2-stream.ts";
import type { Message } from "../wire/proto-schema.ts";
import { encodeMessage } from "../wire/proto-writer.ts";
import { isForeignPage } from "./app.ts";
import { FramingError } from "./call-error.ts";
import { ANSWER_HEAD, statusFields } from "./grpc-reply.ts";
import { ENCODINGS, GZIP, Inflation } from "./inflation.ts";
import { MessageQueue } from "./message-queue.ts";
import { type CallClient, type PortCall, SendWatch } from "./port-call.ts";
import { type Call, decodeRequest, type Method, reasonOf } from "./services.ts";

const TIMEOUT_MS_MAX = 2 ** 31 - 1;
/** One for all calls, since nobody is told it, and an error costs its stack. */
const OVER = new MeshError("request_timeout", "the call is over");

export class GrpcCall implements PortCall {
  readonly #client: CallClient;
  readonly #stream: Http2Stream;
  readonly #block: HeaderBlock;
  readonly #path: string;
  readonly #queue: MessageQueue;
  readonly #inflation: Inflation;
  readonly #watch = new SendWatch();
  readonly #end = new AbortController();
  #isGzip = false;
  #isStream = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasHead = false;
  #isOver = false;
  #wakeWriter: (() => void) | null = null;

  constructor(client: CallClient, stream: Http2Stream, block: HeaderBlock) {
    this.#client = client;
    this.#stream = stream;
    this.#block = block;
    this.#path = block.path?.text ?? "";
    this.#inflation = new Inflation(client.context.budget, client.messageBytesMax(this.#path));
    this.#queue = new MessageQueue({
      consume(bytes) {
        client.connection.consume(stream, bytes);
        client.schedule();
      },
      holds(change) {
        client.hold(change);
      },
    });
  }

  begin(ended: boolean): void {
    try {
      this.#begin();
      if (ended) this.#queue.end();
    } catch (error) {
      this.#fail(error);
    }
  }

  #begin(): void {
    const { services, context } = this.#client;
    const path = this.#path;
    const encoding = this.#block.value("grpc-encoding") ?? "identity";
    if (encoding !== "identity" && encoding !== GZIP) {
      const shown = JSON.stringify(encoding.slice(0, 40));
      throw new MeshError("not_supported", `messages in ${shown} are not read here; send ${ENCODINGS}`);
    }
    this.#isGzip = encoding === GZIP;
    const origin = this.#block.value("origin");
    const host = this.#block.authority?.text ?? this.#block.host?.text ?? "";
    if (origin !== null && isForeignPage(origin, host, context.hostname)) {
      throw new MeshError("forbidden", "requests of web pages from other origins are not served");
    }
    const method = REFLECTION_PATHS.has(path) ? null : services.method(path);
    const call = this.#call();
    this.#isStream = method === null || method.info.serverStreams === true;
    if (method === null) void this.#run(() => this.#reflect());
    else if (this.#isStream) void this.#run(() => this.#streamAnswers(method, call));
    else void this.#run(() => this.#answerOnce(method, call));
  }

  #call(): Call {
    const { signal } = this.#end;
    const field = this.#block.grpcTimeout;
    const { remoteAddress } = this.#client;
    if (field === null) return { signal, deadlineMs: Infinity, remoteAddress };
    const timeoutMs = parseTimeout(field);
    if (timeoutMs < 0) throw new MeshError("bad_request", `grpc-timeout is ${JSON.stringify(field.text.slice(0, 40))}`);
    const isOver = (): void => {
      this.#end.abort(new MeshError("request_timeout", `the deadline of ${timeoutMs} ms is over`));
      this.#fail(reasonOf(signal));
    };
    this.#timer = setTimeout(isOver, Math.min(Math.max(0, timeoutMs), TIMEOUT_MS_MAX));
    return { signal, deadlineMs: performance.now() + timeoutMs, remoteAddress };
  }

  async #run(answer: () => Promise<void>): Promise<void> {
    try {
      await answer();
      this.#finish(null);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The next message as it was before it was compressed; null behind the last. */
  async #next(): Promise<Uint8Array | null> {
    const received = await this.#queue.next();
    if (received === null || received.flags === 0) return received?.bytes ?? null;
    if (received.flags !== 1) throw new FramingError(`a message begins with ${received.flags}; expected 0 or 1`);
    if (this.#isGzip) return this.#inflation.inflate(received.bytes);
    throw new FramingError("a message is marked as compressed, and no grpc-encoding tells how");
  }

  async #first(method: Method): Promise<Message> {
    const bytes = await this.#next();
    if (bytes === null) throw new MeshError("bad_request", "the call has no request");
    return decodeRequest(method.input, bytes);
  }

  async #answerOnce(method: Method, call: Call): Promise<void> {
    const request = await this.#first(method);
    if ((await this.#queue.next()) !== null) throw new MeshError("bad_request", "the call has more than one request");
    const answer = encodeMessage(method.output, await this.#client.services.unary(method, request, call));
    // The status goes out in the same packet where the client takes all of the answer.
    if (this.#put(answer)) this.#finish(null);
    else await this.#drained();
  }

  async #streamAnswers(method: Method, call: Call): Promise<void> {
    const request = method.info.clientStreams === true ? this.#requests(method) : await this.#first(method);
    for await (const answer of method.handler(request, call) as AsyncIterable<object>) {
      if (this.#isOver) return;
      await this.#send(encodeMessage(method.output, answer));
    }
    // A method that ends because of its signal says nothing of why.
    if (call.signal.aborted) throw reasonOf(call.signal);
  }

  async *#requests(method: Method): AsyncGenerator<Message> {
    for (let bytes = await this.#next(); bytes !== null; bytes = await this.#next()) {
      yield decodeRequest(method.input, bytes);
    }
  }

  async #reflect(): Promise<void> {
    const reflection = this.#client.services.reflection();
    for (let bytes = await this.#next(); bytes !== null; bytes = await this.#next()) {
      const answer = reflection.answer(bytes);
      if (answer === null) throw new MeshError("bad_request", "that is no request of server reflection");
      await this.#send(answer);
    }
  }

  /** Sends one message; resolves when the client may be given another. */
  async #send(message: Uint8Array): Promise<void> {
    if (!this.#put(message)) await this.#drained();
  }

  #drained(): Promise<void> {
    return new Promise<void>((resolve) => (this.#wakeWriter = resolve));
  }

  /** False while the client does not take all of it. */
  #put(message: Uint8Array): boolean {
    if (this.#isOver) return true;
    const { connection } = this.#client;
    this.#sendHead();
    const framed = Buffer.allocUnsafe(MESSAGE_HEAD_BYTES + message.length);
    framed[0] = 0;
    framed.writeUInt32BE(message.length, 1);
    framed.set(message, MESSAGE_HEAD_BYTES);
    const isSent = connection.sendBody(this.#stream, framed, 0, framed.length, false);
    this.#client.schedule();
    return isSent;
  }

  #sendHead(): void {
    if (this.#hasHead) return;
    this.#hasHead = true;
    this.#client.connection.sendHead(this.#stream, ANSWER_HEAD, 0, ANSWER_HEAD.length, false);
  }

  #fail(thrown: unknown): void {
    if (this.#isOver) return;
    const { services } = this.#client;
    this.#finish(services.asMeshError(thrown, this.#path));
  }

  /** Sends the status, once. */
  #finish(error: MeshError | null): void {
    if (this.#isOver) return;
    const { connection, services } = this.#client;
    const stream = this.#stream;
    const trailers = statusFields(services.types, error, !this.#hasHead);
    connection.sendHead(stream, trailers, 0, trailers.length, true);
    this.#over();
    this.#leaveStream();
  }

  /** A client that was answered need not go on (RFC 9113 section 8.1). */
  #leaveStream(): void {
    const stream = this.#stream;
    if (stream.localEnded && !stream.remoteEnded) this.#client.connection.reset(stream, H2_ERROR.none);
  }

  #over(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#queue.close();
    this.#inflation.end();
    this.#client.connection.release(this.#stream);
    this.#wake();
    // Whatever still works for this call may stop.
    if (!this.#end.signal.aborted) this.#end.abort(OVER);
    this.#client.ended(this);
  }

  #wake(): void {
    const wake = this.#wakeWriter;
    this.#wakeWriter = null;
    wake?.();
  }

  /** The server stops: what streams ends, what is being answered is answered. */
  stop(why: MeshError): void {
    if (!this.#isStream) return;
    this.#end.abort(why);
    this.#fail(why);
  }

  // ---- the stream's word

  answered(): void {
    // A server's stream is answered by us.
  }

  body(_stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    if (this.#isOver) {
      this.#client.connection.consume(this.#stream, end - start);
      return;
    }
    const client = this.#client;
    if (!client.mayHold(end - start, this.#path)) {
      this.#fail(new MeshError("over_capacity", "this connection has more requests under way than may be held"));
      return;
    }
    this.#queue.push(bytes, start, end);
    const length = this.#queue.nextLength;
    const bytesMax = client.messageBytesMax(this.#path);
    if (length > bytesMax) {
      const why = `a message of ${length} bytes; at most ${bytesMax} are taken`;
      this.#fail(new MeshError("payload_too_large", why));
    } else if (ended) {
      this.#endRequests();
    }
  }

  trailers(): void {
    if (!this.#isOver) this.#endRequests();
  }

  #endRequests(): void {
    if (this.#queue.end()) return;
    this.#fail(new MeshError("bad_request", "the request ends in the middle of a message"));
  }

  writable(): void {
    if (this.#isOver) this.#leaveStream();
    else this.#wake();
    this.#client.schedule();
  }

  wake(nowMs: number): void {
    if (!this.#watch.isStuck(this.#stream, nowMs, this.#client.context.limits.writeTimeoutMs)) return;
    this.#client.connection.reset(this.#stream, H2_ERROR.cancel);
    this.lost();
  }

  lost(): void {
    if (this.#isOver) return;
    this.#end.abort(new MeshError("request_timeout", "the caller is gone"));
    this.#over();
  }
}
