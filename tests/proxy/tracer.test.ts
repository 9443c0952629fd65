import { expect, test } from "bun:test";
import { unpackSpans } from "../../src/obs/spans.ts";
import type { SpanBatch } from "../../src/obs/spans.ts";
import { Tracer } from "../../src/proxy/tracing.ts";
import { HEAD_LIMITS, PARSE_DONE, RequestHead } from "../../src/wire/http1.ts";

test("a share of the new traces is recorded", () => {
  let recorded = 0;
  const tracer = new Tracer({ sample: 0.25, batchSpansMax: 64, workerSpansMax: 64 }, () => tracer.taken());
  const head = new RequestHead(HEAD_LIMITS);
  const buffer = Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  expect(head.parse(buffer, 0, buffer.length)).toBe(PARSE_DONE);
  for (let i = 0; i < 4000; i++) {
    const span = tracer.begin(buffer, head);
    if (span === null) continue;
    recorded++;
    tracer.end(span);
  }
  // Six standard deviations on either side.
  expect(recorded).toBeGreaterThan(1000 - 165);
  expect(recorded).toBeLessThan(1000 + 165);
});

test("spans wait, and then are dropped, while the main thread owes answers", () => {
  const posted: SpanBatch[] = [];
  const tracer = new Tracer({ sample: 1, batchSpansMax: 2, workerSpansMax: 16 }, (packed) =>
    posted.push(unpackSpans(packed)),
  );
  const head = new RequestHead(HEAD_LIMITS);
  const buffer = Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  head.parse(buffer, 0, buffer.length);
  const record = (count: number): void => {
    for (let i = 0; i < count; i++) tracer.end(tracer.begin(buffer, head)!);
  };
  record(40);
  expect(posted.map(({ spans }) => spans.length)).toEqual([2, 2, 2, 2]);
  tracer.flush();
  expect(posted).toHaveLength(4);
  tracer.taken();
  tracer.flush();
  expect(posted.slice(4).map(({ spans, dropped }) => [spans.length, dropped])).toEqual([[2, 16]]);
  tracer.flush(true);
  expect(posted.reduce((sum, { spans, dropped }) => sum + spans.length + dropped, 0)).toBe(40);
});
