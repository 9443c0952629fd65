/** Small simulated meshes and their traffic, for tests. */
import { Prng } from "../../src/base/prng.ts";
import { type ArrivalStrategy, arrivalStrategy } from "../../src/score/strategies.ts";
import type { Arrival } from "../../src/sim/arrival.ts";
import type { BatchingConfig } from "../../src/sim/batching.ts";
import type { RouterSpec } from "../../src/sim/router-spec.ts";
import { World } from "../../src/sim/world.ts";
import type { WorldSpec } from "../../src/sim/world-spec.ts";

/** As good as no time. */
const TINY_MS = 1e-9;
/** Computes prompts one after another, at a token a millisecond; takes no other time. */
export const ONE_BY_ONE: BatchingConfig = {
  prefillTokensPerSecond: 1000,
  stepBaseMs: TINY_MS,
  stepPerSequenceMs: 0,
  stepPerContextTokenMs: 0,
  runningMax: 1,
  stepTokensMax: 1_000_000,
  blockTokens: 16,
  kvBlocks: 1_000_000,
};
/** Much like one, at tens of requests a second. */
export const GPU: BatchingConfig = {
  ...ONE_BY_ONE,
  prefillTokensPerSecond: 20_000,
  stepBaseMs: 6,
  stepPerSequenceMs: 0.05,
  stepPerContextTokenMs: 0.00003,
  runningMax: 64,
  stepTokensMax: 1024,
  kvBlocks: 4000,
};

export const bound =
  (name: ArrivalStrategy): RouterSpec["strategy"] =>
  (seed) =>
    arrivalStrategy(name, seed);

export function specOf(
  arrivals: readonly Arrival[],
  nodes: number,
  config: BatchingConfig,
  more: Partial<WorldSpec> = {},
): WorldSpec {
  return {
    arrivals,
    nodes: Array.from({ length: nodes }, () => config),
    routers: 1,
    router: { strategy: bound("round-robin") },
    seed: 1,
    networkMs: 0,
    sampleEveryMs: 1000,
    sampleDelayMs: 0,
    ttftMs: 2000,
    itlMs: 50,
    ...more,
  };
}

export function world(...spec: Parameters<typeof specOf>): World {
  return new World(specOf(...spec));
}

/** Poisson arrivals of mean `everyMs`, with work drawn by `tokens`. */
export function poisson(
  prng: Prng,
  count: number,
  everyMs: number,
  draw: () => { prompt: number; output: number },
): Arrival[] {
  let atMs = 0;
  return Array.from({ length: count }, () => {
    atMs += prng.exponential(everyMs);
    const { prompt, output } = draw();
    return { atMs, promptTokens: prompt, outputTokens: output, hashes: [] };
  });
}

/** Prompts of 40 sessions, each of which begins with what is cached of the session's. */
export function sessions(seed: number, count = 600, everyMs = 20): Arrival[] {
  const prng = new Prng(seed);
  const arrivals = poisson(prng, count, everyMs, () => ({ prompt: 16 + prng.int(4000), output: 1 + prng.int(200) }));
  return arrivals.map((arrival) => {
    const session = prng.int(40);
    const blocks = Math.floor(arrival.promptTokens / 16);
    return { ...arrival, hashes: Array.from({ length: blocks }, (_, block) => session * 1000 + block) };
  });
}
