import { expect, test } from "bun:test";
import fc from "fast-check";
import { courseOf, SLICES_MAX } from "../../src/load/course.ts";
import { Flight } from "../../src/load/flight.ts";
import { reportOf } from "../../src/load/report.ts";
import { Tally } from "../../src/load/tally.ts";

const SLO = { ttftMs: 500, itlMs: 50, endMs: 0 };
const ABOUT = { url: "", model: "", workload: "", seed: 1, startedAtMs: 0, isStopped: false };

const outcome = fc.record({
  dueMs: fc.double({ min: 0, max: 90_000_000, noNaN: true }),
  firstMs: fc.double({ min: 0, max: 5000, noNaN: true }),
  tookMs: fc.double({ min: 0, max: 3_600_000, noNaN: true }),
  tokens: fc.integer({ min: -1, max: 50 }),
  failure: fc.constantFrom("", "", "", "timeout", "unfinished"),
});

test("slices add up to the whole, and are never too many", () => {
  const warmUpMs = fc.constantFrom(0, 10_000);
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 60 }), warmUpMs, (outcomes, warmUp) => {
      const tally = new Tally();
      tally.start(0, warmUp);
      for (const [number, { dueMs, firstMs, tookMs, tokens, failure }] of outcomes.entries()) {
        const planned = { dueMs, promptTokens: 1, outputTokens: 1, hashes: [] };
        const flight = new Flight(number, planned, dueMs, dueMs < warmUp);
        flight.sentMs = dueMs;
        if (failure === "") flight.firstMs = dueMs + Math.min(firstMs, tookMs);
        flight.endMs = dueMs + tookMs;
        flight.outputTokens = tokens;
        flight.failure = failure;
        tally.ended(flight);
      }
      const report = reportOf(tally, SLO, ABOUT);
      const { slices, sliceMs } = report.course;
      expect(slices.length).toBeLessThanOrEqual(SLICES_MAX);
      expect(sliceMs).toBeGreaterThanOrEqual(1000);
      const sum = (of: (slice: (typeof slices)[number]) => number) => slices.reduce((all, slice) => all + of(slice), 0);
      expect(sum(({ due }) => due)).toBe(report.requests);
      expect(sum(({ ok }) => ok)).toBe(report.ok);
      expect(sum(({ failed }) => failed)).toBe(report.failed);
      expect(sum(({ outputTokens }) => outputTokens)).toBe(report.outputTokens);
      expect(sum(({ good }) => good)).toBe(Math.round((report.goodput ?? 0) * report.requests));
    }),
  );
});

test("nothing has no slices", () => {
  expect(courseOf(new Tally(), SLO, 0)).toEqual({ sliceMs: 1000, slices: [] });
});
