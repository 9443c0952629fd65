/** Which figures of a model travel, as those of the node and its GPUs do (columns.ts); models into them, and back. */
import { CAPABILITIES, MODEL_STATES, type Quantiles } from "../base/runtime-terms.ts";
import type { ModelSample, NodeRuntime } from "../score/sample.ts";
import { AT_ONCE, type Column, figure } from "./columns.ts";
import type { Quantity } from "./quantity.ts";

const TENTH = 0.1;

/** What of a description models need: the described ones themselves, and what their places mean. */
interface Vocabulary {
  readonly words: readonly string[];
  readonly runtimes: readonly NodeRuntime[];
}

type Described = Pick<ModelSample, "model" | "kvCapacityTokens" | "slots">;

/** What a model's column needs beyond the model: texts are words of the description. */
export interface WordedModel {
  readonly model: ModelSample;
  /** Places among the description's runtimes and words; undefined without one. */
  readonly runtime: number | undefined;
  readonly parent: number | undefined;
  readonly reason: number | undefined;
  /** An earlier model of the same runtime has the same `SHARED` figures, and tells them. */
  readonly isLike: boolean;
}

const MILLISECOND = 0.001;
/** Ages are told in steps of so much; one that grew by less than a tenth of a second since the keyframe is left out. */
const AGE_STEP_MS = 20;

/** Figures of an engine that all models on it have in common, as a rule: of adapters there may be hundreds. */
const SHARED = [
  "cacheHitRate",
  "timeToFirstToken",
  "interTokenLatency",
  "preemptionsPerSecond",
  "workLeftSeconds",
  "figuresAgeMs",
] as const satisfies readonly (keyof ModelSample)[];

function shared(
  quantity: Quantity,
  of: (model: ModelSample) => number | undefined,
  more: { readonly unit?: number; readonly grain: number },
): Column<WordedModel> {
  return figure(quantity, ({ model, isLike }) => (isLike ? undefined : of(model)), more);
}

/** Codes of a size are 0.5 % apart. */
function quantile(key: "timeToFirstToken" | "interTokenLatency", name: keyof Quantiles): Column<WordedModel> {
  return shared("size", (model) => model[key]?.[name], { unit: MILLISECOND / 10, grain: 16 });
}

/** Their order is the protocol. Of a node that does not tell them, each model is loaded. */
const STATES = [undefined, ...MODEL_STATES] as const;

/** What is not among those that are known is not told. */
function capabilitiesMask(capabilities: readonly string[]): number | undefined {
  let mask = 0;
  for (const [place, name] of CAPABILITIES.entries()) if (capabilities.includes(name)) mask |= 1 << place;
  return mask === 0 ? undefined : mask;
}

function capabilitiesOf(mask: number | undefined): string[] {
  return mask === undefined ? [] : CAPABILITIES.filter((_, place) => ((mask >>> place) & 1) === 1);
}

export const MODEL_COLUMNS: readonly Column<WordedModel>[] = [
  figure("count", ({ model }) => model.runningRequests, { push: { least: 4, share: 0.25 } }),
  figure("count", ({ model }) => model.waitingRequests, { push: { least: 2, share: 0.25 } }),
  // 1,000 tokens are a twentieth of a second of prefill on a large GPU.
  figure("size", ({ model }) => model.queuedPrefillTokens, { grain: 2, push: { least: 1000, share: 0.1 } }),
  figure("share", ({ model }) => model.kvUsage, { grain: 2, push: { least: 0.1, share: 0 } }),
  figure("size", ({ model }) => model.prefillTokensPerSecond, { unit: TENTH, grain: 3 }),
  figure("size", ({ model }) => model.decodeTokensPerSecond, { unit: TENTH, grain: 3 }),
  figure("count", ({ model }) => STATES.indexOf(model.state), { push: AT_ONCE }),
  figure("count", ({ runtime }) => runtime),
  figure("count", ({ parent }) => parent),
  figure("count", ({ reason }) => reason),
  figure("count", ({ model }) => model.contextTokensMax),
  figure("count", ({ model }) => capabilitiesMask(model.capabilities)),
  figure("count", ({ isLike }) => (isLike ? 1 : undefined)),
  shared("share", (model) => model.cacheHitRate, { grain: 5 }),
  quantile("timeToFirstToken", "p50"),
  quantile("timeToFirstToken", "p95"),
  quantile("timeToFirstToken", "p99"),
  quantile("interTokenLatency", "p50"),
  quantile("interTokenLatency", "p95"),
  quantile("interTokenLatency", "p99"),
  shared("size", (model) => model.preemptionsPerSecond, { unit: TENTH, grain: 16 }),
  shared("size", (model) => model.workLeftSeconds, { unit: MILLISECOND, grain: 16 }),
  shared("count", ({ figuresAgeMs }) => (figuresAgeMs === undefined ? undefined : figuresAgeMs / AGE_STEP_MS), {
    grain: 5,
  }),
  // Whether it has one at all changes with its state, which is told at once.
  figure("size", ({ model }) => model.loadSeconds, { unit: MILLISECOND, grain: 16 }),
];

/** Models with what is told of them beyond their own figures. */
export function* worded(models: readonly ModelSample[], { words, runtimes }: Vocabulary): Iterable<WordedModel> {
  const place = <T>(list: readonly T[], isIt: (one: T) => boolean): number | undefined => {
    const at = list.findIndex(isIt);
    return at < 0 ? undefined : at;
  };
  const wordAt = (text: string): number | undefined =>
    text === "" ? undefined : place(words, (word) => word === text);
  const engines = new Map<number | undefined, ModelSample>();
  for (const model of models) {
    const { parent = "", reason } = model;
    const runtime = model.runtime === "" ? undefined : place(runtimes, ({ name }) => name === model.runtime);
    const engine = engines.get(runtime);
    if (engine === undefined) engines.set(runtime, model);
    yield {
      model,
      runtime,
      parent: wordAt(parent),
      reason: wordAt(reason),
      isLike: engine !== undefined && isAlike(model, engine),
    };
  }
}

/** Whether what both have in common is known at all, and the same. */
function isAlike(a: ModelSample, b: ModelSample): boolean {
  return (
    SHARED.some((key) => a[key] !== undefined) &&
    a.cacheHitRate === b.cacheHitRate &&
    a.preemptionsPerSecond === b.preemptionsPerSecond &&
    a.workLeftSeconds === b.workLeftSeconds &&
    a.figuresAgeMs === b.figuresAgeMs &&
    isSameQuantiles(a.timeToFirstToken, b.timeToFirstToken) &&
    isSameQuantiles(a.interTokenLatency, b.interTokenLatency)
  );
}

function isSameQuantiles(a: Quantiles | undefined, b: Quantiles | undefined): boolean {
  return a === b || (a?.p50 === b?.p50 && a?.p95 === b?.p95 && a?.p99 === b?.p99);
}

/** The models of a description, by their figures: `next` goes on to those of the next model. */
export function modelsTold(
  description: Vocabulary & { readonly models: readonly Described[] },
  next: () => (at: number) => number | undefined,
): ModelSample[] {
  const engines = new Map<string, ModelSample>();
  return description.models.map((described): ModelSample => {
    const told = next();
    const runtime = description.runtimes[told(7) ?? -1]?.name ?? "";
    const state = told(6);
    const engine = told(12) === 1 ? engines.get(runtime) : undefined;
    const age = told(22);
    const sample: ModelSample = {
      ...described,
      runtime,
      // Of a state that came after this version no more is known than that it is another one.
      state: state === undefined ? "loaded" : (STATES[state] ?? "available"),
      reason: description.words[told(9) ?? -1] ?? "",
      parent: description.words[told(8) ?? -1],
      contextTokensMax: told(10),
      capabilities: capabilitiesOf(told(11)),
      runningRequests: told(0) ?? 0,
      waitingRequests: told(1) ?? 0,
      queuedPrefillTokens: told(2),
      kvUsage: told(3),
      prefillTokensPerSecond: told(4),
      decodeTokensPerSecond: told(5),
      cacheHitRate: engine?.cacheHitRate ?? told(13),
      timeToFirstToken: engine?.timeToFirstToken ?? quantilesOf(told(14), told(15), told(16)),
      interTokenLatency: engine?.interTokenLatency ?? quantilesOf(told(17), told(18), told(19)),
      preemptionsPerSecond: engine?.preemptionsPerSecond ?? told(20),
      workLeftSeconds: engine?.workLeftSeconds ?? told(21),
      loadSeconds: told(23),
      figuresAgeMs: engine?.figuresAgeMs ?? (age === undefined ? undefined : age * AGE_STEP_MS),
    };
    if (!engines.has(runtime)) engines.set(runtime, sample);
    return sample;
  });
}

function quantilesOf(p50: number | undefined, p95: number | undefined, p99: number | undefined): Quantiles | undefined {
  return p50 === undefined || p95 === undefined || p99 === undefined ? undefined : { p50, p95, p99 };
}
