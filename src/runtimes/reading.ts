/**
 * What a runtime tells, whichever runtime it is: the words into which each adapter turns its server's own. Times are
 * seconds, shares 0..1, sizes tokens. `undefined` means "not told", never zero: a runtime that does not tell a figure must
 * not be taken for an idle one.
 */

import type { Capability, ModelState, Quantiles } from "../base/runtime-terms.ts";

export const RUNTIME_KINDS = [
  "mock",
  "vllm",
  "sglang",
  "tgi",
  "triton",
  "llamacpp",
  "ollama",
  "torchserve",
  "tfserving",
  "openvino",
  "lmdeploy",
  "kserve",
  "generic",
] as const;
export type RuntimeKind = (typeof RUNTIME_KINDS)[number];

/**
 * Figures of one engine: of what shares a batch and a KV cache. Data-parallel engines behind one port count as one, with
 * the sum of their work and the mean of their shares.
 */
export interface EngineFigures {
  /** Requests in the running batch. */
  readonly runningRequests: number | undefined;
  /** Requests that wait for a place in it. */
  readonly waitingRequests: number | undefined;
  /** Prompt tokens accepted and not yet computed. */
  readonly queuedPrefillTokens: number | undefined;
  /** Used share of the KV cache. */
  readonly kvUsage: number | undefined;
  readonly kvCapacityTokens: number | undefined;
  /** Share of prompt tokens that the prefix cache had, of the last window. */
  readonly cacheHitRate: number | undefined;
  /**
   * Speeds while it works, by which queued work is divided (score/cost.ts); not the throughput of a server that may be
   * idle. They belong to the machine, so they stay as they were while it has nothing to do. Decode: of the whole batch.
   */
  readonly prefillTokensPerSecond: number | undefined;
  readonly decodeTokensPerSecond: number | undefined;
  /** Requests that it batches at most. */
  readonly slots: number | undefined;
  readonly preemptionsPerSecond: number | undefined;
  /** Requests that ended, of the last window. */
  readonly requestsPerSecond: number | undefined;
  /** Since the runtime's start. */
  readonly failedResponses: number | undefined;
  readonly timeToFirstToken: Quantiles | undefined;
  readonly interTokenLatency: Quantiles | undefined;
  /** Time that requests waited for a place in the batch. */
  readonly queueTime: Quantiles | undefined;
}

export interface ModelReading {
  readonly model: string;
  readonly state: ModelState;
  /** Why it failed; "" for one that did not. */
  readonly reason: string;
  /** Of a LoRA adapter: the model that it adapts, whose engine, batch and cache it shares. */
  readonly parent: string | undefined;
  readonly contextTokensMax: number | undefined;
  /** Empty where the runtime does not tell. */
  readonly capabilities: readonly Capability[];
  /** A request for it has it loaded, where it is not. */
  readonly loadsOnDemand: boolean;
  /** What is read to load it. */
  readonly sizeBytes: number | undefined;
  /** Its own engine's; undefined where it shares the runtime's. */
  readonly figures: EngineFigures | undefined;
}

/** Where a server publishes its KV cache events, in its own words: `*` is every address of its machine. */
export interface KvEventsTold {
  readonly endpoint: string;
  /** "" where nothing is replayed. */
  readonly replayEndpoint: string;
  readonly topic: string;
  /** Data-parallel ranks: each publishes on the port after the one of the rank before. */
  readonly ranks: number;
}

export interface RuntimeReading {
  /** "" where it is not known (yet). */
  readonly version: string;
  /** All that it knows of; those can be asked that are `loaded`, or loaded on demand. */
  readonly models: readonly ModelReading[];
  /** Of the runtime as a whole. */
  readonly figures: EngineFigures;
  /** When its figures were read last, on the clock of nowMs; undefined before the first time. */
  readonly figuresAtMs: number | undefined;
  /** Left out where it tells of none. */
  readonly kvEvents?: KvEventsTold | undefined;
}

/** A model that is served, of which nothing else was told. */
export const LOADED_MODEL: Omit<ModelReading, "model"> = {
  state: "loaded",
  reason: "",
  parent: undefined,
  contextTokensMax: undefined,
  capabilities: [],
  loadsOnDemand: false,
  sizeBytes: undefined,
  figures: undefined,
};

/** Nothing told. */
export const NO_FIGURES: EngineFigures = {
  runningRequests: undefined,
  waitingRequests: undefined,
  queuedPrefillTokens: undefined,
  kvUsage: undefined,
  kvCapacityTokens: undefined,
  cacheHitRate: undefined,
  prefillTokensPerSecond: undefined,
  decodeTokensPerSecond: undefined,
  slots: undefined,
  preemptionsPerSecond: undefined,
  requestsPerSecond: undefined,
  failedResponses: undefined,
  timeToFirstToken: undefined,
  interTokenLatency: undefined,
  queueTime: undefined,
};

/** How full the batch is, 0..1. */
export function batchFullness({ runningRequests, slots }: EngineFigures): number | undefined {
  if (runningRequests === undefined || slots === undefined || slots <= 0) return undefined;
  return Math.min(1, Math.max(0, runningRequests / slots));
}

/** What is assumed of requests whose size the runtime does not tell: as score/cost.ts has it in its settings. */
export interface UsualRequest {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/**
 * Seconds until what it has now is done: prompts that wait at its prefill speed, outputs of all requests at its decode
 * speed, those that run being half done on average. Undefined where the runtime tells too little; a lower bound where it
 * tells one half of it.
 */
export function workLeftSeconds(figures: EngineFigures, usual: UsualRequest): number | undefined {
  const { waitingRequests, runningRequests, queuedPrefillTokens } = figures;
  const promptTokens =
    queuedPrefillTokens ?? (waitingRequests === undefined ? undefined : waitingRequests * usual.promptTokens);
  const outputTokens =
    runningRequests === undefined && waitingRequests === undefined
      ? undefined
      : ((runningRequests ?? 0) / 2 + (waitingRequests ?? 0)) * usual.outputTokens;
  const prefill = seconds(promptTokens, figures.prefillTokensPerSecond);
  const decode = seconds(outputTokens, figures.decodeTokensPerSecond);
  return prefill === undefined && decode === undefined ? undefined : (prefill ?? 0) + (decode ?? 0);
}

function seconds(tokens: number | undefined, perSecond: number | undefined): number | undefined {
  if (tokens === undefined) return undefined;
  if (tokens <= 0) return 0;
  return perSecond === undefined || perSecond <= 0 ? undefined : tokens / perSecond;
}
