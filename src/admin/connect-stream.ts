/**
 * Methods that stream, by the Connect protocol: messages in envelopes (a byte of flags, four of length), and at the end
 * one that tells how it ended, errors among it; the status of HTTP is 200 whatever happens. Over HTTP/1.1 a request is
 * whole before its answer begins, so there only methods with one request are served; over HTTP/2 all of them.
 *
 * A message is made when its client has taken the one before. The stream ends when its client goes, when its deadline is
 * over, and when the process stops (`unavailable`).
 */
import type { Context } from "hono";
import { MeshError } from "../base/errors.ts";
import { MESSAGE_HEAD_BYTES } from "../wire/grpc-framing.ts";
import type { Message } from "../wire/proto-schema.ts";
import { connectError, FramingError } from "./call-error.ts";
import {
  checkVersion,
  type Codec,
  inflationFor,
  isGzip,
  portOf,
  STREAM_JSON_TYPE,
  STREAM_PROTO_TYPE,
  timeoutOf,
} from "./connect-request.ts";
import { GZIP, type Inflation } from "./inflation.ts";
import { MessageQueue } from "./message-queue.ts";
import { type Call, type Method, reasonOf, type Services } from "./services.ts";

const COMPRESSED = 1;
const END_STREAM = 2;

export function isStream({ info }: Method): boolean {
  return info.clientStreams === true || info.serverStreams === true;
}

export async function answerStream(c: Context, services: Services, method: Method, codec: Codec): Promise<Response> {
  const stream = new ConnectStream(c, services, method, codec);
  await stream.begin();
  return c.body(stream.body(), 200, {
    "content-type": codec.isJson ? STREAM_JSON_TYPE : STREAM_PROTO_TYPE,
    "connect-accept-encoding": GZIP,
    "cache-control": "no-store",
  });
}

class ConnectStream {
  readonly #context: Context;
  readonly #services: Services;
  readonly #method: Method;
  readonly #codec: Codec;
  readonly #end = new AbortController();
  readonly #inflation: Inflation | null;
  readonly #isAborted: Promise<never>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #answers: AsyncIterator<object> | null = null;
  /** What went wrong before the method was asked. */
  #fault: unknown = null;

  constructor(context: Context, services: Services, method: Method, codec: Codec) {
    this.#context = context;
    this.#services = services;
    this.#method = method;
    this.#codec = codec;
    this.#inflation = inflationFor(context);
    const { promise, reject } = Promise.withResolvers<never>();
    this.#isAborted = promise;
    promise.catch(() => {});
    this.#end.signal.addEventListener("abort", () => reject(reasonOf(this.#end.signal)));
    services.streams.add(this.#end);
    const { signal } = context.req.raw;
    if (signal.aborted) this.#gone();
    else signal.addEventListener("abort", this.#gone);
  }

  readonly #gone = (): void => this.#end.abort(new MeshError("request_timeout", "the caller is gone"));

  /** Reads the request, of a method that takes one. */
  async begin(): Promise<void> {
    const c = this.#context;
    const { info } = this.#method;
    try {
      checkVersion(c.req.header("connect-protocol-version"));
      const packed = isGzip(c.req.header("connect-content-encoding"), "connect-content-encoding");
      const deadlineMs = this.#begin(timeoutOf(c));
      const call: Call = { signal: this.#end.signal, deadlineMs, remoteAddress: portOf(c).remoteAddress ?? "" };
      if (info.clientStreams === true && portOf(c).isDuplex !== true) {
        const why = `${info.name} streams both ways, which HTTP/1.1 does not: call it over HTTP/2, by Connect or gRPC`;
        throw new MeshError("not_supported", why);
      }
      const requests = this.#requests(packed);
      const request = info.clientStreams === true ? requests : await this.#only(requests);
      const answers = this.#method.handler(request, call) as AsyncIterable<object>;
      this.#answers = answers[Symbol.asyncIterator]();
    } catch (error) {
      this.#fault = error;
    }
  }

  #begin(timeoutMs: number | undefined): number {
    if (timeoutMs === undefined) return Infinity;
    const why = new MeshError("request_timeout", `the deadline of ${timeoutMs} ms is over`);
    this.#timer = setTimeout(() => this.#end.abort(why), timeoutMs);
    return performance.now() + timeoutMs;
  }

  async #only(requests: AsyncIterator<Message>): Promise<Message> {
    const first = await Promise.race([requests.next(), this.#isAborted]);
    if (first.done === true) {
      const why =
        "the call has no request; expected one in an envelope: a byte of flags, four of its length, the message";
      throw new MeshError("bad_request", why);
    }
    if ((await Promise.race([requests.next(), this.#isAborted])).done === true) return first.value;
    throw new MeshError("bad_request", "the call has more than one request");
  }

  async *#requests(packed: boolean): AsyncGenerator<Message> {
    const bytesMax = portOf(this.#context).bodyBytesMax ?? Infinity;
    for await (const { bytes, flags } of envelopes(this.#context.req.raw.body, bytesMax)) {
      if (flags > COMPRESSED) throw new FramingError(`an envelope begins with ${flags}; expected 0 or 1 of a request`);
      if (flags === COMPRESSED && !packed) {
        throw new FramingError("a message is marked as compressed, and no connect-content-encoding tells how");
      }
      const plain = flags === COMPRESSED && this.#inflation !== null ? await this.#inflation.inflate(bytes) : bytes;
      yield this.#codec.read(this.#method.input, plain);
    }
  }

  /** The answer; nothing is made before it is read. */
  body(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const message = await this.#next();
          if (message !== null) {
            controller.enqueue(envelope(0, message));
            return;
          }
          controller.enqueue(envelope(END_STREAM, Buffer.from(this.#ending())));
          controller.close();
          this.#close();
        },
        cancel: () => {
          this.#gone();
          this.#close();
        },
      },
      { highWaterMark: 0 },
    );
  }

  async #next(): Promise<Uint8Array | null> {
    if (this.#answers === null) return null;
    try {
      const answer = await Promise.race([this.#answers.next(), this.#isAborted]);
      if (answer.done !== true) return this.#codec.write(this.#method.output, answer.value);
      // A method that ends because of its signal says nothing of why.
      if (this.#end.signal.aborted) this.#fault = reasonOf(this.#end.signal);
    } catch (error) {
      this.#fault = error;
    }
    return null;
  }

  #ending(): string {
    if (this.#fault === null) return "{}";
    const error = this.#services.asMeshError(this.#fault, this.#method.path);
    return `{"error":${connectError(this.#services.types, error).body}}`;
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#inflation?.end();
    this.#services.streams.delete(this.#end);
    this.#context.req.raw.signal.removeEventListener("abort", this.#gone);
    if (!this.#end.signal.aborted) this.#end.abort(new MeshError("request_timeout", "the call is over"));
    // Waits for what it waits for, which the signal ends.
    void this.#answers?.return?.().catch(() => {});
  }
}

function envelope(flags: number, message: Uint8Array): Uint8Array {
  const framed = Buffer.allocUnsafe(MESSAGE_HEAD_BYTES + message.length);
  framed[0] = flags;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, MESSAGE_HEAD_BYTES);
  return framed;
}

/** The messages of a body, one by one as they are asked for. */
async function* envelopes(
  body: ReadableStream<Uint8Array> | null,
  bytesMax: number,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly flags: number }> {
  const reader = body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined;
  // The body's own stream says what it holds, and when more may come.
  const queue = new MessageQueue({ consume() {}, holds() {} });
  try {
    for (;;) {
      const { nextLength } = queue;
      if (nextLength > bytesMax) {
        throw new MeshError("payload_too_large", `a message of ${nextLength} bytes; at most ${bytesMax} are taken`);
      }
      const received = queue.hasNext ? await queue.next() : null;
      if (received !== null) {
        yield received;
        continue;
      }
      const part = await reader?.read();
      if (part === undefined || part.done) break;
      queue.push(part.value, 0, part.value.length);
    }
    if (!queue.end()) throw new MeshError("bad_request", "the request ends in the middle of a message");
  } finally {
    queue.close();
    await reader?.cancel().catch(() => {});
  }
}
