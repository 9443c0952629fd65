import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { chmodSync, rmSync } from "node:fs";
import { DrmClients } from "../../src/gpu/drm-clients.ts";
import { KernelTree } from "./kernel-tree.ts";

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
    expect(clients.isWhole).toBe(true);
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

describe("what is not the whole is said so", () => {
  test("in another namespace of processes, and without any", () => {
    tree.process(10, "one", [[DEVICE, busy(1, {})]]);
    const clients = new DrmClients(tree.root);
    clients.scan(0);
    expect(clients.isWhole).toBe(false);
    expect(clients.of(GPU).clients).toHaveLength(1);
    const nowhere = new DrmClients("/nowhere");
    nowhere.scan(0);
    expect(nowhere.isWhole).toBe(false);
  });

  test.skipIf(process.getuid?.() === 0)("where a process may not be looked at", () => {
    tree.firstNamespace();
    tree.process(10, "one", [[DEVICE, busy(1, {})]]);
    chmodSync(join(tree.root, "proc/10/fd"), 0);
    const clients = new DrmClients(tree.root);
    clients.scan(0);
    chmodSync(join(tree.root, "proc/10/fd"), 0o755);
    expect(clients.isWhole).toBe(false);
  });
});
