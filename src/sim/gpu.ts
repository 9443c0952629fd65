/**
 * The GPUs of a simulated node: utilisation, power, temperature, throttling. All of it is in closed form for any
 * stretch of time, so it may be brought up to date seldom.
 *
 *   utilisation   the share of time at work, as an exponential mean over about one second (as nvidia-smi shows it)
 *   power         idle + (limit - idle) * share, a fifth less while throttled
 *   temperature   first order: it nears ambient + resistance * power with a time constant of 25 s; the resistance is
 *                 such that the power limit in a room of 30 degrees ends at about 72 (each GPU a little different)
 *   throttling    from `throttleAtCelsius` on until it has cooled to `throttleUntilCelsius`; steps take 1.6 times as long
 *
 * GPUs that serve one model together wait for each other: the slowest sets the pace.
 */

import { Prng } from "../base/prng.ts";
import type { GpuProfile } from "./profile.ts";

const UTILIZATION_CONSTANT_MS = 1_000;
const THERMAL_CONSTANT_MS = 25_000;
const RISE_AT_LIMIT_CELSIUS = 42;
const AMBIENT_CELSIUS = 30;
const THROTTLE_PACE = 1.6;
const THROTTLED_POWER = 0.8;

export interface GpuState {
  readonly utilization: number;
  readonly powerWatts: number;
  readonly temperatureCelsius: number;
  readonly throttled: boolean;
}

interface Gpu {
  utilization: number;
  powerWatts: number;
  temperatureCelsius: number;
  throttled: boolean;
  /** Degrees above ambient per watt. */
  readonly resistance: number;
}

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

  /** How many times longer a step takes than at full clocks. */
  get pace(): number {
    return this.#gpus.some((gpu) => gpu.throttled) ? THROTTLE_PACE : 1;
  }

  /** Brings all up to `nowMs`; `busyShare` of the time since the last call was work. */
  advance(nowMs: number, busyShare: number): void {
    const ms = nowMs - this.#atMs;
    if (!(ms > 0)) return;
    this.#atMs = nowMs;
    const keepUtilization = Math.exp(-ms / UTILIZATION_CONSTANT_MS);
    const keepTemperature = Math.exp(-ms / THERMAL_CONSTANT_MS);
    const { powerIdleWatts, powerLimitWatts, throttleAtCelsius, throttleUntilCelsius } = this.#profile;
    const share = Math.min(1, Math.max(0, busyShare));
    for (const [index, gpu] of this.#gpus.entries()) {
      const own = index < this.#working ? share : 0;
      gpu.utilization = own + (gpu.utilization - own) * keepUtilization;
      const allowed = powerIdleWatts + (powerLimitWatts - powerIdleWatts) * own;
      const meanWatts = gpu.throttled ? allowed * THROTTLED_POWER : allowed;
      const target = this.#ambientCelsius + gpu.resistance * meanWatts;
      gpu.temperatureCelsius = target + (gpu.temperatureCelsius - target) * keepTemperature;
      if (gpu.temperatureCelsius >= throttleAtCelsius) gpu.throttled = true;
      else if (gpu.temperatureCelsius <= throttleUntilCelsius) gpu.throttled = false;
      const shown = powerIdleWatts + (powerLimitWatts - powerIdleWatts) * gpu.utilization;
      gpu.powerWatts = gpu.throttled ? shown * THROTTLED_POWER : shown;
    }
  }
}
