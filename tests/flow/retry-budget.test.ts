import { expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { RetryBudget } from "../../src/flow/retry-budget.ts";
import { flowSettings } from "../../src/flow/settings.ts";

const config = defaultsOf(flowSettings).retry;

/** How many retries it grants at once, at most `most`. */
function spend(budget: RetryBudget, atMs: number, most = 1e5): number {
  let granted = 0;
  while (granted < most && budget.tryRetry(atMs)) granted++;
  return granted;
}

test("a model at rest has a window's worth of the least rate, and earns it anew", () => {
  const budget = new RetryBudget({ share: 0.2, perSecondMin: 10, windowMs: 10_000 }, 0);
  expect(spend(budget, 0)).toBe(100);
  expect(spend(budget, 1000)).toBe(9);
  expect(spend(budget, 100_000)).toBe(99);
});

test("each request earns its share", () => {
  const budget = new RetryBudget({ share: 0.25, perSecondMin: 0, windowMs: 10_000 }, 0);
  expect(budget.tryRetry(0)).toBe(false);
  for (let count = 0; count < 40; count++) budget.request(0);
  expect(spend(budget, 0)).toBe(10);
});

test("what was saved decays, so that quiet hours pay for no storm", () => {
  const budget = new RetryBudget({ share: 0.2, perSecondMin: 0, windowMs: 10_000 }, 0);
  for (let second = 0; second < 3600; second++) for (let count = 0; count < 50; count++) budget.request(second * 1000);
  const held = spend(budget, 3600_000);
  expect(held).toBeGreaterThan(85);
  expect(held).toBeLessThanOrEqual(105);
  const later = new RetryBudget({ share: 1, perSecondMin: 0, windowMs: 1000 }, 0);
  for (let count = 0; count < 1000; count++) later.request(0);
  expect(spend(later, 10_000)).toBe(0);
});

test("a steady stream may repeat its share for ever", () => {
  const budget = new RetryBudget({ share: 0.2, perSecondMin: 0, windowMs: 10_000 }, 0);
  let granted = 0;
  for (let request = 0; request < 10_000; request++) {
    budget.request(request);
    if (budget.tryRetry(request)) granted++;
  }
  expect(granted).toBeGreaterThan(1990);
  expect(granted).toBeLessThanOrEqual(2000);
});

test("a clock that stands still or steps back gives nothing away", () => {
  const budget = new RetryBudget({ ...config, share: 0 }, 1000);
  const held = spend(budget, 1000);
  expect(held).toBe(100);
  expect([spend(budget, 0), spend(budget, -1e9), spend(budget, 1000)]).toEqual([0, 0, 0]);
});

test("retries never exceed what requests and time have earned", () => {
  const events = fc.array(fc.record({ afterMs: fc.nat(5000), requests: fc.nat(50), retries: fc.nat(100) }));
  const settings = fc.record({
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    perSecondMin: fc.double({ min: 0, max: 50, noNaN: true }),
    windowMs: fc.integer({ min: 100, max: 60_000 }),
  });
  fc.assert(
    fc.property(events, settings, (course, chosen) => {
      const budget = new RetryBudget(chosen, 0);
      let [now, requests, retries] = [0, 0, 0];
      for (const step of course) {
        now += step.afterMs;
        for (let count = 0; count < step.requests; count++) budget.request(now);
        requests += step.requests;
        retries += spend(budget, now, step.retries);
        const atStart = (chosen.perSecondMin * chosen.windowMs) / 1000;
        const earned = requests * chosen.share + (chosen.perSecondMin * now) / 1000;
        expect(retries).toBeLessThanOrEqual(atStart + earned + 1e-6);
      }
    }),
    { seed: 4, numRuns: 300 },
  );
});
