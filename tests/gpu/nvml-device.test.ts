import { describe, expect, test } from "bun:test";
import { BackendError } from "../../src/gpu/backend.ts";
import { GpuGone } from "../../src/gpu/nvml-codes.ts";
import { FIELD, NvmlFields, ofDevice } from "../../src/gpu/nvml-fields.ts";
import { readMemory } from "../../src/gpu/nvml-memory.ts";
import { deviceOf, viewOf } from "./nvml-calls.ts";

describe("a figure of a device", () => {
  test("is asked for again a minute after it was refused, and each choice by itself", () => {
    let asked = 0;
    const device = deviceOf({
      nvmlDeviceGetClockInfo: (_dev: number, which: number, words: Uint32Array) => {
        asked += 1;
        words[0] = 1500;
        return which === 3 ? 3 : 0;
      },
    });
    for (const nowMs of [0, 1000, 59_999]) {
      device.begin(nowMs);
      expect(device.choice("nvmlDeviceGetClockInfo", 3)).toBeUndefined();
      expect(device.choice("nvmlDeviceGetClockInfo", 0)).toBe(1500);
    }
    expect(asked).toBe(4);
    device.begin(60_000);
    expect(device.choice("nvmlDeviceGetClockInfo", 3)).toBeUndefined();
    expect(asked).toBe(5);
  });

  test("that is not ready is asked for at each look", () => {
    let asked = 0;
    const device = deviceOf({ nvmlDeviceGetPowerUsage: () => ((asked += 1), 27) });
    for (const nowMs of [0, 1000, 2000]) {
      device.begin(nowMs);
      expect(device.word("nvmlDeviceGetPowerUsage")).toBeUndefined();
      device.end();
    }
    expect(asked).toBe(3);
  });

  test("is none where the library lacks the call, or answers well and writes nothing", () => {
    expect(deviceOf({}).word("nvmlDeviceGetPowerUsage")).toBeUndefined();
    const silent = deviceOf({
      nvmlDeviceGetPowerUsage: () => 0,
      nvmlDeviceGetTotalEnergyConsumption: () => 0,
      nvmlDeviceGetMigMode: () => 0,
      nvmlDeviceGetUUID: () => 0,
      nvmlDeviceGetMemoryInfo_v2: () => 0,
    });
    expect(silent.word("nvmlDeviceGetPowerUsage")).toBeUndefined();
    expect(silent.long("nvmlDeviceGetTotalEnergyConsumption")).toBeUndefined();
    expect(silent.pair("nvmlDeviceGetMigMode")).toBeUndefined();
    expect(silent.second).toBeUndefined();
    expect(silent.text("nvmlDeviceGetUUID", 96)).toBeUndefined();
    expect(readMemory(silent)).toEqual({
      totalBytes: undefined,
      usedBytes: undefined,
      freeBytes: undefined,
      reservedBytes: undefined,
    });
  });

  test("of a lost GPU ends the look at it; of a library that is over, everything", () => {
    for (const rc of [15, 16]) {
      expect(() => deviceOf({ nvmlDeviceGetPowerUsage: () => rc }).word("nvmlDeviceGetPowerUsage")).toThrow(GpuGone);
    }
    for (const rc of [1, 18]) {
      const device = deviceOf({ nvmlDeviceGetPowerUsage: () => rc });
      expect(() => device.word("nvmlDeviceGetPowerUsage")).toThrow(BackendError);
    }
  });

  test("that is odd costs itself; where most are, the driver is stuck", () => {
    let rc = 0;
    const device = deviceOf({ nvmlDeviceGetPowerUsage: () => 999, nvmlDeviceGetFanSpeed: () => rc });
    const look = (): void => {
      device.begin(0);
      device.word("nvmlDeviceGetPowerUsage");
      device.word("nvmlDeviceGetFanSpeed");
      device.end();
    };
    look();
    rc = 999;
    expect(look).toThrow(/answered 999/);
  });
});

describe("memory", () => {
  test("is read by the newer struct, whose version is told, else by the older one", () => {
    const older = {
      nvmlDeviceGetMemoryInfo: (_dev: number, words: Uint32Array) => {
        const view = viewOf(words);
        for (const [at, value] of [
          [0, 100n],
          [8, 60n],
          [16, 40n],
        ] as const)
          view.setBigUint64(at, value, true);
        return 0;
      },
    };
    expect(readMemory(deviceOf(older))).toEqual({
      totalBytes: 100,
      usedBytes: 40,
      freeBytes: 60,
      reservedBytes: undefined,
    });
    const both = deviceOf({
      ...older,
      nvmlDeviceGetMemoryInfo_v2: (_dev: number, words: Uint32Array) => {
        const view = viewOf(words);
        if (words[0] !== 0x0200_0028) return 25;
        for (const [at, value] of [
          [8, 200n],
          [16, 10n],
          [24, 120n],
          [32, 70n],
        ] as const) {
          view.setBigUint64(at, value, true);
        }
        return 0;
      },
    });
    expect(readMemory(both)).toEqual({ totalBytes: 200, usedBytes: 70, freeBytes: 120, reservedBytes: 10 });
    const refused = deviceOf({ ...older, nvmlDeviceGetMemoryInfo_v2: () => 25 });
    expect(readMemory(refused)?.totalBytes).toBe(100);
  });

  test("a part that is larger than the whole is none", () => {
    const device = deviceOf({
      nvmlDeviceGetMemoryInfo: (_dev: number, words: Uint32Array) => {
        const view = viewOf(words);
        for (const [at, value] of [
          [0, 100n],
          [8, 101n],
          [16, 40n],
        ] as const)
          view.setBigUint64(at, value, true);
        return 0;
      },
    });
    expect(readMemory(device)).toMatchObject({ totalBytes: 100, usedBytes: 40, freeBytes: undefined });
  });
});

describe("field values", () => {
  /** A library that knows some of the fields, as u32. */
  function knowing(values: Readonly<Record<number, number>>, asked: number[][] = []) {
    return deviceOf({
      nvmlDeviceGetFieldValues: (_dev: number, count: number, words: Uint32Array) => {
        const ids: number[] = [];
        for (let at = 0; at < count * 10; at += 10) {
          const value = values[words[at] as number];
          ids.push(words[at] as number);
          words[at + 6] = 1;
          words[at + 7] = value === undefined ? 3 : 0;
          words[at + 8] = value ?? 77;
        }
        asked.push(ids);
        return 0;
      },
    });
  }

  test("each has its code, and one that is not there is left out for a minute", () => {
    const asked: number[][] = [];
    const device = knowing({ 82: 70, 186: 500 }, asked);
    const fields = new NvmlFields(device, ofDevice(FIELD.memoryTemperature, FIELD.energy, FIELD.powerInstant));
    for (const nowMs of [0, 1000, 60_000]) {
      device.begin(nowMs);
      expect(fields.look()).toEqual([70, undefined, 500]);
    }
    expect(asked).toEqual([
      [82, 83, 186],
      [82, 186],
      [82, 83, 186],
    ]);
  });

  test("one that the library leaves out has no value, also not the one before", () => {
    let isSilent = false;
    const device = deviceOf({
      nvmlDeviceGetFieldValues: (_dev: number, _count: number, words: Uint32Array) => {
        if (isSilent) return 0;
        words[6] = 1;
        words[7] = 0;
        words[8] = 70;
        return 0;
      },
    });
    const fields = new NvmlFields(device, ofDevice(FIELD.memoryTemperature));
    expect(fields.look()).toEqual([70]);
    isSilent = true;
    expect(fields.look()).toEqual([undefined]);
  });

  test("a call that is refused says nothing of other fields", () => {
    const device = deviceOf({
      nvmlDeviceGetFieldValues: (_dev: number, _count: number, words: Uint32Array) => {
        if (words[0] === FIELD.energy) return 3;
        words[6] = 1;
        words[7] = 0;
        words[8] = 70;
        return 0;
      },
    });
    expect(new NvmlFields(device, ofDevice(FIELD.energy)).look()).toEqual([undefined]);
    expect(new NvmlFields(device, ofDevice(FIELD.memoryTemperature)).look()).toEqual([70]);
  });

  test("many odd ones are one call of those by which a driver counts as stuck", () => {
    const device = deviceOf({ nvmlDeviceGetFieldValues: () => 999, nvmlDeviceGetFanSpeed: () => 0 });
    device.begin(0);
    expect(new NvmlFields(device, ofDevice(FIELD.energy, FIELD.linkCount, FIELD.pcieReplays)).look()).toHaveLength(3);
    device.word("nvmlDeviceGetFanSpeed");
    expect(() => device.end()).not.toThrow();
  });

  test("one that says that the GPU is lost ends the look", () => {
    const device = deviceOf({
      nvmlDeviceGetFieldValues: (_dev: number, _count: number, words: Uint32Array) => {
        words[7] = 15;
        return 0;
      },
    });
    expect(() => new NvmlFields(device, ofDevice(FIELD.energy)).look()).toThrow(GpuGone);
  });
});
