/** Every figure of every group, read by the real backend from the double of libnvidia-ml as its scenario has it. */
import { afterAll, describe, expect, test } from "bun:test";
import { Double, HAS_COMPILER, LACKED_BY_R470, LACKED_BY_R535, removeDoubles } from "./double.ts";
import type { GpuBackend } from "../../src/gpu/backend.ts";
import { openNvml } from "../../src/gpu/nvml.ts";
import { GPU_GROUPS, type GpuUpdate } from "../../src/health/reading.ts";
import { takeUpdate } from "../../src/health/shape.ts";

afterAll(removeDoubles);

const ALL = new Set(GPU_GROUPS);
const MIB = 2 ** 20;
/** Longer than the pause of GPM's counters, which is of the double's own clock. */
const GPM_PAUSE_MS = 120;

function opened(double: Double): GpuBackend {
  return openNvml({ libraryPath: double.path, root: double.root });
}

/** As the agent takes it. */
function read(backend: GpuBackend, nowMs: number, groups = ALL): (GpuUpdate | undefined)[] {
  return backend.read(groups, nowMs).map(takeUpdate);
}

describe.skipIf(!HAS_COMPILER)("the NVML backend", () => {
  test("reads all that an H100 tells", () => {
    const double = new Double();
    double.play("h100", "sampling_us = 20000");
    const backend = opened(double);
    expect(backend.stack).toEqual({
      backend: "nvml",
      source: double.path,
      driverVersion: "570.124.06",
      libraryVersion: "12.570.124.06",
      cudaVersion: "12.8",
    });
    read(backend, 1000);
    Bun.sleepSync(GPM_PAUSE_MS);
    // A second later by the backend's clock: what is a rate grew by what the scenario says now.
    double.play(
      "h100",
      "sampling_us = 20000",
      "gpu*.pcie_tx_bytes = 1500000000",
      "gpu*.pcie_rx_bytes = 2000001000",
      "gpu*.links_tx_kib = 5000100",
      "gpu*.links_rx_kib = 6000200",
    );
    const gpus = read(backend, 2000);
    expect(gpus.length).toBe(2);
    const { uuid, identity, load, traffic, wear } = gpus[1] as GpuUpdate;
    expect(uuid).toBe("GPU-6a0f1c2e-0000-4000-8000-000000000001");
    expect(identity).toEqual({
      index: 1,
      vendor: "nvidia",
      name: "NVIDIA H100 80GB HBM3",
      serial: "1651123456701",
      pciAddress: "0000:01:00.0",
      architecture: "hopper",
      computeCapability: "9.0",
      memoryTotalBytes: 81559 * MIB,
      graphicsClockMhzMax: 1980,
      smClockMhzMax: 1980,
      memoryClockMhzMax: 2619,
      videoClockMhzMax: 1545,
      pcieGenerationMax: 5,
      pcieWidthMax: 16,
      slowdownCelsius: 92,
      shutdownCelsius: 95,
      memoryCelsiusMax: 105,
      powerLimitWattsMin: 200,
      powerLimitWattsMax: 700,
      persistenceMode: true,
      eccMode: true,
      migMode: false,
      fabric: "01020304-0506-0708-090a-0b0c0d0e0f10.1",
      reportsXids: true,
    });
    expect(load).toEqual({
      utilization: 0.87,
      memoryUtilization: 0.54,
      encoderUtilization: 0.03,
      decoderUtilization: 0.04,
      jpegUtilization: 0.05,
      ofaUtilization: 0.06,
      memoryUsedBytes: 42000 * MIB,
      memoryFreeBytes: 39000 * MIB,
      memoryReservedBytes: 559 * MIB,
      temperatureCelsius: 61,
      memoryCelsius: 73,
      powerWatts: 512.345,
      powerWattsMean: 498.765,
      powerLimitWatts: 700,
      energyJoules: 1_234_567.89,
      graphicsClockMhz: 1755,
      smClockMhz: 1740,
      memoryClockMhz: 2619,
      videoClockMhz: 1365,
      performanceState: 0,
      throttleReasons: ["sw_power_cap"],
      activity: {
        graphics: 0.885,
        sm: 0.7625,
        smOccupancy: 0.435,
        tensor: 0.615,
        dram: 0.5525,
        fp64: 0,
        fp32: 0.125,
        fp16: 0.025,
      },
    });
    expect(traffic).toEqual({
      pcieGeneration: 5,
      pcieWidth: 16,
      pcieTxBytesPerSecond: 500_000_000,
      pcieRxBytesPerSecond: 1000,
      pcieReplays: 7,
      linkTxBytesPerSecond: 100 * 1024,
      linkRxBytesPerSecond: 200 * 1024,
      links: Array.from({ length: 18 }, (_, index) => ({
        index,
        isActive: true,
        crcErrors: 3,
        replayErrors: 1,
        recoveryErrors: 2,
      })),
      processes: [
        { pid: 4242, memoryBytes: 40000 * MIB, utilization: 0.8 },
        { pid: 4343, memoryBytes: 2000 * MIB, utilization: 0.07 },
      ],
    });
    expect(wear).toEqual({
      eccCorrected: 11,
      eccUncorrected: 2,
      eccCorrectedLifetime: 1100,
      eccUncorrectedLifetime: 20,
      remappedRowsCorrected: 4,
      remappedRowsUncorrected: 1,
      remapPending: false,
      remapFailed: false,
      recoveryAction: "none",
    });
    backend.close();
    expect(double.report()).toMatchObject({ references: 0, misuses: 0, eventSetsLeaked: 0, gpmSamplesLeaked: 0 });
  });

  test("follows what changes, and says in words what it means", () => {
    const double = new Double();
    double.play("h100");
    const backend = opened(double);
    double.play(
      "h100",
      "gpu0.celsius = 91",
      "gpu0.reasons = 0x1FF",
      "gpu0.performance_state = 8",
      "gpu0.persistence = 0",
      "gpu0.remap_pending = 1",
      "gpu0.remap_failed = 1",
      "gpu0.recovery_action = 4",
      "gpu0.link3.state = 0",
      "gpu0.link4.state = 2",
      "gpu1.recovery_action = 5",
      "gpu0.pcie_width = 8",
      "gpu0.fans = 2",
      "gpu0.fan0.percent = 30",
      "gpu0.fan1.percent = 104",
    );
    const [first, second] = read(backend, 1000);
    expect(first?.load).toMatchObject({ temperatureCelsius: 91, performanceState: 8, fans: [0.3, 1] });
    expect(first?.load?.throttleReasons?.length).toBe(9);
    expect(first?.identity?.persistenceMode).toBe(false);
    expect(first?.wear).toMatchObject({ remapPending: true, remapFailed: true, recoveryAction: "drain_reset" });
    expect(first?.traffic?.pcieWidth).toBe(8);
    expect(first?.traffic?.links?.filter(({ isActive }) => !isActive).map(({ index }) => index)).toEqual([3]);
    expect(second?.load).toMatchObject({ temperatureCelsius: 61, performanceState: 0 });
    expect(second?.load?.fans).toBeUndefined();
    // What newer drivers ask for is told as something, not as nothing.
    expect(second?.wear?.recoveryAction).toBe("other");
    // A link that sleeps is up.
    expect(first?.traffic?.links?.find(({ index }) => index === 4)?.isActive).toBe(true);
  });

  test("leaves out what an older card has not, and reads what it has in its place", () => {
    const double = new Double();
    double.play("t4");
    const backend = opened(double);
    read(backend, 1000);
    Bun.sleepSync(GPM_PAUSE_MS);
    const [gpu] = read(backend, 2000);
    expect(gpu?.identity).toMatchObject({ name: "Tesla T4", architecture: "turing", computeCapability: "7.5" });
    const absent = [
      "memoryCelsius",
      "powerWattsMean",
      "activity",
      "jpegUtilization",
      "ofaUtilization",
      "slices",
      "fans",
    ];
    for (const key of absent) expect(gpu?.load).not.toHaveProperty(key);
    expect(gpu?.load).toMatchObject({ powerWatts: 61, encoderUtilization: 0.03 });
    for (const key of ["migMode", "memoryCelsiusMax", "fabric"]) expect(gpu?.identity).not.toHaveProperty(key);
    expect(gpu?.wear).toEqual({
      eccCorrected: 11,
      eccUncorrected: 2,
      eccCorrectedLifetime: 1100,
      eccUncorrectedLifetime: 20,
      retiredPagesCorrected: 3,
      retiredPagesUncorrected: 1,
      retiredPagesPending: true,
    });
    expect(gpu?.traffic).not.toHaveProperty("links");
    expect(gpu?.traffic).not.toHaveProperty("linkTxBytesPerSecond");
    // By the call that counts for a moment, since no counter is there.
    expect(gpu?.traffic).toMatchObject({ pcieTxBytesPerSecond: 120_000_000, pcieRxBytesPerSecond: 80_000_000 });
  });

  /** Without the fields of one call, every figure that has a call of its own comes by that. */
  test("reads by the older calls where field values are missing", () => {
    const hidden = ["nvmlDeviceGetFieldValues", "nvmlDeviceGetTemperatureV", "nvmlDeviceGetMemoryInfo_v2"];
    const double = new Double({ hidden: [...hidden, "nvmlDeviceGetCurrentClocksEventReasons", "nvmlEventSetWait_v2"] });
    double.play("h100", "gpu*.retired_corrected = 5");
    const backend = opened(double);
    const [gpu] = read(backend, 1000);
    expect(gpu?.load).toMatchObject({
      temperatureCelsius: 61,
      powerWatts: 498.765,
      energyJoules: 1_234_567.89,
      throttleReasons: ["sw_power_cap"],
      memoryUsedBytes: 42559 * MIB,
      memoryFreeBytes: 39000 * MIB,
    });
    expect(gpu?.load).not.toHaveProperty("memoryReservedBytes");
    expect(gpu?.traffic).toMatchObject({ pcieReplays: 7 });
    expect(gpu?.wear).toMatchObject({
      eccUncorrectedLifetime: 20,
      retiredPagesCorrected: 5,
      remappedRowsCorrected: 4,
      remapPending: false,
    });
    double.play("h100", "xid = 1 1 48");
    expect(backend.faults()).toMatchObject([{ uuid: "GPU-6a0f1c2e-0000-4000-8000-000000000001", xid: 48 }]);
    expect(double.report().misuses).toBe(0);
  });

  test("reads an early library of R535, with its wider entries of processes", () => {
    const double = new Double({ hidden: LACKED_BY_R535 });
    double.play("h100", "process_stride = 32", "gpm_metrics_max = 98", 'driver = "535.54.03"');
    const backend = opened(double);
    read(backend, 1000);
    Bun.sleepSync(GPM_PAUSE_MS);
    const [gpu] = read(backend, 2000);
    expect(gpu?.load).toMatchObject({ temperatureCelsius: 61, activity: { sm: 0.7625, fp16: 0.025 } });
    expect(gpu?.identity).not.toHaveProperty("fabric");
    expect(gpu?.traffic?.processes?.map(({ pid }) => pid)).toEqual([4242, 4343]);
    expect(double.report().misuses).toBe(0);
  });

  test("reads a library of R470, which lists processes by an older name", () => {
    const double = new Double({ hidden: LACKED_BY_R470 });
    double.play("h100", 'driver = "470.256.02"', "gpu0.process2.pid = 4444", "gpu0.process2.kind = mps");
    const [gpu] = read(opened(double), 1000);
    expect(gpu?.load).toMatchObject({ temperatureCelsius: 61, throttleReasons: ["sw_power_cap"] });
    expect(gpu?.traffic?.processes?.map(({ pid, utilization }) => [pid, utilization])).toEqual([
      [4242, 0.8],
      [4343, 0.07],
      [4444, undefined],
    ]);
    expect(double.report().misuses).toBe(0);
  });

  test("reads each variant of a library that lacks one symbol that is not needed", () => {
    const double = new Double();
    double.play("h100");
    const whole = opened(double);
    whole.read(ALL, 1000);
    whole.faults();
    whole.close();
    const needed = ["nvmlInit_v2", "nvmlShutdown", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"];
    const names = Object.keys(double.report().calls).filter((name) => !needed.includes(name));
    expect(names.length).toBeGreaterThan(40);
    // Half of them, and the other half: each is missing once, and each is there once.
    for (const rest of [0, 1]) {
      const identity = ["nvmlDeviceGetName", "nvmlDeviceGetUUID"];
      const hidden = names.filter((name, at) => at % 2 === rest && !identity.includes(name));
      const partial = new Double({ hidden });
      partial.play("h100");
      const backend = opened(partial);
      const gpus = read(backend, 1000);
      expect(gpus.map((gpu) => gpu?.identity?.name)).toEqual(["NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"]);
      backend.faults();
      backend.close();
      expect(partial.report()).toMatchObject({ misuses: 0, eventSetsLeaked: 0, gpmSamplesLeaked: 0, references: 0 });
    }
    const broken = new Double({ hidden: ["nvmlDeviceGetUUID"] });
    broken.play("h100");
    expect(() => opened(broken)).toThrow(/nvmlDeviceGetUUID/);
  });

  test("lists processes at both strides, and those that draw, once", () => {
    for (const stride of [24, 32]) {
      const double = new Double();
      double.play(
        "h100",
        `process_stride = ${stride}`,
        "gpu0.process1.memory = 0xFFFFFFFFFFFFFFFF",
        "gpu0.process2.pid = 4242",
        "gpu0.process2.kind = graphics",
        "gpu0.process2.memory = 40000 MiB",
        "gpu0.process3.pid = 4444",
        "gpu0.process3.kind = mps",
        "gpu0.process3.memory = 1 GiB",
      );
      const [gpu, other] = read(opened(double), 1000);
      expect(gpu?.traffic?.processes).toEqual([
        { pid: 4242, memoryBytes: 40000 * MIB, utilization: 0.8 },
        { pid: 4343, utilization: 0.07 },
        { pid: 4444, memoryBytes: 1024 * MIB },
      ]);
      expect(other?.traffic?.processes?.map(({ pid }) => pid)).toEqual([4242, 4343]);
    }
  });

  test("asks again for more processes than it had room for, and says nothing of none", () => {
    const double = new Double();
    const lines = Array.from({ length: 400 }, (_, at) => `gpu0.process${at}.pid = ${at + 1}`);
    double.play("h100", ...lines, "gpu0.process*.memory = 1 MiB", "gpu1.process0.pid = none");
    const [many, none] = read(opened(double), 1000);
    expect(many?.traffic?.processes?.length).toBe(400);
    expect(many?.traffic?.processes?.at(-1)).toEqual({ pid: 400, memoryBytes: MIB });
    expect(none?.traffic?.processes).toEqual([]);
  });
});
