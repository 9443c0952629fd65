/**
 * What a node says of itself at one moment: the currency between telemetry (which measures it), mesh (which carries
 * it), fleet (which keeps the newest) and score (which turns it into seconds).
 *
 * `undefined` always means "not known", never zero: a runtime that does not publish a figure must not be taken for an
 * idle one. Fractions are 0..1.
 */
import type { ModelState, Quantiles, RuntimeState } from "../base/runtime-terms.ts";
import type { Protocol } from "../base/settings-urls.ts";

/** One model on one node, as its runtime reports it. */
export interface ModelSample {
  readonly model: string;
  /** The name of its runtime among the node's; "" where the node has only one. */
  readonly runtime: string;
  readonly state: ModelState;
  /** Why it failed, in words; "" where it did not. */
  readonly reason: string;
  /** The model whose weights it adapts, such as a LoRA adapter's; undefined for one that stands alone. */
  readonly parent: string | undefined;
  /** Tokens of prompt and answer together at most. */
  readonly contextTokensMax: number | undefined;
  /** What it can be asked for: "chat", "completions", "embeddings", ...; empty: not told. */
  readonly capabilities: readonly string[];
  /** Requests in the running batch. */
  readonly runningRequests: number;
  /** Requests that wait for a place in the batch. */
  readonly waitingRequests: number;
  /** Prompt tokens accepted and not yet computed. */
  readonly queuedPrefillTokens: number | undefined;
  /** Used fraction of the KV cache, 0..1. */
  readonly kvUsage: number | undefined;
  /** Size of the KV cache in tokens. */
  readonly kvCapacityTokens: number | undefined;
  readonly prefillTokensPerSecond: number | undefined;
  readonly decodeTokensPerSecond: number | undefined;
  /** Requests that the runtime batches at most. */
  readonly slots: number | undefined;
  /** Of the last window's prompt tokens, the share that was in the cache: 0..1. */
  readonly cacheHitRate: number | undefined;
  readonly timeToFirstToken: Quantiles | undefined;
  readonly interTokenLatency: Quantiles | undefined;
  /** Requests that were put back to the queue for want of KV cache. */
  readonly preemptionsPerSecond: number | undefined;
  /** How long what is accepted will take. */
  readonly workLeftSeconds: number | undefined;
  /** How old its load was when the sample was taken: it is read from its runtime now and then. Absent: it was of that moment. */
  readonly figuresAgeMs?: number | undefined;
  /**
   * Of one that is not loaded and takes requests all the same, since its runtime loads what it is asked for: how long that
   * takes, or still takes. Undefined of all others.
   */
  readonly loadSeconds: number | undefined;
}

/** Whether requests may be sent to it where its runtime is ready. */
export function takesRequests({ state, loadSeconds }: Pick<ModelSample, "state" | "loadSeconds">): boolean {
  return state === "loaded" || loadSeconds !== undefined;
}

/** A place where one of a node's runtimes takes requests. */
export interface EndpointSample {
  /** Unique on the node. */
  readonly name: string;
  /** Where routers reach it; "" for the host at which the node serves. */
  readonly host: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly tls: boolean;
}

/** One of a node's runtimes: the models that name it are its own. */
export interface NodeRuntime {
  /** Unique on the node. */
  readonly name: string;
  /** "vllm", "triton", ... */
  readonly kind: string;
  readonly version: string;
  /** Requests may be sent to what it serves. */
  readonly ready: boolean;
  readonly draining: boolean;
  readonly state: RuntimeState;
  /** What its state means, in words for people. */
  readonly message: string;
  /** Since when it is in this state, by the Unix clock of the node. */
  readonly sinceMs: number;
  readonly endpoints: readonly EndpointSample[];
}

/** One GPU (or one MIG slice of it). */
export interface GpuSample {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly migProfile: string | undefined;
  /** Busy fraction, 0..1. */
  readonly utilization: number | undefined;
  readonly memoryUsedBytes: number | undefined;
  readonly memoryTotalBytes: number | undefined;
  readonly powerWatts: number | undefined;
  readonly powerLimitWatts: number | undefined;
  readonly temperatureCelsius: number | undefined;
  /** Why its clocks are held down, for example "hw_thermal"; empty when they are not. */
  readonly throttleReasons: readonly string[];
  /** Nothing is sent to what runs on one that is quarantined. */
  readonly health: "healthy" | "degraded" | "quarantined" | undefined;
  /** Why it is not healthy, in words for people: the worst of its reasons. */
  readonly healthReason: string | undefined;
  /** Since when its health is what it is, by the Unix clock of the node. */
  readonly healthSinceMs: number | undefined;
  /** Models of the node that run on it; none where none does, or where that is not known. */
  readonly models: readonly string[];
  /** The names of those of the node's runtimes that are on it, or may be; undefined: not told. */
  readonly runtimes?: readonly string[] | undefined;
}

/** One node: its vitals, its runtimes, its models and its GPUs. */
export interface NodeSample {
  /** Requests may be sent, to one of its runtimes at least. */
  readonly ready: boolean;
  /** The node finishes what it has and wants nothing new. */
  readonly draining: boolean;
  /** None: it does not tell of them, and what is true of the node is true of all that it serves. */
  readonly runtimes: readonly NodeRuntime[];
  readonly models: readonly ModelSample[];
  readonly gpus: readonly GpuSample[];
  readonly requestsInProgress: number;
  readonly failedResponses: number;
  readonly connectedPeers: number;
  readonly backoffRequests: number;
  /** Used fractions, 0..1. */
  readonly cpuUsage: number | undefined;
  readonly memoryUsage: number | undefined;
  readonly gpuUsage: number | undefined;
  readonly uptimeSeconds: number;
  readonly version: string;
}

interface JudgedGpu {
  readonly index?: number;
  readonly uuid?: string;
  readonly health?: string | undefined;
  readonly healthReason?: string | undefined;
  readonly models?: readonly string[];
}

interface Judged {
  readonly gpus?: readonly JudgedGpu[];
  readonly runtimes?: readonly { readonly ready?: boolean; readonly message?: string }[];
}

/** What keeps a node that is not ready from being so, in words: its runtime's own, or its GPU's; "" where nothing tells. */
export function whyNotReady({ gpus = [], runtimes = [] }: Judged): string {
  const told = runtimes.find(({ ready, message }) => ready === false && message !== undefined && message !== "");
  return told?.message ?? quarantineIn(gpus);
}

function quarantineIn(gpus: readonly JudgedGpu[]): string {
  const ill = gpus.find(({ health, models = [] }) => health === "quarantined" && models.length > 0);
  return ill === undefined ? "" : quarantineWords(ill);
}

/** Of a quarantined GPU, as what is on it is told of. */
export function quarantineWords({ index, uuid, healthReason }: JudgedGpu): string {
  return `GPU ${index ?? "?"} (${uuid ?? "?"}) is quarantined: ${healthReason ?? "no reason is known"}`;
}

/**
 * The sample with those runtimes not ready that would serve and are to get no requests all the same; `whyNot` says why in
 * words, "" for one that may. The node is ready while one of them is.
 */
export function withheld(sample: NodeSample, whyNot: (runtime: string) => string): NodeSample {
  let isOther = false;
  const runtimes = sample.runtimes.map((runtime) => {
    const message = runtime.ready ? whyNot(runtime.name) : "";
    if (message === "") return runtime;
    isOther = true;
    return { ...runtime, ready: false, message };
  });
  return isOther ? { ...sample, ready: sample.ready && runtimes.some(({ ready }) => ready), runtimes } : sample;
}

/** Of a model of which nothing more is known than its name and its load: the rest of its sample. */
export const PLAIN_MODEL: Omit<ModelSample, "model" | "runningRequests" | "waitingRequests"> = {
  runtime: "",
  state: "loaded",
  reason: "",
  parent: undefined,
  contextTokensMax: undefined,
  capabilities: [],
  queuedPrefillTokens: undefined,
  kvUsage: undefined,
  kvCapacityTokens: undefined,
  prefillTokensPerSecond: undefined,
  decodeTokensPerSecond: undefined,
  slots: undefined,
  cacheHitRate: undefined,
  timeToFirstToken: undefined,
  interTokenLatency: undefined,
  preemptionsPerSecond: undefined,
  workLeftSeconds: undefined,
  loadSeconds: undefined,
};
