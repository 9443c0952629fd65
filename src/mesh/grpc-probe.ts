/**
 * A sign of life of a gRPC target: one call of `grpc.health.v1.Health/Check` on a connection of its own. Any answer is
 * life, a server that does not know the service included; one that says NOT_SERVING, or fails like a server, is not.
 */
import type { Socket } from "bun";
import type { PollResult } from "../fleet/event.ts";
import { formatHostPort } from "../fleet/registration.ts";
import { Outbox } from "../net/outbox.ts";
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

/** Resolves once it is known, or when `signal` gives up; never rejects. */
export function probeGrpc(host: string, port: number, signal: AbortSignal): Promise<PollResult> {
  return new Promise((resolve) => {
    new Probe(resolve).start(host, port, signal);
  });
}

class Probe implements StreamOwner {
  readonly #resolve: (result: PollResult) => void;
  readonly #connection: Http2Connection;
  readonly #outbox = new Outbox();
  readonly #startedAtMs = performance.now();
  #socket: Socket | null = null;
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

  start(host: string, port: number, signal: AbortSignal): void {
    signal.addEventListener("abort", () => this.#fail("it gave no answer in time"), { once: true });
    const fields = [
      fieldOf(":method", "POST"),
      fieldOf(":scheme", "http"),
      fieldOf(":path", "/grpc.health.v1.Health/Check"),
      fieldOf(":authority", formatHostPort(host, port)),
      fieldOf("te", "trailers"),
      fieldOf("content-type", "application/grpc"),
    ];
    const head = Buffer.concat(fields.map(({ encoded }) => encoded));
    const stream = this.#connection.open(this, head, 0, head.length, false);
    if (stream !== null) this.#connection.sendBody(stream, REQUEST, 0, REQUEST.length, true);
    const fail = (error: Error): void => this.#fail(error.message);
    const gone = (): void => this.#fail("it closed the connection");
    Bun.connect({
      hostname: host,
      port,
      socket: {
        open: (socket) => {
          this.#socket = socket;
          if (this.#isOver) socket.terminate();
          else this.#flush();
        },
        data: (_socket, bytes) => {
          this.#connection.receive(bytes, 0, bytes.length, performance.now());
          if (!this.#isOver) this.#flush();
        },
        drain: (socket) => {
          this.#outbox.flush(socket);
        },
        end: gone,
        close: gone,
        connectError: (_socket, error) => fail(error),
        error: (_socket, error) => fail(error),
      },
    }).catch(fail);
  }

  answered(_stream: Http2Stream, { status }: HeaderBlock, ended: boolean): void {
    if (status >= HTTP_FAILURE) this.#fail(`answered ${status}`);
    else if (ended) this.#succeed();
  }

  body(_stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    // More than these few bytes are nobody's health.
    for (let i = start; i < end && this.#message.length <= STATUS_AT; i++) this.#message.push(bytes[i]!);
    if (ended) this.#succeed();
  }

  trailers(): void {
    this.#succeed();
  }

  writable(): void {
    // The whole request fits into any window.
  }

  lost(_stream: Http2Stream, code: number): void {
    this.#fail(`it reset the stream (${code})`);
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
    if (this.#socket === null || output.pending === 0) return;
    this.#outbox.write(this.#socket, output.bytes, output.start, output.end);
    output.sent(output.pending);
  }

  #end(result: PollResult): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#resolve(result);
    this.#connection.lose(false);
    this.#socket?.terminate();
  }
}
