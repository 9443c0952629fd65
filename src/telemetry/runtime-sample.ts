/** What a runtime's reading is to routers: a sample of each model, and how the runtime is. */
import { type EngineFigures, type ModelReading, type RuntimeReading, workLeftSeconds } from "../runtimes/reading.ts";
import type { ModelState } from "../base/runtime-terms.ts";
import type { ModelSample } from "../score/sample.ts";

/** What is assumed of requests whose size nobody tells, as routers do by default (score/cost.ts). */
const USUAL = { promptTokens: 512, outputTokens: 256 };
/** Of one runtime: states travel in packets. A repository of thousands is told of in part, what is served first. */
const MODELS_MAX = 64;

/** What routers have room for: a name that is cut short would be that of another model. */
const NAME_BYTES_MAX = 256;

/** A model as the agent sees it. */
interface Seen {
  readonly reading: ModelReading;
  /** Requests may be sent to it. */
  readonly isServed: boolean;
  readonly state: ModelState;
  readonly reason: string;
  /** Of one that is served and not loaded. */
  readonly loadSeconds: number | undefined;
}

/** `figuresAgeMs`: since the runtime told its figures; undefined where that is not known. */
export function modelSamples(
  reading: RuntimeReading,
  figuresAgeMs: number | undefined,
  see: (model: ModelReading) => Seen,
): ModelSample[] {
  const seen = reading.models
    .map(see)
    .filter(({ isServed, state }) => isServed || state !== "available")
    .filter(({ reading: { model } }) => Buffer.byteLength(model) <= NAME_BYTES_MAX);
  const loaded = seen.filter(({ isServed, loadSeconds }) => isServed && loadSeconds === undefined);
  const onDemand = seen.filter(({ isServed, loadSeconds }) => isServed && loadSeconds !== undefined);
  const others = seen.filter(({ isServed }) => !isServed);
  return [...loaded, ...onDemand, ...others]
    .slice(0, MODELS_MAX)
    .map((one) => modelSample(one, reading.figures, figuresAgeMs));
}

/** A model that has no engine of its own shares the runtime's: what waits for one waits for each. */
function modelSample(
  { reading, state, reason, loadSeconds }: Seen,
  shared: EngineFigures,
  figuresAgeMs: number | undefined,
): ModelSample {
  const { model, parent, contextTokensMax, capabilities } = reading;
  const figures = reading.figures ?? shared;
  return {
    model,
    runtime: "",
    state,
    reason,
    parent,
    contextTokensMax,
    capabilities,
    runningRequests: figures.runningRequests ?? 0,
    waitingRequests: figures.waitingRequests ?? 0,
    queuedPrefillTokens: figures.queuedPrefillTokens,
    kvUsage: figures.kvUsage,
    kvCapacityTokens: figures.kvCapacityTokens,
    prefillTokensPerSecond: figures.prefillTokensPerSecond,
    decodeTokensPerSecond: figures.decodeTokensPerSecond,
    slots: figures.slots,
    cacheHitRate: figures.cacheHitRate,
    timeToFirstToken: figures.timeToFirstToken,
    interTokenLatency: figures.interTokenLatency,
    preemptionsPerSecond: figures.preemptionsPerSecond,
    workLeftSeconds: workLeftSeconds(figures, USUAL),
    loadSeconds,
    figuresAgeMs,
  };
}
