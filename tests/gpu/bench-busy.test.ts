import { describe, expect, test } from "bun:test";
import { whyBusy } from "../../src/gpu/bench-busy.ts";
import type { GpuLoad, GpuProcess, GpuReading } from "../../src/health/reading.ts";
import { fakeGpu } from "./fake-gpu.ts";

const MIB = 2 ** 20;

function gpu(load: GpuLoad, processes?: readonly GpuProcess[]): GpuReading {
  return { ...fakeGpu(0), load, traffic: { processes } };
}

describe("a GPU is idle", () => {
  const idle = [
    gpu({}),
    gpu({ utilization: 0.05, memoryUsedBytes: 1024 * MIB }, []),
    // A desktop, and the service of MPS.
    gpu({ utilization: 0.01 }, [
      { pid: 1, memoryBytes: 200 * MIB },
      { pid: 2, memoryBytes: 30 * MIB, utilization: 0 },
    ]),
  ];
  for (const [at, reading] of idle.entries()) test(`case ${at}`, () => expect(whyBusy(reading)).toBe(""));
});

describe("a GPU is in use", () => {
  const container = "0123456789abcdef".repeat(4);
  const many = Array.from({ length: 7 }, (_, pid) => ({ pid: pid + 1, command: "x", memoryBytes: 512 * MIB }));
  const cases = [
    ["by its utilization", gpu({ utilization: 0.061 }), "6 % busy"],
    ["by its memory", gpu({ memoryUsedBytes: 1025 * MIB }), "1.0 GiB in use"],
    [
      "by a process, in its container",
      gpu({}, [{ pid: 7, command: "python3", container, memoryBytes: 40_000 * MIB }]),
      "python3 (pid 7, 39.1 GiB, container 0123456789ab)",
    ],
    ["by one of which nothing is known", gpu({}, [{ pid: 9 }]), "a process (pid 9)"],
    [
      "by a small one that is at work",
      gpu({}, [{ pid: 9, memoryBytes: MIB, utilization: 0.5 }]),
      "a process (pid 9, 0.0 GiB)",
    ],
    ["by many", gpu({}, many), `${[1, 2, 3, 4].map((pid) => `x (pid ${pid}, 0.5 GiB)`).join(", ")}; 3 more processes`],
  ] as const;
  for (const [how, reading, words] of cases) test(how, () => expect(whyBusy(reading)).toBe(words));
});
