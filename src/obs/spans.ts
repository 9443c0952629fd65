/**
 * Spans of requests, as a worker records them: what happened to a request and when, as plain numbers and texts that
 * somebody else holds anyway, on objects that are used again.
 *
 * A finished span waits in a ring until it is taken, packed, to the thread that exports. When the ring is full the
 * oldest is dropped and counted: what happens now matters more than what could not be told. Times are those of the
 * worker's monotonic clock; each batch brings the moment of the Unix clock at which that clock was zero, so that a
 * clock that is set meanwhile never makes a span end before it began.
 *
 * Limits: `spansMax` finished spans, `batchSpansMax` of them in a batch, 64 events of a span.
 */
import { Packr } from "msgpackr/pack";
import { Unpackr } from "msgpackr/unpack";

/** What may happen to a request. */
export const SPAN_EVENT = {
  /** It waits for a target; text: in whose queue, value: how many wait before it. */
  queued: 0,
  /** Text: the target, value: its cost, in seconds of expected time to first token. */
  picked: 1,
  /** A connection to the target (text) is being opened. */
  connecting: 2,
  /** The request begins to be sent; text: on a connection that is `new` or `reused`. */
  connected: 3,
  firstToken: 4,
  /** The target failed and another is looked for; text: how it failed. */
  retry: 5,
  /** The request was sent to a second target too; as `picked`. */
  hedge: 6,
  /** The answer can't be completed, or not be had; text: why. */
  broken: 7,
  /** A model stands in for the one that was asked for; text: its name. */
  fallback: 8,
  /** The cache was asked; text: `hit`, `wait` (for the answer to another request), `shared` (it came), `miss`. */
  cache: 9,
  /** A policy does not let it pass; text: which one, as KIND/NAME. */
  refused: 10,
} as const;

const EVENTS_MAX = 64;

/** What a span tells, in the form in which it travels to the main thread. */
export interface SpanFields {
  readonly trace0: number;
  readonly trace1: number;
  readonly trace2: number;
  readonly trace3: number;
  readonly span0: number;
  readonly span1: number;
  /** The client's span; zeros where the trace begins here. */
  readonly parent0: number;
  readonly parent1: number;
  readonly flags: number;
  readonly traceState: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly method: string;
  /** Without its query, which may hold what nobody else should read. */
  readonly path: string;
  readonly requestId: string;
  /** Of HTTP between the client and the router: 1.0, 1.1 or 2. */
  readonly httpVersion: string;
  readonly model: string;
  /** The target that it was sent to last. */
  readonly node: string;
  /** HTTP's; of a gRPC call the one under which its own is counted. */
  readonly status: number;
  /** The gRPC status that a call ended with; -1: it is no gRPC call. */
  readonly grpcStatus: number;
  /** The gRPC method is one that somebody serves, and no client's invention: a span may be called after it. */
  readonly isKnownMethod: boolean;
  /** The code of the error that the router answered with, or broke the answer off for; "": none. */
  readonly error: string;
  readonly attempts: number;
  /** Estimated tokens of the prompt. */
  readonly promptTokens: number;
  /** As the answer told them; 0: it did not. */
  readonly inputTokens: number;
  /** As the answer told them, or as the events of its stream were counted. */
  readonly outputTokens: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** The answer is an event stream. */
  readonly streamed: boolean;
  /** Events, in order: a SPAN_EVENT, when, a text (a target, a reason) or "", a number (a cost) or NaN. */
  readonly eventKinds: readonly number[];
  readonly eventsMs: readonly number[];
  readonly eventTexts: readonly string[];
  readonly eventValues: readonly number[];
  /** Events that found no room. */
  readonly eventsLost: number;
}

/** One request; made by a SpanRecorder, filled in by whoever handles the request. */
export class Span implements SpanFields {
  trace0 = 0;
  trace1 = 0;
  trace2 = 0;
  trace3 = 0;
  span0 = 0;
  span1 = 0;
  parent0 = 0;
  parent1 = 0;
  flags = 0;
  traceState = "";
  startedMs = 0;
  endedMs = 0;
  method = "";
  path = "";
  requestId = "";
  httpVersion = "1.1";
  model = "";
  node = "";
  status = 0;
  grpcStatus = -1;
  isKnownMethod = false;
  error = "";
  attempts = 0;
  promptTokens = 0;
  inputTokens = 0;
  outputTokens = 0;
  requestBytes = 0;
  responseBytes = 0;
  streamed = false;
  readonly eventKinds: number[] = [];
  readonly eventsMs: number[] = [];
  readonly eventTexts: string[] = [];
  readonly eventValues: number[] = [];
  eventsLost = 0;

  /** Something happened: a SPAN_EVENT, with a text and a number that belong to it. */
  mark(kind: number, atMs: number, text = "", value = Number.NaN): void {
    if (this.eventKinds.length === EVENTS_MAX) {
      this.eventsLost++;
      return;
    }
    this.eventKinds.push(kind);
    this.eventsMs.push(atMs);
    this.eventTexts.push(text);
    this.eventValues.push(value);
  }

  /** The request was given to a target, which costs so many seconds by the scorer's reckoning. */
  picked(atMs: number, node: string, costSeconds: number, promptTokens: number): void {
    this.attempts++;
    this.node = node;
    this.promptTokens = promptTokens;
    this.mark(SPAN_EVENT.picked, atMs, node, costSeconds);
  }

  /** Forgets the request. */
  reset(): void {
    this.parent0 = 0;
    this.parent1 = 0;
    this.traceState = "";
    this.method = "";
    this.path = "";
    this.requestId = "";
    this.httpVersion = "1.1";
    this.model = "";
    this.node = "";
    this.status = 0;
    this.grpcStatus = -1;
    this.isKnownMethod = false;
    this.error = "";
    this.attempts = 0;
    this.promptTokens = 0;
    this.inputTokens = 0;
    this.outputTokens = 0;
    this.requestBytes = 0;
    this.responseBytes = 0;
    this.streamed = false;
    this.eventKinds.length = 0;
    this.eventsMs.length = 0;
    this.eventTexts.length = 0;
    this.eventValues.length = 0;
    this.eventsLost = 0;
  }
}

/** Finished spans on their way to the main thread. */
export interface SpanBatch {
  /** Unix milliseconds of the moment at which the spans' clock was zero. */
  readonly originMs: number;
  /** Spans that were dropped since the last batch. */
  readonly dropped: number;
  readonly spans: readonly SpanFields[];
}

export interface RecorderLimits {
  readonly spansMax: number;
  readonly batchSpansMax: number;
}

export class SpanRecorder {
  readonly #limits: RecorderLimits;
  readonly #free: Span[] = [];
  /** Finished ones: `#waiting` of them from `#first` on, around the end. */
  readonly #ring: Span[] = [];
  #first = 0;
  #waiting = 0;
  #dropped = 0;
  readonly #packr = new Packr();

  constructor(limits: RecorderLimits) {
    this.#limits = limits;
  }

  /** Finished spans that wait to be taken. */
  get waiting(): number {
    return this.#waiting;
  }

  /** A span without a past; give it back by `end`. */
  begin(startedMs: number): Span {
    const span = this.#free.pop() ?? new Span();
    span.startedMs = startedMs;
    return span;
  }

  /** The request has ended; the span is the recorder's again. */
  end(span: Span, endedMs: number): void {
    const { spansMax } = this.#limits;
    span.endedMs = endedMs;
    if (this.#waiting === spansMax) {
      this.#dropped++;
      this.#shift();
    }
    this.#ring[(this.#first + this.#waiting) % spansMax] = span;
    this.#waiting++;
  }

  /** Packs the oldest finished spans, as many as go into a batch; null when there is nothing to tell. */
  take(originMs: number): Uint8Array | null {
    const count = Math.min(this.#waiting, this.#limits.batchSpansMax);
    if (count === 0 && this.#dropped === 0) return null;
    const { spansMax } = this.#limits;
    const spans: Span[] = [];
    for (let i = 0; i < count; i++) {
      const span = this.#ring[(this.#first + i) % spansMax];
      if (span !== undefined) spans.push(span);
    }
    const batch: SpanBatch = { originMs, dropped: this.#dropped, spans };
    // The packer's own buffer is larger, and used again: what travels to another thread is a copy of the right size.
    const packed = new Uint8Array(this.#packr.pack(batch));
    for (let i = 0; i < count; i++) this.#shift();
    this.#dropped = 0;
    return packed;
  }

  /** Takes the oldest one off the ring; it may serve another request. */
  #shift(): void {
    const { spansMax } = this.#limits;
    const span = this.#ring[this.#first];
    this.#first = (this.#first + 1) % spansMax;
    this.#waiting--;
    if (span === undefined || this.#free.length === spansMax) return;
    span.reset();
    this.#free.push(span);
  }
}

const unpackr = new Unpackr();

/** What `take` packed. */
export function unpackSpans(packed: Uint8Array): SpanBatch {
  return unpackr.unpack(packed) as SpanBatch;
}
