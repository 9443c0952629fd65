/** Samples to feed tests with. */
import type { Target } from "../../src/fleet/target.ts";
import type { GpuSample, ModelSample, NodeRuntime, NodeSample } from "../../src/score/sample.ts";
import { PLAIN_MODEL } from "../../src/score/sample.ts";

export function modelSample(overrides: Partial<ModelSample> = {}): ModelSample {
  return { model: "m", runningRequests: 0, waitingRequests: 0, ...PLAIN_MODEL, ...overrides };
}

/** A runtime that is ready, with one endpoint of its name. */
export function nodeRuntime(overrides: Partial<NodeRuntime> = {}): NodeRuntime {
  const { name = "vllm" } = overrides;
  return {
    name,
    kind: "vllm",
    version: "0.11.0",
    ready: true,
    draining: false,
    state: "ready",
    message: "",
    sinceMs: 1_790_000_000_000,
    endpoints: [{ name, host: "", port: 8000, protocol: "http", tls: false }],
    ...overrides,
  };
}

export function nodeSample(overrides: Partial<NodeSample> = {}): NodeSample {
  return {
    ready: true,
    draining: false,
    runtimes: [],
    models: [],
    gpus: [],
    requestsInProgress: 0,
    failedResponses: 0,
    connectedPeers: 0,
    backoffRequests: 0,
    cpuUsage: undefined,
    memoryUsage: undefined,
    gpuUsage: undefined,
    uptimeSeconds: 1,
    version: "0.1.0",
    ...overrides,
  };
}

export function gpuSample(overrides: Partial<GpuSample> = {}): GpuSample {
  return {
    index: 0,
    uuid: "GPU-a",
    name: "H100",
    migProfile: undefined,
    utilization: undefined,
    memoryUsedBytes: undefined,
    memoryTotalBytes: undefined,
    powerWatts: undefined,
    powerLimitWatts: undefined,
    temperatureCelsius: undefined,
    throttleReasons: [],
    health: "healthy",
    healthReason: undefined,
    healthSinceMs: undefined,
    models: [],
    ...overrides,
  };
}

/** A target that is well, serves "m", and has told nothing yet. */
export function targetOf(id: string, change: Partial<Target> = {}): Target {
  return {
    id,
    node: id,
    endpoint: "",
    host: "127.0.0.1",
    port: 8000,
    tls: false,
    protocol: "http",
    source: "registered",
    models: ["m"],
    weight: 1,
    zone: "",
    labels: {},
    incarnation: 1,
    metricsPort: undefined,
    state: "healthy",
    failuresInRow: 0,
    lastError: "",
    lastSample: undefined,
    sampledAtMs: undefined,
    rttMs: 0,
    registeredAtMs: 0,
    streamed: false,
    condition: "ready",
    ...change,
  };
}
