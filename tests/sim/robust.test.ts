/** Binding late when things are wrong: never worse than least-request, which believes nothing, by more than 5 %. */
import { describe, expect } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { lateSettings } from "../../src/flow/late-settings.ts";
import { goodAlone, newTokens, oracleGoodput } from "../../src/sim/oracle.ts";
import type { Incident } from "../../src/sim/sim-node.ts";
import type { RouterSpec } from "../../src/sim/router-spec.ts";
import type { WorldSpec } from "../../src/sim/world-spec.ts";
import { bound, GPU, sessions, specOf, world } from "./routed-mesh.ts";
import { seeded } from "./seeded.ts";

const COUNT = 1500;
const EVERY_MS = 12;
const LASTS_MS = COUNT * EVERY_MS;
const LATE = defaultsOf(lateSettings);

interface Trouble extends Partial<Pick<WorldSpec, "sampleLoss" | "incidents" | "routers">> {
  readonly assumedRate?: number;
}

const flapping: Incident[] = [];
for (let atMs = 1000; atMs < LASTS_MS; atMs += 4000) {
  flapping.push({ node: 1, atMs, kind: "down" }, { node: 1, atMs: atMs + 1000, kind: "up" });
}

const TROUBLES: Readonly<Record<string, Trouble>> = {
  "rates taken for half of what they are": { assumedRate: 0.5 },
  "rates taken for twice what they are": { assumedRate: 2 },
  "a fifth of the samples lost": { sampleLoss: 0.2 },
  "one node three times slower": { incidents: [{ node: 2, atMs: 2000, kind: "slow", factor: 3 }] },
  "one node that flaps": { incidents: flapping },
  "all of it, and three routers": {
    assumedRate: 2,
    sampleLoss: 0.2,
    routers: 3,
    incidents: [...flapping, { node: 2, atMs: 2000, kind: "slow", factor: 3 }],
  },
};

describe("late, beside least-request", () => {
  for (const [name, { assumedRate = 1, ...more }] of Object.entries(TROUBLES)) {
    seeded(name, (seed) => {
      const run = (strategy: RouterSpec["strategy"]) => {
        const mesh = { networkMs: 0.5, sampleEveryMs: 100, sampleDelayMs: 5, ttftMs: 500, ...more };
        return world(sessions(seed, COUNT, EVERY_MS), 5, GPU, { ...mesh, router: { strategy, assumedRate } }).run();
      };
      const plain = run(bound("least-request"));
      const late = run(LATE);
      expect(late.requests).toBe(COUNT);
      // What was lost isn't good either.
      expect(late.goodput).toBeGreaterThan(plain.goodput * 0.95);
      expect(late.ttftMeanMs).toBeLessThan(plain.ttftMeanMs * 1.05);
      expect(late.ttftMs.p95).toBeLessThan(plain.ttftMs.p95 * 1.05);
    });
  }
});

describe("routers that hear of each other a tenth of a second later", () => {
  for (const name of ["ttft", "late"] as const) {
    seeded(`don't all send to the same nodes, by ${name}`, (seed) => {
      const run = (routers: number, sampleDelayMs: number) => {
        const mesh = { networkMs: 0.5, sampleEveryMs: 100, sampleDelayMs, routers, deskMs: 0.5 };
        const strategy = name === "late" ? LATE : bound(name);
        // Nothing of any prompt is cached anywhere: that would bind it to one node.
        const arrivals = sessions(seed, COUNT, EVERY_MS).map((one) => ({ ...one, hashes: [] }));
        return world(arrivals, 32, GPU, { ...mesh, router: { strategy } }).run();
      };
      const [fresh, stale] = [run(1, 5), run(4, 100)];
      expect(stale.ttftMs.p95).toBeLessThan(fresh.ttftMs.p95 * 1.1);
      expect(stale.ttftMs.p99).toBeLessThan(fresh.ttftMs.p99 * 1.1);
    });
  }
});

describe("an oracle", () => {
  seeded("knows what nobody can have cached", (seed) => {
    const arrivals = sessions(seed, 100);
    const fresh = newTokens(arrivals, 16);
    expect(fresh[0]).toBe(arrivals[0]!.promptTokens);
    for (const [at, tokens] of fresh.entries()) expect(tokens).toBeWithin(1, arrivals[at]!.promptTokens + 1);
    // The same again has nothing new but what fills no block, and the last token is always computed.
    const again = newTokens([...arrivals, arrivals[0]!], 16).at(-1)!;
    expect(again).toBe(Math.max(1, arrivals[0]!.promptTokens % 16));
  });

  seeded("is bounded by what is good alone, and is no worse than binding late where too much comes", (seed) => {
    const arrivals = sessions(seed, 800, 4);
    const spec = specOf(arrivals, 5, GPU, { ttftMs: 300, networkMs: 0.5, router: { strategy: LATE } });
    const goodput = oracleGoodput(spec, LATE);
    const late = world(arrivals, 5, GPU, spec).run().goodput;
    expect(late).toBeLessThan(0.95);
    expect(goodput).toBeGreaterThanOrEqual(late);
    expect(goodAlone(spec)).toBeGreaterThanOrEqual(goodput);
  });

  seeded("finds the bound where there is room for all", (seed) => {
    const spec = specOf(sessions(seed, 100, 400), 5, GPU, { router: { strategy: LATE } });
    expect([goodAlone(spec), oracleGoodput(spec, LATE)]).toEqual([1, 1]);
  });
});
