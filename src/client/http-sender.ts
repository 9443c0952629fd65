/**
 * Sends requests over HTTP/1.1, one at a time on a connection, which is kept for the next as long as the server keeps it.
 * There are as many connections as requests under way.
 *
 * A kept connection that ends just as it is used again, before anything of an answer came, is no failure of the server's:
 * the request is sent once more, on a new one. Nothing else is sent twice.
 */
import { EventAnswer, WholeAnswer } from "../load/answer.ts";
import { FAILURE, type Flight } from "../load/flight.ts";
import type { Dialer } from "../net/dialer.ts";
import { Outbox } from "../net/outbox.ts";
import type { DialPlace, Stream, StreamHandlers } from "../net/stream.ts";
import { AnswerReader } from "../wire/http-answer.ts";
import { isRefusal, type Sender, type SenderEvents, wordsOf } from "./sender.ts";

const ANSWER_BYTES_MAX = 1_073_741_824;

export interface HttpOptions {
  readonly dialer: Dialer;
  readonly place: DialPlace;
  /** Head and body. */
  readonly bytesOf: (flight: Flight) => Uint8Array;
}

export class HttpSender implements Sender {
  readonly options: HttpOptions;
  readonly events: SenderEvents;
  /** The one used last comes first: the others may end of themselves. */
  readonly #idle: HttpLink[] = [];
  readonly #all = new Set<HttpLink>();

  constructor(options: HttpOptions, events: SenderEvents) {
    this.options = options;
    this.events = events;
  }

  send(flight: Flight): void {
    for (let link = this.#idle.pop(); link !== undefined; link = this.#idle.pop()) {
      if (!link.isOpen) continue;
      link.send(flight);
      return;
    }
    this.again(flight);
  }

  /** On a new connection. */
  again(flight: Flight): void {
    const link = new HttpLink(this);
    this.#all.add(link);
    link.send(flight);
  }

  cancel(flight: Flight): void {
    if (flight.carrier instanceof HttpLink && flight.carrier.flight === flight) flight.carrier.drop();
  }

  close(): void {
    for (const link of this.#all) link.drop();
  }

  rests(link: HttpLink): void {
    this.#idle.push(link);
  }

  gone(link: HttpLink): void {
    this.#all.delete(link);
  }
}

class HttpLink {
  readonly #home: HttpSender;
  readonly #reader = new AnswerReader();
  readonly #outbox = new Outbox();
  #stream: Stream<HttpLink> | null = null;
  #giveUp: (() => void) | null = null;
  #isDropped = false;
  /** It has served a request before. */
  #isUsed = false;
  #events: EventAnswer | null = null;
  #whole: WholeAnswer | null = null;
  flight: Flight | null = null;

  constructor(home: HttpSender) {
    this.#home = home;
  }

  get isOpen(): boolean {
    return this.#stream !== null && !this.#isDropped;
  }

  send(flight: Flight): void {
    this.flight = flight;
    flight.carrier = this;
    this.#events = null;
    this.#whole = null;
    this.#reader.begin({ method: "POST", bytesMax: ANSWER_BYTES_MAX, piece: this.#piece });
    const bytes = this.#home.options.bytesOf(flight);
    if (this.#stream !== null) {
      this.#outbox.write(this.#stream, bytes, 0, bytes.length);
      return;
    }
    this.#outbox.queue(bytes, 0, bytes.length);
    const { dialer, place } = this.#home.options;
    this.#giveUp = dialer.connect(place, this, HANDLERS, () => {});
  }

  /** Closes at once; nobody is told. */
  drop(): void {
    if (this.#isDropped) return;
    this.#isDropped = true;
    this.flight = null;
    this.#outbox.clear();
    this.#giveUp?.();
    this.#stream?.terminate();
    this.#stream = null;
    this.#home.gone(this);
  }

  opened(stream: Stream<HttpLink>): void {
    this.#giveUp = null;
    if (this.#isDropped) {
      stream.terminate();
      return;
    }
    this.#stream = stream;
    this.#outbox.flush(stream);
  }

  drained(stream: Stream<HttpLink>): void {
    this.#outbox.flush(stream);
  }

  received(buffer: Uint8Array, start: number, end: number): void {
    const { flight } = this;
    if (flight === null) {
      // Nobody asked for it: what would come next is in doubt.
      this.drop();
      return;
    }
    const nowMs = performance.now();
    const before = this.#events?.texts ?? 0;
    const state = this.#reader.push(buffer, start, end);
    const texts = (this.#events?.texts ?? 0) - before;
    if (texts > 0) this.#home.events.came(flight, texts, nowMs);
    if (state === "more") {
      const fault = this.#events?.fault ?? "";
      if (fault !== "") this.#fail(FAILURE.malformed, fault, nowMs);
    } else if (state === "done") this.#answered(flight, nowMs);
    else this.#fail(state === "bad" ? FAILURE.malformed : FAILURE.tooLarge, this.#reader.reason, nowMs);
  }

  /** The other side ended, or the connection is gone. */
  ended(): void {
    const { flight } = this;
    if (flight === null) {
      this.drop();
      return;
    }
    const nowMs = performance.now();
    if (this.#reader.ended() === "done") this.#answered(flight, nowMs);
    else if (this.#reader.hasBegun) this.#fail(FAILURE.cut, "the connection ended amid the answer", nowMs);
    else if (this.#isUsed) {
      this.drop();
      this.#home.again(flight);
    } else this.#fail(FAILURE.closed, "", nowMs);
  }

  lost(error: Error): void {
    this.#giveUp = null;
    this.#fail(isRefusal(error) ? FAILURE.refused : FAILURE.unreachable, wordsOf(error), performance.now());
  }

  readonly #piece = (bytes: Uint8Array): void => {
    if (this.#events === null && this.#whole === null) {
      const isWell = this.#reader.status === 200;
      if (isWell && this.#reader.contentType.startsWith("text/event-stream")) this.#events = new EventAnswer();
      else this.#whole = new WholeAnswer();
    }
    this.#events?.push(bytes);
    this.#whole?.push(bytes);
  };

  #answered(flight: Flight, nowMs: number): void {
    const { status, node, keepsAlive } = this.#reader;
    flight.status = status;
    flight.node = node;
    const [failure, words] = this.#verdict();
    const counts = this.#events ?? this.#whole;
    if (failure === "" && counts !== null) {
      flight.promptTokens = counts.promptTokens;
      flight.outputTokens = counts.outputTokens;
      flight.cachedTokens = counts.cachedTokens;
    }
    flight.words = words;
    this.flight = null;
    if (keepsAlive && this.#outbox.pending === 0) {
      this.#isUsed = true;
      this.#home.rests(this);
    } else this.drop();
    this.#home.events.ended(flight, failure, nowMs);
  }

  /** How a whole answer ended, and the server's words of it. */
  #verdict(): readonly [failure: string, words: string] {
    const { status } = this.#reader;
    const whole = this.#whole;
    if (status !== 200) {
      const later = this.#reader.header("retry-after");
      return [`status ${status}`, `${whole?.words ?? ""}${later === "" ? "" : ` (retry-after: ${later})`}`];
    }
    if (this.#events !== null) {
      const { fault, error, isDone } = this.#events;
      if (fault !== "") return [FAILURE.malformed, fault];
      if (error !== "") return [FAILURE.told, error];
      return isDone ? ["", ""] : [FAILURE.cut, "the stream ended without [DONE]"];
    }
    if (whole === null) return [FAILURE.malformed, "an empty answer"];
    whole.end();
    if (whole.fault !== "") return [FAILURE.malformed, whole.fault];
    return whole.error === "" ? ["", ""] : [FAILURE.told, whole.error];
  }

  #fail(failure: string, words: string, nowMs: number): void {
    const { flight } = this;
    if (flight === null) return;
    flight.status = this.#reader.status;
    flight.node = this.#reader.node;
    flight.words = words;
    this.drop();
    this.#home.events.ended(flight, failure, nowMs);
  }
}

const HANDLERS: StreamHandlers<HttpLink> = {
  open: (stream) => stream.data.opened(stream),
  data: (stream, buffer, start, end) => stream.data.received(buffer, start, end),
  drain: (stream) => stream.data.drained(stream),
  end(stream) {
    stream.data.ended();
    stream.end();
  },
  close: (stream) => stream.data.ended(),
  connectError: (stream, error) => stream.data.lost(error),
};
