/** What tests of both lanes' spans share: a tracer that keeps what it posts, and spans in words. */
import { expect } from "bun:test";
import { SPAN_EVENT, unpackSpans } from "../../src/obs/spans.ts";
import type { SpanBatch, SpanFields } from "../../src/obs/spans.ts";
import { Tracer } from "../../src/proxy/tracing.ts";

export const TRACE = "0af7651916cd43dd8448eb211c80319c";
export const PARENT = "b7ad6b7169203331";

const NAMES = Object.keys(SPAN_EVENT);

/** A tracer that keeps what it posts, and is answered at once. */
export function tracing(sample = 1) {
  const batches: SpanBatch[] = [];
  const tracer = new Tracer({ sample, batchSpansMax: 64, workerSpansMax: 64 }, (packed) => {
    batches.push(unpackSpans(packed));
    tracer.taken();
  });
  const spans = (): SpanFields[] => {
    tracer.flush();
    return batches.flatMap((batch) => batch.spans);
  };
  return { tracer, spans, batches };
}

/** The only span so far. */
export function only(spans: readonly SpanFields[]): SpanFields {
  expect(spans).toHaveLength(1);
  return spans[0]!;
}

export const hex = (...words: number[]): string => words.map((word) => word.toString(16).padStart(8, "0")).join("");
export const traceOf = (span: SpanFields): string => hex(span.trace0, span.trace1, span.trace2, span.trace3);
export const eventsOf = (span: SpanFields): string[] => span.eventKinds.map((kind) => NAMES[kind] ?? "");

/** The traceparent by which a target is told of the span. */
export function parentBy(span: SpanFields): string {
  return `00-${traceOf(span)}-${hex(span.span0, span.span1)}-${span.flags.toString(16).padStart(2, "0")}`;
}
