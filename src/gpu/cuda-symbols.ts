/**
 * The functions of the CUDA driver's library that the benchmark uses, by what they take. Handles are opaque pointers, kept
 * as numbers; addresses of the card's memory are u64. All answer with a code. Checked against cuda.h 12.
 */
const OUT = { args: ["ptr"], returns: "i32" } as const;
/** (out, device) */
const OUT_OF = { args: ["ptr", "i32"], returns: "i32" } as const;
const HANDLE = { args: ["ptr"], returns: "i32" } as const;
const HANDLE_HANDLE = { args: ["ptr", "ptr"], returns: "i32" } as const;

export const CUDA_SYMBOLS = {
  cuInit: { args: ["u32"], returns: "i32" },
  cuDriverGetVersion: OUT,
  cuGetErrorName: { args: ["i32", "ptr"], returns: "i32" },
  cuGetErrorString: { args: ["i32", "ptr"], returns: "i32" },
  cuDeviceGetCount: OUT,
  cuDeviceGet: OUT_OF,
  cuDeviceGetUuid: OUT_OF,
  cuDeviceGetUuid_v2: OUT_OF,
  /** (out, attribute, device) */
  cuDeviceGetAttribute: { args: ["ptr", "i32", "i32"], returns: "i32" },
  cuDevicePrimaryCtxRetain: OUT_OF,
  cuDevicePrimaryCtxRelease_v2: { args: ["i32"], returns: "i32" },
  cuCtxSetCurrent: HANDLE,
  cuCtxSynchronize: { args: [], returns: "i32" },
  /** (free, total) */
  cuMemGetInfo_v2: HANDLE_HANDLE,
  cuMemAlloc_v2: { args: ["ptr", "u64"], returns: "i32" },
  cuMemFree_v2: { args: ["u64"], returns: "i32" },
  /** (to, from, bytes) */
  cuMemcpyHtoD_v2: { args: ["u64", "ptr", "u64"], returns: "i32" },
  cuMemcpyDtoH_v2: { args: ["ptr", "u64", "u64"], returns: "i32" },
  /** (out, image, count, options, values) */
  cuModuleLoadDataEx: { args: ["ptr", "ptr", "u32", "ptr", "ptr"], returns: "i32" },
  cuModuleGetFunction: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
  /** (kernel, grid, grid, grid, block, block, block, shared bytes, stream, parameters, extra) */
  cuLaunchKernel: {
    args: ["ptr", "u32", "u32", "u32", "u32", "u32", "u32", "u32", "ptr", "ptr", "ptr"],
    returns: "i32",
  },
  cuEventCreate: { args: ["ptr", "u32"], returns: "i32" },
  /** (event, stream) */
  cuEventRecord: HANDLE_HANDLE,
  cuEventSynchronize: HANDLE,
  /** (milliseconds, from, to) */
  cuEventElapsedTime: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
} as const;

export type CudaCall = keyof typeof CUDA_SYMBOLS;

/** Without these there is nothing to measure with; the rest has a twin, or is for words only. */
export const CUDA_NEEDS = (Object.keys(CUDA_SYMBOLS) as CudaCall[]).filter(
  (name) => !["cuGetErrorName", "cuGetErrorString", "cuDeviceGetUuid", "cuDeviceGetUuid_v2"].includes(name),
);
