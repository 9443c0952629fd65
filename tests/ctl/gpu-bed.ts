/** Answers about GPUs as a router gives them, and one GPU as its agent tells it. */
import type { Json } from "./control-bed.ts";
import { H100 } from "../gpu/fake-gpu.ts";

export const SINCE_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

export function gpuState(index: number, more: Json = {}, labels: Json = {}): Json {
  return {
    labels: { node: "gpu-1", gpuUuid: `GPU-${index}`, migProfile: "", ...labels },
    index,
    name: "NVIDIA H100",
    memoryTotalBytes: String(80 * 2 ** 30),
    memoryUsedBytes: String(64 * 2 ** 30),
    utilization: 0.874,
    powerWatts: 512.3,
    powerLimitWatts: 700,
    temperatureCelsius: 61,
    throttleReasons: [],
    health: "GPU_HEALTH_HEALTHY",
    healthSinceMs: String(SINCE_MS),
    models: ["llama", "mistral"],
    ...more,
  };
}

/** As ListNodes and GetNode tell it, with a state. */
export function node(id: string, gpus: readonly Json[] | undefined, more: Json = {}): Json {
  const models = [
    {
      labels: { model: "llama" },
      runningRequests: 12,
      waitingRequests: 3,
      queuedPrefillTokens: "45000",
      kvUsage: 0.41,
    },
  ];
  return {
    id,
    role: "agent",
    status: "alive",
    self: false,
    target: { state: "healthy", sampledAgoMs: 120 },
    ...(gpus === undefined ? {} : { state: { id, models, gpus } }),
    ...more,
  };
}

/** Every field that a reading has. */
export const FULL: Json = {
  uuid: "GPU-4d6c",
  node: "gpu-1",
  index: 3,
  name: "NVIDIA H100 80GB HBM3",
  health: "quarantined",
  healthSinceMs: SINCE_MS,
  reasons: [
    {
      rule: "xid",
      text: "XID 79: the GPU has fallen off the bus",
      severity: "quarantined",
      sinceMs: SINCE_MS,
      recovery: "manual",
    },
    {
      rule: "temperature",
      text: "the GPU is at 93 C",
      severity: "degraded",
      sinceMs: SINCE_MS + 1000,
      recovery: "auto",
    },
  ],
  isFresh: true,
  models: ["llama"],
  source: {
    state: "ok",
    message: "",
    sinceMs: SINCE_MS,
    stack: {
      backend: "nvml",
      source: "/usr/lib/libnvidia-ml.so.1",
      driverVersion: "570.86",
      libraryVersion: "12.570",
      cudaVersion: "12.8",
    },
  },
  identity: {
    ...H100,
    index: 3,
    serial: "165",
    pciAddress: "0000:3b:00.0",
    migMode: true,
    fabric: "domain-1",
  },
  load: {
    utilization: 0.87,
    memoryUtilization: 0.4,
    encoderUtilization: 0.01,
    decoderUtilization: 0.02,
    jpegUtilization: 0.03,
    ofaUtilization: 0.04,
    memoryUsedBytes: 64 * 2 ** 30,
    memoryFreeBytes: 15.5 * 2 ** 30,
    memoryReservedBytes: 0.5 * 2 ** 30,
    hostMemoryUsedBytes: 2 ** 30,
    temperatureCelsius: 61,
    hotspotCelsius: 70,
    memoryCelsius: 75,
    powerWatts: 512.3,
    powerWattsMean: 500,
    powerLimitWatts: 700,
    energyJoules: 7_200_000,
    graphicsClockMhz: 1755,
    smClockMhz: 1755,
    memoryClockMhz: 2619,
    videoClockMhz: 1500,
    fans: [0.3, 0.35],
    fanRpm: 2400,
    performanceState: 0,
    throttleReasons: ["sw_power_cap", "hw_thermal"],
    activity: { graphics: 0.9, sm: 0.8, smOccupancy: 0.5, tensor: 0.6, dram: 0.7, fp64: 0, fp32: 0.1, fp16: 0.2 },
    slices: [
      {
        uuid: "MIG-77",
        profile: "1g.10gb",
        gpuInstance: 7,
        computeInstance: 0,
        multiprocessors: 16,
        memoryTotalBytes: 10 * 2 ** 30,
        memoryUsedBytes: 5 * 2 ** 30,
        activity: { graphics: 0.5, sm: 0.4, dram: 0.3 },
      },
    ],
  },
  traffic: {
    pcieGeneration: 4,
    pcieWidth: 8,
    pcieTxBytesPerSecond: 2.5e9,
    pcieRxBytesPerSecond: 1.5e6,
    pcieReplays: 7,
    linkTxBytesPerSecond: 20e9,
    linkRxBytesPerSecond: 21e9,
    links: [
      { index: 0, isActive: true, crcErrors: 1, replayErrors: 2, recoveryErrors: 3 },
      { index: 1, isActive: false },
    ],
    processes: [
      {
        pid: 4711,
        memoryBytes: 60 * 2 ** 30,
        utilization: 0.8,
        gpuInstance: 7,
        command: "vllm",
        container: "0123456789abcdef",
      },
      { pid: 1 },
    ],
  },
  wear: {
    eccCorrected: 5,
    eccUncorrected: 1,
    eccCorrectedLifetime: 1005,
    eccUncorrectedLifetime: 2,
    retiredPagesCorrected: 3,
    retiredPagesUncorrected: 4,
    retiredPagesPending: false,
    remappedRowsCorrected: 6,
    remappedRowsUncorrected: 8,
    remapPending: true,
    remapFailed: false,
    recoveryAction: "drain_reset",
  },
};
