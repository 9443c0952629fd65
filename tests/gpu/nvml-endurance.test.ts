/** Reading for long leaves nothing behind: no descriptor, no object of the library's, no memory. */
import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Double, type DoubleReport, HAS_COMPILER, removeDoubles } from "./double.ts";
import { openNvml } from "../../src/gpu/nvml.ts";
import { GPU_GROUPS } from "../../src/health/reading.ts";

afterAll(removeDoubles);

const ALL = new Set(GPU_GROUPS);
const CYCLES = 1000;
/** A leak of a few hundred bytes a read would be more; what the collector keeps by the way is less. */
const GROWTH_BYTES_MAX = 24 * 2 ** 20;
const LONG_MS = 120_000;

const descriptors = (): number => readdirSync("/proc/self/fd").length;

interface State {
  readonly report: DoubleReport;
  readonly descriptors: number;
  /** Resident. */
  readonly bytes: number;
}

/** What nvml-looks.ts prints. */
interface Looks {
  readonly reads: number;
  readonly before: State;
  readonly after: State;
  readonly closed: DoubleReport;
}

describe.skipIf(!HAS_COMPILER)("the NVML backend, for long", () => {
  test(
    "100,000 looks at a card and its instances",
    () => {
      const double = new Double();
      double.play("mig", "gpus = 1", "recheck_ms = 100");
      const script = join(import.meta.dir, "nvml-looks.ts");
      const done = Bun.spawnSync([process.execPath, script, double.path, double.root], { env: process.env });
      expect([done.exitCode, done.stderr.toString()]).toEqual([0, ""]);
      const { reads, before, after, closed } = JSON.parse(done.stdout.toString()) as Looks;
      expect(after.report.calls["nvmlDeviceGetMemoryInfo_v2"]).toBeGreaterThan(reads);
      expect([before.report.eventSets, before.report.gpmSamples, before.report.inits]).toEqual([1, 8, 1]);
      expect(after.report).toMatchObject({ eventSets: 1, gpmSamples: 8, references: 1, inits: 1, misuses: 0 });
      expect(after.descriptors).toBe(before.descriptors);
      expect(after.bytes - before.bytes).toBeLessThan(GROWTH_BYTES_MAX);
      expect(closed).toMatchObject({ references: 0, eventSetsLeaked: 0, gpmSamplesLeaked: 0, misuses: 0 });
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
