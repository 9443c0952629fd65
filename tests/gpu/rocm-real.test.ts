/**
 * The real librocm_smi64 (Debian's librocm-smi64-1, with the structs of before ROCm 6.0), in the real probe process, under a
 * real prober: a tree of files is put in the place of /sys in a mount namespace, and the library finds GPUs in it.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { type BackendName, probeSpec } from "../../src/gpu/probe-spec.ts";
import { Prober } from "../../src/gpu/prober.ts";
import { gpuSettings } from "../../src/gpu/settings.ts";
import type { GpuReading } from "../../src/health/reading.ts";
import { MI210, RX7900, addKfd, addStrangers, mi300x } from "./kernel-cards.ts";
import { type CardFiles, type Files, KernelTree, metricsBytes } from "./kernel-tree.ts";

setDefaultTimeout(120_000);
const MAIN = resolve(import.meta.dir, "../../src/main.ts");
/** By `npm run build:static`. */
const STATIC = resolve(import.meta.dir, `../../dist/infermesh-linux-${process.arch}`);
const WAIT_MS = 30_000;
const GIB = 2 ** 30;
const LIBRARIES = ["/usr/lib", `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`];
const LIBRARY = LIBRARIES.map((folder) => `${folder}/librocm_smi64.so.1`).find((path) => existsSync(path)) ?? "";

const trees: KernelTree[] = [];
const open: Prober[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((prober) => prober.stop()));
  for (const tree of trees.splice(0)) tree.remove();
});

/** Runs a command with the tree's files as /sys. */
function inside(tree: KernelTree, ...command: readonly string[]): string[] {
  return ["unshare", "-rm", "sh", "-c", 'mount --rbind "$0" /sys && exec "$@"', tree.sys, ...command];
}

function planted(): KernelTree {
  const tree = new KernelTree();
  trees.push(tree);
  return tree;
}

function missing(): string | undefined {
  if (LIBRARY === "") return "librocm_smi64 is not installed (scripts/install-peers.sh)";
  const tree = new KernelTree();
  try {
    tree.write({ "sys/sign": "here\n" });
    const { exitCode, stdout } = Bun.spawnSync(inside(tree, "cat", "/sys/sign"), { stderr: "ignore" });
    return exitCode === 0 && String(stdout) === "here\n" ? undefined : "a mount namespace of one's own is not allowed";
  } catch {
    return "there is no unshare";
  } finally {
    tree.remove();
  }
}

if (!existsSync(STATIC)) console.warn(`left out: ${STATIC} is missing (npm run build:static)`);
const reason = missing();
if (reason !== undefined) console.warn(`the tests against the real librocm_smi64 are left out: ${reason}`);

class Watched {
  readonly prober: Prober;
  readonly states: string[] = [];

  /** `program`: what runs infermesh. */
  constructor(
    tree: KernelTree,
    backends: readonly BackendName[] = ["rocm"],
    program: readonly string[] = [process.execPath, MAIN],
  ) {
    const fast = { identityIntervalMs: 300, loadIntervalMs: 100, trafficIntervalMs: 100, wearIntervalMs: 100 };
    const config = { ...defaultsOf(gpuSettings), ...fast, rocmLibrary: LIBRARY, restartPauseMinMs: 20 };
    const spec = JSON.stringify(probeSpec(config, { backends, vendors: ["amd"] }));
    this.prober = new Prober({ command: inside(tree, ...program, "gpu-probe", spec), config });
    open.push(this.prober);
    this.prober.watch({
      changed: () => {
        const { state } = this.prober.state;
        if (this.states.at(-1) !== state) this.states.push(state);
      },
      faulted: () => {},
    });
  }

  of(uuid: string): GpuReading | undefined {
    return this.prober.readings.find((reading) => reading.uuid === uuid);
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const endMs = performance.now() + WAIT_MS;
    while (!condition()) {
      if (performance.now() > endMs)
        throw new Error(`waited in vain until ${what}: ${JSON.stringify(this.prober.state)}`);
      await Bun.sleep(5);
    }
  }
}

function withoutMemorySensor(files: Files): Files {
  return Object.fromEntries(Object.entries(files).filter(([name]) => !name.startsWith("temp3")));
}

/** As the library knows them: what it has of gpu_metrics up to version 1.2. */
const MI100: CardFiles = {
  ...MI210,
  address: "0000:43:00.0",
  files: {
    ...MI210.files,
    device: "0x738c\n",
    unique_id: "1234\n",
    gpu_metrics: metricsBytes("1.2", {
      temperature_hbm: [50, 55, 51, 0],
      average_gfx_activity: 1,
      average_umc_activity: 2,
      energy_accumulator: 1_000_000,
      current_gfxclk: 1500,
      throttle_status: 0,
      pcie_link_width: 16,
      pcie_link_speed: 160,
    }),
  },
  hwmon: withoutMemorySensor(MI210.hwmon ?? {}),
};

describe.skipIf(reason !== undefined)("the real librocm_smi64", () => {
  test("tells of GPUs by its own calls, and what changes in them", async () => {
    const tree = planted();
    addStrangers(tree);
    const device = tree.card(mi300x());
    for (const card of [MI100, RX7900]) tree.card(card);
    addKfd(tree, ["0000:05:00.0", MI100.address, RX7900.address]);
    tree.write({ vram_40000: `${100 * GIB}\n`, pasid: "32769\n" }, `sys/class/kfd/kfd/proc/${process.pid}`);
    const it = new Watched(tree);
    await it.until(() => it.of("GPU-79ccd5616cc31b1b")?.wear !== undefined, "all is read");
    expect(it.prober.state.stack).toEqual({
      backend: "rocm",
      source: LIBRARY,
      driverVersion: "6.12.12",
      libraryVersion: "1.0.0",
    });
    const { identity, load, traffic, wear } = it.of("GPU-79ccd5616cc31b1b")!;
    expect(identity).toMatchObject({
      vendor: "amd",
      name: "AMD Instinct MI300X OAM",
      serial: "692251000123",
      pciAddress: "0000:05:00.0",
      architecture: "gfx942",
      memoryTotalBytes: 192 * GIB,
      graphicsClockMhzMax: 2100,
      slowdownCelsius: 100,
      shutdownCelsius: 105,
      memoryCelsiusMax: 95,
      powerLimitWattsMax: 750,
      eccMode: true,
      fabric: "b3d54c87b1e7d4c5",
    });
    expect(load).toMatchObject({
      utilization: 0.93,
      memoryUtilization: 0.41,
      memoryUsedBytes: 150 * GIB,
      memoryFreeBytes: 42 * GIB,
      hostMemoryUsedBytes: 3 * GIB,
      temperatureCelsius: 61,
      hotspotCelsius: 61,
      memoryCelsius: 48,
      powerWatts: 702,
      powerLimitWatts: 750,
      energyJoules: 5000,
      graphicsClockMhz: 1980,
      memoryClockMhz: 1300,
    });
    expect(traffic).toMatchObject({ pcieReplays: 7, pcieWidth: 16 });
    expect(traffic?.processes?.map(({ pid, memoryBytes }) => [pid, memoryBytes])).toEqual([[process.pid, 100 * GIB]]);
    expect(wear).toMatchObject({ eccCorrected: 5, eccUncorrected: 1 });

    tree.write({ gpu_busy_percent: "12\n", "ras/umc_err_count": "ue: 2\nce: 3\n" }, device);
    await it.until(() => it.of("GPU-79ccd5616cc31b1b")?.load?.utilization === 0.12, "the change is told");
    await it.until(() => it.of("GPU-79ccd5616cc31b1b")?.wear?.eccUncorrected === 3, "the errors are told");
    expect(it.states.filter((state) => state !== "starting")).toEqual(["ok"]);
  });

  test("tells what it has of gpu_metrics itself, and nothing of what a card does not have", async () => {
    const tree = planted();
    for (const card of [MI100, RX7900]) tree.card(card);
    addKfd(tree, [MI100.address, RX7900.address], 90_008);
    const it = new Watched(tree);
    await it.until(() => it.prober.readings.length === 2, "both are read");
    const { identity, load, traffic } = it.of("GPU-0000000000001234")!;
    expect(identity).toMatchObject({ architecture: "gfx908", pciAddress: MI100.address });
    // In steps of 15.3 microjoules, as the library says.
    expect(load?.energyJoules).toBeCloseTo(15.3, 1);
    expect(load).toMatchObject({ memoryCelsius: 55, powerWatts: 42, powerWattsMean: 42, temperatureCelsius: 35 });
    expect(traffic?.pcieWidth).toBe(16);
    const other = it.of("amd-0000:0c:00.0")!;
    expect(other.load).toMatchObject({ utilization: 0.17, fans: [0.2], fanRpm: 1020, powerWatts: 98 });
    for (const key of ["memoryUtilization", "memoryCelsius", "energyJoules", "throttleReasons"]) {
      expect(other.load).not.toHaveProperty(key);
    }
    expect(other.wear).toEqual({});
  });

  test("is not asked for what would end the process: later versions, a third line of errors, cards without sensors", async () => {
    const tree = planted();
    const { hwmon, ...bare } = RX7900;
    expect(hwmon).toBeDefined();
    const sleeping = {
      pp_dpm_sclk: "S: 19Mhz *\n0: 132Mhz\n1: 2100Mhz\n",
      "ras/sdma_err_count": "ue: 0\nce: 4\nde: 1\n",
    };
    tree.card(mi300x("0000:05:00.0", { ...sleeping, gpu_metrics: metricsBytes("1.8", { curr_socket_power: 650 }) }));
    tree.card({ ...bare, address: "0000:0c:00.0" });
    addKfd(tree, ["0000:05:00.0", "0000:0c:00.0"]);
    const it = new Watched(tree);
    await it.until(
      () => it.prober.readings.every(({ wear }) => wear !== undefined) && it.prober.readings.length === 2,
      "both are read",
    );
    const { load, wear } = it.of("GPU-79ccd5616cc31b1b")!;
    expect(load).toMatchObject({ graphicsClockMhz: 19, powerWatts: 650 });
    expect(load).not.toHaveProperty("energyJoules");
    expect(wear?.eccCorrected).toBe(9);
    expect(it.of("amd-0000:0c:00.0")?.load).toEqual({
      utilization: 0.17,
      memoryUsedBytes: 4 * GIB,
      memoryFreeBytes: 20 * GIB,
      graphicsClockMhz: 2304,
    });
    expect(it.states.filter((state) => state !== "starting")).toEqual(["ok"]);
  });

  test("lives through garbage in any file of a card", () => {
    const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
    const tree = planted();
    tree.card(mi300x());
    addKfd(tree, ["0000:05:00.0"]);
    const child = resolve(import.meta.dir, "rocm-garbage-child.ts");
    const command = inside(tree, process.execPath, child, LIBRARY, "card0", String(seed));
    const { exitCode, stdout } = Bun.spawnSync(command, { stderr: "ignore", timeout: 60_000 });
    const last = String(stdout).trim().split("\n").at(-1);
    expect([exitCode, exitCode === 0 ? "" : `SEED=${seed}, after garbage in ${last}`]).toEqual([0, ""]);
  });

  test("is initialised anew where a card is pulled out or put in", async () => {
    const tree = planted();
    const device = tree.card(mi300x());
    tree.card(RX7900);
    addKfd(tree, ["0000:05:00.0", RX7900.address, MI100.address]);
    const it = new Watched(tree);
    const there = (): string => it.prober.readings.map(({ uuid }) => uuid).join();
    await it.until(() => there() === "GPU-79ccd5616cc31b1b,amd-0000:0c:00.0", "both are read");
    tree.card(MI100);
    await it.until(() => there().includes("GPU-0000000000001234"), "the new one is read");
    tree.unplug(device);
    await it.until(() => !there().includes("GPU-79ccd5616cc31b1b"), "the other one is missing");
    expect(it.prober.state.state).toBe("ok");
  });

  test("gives way to the kernel's files where it can't be initialised", async () => {
    const tree = planted();
    tree.card(mi300x());
    const refused = new Watched(tree);
    await refused.until(() => refused.prober.state.state === "absent", "it is told");
    expect(refused.prober.state.message).toContain("rsmi_init answered 8");
    const it = new Watched(tree, ["rocm", "sysfs"]);
    await it.until(() => it.prober.readings.length === 1, "it is read");
    expect(it.prober.state.stack?.backend).toBe("sysfs");
  });

  test.skipIf(!existsSync(STATIC))("gives way in the static executable, where its libstdc++ is of no use", async () => {
    const tree = planted();
    tree.card(mi300x());
    const refused = new Watched(tree, ["rocm"], [STATIC]);
    await refused.until(() => refused.prober.state.state === "broken", "it is told");
    expect(refused.prober.state.message).toContain(
      `${LIBRARY}: it needs libstdc++.so.6, which is in none of the folders`,
    );
    const it = new Watched(tree, ["rocm", "sysfs"], [STATIC]);
    await it.until(() => it.prober.readings.length === 1, "it is read");
    expect(it.prober.state.stack?.backend).toBe("sysfs");
  });
});
