/** What a router's cost of a node is made of, from the node's sample by the router's own code (score/cost.ts). */
import { defaultsOf } from "../base/settings-reading.ts";
import { costSettings, rowValues, UNROUTABLE } from "../score/cost.ts";
import { stepOf } from "../score/row-sides.ts";
import type { ModelSample } from "../score/sample.ts";
import type { TargetView } from "../score/view.ts";
import type { BatchingConfig } from "./batching.ts";
import type { NodeSamples } from "./node-samples.ts";

const COST = defaultsOf(costSettings);
const UNTOLD = {
  model: "",
  runtime: "",
  state: "loaded",
  reason: "",
  parent: undefined,
  contextTokensMax: undefined,
  capabilities: [],
  cacheHitRate: undefined,
  timeToFirstToken: undefined,
  interTokenLatency: undefined,
  preemptionsPerSecond: undefined,
  workLeftSeconds: undefined,
  loadSeconds: undefined,
} as const satisfies Partial<ModelSample>;

/** What is known of a node beside its samples. */
export interface KnownNode {
  readonly config: BatchingConfig;
  /** Tokens a second that its prompts are taken to be computed at. */
  readonly prefillRate: number;
  /** There and back. */
  readonly rttMs: number;
  readonly weight: number;
}

/** Without a sample it is judged by what is known of such nodes; `learnt`: what a prompt token was found to take. */
export function fillFigures(
  view: TargetView,
  target: number,
  { config, prefillRate, rttMs, weight }: KnownNode,
  samples: NodeSamples | null,
  learnt?: number,
): void {
  const decodeRate = samples?.decodeRate[target] ?? NaN;
  const sample: ModelSample = {
    ...UNTOLD,
    runningRequests: samples?.running[target] ?? 0,
    waitingRequests: samples?.waiting[target] ?? 0,
    queuedPrefillTokens: samples?.queuedTokens[target] ?? 0,
    kvUsage: samples?.kvUsage[target] ?? 0,
    kvCapacityTokens: config.kvBlocks * config.blockTokens,
    prefillTokensPerSecond: prefillRate,
    decodeTokensPerSecond: Number.isNaN(decodeRate) ? undefined : decodeRate,
    slots: config.runningMax,
  };
  const context = { ...UNROUTABLE, ready: true, rttMs, weight, learntSecondsPerPrefillToken: learnt };
  const values = rowValues(sample, context, COST);
  view.secondsPerPrefillToken[target] = values.secondsPerPrefillToken;
  view.secondsPerActive[target] = values.secondsPerActive;
  view.slots[target] = values.slots;
  view.secondsPerQueuedRequest[target] = values.secondsPerQueuedRequest;
  view.kvOffset[target] = values.kvOffset;
  view.kvPerToken[target] = values.kvPerToken;
  view.penaltySeconds[target] = values.penaltySeconds;
  view.weight[target] = weight;
  const { stepSeconds, running } = stepOf(sample);
  view.stepSeconds[target] = stepSeconds;
  view.running[target] = running;
}
