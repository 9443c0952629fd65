/** A GPU of which everything is known, as no card's really is. */
import type { GpuFigures, GpuSourceFigures } from "../../src/obs/gpu-figures.ts";
import { H100 } from "../gpu/fake-gpu.ts";

const ACTIVITY = { graphics: 0.9, sm: 0.8, smOccupancy: 0.4, tensor: 0.7, dram: 0.6, fp64: 0, fp32: 0.1, fp16: 0.2 };

export function fullGpu(index: number, { slices = 2, links = 4, processes = 2, isFresh = true } = {}): GpuFigures {
  return {
    reading: {
      uuid: `GPU-${index}`,
      identity: {
        ...H100,
        index,
        serial: "1650922",
        pciAddress: `0000:${(0x3b + index).toString(16)}:00.0`,
        fabric: "cluster-1",
        migMode: slices > 0,
        reportsXids: true,
      },
      load: {
        utilization: 0.875,
        memoryUtilization: 0.41,
        encoderUtilization: 0,
        decoderUtilization: 0.015,
        jpegUtilization: 0,
        ofaUtilization: 0,
        memoryUsedBytes: 70 * 2 ** 30,
        memoryFreeBytes: 9 * 2 ** 30,
        memoryReservedBytes: 2 ** 30,
        hostMemoryUsedBytes: 4096,
        temperatureCelsius: 67,
        hotspotCelsius: 75,
        memoryCelsius: 74,
        powerWatts: 540.5,
        powerWattsMean: 512.25,
        powerLimitWatts: 700,
        energyJoules: 251_885_217.371,
        graphicsClockMhz: 1965,
        smClockMhz: 1965,
        memoryClockMhz: 2619,
        videoClockMhz: 1500,
        fans: [0.5, 0.25],
        fanRpm: 2400,
        performanceState: 0,
        throttleReasons: ["hw_thermal"],
        activity: ACTIVITY,
        slices:
          slices === 0
            ? undefined
            : Array.from({ length: slices }, (_, slice) => ({
                uuid: `MIG-${index}-${slice}`,
                profile: "1g.10gb",
                gpuInstance: 7 + slice,
                multiprocessors: 16,
                memoryTotalBytes: 10 * 2 ** 30,
                memoryUsedBytes: 4 * 2 ** 30,
                activity: ACTIVITY,
              })),
      },
      traffic: {
        pcieGeneration: 5,
        pcieWidth: 16,
        pcieTxBytesPerSecond: 123_456_789.5,
        pcieRxBytesPerSecond: 5_000_000,
        pcieReplays: 3,
        linkTxBytesPerSecond: 1e9,
        linkRxBytesPerSecond: 2e9,
        links: Array.from({ length: links }, (_, link) => ({
          index: link,
          isActive: link !== 1,
          crcErrors: link,
          replayErrors: 0,
          recoveryErrors: 0,
        })),
        processes: Array.from({ length: processes }, (_, place) => ({
          pid: 1000 + place,
          memoryBytes: (place + 1) * 2 ** 20,
          utilization: 0.5,
          gpuInstance: slices > 0 ? 7 : undefined,
          command: 'vllm "engine"\\',
        })),
      },
      wear: {
        eccCorrected: 5,
        eccUncorrected: 1,
        eccCorrectedLifetime: 50,
        eccUncorrectedLifetime: 10,
        retiredPagesCorrected: 2,
        retiredPagesUncorrected: 3,
        retiredPagesPending: false,
        remappedRowsCorrected: 4,
        remappedRowsUncorrected: 6,
        remapPending: true,
        remapFailed: false,
        recoveryAction: "reset",
      },
    },
    verdict: { health: "degraded", reasons: [{}, {}] },
    isFresh,
    source: { state: "ok", stack: { backend: "nvml", driverVersion: "570.86.15" } },
    xids: {
      counts: new Map([
        [31, 4],
        [79, 1],
      ]),
      last: { code: 79, meaning: "GPU has fallen off the bus" },
    },
  };
}

export const SOURCES: readonly GpuSourceFigures[] = [
  {
    state: { state: "ok", stack: { backend: "nvml" } },
    figures: { name: "nvidia", restarts: 2, lookSeconds: 0.0125 },
  },
  { state: { state: "unresponsive" }, figures: { name: "amd", restarts: 0, lookSeconds: undefined } },
  { state: { state: "ok", stack: { backend: "mock" } } },
];
