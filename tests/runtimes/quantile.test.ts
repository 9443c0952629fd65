/** Quantiles of buckets as Prometheus has them, and the moments of a sliding window. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { quantile } from "../../src/runtimes/quantile.ts";
import { MOMENTS, SlidingWindow } from "../../src/runtimes/window.ts";

test("lie linearly within their bucket", () => {
  const bounds = [1, 2, 4, Infinity];
  expect(quantile(0.5, bounds, [0, 10, 20, 20], 20)).toBe(2);
  expect(quantile(0.75, bounds, [0, 10, 20, 20], 20)).toBe(3);
  expect(quantile(0.25, bounds, [10, 10, 10, 10], 10)).toBe(0.25);
  expect(quantile(1, bounds, [10, 10, 10, 20], 20)).toBe(4);
  expect(quantile(0, bounds, [0, 10, 10, 10], 10)).toBe(1);
});

test("of nothing, or without a bound, are not known", () => {
  expect(quantile(0.5, [1, Infinity], [0, 0], 0)).toBeUndefined();
  expect(quantile(0.5, [Infinity], [5], 5)).toBeUndefined();
  expect(quantile(0.5, [], [], 5)).toBeUndefined();
  expect(quantile(0.5, [1], [5], Number.NaN)).toBeUndefined();
});

test("do not fall where counts do, and a first bound below 0 is the answer", () => {
  expect(quantile(0.9, [1, 2, Infinity], [10, 4, 10], 10)).toBeCloseTo(0.9);
  expect(quantile(0.5, [-1, 2, Infinity], [8, 10, 10], 10)).toBe(-1);
});

test("rise with the share that is asked for", () => {
  const counts = fc.array(fc.nat(50), { minLength: 2, maxLength: 20 });
  fc.assert(
    fc.property(
      counts,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (by, a, b) => {
        let below = 0;
        const cumulative = by.map((count) => (below += count));
        const bounds = by.map((_, i) => (i === by.length - 1 ? Infinity : (i + 1) / 10));
        const [low, high] = [Math.min(a, b), Math.max(a, b)].map((q) => quantile(q, bounds, cumulative, below));
        if (below === 0) expect(low).toBeUndefined();
        else expect(low!).toBeLessThanOrEqual(high! + 1e-12);
      },
    ),
  );
});

test("a window begins a whole one back, or as far as it goes, however the moments come", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 200 }), (steps) => {
      const window = new SlidingWindow(10_000);
      const places = new Map<number, number>();
      let nowMs = 0;
      for (const step of steps) {
        nowMs += step;
        const begin = window.begin(nowMs);
        if (places.size === 0) expect(begin).toBe(-1);
        else {
          const sinceMs = nowMs - window.atMs(begin);
          expect(places.get(begin)).toBe(window.atMs(begin));
          expect(sinceMs).toBeGreaterThan(0);
          expect(sinceMs).toBeLessThanOrEqual(10_000 + 1000 + 5000);
          if (nowMs > 16_000) expect(sinceMs).toBeGreaterThanOrEqual(10_000);
        }
        const place = window.record(nowMs);
        expect(place).toBeLessThan(MOMENTS);
        if (place >= 0) places.set(place, nowMs);
      }
    }),
  );
});
