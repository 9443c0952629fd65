/** The double of libcuda keeps what a benchmark relies on: work takes what the rates say, and what is wrong is refused. */
import { afterAll, describe, expect, test } from "bun:test";
import { type FFIFunction, type Pointer, dlopen, ptr } from "bun:ffi";
import { Double, HAS_COMPILER, removeDoubles } from "./double.ts";

afterAll(removeDoubles);

const SIGNATURES: Readonly<Record<string, FFIFunction["args"]>> = {
  cuInit: ["u32"],
  cuDriverGetVersion: ["ptr"],
  cuDeviceGetCount: ["ptr"],
  cuDeviceGetName: ["ptr", "i32", "i32"],
  cuDeviceGetUuid_v2: ["ptr", "i32"],
  cuDeviceGetAttribute: ["ptr", "i32", "i32"],
  cuDevicePrimaryCtxRetain: ["ptr", "i32"],
  cuDevicePrimaryCtxRelease_v2: ["i32"],
  cuCtxSetCurrent: ["ptr"],
  cuCtxSynchronize: [],
  cuMemGetInfo_v2: ["ptr", "ptr"],
  cuMemAlloc_v2: ["ptr", "u64"],
  cuMemFree_v2: ["u64"],
  cuMemcpyDtoDAsync_v2: ["u64", "u64", "u64", "ptr"],
  cuModuleLoadData: ["ptr", "ptr"],
  cuModuleGetFunction: ["ptr", "ptr", "ptr"],
  cuModuleUnload: ["ptr"],
  cuLaunchKernel: ["ptr", "u32", "u32", "u32", "u32", "u32", "u32", "u32", "ptr", "ptr", "ptr"],
  cuEventCreate: ["ptr", "u32"],
  cuEventRecord: ["ptr", "ptr"],
  cuEventSynchronize: ["ptr"],
  cuEventElapsedTime: ["ptr", "ptr", "ptr"],
  cuEventDestroy_v2: ["ptr"],
  cuGetErrorString: ["i32", "ptr"],
};

type Argument = number | bigint | Uint8Array | Pointer | null;

const bytes = (length: number): Uint8Array<ArrayBuffer> => new Uint8Array(new ArrayBuffer(length)).fill(0xaa);
const view = (of: Uint8Array): DataView => new DataView(of.buffer);
const text = (value: string): Uint8Array => new TextEncoder().encode(`${value}\0`);
const long = (of: Uint8Array): bigint => view(of).getBigUint64(0, true);
const pointer = (of: Uint8Array): Pointer => Number(long(of)) as Pointer;
const ptx = (target = "sm_80", version = "8.0"): Uint8Array =>
  text(
    `.version ${version}\n.target ${target}\n.address_size 64\n.visible .entry spin(.param .u64 a, .param .u32 n) { ret; }`,
  );

class Cuda extends Double {
  call(name: string, ...args: readonly Argument[]): number {
    const symbols = dlopen(this.cudaPath, { [name]: { args: SIGNATURES[name] ?? [], returns: "i32" } }).symbols;
    return (symbols[name] as unknown as (...all: readonly Argument[]) => number)(...args);
  }

  /** What a call writes to its first argument; the call must succeed. */
  made(name: string, ...args: readonly Argument[]): Pointer {
    const out = bytes(8);
    expect(this.call(name, out, ...args)).toBe(0);
    return pointer(out);
  }

  opened(...lines: readonly string[]): this {
    this.play("h100", ...lines);
    expect(this.call("cuInit", 0)).toBe(0);
    expect(this.call("cuCtxSetCurrent", this.made("cuDevicePrimaryCtxRetain", 0))).toBe(0);
    return this;
  }

  /** Of the work, in milliseconds of the device. */
  took(work: () => void): number {
    const [from, to] = [this.made("cuEventCreate", 0), this.made("cuEventCreate", 0)];
    const out = bytes(4);
    expect(this.call("cuEventElapsedTime", out, from, to)).toBe(400);
    this.call("cuEventRecord", from, null);
    work();
    this.call("cuEventRecord", to, null);
    expect(this.call("cuEventSynchronize", to)).toBe(0);
    expect(this.call("cuEventElapsedTime", out, from, to)).toBe(0);
    for (const event of [from, to]) expect(this.call("cuEventDestroy_v2", event)).toBe(0);
    return view(out).getFloat32(0, true);
  }
}

describe.skipIf(!HAS_COMPILER)("the double of libcuda", () => {
  test("has the devices of the scenario, once it is initialised", () => {
    const cuda = new Cuda();
    expect(cuda.call("cuInit", 0)).toBe(100);
    cuda.play("h100", "cuda_init = error 803");
    expect(cuda.call("cuInit", 0)).toBe(803);
    cuda.play("h100");
    const out = bytes(64);
    expect(cuda.call("cuDeviceGetCount", out)).toBe(3);
    expect(cuda.call("cuInit", 0)).toBe(0);
    expect([cuda.call("cuDeviceGetCount", out), view(out).getInt32(0, true)]).toEqual([0, 2]);
    expect([cuda.call("cuDriverGetVersion", out), view(out).getInt32(0, true)]).toEqual([0, 12080]);
    expect(cuda.call("cuDeviceGetUuid_v2", out, 1)).toBe(0);
    expect(out.subarray(0, 16).toHex()).toBe("6a0f1c2e000040008000000000000001");
    expect(cuda.call("cuDeviceGetName", out, 12, 1)).toBe(0);
    expect(new TextDecoder().decode(out.subarray(0, 12))).toBe("NVIDIA H100\0");
    const attributes = [13, 16, 75, 76].map((attribute) => {
      expect(cuda.call("cuDeviceGetAttribute", out, attribute, 0)).toBe(0);
      return view(out).getInt32(0, true);
    });
    expect(attributes).toEqual([1_980_000, 132, 9, 0]);
    expect(cuda.call("cuDeviceGetAttribute", out, 16, 2)).toBe(101);
    expect(cuda.call("cuMemAlloc_v2", out, 8)).toBe(201);
    expect(cuda.call("cuGetErrorString", 2, out)).toBe(0);
  });

  test("takes the time that its rates make of copies, and of kernels with their loops", () => {
    const cuda = new Cuda().opened(
      "gpu*.bandwidth = 2e12",
      "gpu*.flops_tensor = 500e12",
      "gpu*.launch_ns = 0",
      "kernel = spin tensor 1000 0 1",
    );
    const size = 2 ** 30;
    const [a, b] = [cuda.made("cuMemAlloc_v2", size), cuda.made("cuMemAlloc_v2", size)];
    const copy = cuda.took(() => {
      for (let count = 0; count < 10; count += 1) expect(cuda.call("cuMemcpyDtoDAsync_v2", a, b, size, null)).toBe(0);
    });
    expect(copy).toBeCloseTo((10 * 2 * size * 1000) / 2e12, 3);
    const module = cuda.made("cuModuleLoadData", ptx());
    const kernel = cuda.made("cuModuleGetFunction", module, text("spin"));
    expect(cuda.call("cuModuleGetFunction", bytes(8), module, text("other"))).toBe(500);
    const [address, loops] = [bytes(8), bytes(4)];
    view(loops).setUint32(0, 5000, true);
    const parameters = new BigUint64Array([BigInt(ptr(address)), BigInt(ptr(loops))]);
    const spin = cuda.took(() => {
      const rc = cuda.call("cuLaunchKernel", kernel, 264, 1, 1, 256, 1, 1, 0, null, ptr(parameters), null);
      expect(rc).toBe(0);
    });
    expect(spin).toBeCloseTo((264 * 256 * 5000 * 1000 * 1000) / 500e12, 3);
    expect(cuda.call("cuLaunchKernel", kernel, 1, 1, 1, 1025, 1, 1, 0, null, null, null)).toBe(1);
    for (const memory of [a, b]) expect(cuda.call("cuMemFree_v2", memory)).toBe(0);
    expect(cuda.call("cuMemFree_v2", a)).toBe(1);
    expect(cuda.call("cuModuleUnload", module)).toBe(0);
    expect(cuda.cudaReport()).toMatchObject({ contexts: 1, memories: 0, modules: 0, events: 0, launches: 1 });
    expect(cuda.call("cuDevicePrimaryCtxRelease_v2", 0)).toBe(0);
    expect(cuda.call("cuCtxSynchronize")).toBe(201);
  });

  test("refuses code that the card or the driver does not take, and memory that it has not", () => {
    const cuda = new Cuda().opened("ptx_max = 80");
    const out = bytes(8);
    const cases = [
      [ptx(), 0],
      [ptx("sm_90a"), 0],
      [ptx("sm_80a"), 209],
      [ptx("sm_100"), 209],
      [ptx("sm_80", "8.7"), 222],
      [text("nothing"), 218],
    ] as const;
    for (const [image, code] of cases) expect(cuda.call("cuModuleLoadData", out, image)).toBe(code);
    const [free, total] = [bytes(8), bytes(8)];
    expect(cuda.call("cuMemGetInfo_v2", free, total)).toBe(0);
    expect([Number(long(free)), Number(long(total))]).toEqual([39000 * 2 ** 20, 81000 * 2 ** 20]);
    expect(cuda.call("cuMemAlloc_v2", out, 40000 * 2 ** 20)).toBe(2);
    const memory = cuda.made("cuMemAlloc_v2", 1000);
    expect(cuda.call("cuMemcpyDtoDAsync_v2", memory, memory, 1001, null)).toBe(1);
    cuda.play("h100", "gpu0.state = lost");
    expect(cuda.call("cuCtxSynchronize")).toBe(999);
    cuda.play("h100", "call.cuCtxSynchronize.error = 719");
    expect(cuda.call("cuCtxSynchronize")).toBe(719);
  });
});
