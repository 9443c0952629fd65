/** Simulated traffic has the statistics that its scenario asks for. */
import { describe, expect, test } from "bun:test";
import { parseSection } from "../../src/base/settings-reading.ts";
import type { Arrival } from "../../src/sim/arrival.ts";
import { type Scenario, scenarioSettings } from "../../src/sim/scenario.ts";
import { arrivalsOf } from "../../src/sim/workload.ts";
import { seeded } from "./seeded.ts";

function scenario(tree: Record<string, unknown>): Scenario {
  const { value, faults } = parseSection(scenarioSettings, tree);
  expect(faults).toBeUndefined();
  return value!;
}

const asked = (of: Scenario, cell = 0): readonly Arrival[] => arrivalsOf(of, cell, new Map());
const mean = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Variance over mean of the requests in windows of that length: 1 for Poisson, more for bursts. */
function dispersion(arrivals: readonly Arrival[], durationMs: number, windowMs: number): number {
  const counts = Array.from({ length: Math.floor(durationMs / windowMs) }, () => 0);
  for (const { atMs } of arrivals) {
    const window = Math.floor(atMs / windowMs);
    if (window < counts.length) counts[window]! += 1;
  }
  const average = mean(counts);
  return mean(counts.map((count) => (count - average) ** 2)) / average;
}

describe("the workload of a scenario", () => {
  seeded("Poisson: the rate, and no burst", (seed) => {
    const arrivals = asked(scenario({ seed, duration: "1000s", workload: [{ rate: 50 }] }));
    // 50,000 +- 5 standard deviations.
    expect(Math.abs(arrivals.length - 50_000)).toBeLessThan(5 * Math.sqrt(50_000));
    expect(arrivals.every(({ atMs }, at) => at === 0 || atMs >= arrivals[at - 1]!.atMs)).toBe(true);
    // The deviation of the dispersion of 1,000 windows is sqrt(2 / 1000) = 0.045.
    expect(dispersion(arrivals, 1_000_000, 1000)).toBeWithin(0.8, 1.2);
  });

  seeded("bursts: the same mean rate, and much burstier", (seed) => {
    const work = { rate: 50, arrivals: "bursts", burstFactor: 5, burst: "2s", quiet: "8s" };
    const arrivals = asked(scenario({ seed, duration: "5000s", workload: [work] }));
    expect(arrivals.length / 5000).toBeWithin(45, 55);
    // Rates of 27.8 and 138.9 a second: in windows of 1 s their variance is many times the mean.
    expect(dispersion(arrivals, 5_000_000, 1000)).toBeGreaterThan(10);
  });

  seeded("lognormal lengths: median, mean and limit; fixed ones are all alike", (seed) => {
    const work = {
      rate: 100,
      promptTokens: 1000,
      promptSigma: 0.5,
      outputTokens: 100,
      outputSigma: 0,
      tokensMax: 3000,
    };
    const arrivals = asked(scenario({ seed, duration: "300s", workload: [work] }));
    const prompts = arrivals.map(({ promptTokens }) => promptTokens);
    expect(median(prompts)).toBeWithin(980, 1020);
    // exp(sigma^2 / 2) = 1.133, less what the limit cuts off.
    expect(mean(prompts)).toBeWithin(1090, 1150);
    expect(Math.max(...prompts)).toBe(3000);
    expect(new Set(arrivals.map(({ outputTokens }) => outputTokens))).toEqual(new Set([100]));
  });

  seeded("tenants: their shares are Zipf's, and each one's prompts begin alike", (seed) => {
    const work = { rate: 200, tenants: 50, tenantSkew: 1, prefixTokens: 100, promptTokens: 40, promptSigma: 0 };
    const arrivals = asked(scenario({ seed, duration: "500s", workload: [work] }));
    const counts = new Map<number, number>();
    for (const { hashes, promptTokens } of arrivals) {
      expect(promptTokens).toBe(140);
      // Whole blocks of 16 of the prefix's 100 tokens.
      expect(hashes.length).toBe(6);
      counts.set(hashes[0]!, (counts.get(hashes[0]!) ?? 0) + 1);
    }
    const shares = [...counts.values()].toSorted((a, b) => b - a).map((count) => count / arrivals.length);
    const harmonic = Array.from({ length: 50 }, (_, rank) => 1 / (rank + 1)).reduce((sum, each) => sum + each, 0);
    expect(counts.size).toBe(50);
    expect(shares[0]!).toBeWithin((1 / harmonic) * 0.95, (1 / harmonic) * 1.05);
    expect(shares[9]!).toBeWithin((1 / harmonic / 10) * 0.85, (1 / harmonic / 10) * 1.15);
  });

  seeded("kinds bring their shapes, what is given still wins, and kinds are mixed in order of time", (seed) => {
    const workload = [
      { kind: "asr", rate: 20 },
      { kind: "embedding", rate: 20 },
      { kind: "vision", rate: 20, outputTokens: 7, outputSigma: 0 },
    ];
    const arrivals = asked(scenario({ seed, duration: "100s", workload }));
    expect(arrivals.length).toBeWithin(5600, 6400);
    expect(arrivals.every(({ atMs }, at) => at === 0 || atMs >= arrivals[at - 1]!.atMs)).toBe(true);
    expect(arrivals.filter(({ promptTokens }) => promptTokens === 1500).length).toBeGreaterThan(1800);
    expect(arrivals.filter(({ outputTokens }) => outputTokens === 0).length).toBeGreaterThan(1800);
    expect(arrivals.filter(({ outputTokens }) => outputTokens === 7).length).toBeGreaterThan(1800);
  });

  seeded("cells part the rate, are asked different things, and each the same whatever others are played", (seed) => {
    const of = scenario({ seed, duration: "100s", cells: 4, nodes: [{ count: 4 }], workload: [{ rate: 400 }] });
    const cells = [0, 1, 2, 3].map((cell) => asked(of, cell));
    for (const arrivals of cells) expect(Math.abs(arrivals.length - 10_000)).toBeLessThan(500);
    expect(new Set(cells.map((arrivals) => arrivals[0]!.atMs)).size).toBe(4);
    expect(asked(of, 2)).toEqual(cells[2]!);
    expect(asked({ ...of, seed: seed + 1 }, 2)).not.toEqual(cells[2]!);
  });

  test("a trace is played faster, up to the scenario's end, and its requests go to the cells in turn", () => {
    const trace = Array.from({ length: 10 }, (_, at) => ({
      atMs: at * 100,
      promptTokens: 10 + at,
      outputTokens: 1,
      hashes: [],
    }));
    const work = { arrivals: "trace", trace: "a.csv", speed: 2 };
    const of = scenario({ duration: "400ms", cells: 2, nodes: [{ count: 2 }], workload: [work] });
    const cells = [0, 1].map((cell) => arrivalsOf(of, cell, new Map([[0, trace]])));
    expect(cells[0]!.map(({ atMs, promptTokens }) => [atMs, promptTokens])).toEqual([
      [0, 10],
      [100, 12],
      [200, 14],
      [300, 16],
      [400, 18],
    ]);
    expect(cells[1]!.map(({ promptTokens }) => promptTokens)).toEqual([11, 13, 15, 17]);
  });

  test("no request is asked for at a rate of 0", () => {
    expect(asked(scenario({ workload: [{ rate: 0 }] }))).toEqual([]);
  });
});
