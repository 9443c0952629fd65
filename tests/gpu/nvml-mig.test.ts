/** Cards that are cut into instances, read by the real backend from the double of libnvidia-ml. */
import { afterAll, describe, expect, test } from "bun:test";
import { Double, HAS_COMPILER, removeDoubles } from "./double.ts";
import { openNvml } from "../../src/gpu/nvml.ts";
import { GPU_GROUPS } from "../../src/health/reading.ts";
import { takeUpdate } from "../../src/health/shape.ts";

afterAll(removeDoubles);

const ALL = new Set(GPU_GROUPS);
const MIB = 2 ** 20;
const GPM_PAUSE_MS = 120;

describe.skipIf(!HAS_COMPILER)("a GPU with MIG", () => {
  test("tells of its devices at sparse indices, each with its instance's activity", () => {
    const double = new Double();
    double.play("mig");
    const backend = openNvml({ libraryPath: double.path, root: double.root });
    backend.read(ALL, 1000);
    Bun.sleepSync(GPM_PAUSE_MS);
    const [cut, whole] = backend.read(ALL, 2000).map(takeUpdate);
    expect(cut?.identity?.migMode).toBe(true);
    // The card's own utilisation is not to be had, and so is not zero.
    for (const key of ["utilization", "memoryUtilization", "encoderUtilization"]) {
      expect(cut?.load).not.toHaveProperty(key);
    }
    expect(cut?.load).toMatchObject({ temperatureCelsius: 61, memoryUsedBytes: 42000 * MIB });
    expect(cut?.load?.slices).toEqual([
      {
        uuid: "MIG-aaaaaaaa-0000-4000-8000-000000000000",
        profile: "3g.40gb",
        gpuInstance: 2,
        computeInstance: 0,
        multiprocessors: 60,
        memoryTotalBytes: 40448 * MIB,
        memoryUsedBytes: 30000 * MIB,
        activity: { graphics: 0.91, sm: 0.815, smOccupancy: 0.41, tensor: 0.715, dram: 0.51 },
      },
      {
        uuid: "MIG-aaaaaaaa-0000-4000-8000-000000000003",
        profile: "1g.10gb",
        gpuInstance: 9,
        computeInstance: 0,
        multiprocessors: 16,
        memoryTotalBytes: 9984 * MIB,
        memoryUsedBytes: 5000 * MIB,
        activity: { graphics: 0.12, sm: 0.115, tensor: 0.025 },
      },
      {
        uuid: "MIG-aaaaaaaa-0000-4000-8000-000000000005",
        profile: "1g.10gb",
        gpuInstance: 11,
        computeInstance: 0,
        multiprocessors: 16,
        memoryTotalBytes: 9984 * MIB,
        memoryUsedBytes: 100 * MIB,
        activity: { graphics: 0, sm: 0 },
      },
    ]);
    expect(cut?.traffic?.processes).toEqual([
      { pid: 4242, memoryBytes: 40000 * MIB, gpuInstance: 2 },
      { pid: 4343, memoryBytes: 2000 * MIB, gpuInstance: 9 },
    ]);
    expect(whole?.load).not.toHaveProperty("slices");
    expect(whole?.load?.utilization).toBe(0.87);
    // An XID of an instance says of which.
    double.play("mig", "xid = 1 0 31 9 0", "xid = 2 0 79");
    expect(backend.faults()).toEqual([
      { uuid: "GPU-6a0f1c2e-0000-4000-8000-000000000000", xid: 31, gpuInstance: 9, computeInstance: 0 },
      {
        uuid: "GPU-6a0f1c2e-0000-4000-8000-000000000000",
        xid: 79,
        gpuInstance: undefined,
        computeInstance: undefined,
      },
    ]);
    backend.close();
    expect(double.report()).toMatchObject({ misuses: 0, gpmSamplesLeaked: 0, eventSetsLeaked: 0 });
  });

  test("names a profile by its instance where the device's name does not, and by its size without the right to ask", () => {
    const double = new Double();
    double.play("mig", 'gpu0.mig*.name = "H100"', 'gpu0.mig0.name = "H100"', "gpu0.mig3.name = none");
    const profiles = (): unknown =>
      openNvml({ libraryPath: double.path, root: double.root })
        .read(ALL, 1000)[0]
        ?.load?.slices?.map(({ profile }) => profile);
    expect(profiles()).toEqual(["3g.40gb", "1g.10gb", "1g.10gb"]);
    double.play(
      "mig",
      'gpu0.mig0.name = "H100"',
      "gpu0.mig3.name = none",
      "call.nvmlDeviceGetGpuInstanceById.error = 4",
    );
    expect(profiles()).toEqual(["3g.40gb", "1g.10gb", "1g.10gb"]);
  });

  test("is cut anew while it is read: what is gone is gone, what is new is found, no sample stays", () => {
    const double = new Double();
    double.play("mig");
    const backend = openNvml({ libraryPath: double.path, root: double.root });
    const uuids = (nowMs: number): unknown =>
      backend.read(ALL, nowMs)[0]?.load?.slices?.map(({ uuid }) => uuid.slice(-2));
    const samples = (): number => double.report().gpmSamples;
    expect(uuids(1000)).toEqual(["00", "03", "05"]);
    const before = samples();
    double.play("mig", "gpu0.mig3.gi = none");
    expect(uuids(2000)).toEqual(["00", "05"]);
    expect(samples()).toBe(before - 2);
    // The handle of an index may come to mean another instance, and an index may be taken again.
    double.play("mig", "gpu0.mig0.gi = 9", "gpu0.mig3.gi = 2", "gpu0.mig5.gi = none");
    uuids(3000);
    expect(uuids(4000)).toEqual(["00", "03"]);
    expect(backend.read(ALL, 5000)[0]?.load?.slices?.map(({ gpuInstance }) => gpuInstance)).toEqual([9, 2]);
    double.play("h100");
    expect(uuids(6000)).toBeUndefined();
    Bun.sleepSync(GPM_PAUSE_MS);
    expect(takeUpdate(backend.read(ALL, 7000)[0])?.load).toMatchObject({ activity: { sm: 0.7625 } });
    expect(samples()).toBe(4);
    backend.close();
    expect(double.report()).toMatchObject({ misuses: 0, gpmSamplesLeaked: 0 });
  });

  test("has its utilisation back once MIG is off, within the minute in which it is not asked for", () => {
    const double = new Double();
    double.play("mig");
    const backend = openNvml({ libraryPath: double.path, root: double.root });
    expect(backend.read(ALL, 1000)[0]?.load?.utilization).toBeUndefined();
    double.play("h100");
    backend.read(ALL, 2000);
    expect(backend.read(ALL, 62_000)[0]?.load?.utilization).toBe(0.87);
  });
});
