import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SPAN_EVENT, SpanRecorder, unpackSpans } from "../../src/obs/spans.ts";
import type { Span, SpanBatch, SpanFields } from "../../src/obs/spans.ts";

const LIMITS = { spansMax: 4, batchSpansMax: 3 };

function taken(recorder: SpanRecorder, originMs = 1000): SpanBatch | null {
  const packed = recorder.take(originMs);
  return packed === null ? null : unpackSpans(packed);
}

/** Records one request, named by its path. */
function record(recorder: SpanRecorder, path: string): void {
  const span = recorder.begin(1);
  span.path = path;
  recorder.end(span, 2);
}

/** A copy of what it holds at present. */
const fieldsOf = (span: Span): SpanFields => structuredClone(span) as SpanFields;

describe("a span", () => {
  test("travels with all that it holds", () => {
    const recorder = new SpanRecorder(LIMITS);
    const span = recorder.begin(10.25);
    Object.assign(span, { trace0: 0xffff_ffff, trace3: 4, span0: 5, parent1: 6, flags: 3, traceState: "a=1" });
    Object.assign(span, {
      method: "POST",
      requestId: "r",
      model: "m",
      status: 200,
      requestBytes: 2 ** 40,
      streamed: true,
    });
    span.path = "/v1/ü";
    span.picked(11, "node-1", 0.125, 77);
    span.mark(SPAN_EVENT.retry, 12.5, "reset");
    span.picked(12.75, "node-2", 0, 77);
    recorder.end(span, 20.5);
    const batch = taken(recorder, 1_800_000_000_000.5);
    expect(batch).toMatchObject({ originMs: 1_800_000_000_000.5, dropped: 0 });
    expect(batch?.spans).toHaveLength(1);
    expect(batch?.spans[0]).toMatchObject({
      trace0: 0xffffffff,
      trace1: 0,
      trace3: 4,
      span0: 5,
      parent0: 0,
      parent1: 6,
      flags: 3,
      traceState: "a=1",
      startedMs: 10.25,
      endedMs: 20.5,
      method: "POST",
      path: "/v1/ü",
      requestId: "r",
      model: "m",
      status: 200,
      node: "node-2",
      attempts: 2,
      promptTokens: 77,
      requestBytes: 2 ** 40,
      responseBytes: 0,
      streamed: true,
      eventKinds: [SPAN_EVENT.picked, SPAN_EVENT.retry, SPAN_EVENT.picked],
      eventsMs: [11, 12.5, 12.75],
      eventTexts: ["node-1", "reset", "node-2"],
      eventValues: [0.125, Number.NaN, 0],
      eventsLost: 0,
    });
  });

  test("is used again, and remembers nothing", () => {
    const recorder = new SpanRecorder(LIMITS);
    const first = recorder.begin(1);
    const fresh = fieldsOf(first);
    first.picked(1, "a", 1, 1);
    Object.assign(first, {
      error: "e",
      traceState: "x",
      model: "m",
      status: 500,
      grpcStatus: 14,
      isKnownMethod: true,
      httpVersion: "1.0",
      streamed: true,
      eventsLost: 3,
    });
    Object.assign(first, { method: "GET", path: "/", requestId: "r", parent0: 1, parent1: 1, requestBytes: 1 });
    recorder.end(first, 2);
    taken(recorder);
    const again = recorder.begin(3);
    expect(again).toBe(first);
    expect(fieldsOf(again)).toEqual({ ...fresh, startedMs: 3, endedMs: 2 });
    expect(recorder.begin(4)).not.toBe(first);
  });

  test("keeps its first 64 events and counts the others", () => {
    const recorder = new SpanRecorder(LIMITS);
    const span = recorder.begin(0);
    for (let i = 0; i < 70; i++) span.mark(SPAN_EVENT.connecting, i);
    recorder.end(span, 99);
    const told = taken(recorder)?.spans[0];
    expect([told?.eventKinds.length, told?.eventsMs.at(-1), told?.eventsLost]).toEqual([64, 63, 6]);
  });
});

describe("a recorder", () => {
  test("drops the oldest when nobody takes them, and says so once", () => {
    const recorder = new SpanRecorder(LIMITS);
    expect(taken(recorder)).toBeNull();
    for (const path of "abcdef") record(recorder, path);
    expect(recorder.waiting).toBe(4);
    const batches = [taken(recorder), taken(recorder), taken(recorder)];
    expect(batches.map((batch) => batch?.spans.map(({ path }) => path).join(""))).toEqual(["cde", "f", undefined]);
    expect(batches.map((batch) => batch?.dropped)).toEqual([2, 0, undefined]);
  });

  test("tells every span once, in order, or counts it as dropped, whatever the order of events", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("end", "end", "end", "take"), { maxLength: 60 }), (steps) => {
        const recorder = new SpanRecorder(LIMITS);
        const told: number[] = [];
        let ended = 0;
        let dropped = 0;
        const take = (): boolean => {
          const batch = taken(recorder);
          dropped += batch?.dropped ?? 0;
          told.push(...(batch?.spans ?? []).map(({ path }) => Number(path)));
          return batch !== null;
        };
        for (const step of steps) {
          if (step === "end") record(recorder, String(ended++));
          else take();
          expect(recorder.waiting).toBeLessThanOrEqual(LIMITS.spansMax);
        }
        while (take());
        expect(told).toEqual(told.toSorted((a, b) => a - b));
        expect(new Set(told).size).toBe(told.length);
        expect(told.length + dropped).toBe(ended);
      }),
      { seed: 7, numRuns: 200 },
    );
  });

  test("packs into memory of its own: a batch stays as it is while the next is packed", () => {
    const recorder = new SpanRecorder(LIMITS);
    record(recorder, "first");
    const first = recorder.take(1) ?? new Uint8Array();
    const before = Buffer.from(first).toString("hex");
    for (let i = 0; i < 50; i++) {
      record(recorder, `other-${i}`);
      recorder.take(2);
    }
    expect(first.buffer.byteLength).toBe(first.length);
    expect(Buffer.from(first).toString("hex")).toBe(before);
  });
});
