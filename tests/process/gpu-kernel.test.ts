/**
 * Cards without NVIDIA's library, by an agent as it is installed: what the machine has is found by itself, each vendor is
 * read in a process of its own, and errors of a card's memory take the node out of routing.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { ARC_B580, addKfd, mi300x } from "../gpu/kernel-cards.ts";
import { KernelTree } from "../gpu/kernel-tree.ts";
import { Bench, type Started, until } from "./harness.ts";
import { commandLine, descendants } from "./proc.ts";

setDefaultTimeout(120_000);
const bench = new Bench();
const tree = new KernelTree();
afterAll(async () => {
  await bench.end();
  tree.remove();
});

interface Gpu {
  readonly uuid: string;
  readonly name: string;
  readonly health: string;
  readonly reasons: readonly { readonly rule: string; readonly text: string }[];
  readonly load?: { readonly utilization?: number; readonly graphicsClockMhz?: number };
}

interface Gpus {
  readonly sources: readonly { readonly state: string; readonly stack?: { readonly backend: string } }[];
  readonly gpus: readonly Gpu[];
}

async function gpus(one: Started): Promise<Gpus> {
  const response = await fetch(`http://${one.address("api")}/gpus`, { signal: AbortSignal.timeout(5000) });
  return (await response.json()) as Gpus;
}

test("AMD's and Intel's GPUs are found, told and judged", async () => {
  const well = {
    "ras/umc_err_count": "ue: 0\nce: 0\n",
    "ras/gfx_err_count": "ue: 0\nce: 0\n",
    "ras/gpu_vram_bad_pages": "",
  };
  const device = tree.card(mi300x("0000:05:00.0", well));
  tree.card(ARC_B580);
  addKfd(tree, ["0000:05:00.0"]);
  const fast = ["--gpu-identity-interval", "1s", "--gpu-wear-interval", "200ms", "--gpu-load-interval", "200ms"];
  // The library of AMD, where it is installed, finds no GPU in the machine's own /sys, and gives way.
  const agent = await bench.agent("n1", null, "--gpu", "auto", "--gpu-root", tree.root, ...fast);
  const amd = async (): Promise<Gpu | undefined> =>
    (await gpus(agent)).gpus.find(({ uuid }) => uuid === "GPU-79ccd5616cc31b1b");
  await until(async () => (await gpus(agent)).gpus.length === 2 && (await amd())?.load !== undefined, 30_000);
  const { sources, gpus: all } = await gpus(agent);
  expect(sources.map(({ state, stack }) => [state, stack?.backend])).toEqual([
    ["ok", "sysfs"],
    ["ok", "sysfs"],
  ]);
  const probes = descendants(agent.process.pid).filter((child) => commandLine(child).includes("gpu-probe"));
  expect(probes).toHaveLength(2);
  expect(await amd()).toMatchObject({
    name: "AMD Instinct MI300X OAM",
    health: "healthy",
    load: { utilization: 0.93 },
  });
  const arc = all.find(({ uuid }) => uuid === "intel-0000:03:00.0");
  expect(arc).toMatchObject({ name: "Intel Arc B580", load: { graphicsClockMhz: 2850 } });

  tree.write({ "ras/umc_err_count": "ue: 40\nce: 3\n" }, device);
  await until(async () => (await amd())?.health === "quarantined", 30_000);
  expect((await amd())?.reasons[0]?.rule).toBe("ecc_uncorrected");
});
