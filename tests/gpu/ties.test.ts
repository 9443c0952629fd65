/** Which GPUs a runtime uses, by processes that are made up, and by those of this machine. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { listeningInodes, parentIn, runtimeProcesses, type WantedRuntime } from "../../src/gpu/runtime-processes.ts";
import { RuntimeTies } from "../../src/gpu/runtime-ties.ts";
import { familiesOf, familyOf, gpusOf, type RuntimeProcesses, tiesOf } from "../../src/gpu/ties.ts";
import type { GpuProcess, GpuReading } from "../../src/health/reading.ts";
import { fakeGpu } from "./fake-gpu.ts";

const PYTHON = "/usr/bin/python3.12";

function reading(index: number, processes?: readonly GpuProcess[]): GpuReading {
  return fakeGpu(index, { traffic: processes === undefined ? {} : { processes } });
}

async function foundAt(port: number, root: string): Promise<RuntimeProcesses | undefined> {
  return (await runtimeProcesses([{ name: "vllm", ports: [port] }], root)).get("vllm");
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

describe("the families of several runtimes", () => {
  const server = (pid: number, parent: number, program = PYTHON) => ({ pid, parent, program });
  const listening = (listener: number) => ({ listener, started: undefined });

  test("are apart, though one program started them all", () => {
    const processes = [
      server(1, 0, "/sbin/init"),
      // A launcher in Python, two servers with a worker each.
      server(10, 1),
      server(20, 10),
      server(21, 20),
      server(30, 10),
      server(31, 30, "/usr/bin/worker"),
    ];
    const [one, two] = familiesOf([listening(20), listening(30)], processes);
    // Whose the launcher is nobody knows: it counts for both.
    expect(one).toEqual(new Set([10, 20, 21]));
    expect(two).toEqual(new Set([10, 30, 31]));
  });

  test("share what may be either's: a worker beside both servers", () => {
    const processes = [server(10, 1), server(20, 10), server(30, 10), server(40, 10)];
    const [one, two] = familiesOf([listening(20), listening(30)], processes);
    expect(one).toEqual(new Set([10, 20, 40]));
    expect(two).toEqual(new Set([10, 30, 40]));
  });

  test("hold what listens below a parent of the same program, each its own", () => {
    // vLLM's main process serves by a child, and its engine is that one's brother.
    const processes = [20, 30].flatMap((main) => [server(main, 1), server(main + 1, main), server(main + 2, main)]);
    const [one, two] = familiesOf([listening(21), listening(31)], processes);
    expect(one).toEqual(new Set([20, 21, 22]));
    expect(two).toEqual(new Set([30, 31, 32]));
  });

  test("are apart where one runs below the other: the agent that serves a mock, and what it has started", () => {
    const processes = [
      server(10, 1, "/usr/bin/infermesh"),
      server(11, 10, "/usr/bin/infermesh"),
      server(12, 11),
      server(13, 12),
    ];
    const [mock, started] = familiesOf([listening(10), { listener: 13, started: 12 }], processes);
    expect(mock).toEqual(new Set([10, 11]));
    expect(started).toEqual(new Set([12, 13]));
  });

  test("begin with the process that the agent started, where nobody is known to listen", () => {
    const processes = [server(12, 11, "/bin/bash"), server(13, 12), server(14, 12), server(15, 14)];
    const [one, two] = familiesOf([{ listener: undefined, started: 12 }, listening(14)], processes);
    expect(one).toEqual(new Set([12, 13]));
    expect(two).toEqual(new Set([14, 15]));
    expect(familiesOf([{ listener: undefined, started: undefined }], processes)).toEqual([new Set()]);
  });

  test("are one where one process serves both", () => {
    const processes = [server(20, 1), server(21, 20)];
    const [one, two] = familiesOf([listening(20), listening(20)], processes);
    expect(one).toEqual(new Set([20, 21]));
    expect(two).toEqual(one);
  });

  test("hold their listeners, and none of another's, whatever the tree is", () => {
    const tree = fc.array(fc.record({ parent: fc.nat(12), program: fc.constantFrom("a", "b", "") }), { maxLength: 12 });
    fc.assert(
      fc.property(tree, fc.uniqueArray(fc.nat(12), { maxLength: 4 }), (facts, listeners) => {
        const processes = facts.map(({ parent, program }, pid) => ({ pid, parent, program }));
        const families = familiesOf(listeners.map(listening), processes);
        for (const [at, family] of families.entries()) {
          for (const other of listeners) expect(family.has(other)).toBe(other === listeners[at]);
        }
      }),
    );
  });
});

describe("the GPUs of several runtimes", () => {
  const runtime = (pid: number): RuntimeProcesses => ({ listener: pid, pids: new Set([pid]), containers: new Set() });
  const on = (index: number, ...pids: number[]) =>
    reading(
      index,
      pids.map((pid) => ({ pid, command: "vllm" })),
    );

  test("are each one's own", () => {
    const ties = tiesOf([runtime(10), runtime(20)], [on(0, 10), on(1, 20), on(2, 10, 20), on(3)]);
    expect(ties).toEqual([
      { uuids: new Set(["GPU-0", "GPU-2"]), isKnown: true },
      { uuids: new Set(["GPU-1", "GPU-2"]), isKnown: true },
    ]);
  });

  test("of one that is on none that can be seen are all but those that are only the others'", () => {
    const readings = [on(0, 10), on(1, 10, 77), on(2), reading(3)];
    const [known, ...hidden] = tiesOf([runtime(10), undefined, runtime(20)], readings);
    expect(known).toEqual({ uuids: new Set(["GPU-0", "GPU-1", "GPU-3"]), isKnown: false });
    for (const tie of hidden) expect(tie).toEqual({ uuids: new Set(["GPU-1", "GPU-2", "GPU-3"]), isKnown: false });
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
      () => [{ name: "vllm", ports: [8000] }],
      root,
      async () => {
        sought += 1;
        if (sought === 2) throw new Error("no such folder");
        return new Map(found === undefined ? [] : [["vllm", found]]);
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
      expect(ties.found.get("vllm")).toBeUndefined();
      found = { listener: 20, pids: new Set([20]), containers: new Set() };
      expect(await look(90_000, 20, 21)).toBe(true);
      expect(ties.found.get("vllm")).toBe(found);
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
      () => [{ name: "vllm", ports: [8000] }],
      "/",
      async () => {
        sought += 1;
        const own = { listener: process.pid, pids: new Set([process.pid]), containers: new Set<string>() };
        return new Map([["vllm", own]]);
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

describe("the ties of several runtimes", () => {
  const PIDS = [20, 30].map((pid) => ({ pid }));

  test("are sought anew when a runtime comes, starts or moves, and while one is missing once a minute", async () => {
    const root = mkdtempSync(join(tmpdir(), "infermesh-ties-"));
    for (const pid of [20, 30]) mkdirSync(join(root, `proc/${pid}`), { recursive: true });
    const sought: (readonly WantedRuntime[])[] = [];
    let wanted: WantedRuntime[] = [
      { name: "one", ports: [8000] },
      { name: "unix", ports: [] },
    ];
    const ties = new RuntimeTies(
      () => wanted,
      root,
      async (runtimes) => {
        sought.push(runtimes);
        const known = runtimes.filter(({ ports }) => !ports.includes(9999));
        return new Map(
          known.map(({ name }, at) => [
            name,
            { listener: 20 + 10 * at, pids: new Set<number>(), containers: new Set() },
          ]),
        );
      },
    );
    const look = (nowMs: number) => ties.look([reading(0, PIDS)], nowMs);
    try {
      expect(await look(0)).toBe(true);
      // By a socket of the file system nobody is found.
      expect(sought[0]?.map(({ name }) => name)).toEqual(["one"]);
      expect(await look(100_000)).toBe(false);
      wanted = [wanted[0]!, { name: "two", ports: [8001] }];
      expect(await look(200_000)).toBe(true);
      wanted = [wanted[0]!, { name: "two", ports: [9999] }];
      expect(await look(300_000)).toBe(true);
      expect([...ties.found.keys()]).toEqual(["one"]);
      expect(await look(330_000)).toBe(false);
      expect(await look(361_000)).toBe(true);
      wanted = [wanted[0]!, { name: "two", ports: [], started: 30 }];
      expect(await look(462_000)).toBe(true);
      expect(ties.found.get("two")?.listener).toBe(30);
      rmSync(join(root, "proc/30"), { recursive: true });
      expect(await look(563_000)).toBe(true);
      wanted = [];
      expect(await look(664_000)).toBe(false);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test("are found by port or by the process that was started, and a container that they share says nothing", async () => {
    const root = mkdtempSync(join(tmpdir(), "infermesh-ties-"));
    const ids = ["a", "b"].map((digit) => digit.repeat(64));
    try {
      mkdirSync(join(root, "proc/net"), { recursive: true });
      const line = (port: number, inode: number) =>
        `0: 0100007F:${port.toString(16).toUpperCase()} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1`;
      writeFileSync(
        join(root, "proc/net/tcp"),
        `head\n${line(8000, 4711)}\n${line(8001, 4712)}\n${line(8002, 4713)}\n`,
      );
      for (const [pid, parent, container, inode] of [
        [50, 1, ids[0], 4711],
        [51, 50, ids[0]],
        [60, 1, ids[0], 4712],
        [70, 1, ids[1], 4713],
        [80, 1, ids[1]],
      ] as const) {
        mkdirSync(join(root, `proc/${pid}/fd`), { recursive: true });
        writeFileSync(join(root, `proc/${pid}/stat`), `${pid} (vllm) S ${parent} 0 0`);
        symlinkSync(PYTHON, join(root, `proc/${pid}/exe`));
        writeFileSync(join(root, `proc/${pid}/cgroup`), `0::/system.slice/docker-${container}.scope\n`);
        if (inode !== undefined) symlinkSync(`socket:[${inode}]`, join(root, `proc/${pid}/fd/3`));
      }
      const wanted = [
        { name: "one", ports: [8000] },
        { name: "two", ports: [8001, 9001] },
        { name: "three", ports: [8002] },
        { name: "started", ports: [9002], started: 80 },
        { name: "ended", ports: [], started: 81 },
        { name: "nobody", ports: [9003] },
      ];
      const all = await runtimeProcesses(wanted, root);
      expect([...all]).toEqual([
        ["one", { listener: 50, pids: new Set([50, 51]), containers: new Set() }],
        ["two", { listener: 60, pids: new Set([60]), containers: new Set() }],
        ["three", { listener: 70, pids: new Set([70]), containers: new Set() }],
        ["started", { listener: 80, pids: new Set([80]), containers: new Set() }],
      ]);
      const alone = await runtimeProcesses(wanted.slice(2, 3), root);
      expect(alone.get("three")?.containers).toEqual(new Set([ids[1]!]));
    } finally {
      rmSync(root, { recursive: true });
    }
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
    expect(listeningInodes(TABLE, new Set([8000]))).toEqual([
      ["4711", 8000],
      ["4714", 8000],
    ]);
    expect(listeningInodes(TABLE, new Set([8001, 8000, 9]))).toHaveLength(3);
    expect(listeningInodes("", new Set([8000]))).toEqual([]);
  });

  test("tell a parent, whatever the process calls itself", () => {
    expect(parentIn("42 (a) 7 (b)) S 21 42 42 0 -1")).toBe(21);
    expect(parentIn("42 (x) S")).toBeUndefined();
    expect(parentIn("")).toBeUndefined();
  });

  test("never make the reader fail", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        listeningInodes(text, new Set([80]));
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
      const runtime = await foundAt(server.port, "/");
      expect(runtime?.pids.has(process.pid)).toBe(true);
      expect(runtime?.pids.has(child.pid)).toBe(true);
      expect(runtime?.pids.has(1)).toBe(false);
    } finally {
      server.stop(true);
      child.kill();
    }
    expect(await foundAt(server.port, "/")).toBeUndefined();
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
      expect(await foundAt(8000, root)).toEqual({
        listener: 51,
        pids: new Set([50, 51]),
        containers: new Set([container]),
      });
      expect(await foundAt(8001, root)).toBeUndefined();
      expect(await foundAt(8000, join(root, "nowhere"))).toBeUndefined();
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
