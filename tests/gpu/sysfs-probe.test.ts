/** The real probe process reading trees of the kernel's files, under a real prober: what an agent knows of such cards. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { resolve } from "node:path";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { BackendName } from "../../src/gpu/probe-spec.ts";
import { probeSpec } from "../../src/gpu/probe-spec.ts";
import { Prober } from "../../src/gpu/prober.ts";
import { gpuSettings } from "../../src/gpu/settings.ts";
import { ARC_B580, MI210, mi300x } from "./kernel-cards.ts";
import { KernelTree } from "./kernel-tree.ts";

setDefaultTimeout(120_000);
const MAIN = resolve(import.meta.dir, "../../src/main.ts");
const WAIT_MS = 60_000;

const trees: KernelTree[] = [];
const open: Prober[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((prober) => prober.stop()));
  for (const tree of trees.splice(0)) tree.remove();
});

function planted(): KernelTree {
  const tree = new KernelTree();
  trees.push(tree);
  return tree;
}

function probe(tree: KernelTree, backends: readonly BackendName[], rocmLibrary = "/nowhere/librocm_smi64.so"): Prober {
  const fast = { identityIntervalMs: 300, loadIntervalMs: 100, trafficIntervalMs: 100, wearIntervalMs: 100 };
  const config = { ...defaultsOf(gpuSettings), ...fast, root: tree.root, rocmLibrary };
  const spec = JSON.stringify(probeSpec(config, { backends, vendors: ["amd", "intel"] }));
  const prober = new Prober({ command: [process.execPath, MAIN, "gpu-probe", spec], config });
  open.push(prober);
  return prober;
}

async function until(prober: Prober, condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}: ${JSON.stringify(prober.state)}`);
    await Bun.sleep(5);
  }
}

test("cards of both vendors are told, what changes in them, and that one is gone", async () => {
  const tree = planted();
  const device = tree.card(mi300x());
  tree.card(ARC_B580);
  const prober = probe(tree, ["sysfs"]);
  const busy = (): (number | undefined)[] => prober.readings.map(({ load }) => load?.utilization);
  await until(prober, () => prober.readings.length === 2, "both are read");
  expect(prober.state).toMatchObject({ state: "ok", stack: { backend: "sysfs", driverVersion: "6.12.12" } });
  expect(busy()).toEqual([undefined, 0.93]);
  tree.write({ gpu_busy_percent: "12\n" }, device);
  await until(prober, () => busy()[1] === 0.12, "the change is told");
  tree.unplug(device);
  await until(prober, () => prober.readings.length === 1, "the loss is told");
  expect(prober.state.state).toBe("ok");
});

test("where AMD's library is missing, the kernel's files are read in its place", async () => {
  const tree = planted();
  tree.card(MI210);
  const prober = probe(tree, ["rocm", "sysfs"]);
  await until(prober, () => prober.readings.length === 1, "it is read");
  expect(prober.state.stack?.backend).toBe("sysfs");
});

test("a machine without such cards is told as such, with what to do", async () => {
  const tree = planted();
  const prober = probe(tree, ["sysfs"]);
  await until(prober, () => prober.state.state === "absent", "it is told");
  expect(prober.state.message).toContain("/sys/class/drm has no GPU of amd or intel; look at lspci -k");
});
