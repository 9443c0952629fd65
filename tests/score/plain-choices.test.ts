/**
 * `ttft`, `slo` and `cost` look at few targets closely. Here each weighs all of them, one rule after the other, as its
 * words say: both choose the same, by the same draws.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { expectedSeconds } from "../../src/score/expected-seconds.ts";
import { type ArrivalStrategy, arrivalStrategy } from "../../src/score/strategies.ts";
import { TargetView, type Wanted } from "../../src/score/view.ts";

const MARGINS = [2, 1.5, 1.25, 1.1];

/** Few values a column, so that targets are alike in much. */
function anyView(prng: Prng): TargetView {
  const view = new TargetView(1 + prng.int(40));
  const one = (values: readonly number[]): number => values[prng.int(values.length)]!;
  const speeds = [5e-5, 1e-4, 1.02e-4, 3e-4, 1e-3].slice(0, 1 + prng.int(5));
  const caches = [0, 0, 256, 260, 900, 5000].slice(0, 1 + prng.int(6));
  const queues = [0, 0, 100, 2000, 40_000].slice(0, 1 + prng.int(5));
  const prices = [0, 1, 2.5, 4].slice(prng.int(2), 2 + prng.int(3));
  for (let target = 0; target < view.count; target += 1) {
    view.routable[target] = prng.int(8) === 0 ? 0 : 1;
    view.secondsPerPrefillToken[target] = one(speeds);
    view.matchedTokens[target] = one(caches);
    view.queuedTokens[target] = one(queues);
    view.pricePerHour[target] = one(prices);
    view.active[target] = prng.int(5);
    view.running[target] = prng.int(5);
    view.stepSeconds[target] = one([0, 0.01, 0.025]);
    view.secondsPerActive[target] = one([1e-4, 2e-3]);
    view.slots[target] = one([2, 100]);
    view.secondsPerQueuedRequest[target] = 0.05;
    view.kvOffset[target] = one([-1, -0.01, 0.3]);
    view.kvPerToken[target] = 1e-6;
    view.penaltySeconds[target] = one([0, 0.001, 0.2]);
  }
  return view;
}

const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity);
const freshOf = (view: TargetView, target: number, { promptTokens }: Wanted): number =>
  Math.max(1, promptTokens - view.matchedTokens[target]!);

/** The least of the routable ones' costs; of equals one is drawn. */
function drawn(view: TargetView, prng: Prng, costOf: (target: number) => number): number {
  let [best, found, ties] = [Infinity, -1, 0];
  for (let target = 0; target < view.count; target += 1) {
    const cost = costOf(target);
    if (view.routable[target] === 0 || cost > best) continue;
    ties = cost < best ? 1 : ties + 1;
    best = cost;
    if (ties === 1 || prng.isOneIn(ties)) found = target;
  }
  return found;
}

function inTime(view: TargetView, wanted: Wanted): number[] {
  const { leftMs = Infinity, gapMs = Infinity, priority = 1 } = wanted;
  return [...view.active.keys()].filter((target) => {
    const seconds = view.secondsPerPrefillToken[target]!;
    const more = Math.max(0, view.active[target]! + 1 - view.running[target]!);
    const between = view.stepSeconds[target]! + more * view.secondsPerActive[target]!;
    const queued = view.queuedTokens[target]! * seconds;
    return (
      view.routable[target] === 1 &&
      expectedSeconds(view, target, { ...wanted, missWeight: 0 }) <= leftMs / (1000 * MARGINS[priority]!) &&
      between <= gapMs / 1750 &&
      (queued <= 0.15 || queued <= freshOf(view, target, wanted) * seconds)
    );
  });
}

type Choose = (view: TargetView, prng: Prng, wanted: Wanted) => number;

const ttft: Choose = (view, prng, wanted) => drawn(view, prng, (target) => expectedSeconds(view, target, wanted));

const slo: Choose = (view, prng, wanted) => {
  const may = inTime(view, wanted);
  if (may.length === 0) return ttft(view, prng, wanted);
  const work = least(may.map((target) => freshOf(view, target, wanted)));
  const little = may.filter((target) => freshOf(view, target, wanted) <= work * 1.15 + 64);
  const secondsOf = (target: number): number => view.secondsPerPrefillToken[target]!;
  const slowest = Math.max(...little.map(secondsOf));
  const meant = new Set(little.filter((target) => secondsOf(target) * 1.15 >= slowest));
  return drawn(view, prng, (target) => (meant.has(target) ? expectedSeconds(view, target, wanted) : Infinity));
};

const cost: Choose = (view, prng, wanted) => {
  const may = inTime(view, wanted);
  if (may.length === 0) return ttft(view, prng, wanted);
  const prices = [...view.pricePerHour].filter((_, target) => view.routable[target] === 1);
  const unknown = Math.max(...prices) > 0 ? Math.max(...prices) : 1;
  const moneyOf = (target: number): number =>
    (view.pricePerHour[target]! || unknown) *
    (freshOf(view, target, wanted) + 1000) *
    view.secondsPerPrefillToken[target]!;
  const cheapest = least(may.map(moneyOf));
  const meant = new Set(may.filter((target) => moneyOf(target) <= cheapest * 1.15));
  return drawn(view, prng, (target) => (meant.has(target) ? -view.active[target]! : Infinity));
};

test.each([
  ["ttft", ttft],
  ["slo", slo],
  ["cost", cost],
] as const)("%s", (name: ArrivalStrategy, choose: Choose) => {
  let spread = 0;
  let late = 0;
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const prng = new Prng(seed);
      const twin = new Prng(seed + 1);
      const one = arrivalStrategy(name, seed + 1);
      for (let times = 0; times < 12; times += 1) {
        const view = anyView(prng);
        const wanted: Wanted = {
          promptTokens: 1 + prng.int(3000),
          missWeight: prng.int(3),
          priority: prng.int(4),
          leftMs: [Infinity, 2000, 400, 50][prng.int(4)]!,
          gapMs: [Infinity, 50, 20][prng.int(3)]!,
        };
        const target = one.choose(view, wanted, 0);
        expect(target).toBe(choose(view, twin, wanted));
        const may = inTime(view, wanted);
        if (may.length === 0) late += 1;
        else if (may.length < view.count / 2) spread += 1;
      }
    }),
    { numRuns: 400 },
  );
  // Where all or none are in time there is little to tell apart.
  expect(late).toBeGreaterThan(100);
  expect(spread).toBeGreaterThan(1000);
});
