/**
 * Sends calls over HTTP/2 (gRPC), many on a connection: as many as the server takes, then on another one. Each has a
 * deadline, which the server is told too.
 */
import { FAILURE, type Flight } from "../load/flight.ts";
import type { GrpcAnswer } from "../load/grpc-message.ts";
import type { Dialer } from "../net/dialer.ts";
import type { DialPlace, Stream, StreamHandlers } from "../net/stream.ts";
import { formatTimeout } from "../wire/grpc-timeout.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { fieldOf } from "../wire/header-field.ts";
import { Http2Connection, type Http2Listener, type Http2Options } from "../wire/http2-connection.ts";
import { H2_ERROR } from "../wire/http2-frames.ts";
import type { Http2Stream, StreamOwner } from "../wire/http2-stream.ts";
import { isRefusal, type Sender, type SenderEvents, wordsOf } from "./sender.ts";

const OPTIONS: Http2Options = {
  streamsMax: 1,
  streamWindowBytes: 1_048_576,
  connectionWindowBytes: 16_777_216,
  listBytesMax: 65_536,
  outputBytesMax: 1_048_576,
};
const WORDS_MAX = 200;

export interface GrpcOptions {
  readonly dialer: Dialer;
  readonly place: DialPlace;
  readonly authority: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly isStreamed: boolean;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly timeoutMs: number;
  /** A framed message. */
  readonly bytesOf: (flight: Flight) => Uint8Array;
  /** What reads the service's answers, anew for each. */
  readonly answer: () => GrpcAnswer;
}

export class GrpcSender implements Sender {
  readonly options: GrpcOptions;
  readonly events: SenderEvents;
  readonly #links = new Set<GrpcLink>();
  readonly #before: Uint8Array;

  constructor(options: GrpcOptions, events: SenderEvents) {
    this.options = options;
    this.events = events;
    const fields: [string, string][] = [
      [":method", "POST"],
      [":scheme", options.place.tls ? "https" : "http"],
      [":authority", options.authority],
      [":path", options.path],
      ["te", "trailers"],
      ["content-type", "application/grpc"],
      ["user-agent", "infermesh-load"],
      ...options.headers.map(({ name, value }): [string, string] => [name, value]),
    ];
    this.#before = Buffer.concat(fields.map(([name, value]) => fieldOf(name, value).encoded));
  }

  send(flight: Flight): void {
    let link: GrpcLink | undefined;
    for (const one of this.#links) if (one.hasRoom) link = one;
    if (link === undefined) {
      link = new GrpcLink(this);
      this.#links.add(link);
      link.connect();
    }
    link.send(flight);
  }

  /** The encoded fields of a call. */
  head(flight: Flight): Uint8Array {
    const leftMs = Math.max(1, flight.dueMs + this.options.timeoutMs - performance.now());
    return Buffer.concat([this.#before, fieldOf("grpc-timeout", formatTimeout(leftMs)).encoded]);
  }

  cancel(flight: Flight): void {
    if (flight.carrier instanceof GrpcCall) flight.carrier.cancel();
  }

  close(): void {
    for (const link of this.#links) link.drop("");
  }

  gone(link: GrpcLink): void {
    this.#links.delete(link);
  }
}

class GrpcLink implements Http2Listener {
  readonly home: GrpcSender;
  readonly connection = new Http2Connection(false, OPTIONS, this);
  #stream: Stream<GrpcLink> | null = null;
  #giveUp: (() => void) | null = null;
  #isLeaving = false;
  #isGone = false;
  failure: string = FAILURE.cut;
  words = "";

  constructor(home: GrpcSender) {
    this.home = home;
  }

  get hasRoom(): boolean {
    return !this.#isGone && !this.#isLeaving && this.connection.capacity > 0;
  }

  connect(): void {
    const { dialer, place } = this.home.options;
    this.#giveUp = dialer.connect({ ...place, ...(place.tls ? { alpn: ["h2"] } : {}) }, this, HANDLERS, () => {});
  }

  send(flight: Flight): void {
    const call = new GrpcCall(this, flight);
    flight.carrier = call;
    const head = this.home.head(flight);
    const stream = this.connection.open(call, head, 0, head.length, false);
    if (stream === null) throw new Error("a connection without room was asked");
    call.stream = stream;
    const body = this.home.options.bytesOf(flight);
    this.connection.sendBody(stream, body, 0, body.length, true);
    this.flush();
  }

  opened(stream: Stream<GrpcLink>): void {
    this.#giveUp = null;
    if (this.#isGone) {
      stream.terminate();
      return;
    }
    this.#stream = stream;
    this.flush();
  }

  received(buffer: Uint8Array, start: number, end: number): void {
    this.connection.receive(buffer, start, end, performance.now());
    this.flush();
  }

  flush(): void {
    const { output } = this.connection;
    while (this.#stream !== null && output.pending > 0) {
      const taken = this.#stream.write(output.bytes, output.start, output.pending);
      if (taken <= 0) return;
      output.sent(taken);
      this.connection.drained();
    }
    if (this.connection.isClosed) this.drop(this.words);
  }

  /** It is gone, or never came to be: all calls on it are over. */
  drop(words: string, failure: string = FAILURE.cut): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.failure = failure;
    this.words ||= words;
    this.home.gone(this);
    this.#giveUp?.();
    this.#stream?.terminate();
    this.#stream = null;
    this.connection.lose(false);
  }

  requested(): void {}

  goingAway(): void {
    this.#isLeaving = true;
  }

  settled(): void {}

  failed(_code: number, reason: string): void {
    this.words = reason;
  }
}

class GrpcCall implements StreamOwner {
  readonly #link: GrpcLink;
  readonly #flight: Flight;
  readonly #answer: GrpcAnswer;
  stream: Http2Stream | null = null;
  #isOver = false;

  constructor(link: GrpcLink, flight: Flight) {
    this.#link = link;
    this.#flight = flight;
    this.#answer = link.home.options.answer();
  }

  cancel(): void {
    if (this.#isOver || this.stream === null) return;
    this.#isOver = true;
    this.#link.connection.reset(this.stream, H2_ERROR.cancel);
    this.#link.flush();
  }

  answered(_stream: Http2Stream, block: HeaderBlock, ended: boolean): void {
    this.#flight.status = block.status;
    this.#flight.node = block.value("x-infermesh-node") ?? "";
    if (ended) this.#ended(block);
  }

  body(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const texts = this.#answer.push(bytes.subarray(start, end));
    this.#link.connection.consume(stream, end - start);
    const nowMs = performance.now();
    if (texts > 0 && this.#link.home.options.isStreamed) this.#link.home.events.came(this.#flight, texts, nowMs);
    if (this.#answer.fault !== "") {
      const { fault } = this.#answer;
      this.cancel();
      this.#told(FAILURE.malformed, fault);
    } else if (ended) this.#over(FAILURE.cut, "the answer has no status");
  }

  trailers(_stream: Http2Stream, block: HeaderBlock): void {
    this.#ended(block);
  }

  writable(): void {}

  lost(_stream: Http2Stream, code: number): void {
    const { failure, words } = this.#link;
    this.#over(failure, words === "" ? `the stream was reset (${code})` : words);
  }

  #ended(block: HeaderBlock): void {
    const status = block.value("grpc-status") ?? "";
    const words = unescaped(block.value("grpc-message") ?? "").slice(0, WORDS_MAX);
    if (status !== "0") {
      this.#over(status === "" ? FAILURE.malformed : `grpc ${status}`, status === "" ? "no grpc-status" : words);
      return;
    }
    this.#flight.promptTokens = this.#answer.promptTokens;
    this.#flight.outputTokens = this.#answer.outputTokens;
    const { error } = this.#answer;
    if (error !== "") this.#over(FAILURE.told, error);
    else this.#over(this.#answer.isWhole ? "" : FAILURE.cut, this.#answer.isWhole ? "" : "it ended within a message");
  }

  #over(failure: string, words: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#told(failure, words);
  }

  #told(failure: string, words: string): void {
    this.#flight.words = words;
    this.#link.home.events.ended(this.#flight, failure, performance.now());
  }
}

/** As a status message travels; one that is escaped wrongly is shown as it is. */
function unescaped(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

const HANDLERS: StreamHandlers<GrpcLink> = {
  open: (stream) => stream.data.opened(stream),
  data: (stream, buffer, start, end) => stream.data.received(buffer, start, end),
  drain: (stream) => stream.data.flush(),
  end(stream) {
    stream.data.drop("the connection ended");
    stream.end();
  },
  close: (stream) => stream.data.drop("the connection ended"),
  connectError: (stream, error) =>
    stream.data.drop(wordsOf(error), isRefusal(error) ? FAILURE.refused : FAILURE.unreachable),
};
