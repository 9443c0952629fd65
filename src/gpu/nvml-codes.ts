/** What libnvidia-ml answers, and what follows from it. */
import { BackendError, type BackendTrouble, OR_NONE } from "./backend.ts";

export const RC = {
  ok: 0,
  uninitialised: 1,
  argument: 2,
  notSupported: 3,
  noPermission: 4,
  notFound: 6,
  smallBuffer: 7,
  noDriver: 9,
  timeout: 10,
  libraryNotFound: 12,
  noFunction: 13,
  gpuLost: 15,
  resetRequired: 16,
  blocked: 17,
  mismatch: 18,
  noData: 21,
  vgpuEcc: 22,
  version: 25,
  deprecated: 26,
  noGpu: 28,
  unknown: 999,
} as const;

const WORDS: Readonly<Record<number, string>> = {
  1: "not initialised",
  2: "invalid argument",
  3: "not supported",
  4: "no permission",
  6: "not found",
  7: "buffer too small",
  8: "a power cable of the GPU is not attached",
  9: "the driver is not loaded",
  10: "timeout",
  11: "an interrupt of the GPU does not arrive",
  12: "a library that it needs was not found",
  13: "function not found",
  14: "the GPU's infoROM is corrupted",
  15: "the GPU is lost: it fell off the bus",
  16: "the GPU must be reset",
  17: "the operating system blocks the GPU's device file",
  18: "driver and library have different versions",
  20: "out of memory",
  21: "no data",
  23: "out of resources",
  25: "version of a struct not known",
  26: "deprecated",
  27: "not ready",
  28: "no GPU was found",
  999: "unknown error",
};

/** "nvmlInit_v2 answered 9, the driver is not loaded" */
export function answered(call: string, rc: number): string {
  return `${call} answered ${rc}, ${WORDS[rc] ?? "a code that is not known"}`;
}

/**
 * What a code says of a figure:
 *   none   there is no such figure, or not for us: not asked again for a while
 *   later  not now
 *   gone   the GPU that was asked is lost or must be reset; others may go on
 *   odd    999: of one figure it is a fault of that figure, of most it is a driver that is stuck
 *   over   nothing can be asked of the library any more
 */
export type Meaning = "ok" | "none" | "later" | "gone" | "odd" | "over";

export function meaningOf(rc: number): Meaning {
  switch (rc) {
    case RC.ok:
      return "ok";
    case RC.argument:
    case RC.notSupported:
    case RC.noPermission:
    case RC.noFunction:
    case RC.blocked:
    case RC.vgpuEcc:
    case RC.version:
    case RC.deprecated:
      return "none";
    case RC.gpuLost:
    case RC.resetRequired:
      return "gone";
    case RC.unknown:
      return "odd";
    case RC.uninitialised:
    case RC.mismatch:
    case RC.noDriver:
      return "over";
    default:
      return "later";
  }
}

/** Thrown within the backend: this GPU, and as far as is known no other, can't be asked any more. */
export class GpuGone extends Error {
  readonly rc: number;

  constructor(call: string, rc: number) {
    super(answered(call, rc));
    this.name = "GpuGone";
    this.rc = rc;
  }
}

const TROUBLES: Readonly<Record<number, readonly [BackendTrouble, string]>> = {
  [RC.noPermission]: ["denied", "run the agent as a user that may open /dev/nvidia*"],
  [RC.blocked]: ["denied", "allow /dev/nvidia* for the agent's container or unit"],
  [RC.noDriver]: ["absent", `load the kernel module nvidia (modprobe nvidia)${OR_NONE}`],
  [RC.noGpu]: ["absent", `look at lspci and dmesg${OR_NONE}`],
  [RC.gpuLost]: ["lost", "look at dmesg for XIDs; reset the GPU or restart the machine"],
  [RC.resetRequired]: ["lost", "reset it (nvidia-smi --gpu-reset) or restart the machine"],
  [RC.mismatch]: ["broken", "the driver was upgraded: load the new kernel module or restart the machine"],
};

/** A code by which nothing goes on; `path` is the library's. */
export function troubleOf(path: string, call: string, rc: number): BackendError {
  const [trouble, advice] = TROUBLES[rc] ?? ["broken", "look at dmesg and whether nvidia-smi answers"];
  // What is mapped stays so: a new process may find the library that belongs to the driver.
  return new BackendError(trouble, `${path}: ${answered(call, rc)}; ${advice}`, { isStale: rc === RC.mismatch });
}
