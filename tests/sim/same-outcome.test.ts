/**
 * What came of one small scenario by each strategy, kept: a simulation that is made faster, or arranged anew, plays the
 * same events. What is meant to change how a strategy chooses changes its lines here, and no others.
 */
import { expect, test } from "bun:test";
import { parseSection } from "../../src/base/settings-reading.ts";
import { resultOf } from "../../src/sim/figures.ts";
import { scenarioSettings, type StrategyName } from "../../src/sim/scenario.ts";
import { playCell } from "../../src/sim/scenario-world.ts";

/** Of all that can be: tenants, bursts, other work, several routers, samples that are lost, failures, preemption. */
const SCENARIO = {
  seed: 5,
  duration: "6s",
  nodes: [
    { name: "fast", profile: "h100-8b", count: 2 },
    { name: "slow", profile: "l40s-8b", count: 2, zone: "b" },
  ],
  routers: { count: 2, zones: ["a", "b"] },
  network: { jitter: "1ms" },
  samples: { loss: 0.1, every: "50ms", delay: "20ms" },
  workload: [
    { rate: 12, tenants: 30, prefixTokens: 1024, arrivals: "bursts" },
    { rate: 16, name: "long", promptTokens: 4000, outputTokens: 4000, tenants: 5, prefixTokens: 2048 },
    { rate: 2, kind: "embedding" },
  ],
  failures: [
    { kind: "flap", group: "fast", at: "1s", for: "3s", every: "1s" },
    { kind: "slow", group: "slow", at: "2s", for: "4s", factor: 3 },
  ],
};

/** Events, requests that were served, preemptions, cached tokens, mean time to first token and to the end. */
const OUTCOMES: Readonly<Record<StrategyName, readonly number[]>> = {
  "round-robin": [37192, 165, 11, 183296, 12291.9075, 135179.223],
  random: [37633, 166, 9, 186368, 6039.00705, 131671.333],
  "least-request": [35715, 161, 0, 177152, 4352.84426, 98175.1106],
  p2c: [36523, 163, 0, 180224, 4687.55613, 104067.729],
  "peak-ewma": [25787, 162, 2, 178176, 5328.64531, 101738.701],
  prequal: [28323, 165, 0, 179200, 4546.18057, 103294.583],
  "cache-aware": [41662, 163, 32, 180224, 23267.5638, 157739.938],
  "epp-blend": [26047, 164, 0, 187392, 3270.13879, 77931.0403],
  "epp-default": [31111, 163, 0, 173056, 3292.69347, 82798.766],
  "kv-cost": [22867, 163, 0, 180224, 3491.59337, 85616.6622],
  ttft: [26761, 160, 0, 188416, 3287.80171, 83408.0928],
  slo: [24081, 164, 0, 187392, 3076.9167, 77570.2151],
  cost: [30693, 163, 0, 184320, 3298.99113, 83217.378],
  hedged: [26761, 160, 0, 188416, 3287.80171, 83408.0928],
  late: [32010, 164, 0, 203776, 1889.99509, 69095.3658],
};

for (const [strategy, outcome] of Object.entries(OUTCOMES)) {
  test(`by ${strategy}`, () => {
    const { value } = parseSection(scenarioSettings, SCENARIO);
    const played = playCell(value!, strategy as StrategyName, 0, new Map());
    const { figures } = resultOf(value!, strategy as StrategyName, [played], 1);
    const { events, served, preemptions, ttftMs, endToEndMs } = figures;
    const exact = [events, served, preemptions, played.cachedTokens];
    // Logarithms may differ in the last bit between machines.
    const means = [ttftMs.mean, endToEndMs.mean].map((mean) => Number(mean.toPrecision(9)));
    expect([...exact, ...means]).toEqual([...outcome]);
  });
}
