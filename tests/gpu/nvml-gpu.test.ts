import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BackendError } from "../../src/gpu/backend.ts";
import { GpuGone } from "../../src/gpu/nvml-codes.ts";
import { NvmlEvents } from "../../src/gpu/nvml-events.ts";
import { GpmBuffer, NvmlGpm } from "../../src/gpu/nvml-gpm.ts";
import { NvmlGpu } from "../../src/gpu/nvml-gpu.ts";
import { ProcessBuffer } from "../../src/gpu/nvml-processes.ts";
import { NVML_SYMBOLS } from "../../src/gpu/nvml-symbols.ts";
import { ProcessOwners } from "../../src/gpu/process-owner.ts";
import { GPU_GROUPS } from "../../src/health/reading.ts";
import { takeFault, takeUpdate } from "../../src/health/shape.ts";
import { Prng } from "../../src/base/prng.ts";
import { type Call, bytesOf, deviceOf, sessionOf, viewOf } from "./nvml-calls.ts";

const CODES = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 4, 6, 7, 10, 13, 21, 25, 27, 999, 12_345, -1] as const;

/** A library that answers with any code and writes anything. */
function wild(seed: number, codes: readonly number[]): Record<string, Call> {
  const prng = new Prng(seed);
  const write = (bytes: Uint8Array): void => {
    const kind = prng.int(4);
    const end = prng.int(bytes.length + 1);
    for (let at = 0; at < end; at += 1) bytes[at] = kind === 0 ? 0 : kind === 1 ? 0xff : prng.int(256);
  };
  const call = (...args: unknown[]): number => {
    for (const arg of args) if (ArrayBuffer.isView(arg) && prng.int(8) > 0) write(bytesOf(arg));
    return codes[prng.int(codes.length)] as number;
  };
  const there = Object.keys(NVML_SYMBOLS).filter(() => prng.int(10) > 0);
  return Object.fromEntries(there.map((name) => [name, call as Call]));
}

function gpuOf(calls: Readonly<Record<string, Call>>): NvmlGpu {
  return new NvmlGpu(0, "GPU-1", deviceOf(calls), {
    gpm: new GpmBuffer(),
    processes: new ProcessBuffer(),
    owners: new ProcessOwners("/nowhere"),
  });
}

describe("whatever a library answers", () => {
  test("a look brings what has the shape of a reading, and ends", () => {
    const groups = new Set(GPU_GROUPS);
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const gpu = gpuOf(wild(seed, CODES));
        for (const nowMs of [1000, 2000, 2050, 70_000]) {
          try {
            const update = gpu.read(groups, nowMs);
            expect(takeUpdate(update)).toMatchObject({ uuid: "GPU-1" });
            expect(takeUpdate(JSON.parse(JSON.stringify(update)))).toEqual(takeUpdate(update));
          } catch (error) {
            // Most of the answers were 999, or a field's code, which was written by chance, was one that ends all.
            if (!(error instanceof GpuGone || error instanceof BackendError)) throw error;
          }
        }
        gpu.free();
      }),
      { numRuns: 60, examples: [[360983372]] },
    );
  });

  test("a look at a GPU or a library that is gone ends by saying so", () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const gpu = gpuOf({ ...wild(seed, [0, 3, 15, 18]), nvmlDeviceGetName: () => 15 });
        expect(() => gpu.read(new Set(GPU_GROUPS), 1000)).toThrow(/answered (?:15|18)/);
      }),
      { numRuns: 50 },
    );
  });

  test("faults are of GPUs that are watched, and end", () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const events = new NvmlEvents(sessionOf(wild(seed, [0, 0, 0, 0, 10])));
        events.watch([{ uuid: "GPU-1", handle: 0x1000 as never }]);
        const { faults } = events.take();
        expect(faults.length).toBeLessThanOrEqual(256);
        for (const fault of faults) expect(takeFault(fault)?.uuid ?? "GPU-1").toBe("GPU-1");
        events.free();
      }),
      { numRuns: 50 },
    );
  });
});

describe("a group that was not asked for", () => {
  test("is not in the update, where it would hide the one before", () => {
    expect(Object.keys(gpuOf({}).read(new Set(["load"]), 0)).sort()).toEqual(["load", "uuid"]);
  });

  test("a library that has none of the calls has no figure, and none is zero", () => {
    const { uuid, ...groups } = gpuOf({}).read(new Set(GPU_GROUPS), 0);
    expect(uuid).toBe("GPU-1");
    for (const group of Object.values(groups) as object[]) {
      const known = Object.entries(group).filter(([key]) => !["index", "vendor", "name"].includes(key));
      expect(known.filter(([, value]) => value !== undefined)).toEqual([]);
    }
  });
});

describe("GPM", () => {
  /** Samples of a library that tells by how many samples were taken. */
  function gpm(metrics: Call, calls: Readonly<Record<string, Call>> = {}) {
    let sample = 0x7f00_0000_1000;
    const taken: number[] = [];
    const freed: number[] = [];
    const device = deviceOf({
      nvmlGpmQueryDeviceSupport: (_dev: number, words: Uint32Array) => {
        const isVersion = words[0] === 1;
        words[1] = 1;
        return isVersion ? 0 : 25;
      },
      nvmlGpmSampleAlloc: (words: Uint32Array) => {
        viewOf(words).setBigUint64(0, BigInt((sample += 0x1000)), true);
        return 0;
      },
      nvmlGpmSampleFree: (at: number) => (freed.push(at), 0),
      nvmlGpmSampleGet: (_dev: number, at: number) => (taken.push(at), 0),
      nvmlGpmMigSampleGet: (_dev: number, instance: number, at: number) => (taken.push(instance, at), 0),
      nvmlGpmMetricsGet: metrics,
      ...calls,
    });
    return { device, taken, freed };
  }

  const half = (words: Uint32Array): number => {
    const view = viewOf(words);
    for (let at = 24; at < 24 + 40 * view.getUint32(4, true); at += 40) {
      view.setUint32(at + 4, view.getUint32(at, true) === 11 ? 3 : 0, true);
      view.setFloat64(at + 8, view.getUint32(at, true) === 12 ? Number.NaN : 50, true);
    }
    return 0;
  };

  test("compares two samples, the older first, more than 100 ms apart", () => {
    const pairs: number[][] = [];
    const compare = (words: Uint32Array): number => {
      const view = viewOf(words);
      expect(words.byteLength).toBe(13_344);
      pairs.push([Number(view.getBigUint64(8, true)), Number(view.getBigUint64(16, true))]);
      return half(words);
    };
    const { device, taken } = gpm(compare);
    const reader = new NvmlGpm(device, undefined, new GpmBuffer());
    expect(reader.read(0)).toBeUndefined();
    expect(reader.read(50)).toBeUndefined();
    expect(reader.read(1000)?.activity).toEqual({
      graphics: 0.5,
      sm: 0.5,
      smOccupancy: 0.5,
      tensor: 0.5,
      dram: 0.5,
      fp64: undefined,
      fp32: undefined,
      fp16: 0.5,
    });
    expect(reader.read(1050)?.activity.sm).toBe(0.5);
    expect(reader.read(2000)?.linkTxBytesPerSecond).toBe(50 * 2 ** 20);
    const [first, second] = taken as [number, number];
    expect(taken).toEqual([first, second, first]);
    expect(pairs).toEqual([
      [first, second],
      [second, first],
    ]);
  });

  test("begins anew after a sample that failed", () => {
    let rc = 0;
    const { device } = gpm(half, { nvmlGpmSampleGet: () => rc });
    const reader = new NvmlGpm(device, undefined, new GpmBuffer());
    reader.read(0);
    expect(reader.read(1000)).toBeDefined();
    rc = 27;
    expect(reader.read(2000)).toBeUndefined();
    rc = 0;
    expect(reader.read(3000)).toBeUndefined();
    expect(reader.read(4000)).toBeDefined();
  });

  test("of a MIG instance goes by the GPU's handle, and its samples are given back", () => {
    const { device, taken, freed } = gpm(half);
    const reader = new NvmlGpm(device, 9, new GpmBuffer());
    reader.read(0);
    reader.read(1000);
    const [instance, first, , second] = taken as [number, number, number, number];
    expect(instance).toBe(9);
    reader.free();
    reader.free();
    expect(new Set(freed)).toEqual(new Set([first, second]));
    expect(freed).toHaveLength(2);
  });

  test("is asked of a GPU without it once a minute", () => {
    let asked = 0;
    const { device } = gpm(half, { nvmlGpmQueryDeviceSupport: () => ((asked += 1), 0) });
    const reader = new NvmlGpm(device, undefined, new GpmBuffer());
    for (const nowMs of [0, 1000, 59_000, 60_000]) {
      device.begin(nowMs);
      expect(reader.read(nowMs)).toBeUndefined();
    }
    expect(asked).toBe(2);
  });
});
