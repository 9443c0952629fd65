/** A GPU as a backend tells of it, with a figure in each group. */
import type { GpuUpdate } from "../../src/health/reading.ts";

/** What all H100s have in common, of what a driver tells. */
export const H100 = {
  vendor: "nvidia",
  name: "NVIDIA H100 80GB HBM3",
  architecture: "hopper",
  computeCapability: "9.0",
  memoryTotalBytes: 80 * 2 ** 30,
  graphicsClockMhzMax: 1980,
  smClockMhzMax: 1980,
  memoryClockMhzMax: 2619,
  videoClockMhzMax: 1545,
  pcieGenerationMax: 5,
  pcieWidthMax: 16,
  slowdownCelsius: 87,
  shutdownCelsius: 92,
  memoryCelsiusMax: 95,
  powerLimitWattsMin: 200,
  powerLimitWattsMax: 700,
  persistenceMode: true,
  eccMode: true,
} as const;

export function fakeGpu(index: number, more: Partial<Required<GpuUpdate>> = {}): Required<GpuUpdate> {
  return {
    uuid: `GPU-${index}`,
    identity: { index, vendor: "nvidia", name: "NVIDIA H100 80GB HBM3", memoryTotalBytes: 80 * 2 ** 30 },
    load: { utilization: 0.5, memoryUsedBytes: 2 ** 30, temperatureCelsius: 50, powerWatts: 300, throttleReasons: [] },
    traffic: { pcieReplays: 0, processes: [] },
    wear: { eccUncorrected: 0 },
    ...more,
  };
}
