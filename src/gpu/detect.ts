/**
 * Which vendors' drivers the machine has, by files of the kernel alone: no library is opened, nothing is called that could
 * hang, and no device file comes into being (as it does when libnvidia-ml is opened without a driver).
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { GpuVendor } from "../health/reading.ts";
import type { BackendName } from "./probe-spec.ts";

/** One probe process. */
export interface ProbePlan {
  readonly vendors: readonly GpuVendor[];
  readonly backends: readonly BackendName[];
}

const DRIVERS: readonly (ProbePlan & { readonly files: readonly string[] })[] = [
  { vendors: ["nvidia"], backends: ["nvml"], files: ["proc/driver/nvidia/version", "sys/module/nvidia", "dev/dxg"] },
  { vendors: ["amd"], backends: ["rocm", "sysfs"], files: ["sys/module/amdgpu"] },
  { vendors: ["intel"], backends: ["sysfs"], files: ["sys/module/i915", "sys/module/xe"] },
];

/** One for each vendor whose driver is loaded. `root` is where proc and sys are. */
export function detectProbes(root: string): ProbePlan[] {
  return DRIVERS.filter(({ files }) => files.some((file) => existsSync(join(root, file)))).map(
    ({ vendors, backends }) => ({ vendors, backends }),
  );
}
