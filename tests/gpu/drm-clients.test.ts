import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { chmodSync, rmSync } from "node:fs";
import { DrmClients } from "../../src/gpu/drm-clients.ts";
import { KernelTree } from "./kernel-tree.ts";

// Thousands of small files.
setDefaultTimeout(60_000);

const GPU = "0000:03:00.0";
const OTHER = "0000:04:00.0";
const DEVICE = "/dev/dri/renderD128";
const SECOND_NS = 1e9;

let tree: KernelTree;
beforeEach(() => {
  tree = new KernelTree();
});
afterEach(() => tree.remove());

function busy(id: number, engines: Readonly<Record<string, number>>, more = "", gpu = GPU): string {
  const lines = Object.entries(engines).map(([name, ns]) => `drm-engine-${name}: ${ns} ns`);
  return `drm-driver: i915\ndrm-client-id: ${id}\ndrm-pdev: ${gpu}\n${lines.join("\n")}\n${more}`;
}

describe("those who have a GPU open", () => {
  beforeEach(() => tree.firstNamespace());

  test("keep it busy by what their engines did since the look before, each class for itself", () => {
    const clients = new DrmClients(tree.root);
    tree.process(10, "vllm", [[DEVICE, busy(1, { compute: 0, copy: 0 }, "drm-resident-local0: 2 MiB\n")]]);
    tree.process(11, "game", [[DEVICE, busy(2, { compute: 5, render: 0 })]]);
    tree.process(12, "shell", [["/dev/pts/0", "pos: 0\n"]]);
    clients.scan(1000);
    expect(clients.isWholeOf(GPU)).toBe(true);
    expect(clients.of(GPU).utilization).toBeUndefined();
    tree.process(10, "vllm", [
      [DEVICE, busy(1, { compute: 0.5 * SECOND_NS, copy: 0.6 * SECOND_NS }, "drm-resident-local0: 3 MiB\n")],
    ]);
    tree.process(11, "game", [[DEVICE, busy(2, { compute: 0.2 * SECOND_NS + 5, render: 0.1 * SECOND_NS })]]);
    clients.refresh(2000);
    expect(clients.of(GPU).utilization).toBeCloseTo(0.7);
    const [first, second] = clients.of(GPU).clients;
    expect(first).toEqual({ pid: 10, memoryBytes: 3 * 2 ** 20, utilization: 0.6 });
    expect(second).toMatchObject({ pid: 11, memoryBytes: undefined });
    expect(second?.utilization).toBeCloseTo(0.2);
    expect(clients.of(OTHER)).toEqual({ utilization: 0, clients: [] });
  });

  test("are known again by the next look at all, with those that came and without those that went", () => {
    const clients = new DrmClients(tree.root);
    tree.process(10, "old", [[DEVICE, busy(1, { compute: 0 })]]);
    clients.scan(1000);
    tree.process(10, "old", [[DEVICE, busy(1, { compute: 0.4 * SECOND_NS })]]);
    tree.process(20, "new", [[DEVICE, busy(2, { compute: 9 * SECOND_NS })]]);
    clients.scan(2000);
    // What the new one did before it was seen belongs to no time that is known.
    expect(clients.of(GPU).utilization).toBeCloseTo(0.4);
    expect(clients.of(GPU).clients.map(({ pid }) => pid)).toEqual([10, 20]);
    rmSync(join(tree.root, "proc/10"), { recursive: true });
    rmSync(join(tree.root, "proc/20"), { recursive: true });
    clients.refresh(3000);
    expect(clients.of(GPU)).toEqual({ utilization: 0, clients: [] });
  });

  test("count once, however many descriptors and processes share one opening", () => {
    const clients = new DrmClients(tree.root);
    const at = (ns: number): void => {
      tree.process(10, "parent", [
        [DEVICE, busy(1, { render: ns })],
        [DEVICE, busy(1, { render: ns })],
      ]);
      tree.process(11, "child", [[DEVICE, busy(1, { render: ns })]]);
    };
    at(0);
    clients.scan(1000);
    at(0.5 * SECOND_NS);
    clients.scan(2000);
    expect(clients.of(GPU).utilization).toBeCloseTo(0.5);
    expect(clients.of(GPU).clients).toHaveLength(1);
  });

  test("share the engines of a class, and counters that stand still or fall are no work", () => {
    const clients = new DrmClients(tree.root);
    const at = (video: number, render: number): void =>
      tree.process(10, "one", [[DEVICE, busy(1, { video, render }, "drm-engine-capacity-video: 2\n")]]);
    at(0, 100);
    clients.scan(0);
    at(SECOND_NS, 50);
    clients.refresh(1000);
    expect(clients.of(GPU).utilization).toBeCloseTo(0.5);
    at(100 * SECOND_NS, 50);
    clients.refresh(2000);
    expect(clients.of(GPU).utilization).toBe(1);
  });

  test("are told by cycles where the driver counts those", () => {
    const clients = new DrmClients(tree.root);
    const at = (cycles: number, all: number): void =>
      tree.process(10, "one", [[DEVICE, busy(1, {}, `drm-cycles-ccs: ${cycles}\ndrm-total-cycles-ccs: ${all}\n`)]]);
    at(100, 1000);
    clients.scan(0);
    at(350, 2000);
    clients.refresh(1000);
    expect(clients.of(GPU).utilization).toBeCloseTo(0.25);
    at(350, 2000);
    clients.refresh(2000);
    expect(clients.of(GPU).utilization).toBeUndefined();
  });

  test("are others where a descriptor is used again for another opening", () => {
    const clients = new DrmClients(tree.root);
    tree.process(10, "one", [[DEVICE, busy(1, { render: 0 })]]);
    clients.scan(0);
    tree.process(10, "one", [[DEVICE, busy(7, { render: SECOND_NS })]]);
    clients.refresh(1000);
    expect(clients.of(GPU).clients).toEqual([]);
    clients.scan(2000);
    expect(clients.of(GPU)).toEqual({
      utilization: undefined,
      clients: [{ pid: 10, memoryBytes: undefined, utilization: undefined }],
    });
  });
});

describe("a process without a GPU", () => {
  const PIDS = Array.from({ length: 24 }, (_, index) => 100 + index);

  test("is looked at seldom after a while, a few at each look, and known within twelve looks", () => {
    tree.firstNamespace();
    for (const pid of PIDS) tree.process(pid, "shell", [["/dev/pts/0", "pos: 0\n"]]);
    const clients = new DrmClients(tree.root);
    for (let look = 0; look < 12; look += 1) clients.scan(look * 5000);
    for (const pid of PIDS) tree.process(pid, "late", [[DEVICE, busy(pid, { compute: 0 })]]);
    const known: number[] = [];
    for (let look = 12; look < 24; look += 1) {
      clients.scan(look * 5000);
      known.push(clients.of(GPU).clients.length);
    }
    expect(known).toEqual(Array.from({ length: 12 }, (_, look) => 2 * (look + 1)));
    expect(clients.isWholeOf(GPU)).toBe(true);
  });

  test("that is young, or new, is looked at each time", () => {
    tree.firstNamespace();
    tree.process(10, "server", []);
    const clients = new DrmClients(tree.root);
    for (let look = 0; look < 11; look += 1) clients.scan(look * 5000);
    tree.process(10, "server", [[DEVICE, busy(1, { compute: 0 })]]);
    tree.process(11, "other", [[DEVICE, busy(2, { compute: 0 })]]);
    clients.scan(60_000);
    expect(clients.of(GPU).clients.map(({ pid }) => pid)).toEqual([10, 11]);
  });

  test("uses are put together once for a look, whoever asks", () => {
    tree.firstNamespace();
    tree.process(10, "one", [[DEVICE, busy(1, { compute: 0 })]]);
    const clients = new DrmClients(tree.root);
    clients.scan(0);
    const use = clients.of(GPU);
    expect(clients.of(GPU)).toBe(use);
    clients.refresh(1000);
    expect(clients.of(GPU)).not.toBe(use);
  });
});

describe("what is not the whole is said so", () => {
  test("in another namespace of processes, and without any", () => {
    tree.process(10, "one", [[DEVICE, busy(1, {})]]);
    const clients = new DrmClients(tree.root);
    expect(clients.isWholeOf(GPU)).toBe(false);
    clients.scan(0);
    expect(clients.isWholeOf(GPU)).toBe(false);
    expect(clients.of(GPU).clients).toHaveLength(1);
    const nowhere = new DrmClients("/nowhere");
    nowhere.scan(0);
    expect(nowhere.isWholeOf(GPU)).toBe(false);
  });

  test("where others' processes are hidden", () => {
    tree.firstNamespace();
    tree.process(10, "one", []);
    rmSync(join(tree.root, "proc/1"), { recursive: true });
    const clients = new DrmClients(tree.root);
    clients.scan(0);
    expect(clients.isWholeOf(GPU)).toBe(false);
  });

  test.skipIf(process.getuid?.() === 0)(
    "where a process may not be looked at, also when it is not looked at again",
    () => {
      tree.firstNamespace();
      tree.process(10, "one", [[DEVICE, busy(1, {})]]);
      chmodSync(join(tree.root, "proc/10/fd"), 0);
      const clients = new DrmClients(tree.root);
      const found = Array.from({ length: 30 }, (_, look) => {
        clients.scan(look * 5000);
        return clients.isWholeOf(GPU);
      });
      chmodSync(join(tree.root, "proc/10/fd"), 0o755);
      expect(found).not.toContain(true);
    },
  );

  test("where a folder of descriptors fails, also when it is not looked at again", () => {
    tree.firstNamespace();
    tree.write({ "proc/10/fd": "no folder" });
    const clients = new DrmClients(tree.root);
    for (let look = 0; look < 30; look += 1) {
      clients.scan(look * 5000);
      expect(clients.isWholeOf(GPU)).toBe(false);
    }
  });

  /** The card that a node is of. */
  function node(name: string, address: string): void {
    tree.write({ [`sys/devices/${address}/vendor`]: "0x8086\n" });
    tree.link(`sys/devices/${address}`, `sys/class/drm/${name}/device`);
  }

  test("of the card whose kernel does not say who has it open, as before Linux 5.19", () => {
    tree.firstNamespace();
    node("renderD128", GPU);
    node("renderD129", OTHER);
    tree.process(10, "one", [[DEVICE, "pos:\t0\nflags:\t02100002\nmnt_id:\t24\n"]]);
    const clients = new DrmClients(tree.root);
    clients.scan(0);
    clients.scan(5000);
    expect([clients.isWholeOf(GPU), clients.isWholeOf(OTHER)]).toEqual([false, true]);
  });

  test("of a card whose client may not be read, at once or later, and of all where it is not known which", () => {
    tree.firstNamespace();
    node("renderD128", GPU);
    tree.process(10, "one", [[DEVICE, busy(1, { render: 0 })]]);
    const clients = new DrmClients(tree.root);
    clients.scan(0);
    expect(clients.isWholeOf(GPU)).toBe(true);
    tree.fail("proc/10/fdinfo", "3");
    clients.refresh(1000);
    expect([clients.isWholeOf(GPU), clients.isWholeOf(OTHER)]).toEqual([false, true]);
    clients.scan(2000);
    expect([clients.isWholeOf(GPU), clients.isWholeOf(OTHER)]).toEqual([false, true]);
    rmSync(join(tree.root, "sys/class/drm/renderD128"), { recursive: true });
    clients.scan(3000);
    expect(clients.isWholeOf(OTHER)).toBe(false);
    // Closed, it is nobody's.
    rmSync(join(tree.root, "proc/10"), { recursive: true });
    clients.scan(4000);
    expect([clients.isWholeOf(GPU), clients.of(GPU).utilization]).toEqual([true, 0]);
  });

  test("where there are more clients than are counted", () => {
    tree.firstNamespace();
    const many = Array.from({ length: 4097 }, (_, id) => [DEVICE, busy(id, {})] as const);
    tree.process(10, "many", many.slice(0, 4096));
    const clients = new DrmClients(tree.root);
    clients.scan(0);
    expect(clients.isWholeOf(GPU)).toBe(true);
    tree.process(11, "more", many.slice(4096));
    clients.scan(1000);
    expect(clients.isWholeOf(GPU)).toBe(false);
  });
});
