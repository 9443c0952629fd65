/** What changes from moment to moment: read once a second, of every GPU. */
import type { GpuActivity, GpuLoad, GpuSlice } from "../health/reading.ts";
import { shareOf, throttleReasonsOf, wordOf } from "./nvml-decode.ts";
import type { NvmlDevice } from "./nvml-device.ts";
import { FIELD, NvmlFields, ofDevice } from "./nvml-fields.ts";
import { readTemperature, wattsOf } from "./nvml-identity.ts";
import { readMemory } from "./nvml-memory.ts";

const FANS_MAX = 16;
const CLOCK = { graphics: 0, sm: 1, memory: 2, video: 3 } as const;

export class NvmlLoad {
  readonly #device: NvmlDevice;
  readonly #fields: NvmlFields;

  constructor(device: NvmlDevice) {
    this.#device = device;
    this.#fields = new NvmlFields(
      device,
      ofDevice(FIELD.memoryTemperature, FIELD.energy, FIELD.powerAverage, FIELD.powerInstant),
    );
  }

  read(activity: GpuActivity | undefined, slices: readonly GpuSlice[] | undefined): GpuLoad {
    const device = this.#device;
    const [memoryCelsius, energy, powerMean, powerNow] = this.#fields.look();
    const rates = device.struct("nvmlDeviceGetUtilizationRates");
    const utilization = rates === undefined ? undefined : shareOf(wordOf(rates, 0));
    const memoryUtilization = rates === undefined ? undefined : shareOf(wordOf(rates, 1));
    const memory = readMemory(device);
    return {
      utilization,
      memoryUtilization,
      encoderUtilization: shareOf(device.pair("nvmlDeviceGetEncoderUtilization")),
      decoderUtilization: shareOf(device.pair("nvmlDeviceGetDecoderUtilization")),
      jpegUtilization: shareOf(device.pair("nvmlDeviceGetJpgUtilization")),
      ofaUtilization: shareOf(device.pair("nvmlDeviceGetOfaUtilization")),
      memoryUsedBytes: memory?.usedBytes,
      memoryFreeBytes: memory?.freeBytes,
      memoryReservedBytes: memory?.reservedBytes,
      temperatureCelsius: readTemperature(device),
      // Some cards without a sensor in their memory tell of exactly nothing.
      memoryCelsius: memoryCelsius === 0 ? undefined : memoryCelsius,
      powerWatts: wattsOf(powerNow ?? device.word("nvmlDeviceGetPowerUsage")),
      powerWattsMean: wattsOf(powerMean),
      powerLimitWatts: wattsOf(device.word("nvmlDeviceGetEnforcedPowerLimit")),
      energyJoules: wattsOf(energy ?? device.long("nvmlDeviceGetTotalEnergyConsumption")),
      graphicsClockMhz: device.choice("nvmlDeviceGetClockInfo", CLOCK.graphics),
      smClockMhz: device.choice("nvmlDeviceGetClockInfo", CLOCK.sm),
      memoryClockMhz: device.choice("nvmlDeviceGetClockInfo", CLOCK.memory),
      videoClockMhz: device.choice("nvmlDeviceGetClockInfo", CLOCK.video),
      fans: this.#fans(),
      // 32 is "not known", and out of the range of what is shown.
      performanceState: device.word("nvmlDeviceGetPerformanceState"),
      throttleReasons: this.#throttleReasons(),
      activity,
      slices,
    };
  }

  #throttleReasons(): string[] | undefined {
    const device = this.#device;
    const name =
      device.session.calls.nvmlDeviceGetCurrentClocksEventReasons === undefined
        ? "nvmlDeviceGetCurrentClocksThrottleReasons"
        : "nvmlDeviceGetCurrentClocksEventReasons";
    const bits = device.long(name);
    return bits === undefined ? undefined : throttleReasonsOf(bits);
  }

  /** A fan's speed may be told as above its greatest one for a moment. Undefined where there are none. */
  #fans(): number[] | undefined {
    const device = this.#device;
    const count = device.word("nvmlDeviceGetNumFans");
    if (count === undefined) {
      const only = fanShareOf(device.word("nvmlDeviceGetFanSpeed"));
      return only === undefined ? undefined : [only];
    }
    const fans: number[] = [];
    for (let fan = 0; fan < Math.min(count, FANS_MAX); fan += 1) {
      const share = fanShareOf(device.choice("nvmlDeviceGetFanSpeed_v2", fan));
      if (share !== undefined) fans.push(share);
    }
    return fans.length === 0 ? undefined : fans;
  }
}

function fanShareOf(percent: number | undefined): number | undefined {
  return percent === undefined || percent > 200 ? undefined : Math.min(1, percent / 100);
}
