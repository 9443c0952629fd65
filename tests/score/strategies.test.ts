import { describe, expect, test } from "bun:test";
import { ARRIVAL_STRATEGIES, type ArrivalStrategy, arrivalStrategy } from "../../src/score/strategies.ts";
import { type Strategy, TargetView, type Wanted } from "../../src/score/view.ts";

const WANTED: Wanted = { promptTokens: 1000 };

/** Four targets, all alike but for these figures. */
function view(figures: Partial<Record<keyof TargetView, readonly number[]>> = {}): TargetView {
  const targets = new TargetView(4);
  targets.secondsPerPrefillToken.fill(1 / 20_000);
  for (const [name, values] of Object.entries(figures)) {
    (targets[name as keyof TargetView] as Float64Array).set(values);
  }
  return targets;
}

const strategy = (name: ArrivalStrategy): Strategy => arrivalStrategy(name, 1);
/** How often each target is chosen. */
function tally(one: Strategy, targets: TargetView, times: number, wanted = WANTED): number[] {
  const counts = [0, 0, 0, 0];
  for (let count = 0; count < times; count += 1) counts[one.choose(targets, wanted, count)]! += 1;
  return counts;
}

describe.each([...ARRIVAL_STRATEGIES])("%s", (name) => {
  test("chooses nobody where nobody may be sent to, and only such as may", () => {
    expect(strategy(name).choose(view({ routable: [0, 0, 0, 0] }), WANTED, 0)).toBe(-1);
    expect(tally(strategy(name), view({ routable: [0, 0, 1, 0] }), 20)).toEqual([0, 0, 20, 0]);
    expect(tally(strategy(name), view({ routable: [0, 1, 1, 0] }), 40).map((count) => count > 0)).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  test("spreads what finds all targets alike", () => {
    for (const count of tally(strategy(name), view(), 400)) expect(count).toBeGreaterThan(40);
  });
});

test("round-robin takes turns", () => {
  const one = strategy("round-robin");
  const turns = Array.from({ length: 8 }, () => one.choose(view(), WANTED, 0));
  expect(new Set(turns.slice(0, 4)).size).toBe(4);
  expect(turns.slice(4)).toEqual(turns.slice(0, 4));
});

test("least-request takes the one with the fewest", () => {
  expect(tally(strategy("least-request"), view({ active: [3, 1, 2, 1] }), 100).map((count) => count > 20)).toEqual([
    false,
    true,
    false,
    true,
  ]);
});

test("p2c never takes the most loaded, and the least loaded most often", () => {
  const [most, second, third, least] = tally(strategy("p2c"), view({ active: [9, 5, 3, 1] }), 600);
  expect(most).toBe(0);
  expect(least).toBeGreaterThan(third!);
  expect(third).toBeGreaterThan(second!);
});

describe("peak-ewma", () => {
  test("shuns a target as soon as it is slow once, and comes back as that decays", () => {
    const one = strategy("peak-ewma");
    one.observe!(0, 5000, 0);
    expect(one.choose(view({ routable: [1, 1, 0, 0] }), WANTED, 1)).toBe(1);
    const loaded = view({ routable: [1, 1, 0, 0], active: [0, 3, 0, 0] });
    for (const [target, ms] of [
      [1, 30],
      [0, 30],
    ] as const)
      one.observe!(target, ms, 60_000);
    expect(one.choose(loaded, WANTED, 60_001)).toBe(0);
  });

  test("forgets gently", () => {
    const one = strategy("peak-ewma");
    one.observe!(0, 1000, 0);
    one.observe!(0, 100, 100);
    one.observe!(1, 500, 100);
    expect(one.choose(view({ routable: [1, 1, 0, 0] }), WANTED, 101)).toBe(1);
  });
});

test("prequal takes the fastest of those that are not hot, and the least loaded where all are", () => {
  const one = strategy("prequal");
  for (const [target, ms] of [
    [0, 10],
    [1, 20],
    [2, 30],
    [3, 40],
  ] as const)
    one.observe!(target, ms, 0);
  const [hot] = tally(one, view({ active: [50, 1, 1, 1] }), 200);
  expect(hot).toBeLessThan(10);
});

describe("cache-aware", () => {
  test("goes where more than half is cached, else to the smallest cache", () => {
    const figures = { matchedTokens: [0, 600, 400, 0], cachedBlocks: [9, 9, 9, 2] };
    expect(strategy("cache-aware").choose(view(figures), WANTED, 0)).toBe(1);
    expect(strategy("cache-aware").choose(view({ ...figures, matchedTokens: [0, 500, 400, 0] }), WANTED, 0)).toBe(3);
  });

  test("goes to the shortest queue while loads differ much", () => {
    const figures = { matchedTokens: [0, 900, 0, 0], active: [10, 43, 20, 12] };
    expect(strategy("cache-aware").choose(view(figures), WANTED, 0)).toBe(0);
    expect(strategy("cache-aware").choose(view({ ...figures, active: [11, 43, 20, 12] }), WANTED, 0)).toBe(1);
  });
});

test("epp-blend weighs prefix, queue and cache 3 : 2 : 2", () => {
  const one = strategy("epp-blend");
  expect(one.choose(view({ matchedTokens: [0, 700, 0, 0], waiting: [0, 4, 4, 4] }), WANTED, 0)).toBe(1);
  expect(one.choose(view({ matchedTokens: [0, 600, 0, 0], waiting: [0, 4, 4, 4] }), WANTED, 0)).toBe(0);
  expect(one.choose(view({ kvUsage: [0.5, 0.4, 0.6, 0.9] }), WANTED, 0)).toBe(1);
});

test("epp-default sticks to the prefix until that costs 18 s", () => {
  const one = strategy("epp-default");
  const queued = (tokens: number): TargetView =>
    view({ matchedTokens: [0, 800, 0, 0], queuedTokens: [1000, tokens, 1000, 1000] });
  expect(one.choose(queued(1000 + 18 * 15_928), WANTED, 0)).toBe(1);
  expect(one.choose(queued(1001 + 18 * 15_928), WANTED, 0)).not.toBe(1);
  expect(one.choose(view({ matchedTokens: [0, 799, 0, 0], queuedTokens: [1, 1, 0, 1] }), WANTED, 0)).toBe(2);
});

test("kv-cost adds blocks to prefill and blocks of what is decoded", () => {
  const one = strategy("kv-cost");
  expect(one.choose(view({ matchedTokens: [0, 900, 0, 0], contextTokens: [0, 899, 0, 1] }), WANTED, 0)).toBe(1);
  expect(one.choose(view({ matchedTokens: [0, 900, 0, 0], contextTokens: [0, 901, 1, 1] }), WANTED, 0)).toBe(0);
});

describe("ttft", () => {
  test("takes the soonest, by queue, cache, rate and distance", () => {
    const one = strategy("ttft");
    expect(one.choose(view({ queuedTokens: [500, 400, 600, 500] }), WANTED, 0)).toBe(1);
    expect(one.choose(view({ queuedTokens: [0, 0, 100, 0], matchedTokens: [0, 0, 500, 0] }), WANTED, 0)).toBe(2);
    expect(one.choose(view({ penaltySeconds: [0.2, 0.1, 0.3, 0.2] }), WANTED, 0)).toBe(1);
    expect(one.choose(view({ secondsPerPrefillToken: [1, 1, 1, 0.5] }), WANTED, 0)).toBe(3);
  });

  test("prices a miss where others wait behind it", () => {
    // 1000 tokens more to compute, or 1500 to wait for: at loaded targets a miss counts three times.
    const figures = { queuedTokens: [20_000, 21_500, 90_000, 90_000], matchedTokens: [0, 1000, 0, 0] };
    expect(strategy("ttft").choose(view(figures), { ...WANTED, promptTokens: 2000 }, 0)).toBe(1);
  });
});

describe("slo", () => {
  const SLOW = 1 / 5000;
  const FAST = 1 / 20_000;
  const wanted = { ...WANTED, leftMs: 2000 };
  const one = strategy("slo");

  test("takes the slowest that is in time, and the fast one where only that is", () => {
    const speeds = { secondsPerPrefillToken: [FAST, SLOW, FAST, FAST] };
    expect(one.choose(view(speeds), wanted, 0)).toBe(1);
    expect(one.choose(view(speeds), { ...wanted, leftMs: 200 }, 0)).not.toBe(1);
    // An urgent one leaves itself more time.
    expect(one.choose(view(speeds), { ...wanted, leftMs: 350, priority: 3 }, 0)).toBe(1);
    expect(one.choose(view(speeds), { ...wanted, leftMs: 350, priority: 0 }, 0)).not.toBe(1);
  });

  test("computes nothing anew that is cached where that is in time", () => {
    const figures = { matchedTokens: [0, 0, 900, 0], queuedTokens: [0, 0, 2000, 0] };
    expect(one.choose(view(figures), wanted, 0)).toBe(2);
    expect(one.choose(view({ ...figures, queuedTokens: [0, 0, 40_000, 0] }), wanted, 0)).not.toBe(2);
  });

  test("keeps away from targets whose tokens come too far apart, and from long queues", () => {
    const speeds = { secondsPerPrefillToken: [FAST, SLOW, FAST, FAST] };
    const gaps = { stepSeconds: [0.01, 0.04, 0.01, 0.01], running: [5, 5, 5, 5], active: [5, 5, 5, 5] };
    expect(one.choose(view({ ...speeds, ...gaps }), { ...wanted, gapMs: 50 }, 0)).not.toBe(1);
    expect(one.choose(view({ ...speeds, ...gaps }), { ...wanted, gapMs: 100 }, 0)).toBe(1);
    expect(one.choose(view({ ...speeds, queuedTokens: [0, 3000, 0, 0] }), wanted, 0)).not.toBe(1);
  });

  test("takes the soonest where nobody is in time", () => {
    expect(one.choose(view({ queuedTokens: [9e5, 8e5, 7e5, 9e5] }), wanted, 0)).toBe(2);
    const few = { queuedTokens: [0, 0, 0, 5], routable: [0, 1, 0, 1] };
    expect(one.choose(view(few), { ...wanted, leftMs: -5 }, 0)).toBe(1);
  });
});

describe("cost", () => {
  const one = strategy("cost");
  const wanted = { ...WANTED, leftMs: 2000 };

  test("takes the cheapest for the work, not for the hour", () => {
    const figures = { pricePerHour: [4, 1, 4, 4], secondsPerPrefillToken: [1e-5, 1e-4, 4e-5, 4e-5] };
    expect(one.choose(view(figures), wanted, 0)).toBe(0);
    expect(one.choose(view({ ...figures, pricePerHour: [4, 0.1, 4, 4] }), wanted, 0)).toBe(1);
  });

  test("takes a dearer one where the cheapest would be late, and the soonest where all would", () => {
    const figures = { pricePerHour: [4, 1, 2, 4] };
    expect(one.choose(view(figures), wanted, 0)).toBe(1);
    expect(one.choose(view({ ...figures, queuedTokens: [0, 1e5, 0, 0] }), wanted, 0)).toBe(2);
    expect(one.choose(view({ ...figures, queuedTokens: [1e5, 2e5, 3e5, 4e5] }), wanted, 0)).toBe(0);
  });

  test("joins the largest batch of those alike, and takes an unknown price for the highest", () => {
    expect(one.choose(view({ pricePerHour: [1, 1, 1, 1], active: [1, 5, 3, 0] }), wanted, 0)).toBe(1);
    expect(one.choose(view({ pricePerHour: [0, 2, 1, 0] }), wanted, 0)).toBe(2);
    expect(tally(one, view(), 200, wanted).every((count) => count > 20)).toBe(true);
  });
});
