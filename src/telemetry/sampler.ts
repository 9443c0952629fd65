/**
 * Puts a node's sample together: what the runtime says and its GPUs, the machine's own load, and what the agent knows of
 * its peers. The agent takes one when something moved, and at every poll; nothing here waits. The machine's own load is
 * read seldomer: the kernel counts it in ticks, so that a share of less time says little.
 */

import type { GpuSample, ModelSample, NodeRuntime, NodeSample } from "../score/sample.ts";
import { Vitals } from "./vitals.ts";

/** The part of a node's sample that a runtime adapter knows. */
export interface RuntimeSample {
  readonly ready: boolean;
  readonly draining: boolean;
  /** None: the runtime is the node's only one. */
  readonly runtimes?: readonly NodeRuntime[];
  readonly models: readonly ModelSample[];
  readonly requestsInProgress: number;
  readonly failedResponses: number;
}

export interface RuntimeSource {
  sample(): RuntimeSample;
}

export interface SamplerOptions {
  readonly runtime: RuntimeSource;
  readonly version: string;
  /** When the agent started, on the clock that `sample(nowMs)` is called with. */
  readonly startedAtMs: number;
  /** The node's GPUs; none where nothing reads them. */
  readonly gpus?: () => readonly GpuSample[];
  /** A model's sample with what else is known of its rates. */
  readonly rated?: ((model: ModelSample, gpus: readonly GpuSample[]) => ModelSample) | undefined;
  readonly connectedPeers?: () => number;
  readonly backoffRequests?: () => number;
  readonly vitals?: Vitals;
}

export interface Sampler {
  sample(nowMs: number): NodeSample;
}

const VITALS_EVERY_MS = 500;
const NO_GPUS: readonly GpuSample[] = [];

export function createSampler(options: SamplerOptions): Sampler {
  const { rated } = options;
  const vitals = options.vitals ?? new Vitals();
  let machine: Pick<NodeSample, "cpuUsage" | "memoryUsage"> | undefined;
  let readAtMs = 0;
  return {
    sample(nowMs: number): NodeSample {
      const runtime = options.runtime.sample();
      const gpus = options.gpus?.() ?? NO_GPUS;
      if (machine === undefined || nowMs - readAtMs >= VITALS_EVERY_MS) {
        machine = { cpuUsage: vitals.cpuUsage(), memoryUsage: vitals.memoryUsage() };
        readAtMs = nowMs;
      }
      return {
        ...runtime,
        runtimes: runtime.runtimes ?? [],
        models: rated === undefined ? runtime.models : runtime.models.map((model) => rated(model, gpus)),
        gpus,
        connectedPeers: options.connectedPeers?.() ?? 0,
        backoffRequests: options.backoffRequests?.() ?? 0,
        ...machine,
        gpuUsage: meanUtilization(gpus),
        uptimeSeconds: Math.max(0, (nowMs - options.startedAtMs) / 1_000),
        version: options.version,
      };
    },
  };
}

/** Mean over the GPUs that tell theirs; undefined when none does. */
function meanUtilization(gpus: readonly GpuSample[]): number | undefined {
  let sum = 0;
  let known = 0;
  for (const { utilization } of gpus) {
    if (utilization === undefined) continue;
    sum += utilization;
    known += 1;
  }
  return known === 0 ? undefined : sum / known;
}
