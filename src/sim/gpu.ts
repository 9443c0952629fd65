/**
 * The GPUs of a simulated node: utilisation, power, temperature, throttling, energy, and what their faults make of them.
 * All of it is in closed form for any stretch of time, so it may be brought up to date seldom.
 *
 *   utilisation   the share of time at work, as an exponential mean over about one second (as nvidia-smi shows it)
 *   power         idle + (limit - idle) * share, a fifth less while throttled
 *   temperature   first order: it nears ambient + resistance * power with a time constant of 25 s; the resistance is
 *                 such that the power limit in a room of 30 degrees ends at about 72 (each GPU a little different)
 *   throttling    from `throttleAtCelsius` on until it has cooled to `throttleUntilCelsius`; steps take 1.6 times as long
 *
 * A fault holds the temperature, or the clocks down; when it ends the temperature goes on from there. GPUs that serve one
 * model together wait for each other: the slowest sets the pace.
 */

import { Prng } from "../base/prng.ts";
import type { GpuFaults, GpuIncident } from "./gpu-faults.ts";
import type { GpuProfile } from "./profile.ts";

const UTILIZATION_CONSTANT_MS = 1_000;
const THERMAL_CONSTANT_MS = 25_000;
const RISE_AT_LIMIT_CELSIUS = 42;
const AMBIENT_CELSIUS = 30;
const THROTTLE_PACE = 1.6;
const THROTTLED_POWER = 0.8;
/** Reasons for lower clocks that make work slower; the others are normal. */
const SLOWING = ["hw_slowdown", "sw_thermal", "hw_thermal", "power_brake"];

/** Events since the driver was loaded. */
export interface GpuCounters {
  readonly eccCorrected: number;
  readonly eccUncorrected: number;
  readonly pcieReplays: number;
  readonly linkErrors: number;
}

export interface GpuState {
  readonly utilization: number;
  readonly powerWatts: number;
  readonly temperatureCelsius: number;
  readonly throttled: boolean;
  /** Since the driver was loaded. */
  readonly energyJoules: number;
  readonly counters: GpuCounters;
  readonly faults: GpuFaults;
}

interface Gpu {
  utilization: number;
  powerWatts: number;
  temperatureCelsius: number;
  throttled: boolean;
  energyJoules: number;
  counters: GpuCounters;
  faults: GpuFaults;
  /** Degrees above ambient per watt. */
  readonly resistance: number;
}

const NO_EVENTS: GpuCounters = { eccCorrected: 0, eccUncorrected: 0, pcieReplays: 0, linkErrors: 0 };

export class GpuModel {
  readonly #profile: GpuProfile;
  readonly #gpus: Gpu[] = [];
  readonly #working: number;
  #ambientCelsius = AMBIENT_CELSIUS;
  #atMs: number;

  /** `working` of the `count` GPUs serve the model; the others idle. */
  constructor(profile: GpuProfile, count: number, working: number, seed: number, nowMs: number) {
    this.#profile = profile;
    this.#working = Math.min(working, count);
    this.#atMs = nowMs;
    const prng = new Prng(seed);
    for (let index = 0; index < count; index += 1) {
      const resistance = (RISE_AT_LIMIT_CELSIUS * (0.95 + 0.1 * prng.next())) / profile.powerLimitWatts;
      this.#gpus.push({
        utilization: 0,
        powerWatts: profile.powerIdleWatts,
        temperatureCelsius: AMBIENT_CELSIUS + resistance * profile.powerIdleWatts,
        throttled: false,
        energyJoules: 0,
        counters: NO_EVENTS,
        faults: {},
        resistance,
      });
    }
  }

  get gpus(): readonly GpuState[] {
    return this.#gpus;
  }

  /** The air around the GPUs, from now on. */
  setAmbient(celsius: number): void {
    this.#ambientCelsius = celsius;
  }

  /** From now on; by index, of those that have any. */
  setFaults(faults: Readonly<Record<string, GpuFaults>>): void {
    for (const [index, gpu] of this.#gpus.entries()) {
      gpu.faults = faults[index] ?? {};
      this.#settle(gpu);
    }
  }

  happen({ gpu: index, ecc, pcieReplays = 0, linkErrors = 0, reset }: GpuIncident): void {
    const gpu = this.#gpus[index];
    if (gpu === undefined) return;
    if (reset === true) {
      gpu.counters = NO_EVENTS;
      gpu.energyJoules = 0;
    }
    const { counters } = gpu;
    gpu.counters = {
      eccCorrected: counters.eccCorrected + (ecc?.corrected ?? 0),
      eccUncorrected: counters.eccUncorrected + (ecc?.uncorrected ?? 0),
      pcieReplays: counters.pcieReplays + pcieReplays,
      linkErrors: counters.linkErrors + linkErrors,
    };
  }

  /** How many times longer a step takes than at full clocks. */
  get pace(): number {
    return this.#gpus.some(isSlow) ? THROTTLE_PACE : 1;
  }

  /** Brings all up to `nowMs`; `busyShare` of the time since the last call was work. */
  advance(nowMs: number, busyShare: number): void {
    const ms = nowMs - this.#atMs;
    if (!(ms > 0)) return;
    this.#atMs = nowMs;
    const keepUtilization = Math.exp(-ms / UTILIZATION_CONSTANT_MS);
    const keepTemperature = Math.exp(-ms / THERMAL_CONSTANT_MS);
    const { powerIdleWatts, powerLimitWatts } = this.#profile;
    const share = Math.min(1, Math.max(0, busyShare));
    for (const [index, gpu] of this.#gpus.entries()) {
      const own = index < this.#working ? share : 0;
      const factor = isSlow(gpu) ? THROTTLED_POWER : 1;
      // The integral of the exponential mean of utilisation over the stretch.
      const busyMs = own * ms + (gpu.utilization - own) * UTILIZATION_CONSTANT_MS * (1 - keepUtilization);
      gpu.energyJoules += (factor * (powerIdleWatts * ms + (powerLimitWatts - powerIdleWatts) * busyMs)) / 1_000;
      gpu.utilization = own + (gpu.utilization - own) * keepUtilization;
      const meanWatts = (powerIdleWatts + (powerLimitWatts - powerIdleWatts) * own) * factor;
      const target = this.#ambientCelsius + gpu.resistance * meanWatts;
      gpu.temperatureCelsius = target + (gpu.temperatureCelsius - target) * keepTemperature;
      this.#settle(gpu);
      const shown = powerIdleWatts + (powerLimitWatts - powerIdleWatts) * gpu.utilization;
      gpu.powerWatts = isSlow(gpu) ? shown * THROTTLED_POWER : shown;
    }
  }

  #settle(gpu: Gpu): void {
    const { throttleAtCelsius, throttleUntilCelsius } = this.#profile;
    gpu.temperatureCelsius = gpu.faults.temperature ?? gpu.temperatureCelsius;
    if (gpu.temperatureCelsius >= throttleAtCelsius) gpu.throttled = true;
    else if (gpu.temperatureCelsius <= throttleUntilCelsius) gpu.throttled = false;
  }
}

function isSlow({ throttled, faults }: Gpu): boolean {
  return throttled || (faults.throttle ?? []).some((reason) => SLOWING.includes(reason));
}
