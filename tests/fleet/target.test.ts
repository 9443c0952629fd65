import { expect, test } from "bun:test";
import { type Target, hasUnwellGpu } from "../../src/fleet/target.ts";
import type { GpuSample } from "../../src/score/sample.ts";
import { gpuSample, nodeRuntime, nodeSample } from "./samples.ts";

test("a target is in doubt by the health of its GPUs, and by their clocks only where nobody judges that", () => {
  const target = (...gpus: Partial<GpuSample>[]): Target =>
    ({ lastSample: nodeSample({ gpus: gpus.map(gpuSample) }) }) as Partial<Target> as Target;
  expect(hasUnwellGpu({ lastSample: undefined } as Partial<Target> as Target)).toBe(false);
  expect(hasUnwellGpu(target())).toBe(false);
  // A busy GPU is at its power cap: nothing is wrong with that.
  expect(hasUnwellGpu(target({ throttleReasons: ["sw_power_cap"] }))).toBe(false);
  expect(hasUnwellGpu(target({}, { health: "degraded" }))).toBe(true);
  expect(hasUnwellGpu(target({ health: "quarantined" }))).toBe(true);
  expect(hasUnwellGpu(target({ health: undefined, throttleReasons: ["hw_thermal"] }))).toBe(true);
  expect(hasUnwellGpu(target({ health: undefined }))).toBe(false);
});

test("a target is not in doubt by a GPU on which another runtime serves a model of the same name", () => {
  const target = (runtimes: readonly string[] | undefined): Target => {
    const gpus = [gpuSample({ health: "quarantined", models: ["m"], runtimes })];
    const lastSample = nodeSample({ gpus, runtimes: [nodeRuntime({ name: "one" })] });
    return { lastSample, models: ["m"] } as Partial<Target> as Target;
  };
  expect(hasUnwellGpu(target(["two"]))).toBe(false);
  expect(hasUnwellGpu(target(["one", "two"]))).toBe(true);
  expect(hasUnwellGpu(target(undefined))).toBe(true);
});
