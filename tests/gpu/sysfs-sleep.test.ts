/** Cards that are powered down: what is asked of them by the kernel's files, and what is told of them. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { GpuBackend } from "../../src/gpu/backend.ts";
import { openSysfs } from "../../src/gpu/sysfs.ts";
import { GPU_GROUPS, type GpuGroup, type GpuUpdate } from "../../src/health/reading.ts";
import { takeUpdate } from "../../src/health/shape.ts";
import { ARC_B580, RX7900, UHD, mi300x } from "./kernel-cards.ts";
import { ANSWERED_ASLEEP, KernelTree } from "./kernel-tree.ts";

// Trees are made of many small files.
setDefaultTimeout(60_000);

const ALL: ReadonlySet<GpuGroup> = new Set(GPU_GROUPS);
const GIB = 2 ** 30;

let tree: KernelTree;
beforeEach(() => {
  tree = new KernelTree();
});
afterEach(() => tree.remove());

function open(): GpuBackend {
  return openSysfs({ vendors: ["amd", "intel"], root: tree.root });
}

/** Without what is not known: as an agent gets it. */
function only(backend: GpuBackend, nowMs = 1000): GpuUpdate {
  const updates = backend.read(ALL, nowMs);
  expect(updates).toHaveLength(1);
  return takeUpdate(updates[0])!;
}

describe("a card that sleeps", () => {
  const cards = { amd: mi300x(), "amd with its switch": RX7900, xe: ARC_B580, i915: UHD };
  for (const [name, card] of Object.entries(cards)) {
    test(`${name}: is asked for nothing, not by the first look either, until it is awake`, () => {
      const device = tree.card(card);
      for (const status of ["suspended", "suspending"]) {
        tree.write({ "power/runtime_status": `${status}\n` }, device);
        const [root = ""] = device.split(`/${card.ports?.[0]?.[0] ?? card.address}`);
        tree.forgetReads(root);
        const backend = open();
        for (let second = 1; second <= 3; second += 1) only(backend, 1000 * second);
        const own = device.slice(root.length + 1);
        const read = tree.readsIn(root).map((file) => (file.startsWith(own) ? file.slice(own.length + 1) : file));
        // What the ports above it read of a link would wake them up.
        const waking = read.filter((file) => !ANSWERED_ASLEEP.test(file) && !file.endsWith("/vendor"));
        expect(waking).toEqual([]);
        expect(read).toContain("power/runtime_status");
        tree.write({ "power/runtime_status": "active\n" }, device);
        only(backend, 9000);
        // So the times of reading tell.
        expect(tree.readsIn(root).length).toBeGreaterThan(read.length);
      }
    });
  }

  test("keeps what it told of itself while it was awake, and tells of its memory before", () => {
    const device = tree.card(mi300x("0000:05:00.0", { "power/runtime_status": "suspended\n" }));
    const backend = open();
    const asleep = only(backend).identity;
    expect(asleep).toMatchObject({ name: "AMD Instinct MI300X OAM", memoryTotalBytes: 192 * GIB, eccMode: true });
    for (const key of ["pcieWidthMax", "graphicsClockMhzMax", "slowdownCelsius", "powerLimitWattsMax"]) {
      expect(asleep).not.toHaveProperty(key);
    }
    tree.write({ "power/runtime_status": "active\n" }, device);
    const awake = only(backend).identity;
    expect(awake).toMatchObject({ pcieWidthMax: 16, graphicsClockMhzMax: 2100, powerLimitWattsMax: 750 });
    // As a port answers whose card has no power.
    const nonsense = { max_link_width: "63\n", max_link_speed: "Unknown\n" };
    tree.write({ ...nonsense, pp_dpm_sclk: "0: 0Mhz *\n", "power/runtime_status": "suspended\n" }, device);
    expect(only(backend).identity).toEqual(awake);
  });
});
