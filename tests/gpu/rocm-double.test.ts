/** AMD's library as it is from ROCm 6.0 on, by its double: its structs, its codes, and what it must not be asked. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ROCM6_LAYOUT } from "../../src/gpu/amd-layouts.ts";
import { BackendError, type GpuBackend } from "../../src/gpu/backend.ts";
import { openLibrary } from "../../src/gpu/library.ts";
import { RocmDevice, RocmSession } from "../../src/gpu/rocm-device.ts";
import { ROCM_NEEDS, ROCM_SYMBOLS } from "../../src/gpu/rocm-symbols.ts";
import { openRocm } from "../../src/gpu/rocm.ts";
import { LookCount } from "../../src/gpu/sysfs-folder.ts";
import { GPU_GROUPS, type GpuGroup, type GpuUpdate } from "../../src/health/reading.ts";
import { takeUpdate } from "../../src/health/shape.ts";
import { MI210, RX7900, addKfd, mi300x } from "./kernel-cards.ts";
import { ANSWERED_ASLEEP, KernelTree, layoutBytes, metricsBytes } from "./kernel-tree.ts";
import { HAS_COMPILER, RocmDouble, removeRocmDoubles } from "./rocm-double.ts";

afterAll(removeRocmDoubles);

const ALL: ReadonlySet<GpuGroup> = new Set(GPU_GROUPS);
const LOAD: ReadonlySet<GpuGroup> = new Set(["load"]);
const GIB = 2 ** 30;
const MI300X = "0000:05:00.0";

/** As many GPUs, of which the first is at 05:00.0, and what else each has. */
function answers(count: number, ...more: readonly string[]): string[] {
  const places = [0x0500, 0x6300, 0x0c00];
  return [
    ...more,
    "rsmi_init 0 0 0",
    `rsmi_num_monitor_devices 0 0 ${count}`,
    ...places
      .slice(0, count)
      .flatMap((place, gpu) => [
        `rsmi_dev_pci_id_get ${gpu} 0 ${place}`,
        `rsmi_dev_unique_id_get ${gpu} 0 ${0x79cc_d561 + gpu}`,
        `rsmi_dev_busy_percent_get ${gpu} 0 ${50 + gpu}`,
      ]),
  ];
}

const FULL = [
  "rsmi_dev_name_get 0 0 0x74a1",
  "rsmi_dev_serial_number_get 0 0 SN-692251",
  "rsmi_dev_memory_busy_percent_get 0 0 41",
  `rsmi_dev_memory_total_get 0 0 ${192 * GIB}`,
  `rsmi_dev_memory_usage_get 0 0 ${150 * GIB}`,
  `rsmi_dev_memory_usage_get 0 2 ${3 * GIB}`,
  "rsmi_dev_temp_metric_get 0 100 61000",
  "rsmi_dev_temp_metric_get 0 105 100000",
  "rsmi_dev_temp_metric_get 0 107 105000",
  "rsmi_dev_temp_metric_get 0 200 48000",
  "rsmi_dev_power_get 0 0 702000000 1",
  "rsmi_dev_power_cap_get 0 0 750000000",
  "rsmi_dev_power_cap_range_get 0 0 750000000 100000000",
  "rsmi_dev_energy_count_get 0 0 1000000000",
  "rsmi_dev_gpu_clk_freq_get 0 0 3 1 132000000 1980000000 2100000000",
  "rsmi_dev_gpu_clk_freq_get 0 4 2 1 900000000 1300000000",
  "rsmi_dev_fan_speed_get 0 0 51",
  "rsmi_dev_fan_rpms_get 0 0 1500",
  "rsmi_dev_pci_replay_counter_get 0 0 9",
  "rsmi_dev_xgmi_hive_id_get 0 0 0xb3d54c87b1e7d4c5",
  "rsmi_dev_gpu_metrics_info_get 0 0 file metrics",
];

let tree: KernelTree;
let double: RocmDouble;
const open: GpuBackend[] = [];
beforeEach(() => {
  tree = new KernelTree();
  if (HAS_COMPILER) double = new RocmDouble();
});
afterEach(() => {
  for (const backend of open.splice(0)) backend.close();
  tree.remove();
});

function opened(): GpuBackend {
  const backend = openRocm({ libraryPath: double.path, root: tree.root });
  open.push(backend);
  return backend;
}

const look = (backend: GpuBackend, groups = ALL, nowMs = 1000): GpuUpdate[] =>
  backend.read(groups, nowMs).map((update) => takeUpdate(update)!);

function trouble(action: () => unknown): { readonly trouble: string; readonly message: string } {
  try {
    action();
  } catch (error) {
    if (error instanceof BackendError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe.skipIf(!HAS_COMPILER)("librocm_smi64 from 6.0 on", () => {
  test("tells all that it has, in its own structs", () => {
    tree.card(mi300x(MI300X, { gpu_metrics: "not read\n", unique_id: "\n" }));
    addKfd(tree, [MI300X]);
    tree.write({ vram_40000: "5000\n" }, "sys/class/kfd/kfd/proc/4242");
    double.file(
      "metrics",
      layoutBytes(ROCM6_LAYOUT, {
        temperature_hotspot: 60,
        vcn_activity: [20, 40],
        jpeg_activity: [50],
        xgmi_read_data_acc: [1000, 2000],
        xgmi_write_data_acc: [10],
        accumulation_counter: 100,
        ppt_residency_acc: 5,
        current_vclk0: [0xffff, 29],
      }),
    );
    double.answer(...answers(1, ...FULL));
    const backend = opened();
    expect(backend.stack).toEqual({
      backend: "rocm",
      source: double.path,
      driverVersion: "6.8.5",
      libraryVersion: "7.2.0",
    });
    const [update] = look(backend);
    expect(update?.identity).toEqual({
      index: 0,
      vendor: "amd",
      name: "AMD Instinct MI300X",
      serial: "SN-692251",
      pciAddress: MI300X,
      architecture: "gfx942",
      memoryTotalBytes: 192 * GIB,
      graphicsClockMhzMax: 2100,
      memoryClockMhzMax: 1300,
      pcieGenerationMax: 5,
      pcieWidthMax: 16,
      slowdownCelsius: 100,
      shutdownCelsius: 105,
      powerLimitWattsMin: 100,
      powerLimitWattsMax: 750,
      eccMode: true,
      fabric: "b3d54c87b1e7d4c5",
    });
    const { energyJoules, ...load } = update!.load!;
    expect(load).toEqual({
      utilization: 0.5,
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
      graphicsClockMhz: 1980,
      memoryClockMhz: 1300,
      videoClockMhz: 29,
      fans: [0.2],
      fanRpm: 1500,
    });
    expect(energyJoules).toBeCloseTo(15_300, 0);
    expect(update?.traffic).toEqual({
      pcieGeneration: 5,
      pcieWidth: 16,
      pcieReplays: 9,
      processes: [{ pid: 4242, memoryBytes: 5000 }],
    });
    // Of the kernel's files, which are all that it counts by itself.
    expect(update?.wear).toEqual({
      eccCorrected: 5,
      eccUncorrected: 1,
      retiredPagesUncorrected: 1,
      retiredPagesPending: true,
    });
    double.file(
      "metrics",
      layoutBytes(ROCM6_LAYOUT, { accumulation_counter: 200, ppt_residency_acc: 9, xgmi_read_data_acc: [4000, 2000] }),
    );
    const [later] = look(backend, new Set(["load", "traffic"]), 2000);
    expect(later?.load?.throttleReasons).toEqual(["sw_power_cap"]);
    expect(later?.traffic?.linkRxBytesPerSecond).toBe(3000 * 1024);
  });

  test("power that is a mean is told as one", () => {
    tree.card(mi300x(MI300X, { gpu_metrics: "" }));
    double.answer(...answers(1, "rsmi_dev_power_get 0 0 300000000 0"));
    expect(look(opened())[0]?.load).toMatchObject({ powerWatts: 300, powerWattsMean: 300 });
  });

  test("that answers well and writes nothing gives no figures", () => {
    tree.card(mi300x(MI300X, { gpu_metrics: "" }));
    const silent = FULL.map((line) => `${line.split(" ").slice(0, 3).join(" ")} silent`);
    double.answer(...answers(1, "rsmi_dev_busy_percent_get 0 0 silent", ...silent));
    const [update] = look(opened());
    expect(update?.load).toEqual({});
    expect(update?.identity).toEqual({
      index: 0,
      vendor: "amd",
      name: "AMD Instinct MI300X",
      pciAddress: MI300X,
      pcieGenerationMax: 5,
      pcieWidthMax: 16,
      eccMode: true,
    });
  });

  test("with absurd figures gives none of them", () => {
    tree.card(mi300x(MI300X, { gpu_metrics: "" }));
    double.answer(
      ...answers(
        1,
        "rsmi_dev_busy_percent_get 0 0 4000000000",
        `rsmi_dev_memory_total_get 0 0 ${GIB}`,
        `rsmi_dev_memory_usage_get 0 0 ${2 * GIB}`,
        "rsmi_dev_temp_metric_get 0 100 4000000000000",
        "rsmi_dev_power_get 0 0 18446744073709551615 1",
        "rsmi_dev_gpu_clk_freq_get 0 0 4000000000 7 1 2 3",
        "rsmi_dev_gpu_clk_freq_get 0 4 2 7 900000000 1300000000",
      ),
    );
    const [update] = look(opened());
    expect(update?.load).toEqual({});
    expect(update?.identity).toMatchObject({ memoryTotalBytes: GIB, memoryClockMhzMax: 1300 });
    expect(update?.identity).not.toHaveProperty("graphicsClockMhzMax");
  });

  test("has a figure again that it did not have, after a minute", () => {
    tree.card(mi300x(MI300X, { gpu_metrics: "" }));
    double.answer(...answers(1));
    const backend = opened();
    expect(look(backend, LOAD, 1000)[0]?.load).toEqual({ utilization: 0.5 });
    double.answer(...answers(1, "rsmi_dev_memory_busy_percent_get 0 0 10", "rsmi_dev_busy_percent_get 0 0 rc 16"));
    expect(look(backend, LOAD, 2000)[0]?.load).toEqual({});
    expect(look(backend, LOAD, 62_000)[0]?.load).toEqual({ memoryUtilization: 0.1 });
    double.answer(...answers(1));
    expect(look(backend, LOAD, 63_000)[0]?.load).toEqual({ utilization: 0.5 });
  });

  test("is not there where it can't be initialised, and broken where it has no count", () => {
    tree.card(mi300x());
    double.answer("rsmi_init 0 0 rc 8");
    expect(trouble(opened)).toMatchObject({ trouble: "absent" });
    expect(trouble(opened).message).toContain("rsmi_init answered 8, it can't be initialised");
    double.answer("rsmi_init 0 0 0", "rsmi_num_monitor_devices 0 0 rc 6");
    expect(trouble(opened)).toMatchObject({ trouble: "broken" });
    double.answer("rsmi_init 0 0 0", "rsmi_num_monitor_devices 0 0 0");
    expect(trouble(opened)).toMatchObject({ trouble: "absent" });
  });

  test("is not opened without a card of its driver, nor where there is no such file, or another one", () => {
    double.answer(...answers(1));
    expect(trouble(opened)).toMatchObject({ trouble: "absent" });
    tree.card(mi300x());
    const refusal = (libraryPath: string) => trouble(() => openRocm({ libraryPath, root: tree.root }));
    expect(refusal("/nowhere/librocm_smi64.so")).toMatchObject({ trouble: "absent" });
    double.file("librocm_smi64.so", "text\n");
    expect(refusal(double.path.replace(/\.7$/, ""))).toMatchObject({ trouble: "broken" });
  });

  test("GPUs that have no card are left out, and partitions of one card are held apart", () => {
    tree.card(mi300x());
    const partition = 0x1000_0500;
    double.answer(
      "rsmi_dev_pci_id_get 1 0 0x9900",
      `rsmi_dev_pci_id_get 2 0 ${partition}`,
      ...["0", "2"].map((gpu) => `rsmi_dev_unique_id_get ${gpu} 0 0xabc`),
      ...answers(3),
    );
    expect(look(opened()).map(({ uuid }) => uuid)).toEqual(["GPU-0000000000000abc", "GPU-0000000000000abc-2"]);
  });

  test("a GPU that answers with errors alone is left out as long as it does, and asks for a look at all", () => {
    for (const card of [mi300x(), MI210, RX7900]) tree.card(card);
    double.answer(...answers(3, ...FULL));
    const backend = opened();
    expect(look(backend)).toHaveLength(3);
    const failing = FULL.map((line) => `${line.split(" ").slice(0, 3).join(" ")} rc 13`);
    double.answer(...answers(3, "rsmi_dev_busy_percent_get 0 0 rc 13", ...failing));
    expect(look(backend, LOAD)).toHaveLength(2);
    expect(backend.isRollDue).toBe(true);
    expect(look(backend).map(({ identity }) => identity?.index)).toEqual([0, 1]);
    expect(backend.isRollDue).toBe(false);
    double.answer(...answers(3, ...FULL));
    expect(look(backend, ALL, 61_000)).toHaveLength(3);
  });

  test("is initialised anew ever seldomer for a card that stays lost, and at once for another one", () => {
    for (const card of [mi300x(), MI210]) tree.card(card);
    double.answer(...answers(2));
    const backend = opened();
    expect(double.inits).toBe(1);
    double.answer(...answers(2, "rsmi_dev_busy_percent_get 0 0 rc 13"));
    const times: number[] = [];
    for (let second = 1; second <= 3600; second += 60) {
      const before = double.inits;
      expect(look(backend, ALL, second * 1000)).toHaveLength(1);
      if (double.inits > before) times.push(Math.floor(second / 60));
    }
    // The first look finds it lost, and the next one is due.
    expect(times).toEqual([1, 2, 4, 8, 16, 26, 36, 46, 56]);
    const before = double.inits;
    tree.card(RX7900);
    double.answer(...answers(3));
    expect(look(backend, ALL, 3_601_000)).toHaveLength(3);
    expect(double.inits).toBe(before + 1);
  });

  test("that loses a card over and over is initialised anew with pauses all the same", () => {
    for (const card of [mi300x(), MI210]) tree.card(card);
    double.answer(...answers(2));
    const backend = opened();
    look(backend);
    for (let round = 1; round <= 20; round += 1) {
      double.answer(...answers(2, "rsmi_dev_busy_percent_get 0 0 rc 13"));
      look(backend, LOAD, round * 2000);
      double.answer(...answers(2));
      look(backend, ALL, round * 2000 + 1000);
    }
    expect(double.inits).toBe(2);
    expect(look(backend, ALL, 70_000)).toHaveLength(2);
    // In peace for long, the next loss is tried for at once.
    double.answer(...answers(2, "rsmi_dev_busy_percent_get 0 0 rc 13"));
    look(backend, LOAD, 1_500_000);
    double.answer(...answers(2));
    expect(look(backend, ALL, 1_501_000)).toHaveLength(2);
  });

  test("goes on with what it remembers of the others when it is initialised anew for one", () => {
    const counted = (at: number, ppt: number, read: number) =>
      metricsBytes("1.7", {
        accumulation_counter: at,
        ppt_residency_acc: ppt,
        vr_thm_residency_acc: 0,
        xgmi_read_data_acc: [read],
      });
    const device = tree.card(mi300x(MI300X, { gpu_metrics: counted(100, 5, 1000) }));
    tree.card(MI210);
    double.answer(...answers(2));
    const backend = opened();
    expect(look(backend, ALL, 1000)[0]?.load).not.toHaveProperty("throttleReasons");
    double.answer(...answers(2, "rsmi_dev_busy_percent_get 1 0 rc 13"));
    look(backend, LOAD, 1000);
    const before = double.inits;
    tree.write({ gpu_metrics: counted(200, 9, 4000) }, device);
    const [first] = look(backend, ALL, 2000);
    expect(double.inits).toBe(before + 1);
    expect(first?.load?.throttleReasons).toEqual(["sw_power_cap"]);
    expect(first?.traffic?.linkRxBytesPerSecond).toBe(3000 * 1024);
  });

  test("of ROCm 7 writes 4,544 bytes of metrics: nothing else is overwritten, and nothing behind the partitions is taken", () => {
    tree.card(mi300x(MI300X, { gpu_metrics: "of a version that is not known here\n" }));
    const bytes = new Uint8Array(4544).fill(0xff);
    bytes.set(layoutBytes(ROCM6_LAYOUT, { temperature_hotspot: 60, curr_socket_power: 700, num_partition: 8 }));
    // Its partitions, of 504 bytes each: wherever another release's are looked for, there is a likely figure.
    for (let at = 480; at < bytes.length; at += 2) bytes.set([7, 0], at);
    double.file("metrics", bytes);
    double.answer(...answers(1, "rsmi_dev_gpu_metrics_info_get 0 0 file metrics"));
    expect(look(opened(), LOAD)[0]?.load).toEqual({
      utilization: 0.5,
      temperatureCelsius: 60,
      hotspotCelsius: 60,
      powerWatts: 700,
    });
    const library = openLibrary([double.path], ROCM_SYMBOLS, ROCM_NEEDS);
    if ("trouble" in library) throw new Error(library.message);
    const session = new RocmSession(library.path, library.calls);
    session.calls.rsmi_init?.(0);
    expect(new RocmDevice(session, 0, new LookCount()).metrics()?.get("curr_socket_power")).toEqual([700]);
    session.calls.rsmi_shut_down?.();
    expect(session.bytes.subarray(0, 4544)).toEqual(bytes);
    for (const rest of [session.bytes.subarray(4544), session.second, session.third]) {
      expect(rest.every((value) => value === 0xff || value === 0xffff_ffff)).toBe(true);
    }
  });

  test("is not asked for metrics that the card's own bytes tell, with what is behind the partitions", () => {
    const own = metricsBytes("1.8", { curr_socket_power: 650, vcn_busy: [10, 30], xgmi_link_status: [1, 0] });
    tree.card(mi300x(MI300X, { gpu_metrics: own }));
    double.answer(...answers(1, "rsmi_dev_gpu_metrics_info_get 0 0 crash"));
    const [update] = look(opened());
    expect(update?.load).toMatchObject({ powerWatts: 650, decoderUtilization: 0.2 });
    expect(update?.traffic?.links?.map(({ isActive }) => isActive)).toEqual([true, false]);
  });

  test("a card that is pulled out is left out, and the library is initialised anew with those that are left", () => {
    tree.card(MI210);
    const device = tree.card(mi300x());
    double.answer(...answers(2));
    const backend = opened();
    expect(look(backend)).toHaveLength(2);
    tree.unplug(device);
    expect(look(backend, LOAD)).toHaveLength(1);
    double.answer("rsmi_dev_pci_id_get 0 0 0x6300", ...answers(1));
    expect(look(backend).map(({ identity }) => identity?.pciAddress)).toEqual(["0000:63:00.0"]);
    tree.unplug("sys/devices/pci0000:63/0000:63:00.0");
    expect(trouble(() => look(backend, LOAD))).toMatchObject({ trouble: "lost" });
    expect(trouble(() => look(backend))).toMatchObject({ trouble: "broken" });
  });

  test("a card that sleeps is asked for nothing but its place and number, and for everything once it is awake", () => {
    const asleep = { "power/runtime_status": "suspended\n" };
    const device = tree.card(mi300x(MI300X, { gpu_metrics: "", ...asleep }));
    tree.card(MI210);
    // Asked for a figure of the one that sleeps, the double ends the process.
    const crash = FULL.map((line) => `${line.split(" ").slice(0, 3).join(" ")} crash`);
    double.answer(...answers(2, "rsmi_dev_busy_percent_get 0 0 crash", ...crash));
    tree.forgetReads(device);
    const backend = opened();
    const [first, second] = look(backend);
    expect(first).toEqual({
      uuid: "GPU-0000000079ccd561",
      identity: {
        index: 0,
        vendor: "amd",
        name: "AMD Instinct MI300X OAM",
        serial: "692251000123",
        pciAddress: MI300X,
        memoryTotalBytes: 192 * GIB,
        eccMode: true,
        fabric: "b3d54c87b1e7d4c5",
      },
      load: {},
      traffic: {},
      wear: {},
    });
    expect(second?.load?.utilization).toBe(0.51);
    expect(tree.readsIn(device).filter((file) => !ANSWERED_ASLEEP.test(file))).toEqual([]);
    tree.write({ "power/runtime_status": "active\n" }, device);
    double.answer(...answers(2, ...FULL));
    const awake = look(backend)[0];
    expect(awake?.identity).toMatchObject({ pcieWidthMax: 16, graphicsClockMhzMax: 2100, powerLimitWattsMax: 750 });
    expect(awake?.load).toMatchObject({ utilization: 0.5, powerWatts: 702 });
    tree.write(asleep, device);
    double.answer(...answers(2, "rsmi_dev_busy_percent_get 0 0 crash", ...crash));
    expect(look(backend)[0]).toMatchObject({ identity: awake!.identity!, load: {}, wear: {} });
  });

  test("what it refused while a card fell asleep is asked for as soon as it is awake", () => {
    const device = tree.card(mi300x(MI300X, { gpu_metrics: "", "power/runtime_status": "active\n" }));
    // As the kernel answers in the moment between the two.
    const refused = ["rsmi_dev_busy_percent_get 0 0 rc 4"];
    double.answer(...answers(1, ...refused));
    const backend = opened();
    expect(look(backend, LOAD, 1000)[0]?.load).toEqual({});
    tree.write({ "power/runtime_status": "suspended\n" }, device);
    look(backend, LOAD, 2000);
    tree.write({ "power/runtime_status": "active\n" }, device);
    double.answer(...answers(1));
    expect(look(backend, LOAD, 3000)[0]?.load).toEqual({ utilization: 0.5 });
  });
});
