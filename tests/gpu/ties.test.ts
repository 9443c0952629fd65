/** Which GPUs a runtime uses, by processes that are made up, and by those of this machine. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { listeningInodes, parentIn, runtimeProcesses } from "../../src/gpu/runtime-processes.ts";
import { RuntimeTies } from "../../src/gpu/runtime-ties.ts";
import { familyOf, gpusOf, type RuntimeProcesses } from "../../src/gpu/ties.ts";
import type { GpuProcess, GpuReading } from "../../src/health/reading.ts";
import { fakeGpu } from "./fake-gpu.ts";

const PYTHON = "/usr/bin/python3.12";

function reading(index: number, processes?: readonly GpuProcess[]): GpuReading {
  return fakeGpu(index, { traffic: processes === undefined ? {} : { processes } });
}

describe("a runtime's family", () => {
  test("has its children, its parents of the same program, and their children", () => {
    const processes = [
      { pid: 1, parent: 0, program: "/sbin/init" },
      { pid: 10, parent: 1, program: "/bin/bash" },
      // Main, server, engine and the engine's workers; a watcher in another language.
      { pid: 20, parent: 10, program: PYTHON },
      { pid: 21, parent: 20, program: PYTHON },
      { pid: 22, parent: 20, program: PYTHON },
      { pid: 23, parent: 22, program: PYTHON },
      { pid: 24, parent: 23, program: "/usr/bin/nvcc" },
      { pid: 30, parent: 10, program: "/usr/bin/other" },
    ];
    expect(familyOf(21, processes)).toEqual(new Set([20, 21, 22, 23, 24]));
    expect(familyOf(23, processes)).toEqual(new Set([20, 21, 22, 23, 24]));
    expect(familyOf(30, processes)).toEqual(new Set([30]));
    expect(familyOf(99, processes)).toEqual(new Set([99]));
  });

  test("ends, also where processes are each other's parents", () => {
    const processes = [
      { pid: 1, parent: 2, program: "x" },
      { pid: 2, parent: 1, program: "x" },
    ];
    expect(familyOf(1, processes)).toEqual(new Set([1, 2]));
  });
});

describe("the GPUs of a runtime", () => {
  const container = "a".repeat(64);
  const runtime = { listener: 20, pids: new Set([20, 21]), containers: new Set([container]) };

  test("are those with one of its processes, or one of its container", () => {
    const readings = [
      reading(0, [{ pid: 7 }, { pid: 21, command: "vllm" }]),
      reading(1, [{ pid: 7 }]),
      reading(2, [{ pid: 8, container }]),
      reading(3, []),
    ];
    expect(gpusOf(runtime, readings)).toEqual(new Set(["GPU-0", "GPU-2"]));
  });

  test("are also those whose processes are not known, beside some that are the runtime's", () => {
    const readings = [reading(0, [{ pid: 21, command: "vllm" }]), reading(1, [{ pid: 7 }]), reading(2)];
    expect(gpusOf(runtime, readings)).toEqual(new Set(["GPU-0", "GPU-2"]));
  });

  test("are not known where anything is not: no runtime, no processes of any GPU, no process of the runtime on one", () => {
    expect(gpusOf(undefined, [reading(0, [{ pid: 20, command: "vllm" }])])).toBeUndefined();
    expect(gpusOf(runtime, [reading(0, [{ pid: 7 }]), reading(1)])).toBeUndefined();
    expect(gpusOf(runtime, [reading(0, [{ pid: 7, container: "b".repeat(64) }])])).toBeUndefined();
    expect(gpusOf(runtime, [])).toBeUndefined();
    // A number of the runtime's that nobody here could name is of another namespace.
    expect(gpusOf(runtime, [reading(0, [{ pid: 20 }]), reading(1, [{ pid: 9 }])])).toBeUndefined();
  });
});

describe("the ties", () => {
  test("are sought when there is a reason to, and no oftener", async () => {
    const root = mkdtempSync(join(tmpdir(), "infermesh-ties-"));
    mkdirSync(join(root, "proc/20"), { recursive: true });
    let sought = 0;
    let found: RuntimeProcesses | undefined;
    const ties = new RuntimeTies(
      () => 8000,
      root,
      async () => {
        sought += 1;
        if (sought === 2) throw new Error("no such folder");
        return found;
      },
    );
    const look = (nowMs: number, ...pids: number[]) =>
      ties.look(
        [
          reading(
            0,
            pids.map((pid) => ({ pid })),
          ),
        ],
        nowMs,
      );
    try {
      // Nobody is on the GPUs, so there is nobody to find.
      expect(await look(0)).toBe(false);
      expect(await look(0, 20)).toBe(true);
      // It was not found: not again for a minute, unless others are on the GPUs.
      expect(await look(30_000, 20)).toBe(false);
      expect(await look(30_000, 20, 21)).toBe(true);
      expect(ties.runtime).toBeUndefined();
      found = { listener: 20, pids: new Set([20]), containers: new Set() };
      expect(await look(90_000, 20, 21)).toBe(true);
      expect(ties.runtime).toBe(found);
      expect(await look(500_000, 21, 20)).toBe(false);
      expect(await look(690_000, 20, 21)).toBe(true);
      rmSync(join(root, "proc/20"), { recursive: true });
      expect(await look(691_000, 20, 21)).toBe(true);
      expect(sought).toBe(5);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test("are sought seldom where the GPUs have other processes all the time", async () => {
    let sought = 0;
    const ties = new RuntimeTies(
      () => 8000,
      "/",
      async () => {
        sought += 1;
        return { listener: process.pid, pids: new Set([process.pid]), containers: new Set<string>() };
      },
    );
    for (let nowMs = 0; nowMs < 600_000; nowMs += 5_000) {
      await ties.look([reading(0, [{ pid: 1 + nowMs }])], nowMs);
      // A runtime that starts is found at once.
      if (nowMs <= 10_000) expect(sought).toBe(nowMs / 5_000 + 1);
    }
    expect(sought).toBeLessThanOrEqual(3 + 600_000 / 30_000);
    expect(sought).toBeGreaterThanOrEqual(600_000 / 30_000 - 1);
  });
});

describe("the kernel's tables", () => {
  const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F40 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1
   2: 00000000:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0 100 0 0 10 0
   3: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 1
   4: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 0 1 0 100 0 0 10 0
`;

  test("tell who listens on a port", () => {
    expect(listeningInodes(TABLE, 8000)).toEqual(["4711", "4714"]);
    expect(listeningInodes("", 8000)).toEqual([]);
  });

  test("tell a parent, whatever the process calls itself", () => {
    expect(parentIn("42 (a) 7 (b)) S 21 42 42 0 -1")).toBe(21);
    expect(parentIn("42 (x) S")).toBeUndefined();
    expect(parentIn("")).toBeUndefined();
  });

  test("never make the reader fail", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        listeningInodes(text, 80);
        parentIn(text);
      }),
    );
  });
});

describe("processes of this machine", () => {
  test("are found by the port, with what they started", async () => {
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const child = Bun.spawn(["sleep", "60"]);
    try {
      const found = await runtimeProcesses(server.port, "/");
      expect(found?.pids.has(process.pid)).toBe(true);
      expect(found?.pids.has(child.pid)).toBe(true);
      expect(found?.pids.has(1)).toBe(false);
    } finally {
      server.stop(true);
      child.kill();
    }
    expect(await runtimeProcesses(server.port, "/")).toBeUndefined();
  });

  test("are sought in the folder that the settings name, with their containers", async () => {
    const root = mkdtempSync(join(tmpdir(), "infermesh-ties-"));
    const container = "0123456789abcdef".repeat(4);
    try {
      mkdirSync(join(root, "proc/net"), { recursive: true });
      const line = "0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1";
      writeFileSync(join(root, "proc/net/tcp6"), `head\n${line}\n`);
      for (const [pid, parent] of [
        [50, 1],
        [51, 50],
      ]) {
        mkdirSync(join(root, `proc/${pid}/fd`), { recursive: true });
        writeFileSync(join(root, `proc/${pid}/stat`), `${pid} (vllm) S ${parent} 0 0`);
        symlinkSync(PYTHON, join(root, `proc/${pid}/exe`));
        writeFileSync(join(root, `proc/${pid}/cgroup`), `0::/system.slice/docker-${container}.scope\n`);
      }
      symlinkSync("socket:[4711]", join(root, "proc/51/fd/3"));
      expect(await runtimeProcesses(8000, root)).toEqual({
        listener: 51,
        pids: new Set([50, 51]),
        containers: new Set([container]),
      });
      expect(await runtimeProcesses(8001, root)).toBeUndefined();
      expect(await runtimeProcesses(8000, join(root, "nowhere"))).toBeUndefined();
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
