/**
 * What tells one loaded driver from another: a library that was opened under the one stays mapped, and is a stranger to
 * the other. Read from the kernel's own words, which can't hang.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { GpuVendor } from "../health/reading.ts";

const MODULES: Readonly<Record<GpuVendor, readonly string[]>> = {
  nvidia: ["nvidia"],
  amd: ["amdgpu"],
  intel: ["i915", "xe"],
};

/** "" where no driver is loaded, or where it does not tell. */
export function driverMark(root: string, vendors: readonly GpuVendor[]): string {
  const words: string[] = [];
  for (const module of vendors.flatMap((vendor) => MODULES[vendor])) {
    for (const file of ["version", "srcversion"]) {
      try {
        words.push(`${module} ${readFileSync(join(root, "sys/module", module, file), "utf8").trim()}`);
      } catch {
        // Built into the kernel, or without such a mark.
      }
    }
  }
  return words.join(", ");
}
