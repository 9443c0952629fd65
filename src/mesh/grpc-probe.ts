/**
 * A sign of life of a gRPC target: one call of `grpc.health.v1.Health/Check` on a connection of its own, without a key. Any
 * answer is life, be it of a server that does not know the service (UNIMPLEMENTED) or wants a key for it (UNAUTHENTICATED,
 * PERMISSION_DENIED); one that says NOT_SERVING, or UNAVAILABLE as proxies do whose server is gone, or fails like a server
 * of HTTP, is not.
 */
import type { PollResult } from "../fleet/event.ts";
import { formatHostPort } from "../fleet/registration.ts";
import { BunTransport } from "../net/bun-streams.ts";
import { Dialer } from "../net/dialer.ts";
import { Outbox } from "../net/outbox.ts";
import type { DialPlace, Stream, StreamHandlers } from "../net/stream.ts";
import type { TlsClientOptions } from "../net/tls-streams.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { fieldOf } from "../wire/header-field.ts";
import { Http2Connection, type Http2Options } from "../wire/http2-connection.ts";
import type { Http2Stream, StreamOwner } from "../wire/http2-stream.ts";

const OPTIONS: Http2Options = {
  streamsMax: 1,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 65_535,
  listBytesMax: 16_384,
  outputBytesMax: 16_384,
};
/** An empty HealthCheckRequest: the server as a whole. */
const REQUEST = new Uint8Array(5);
/** Of the answer's only field, a varint behind the five bytes of framing and its tag: NOT_SERVING. */
const STATUS_AT = 6;
const NOT_SERVING = 2;
const HTTP_FAILURE = 500;
const UNAVAILABLE = "14";

/** Resolves once it is known, or when `signal` gives up; never rejects. */
export function probeGrpc(place: DialPlace, tls: TlsClientOptions, signal: AbortSignal): Promise<PollResult> {
  return new Promise((resolve) => {
    new Probe(resolve).start(place, tls, signal);
  });
}

const handlers: StreamHandlers<Probe> = {
  open: (stream) => stream.data.opened(stream),
  data: (stream, bytes, start, end) => stream.data.received(bytes, start, end),
  drain: (stream) => stream.data.drained(stream),
  end: (stream) => stream.data.gone("it closed the connection"),
  close: (stream) => stream.data.gone("it closed the connection"),
  connectError: (stream, error) => stream.data.gone(error.message),
};

class Probe implements StreamOwner {
  readonly #resolve: (result: PollResult) => void;
  readonly #connection: Http2Connection;
  readonly #outbox = new Outbox();
  readonly #startedAtMs = performance.now();
  #stream: Stream<Probe> | null = null;
  /** Gives the attempt to connect up. */
  #giveUp: () => void = () => {};
  #message: number[] = [];
  #isOver = false;

  constructor(resolve: (result: PollResult) => void) {
    this.#resolve = resolve;
    this.#connection = new Http2Connection(false, OPTIONS, {
      requested() {
        // A client takes no requests.
      },
      goingAway() {
        // The call ends all the same.
      },
      settled() {
        // One call needs no more.
      },
      failed: (_code, reason) => this.#fail(reason),
    });
  }

  start({ host, port, tls }: DialPlace, options: TlsClientOptions, signal: AbortSignal): void {
    signal.addEventListener("abort", () => this.#fail("it gave no answer in time"), { once: true });
    const fields = [
      fieldOf(":method", "POST"),
      fieldOf(":scheme", tls ? "https" : "http"),
      fieldOf(":path", "/grpc.health.v1.Health/Check"),
      fieldOf(":authority", formatHostPort(host, port)),
      fieldOf("te", "trailers"),
      fieldOf("content-type", "application/grpc"),
    ];
    const head = Buffer.concat(fields.map(({ encoded }) => encoded));
    const call = this.#connection.open(this, head, 0, head.length, false);
    if (call !== null) this.#connection.sendBody(call, REQUEST, 0, REQUEST.length, true);
    const place = { host, port, tls, alpn: ["h2"] };
    this.#giveUp = new Dialer(new BunTransport(), options).connect(place, this, handlers, () => {});
  }

  // ---- the connection's events

  opened(stream: Stream<Probe>): void {
    this.#stream = stream;
    if (this.#isOver) stream.terminate();
    else this.#flush();
  }

  received(bytes: Uint8Array, start: number, end: number): void {
    this.#connection.receive(bytes, start, end, performance.now());
    if (!this.#isOver) this.#flush();
  }

  drained(stream: Stream<Probe>): void {
    this.#outbox.flush(stream);
  }

  gone(why: string): void {
    this.#fail(why);
  }

  // ---- the call's

  answered(_stream: Http2Stream, block: HeaderBlock, ended: boolean): void {
    if (block.status >= HTTP_FAILURE) this.#fail(`answered ${block.status}`);
    else if (ended) this.#ended(block);
  }

  body(_stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    // More than these few bytes are nobody's health.
    for (let i = start; i < end && this.#message.length <= STATUS_AT; i++) this.#message.push(bytes[i]!);
    if (ended) this.#succeed();
  }

  trailers(_stream: Http2Stream, block: HeaderBlock): void {
    this.#ended(block);
  }

  writable(): void {
    // The whole request fits into any window.
  }

  lost(_stream: Http2Stream, code: number): void {
    this.#fail(`it reset the stream (${code})`);
  }

  #ended({ grpcStatus }: HeaderBlock): void {
    if (grpcStatus?.text === UNAVAILABLE) this.#fail("answered UNAVAILABLE");
    else this.#succeed();
  }

  #succeed(): void {
    if (this.#message[STATUS_AT] === NOT_SERVING) this.#fail("says that it is not serving");
    else this.#end({ ok: true, sample: null, rttMs: performance.now() - this.#startedAtMs });
  }

  #fail(error: string): void {
    this.#end({ ok: false, error });
  }

  #flush(): void {
    const { output } = this.#connection;
    if (this.#stream === null || output.pending === 0) return;
    this.#outbox.write(this.#stream, output.bytes, output.start, output.end);
    output.sent(output.pending);
  }

  #end(result: PollResult): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#resolve(result);
    this.#connection.lose(false);
    if (this.#stream === null) this.#giveUp();
    else this.#stream.terminate();
  }
}
