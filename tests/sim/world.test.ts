/** The simulated mesh against what is known in closed form, and against itself. */
import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { lateSettings } from "../../src/flow/late-settings.ts";
import { ARRIVAL_STRATEGIES } from "../../src/score/strategies.ts";
import type { BatchingConfig } from "../../src/sim/batching.ts";
import type { RouterSpec } from "../../src/sim/router-spec.ts";
import { bound, GPU, ONE_BY_ONE, poisson, sessions, world } from "./routed-mesh.ts";
import { seeded } from "./seeded.ts";

/** Makes each request's tokens at the rate of one a millisecond divided by how many there are. */
const SHARED: BatchingConfig = {
  ...ONE_BY_ONE,
  prefillTokensPerSecond: 1e12,
  stepPerSequenceMs: 1,
  runningMax: 10_000,
};
const FIRST_COME: RouterSpec["strategy"] = {
  ...defaultsOf(lateSettings),
  horizonMs: 0,
  ageWeight: 1e9,
  patienceMs: Infinity,
  waitMsMax: Infinity,
};
/** Mean of a run without its first part, and what it may be off by: 4 standard errors of the means of 30 batches. */
function interval(values: readonly number[]): { mean: number; off: number } {
  const kept = values.slice(Math.floor(values.length / 10));
  const size = Math.floor(kept.length / 30);
  const means = Array.from({ length: 30 }, (_, batch) => average(kept.slice(batch * size, (batch + 1) * size)));
  const mean = average(means);
  const deviation = Math.sqrt(average(means.map((each) => (each - mean) ** 2)) * (30 / 29));
  return { mean, off: (4 * deviation) / Math.sqrt(30) };
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const COUNT = 120_000;
const MEAN = 500;

/** Erlang's C: the probability that all k servers are busy. */
function erlangC(servers: number, load: number): number {
  let blocked = 1;
  for (let server = 1; server <= servers; server += 1) blocked = (load * blocked) / (server + load * blocked);
  return blocked / (1 - (load / servers) * (1 - blocked));
}

describe("queues with a known answer", () => {
  for (const load of [0.5, 0.8]) {
    seeded(`M/M/1 at ${load}: T = S / (1 - load)`, (seed) => {
      const prng = new Prng(seed);
      const draw = () => ({ prompt: Math.max(1, Math.round(prng.exponential(MEAN))), output: 0 });
      const { endsMs } = world(poisson(prng, COUNT, MEAN / load, draw), 1, ONE_BY_ONE).run();
      const { mean, off } = interval(endsMs);
      expect(off).toBeLessThan((MEAN / (1 - load)) * 0.3);
      expect(Math.abs(mean - MEAN / (1 - load))).toBeLessThan(off);
    });

    seeded(`M/G/1 with its server shared at ${load}, works of two very different sizes: T = S / (1 - load)`, (seed) => {
      const prng = new Prng(seed);
      // Mean 100, and a variance that would more than double the time in order of arrival.
      const draw = () => ({ prompt: 1, output: prng.next() < 0.9 ? 40 : 640 });
      const { endsMs } = world(poisson(prng, COUNT, 100 / load, draw), 1, SHARED).run();
      const { mean, off } = interval(endsMs);
      expect(off).toBeLessThan((100 / (1 - load)) * 0.3);
      // Work is in whole tokens, and those who come in mid-step wait for its end: half a step of each of those there.
      expect(Math.abs(mean - 100 / (1 - load))).toBeLessThan(off + 2 / (1 - load));
    });

    seeded(`M/M/4 at ${load}, one queue before four nodes by binding late: Erlang's C`, (seed) => {
      const prng = new Prng(seed);
      const draw = () => ({ prompt: Math.max(1, Math.round(prng.exponential(MEAN))), output: 0 });
      const arrivals = poisson(prng, COUNT, MEAN / (4 * load), draw);
      const { endsMs } = world(arrivals, 4, ONE_BY_ONE, {
        router: { strategy: FIRST_COME },
      }).run();
      const { mean, off } = interval(endsMs);
      const expected = MEAN + (erlangC(4, 4 * load) * MEAN) / (4 * (1 - load));
      expect(off).toBeLessThan(expected * 0.3);
      expect(Math.abs(mean - expected)).toBeLessThan(off);
    });
  }

  test("Erlang's C as tables give it", () => {
    expect(erlangC(1, 0.5)).toBeCloseTo(0.5, 12);
    expect(erlangC(2, 1)).toBeCloseTo(1 / 3, 12);
    expect(erlangC(10, 8)).toBeCloseTo(0.4092, 4);
  });
});

describe("a mesh", () => {
  for (const name of [...ARRIVAL_STRATEGIES, "late"] as const) {
    seeded(`by ${name}: serves every request once, and the same way each time`, (seed) => {
      const strategy = name === "late" ? defaultsOf(lateSettings) : bound(name);
      const more = {
        routers: 3,
        router: { strategy },
        networkMs: 1,
        sampleEveryMs: 100,
        sampleDelayMs: 20,
      };
      const run = () => world(sessions(seed), 5, GPU, more).run();
      const outcome = run();
      expect(outcome.requests).toBe(600);
      expect(outcome.refused).toBe(0);
      expect(outcome.endsMs.every((ms) => ms >= 2)).toBe(true);
      expect(outcome.hitRate).toBeWithin(0, 1);
      expect(run()).toEqual(outcome);
    });
  }

  seeded("strategies that know of caches find more of them than those that don't", (seed) => {
    const hits = (name: (typeof ARRIVAL_STRATEGIES)[number]): number =>
      world(sessions(seed), 5, GPU, { router: { strategy: bound(name) } }).run().hitRate;
    for (const name of ["cache-aware", "epp-blend", "epp-default", "kv-cost", "ttft"] as const) {
      expect(hits(name)).toBeGreaterThan(hits("round-robin"));
    }
  });

  test("what no cache can hold is refused, and counted", () => {
    const outcome = world([{ atMs: 0, promptTokens: 100_000, outputTokens: 5, hashes: [] }], 1, GPU).run();
    expect([outcome.requests, outcome.refused, outcome.goodput]).toEqual([1, 1, 0]);
  });
});
