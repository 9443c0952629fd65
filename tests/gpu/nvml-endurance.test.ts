/** Reading for long leaves nothing behind: no descriptor, no object of the library's, no memory. */
import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { Double, HAS_COMPILER, removeDoubles } from "./double.ts";
import { openNvml } from "../../src/gpu/nvml.ts";
import { GPU_GROUPS, type GpuGroup } from "../../src/health/reading.ts";

afterAll(removeDoubles);

const ALL = new Set(GPU_GROUPS);
const LOAD: ReadonlySet<GpuGroup> = new Set<GpuGroup>(["load"]);
const READS = 100_000;
const WARM_READS = 20_000;
const CYCLES = 1000;
/** A leak of a few hundred bytes a read would be more; what the collector keeps by the way is less. */
const GROWTH_BYTES_MAX = 24 * 2 ** 20;
const LONG_MS = 120_000;

const descriptors = (): number => readdirSync("/proc/self/fd").length;

function residentBytes(): number {
  Bun.gc(true);
  return process.memoryUsage.rss();
}

describe.skipIf(!HAS_COMPILER)("the NVML backend, for long", () => {
  test(
    "100,000 looks at a card and its instances",
    () => {
      const double = new Double();
      double.play("mig", "gpus = 1", "recheck_ms = 100");
      const backend = openNvml({ libraryPath: double.path, root: double.root });
      const look = (count: number): void => {
        backend.read(count % 100 === 0 ? ALL : LOAD, count * 10);
        if (count % 10 === 0) backend.faults();
      };
      for (let count = 0; count < WARM_READS; count += 1) look(count);
      const before = { ...double.report(), descriptors: descriptors(), bytes: residentBytes() };
      for (let count = WARM_READS; count < READS; count += 1) look(count);
      const after = double.report();
      expect(after.calls["nvmlDeviceGetMemoryInfo_v2"]).toBeGreaterThan(READS);
      expect([after.eventSets, after.gpmSamples, after.references, after.inits]).toEqual([
        before.eventSets,
        before.gpmSamples,
        1,
        1,
      ]);
      expect([after.eventSets, after.gpmSamples, after.misuses]).toEqual([1, 8, 0]);
      expect(descriptors()).toBe(before.descriptors);
      expect(residentBytes() - before.bytes).toBeLessThan(GROWTH_BYTES_MAX);
      backend.close();
      expect(double.report()).toMatchObject({ references: 0, eventSetsLeaked: 0, gpmSamplesLeaked: 0, misuses: 0 });
    },
    LONG_MS,
  );

  test(
    "1,000 openings, half of which find a card that is lost",
    () => {
      const double = new Double();
      double.play("mig", "recheck_ms = 0");
      openNvml({ libraryPath: double.path, root: double.root }).close();
      const before = descriptors();
      for (let count = 0; count < CYCLES; count += 1) {
        if (count % 100 === 0) double.play("mig", count % 200 === 0 ? "gpu1.state = lost" : "gpu0.state = ok");
        const backend = openNvml({ libraryPath: double.path, root: double.root });
        expect(backend.read(ALL, 1000).length).toBe(count % 200 < 100 ? 1 : 2);
        backend.faults();
        backend.close();
      }
      expect(double.report()).toMatchObject({
        references: 0,
        inits: CYCLES + 1,
        eventSets: 0,
        gpmSamples: 0,
        eventSetsLeaked: 0,
        gpmSamplesLeaked: 0,
        misuses: 0,
      });
      expect(descriptors()).toBe(before);
    },
    LONG_MS,
  );
});
