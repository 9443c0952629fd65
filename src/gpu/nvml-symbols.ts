/**
 * The functions of libnvidia-ml that are used, by what they take. `dev` and the other handles are opaque pointers, kept
 * as numbers; `out` are buffers of ours. All answer with a return code. Checked against nvml.h 13.
 */
import type { dlopen } from "bun:ffi";

/** (out) */
const OUT = { args: ["ptr"], returns: "i32" } as const;
/** (dev, out) */
const DEV_OUT = { args: ["ptr", "ptr"], returns: "i32" } as const;
/** (dev, which, out) */
const DEV_WHICH_OUT = { args: ["ptr", "u32", "ptr"], returns: "i32" } as const;
/** (dev, out, length) */
const DEV_TEXT = { args: ["ptr", "ptr", "u32"], returns: "i32" } as const;
/** (dev, out, out) */
const DEV_OUT_OUT = { args: ["ptr", "ptr", "ptr"], returns: "i32" } as const;
/** (out, length) */
const TEXT = { args: ["ptr", "u32"], returns: "i32" } as const;

/** One u32 of a device. */
export const WORD_CALLS = {
  nvmlDeviceGetArchitecture: DEV_OUT,
  nvmlDeviceGetPersistenceMode: DEV_OUT,
  nvmlDeviceGetMaxPcieLinkGeneration: DEV_OUT,
  nvmlDeviceGetMaxPcieLinkWidth: DEV_OUT,
  nvmlDeviceGetCurrPcieLinkGeneration: DEV_OUT,
  nvmlDeviceGetCurrPcieLinkWidth: DEV_OUT,
  nvmlDeviceGetPcieReplayCounter: DEV_OUT,
  nvmlDeviceGetPowerUsage: DEV_OUT,
  nvmlDeviceGetEnforcedPowerLimit: DEV_OUT,
  nvmlDeviceGetPerformanceState: DEV_OUT,
  nvmlDeviceGetNumFans: DEV_OUT,
  nvmlDeviceGetFanSpeed: DEV_OUT,
  nvmlDeviceGetRetiredPagesPendingStatus: DEV_OUT,
  nvmlDeviceGetMaxMigDeviceCount: DEV_OUT,
  nvmlDeviceGetGpuInstanceId: DEV_OUT,
  nvmlDeviceGetComputeInstanceId: DEV_OUT,
} as const;

/** One u32 of a device and a choice: a sensor, a clock, a fan, a link. */
export const CHOICE_CALLS = {
  nvmlDeviceGetTemperature: DEV_WHICH_OUT,
  nvmlDeviceGetTemperatureThreshold: DEV_WHICH_OUT,
  nvmlDeviceGetClockInfo: DEV_WHICH_OUT,
  nvmlDeviceGetMaxClockInfo: DEV_WHICH_OUT,
  nvmlDeviceGetFanSpeed_v2: DEV_WHICH_OUT,
  nvmlDeviceGetPcieThroughput: DEV_WHICH_OUT,
  nvmlDeviceGetNvLinkState: DEV_WHICH_OUT,
} as const;

/** One u64 of a device. */
export const LONG_CALLS = {
  nvmlDeviceGetTotalEnergyConsumption: DEV_OUT,
  nvmlDeviceGetCurrentClocksEventReasons: DEV_OUT,
  nvmlDeviceGetCurrentClocksThrottleReasons: DEV_OUT,
} as const;

/** Two u32 of a device, in two places. */
export const PAIR_CALLS = {
  nvmlDeviceGetEncoderUtilization: DEV_OUT_OUT,
  nvmlDeviceGetDecoderUtilization: DEV_OUT_OUT,
  nvmlDeviceGetJpgUtilization: DEV_OUT_OUT,
  nvmlDeviceGetOfaUtilization: DEV_OUT_OUT,
  nvmlDeviceGetMigMode: DEV_OUT_OUT,
  nvmlDeviceGetEccMode: DEV_OUT_OUT,
  nvmlDeviceGetCudaComputeCapability: DEV_OUT_OUT,
  nvmlDeviceGetPowerManagementLimitConstraints: DEV_OUT_OUT,
} as const;

/** A struct of a device; one with a version word has it set by the caller. */
export const STRUCT_CALLS = {
  nvmlDeviceGetPciInfo_v3: DEV_OUT,
  nvmlDeviceGetMemoryInfo: DEV_OUT,
  nvmlDeviceGetMemoryInfo_v2: DEV_OUT,
  nvmlDeviceGetUtilizationRates: DEV_OUT,
  nvmlDeviceGetTemperatureV: DEV_OUT,
  nvmlDeviceGetMarginTemperature: DEV_OUT,
  nvmlDeviceGetGpuFabricInfoV: DEV_OUT,
  nvmlDeviceGetAttributes_v2: DEV_OUT,
  nvmlGpmQueryDeviceSupport: DEV_OUT,
} as const;

/** A text of a device. */
export const TEXT_CALLS = {
  nvmlDeviceGetName: DEV_TEXT,
  nvmlDeviceGetUUID: DEV_TEXT,
  nvmlDeviceGetSerial: DEV_TEXT,
} as const;

export const LIST_CALLS = {
  nvmlDeviceGetComputeRunningProcesses_v3: DEV_OUT_OUT,
  nvmlDeviceGetGraphicsRunningProcesses_v3: DEV_OUT_OUT,
  nvmlDeviceGetMPSComputeRunningProcesses_v3: DEV_OUT_OUT,
  // Of drivers before R510, which have no other ones; the entries are the same.
  nvmlDeviceGetComputeRunningProcesses_v2: DEV_OUT_OUT,
  nvmlDeviceGetGraphicsRunningProcesses_v2: DEV_OUT_OUT,
  nvmlDeviceGetMPSComputeRunningProcesses_v2: DEV_OUT_OUT,
} as const;

export const NVML_SYMBOLS = {
  nvmlInit_v2: { args: [], returns: "i32" },
  nvmlShutdown: { args: [], returns: "i32" },
  nvmlDeviceGetCount_v2: OUT,
  nvmlDeviceGetHandleByIndex_v2: { args: ["u32", "ptr"], returns: "i32" },
  nvmlSystemGetDriverVersion: TEXT,
  nvmlSystemGetNVMLVersion: TEXT,
  nvmlSystemGetCudaDriverVersion_v2: OUT,
  ...TEXT_CALLS,
  ...WORD_CALLS,
  ...CHOICE_CALLS,
  ...LONG_CALLS,
  ...PAIR_CALLS,
  ...STRUCT_CALLS,
  ...LIST_CALLS,
  nvmlDeviceGetFieldValues: { args: ["ptr", "i32", "ptr"], returns: "i32" },
  nvmlDeviceGetTotalEccErrors: { args: ["ptr", "u32", "u32", "ptr"], returns: "i32" },
  nvmlDeviceGetRemappedRows: { args: ["ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  nvmlDeviceGetRetiredPages_v2: { args: ["ptr", "u32", "ptr", "ptr", "ptr"], returns: "i32" },
  nvmlDeviceGetNvLinkErrorCounter: { args: ["ptr", "u32", "u32", "ptr"], returns: "i32" },
  nvmlDeviceGetProcessUtilization: { args: ["ptr", "ptr", "ptr", "u64"], returns: "i32" },
  nvmlDeviceGetMigDeviceHandleByIndex: DEV_WHICH_OUT,
  nvmlDeviceGetGpuInstanceById: DEV_WHICH_OUT,
  nvmlGpuInstanceGetInfo: DEV_OUT,
  nvmlDeviceGetGpuInstanceProfileInfoV: DEV_WHICH_OUT,
  nvmlEventSetCreate: OUT,
  nvmlEventSetFree: OUT,
  nvmlDeviceRegisterEvents: { args: ["ptr", "u64", "ptr"], returns: "i32" },
  nvmlEventSetWait_v2: { args: ["ptr", "ptr", "u32"], returns: "i32" },
  nvmlEventSetWait: { args: ["ptr", "ptr", "u32"], returns: "i32" },
  nvmlGpmSampleAlloc: OUT,
  nvmlGpmSampleFree: OUT,
  nvmlGpmSampleGet: DEV_OUT,
  nvmlGpmMigSampleGet: DEV_WHICH_OUT,
  nvmlGpmMetricsGet: OUT,
} as const;

/** Without these it is no libnvidia-ml that we could use. */
export const NVML_NEEDS = [
  "nvmlInit_v2",
  "nvmlShutdown",
  "nvmlDeviceGetCount_v2",
  "nvmlDeviceGetHandleByIndex_v2",
  "nvmlDeviceGetName",
  "nvmlDeviceGetUUID",
] as const;

export type NvmlCalls = Partial<ReturnType<typeof dlopen<typeof NVML_SYMBOLS>>["symbols"]>;
