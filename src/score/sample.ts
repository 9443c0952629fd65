/**
 * What a node says of itself at one moment: the currency between telemetry (which measures it), mesh (which carries
 * it), fleet (which keeps the newest) and score (which turns it into seconds).
 *
 * `undefined` always means "not known", never zero: a runtime that does not publish a figure must not be taken for an
 * idle one. Fractions are 0..1.
 */

/** One model on one node, as its runtime reports it. */
export interface ModelSample {
  readonly model: string;
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
}

/** One node: its vitals, its models and its GPUs. */
export interface NodeSample {
  /** Requests may be sent. */
  readonly ready: boolean;
  /** The node finishes what it has and wants nothing new. */
  readonly draining: boolean;
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
