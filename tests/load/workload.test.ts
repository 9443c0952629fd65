import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseSection } from "../../src/base/settings-reading.ts";
import type { Planned } from "../../src/load/plan.ts";
import { loadContradiction, type LoadConfig, loadSettings } from "../../src/load/settings.ts";
import { limitsOf, planOf, sharedArrivals, workloadWords } from "../../src/load/workload.ts";

function configOf(tree: Record<string, unknown>): LoadConfig {
  const { value, faults } = parseSection(loadSettings, tree);
  if (value === undefined) throw new Error(JSON.stringify(faults));
  return value;
}

const taken = (next: () => Planned | null, most: number): Planned[] => {
  const all: Planned[] = [];
  for (let one = next(); one !== null && all.length < most; one = next()) all.push(one);
  return all;
};

describe("threads that share a run", () => {
  const shapes = fc.record({
    rate: fc.constantFrom("5", "1..40", "3,30,7", "0..9"),
    arrivals: fc.constantFrom("poisson", "even"),
    seed: fc.integer({ min: 0, max: 1000 }),
    promptTokens: fc.constantFrom("10..500", "lognormal:100:1"),
    outputTokens: fc.constantFrom("64", "1..9"),
  });

  test("send together exactly what one alone would, at its times", () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 1, max: 7 }), (tree, of) => {
        const config = configOf(tree);
        const plan = planOf(config, null, { index: 0, of: 1 });
        const whole = taken(() => plan.next(), 60);
        const shared = Array.from({ length: of }, (_, index) => {
          const share = planOf(config, null, { index, of });
          const { numberFirst, numberStep } = limitsOf(config, { index, of });
          return taken(() => share.next(), 60).map((planned, at) => [numberFirst + at * numberStep, planned] as const);
        }).flat();
        const ordered = shared.toSorted(([a], [b]) => a - b).slice(0, whole.length);
        expect(ordered).toEqual(whole.map((planned, number) => [number, planned] as const));
      }),
    );
  });

  test("of a trace too, to its last request", () => {
    const config = configOf({ trace: "t", speed: 2, promptTokensMax: 900 });
    const arrivals = Array.from({ length: 23 }, (_, at) => {
      return { atMs: at * 100, promptTokens: 800 + at * 10, outputTokens: at + 1, hashes: [at] };
    });
    const all = planOf(config, arrivals, { index: 0, of: 1 });
    const whole = taken(() => all.next(), 100);
    expect(whole).toHaveLength(23);
    for (const of of [2, 5, 23, 30]) {
      const shared = Array.from({ length: of }, (_, index) => {
        const share = { index, of };
        const plan = planOf(config, sharedArrivals(arrivals, share), share);
        return taken(() => plan.next(), 100).map((planned, at) => [index + at * of, planned] as const);
      }).flat();
      expect(shared.toSorted(([a], [b]) => a - b).map(([, planned]) => planned)).toEqual(whole);
    }
  });

  test("have connections, places and requests that add up", () => {
    const counts = fc.integer({ min: 1, max: 200 });
    fc.assert(
      fc.property(counts, counts, counts, fc.integer({ min: 1, max: 16 }), (connections, concurrency, most, of) => {
        const config = configOf({ connections, concurrency, maxRequests: most });
        const limits = Array.from({ length: of }, (_, index) => limitsOf(config, { index, of }));
        const sum = (key: "flightsMax" | "requestsMax") => limits.reduce((all, one) => all + one[key], 0);
        expect(sum("flightsMax")).toBe(Math.min(connections, concurrency));
        expect(sum("requestsMax")).toBe(most);
        // The one that sends number n is the one whose turn it is, so the first `most` numbers are sent.
        const last = limits.map(
          ({ numberFirst, numberStep, requestsMax }) => numberFirst + (requestsMax - 1) * numberStep,
        );
        expect(Math.max(...last)).toBe(most - 1);
      }),
    );
  });

  test("must have a connection each", () => {
    expect(loadContradiction(configOf({ workers: 8, connections: 4 }))).toContain("need a connection each");
    expect(loadContradiction(configOf({ workers: 8, concurrency: 4 }))).toContain("need a request each");
    expect(loadContradiction(configOf({ workers: 8 }))).toBe("");
  });
});

test("what is asked, in words", () => {
  for (const [tree, words] of [
    [{}, "poisson arrivals, 10/s, prompts of 256 tokens, answers of 64"],
    [
      { rate: "1..5", duration: "20s", workers: 2 },
      "poisson arrivals, 1..5/s over 20 s, prompts of 256 tokens, answers of 64, 2 threads",
    ],
    [{ rate: "1,5", maxRequests: 9 }, "poisson arrivals, 1,5/s over 30 s, prompts of 256 tokens, answers of 64"],
    [{ concurrency: 4, promptTokens: "1..9" }, "4 at once, prompts of 1..9 tokens, answers of 64"],
    [{ trace: "a.csv", speed: 3, outputTokensMax: 7 }, "trace a.csv, speed 3, answers cut at 7"],
  ] as const) {
    expect(workloadWords(configOf(tree))).toBe(words);
  }
});
