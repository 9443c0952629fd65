/** A GPU as a backend tells of it, with a figure in each group. */
import type { GpuUpdate } from "../../src/health/reading.ts";

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
