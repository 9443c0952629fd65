/**
 * A worker's tracing: which requests are recorded, under which ids, and how their spans get to the main thread.
 *
 * A request that comes with a usable traceparent is recorded when that says so; any other begins a trace, if chance
 * takes it. Where a span is recorded the target is told of it in place of the client's traceparent, so that what it
 * records hangs below; where none is, the client's lines pass as they are. A tracestate without a usable traceparent,
 * or with more members than a list may have, belongs to nothing and is not passed on.
 *
 * Finished spans are packed and posted in batches. The main thread answers each; while it owes a few answers nothing
 * more is posted, and the recorder's bound holds for what waits.
 */
import { SpanRecorder } from "../obs/spans.ts";
import type { Span } from "../obs/spans.ts";
import type { RequestHead } from "../wire/http1.ts";
import { KIND } from "../wire/fields.ts";
import { METHOD } from "../wire/http1.ts";
import {
  SAMPLED,
  TRACESTATE_MEMBERS_MAX,
  TraceParent,
  isSampled,
  newSpanId,
  newTrace,
  stateMembers,
} from "../wire/trace-context.ts";
import { nowMs, unixMs } from "./clock.ts";

/** What a worker is told of tracing; the rest is the main thread's business. */
export interface TracerSettings {
  readonly sample: number;
  readonly batchSpansMax: number;
  readonly workerSpansMax: number;
}

/** Batches that the main thread may have to answer for. */
const UNANSWERED_MAX = 4;
const RANDOM_WORDS = 1024;
/** How much of a tracestate and of a path a span tells. */
export const STATE_CHARACTERS_MAX = 512;
export const SPAN_PATH_BYTES_MAX = 256;
/** How far the two clocks may drift apart before batches get a new origin: below it, a new one would be noise. */
const DRIFT_MS = 5;
const COMMA = Buffer.from(",");

export class Tracer {
  readonly #sample: number;
  readonly #batchSpansMax: number;
  readonly #recorder: SpanRecorder;
  readonly #post: (packed: Uint8Array) => void;
  readonly #parent = new TraceParent();
  readonly #words = new Uint32Array(RANDOM_WORDS);
  #word = RANDOM_WORDS;
  #unanswered = 0;
  #originMs = unixMs() - nowMs();

  /** `post` takes what obs/spans.ts packed to the main thread; `taken` is to be called for each, in time. */
  constructor({ sample, batchSpansMax, workerSpansMax }: TracerSettings, post: (packed: Uint8Array) => void) {
    this.#sample = sample;
    this.#batchSpansMax = batchSpansMax;
    this.#recorder = new SpanRecorder({ spansMax: workerSpansMax, batchSpansMax });
    this.#post = post;
  }

  /**
   * The span of the request that `head` begins, or null when it is not recorded. Marks the client's lines of the
   * trace as not forwarded where they don't hold any more.
   */
  begin(buffer: Buffer, head: RequestHead): Span | null {
    const line = head.traceparentLine;
    const alone = line >= 0 && !head.traceparentTwice;
    const span = alone
      ? this.open(buffer, head.valueStart[line] ?? 0, head.valueEnd[line] ?? 0)
      : this.open(buffer, 0, 0);
    if (span === null) return null;
    if (line >= 0) dropLines(head, KIND.traceparent);
    if (head.tracestateLine >= 0) {
      if (hasParent(span) && stateFits(buffer, head)) span.traceState = stateOf(buffer, head);
      else dropLines(head, KIND.tracestate);
    }
    span.method = head.method === METHOD.OTHER ? "_OTHER" : buffer.toString("latin1", head.methodStart, head.methodEnd);
    if (head.minorVersion === 0) span.httpVersion = "1.0";
    return span;
  }

  /** The span of a request whose traceparent is bytes[start, end), if it is one; null: it is not recorded. */
  open(bytes: Uint8Array, start: number, end: number): Span | null {
    const parent = this.#parent;
    const follows = parent.read(bytes, start, end);
    if (follows) {
      if ((parent.flags & SAMPLED) === 0) return null;
    } else {
      newTrace(parent, this.#random(), this.#random(), this.#random(), this.#random());
      if (!isSampled(parent, this.#sample)) return null;
    }
    const span = this.#recorder.begin(nowMs());
    span.trace0 = parent.trace0;
    span.trace1 = parent.trace1;
    span.trace2 = parent.trace2;
    span.trace3 = parent.trace3;
    span.flags = parent.flags | SAMPLED;
    if (follows) {
      span.parent0 = parent.span0;
      span.parent1 = parent.span1;
    }
    newSpanId(span, this.#random(), this.#random());
    return span;
  }

  /** The request has ended; its span must not be touched any more. */
  end(span: Span): void {
    this.#recorder.end(span, nowMs());
    if (this.#recorder.waiting >= this.#batchSpansMax) this.flush();
  }

  /** Posts what is finished, as far as the main thread keeps up; `everything`: whether it does or not. */
  flush(everything = false): void {
    const originMs = Date.now() - performance.now();
    if (Math.abs(originMs - this.#originMs) > DRIFT_MS) this.#originMs = originMs;
    while (everything || this.#unanswered < UNANSWERED_MAX) {
      const packed = this.#recorder.take(this.#originMs);
      if (packed === null) return;
      this.#unanswered++;
      this.#post(packed);
    }
  }

  /** The main thread has taken a batch. */
  taken(): void {
    this.#unanswered--;
  }

  #random(): number {
    if (this.#word === RANDOM_WORDS) {
      crypto.getRandomValues(this.#words);
      this.#word = 0;
    }
    return this.#words[this.#word++] ?? 0;
  }
}

/** Whether a span goes on with a client's trace. */
export function hasParent({ parent0, parent1 }: Span): boolean {
  return parent0 !== 0 || parent1 !== 0;
}

function dropLines(head: RequestHead, kind: number): void {
  for (let line = 0; line < head.lineCount; line++) if (head.kind[line] === kind) head.drop[line] = 1;
}

/** Whether the lines of tracestate together are a list that may be passed on. */
function stateFits(buffer: Buffer, head: RequestHead): boolean {
  let members = 0;
  for (let line = head.tracestateLine; line < head.lineCount; line++) {
    if (head.kind[line] !== KIND.tracestate) continue;
    members += stateMembers(buffer, head.valueStart[line] ?? 0, head.valueEnd[line] ?? 0);
  }
  return members <= TRACESTATE_MEMBERS_MAX;
}

/** What the span tells of tracestate: all of it where it is as short as is usual, else nothing. */
function stateOf(buffer: Buffer, head: RequestHead): string {
  const parts: Buffer[] = [];
  for (let line = head.tracestateLine; line < head.lineCount; line++) {
    if (head.kind[line] !== KIND.tracestate) continue;
    if (parts.length > 0) parts.push(COMMA);
    parts.push(buffer.subarray(head.valueStart[line], head.valueEnd[line]));
  }
  const state = Buffer.concat(parts).toString("latin1");
  return state.length <= STATE_CHARACTERS_MAX ? state : "";
}
