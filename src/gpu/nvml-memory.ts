/** The memory of a GPU or of a MIG device. */
import { longOf } from "./nvml-decode.ts";
import type { NvmlDevice } from "./nvml-device.ts";

export interface NvmlMemory {
  readonly totalBytes: number | undefined;
  readonly usedBytes: number | undefined;
  readonly freeBytes: number | undefined;
  /** Undefined where the library is too old to tell it apart: then it is within what is used. */
  readonly reservedBytes: number | undefined;
}

/** Undefined where there is none to tell of: a GPU that shares the machine's. */
export function readMemory(device: NvmlDevice): NvmlMemory | undefined {
  const newer = device.struct("nvmlDeviceGetMemoryInfo_v2", { bytes: 40, version: 2 });
  if (newer !== undefined) return memoryOf(longOf(newer, 2), longOf(newer, 8), longOf(newer, 6), longOf(newer, 4));
  const older = device.struct("nvmlDeviceGetMemoryInfo");
  if (older === undefined) return undefined;
  return memoryOf(longOf(older, 0), longOf(older, 4), longOf(older, 2), undefined);
}

/** No part is larger than the whole: a figure that is says nothing. */
function memoryOf(
  totalBytes: number | undefined,
  used: number | undefined,
  free: number | undefined,
  reserved: number | undefined,
): NvmlMemory {
  const part = (bytes: number | undefined): number | undefined =>
    bytes === undefined || (totalBytes !== undefined && bytes > totalBytes) ? undefined : bytes;
  return { totalBytes, usedBytes: part(used), freeBytes: part(free), reservedBytes: part(reserved) };
}
