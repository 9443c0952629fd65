import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Hedge } from "../../src/flow/hedge.ts";
import { LatencyHistogram } from "../../src/flow/latency-histogram.ts";
import type { HedgeConfig } from "../../src/flow/settings.ts";

const config: HedgeConfig = {
  share: 0.05,
  quantile: 0.95,
  delayMsMin: 20,
  samplesMin: 100,
  halfLifeMs: 60_000,
  burst: 10,
};
const BUCKET = 2 ** (1 / 8);

describe("the histogram", () => {
  test("knows any quantile within a bucket's width", () => {
    const durations = fc.array(fc.double({ min: 1, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(durations, fc.double({ min: 0.01, max: 1, noNaN: true }), (all, share) => {
        const histogram = new LatencyHistogram(1000, 0);
        for (const duration of all) histogram.observe(duration, 0);
        const sorted = all.toSorted((a, b) => a - b);
        const exact = sorted[Math.ceil(share * sorted.length - 1e-9) - 1] ?? 0;
        const found = histogram.quantile(share);
        expect(found).toBeLessThanOrEqual(exact * BUCKET * 1.0001);
        expect(found).toBeGreaterThanOrEqual(exact / BUCKET / 1.0001);
      }),
      { seed: 4, numRuns: 300 },
    );
  });

  test("takes durations out of its range, and numbers that are none, for the nearest bound", () => {
    for (const [duration, low, high] of [
      [0, 1, BUCKET],
      [-5, 1, BUCKET],
      [Number.NaN, 1, BUCKET],
      [1e12, 2 ** 19, 2 ** 20],
      [Infinity, 2 ** 19, 2 ** 20],
    ] as const) {
      const histogram = new LatencyHistogram(1000, 0);
      histogram.observe(duration, 0);
      expect(histogram.quantile(0.5)).toBeGreaterThanOrEqual(low);
      expect(histogram.quantile(1)).toBeLessThanOrEqual(high);
    }
    expect(new LatencyHistogram(1000, 0).quantile(0.5)).toBe(0);
  });

  test("forgets half with each half-life, however often it is looked at", () => {
    for (const stepMs of [10, 333, 1000]) {
      const histogram = new LatencyHistogram(1000, 0);
      for (let count = 0; count < 800; count++) histogram.observe(100, 0);
      for (let now = 0; now <= 3000; now += stepMs) histogram.decay(now);
      expect(histogram.total).toBeGreaterThan(99);
      expect(histogram.total).toBeLessThan(109);
    }
  });

  test("a clock that steps back forgets nothing", () => {
    const histogram = new LatencyHistogram(1000, 5000);
    histogram.observe(10, 5000);
    expect([histogram.decay(0), histogram.total]).toEqual([false, 1]);
  });

  test("new durations take the place of old ones", () => {
    const histogram = new LatencyHistogram(1000, 0);
    for (let count = 0; count < 1000; count++) histogram.observe(10, count);
    for (let count = 0; count < 1000; count++) histogram.observe(500, 10_000 + count);
    expect(histogram.quantile(0.1)).toBeGreaterThan(400);
  });
});

/** A hedge that has seen these first tokens. */
function seen(ttftsMs: readonly number[], settings = config, nowMs = 0): Hedge {
  const hedge = new Hedge(settings, nowMs);
  for (const ttftMs of ttftsMs) hedge.observe(ttftMs, nowMs);
  return hedge;
}

const hundred = Array.from({ length: 128 }, (_, index) => index + 100);

describe("the delay", () => {
  test("is endless until enough is known, then the percentile", () => {
    expect(seen(hundred.slice(0, 99)).delayMs()).toBe(Infinity);
    const delay = seen(hundred).delayMs();
    expect(delay).toBeGreaterThan((100 + 0.95 * 128) / BUCKET);
    expect(delay).toBeLessThan((100 + 0.95 * 128) * BUCKET);
  });

  test("is at least the shortest one", () => {
    expect(seen(hundred.map(() => 2)).delayMs()).toBe(20);
  });

  test("becomes endless again when what is known grew old", () => {
    const hedge = seen(hundred);
    hedge.request(30_000);
    expect(hedge.delayMs()).toBe(Infinity);
  });

  test("follows the load", () => {
    const hedge = seen(hundred);
    for (let count = 0; count < 2000; count++) hedge.observe(3000, count * 100);
    expect(hedge.delayMs()).toBeGreaterThan(2500);
  });

  test("is endless where hedging is off", () => {
    const hedge = seen(hundred, { ...config, share: 0 });
    for (let count = 0; count < 1000; count++) hedge.request(0);
    expect([hedge.delayMs(), hedge.tryHedge(0)]).toEqual([Infinity, false]);
  });
});

describe("the budget", () => {
  test("is earned by requests, from nothing, and saved up to a burst", () => {
    const hedge = seen(hundred);
    const spend = () => Array.from({ length: 50 }, () => hedge.tryHedge(0)).filter(Boolean).length;
    expect(spend()).toBe(0);
    for (let count = 0; count < 101; count++) hedge.request(0);
    expect(spend()).toBe(5);
    for (let count = 0; count < 10_000; count++) hedge.request(0);
    expect(spend()).toBe(10);
  });

  test("grants nothing while the percentile is not known", () => {
    const hedge = seen([]);
    for (let count = 0; count < 1000; count++) hedge.request(0);
    expect(hedge.tryHedge(0)).toBe(false);
    const aged = seen(hundred);
    for (let count = 0; count < 1000; count++) aged.request(0);
    expect([aged.tryHedge(0), aged.tryHedge(60_000)]).toEqual([true, false]);
  });

  test("is never exceeded, whatever happens", () => {
    const events = fc.array(
      fc.record({ afterMs: fc.nat(2000), requests: fc.nat(60), hedges: fc.nat(20), ttftMs: fc.nat(5000) }),
    );
    fc.assert(
      fc.property(events, fc.double({ min: 0, max: 0.5, noNaN: true }), (course, share) => {
        const hedge = seen(hundred, { ...config, share, samplesMin: 10 });
        let [now, requests, hedged] = [0, 0, 0];
        for (const step of course) {
          now += step.afterMs;
          for (let count = 0; count < step.requests; count++) hedge.request(now);
          requests += step.requests;
          hedge.observe(step.ttftMs, now);
          expect(hedge.delayMs()).toBeGreaterThanOrEqual(config.delayMsMin);
          for (let count = 0; count < step.hedges; count++) if (hedge.tryHedge(now)) hedged++;
          expect(hedged).toBeLessThanOrEqual(share * requests + 1e-6);
        }
      }),
      { seed: 4, numRuns: 300 },
    );
  });
});
