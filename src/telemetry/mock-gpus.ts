/**
 * The simulated GPUs as what reads real ones would show them: readings, faults, and whether the driver answers. The same
 * rules of health look at them, so what a fault of the mock comes to is what it would come to on a real machine.
 *
 * A new reading is told of once a second, and at once when a fault is set. While the driver does not answer the readings
 * stand still.
 */
import {
  type GpuFault,
  type GpuIdentity,
  type GpuLoad,
  type GpuReading,
  type GpuTraffic,
  type GpuWear,
  THROTTLE_REASONS,
} from "../health/reading.ts";
import type { SourceState } from "../health/source-state.ts";
import type { DriverState, Faults } from "../sim/faults.ts";
import type { GpuIncident } from "../sim/gpu-faults.ts";
import type { GpuState } from "../sim/gpu.ts";
import type { GpuProfile } from "../sim/profile.ts";
import { saltOf } from "../sim/text.ts";
import type { MockEngine } from "./mock-engine.ts";

const READ_EVERY_MS = 1_000;
/** Room between slowing down and turning off, as H100s have. */
const SHUTDOWN_MARGIN_CELSIUS = 8;
const MEMORY_CELSIUS_MAX = 95;
/** Memory is warmer than the chip, and at rest clocks and PCIe go down. */
const MEMORY_WARMER_CELSIUS = 5;
const IDLE_CLOCK_SHARE = 0.2;
const SLOW_CLOCK_SHARE = 0.6;
const IDLE_UTILIZATION = 0.01;
const PCIE_LANES = 16;

/** Of the process that the mock runtime is part of. */
const COMMAND = "infermesh";

const MESSAGES: Readonly<Record<DriverState, string>> = {
  ok: "",
  unresponsive: "a fault was set: the simulated driver does not answer",
  broken: "a fault was set: the simulated driver fails",
  lost: "a fault was set: the simulated driver lost its GPUs",
  absent: "a fault was set: the simulated driver is not loaded",
  denied: "a fault was set: the simulated driver may not be asked",
};

export interface MockGpuListener {
  changed(): void;
  faulted(faults: readonly GpuFault[]): void;
}

export class MockGpus {
  readonly #engine: MockEngine;
  readonly #seed: number;
  readonly #machine: string;
  readonly #timer: ReturnType<typeof setInterval>;
  #listener: MockGpuListener | undefined;
  #driver: DriverState = "ok";
  #sinceMs = Date.now();
  #readings: readonly GpuReading[] = [];
  #readAtMs = -Infinity;

  constructor(engine: MockEngine, seed: number, machine: string) {
    this.#engine = engine;
    this.#seed = seed;
    this.#machine = machine;
    this.#timer = setInterval(() => this.#listener?.changed(), READ_EVERY_MS);
    this.#timer.unref();
  }

  get state(): SourceState {
    return {
      state: this.#driver,
      message: MESSAGES[this.#driver],
      sinceMs: this.#sinceMs,
      stack: { backend: "mock", source: "simulated GPUs" },
    };
  }

  /** In the order of their indices; those that are lost are not among them. */
  get readings(): readonly GpuReading[] {
    const nowMs = performance.now();
    // Whoever asks for several things at one moment gets them from one look.
    if (this.#driver === "ok" && nowMs - this.#readAtMs >= 1) {
      this.#readings = this.#read();
      this.#readAtMs = nowMs;
    }
    return this.#readings;
  }

  /** From now on; there is one listener. */
  watch(listener: MockGpuListener): void {
    this.#listener = listener;
  }

  /** Sets faults of node and GPUs, lets the incidents happen, and tells of both. */
  apply(faults: Faults, incidents: readonly GpuIncident[]): void {
    if (faults.driver !== this.#driver) {
      // The last look before it answers no more.
      this.#readAtMs = -Infinity;
      void this.readings;
      this.#driver = faults.driver;
      this.#sinceMs = Date.now();
    }
    for (const incident of incidents) this.#engine.happen(incident);
    this.#engine.setFaults(faults);
    this.#readAtMs = -Infinity;
    this.#listener?.changed();
    const xids = incidents.flatMap(({ gpu, xid }) =>
      xid === undefined ? [] : [{ uuid: gpuUuid(this.#seed, this.#machine, gpu), xid }],
    );
    if (xids.length > 0) this.#listener?.faulted(xids);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#listener = undefined;
  }

  #read(): GpuReading[] {
    const { states, memoryUsedBytes } = this.#engine.gpus();
    const { gpu, gpuCount } = this.#engine.profile;
    return states.flatMap((state, index): GpuReading[] => {
      if (state.faults.lost === true) return [];
      const uuid = gpuUuid(this.#seed, this.#machine, index);
      const load = loadOf(state, gpu, memoryUsedBytes(index));
      // The server that is simulated is this process, and the rest of the GPUs are nobody's.
      const processes =
        index < gpuCount ? [{ pid: process.pid, command: COMMAND, memoryBytes: load.memoryUsedBytes }] : [];
      const traffic = { ...trafficOf(state, gpu), processes };
      return [{ uuid, identity: identityOf(index, gpu), load, traffic, wear: wearOf(state, gpu) }];
    });
  }
}

function identityOf(index: number, gpu: GpuProfile): GpuIdentity {
  return {
    index,
    vendor: gpu.vendor,
    name: gpu.name,
    pciAddress: `0000:${(0x10 + index).toString(16)}:00.0`,
    memoryTotalBytes: gpu.memoryBytes,
    graphicsClockMhzMax: gpu.clockMhzMax,
    smClockMhzMax: gpu.clockMhzMax,
    memoryClockMhzMax: gpu.memoryClockMhzMax,
    pcieGenerationMax: gpu.pcieGeneration,
    pcieWidthMax: PCIE_LANES,
    slowdownCelsius: gpu.throttleAtCelsius,
    shutdownCelsius: gpu.throttleAtCelsius + SHUTDOWN_MARGIN_CELSIUS,
    memoryCelsiusMax: MEMORY_CELSIUS_MAX,
    powerLimitWattsMax: gpu.powerLimitWatts,
    eccMode: true,
    migMode: false,
    // They can be made up for any of them.
    reportsXids: true,
  };
}

function loadOf(state: GpuState, gpu: GpuProfile, memoryUsedBytes: number): GpuLoad {
  const { utilization, powerWatts, temperatureCelsius, faults } = state;
  const isIdle = utilization < IDLE_UTILIZATION;
  const reasons = new Set(faults.throttle);
  if (state.throttled) for (const reason of ["hw_slowdown", "hw_thermal"]) reasons.add(reason);
  if (isIdle) reasons.add("idle");
  if (powerWatts >= gpu.powerLimitWatts * 0.99) reasons.add("sw_power_cap");
  const isSlow = state.throttled || (faults.throttle ?? []).length > 0;
  const clockMhz = Math.round(gpu.clockMhzMax * (isIdle ? IDLE_CLOCK_SHARE : isSlow ? SLOW_CLOCK_SHARE : 1));
  const usedBytes = faults.memoryUsed === undefined ? memoryUsedBytes : Math.round(faults.memoryUsed * gpu.memoryBytes);
  return {
    utilization,
    memoryUsedBytes: usedBytes,
    memoryFreeBytes: gpu.memoryBytes - usedBytes,
    temperatureCelsius,
    memoryCelsius: faults.memoryTemperature ?? temperatureCelsius + MEMORY_WARMER_CELSIUS,
    powerWatts,
    powerLimitWatts: gpu.powerLimitWatts,
    energyJoules: state.energyJoules,
    graphicsClockMhz: clockMhz,
    smClockMhz: clockMhz,
    memoryClockMhz: gpu.memoryClockMhzMax,
    performanceState: isIdle ? 8 : 0,
    throttleReasons: THROTTLE_REASONS.filter((reason) => reasons.has(reason)),
  };
}

function trafficOf({ utilization, counters, faults }: GpuState, gpu: GpuProfile): GpuTraffic {
  const generation = utilization < IDLE_UTILIZATION ? 1 : gpu.pcieGeneration;
  return {
    pcieGeneration: faults.pcieGeneration ?? generation,
    pcieWidth: faults.pcieWidth ?? PCIE_LANES,
    pcieReplays: counters.pcieReplays,
    links: Array.from({ length: gpu.links }, (_, index) => ({
      index,
      isActive: index >= (faults.linksDown ?? 0),
      crcErrors: index === 0 ? counters.linkErrors : 0,
      replayErrors: 0,
      recoveryErrors: 0,
    })),
  };
}

function wearOf({ counters, faults }: GpuState, gpu: GpuProfile): GpuWear {
  const { eccCorrected, eccUncorrected } = counters;
  if (gpu.vendor === "amd") return { eccCorrected, eccUncorrected };
  return {
    eccCorrected,
    eccUncorrected,
    retiredPagesPending: false,
    remapPending: faults.remap === "pending",
    remapFailed: faults.remap === "failed",
    recoveryAction: faults.recoveryAction ?? "none",
  };
}

/** Looks like NVML's, and stays the same for the same seed and machine. */
function gpuUuid(seed: number, machine: string, index: number): string {
  const hex = (part: number) => saltOf(seed, `gpu ${machine} ${index} ${part}`).toString(16).padStart(14, "0");
  const digits = hex(0) + hex(1) + hex(2);
  return `GPU-${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20, 32)}`;
}
