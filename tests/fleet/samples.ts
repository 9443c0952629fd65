/** Samples to feed tests with. */
import type { Target } from "../../src/fleet/target.ts";
import type { GpuSample, ModelSample, NodeSample } from "../../src/score/sample.ts";

export function modelSample(overrides: Partial<ModelSample> = {}): ModelSample {
  return {
    model: "m",
    runningRequests: 0,
    waitingRequests: 0,
    queuedPrefillTokens: undefined,
    kvUsage: undefined,
    kvCapacityTokens: undefined,
    prefillTokensPerSecond: undefined,
    decodeTokensPerSecond: undefined,
    slots: undefined,
    ...overrides,
  };
}

export function nodeSample(overrides: Partial<NodeSample> = {}): NodeSample {
  return {
    ready: true,
    draining: false,
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
