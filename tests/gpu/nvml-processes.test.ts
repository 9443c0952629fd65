import { describe, expect, test } from "bun:test";
import { NvmlProcesses, ProcessBuffer } from "../../src/gpu/nvml-processes.ts";
import { ProcessOwners } from "../../src/gpu/process-owner.ts";
import { type Call, deviceOf, viewOf } from "./nvml-calls.ts";

interface Entry {
  readonly pid: number;
  readonly memory?: bigint;
  readonly gi?: number;
}

/** A library's list, with entries of `stride` bytes. */
function listing(entries: readonly Entry[], stride = 24): Call {
  return (_dev: number, count: Uint32Array, bytes: Uint8Array) => {
    const room = count[0] as number;
    count[0] = entries.length;
    if (room < entries.length) return 7;
    const view = viewOf(bytes);
    for (const [index, { pid, memory = 2n ** 30n, gi = 0xffff_ffff }] of entries.entries()) {
      const at = index * stride;
      view.setUint32(at, pid, true);
      view.setBigUint64(at + 8, memory, true);
      view.setUint32(at + 16, gi, true);
      view.setUint32(at + 20, gi, true);
      if (stride === 32) view.setBigUint64(at + 24, 0n, true);
    }
    return 0;
  };
}

type Sample = readonly [pid: number, atUs: number, share: number];

function sampling(samples: readonly Sample[], since: number[] = []): Call {
  return (_dev: number, bytes: Uint8Array, count: Uint32Array, sinceUs: number) => {
    since.push(sinceUs);
    const view = viewOf(bytes);
    const fresh = samples.filter(([, atUs]) => atUs > sinceUs);
    if (fresh.length === 0) return 6;
    const room = count[0] as number;
    count[0] = fresh.length;
    if (room < fresh.length) return 7;
    for (const [index, [pid, atUs, share]] of fresh.entries()) {
      view.setUint32(index * 32, pid, true);
      view.setBigUint64(index * 32 + 8, BigInt(atUs), true);
      view.setUint32(index * 32 + 16, share, true);
    }
    return 0;
  };
}

function processesOf(calls: Readonly<Record<string, Call>>): NvmlProcesses {
  return new NvmlProcesses(deviceOf(calls), new ProcessBuffer(), new ProcessOwners("/nowhere"));
}

describe("processes of a GPU", () => {
  for (const stride of [24, 32]) {
    test(`entries of ${stride} bytes`, () => {
      const entries = [{ pid: 11 }, { pid: 12, memory: 5n }, { pid: 13, memory: 2n ** 64n - 1n, gi: 7 }];
      const read = processesOf({ nvmlDeviceGetComputeRunningProcesses_v3: listing(entries, stride) }).read();
      expect(read?.map(({ pid, memoryBytes, gpuInstance }) => [pid, memoryBytes, gpuInstance])).toEqual([
        [11, 2 ** 30, undefined],
        [12, 5, undefined],
        [13, undefined, 7],
      ]);
    });
  }

  test("none run, or none can be told", () => {
    expect(processesOf({ nvmlDeviceGetComputeRunningProcesses_v3: listing([]) }).read()).toEqual([]);
    expect(processesOf({ nvmlDeviceGetComputeRunningProcesses_v3: () => 3 }).read()).toBeUndefined();
    expect(processesOf({}).read()).toBeUndefined();
  });

  test("one that computes and draws counts once", () => {
    const read = processesOf({
      nvmlDeviceGetComputeRunningProcesses_v3: listing([{ pid: 11, memory: 2n ** 64n - 1n }, { pid: 12 }]),
      nvmlDeviceGetGraphicsRunningProcesses_v3: listing([{ pid: 11, memory: 9n }, { pid: 13 }]),
    }).read();
    expect(read?.map(({ pid, memoryBytes }) => [pid, memoryBytes])).toEqual([
      [11, 9],
      [12, 2 ** 30],
      [13, 2 ** 30],
    ]);
  });

  test("more than there was room for are asked for again; more than the limit are not told", () => {
    const many = (count: number): Entry[] => Array.from({ length: count }, (_, index) => ({ pid: index + 1 }));
    expect(processesOf({ nvmlDeviceGetComputeRunningProcesses_v3: listing(many(300)) }).read()).toHaveLength(300);
    expect(processesOf({ nvmlDeviceGetComputeRunningProcesses_v3: listing(many(5000)) }).read()).toBeUndefined();
  });

  test("a count beyond the buffer, and entries without a number, are no processes", () => {
    const lying = (_dev: number, count: Uint32Array, bytes: Uint8Array): number => {
      bytes.fill(0);
      viewOf(bytes).setUint32(0, 11, true);
      count[0] = 4_000_000_000;
      return 0;
    };
    const read = processesOf({ nvmlDeviceGetComputeRunningProcesses_v3: lying }).read();
    expect(read?.map(({ pid }) => pid)).toEqual([11]);
  });
});

describe("how busy they are", () => {
  const two = { nvmlDeviceGetComputeRunningProcesses_v3: listing([{ pid: 11 }, { pid: 12 }]) };

  test("is of the newest sample of each, since the last look", () => {
    const since: number[] = [];
    const samples: Sample[] = [
      [11, 5_000_000_000, 10],
      [11, 5_000_000_200, 30],
      [11, 5_000_000_100, 20],
      [12, 5_000_000_050, 101],
    ];
    const processes = processesOf({ ...two, nvmlDeviceGetProcessUtilization: sampling(samples, since) });
    expect(processes.read()?.map(({ utilization }) => utilization)).toEqual([0.3, 1]);
    expect(processes.read()?.map(({ utilization }) => utilization)).toEqual([undefined, undefined]);
    expect(since).toEqual([0, 5_000_000_200]);
  });

  test("more samples than there was room for are asked for again", () => {
    const samples = Array.from({ length: 400 }, (_, index): Sample => [11 + (index % 2), 1000 + index, index % 100]);
    const processes = processesOf({ ...two, nvmlDeviceGetProcessUtilization: sampling(samples) });
    expect(processes.read()?.map(({ utilization }) => utilization)).toEqual([0.98, 0.99]);
  });

  test("what makes no sense says nothing", () => {
    const samples: Sample[] = [
      [11, 100, 4_000_000_000],
      [0, 200, 50],
    ];
    const processes = processesOf({ ...two, nvmlDeviceGetProcessUtilization: sampling(samples) });
    expect(processes.read()?.map(({ utilization }) => utilization)).toEqual([undefined, undefined]);
  });
});
