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
import { goodAlone, oracleGoodput } from "../../src/sim/oracle.ts";
import { PROFILES } from "../../src/sim/profile.ts";
import type { Incident } from "../../src/sim/sim-node.ts";
import type { RouterSpec } from "../../src/sim/router-spec.ts";
import type { Outcome } from "../../src/sim/tally.ts";
import { MOONCAKE_BLOCK_TOKENS, readTrace } from "../../src/sim/traces.ts";
import { World } from "../../src/sim/world.ts";
import type { WorldSpec } from "../../src/sim/world-spec.ts";

const FOLDER = process.env["TRACES_FOLDER"] ?? resolve(import.meta.dir, "..", "..", "..", "shared", "traces");
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
/** What may be wrong. */
export const TROUBLES = ["none", "rates x 0.5", "rates x 2", "samples lost", "one slow", "one flaps"] as const;
export type Trouble = (typeof TROUBLES)[number];
const FLAP_EVERY_MS = 20_000;
const FLAP_DOWN_MS = 5_000;
export type StrategyName = (typeof STRATEGIES)[number];
export const TRACES = { mooncake: "mooncake_conversation.jsonl", azure: "azure_2023_conv.csv" } as const;
export type TraceName = keyof typeof TRACES;

/** One run: a trace, so many times as fast, by a strategy. */
export interface Run {
  readonly trace: TraceName;
  readonly strategy: StrategyName;
  readonly targets: number;
  readonly speed: number;
  readonly trouble?: Trouble;
  readonly routers?: number;
  /** One router decides for all, so far away. */
  readonly deskMs?: number;
  /** What routers know of caches (`src/sim/world-spec.ts`); all, where it is left out. */
  readonly knowledge?: Pick<WorldSpec, "ownerBlock" | "prefixNews"> & Pick<RouterSpec, "knows">;
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
  return (seed) => arrivalStrategy(name satisfies ArrivalStrategy, seed);
}

function troubled(trouble: Trouble, untilMs: number): Partial<WorldSpec> {
  if (trouble === "samples lost") return { sampleLoss: 0.2 };
  if (trouble === "one slow") return { incidents: [{ node: 0, atMs: FLAP_EVERY_MS, kind: "slow", factor: 3 }] };
  if (trouble !== "one flaps") return {};
  const incidents: Incident[] = [];
  for (let atMs = FLAP_DOWN_MS; atMs < untilMs; atMs += FLAP_EVERY_MS) {
    incidents.push({ node: 0, atMs, kind: "down" }, { node: 0, atMs: atMs + FLAP_DOWN_MS, kind: "up" });
  }
  return { incidents };
}

function specOf({ trace, strategy, targets, speed, trouble = "none", routers = 1, deskMs, knowledge }: Run): WorldSpec {
  const { knows = "caches", ...told } = knowledge ?? {};
  const arrivals = faster(arrivalsOf(trace), speed);
  const assumedRate = trouble === "rates x 0.5" ? 0.5 : trouble === "rates x 2" ? 2 : 1;
  return {
    arrivals,
    nodes: Array.from({ length: targets }, () => NODE),
    routers,
    router: { strategy: strategyOf(strategy), assumedRate, knows },
    seed: 1,
    networkMs: 0.5,
    sampleEveryMs: 100,
    sampleDelayMs: 5,
    ttftMs: 2000,
    itlMs: 50,
    ...(deskMs === undefined ? {} : { deskMs }),
    ...told,
    ...troubled(trouble, arrivals.at(-1)!.atMs),
  };
}

export function play(run: Run): Outcome & { readonly events: number } {
  const world = new World(specOf(run));
  const outcome = world.run();
  return { ...outcome, endsMs: [], events: world.events };
}

/** Part of the requests that an oracle makes good, and that which would be alone (`src/sim/oracle.ts`). */
export function best(run: Run): { readonly oracle: number; readonly alone: number } {
  const spec = specOf(run);
  return { oracle: oracleGoodput(spec, defaultsOf(lateSettings)), alone: goodAlone(spec) };
}
