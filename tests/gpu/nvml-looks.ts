/**
 * Looks at the double's GPUs a hundred thousand times, in a process of its own: what the collector of one that has run
 * other tests keeps by the way is more than a leak would be. Arguments: the library, the root. Prints one line of JSON.
 */
import { dlopen } from "bun:ffi";
import { readdirSync } from "node:fs";
import { openNvml } from "../../src/gpu/nvml.ts";
import { GPU_GROUPS, type GpuGroup } from "../../src/health/reading.ts";
import type { DoubleReport } from "./double.ts";

const ALL = new Set(GPU_GROUPS);
const LOAD: ReadonlySet<GpuGroup> = new Set<GpuGroup>(["load"]);
const READS = 100_000;
const WARM_READS = 20_000;

const [libraryPath = "", root = ""] = process.argv.slice(2);
const backend = openNvml({ libraryPath, root });
const { symbols } = dlopen(libraryPath, { infermeshDoubleReport: { args: [], returns: "cstring" } });

function state() {
  Bun.gc(true);
  const report = JSON.parse(String(symbols.infermeshDoubleReport())) as DoubleReport;
  return { report, descriptors: readdirSync("/proc/self/fd").length, bytes: process.memoryUsage.rss() };
}

function look(from: number, to: number): void {
  for (let count = from; count < to; count += 1) {
    backend.read(count % 100 === 0 ? ALL : LOAD, count * 10);
    if (count % 10 === 0) backend.faults();
  }
}

look(0, WARM_READS);
const before = state();
look(WARM_READS, READS);
const after = state();
backend.close();
process.stdout.write(JSON.stringify({ reads: READS, before, after, closed: state().report }));
