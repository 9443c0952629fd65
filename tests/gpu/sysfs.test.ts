import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { lanesOf } from "../../src/gpu/amd-figures.ts";
import { BackendError, type GpuBackend } from "../../src/gpu/backend.ts";
import { openSysfs } from "../../src/gpu/sysfs.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { memoryRules } from "../../src/health/memory-rules.ts";
import { healthSettings } from "../../src/health/settings.ts";
import {
  GPU_GROUPS,
  type GpuGroup,
  type GpuReading,
  type GpuUpdate,
  type GpuVendor,
} from "../../src/health/reading.ts";
import { takeUpdate } from "../../src/health/shape.ts";
import { ARC_B580, MI210, RX7900, UHD, addKfd, addStrangers, mi300x } from "./kernel-cards.ts";
import { KernelTree, metricsBytes } from "./kernel-tree.ts";

// Trees are made of many small files.
setDefaultTimeout(60_000);

const ALL: ReadonlySet<GpuGroup> = new Set(GPU_GROUPS);
const LOAD: ReadonlySet<GpuGroup> = new Set(["load"]);
const GIB = 2 ** 30;

let tree: KernelTree;
beforeEach(() => {
  tree = new KernelTree();
});
afterEach(() => tree.remove());

function open(...vendors: readonly GpuVendor[]): GpuBackend {
  return openSysfs({ vendors: vendors.length === 0 ? ["amd", "intel"] : vendors, root: tree.root });
}

/** Without what is not known: as an agent gets it. */
function look(backend: GpuBackend, groups = ALL, nowMs = 1000): GpuUpdate[] {
  return backend.read(groups, nowMs).map((update) => takeUpdate(update)!);
}

function only(backend: GpuBackend, groups = ALL, nowMs = 1000): GpuUpdate {
  const updates = look(backend, groups, nowMs);
  expect(updates).toHaveLength(1);
  return updates[0]!;
}

function trouble(action: () => unknown): { readonly trouble: string; readonly message: string } {
  try {
    action();
  } catch (error) {
    if (error instanceof BackendError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("which GPUs there are", () => {
  test("is told by their drivers, in the order of the bus, and each vendor's are numbered", () => {
    addStrangers(tree);
    for (const card of [RX7900, UHD, mi300x(), ARC_B580]) tree.card(card);
    const found = look(open()).map(({ identity }) => [identity?.vendor, identity?.index, identity?.pciAddress]);
    expect(found).toEqual([
      ["intel", 0, "0000:00:02.0"],
      ["intel", 1, "0000:03:00.0"],
      ["amd", 0, "0000:05:00.0"],
      ["amd", 1, "0000:0c:00.0"],
    ]);
    expect(look(open("amd")).map(({ identity }) => identity?.vendor)).toEqual(["amd", "amd"]);
  });

  test("counts one that has a render node alone", () => {
    tree.card({ ...MI210, isRenderOnly: true });
    expect(only(open()).identity?.name).toBe("AMD Instinct MI210");
  });

  test("is none where only others' cards are, or no folder at all", () => {
    expect(trouble(() => open())).toMatchObject({ trouble: "absent" });
    addStrangers(tree);
    const { trouble: kind, message } = trouble(() => open("amd"));
    expect(kind).toBe("absent");
    expect(message).toContain(`${tree.root}/sys/class/drm has no GPU of amd`);
  });

  test("holds cards of one number apart", () => {
    tree.card(mi300x("0000:05:00.0"));
    tree.card(mi300x("0000:06:00.0"));
    expect(look(open()).map(({ uuid }) => uuid)).toEqual(["GPU-79ccd5616cc31b1b", "amd-0000:06:00.0"]);
  });

  test("tells where it knows that from", () => {
    tree.card(ARC_B580);
    expect(open().stack).toEqual({
      backend: "sysfs",
      source: `${tree.root}/sys/class/drm`,
      driverVersion: "6.12.12",
    });
  });
});

describe("AMD", () => {
  test("MI300X: everything that its files tell", () => {
    const device = tree.card(mi300x());
    addKfd(tree, ["0000:05:00.0"]);
    tree.firstNamespace();
    tree.process(4242, "vllm", []);
    tree.write({ vram_40000: `${100 * GIB}\n`, vram_51966: "77\n", pasid: "32769\n" }, "sys/class/kfd/kfd/proc/4242");
    const backend = open();
    expect(only(backend)).toEqual({
      uuid: "GPU-79ccd5616cc31b1b",
      identity: {
        index: 0,
        vendor: "amd",
        name: "AMD Instinct MI300X OAM",
        serial: "692251000123",
        pciAddress: "0000:05:00.0",
        architecture: "gfx942",
        memoryTotalBytes: 192 * GIB,
        isIntegrated: false,
        graphicsClockMhzMax: 2100,
        memoryClockMhzMax: 1300,
        pcieGenerationMax: 5,
        pcieWidthMax: 16,
        slowdownCelsius: 100,
        shutdownCelsius: 105,
        memoryCelsiusMax: 95,
        powerLimitWattsMin: 0,
        powerLimitWattsMax: 750,
        eccMode: true,
        fabric: "b3d54c87b1e7d4c5",
      },
      load: {
        utilization: 0.93,
        memoryUtilization: 0.41,
        decoderUtilization: 0.3,
        jpegUtilization: 0.5,
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
        videoClockMhz: 29,
      },
      traffic: {
        pcieGeneration: 5,
        pcieWidth: 16,
        pcieReplays: 7,
        processes: [{ pid: 4242, memoryBytes: 100 * GIB, command: "vllm" }],
      },
      wear: { eccCorrected: 5, eccUncorrected: 1, retiredPagesUncorrected: 1, retiredPagesPending: true },
    });
    const busier = { xgmi_read_data_acc: [3000, 2000], xgmi_write_data_acc: [500, 1500] };
    tree.write({ gpu_metrics: metricsBytes("1.5", busier) }, device);
    const { traffic } = only(backend, new Set(["traffic"]), 2000);
    expect(traffic).toMatchObject({ linkRxBytesPerSecond: 2000 * 1024, linkTxBytesPerSecond: 1000 * 1024 });
  });

  test("MI210: an edge, power as a mean, and why its clocks are held down", () => {
    tree.card(MI210);
    const { uuid, identity, load, traffic, wear } = only(open());
    expect(uuid).toBe("GPU-00000a1b2c3d4e5f");
    expect(identity).toMatchObject({ name: "AMD Instinct MI210", slowdownCelsius: 100, graphicsClockMhzMax: 1700 });
    expect(load).toMatchObject({
      utilization: 0,
      temperatureCelsius: 35,
      hotspotCelsius: 38,
      memoryCelsius: 40,
      powerWatts: 42,
      powerWattsMean: 42,
      energyJoules: 12,
      graphicsClockMhz: 800,
      memoryClockMhz: 1600,
      throttleReasons: ["sw_power_cap", "sw_thermal"],
    });
    expect(traffic).toEqual({ pcieGeneration: 4, pcieWidth: 16 });
    expect(wear).toEqual({ eccCorrected: 0, eccUncorrected: 0 });
  });

  test("RX 7900: the link is that of its own switch, and what it does not have is no figure", () => {
    tree.card(RX7900);
    expect(only(open())).toEqual({
      uuid: "amd-0000:0c:00.0",
      identity: {
        index: 0,
        vendor: "amd",
        name: "AMD Radeon RX 7900 XT / 7900 XTX",
        pciAddress: "0000:0c:00.0",
        memoryTotalBytes: 24 * GIB,
        graphicsClockMhzMax: 2482,
        pcieGenerationMax: 5,
        pcieWidthMax: 16,
      },
      load: {
        utilization: 0.17,
        memoryUsedBytes: 4 * GIB,
        memoryFreeBytes: 20 * GIB,
        temperatureCelsius: 51,
        powerWatts: 98,
        powerWattsMean: 98,
        graphicsClockMhz: 2304,
        fans: [0.2],
        fanRpm: 1020,
      },
      traffic: { pcieGeneration: 4, pcieWidth: 8 },
      wear: {},
    });
  });

  test("processes that draw are told beside those that compute, which would seem idle by their engines", () => {
    tree.card(mi300x());
    addKfd(tree, ["0000:05:00.0"]);
    tree.firstNamespace();
    const fdinfo = (id: number) =>
      `drm-driver: amdgpu\ndrm-client-id: ${id}\ndrm-pdev: 0000:05:00.0\ndrm-memory-vram: 1 MiB\ndrm-engine-gfx: 0 ns\n`;
    tree.process(10, "vllm", [["/dev/dri/renderD128", fdinfo(1)]]);
    tree.process(11, "Xorg", [["/dev/dri/renderD128", fdinfo(2)]]);
    tree.write({ vram_40000: "5000\n" }, "sys/class/kfd/kfd/proc/10");
    const backend = open();
    look(backend);
    expect(only(backend, new Set(["traffic"]), 2000).traffic?.processes).toEqual([
      { pid: 10, memoryBytes: 5000, command: "vllm" },
      { pid: 11, memoryBytes: 2 ** 20, utilization: 0, command: "Xorg" },
    ]);
  });

  test("in a namespace of one's own the compute driver's numbers name nobody, though they are somebody's here", () => {
    tree.card(mi300x());
    addKfd(tree, ["0000:05:00.0"]);
    // Of the runtime, which has the GPU open; of another container, by the machine's number.
    tree.process(50, "vllm", [["/dev/kfd", ""]]);
    tree.write({ vram_40000: "5000\n" }, "sys/class/kfd/kfd/proc/50");
    expect(only(open()).traffic?.processes).toEqual([{ pid: 50, memoryBytes: 5000 }]);
    tree.firstNamespace();
    expect(only(open()).traffic?.processes).toEqual([{ pid: 50, memoryBytes: 5000, command: "vllm" }]);
  });

  test("packets sent again are counted by one of the card's two counters, whichever answers at a look", () => {
    const device = tree.card(
      mi300x("0000:05:00.0", { gpu_metrics: metricsBytes("1.5", { pcie_replay_count_acc: 900 }) }),
    );
    const backend = open();
    const replays = (): number | undefined => only(backend, new Set(["traffic"])).traffic?.pcieReplays;
    expect(replays()).toBe(7);
    tree.fail(device, "pcie_replay_count");
    expect(replays()).toBeUndefined();
    tree.write({ pcie_replay_count: "8\n" }, device);
    expect(replays()).toBe(8);
  });

  test("a chip with processor cores is told as one, and that its share of the memory is full is no trouble", () => {
    const used = { mem_info_vram_total: `${GIB / 2}\n`, mem_info_vram_used: `${GIB / 2}\n` };
    const health = (version: string): string => {
      const own = new KernelTree();
      try {
        const gpu_metrics = metricsBytes(version, {});
        own.card({ ...RX7900, files: { ...RX7900.files, ...used, gpu_metrics } });
        const reading = openSysfs({ vendors: ["amd"], root: own.root })
          .read(ALL, 1000)
          .map((update) => takeUpdate(update)!);
        const rule = memoryRules(defaultsOf(healthSettings)).find(({ name }) => name === "vram")!;
        return `${reading[0]?.identity?.isIntegrated} ${rule.look(reading[0] as GpuReading, 1000).is}`;
      } finally {
        own.remove();
      }
    };
    expect(["2.1", "2.4", "3.0"].map(health)).toEqual(["true good", "true good", "true good"]);
    expect(health("1.3")).toBe("false bad");
  });

  test("partitions of one card have its processes together", () => {
    tree.card(mi300x());
    addKfd(tree, ["0000:05:00.0", "0000:05:00.1"]);
    tree.write({ vram_40000: "5\n", vram_40001: "7\n" }, "sys/class/kfd/kfd/proc/10");
    expect(only(open()).traffic?.processes).toEqual([{ pid: 10, memoryBytes: 12 }]);
  });

  test("a card that sleeps is not woken up for its figures", () => {
    const device = tree.card(mi300x("0000:05:00.0", { "power/runtime_status": "suspended\n" }));
    const { identity, load, wear } = only(open());
    expect(identity?.name).toBe("AMD Instinct MI300X OAM");
    expect([load, wear]).toEqual([{}, {}]);
    tree.write({ "power/runtime_status": "active\n" }, device);
    expect(only(open()).load?.utilization).toBe(0.93);
  });

  test("sensors whose number changes with the driver are found again", () => {
    const device = tree.card(MI210);
    const backend = open();
    tree.fail(device, "unused");
    tree.unplug(`${device}/hwmon/hwmon3`);
    tree.write({ name: "amdgpu\n", temp1_label: "edge\n", temp1_input: "44000\n" }, `${device}/hwmon/hwmon9`);
    expect(only(backend).load?.temperatureCelsius).toBe(44);
  });
});

describe("the link", () => {
  const port = (speed: string, width: string) => ({
    max_link_speed: `${speed}\n`,
    max_link_width: `${width}\n`,
  });
  const most = (slot: Readonly<Record<string, string>>, own: Readonly<Record<string, string>> = {}) => {
    const card = mi300x("0000:05:00.0", own);
    const placed = new KernelTree();
    try {
      placed.card({ ...card, ports: [["0000:00:01.1", "0x1022", slot]] });
      const identity = openSysfs({ vendors: ["amd"], root: placed.root }).read(ALL, 1000)[0]?.identity;
      return [identity?.pcieGenerationMax, identity?.pcieWidthMax];
    } finally {
      placed.remove();
    }
  };

  test("can what the lesser of its two ends can: a slot may be of an older generation, or have fewer lanes", () => {
    expect(most(port("32.0 GT/s PCIe", "16"))).toEqual([5, 16]);
    expect(most(port("8.0 GT/s PCIe", "8"))).toEqual([3, 8]);
    expect(most(port("64.0 GT/s PCIe", "32"))).toEqual([5, 16]);
  });

  test("in a slot that does not tell is the card's", () => {
    expect(most({})).toEqual([5, 16]);
    expect(most(port("Unknown", "63"))).toEqual([5, 16]);
    expect(most(port("16.0 GT/s PCIe", "16"), port("Unknown", "63"))).toEqual([undefined, undefined]);
  });

  test("behind a switch of the card's own is that of the switch and the slot", () => {
    const [, upper, lower] = RX7900.ports!;
    tree.card({ ...RX7900, ports: [["0000:00:03.1", "0x1022", port("16.0 GT/s PCIe", "8")], upper!, lower!] });
    expect(only(open()).identity).toMatchObject({ pcieGenerationMax: 4, pcieWidthMax: 8 });
  });

  test("has a width that PCIe has, or none", () => {
    const widths = [1, 2, 4, 8, 12, 16, 32];
    fc.assert(
      fc.property(fc.integer({ min: -1, max: 300 }), (width) => {
        expect(lanesOf(width)).toBe(widths.includes(width) ? width : undefined);
      }),
    );
    const device = tree.card(mi300x());
    const backend = open();
    for (const width of ["0", "3", "63", "64", "255"]) {
      tree.write({ current_link_width: `${width}\n`, max_link_width: `${width}\n`, gpu_metrics: "" }, device);
      const { identity, traffic } = only(backend);
      expect([identity?.pcieWidthMax, traffic?.pcieWidth]).toEqual([undefined, undefined]);
    }
  });
});

describe("Intel", () => {
  test("Arc: what xe tells, and what is reckoned from those who have it open", () => {
    const device = tree.card(ARC_B580);
    tree.firstNamespace();
    const client = (cycles: number, all: number): void =>
      tree.process(77, "llama-server", [
        [
          "/dev/dri/renderD128",
          `drm-driver: xe\ndrm-client-id: 4\ndrm-pdev: 0000:03:00.0\ndrm-resident-vram0: 8 GiB\n` +
            `drm-cycles-ccs: ${cycles}\ndrm-total-cycles-ccs: ${all}\n`,
        ],
      ]);
    client(0, 1000);
    const backend = open();
    const first = only(backend);
    expect(first).toEqual({
      uuid: "intel-0000:03:00.0",
      identity: {
        index: 0,
        vendor: "intel",
        name: "Intel Arc B580",
        pciAddress: "0000:03:00.0",
        memoryTotalBytes: 12 * GIB,
        graphicsClockMhzMax: 2900,
        pcieGenerationMax: 5,
        pcieWidthMax: 8,
        powerLimitWattsMax: 190,
      },
      load: {
        memoryUsedBytes: 8 * GIB,
        memoryFreeBytes: 4 * GIB,
        temperatureCelsius: 64,
        memoryCelsius: 70,
        powerLimitWatts: 190,
        energyJoules: 1000,
        graphicsClockMhz: 2850,
        fanRpm: 1500,
        throttleReasons: ["sw_power_cap", "hw_thermal"],
      },
      traffic: {
        pcieGeneration: 5,
        pcieWidth: 8,
        processes: [{ pid: 77, memoryBytes: 8 * GIB, command: "llama-server" }],
      },
    });
    client(800, 2000);
    tree.write({ "hwmon/hwmon3/energy1_input": "1150000000\n", "tile0/gt0/freq0/throttle/status": "0\n" }, device);
    expect(only(backend, LOAD, 2000).load).toMatchObject({ utilization: 0.8, powerWatts: 150, throttleReasons: [] });
  });

  test("is not idle but unknown where a client is not seen", () => {
    tree.card(ARC_B580);
    tree.firstNamespace();
    const backend = open();
    look(backend);
    expect(only(backend, ALL, 2000).load?.utilization).toBe(0);
    tree.process(77, "llama-server", [["/dev/dri/renderD128", "pos:\t0\n"]]);
    const { load, traffic } = only(backend, ALL, 3000);
    for (const key of ["utilization", "memoryUsedBytes"]) expect(load).not.toHaveProperty(key);
    expect(traffic).not.toHaveProperty("processes");
  });

  test("limits of current are no trouble of the hardware, heat that its pins report is", () => {
    const reasons = (...names: readonly string[]): readonly string[] | undefined => {
      const files = Object.fromEntries(names.map((name) => [`tile0/gt0/freq0/throttle/reason_${name}`, "1\n"]));
      const none = { "tile0/gt0/freq0/throttle/reason_pl1": "0\n", "tile0/gt0/freq0/throttle/reason_prochot": "0\n" };
      const own = new KernelTree();
      try {
        own.card({ ...ARC_B580, files: { ...ARC_B580.files, ...none, ...files } });
        return openSysfs({ vendors: ["intel"], root: own.root }).read(LOAD, 1000)[0]?.load?.throttleReasons;
      } finally {
        own.remove();
      }
    };
    for (const name of ["pl4", "iccmax", "vr_tdc", "fastvmode"]) expect(reasons(name)).toEqual(["sw_power_cap"]);
    for (const name of ["prochot", "vr_thermalert"]) expect(reasons(name)).toEqual(["hw_thermal"]);
    expect(reasons("psys_crit")).toEqual(["hw_slowdown"]);
  });

  test("two tiles are one GPU, with the memory of both and the faster one's clock", () => {
    tree.card({
      ...ARC_B580,
      files: {
        ...ARC_B580.files,
        device: "0x0bd5\n",
        "tile0/physical_vram_size_bytes": `${64 * GIB}\n`,
        "tile1/physical_vram_size_bytes": `${64 * GIB}\n`,
        "tile1/gt1/freq0/act_freq": "2870\n",
      },
    });
    const { identity, load } = only(open());
    expect(identity).toMatchObject({ name: "Intel Data Center GPU Max 1550", memoryTotalBytes: 128 * GIB });
    expect(load?.graphicsClockMhz).toBe(2870);
  });

  test("a processor's own GPU: clocks, and nothing that it does not have", () => {
    tree.card(UHD);
    expect(only(open())).toEqual({
      uuid: "intel-0000:00:02.0",
      identity: {
        index: 0,
        vendor: "intel",
        name: "Intel GPU 4680",
        pciAddress: "0000:00:02.0",
        graphicsClockMhzMax: 1450,
      },
      load: { graphicsClockMhz: 350, throttleReasons: [] },
      traffic: {},
    });
  });

  test("i915 before it had a folder for each part, and with memory of its own", () => {
    tree.card({
      ...UHD,
      nodeFiles: { gt_act_freq_mhz: "1200\n", gt_RP0_freq_mhz: "2400\n", lmem_total_bytes: `${16 * GIB}\n` },
      hwmon: { name: "i915\n", energy1_input: "5000000\n", temp1_input: "55000\n", power1_max: "225000000\n" },
    });
    const { identity, load } = only(open());
    expect(identity).toMatchObject({ memoryTotalBytes: 16 * GIB, graphicsClockMhzMax: 2400 });
    expect(load).toEqual({ temperatureCelsius: 55, powerLimitWatts: 225, energyJoules: 5, graphicsClockMhz: 1200 });
  });
});

describe("a card that goes away", () => {
  test("is left out, and the others go on with their counters", () => {
    const gone = tree.card(mi300x("0000:05:00.0"));
    tree.card(ARC_B580);
    const backend = open();
    expect(look(backend)).toHaveLength(2);
    tree.unplug(gone);
    expect(look(backend, LOAD, 2000).map(({ uuid }) => uuid)).toEqual(["intel-0000:03:00.0"]);
    expect(backend.isRollDue).toBe(true);
    const [left] = look(backend, ALL, 3000);
    expect(left?.load?.powerWatts).toBe(0);
    expect(backend.isRollDue).toBe(false);
  });

  test("is noticed when it answers with errors alone, stays out as long as it does, and comes back", () => {
    const device = tree.card(mi300x());
    tree.card(MI210);
    const sensors = ["gpu_busy_percent", "mem_busy_percent", "gpu_metrics"];
    const hwmon = ["temp2_input", "temp3_input", "power1_input", "power1_cap", "freq1_input", "freq2_input"];
    const backend = open();
    expect(look(backend)).toHaveLength(2);
    tree.fail(device, ...sensors, ...hwmon.map((name) => `hwmon/hwmon3/${name}`));
    expect(look(backend, LOAD).map(({ uuid }) => uuid)).toEqual(["GPU-00000a1b2c3d4e5f"]);
    for (const groups of [ALL, LOAD, ALL]) expect(look(backend, groups)).toHaveLength(1);
    const { files, hwmon: values } = mi300x();
    for (const name of sensors) tree.write({ [name]: files[name]! }, device);
    for (const name of hwmon) tree.write({ [name]: values![name]! }, `${device}/hwmon/hwmon3`);
    expect(look(backend).map(({ identity }) => identity?.index)).toEqual([0, 1]);
  });

  test("as the last one ends the backend; one that is put in is found", () => {
    const device = tree.card(mi300x());
    const backend = open();
    tree.card(MI210);
    expect(look(backend)).toHaveLength(2);
    tree.unplug(device);
    expect(look(backend)).toHaveLength(1);
    tree.unplug("sys/devices/pci0000:63/0000:63:00.0");
    expect(trouble(() => look(backend))).toMatchObject({ trouble: "absent" });
  });
});

describe("garbage", () => {
  test("in any file is no figure, and ends nothing", () => {
    const names = Object.keys({ ...mi300x().files, ...ARC_B580.files });
    const sensors = [...Object.keys(mi300x().hwmon!), ...Object.keys(ARC_B580.hwmon!)].filter(
      (name) => name !== "name",
    );
    const garbage = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.constantFrom("", "-1\n", "4294967295\n", "18446744073709551615\n", "nan", "1e99", "\0\0\0", "ue: x\nce: -1"),
      fc.uint8Array({ maxLength: 300 }),
    );
    const file = fc.tuple(fc.constantFrom(...names, ...sensors.map((name) => `hwmon/hwmon3/${name}`)), garbage);
    fc.assert(
      fc.property(fc.array(file, { maxLength: 12 }), (files) => {
        const own = new KernelTree();
        try {
          for (const card of [mi300x(), ARC_B580]) {
            const device = own.card(card);
            own.write(Object.fromEntries(files), device);
          }
          const backend = openSysfs({ vendors: ["amd", "intel"], root: own.root });
          for (const update of [...backend.read(ALL, 1000), ...backend.read(LOAD, 2000)]) {
            const taken = takeUpdate(update);
            expect(taken?.uuid).toBe(update.uuid);
            const { utilization = 0, memoryUsedBytes = 0, powerWatts = 0 } = taken?.load ?? {};
            expect(utilization >= 0 && utilization <= 1 && memoryUsedBytes >= 0 && powerWatts >= 0).toBe(true);
          }
        } finally {
          own.remove();
        }
      }),
      { numRuns: 60 },
    );
  });

  test("of the four kinds that drivers write for nothing is none", () => {
    const device = tree.card(MI210);
    const nothing = {
      gpu_busy_percent: "4294967295\n",
      mem_busy_percent: "-22\n",
      mem_info_vram_used: "99999999999999999\n",
    };
    tree.write({ ...nothing, gpu_metrics: metricsBytes("1.3", {}), product_name: " \n" }, device);
    const { identity, load } = only(open());
    expect(load).toMatchObject({ temperatureCelsius: 35 });
    for (const key of ["utilization", "memoryUtilization", "memoryUsedBytes", "memoryFreeBytes"])
      expect(load).not.toHaveProperty(key);
    expect(identity?.name).toBe("AMD Instinct MI210");
  });
});
