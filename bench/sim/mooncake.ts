/**
 * The nodes and the traffic by which strategies are compared. Settled before any of them was measured:
 *
 * - H200s with an 8B model (`src/sim/profile.ts`), which hold 1,592 blocks of 512 tokens, Mooncake's block. 768 tokens a
 *   step: the most, in multiples of 256, by which a step that is full of prompts takes less than 50 ms while some 30
 *   requests of 12,000 tokens are decoded; an operator who promises 50 ms between tokens would choose it.
 * - 0.5 ms to a node, a sample of each every 100 ms, 5 ms old when it comes.
 * - Good is what has its first token within 2 s and then 50 ms a token on average.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { lateSettings } from "../../src/flow/late-settings.ts";
import { ARRIVAL_STRATEGIES, type ArrivalStrategy, arrivalStrategy } from "../../src/score/strategies.ts";
import { type Arrival, faster } from "../../src/sim/arrival.ts";
import type { BatchingConfig } from "../../src/sim/batching.ts";
import { PROFILES } from "../../src/sim/profile.ts";
import type { RouterSpec } from "../../src/sim/sim-router.ts";
import type { Outcome } from "../../src/sim/tally.ts";
import { MOONCAKE_BLOCK_TOKENS, readTrace } from "../../src/sim/traces.ts";
import { World } from "../../src/sim/world.ts";

const FOLDER = process.env["INFERMESH_TRACES"] ?? resolve(import.meta.dir, "..", "..", "..", "shared", "traces");
const STEP_TOKENS = 768;
const H200 = PROFILES["h200-8b"];
const NODE: BatchingConfig = {
  ...H200,
  stepTokensMax: STEP_TOKENS,
  runningMax: STEP_TOKENS,
  blockTokens: MOONCAKE_BLOCK_TOKENS,
  kvBlocks: Math.floor((H200.kvBlocks * H200.blockTokens) / MOONCAKE_BLOCK_TOKENS),
};

export const STRATEGIES = [...ARRIVAL_STRATEGIES, "late"] as const;
export type StrategyName = (typeof STRATEGIES)[number];
export const TRACES = { mooncake: "mooncake_conversation.jsonl", azure: "azure_2023_conv.csv" } as const;
export type TraceName = keyof typeof TRACES;

/** One run: a trace, so many times as fast, by a strategy. */
export interface Run {
  readonly trace: TraceName;
  readonly strategy: StrategyName;
  readonly targets: number;
  readonly speed: number;
}

const read = new Map<TraceName, readonly Arrival[]>();

function arrivalsOf(name: TraceName): readonly Arrival[] {
  let arrivals = read.get(name);
  if (arrivals === undefined) {
    const path = join(FOLDER, TRACES[name]);
    const trace = readTrace(readFileSync(path, "utf8"));
    if (trace.arrivals === null) throw new Error(`${path}: ${trace.fault}`);
    arrivals = trace.arrivals;
    read.set(name, arrivals);
  }
  return arrivals;
}

function strategyOf(name: StrategyName): RouterSpec["strategy"] {
  if (name === "late") return defaultsOf(lateSettings);
  return (targets, seed) => arrivalStrategy(name satisfies ArrivalStrategy, targets, seed);
}

export function play({ trace, strategy, targets, speed }: Run): Outcome & { readonly events: number } {
  const world = new World({
    arrivals: faster(arrivalsOf(trace), speed),
    nodes: Array.from({ length: targets }, () => NODE),
    routers: 1,
    router: { strategy: strategyOf(strategy) },
    seed: 1,
    networkMs: 0.5,
    sampleEveryMs: 100,
    sampleDelayMs: 5,
    ttftMs: 2000,
    itlMs: 50,
  });
  const outcome = world.run();
  return { ...outcome, endsMs: [], events: world.events };
}
