/**
 * The double of libnvidia-ml keeps the contract of the public nvml.h: what the tests of the NVML backend prove is worth
 * as much as this. Called here by numbers and offsets of that header, not through the backend's own tables.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { type FFIFunction, type Pointer, dlopen } from "bun:ffi";
import { Double, foreignLibrary, HAS_COMPILER, removeDoubles } from "./double.ts";

afterAll(removeDoubles);

const SIGNATURES: Readonly<Record<string, FFIFunction["args"]>> = {
  nvmlInit_v2: [],
  nvmlShutdown: [],
  nvmlDeviceGetCount_v2: ["ptr"],
  nvmlDeviceGetHandleByIndex_v2: ["u32", "ptr"],
  nvmlDeviceGetHandleByUUID: ["ptr", "ptr"],
  nvmlDeviceGetName: ["ptr", "ptr", "u32"],
  nvmlDeviceGetUUID: ["ptr", "ptr", "u32"],
  nvmlDeviceGetPciInfo_v3: ["ptr", "ptr"],
  nvmlDeviceGetMemoryInfo: ["ptr", "ptr"],
  nvmlDeviceGetMemoryInfo_v2: ["ptr", "ptr"],
  nvmlDeviceGetPowerUsage: ["ptr", "ptr"],
  nvmlDeviceGetTemperatureV: ["ptr", "ptr"],
  nvmlDeviceGetUtilizationRates: ["ptr", "ptr"],
  nvmlDeviceGetFieldValues: ["ptr", "i32", "ptr"],
  nvmlDeviceGetComputeRunningProcesses_v3: ["ptr", "ptr", "ptr"],
  nvmlDeviceGetProcessUtilization: ["ptr", "ptr", "ptr", "u64"],
  nvmlDeviceGetMigDeviceHandleByIndex: ["ptr", "u32", "ptr"],
  nvmlDeviceGetGpuInstanceProfileInfoV: ["ptr", "u32", "ptr"],
  nvmlDeviceRegisterEvents: ["ptr", "u64", "ptr"],
  nvmlEventSetCreate: ["ptr"],
  nvmlEventSetWait_v2: ["ptr", "ptr", "u32"],
  nvmlEventSetFree: ["ptr"],
  nvmlGpmSampleAlloc: ["ptr"],
  nvmlGpmSampleGet: ["ptr", "ptr"],
  nvmlGpmMetricsGet: ["ptr"],
  nvmlGpmSampleFree: ["ptr"],
};

type Argument = number | bigint | Uint8Array | Pointer | null;
type Raw = (...args: Argument[]) => number;

const bytes = (length: number): Uint8Array<ArrayBuffer> => new Uint8Array(new ArrayBuffer(length)).fill(0xaa);
const view = (of: Uint8Array): DataView => new DataView(of.buffer);
const word = (of: Uint8Array, at = 0): number => view(of).getUint32(at, true);
const long = (of: Uint8Array, at = 0): bigint => view(of).getBigUint64(at, true);
const text = (of: Uint8Array, at = 0): string => {
  const end = of.indexOf(0, at);
  return new TextDecoder().decode(of.subarray(at, end));
};
const handle = (of: Uint8Array): Pointer => Number(long(of)) as Pointer;

class Caller extends Double {
  readonly #calls = new Map<string, Raw>();

  call(name: string, ...args: readonly Argument[]): number {
    let raw = this.#calls.get(name);
    if (raw === undefined) {
      const symbols = dlopen(this.path, { [name]: { args: SIGNATURES[name] ?? [], returns: "i32" } }).symbols;
      raw = symbols[name] as unknown as Raw;
      this.#calls.set(name, raw);
    }
    return raw(...args);
  }

  /** Initialised; the first GPU's handle. */
  open(scenario: string, ...lines: readonly string[]): Pointer {
    this.play(scenario, ...lines);
    expect(this.call("nvmlInit_v2")).toBe(0);
    return this.at(0);
  }

  at(index: number): Pointer {
    const out = bytes(8);
    expect(this.call("nvmlDeviceGetHandleByIndex_v2", index, out)).toBe(0);
    return handle(out);
  }
}

describe.skipIf(!HAS_COMPILER)("the double of libnvidia-ml", () => {
  test("answers nothing before nvmlInit, counts it, and takes no handle from before", () => {
    const double = new Caller();
    const out = bytes(8);
    expect(double.call("nvmlInit_v2")).toBe(9);
    double.play("h100");
    expect(double.call("nvmlDeviceGetCount_v2", out)).toBe(1);
    const device = double.open("h100");
    expect(double.call("nvmlInit_v2")).toBe(0);
    expect(double.call("nvmlDeviceGetCount_v2", out)).toBe(0);
    expect(word(out)).toBe(2);
    expect(double.call("nvmlDeviceGetHandleByIndex_v2", 2, out)).toBe(2);
    expect(double.call("nvmlShutdown")).toBe(0);
    expect(double.call("nvmlDeviceGetPowerUsage", device, out)).toBe(0);
    expect(double.call("nvmlShutdown")).toBe(0);
    expect(double.call("nvmlDeviceGetPowerUsage", device, out)).toBe(1);
    expect(double.call("nvmlShutdown")).toBe(1);
    expect(double.call("nvmlInit_v2")).toBe(0);
    expect(double.call("nvmlDeviceGetPowerUsage", device, out)).toBe(2);
    expect(double.call("nvmlDeviceGetPowerUsage", double.at(0), null)).toBe(2);
    expect(double.report()).toMatchObject({ references: 1, inits: 3, misuses: 5, calls: { nvmlInit_v2: 4 } });
  });

  test("checks buffers and version words, and writes what the layouts say", () => {
    const double = new Caller();
    const device = double.open("h100");
    const name = bytes(96);
    expect(double.call("nvmlDeviceGetName", device, name, 21)).toBe(7);
    expect(double.call("nvmlDeviceGetName", device, name, 96)).toBe(0);
    expect(text(name)).toBe("NVIDIA H100 80GB HBM3");
    expect(name[22]).toBe(0xaa);
    const pci = bytes(72);
    expect(double.call("nvmlDeviceGetPciInfo_v3", double.at(1), pci)).toBe(0);
    expect([text(pci), text(pci, 36), word(pci, 20), word(pci, 28)]).toEqual([
      "0000:01:00.0",
      "00000000:01:00.0",
      1,
      0x233010de,
    ]);
    expect(word(pci, 68)).toBe(0xaaaaaaaa);
    const memory = bytes(48);
    expect(double.call("nvmlDeviceGetMemoryInfo_v2", device, memory)).toBe(25);
    view(memory).setUint32(0, 0x02000028, true);
    expect(double.call("nvmlDeviceGetMemoryInfo_v2", device, memory)).toBe(0);
    const mib = (at: number): number => Number(long(memory, at)) / 2 ** 20;
    expect([8, 16, 24, 32].map(mib)).toEqual([81559, 559, 39000, 42000]);
    expect(word(memory, 40)).toBe(0xaaaaaaaa);
    expect(double.call("nvmlDeviceGetMemoryInfo", device, memory)).toBe(0);
    expect([0, 8, 16].map(mib)).toEqual([81559, 39000, 42559]);
    const temperature = bytes(12);
    view(temperature).setUint32(0, 0x0100000c, true);
    view(temperature).setUint32(4, 0, true);
    expect(double.call("nvmlDeviceGetTemperatureV", device, temperature)).toBe(0);
    expect(word(temperature, 8)).toBe(61);
  });

  test("gives each field value its code, and writes only as wide as its type", () => {
    const double = new Caller();
    const device = double.open("h100", "gpu0.field.82 = error 21", "gpu0.field.230 = u16 1");
    const ids = [186, 83, 82, 165, 165, 300, 5000, 230, 0];
    const fields = bytes(40 * ids.length);
    ids.forEach((id, at) => {
      view(fields).setUint32(at * 40, id, true);
      view(fields).setUint32(at * 40 + 4, at === 4 ? 18 : 0, true);
    });
    expect(double.call("nvmlDeviceGetFieldValues", device, ids.length, fields)).toBe(0);
    expect(ids.map((_, at) => word(fields, at * 40 + 28))).toEqual([0, 0, 21, 0, 3, 3, 2, 0, 2]);
    expect([word(fields, 24), word(fields, 32), word(fields, 36)]).toEqual([1, 512345, 0xaaaaaaaa]);
    expect([word(fields, 64), long(fields, 72)]).toEqual([3, 1234567890n]);
    expect(word(fields, 7 * 40 + 32)).toBe(0xaaaa0001);
    view(fields).setUint32(0, 300, true);
    expect(double.call("nvmlDeviceGetFieldValues", device, 1, fields)).toBe(3);
  });

  test("lists processes at both strides", () => {
    for (const stride of [24, 32]) {
      const double = new Caller();
      const device = double.open("h100", `process_stride = ${stride}`, "gpu0.process1.memory = none");
      const list = bytes(128);
      const room = bytes(4);
      view(room).setUint32(0, 1, true);
      expect(double.call("nvmlDeviceGetComputeRunningProcesses_v3", device, room, list)).toBe(7);
      expect(word(room)).toBe(2);
      expect(double.call("nvmlDeviceGetComputeRunningProcesses_v3", device, room, list)).toBe(0);
      expect([word(list), long(list, 8), word(list, 16)]).toEqual([4242, 40000n << 20n, 0xffffffff]);
      expect([word(list, stride), long(list, stride + 8)]).toEqual([4343, 2n ** 64n - 1n]);
      expect(list[2 * stride]).toBe(0xaa);
      view(room).setUint32(0, 2, true);
      expect(double.call("nvmlDeviceGetProcessUtilization", device, list, room, 0n)).toBe(0);
      expect([word(list), word(list, 16), word(list, 32 + 16)]).toEqual([4242, 80, 7]);
      const seen = long(list, 8) + 10_000_000n;
      expect(double.call("nvmlDeviceGetProcessUtilization", device, list, room, seen)).toBe(6);
    }
  });

  test("has MIG devices at sparse indices, which know their own memory and refuse what cards have", () => {
    const double = new Caller();
    const device = double.open("mig");
    const out = bytes(8);
    const found = [0, 1, 2, 3, 4, 5, 6, 7].map((index) =>
      double.call("nvmlDeviceGetMigDeviceHandleByIndex", device, index, out),
    );
    expect(found).toEqual([0, 6, 6, 0, 6, 0, 6, 2]);
    expect(double.call("nvmlDeviceGetMigDeviceHandleByIndex", double.at(1), 0, out)).toBe(3);
    double.call("nvmlDeviceGetMigDeviceHandleByIndex", device, 3, out);
    const mig = handle(out);
    const uuid = bytes(96);
    expect(double.call("nvmlDeviceGetUUID", mig, uuid, 96)).toBe(0);
    expect(text(uuid)).toBe("MIG-aaaaaaaa-0000-4000-8000-000000000003");
    const memory = bytes(40);
    expect(double.call("nvmlDeviceGetMemoryInfo", mig, memory)).toBe(0);
    expect(long(memory)).toBe(9984n << 20n);
    for (const at of [device, mig]) expect(double.call("nvmlDeviceGetUtilizationRates", at, memory)).toBe(3);
    double.call("nvmlEventSetCreate", out);
    expect(double.call("nvmlDeviceRegisterEvents", mig, 8n, handle(out))).toBe(3);
    const profile = bytes(152);
    expect(double.call("nvmlDeviceGetGpuInstanceProfileInfoV", device, 2, profile)).toBe(2);
    view(profile).setUint32(0, 0x02000098, true);
    expect(double.call("nvmlDeviceGetGpuInstanceProfileInfoV", device, 2, profile)).toBe(0);
    expect([word(profile, 4), word(profile, 20), long(profile, 48), text(profile, 56)]).toEqual([
      9,
      60,
      40448n,
      "MIG 3g.40gb",
    ]);
    double.play("mig", "gpu0.mig3.gi = none");
    expect(double.call("nvmlDeviceGetUUID", mig, uuid, 96)).toBe(2);
  });

  test("delivers an XID once, to sets that were registered before it", () => {
    const double = new Caller();
    const out = bytes(8);
    const event = bytes(32);
    const device = double.open("h100", "xid = 1 0 13");
    double.call("nvmlEventSetCreate", out);
    const set = handle(out);
    expect(double.call("nvmlDeviceRegisterEvents", device, 1n, set)).toBe(3);
    expect(double.call("nvmlDeviceRegisterEvents", device, 8n, set)).toBe(0);
    expect(double.call("nvmlEventSetWait_v2", set, event, 0)).toBe(10);
    double.play("h100", "xid = 1 0 13", "xid = 2 1 31", "xid = 3-4 0 79 9 0");
    for (let count = 0; count < 2; count += 1) {
      expect(double.call("nvmlEventSetWait_v2", set, event, 0)).toBe(0);
      expect(handle(event)).toBe(device);
      expect([long(event, 8), long(event, 16), word(event, 24), word(event, 28)]).toEqual([8n, 79n, 9, 0]);
    }
    expect(double.call("nvmlEventSetWait_v2", set, event, 1)).toBe(10);
    double.play("h100", "gpu0.state = lost");
    expect(double.call("nvmlEventSetWait_v2", set, event, 0)).toBe(15);
    expect(double.call("nvmlDeviceGetPowerUsage", device, out)).toBe(15);
    expect(double.call("nvmlEventSetFree", set)).toBe(0);
    expect(double.call("nvmlEventSetFree", set)).toBe(2);
    expect(double.report()).toMatchObject({ eventSets: 0, misuses: 1 });
  });

  test("computes GPM figures of two samples, and counts those that stay", () => {
    const double = new Caller();
    const device = double.open("h100");
    const samples = [0, 1].map(() => {
      const out = bytes(8);
      expect(double.call("nvmlGpmSampleAlloc", out)).toBe(0);
      return handle(out);
    });
    const [from, to] = samples as [Pointer, Pointer];
    const get = bytes(13_344);
    view(get).setUint32(0, 1, true);
    view(get).setUint32(4, 2, true);
    view(get).setBigUint64(8, BigInt(from), true);
    view(get).setBigUint64(16, BigInt(to), true);
    view(get).setUint32(24, 2, true);
    view(get).setUint32(64, 15, true);
    expect(double.call("nvmlGpmMetricsGet", get)).toBe(2);
    double.call("nvmlGpmSampleGet", device, from);
    Bun.sleepSync(110);
    double.call("nvmlGpmSampleGet", device, to);
    expect(double.call("nvmlGpmMetricsGet", get)).toBe(0);
    expect([word(get, 28), view(get).getFloat64(32, true), word(get, 68)]).toEqual([0, 76.25, 3]);
    double.call("nvmlGpmSampleFree", from);
    expect(double.report().gpmSamples).toBe(1);
    double.call("nvmlShutdown");
    expect(double.report()).toMatchObject({ gpmSamples: 0, gpmSamplesLeaked: 1 });
  });

  test("plays the faults that a scenario tells of", () => {
    const double = new Caller();
    const out = bytes(96);
    const device = double.open(
      "h100",
      "gpu1.call.nvmlDeviceGetPowerUsage.error = 999",
      "call.nvmlDeviceGetUUID.silent = yes",
    );
    expect(double.call("nvmlDeviceGetPowerUsage", device, out)).toBe(0);
    expect(double.call("nvmlDeviceGetPowerUsage", double.at(1), out)).toBe(999);
    const uuid = bytes(96);
    expect(double.call("nvmlDeviceGetUUID", device, uuid, 96)).toBe(0);
    expect(uuid[0]).toBe(0xaa);
    double.play("h100", 'gpu0.uuid = raw "\\xff"', "present = 0");
    expect(double.call("nvmlDeviceGetUUID", device, uuid, 96)).toBe(0);
    expect(uuid.every((byte) => byte === 0xff)).toBe(true);
    double.call("nvmlDeviceGetCount_v2", out);
    expect(word(out)).toBe(1);
    double.play("h100", 'driver = "580.65.06"');
    expect(double.call("nvmlDeviceGetPowerUsage", device, out)).toBe(18);
    expect(double.call("nvmlShutdown")).toBe(0);
    double.play("h100", "call.nvmlInit_v2.hang = 0.02", "call.nvmlInit_v2.error = 4");
    const startMs = performance.now();
    expect(double.call("nvmlInit_v2")).toBe(4);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(20);
  });

  test("ends a process whose scenario can't be played, and crashes where it says so", () => {
    const double = new Caller();
    const run = (...lines: readonly string[]): ReturnType<typeof Bun.spawnSync> => {
      double.play("h100", ...lines);
      const code = `require("bun:ffi").dlopen(${JSON.stringify(double.path)}, { nvmlInit_v2: { returns: "i32" } }).symbols.nvmlInit_v2()`;
      return Bun.spawnSync([process.execPath, "-e", code], {
        stderr: "pipe",
        env: { ...process.env, BUN_ENABLE_CRASH_REPORTING: "0" },
      });
    };
    expect(run().exitCode).toBe(0);
    for (const line of [
      "gpu0.celcius = 1",
      "gpu0.celsius = warm",
      "call.nvmlNothing.error = 1",
      "xid = 0 0 1",
      "nothing",
    ]) {
      const wrong = run(line);
      expect(wrong.exitCode).toBe(99);
      expect(wrong.stderr?.toString()).toContain("scenario:2: no");
    }
    expect(run("call.nvmlInit_v2.crash = segv").exitCode).not.toBe(0);
  });

  test("lacks the symbols that it is to lack, and has a stranger beside it", () => {
    const double = new Double({ hidden: ["nvmlDeviceGetName"] });
    double.play("h100");
    expect(() => dlopen(double.path, { nvmlDeviceGetName: { returns: "i32" } })).toThrow();
    expect(dlopen(double.path, { nvmlInit_v2: { returns: "i32" } }).symbols.nvmlInit_v2()).toBe(0);
    expect(dlopen(foreignLibrary(5), { nvmlInit_v2: { returns: "i32" } }).symbols.nvmlInit_v2()).toBe(5);
  });
});
