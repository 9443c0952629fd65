/** What the real backend makes of a library, a driver and cards that fail, lie or go away: by the double of libnvidia-ml. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Double, HAS_COMPILER, foreignLibrary, removeDoubles } from "./double.ts";
import { BackendError, type GpuBackend } from "../../src/gpu/backend.ts";
import { openNvml } from "../../src/gpu/nvml.ts";
import { NVML_SYMBOLS } from "../../src/gpu/nvml-symbols.ts";
import { GPU_GROUPS, type GpuUpdate } from "../../src/health/reading.ts";
import { GpuReadings } from "../../src/health/readings.ts";
import { takeFault, takeUpdate } from "../../src/health/shape.ts";

afterAll(removeDoubles);

const ALL = new Set(GPU_GROUPS);
const FIRST = "GPU-6a0f1c2e-0000-4000-8000-000000000000";
const SECOND = "GPU-6a0f1c2e-0000-4000-8000-000000000001";
/** When a lost GPU has rested long enough to be tried again. */
const RESTED_MS = 40_000;

const opened = (double: Double): GpuBackend => openNvml({ libraryPath: double.path, root: double.root });
const uuids = (backend: GpuBackend, nowMs: number): string[] => backend.read(ALL, nowMs).map(({ uuid }) => uuid);

function failure(act: () => unknown): BackendError {
  try {
    act();
  } catch (error) {
    if (error instanceof BackendError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

describe.skipIf(!HAS_COMPILER)("a library that does not serve", () => {
  const cases = [
    [9, "absent", "modprobe nvidia"],
    [18, "broken", "different versions"],
    [4, "denied", "/dev/nvidia"],
    [17, "denied", "/dev/nvidia"],
    [28, "absent", "no GPU was found"],
    [15, "lost", "fell off the bus"],
    [999, "broken", "unknown error"],
  ] as const;
  for (const [code, trouble, words] of cases) {
    test(`nvmlInit_v2 answers ${code}: ${trouble}, and says what to do`, () => {
      const double = new Double();
      double.play("h100", `init = error ${code}`);
      const error = failure(() => opened(double));
      expect(error.trouble).toBe(trouble);
      expect(error.message).toContain(double.path);
      expect(error.message).toContain(words);
      expect(double.report()).toMatchObject({ references: 0, misuses: 0 });
      // And serves once that is over.
      double.play("h100");
      expect(uuids(opened(double), 1000)).toEqual([FIRST, SECOND]);
    });
  }

  test("no GPU at all is absent, and leaves nothing open", () => {
    const double = new Double();
    double.play("h100", "gpus = 0");
    expect(failure(() => opened(double)).trouble).toBe("absent");
    expect(double.report()).toMatchObject({ references: 0, misuses: 0, eventSetsLeaked: 0 });
  });

  test("each call that an opening needs may fail, and nothing stays open", () => {
    for (const name of ["nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"]) {
      for (const code of [1, 2, 4, 15, 17, 18, 999]) {
        const double = new Double();
        double.play("h100", `call.${name}.error = ${code}`);
        expect(failure(() => opened(double)).message).toContain(`answered ${code}`);
        expect(double.report()).toMatchObject({ references: 0, misuses: 0, eventSetsLeaked: 0, gpmSamplesLeaked: 0 });
      }
      const double = new Double();
      double.play("h100", `call.${name}.silent = yes`);
      expect(failure(() => opened(double)).trouble).toBe("broken");
      expect(double.report().references).toBe(0);
    }
  });

  test("a foreign library with some of the names is refused, whatever it answers", () => {
    for (const init of [0, 7, -1, 12_345]) {
      const libraryPath = foreignLibrary(init);
      const { root } = new Double();
      expect(failure(() => openNvml({ libraryPath, root })).trouble).toBe("broken");
    }
  });

  test("a driver that is another one than the library, while it is mapped, gives all up", () => {
    const double = new Double();
    double.play("h100");
    const backend = opened(double);
    expect(uuids(backend, 1000).length).toBe(2);
    double.play("h100", 'driver = "580.65.06"');
    const error = failure(() => backend.read(new Set(["load"]), 2000));
    expect(error).toMatchObject({ trouble: "broken" });
    expect(error.message).toContain("different versions");
    expect(backend.faults()).toEqual([]);
    backend.close();
    expect(failure(() => opened(double)).trouble).toBe("broken");
    expect(double.report()).toMatchObject({ references: 0, misuses: 0 });
    // A new process, here another copy, has the new library.
    const fresh = new Double();
    fresh.play("h100", 'driver = "580.65.06"');
    expect(opened(fresh).stack.driverVersion).toBe("580.65.06");
  });

  test("a driver that answers nothing but 999 is given up; one figure that does is left out", () => {
    const double = new Double();
    double.play("h100", "gpu*.celsius = error 999");
    const backend = opened(double);
    const [gpu] = backend.read(ALL, 1000);
    expect(gpu?.load).toMatchObject({ utilization: 0.87 });
    expect(gpu?.load?.temperatureCelsius).toBeUndefined();
    double.play("h100", "gpu*.call.*.error = 999");
    expect(failure(() => backend.read(ALL, 2000)).trouble).not.toBe("absent");
    double.play("h100");
    expect(double.report()).toMatchObject({ references: 0 });
  });
});

describe.skipIf(!HAS_COMPILER)("GPUs that come and go", () => {
  for (const [state, code] of [
    ["lost", 15],
    ["reset", 16],
  ] as const) {
    test(`one that is ${state} is left out, asks for a roll, and is back when it answers again`, () => {
      const double = new Double();
      double.play("h100");
      const backend = opened(double);
      expect(uuids(backend, 1000)).toEqual([FIRST, SECOND]);
      double.play("h100", `gpu1.state = ${state}`, "xid = 1 1 79");
      expect(backend.read(new Set(["load"]), 2000).map(({ uuid }) => uuid)).toEqual([FIRST]);
      expect(backend.isRollDue).toBe(true);
      expect(backend.faults().map(takeFault)).toEqual([{ uuid: SECOND, xid: 79 }]);
      expect(uuids(backend, 3000)).toEqual([FIRST]);
      // Still so when it is tried again.
      expect(uuids(backend, 3000 + RESTED_MS)).toEqual([FIRST]);
      double.play("h100");
      expect(uuids(backend, 4000 + RESTED_MS)).toEqual([FIRST]);
      expect(uuids(backend, 4000 + 2 * RESTED_MS)).toEqual([FIRST, SECOND]);
      expect(backend.isRollDue).toBe(false);
      double.play("h100", "xid = 5 1 31");
      expect(backend.faults().map(takeFault)).toEqual([{ uuid: SECOND, xid: 31 }]);
      // The last one ends it.
      double.play("h100", `gpu*.state = ${state}`);
      const error = failure(() => backend.read(ALL, 5000 + 2 * RESTED_MS));
      expect(error.trouble).toBe("lost");
      expect(error.message).toContain(`answered ${code}`);
      expect(double.report()).toMatchObject({ references: 0, misuses: 0, eventSetsLeaked: 0, gpmSamplesLeaked: 0 });
    });
  }

  test("XIDs that could not be watched for a moment are watched from the next look at identities on", () => {
    for (const name of ["nvmlEventSetCreate", "nvmlDeviceRegisterEvents"]) {
      for (const code of [20, 999]) {
        const double = new Double();
        double.play("h100", `call.${name}.error = ${code}`);
        const backend = opened(double);
        const seen = (nowMs: number): unknown[] =>
          backend.read(new Set(["identity"]), nowMs).map(({ identity }) => identity?.reportsXids);
        expect(uuids(backend, 1000)).toEqual([FIRST, SECOND]);
        expect(seen(1500)).toEqual([false, false]);
        double.play("h100");
        backend.read(new Set(["load"]), 2000);
        backend.read(new Set(["identity"]), 3000);
        expect(seen(4000)).toEqual([true, true]);
        double.play("h100", "xid = 1 1 79");
        expect(backend.faults().map(takeFault)).toEqual([{ uuid: SECOND, xid: 79 }]);
        backend.close();
        expect(double.report()).toMatchObject({ references: 0, misuses: 0, eventSetsLeaked: 0 });
      }
    }
  });

  test("one that was lost before is told of, though nothing is known of it", () => {
    const double = new Double();
    double.play("h100", "gpu1.state = lost");
    const backend = opened(double);
    expect(uuids(backend, 1000)).toEqual([FIRST]);
    expect(backend.note).toMatch(/^1 of 2 GPUs can't be read \(GPU 1: .* answered 15, the GPU is lost/);
    double.play("h100");
    expect(uuids(backend, 1000 + RESTED_MS)).toEqual([FIRST, SECOND]);
    expect(backend.note).toBe("");
    double.play("h100", "gpu0.state = reset");
    expect(uuids(backend, 2000 + RESTED_MS)).toEqual([SECOND]);
    expect(backend.note).toMatch(/GPU 0: .* must be reset/);
  });

  test("one that may not be read is left out, and is no trouble of the others", () => {
    const double = new Double();
    double.play("h100", "gpu0.state = denied");
    const backend = opened(double);
    expect(uuids(backend, 1000)).toEqual([SECOND]);
    expect(backend.note).toContain("no permission");
    backend.close();
    double.play("h100", "gpu*.state = denied");
    expect(failure(() => opened(double)).trouble).toBe("denied");
  });

  test("one that is put in or taken out is found at the next look at identities", () => {
    const double = new Double();
    double.play("h100");
    const backend = opened(double);
    backend.read(ALL, 1000);
    double.play("h100", "gpus = 3");
    expect(backend.read(new Set(["load"]), 2000).length).toBe(2);
    expect(backend.read(ALL, 3000).map(({ identity }) => identity?.index)).toEqual([0, 1, 2]);
    double.play("h100", "present = 0 2");
    expect(backend.read(ALL, 4000).map(({ uuid, identity }) => [identity?.index, uuid.slice(-2)])).toEqual([
      [0, "00"],
      [1, "02"],
    ]);
    double.play("h100", "present = 2");
    expect(uuids(backend, 5000).map((uuid) => uuid.slice(-2))).toEqual(["02"]);
    backend.close();
    expect(double.report()).toMatchObject({ misuses: 0, eventSetsLeaked: 0, gpmSamplesLeaked: 0 });
  });

  test("one that the library learns of only when it is initialised is found by the driver's own list", () => {
    const double = new Double();
    const list = join(double.root, "proc/driver/nvidia/gpus");
    mkdirSync(join(list, "0000:00:00.0"), { recursive: true });
    double.play("h100", 'enumerate = "init"', "gpus = 1");
    const backend = opened(double);
    expect(uuids(backend, 1000)).toEqual([FIRST]);
    double.play("h100", 'enumerate = "init"', "gpus = 2");
    expect(uuids(backend, 2000)).toEqual([FIRST]);
    mkdirSync(join(list, "0000:01:00.0"));
    expect(uuids(backend, 3000)).toEqual([FIRST, SECOND]);
    backend.close();
    expect(double.report()).toMatchObject({ references: 0, misuses: 0, eventSetsLeaked: 0, gpmSamplesLeaked: 0 });
  });

  test("two of one name stay apart in what is read, and are told as ambiguous", () => {
    const double = new Double();
    double.play("h100", 'gpu*.uuid = "GPU-twins"', "gpu1.celsius = 70");
    const updates = opened(double).read(ALL, 1000);
    expect(updates.map(({ uuid }) => uuid)).toEqual(["GPU-twins", "GPU-twins"]);
    const readings = new GpuReadings();
    readings.take(updates, true);
    expect(readings.ambiguous).toEqual(["GPU-twins"]);
    expect(readings.all.length).toBe(1);
  });
});

describe.skipIf(!HAS_COMPILER)("XIDs", () => {
  test("none of a storm is lost, and none is told twice", () => {
    const double = new Double();
    double.play("h100");
    const backend = opened(double);
    double.play("h100", "xid = 1-1000 0 31", "xid = 1001-1500 1 48");
    const seen: string[] = [];
    for (let looks = 0; looks < 20; looks += 1) seen.push(...backend.faults().map(({ uuid, xid }) => `${uuid} ${xid}`));
    expect(seen.filter((fault) => fault === `${FIRST} 31`).length).toBe(1000);
    expect(seen.filter((fault) => fault === `${SECOND} 48`).length).toBe(500);
    expect(seen.length).toBe(1500);
    // A look at identities that begins anew keeps what was reported before it.
    double.play("h100", "gpus = 3", "xid = 1501-1510 1 63");
    backend.read(ALL, 2000);
    expect(backend.faults().length).toBe(10);
  });

  test("are told again after the wait for them failed for a while", () => {
    const double = new Double();
    double.play("h100");
    const backend = opened(double);
    double.play("h100", "call.nvmlEventSetWait_v2.error = 999");
    expect(backend.faults()).toEqual([]);
    double.play("h100");
    for (const nowMs of [1000, 1000 + RESTED_MS, 1000 + 2 * RESTED_MS]) backend.read(ALL, nowMs);
    double.play("h100", "xid = 1 0 79");
    expect(backend.faults().map(takeFault)).toEqual([{ uuid: FIRST, xid: 79 }]);
    expect(double.report()).toMatchObject({ misuses: 0 });
  });

  test("a card without such events, and a library without sets, are read all the same", () => {
    const none = new Double();
    none.play("h100", "gpu*.events = none");
    const backend = opened(none);
    expect(backend.faults()).toEqual([]);
    expect(backend.read(ALL, 1000).length).toBe(2);
    const double = new Double();
    double.play("h100", "call.nvmlEventSetCreate.error = 20");
    expect(opened(double).faults()).toEqual([]);
  });
});

describe.skipIf(!HAS_COMPILER)("a library that lies", () => {
  /** What the agent would show of it: each figure is one that a card can have, or is not there. */
  const shown = (double: Double): (GpuUpdate | undefined)[] => {
    const backend = opened(double);
    backend.read(ALL, 1000);
    Bun.sleepSync(120);
    const updates = backend.read(ALL, 2000).map(takeUpdate);
    backend.faults();
    backend.close();
    return updates;
  };

  test("texts without an end, or that are none, are cut and cleaned", () => {
    const double = new Double();
    const texts = ["name", "uuid", "serial", "pci"].map((leaf) => `gpu0.${leaf} = raw "\\xff\\x01A\\xfe"`);
    double.play("h100", ...texts, 'gpu1.name = ""', "gpu1.serial = error 999", 'driver = raw "\\x80"');
    const [garbled, empty] = shown(double);
    expect(garbled?.uuid).toMatch(/^A+$/);
    expect(garbled?.identity?.name).toMatch(/^A+$/);
    expect(garbled?.identity).not.toHaveProperty("pciAddress");
    expect(empty?.identity).toMatchObject({ name: "NVIDIA GPU", pciAddress: "0000:01:00.0" });
    expect(empty?.identity).not.toHaveProperty("serial");
  });

  test("absurd figures are no figures", () => {
    const double = new Double();
    const leaves =
      "util memory_util encoder_util decoder_util jpeg_util ofa_util power_mw power_mean_mw " +
      "power_limit_mw clock*.mhz clock*.max_mhz performance_state memory_total memory_used memory_reserved memory_free " +
      "pcie_generation pcie_width power_limit_max_mw power_limit_min_mw architecture energy_mj";
    const hot = ["celsius", "memory_celsius", "threshold*.celsius"];
    double.play(
      "h100",
      ...leaves.split(" ").map((leaf) => `gpu0.${leaf} = 0xFFFFFFFFFFFFFFF0`),
      ...hot.map((leaf) => `gpu0.${leaf} = 4000000000`),
      "gpu0.gpm.2 = 4e9",
    );
    const [gpu, other] = shown(double);
    for (const leaf of ["temperatureCelsius", "memoryCelsius", "utilization", "memoryUtilization", "powerWatts"]) {
      expect(gpu?.load).not.toHaveProperty(leaf);
    }
    for (const leaf of ["graphicsClockMhz", "smClockMhz", "memoryUsedBytes", "performanceState", "energyJoules"]) {
      expect(gpu?.load).not.toHaveProperty(leaf);
    }
    expect(gpu?.load?.activity).not.toHaveProperty("sm");
    for (const leaf of ["memoryTotalBytes", "slowdownCelsius", "architecture", "smClockMhzMax", "powerLimitWattsMax"]) {
      expect(gpu?.identity).not.toHaveProperty(leaf);
    }
    expect(gpu?.traffic).not.toHaveProperty("pcieGeneration");
    expect(other?.load?.temperatureCelsius).toBe(61);
  });

  test("success with nothing written is no figure, and never zero", () => {
    const double = new Double();
    double.play("h100");
    const backend = opened(double);
    backend.read(ALL, 1000);
    backend.faults();
    // All that reads a figure; what gives handles and counts is for other tests.
    const names = Object.keys(NVML_SYMBOLS).filter((name) => /^nvml(?:DeviceGet(?!Count|Handle|UUID)|GpmM)/.test(name));
    double.play("h100", ...names.map((name) => `call.${name}.silent = yes`));
    Bun.sleepSync(120);
    const [gpu] = backend.read(ALL, 2000).map(takeUpdate);
    expect(gpu).toEqual({
      uuid: FIRST,
      identity: { index: 0, vendor: "nvidia", name: "NVIDIA GPU", reportsXids: true },
      load: { activity: {} },
      traffic: { processes: [] },
      wear: {},
    });
  });

  test("more processes than were written are not made up", () => {
    const double = new Double();
    double.play("h100", "gpu0.processes_claimed = 5000", "gpu1.processes_claimed = 4294967295");
    for (const gpu of opened(double).read(ALL, 1000)) {
      expect(gpu.traffic?.processes?.map(({ pid }) => pid)).toEqual([4242, 4343]);
    }
  });

  test("counts beyond all measure end", () => {
    const double = new Double();
    double.play(
      "h100",
      "gpu*.links = 0xFFFFFFF0",
      "gpu*.fans = 0xFFFFFFF0",
      "gpu*.fan*.percent = 50",
      "gpu*.mig = 1",
      "gpu*.mig_max = 0xFFFFFFF0",
      "gpu*.retired_corrected = 0xFFFFFFF0",
    );
    const [gpu] = shown(double);
    expect(gpu?.traffic?.links?.length).toBe(64);
    expect(gpu?.load?.fans?.length).toBe(16);
    expect(gpu?.load?.slices).toEqual([]);
    const many = new Double();
    many.play("h100", "gpus = 4000000000");
    expect(shown(many).length).toBe(64);
  });

  /** Whatever calls answer and figures say, what comes out is a reading or a BackendError, and nothing stays open. */
  test("nothing that it says breaks the reader", () => {
    const double = new Double();
    double.play("h100");
    const healthy = opened(double);
    healthy.read(ALL, 1000);
    healthy.close();
    const names = Object.keys(double.report().calls);
    const leaves = ["celsius", "util", "memory_total", "links", "mig", "mig_max", "fans", "uuid", "pci", "energy_mj"];
    const line = fc.oneof(
      fc
        .tuple(fc.constantFrom(...names, "*"), fc.constantFrom(1, 2, 3, 4, 6, 7, 10, 15, 16, 18, 21, 25, 26, 999, -5))
        .map(([name, code]) => `gpu1.call.${name}.error = ${code}`),
      fc
        .constantFrom(...names.filter((name) => !/Init|Shutdown|Free/.test(name)))
        .map((name) => `call.${name}.silent = yes`),
      fc
        .tuple(
          fc.constantFrom(...leaves),
          fc.constantFrom("none", "0", "-1", "0xFFFFFFFFFFFFFFFF", "error 15", 'raw "\\xff"', "f64 1e300"),
        )
        .map(([leaf, value]) => `gpu*.${leaf} = ${value}`),
      fc.constantFrom("gpus = 1", "present = 1", "gpu0.state = lost", "gpu1.state = reset", "process_stride = 32"),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), fc.array(line, { maxLength: 6 }), (first, then) => {
        const before = double.report().misuses;
        let backend: GpuBackend | undefined;
        try {
          double.play("mig", ...first);
          backend = opened(double);
          for (const nowMs of [1000, 2000, 70_000]) {
            for (const update of backend.read(ALL, nowMs)) takeUpdate(update);
            for (const fault of backend.faults()) takeFault(fault);
            double.play("h100", ...then);
          }
        } catch (error) {
          if (!(error instanceof BackendError)) throw error;
        }
        double.play("h100");
        backend?.close();
        const { eventSets, gpmSamples, misuses } = double.report();
        expect([eventSets, gpmSamples, misuses - before]).toEqual([0, 0, 0]);
      }),
      { numRuns: 60 },
    );
  });
});
