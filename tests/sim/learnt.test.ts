/** Routers that learn what nodes are able to, beside such as go by what they were told. */
import { describe, expect } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import type { RouterSpec } from "../../src/sim/router-spec.ts";
import { World } from "../../src/sim/world.ts";
import type { WorldSpec } from "../../src/sim/world-spec.ts";
import { bound, GPU, poisson, specOf } from "./routed-mesh.ts";
import { seeded } from "./seeded.ts";

const SLOW: Partial<WorldSpec> = { incidents: [{ node: 2, atMs: 2000, kind: "slow", factor: 3 }] };

/** Much to compute, and little to decode. */
function outcome(seed: number, router: RouterSpec, more: Partial<WorldSpec> = {}) {
  const prng = new Prng(seed);
  const arrivals = poisson(prng, 1500, 35, () => ({ prompt: 16 + prng.int(4000), output: 1 + prng.int(20) }));
  const mesh = { networkMs: 0.5, sampleEveryMs: 100, sampleDelayMs: 5, ttftMs: 500, ...more };
  return new World({ ...specOf(arrivals, 5, GPU, mesh), router }).run();
}

describe("rates that are learnt", () => {
  for (const name of ["ttft", "slo"] as const) {
    const strategy = bound(name);
    seeded(`${name}: a node that became three times slower is found out`, (seed) => {
      const told = outcome(seed, { strategy, learns: false }, SLOW);
      const learnt = outcome(seed, { strategy }, SLOW);
      expect(learnt.ttftMs.p99).toBeLessThan(told.ttftMs.p99 * 0.85);
      expect(learnt.ttftMs.p95).toBeLessThan(told.ttftMs.p95);
      expect(learnt.ttftMeanMs).toBeLessThan(told.ttftMeanMs * 1.02);
    });

    for (const assumedRate of [0.5, 2]) {
      seeded(`${name}: rates taken for ${assumedRate} of what they are do as well as right ones`, (seed) => {
        for (const trouble of [{}, SLOW]) {
          const right = outcome(seed, { strategy }, trouble);
          const wrong = outcome(seed, { strategy, assumedRate }, trouble);
          expect(wrong.ttftMeanMs).toBeLessThan(right.ttftMeanMs * 1.05);
          expect(wrong.ttftMs.p95).toBeLessThan(right.ttftMs.p95 * 1.1);
          expect(wrong.goodput).toBeGreaterThan(right.goodput * 0.95);
        }
      });
    }

    seeded(`${name}: nothing is lost where all was told right`, (seed) => {
      const told = outcome(seed, { strategy, learns: false });
      const learnt = outcome(seed, { strategy });
      expect(learnt.ttftMeanMs).toBeLessThan(told.ttftMeanMs * 1.02);
      expect(learnt.goodput).toBeGreaterThan(told.goodput * 0.98);
    });
  }

  seeded("are the same each time", (seed) => {
    const run = () => outcome(seed, { strategy: bound("ttft") }, { ...SLOW, routers: 3 });
    expect(run()).toEqual(run());
  });
});
