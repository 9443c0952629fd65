/**
 * One simulated node: an engine, its GPUs and its faults, in one clockless core. The mock runtime drives one by real
 * timers, a simulation thousands by an event queue.
 */

import { Prng } from "../base/prng.ts";
import { Batcher } from "./batching.ts";
import type { BatchingStats, Taken } from "./batching.ts";
import { NO_FAULTS } from "./faults.ts";
import type { Faults } from "./faults.ts";
import { GpuModel } from "./gpu.ts";
import type { GpuState } from "./gpu.ts";
import type { GpuIncident } from "./gpu-faults.ts";
import type { Profile } from "./profile.ts";
import type { SimRequest } from "./sequence.ts";

export interface NodeOptions {
  readonly profile: Profile;
  readonly seed: number;
  /** GPUs in the machine; default: those that the profile works with. */
  readonly gpus?: number;
}

export class SimNode {
  readonly profile: Profile;
  readonly #batcher: Batcher;
  readonly #gpus: GpuModel;
  readonly #errors: Prng;
  #faults: Faults = NO_FAULTS;
  #busyMs = 0;
  #atMs: number;

  constructor(options: NodeOptions, nowMs: number) {
    const { profile, seed } = options;
    this.profile = profile;
    this.#batcher = new Batcher(profile);
    this.#gpus = new GpuModel(profile.gpu, options.gpus ?? profile.gpuCount, profile.gpuCount, seed, nowMs);
    this.#errors = new Prng(seed + 1);
    this.#atMs = nowMs;
  }

  submit(request: SimRequest, nowMs: number): void {
    this.#batcher.submit(request, nowMs);
  }

  cancel(id: number, nowMs: number): boolean {
    return this.#batcher.cancel(id, nowMs);
  }

  wake(nowMs: number): void {
    this.#batcher.wake(nowMs);
    this.#advanceGpus(nowMs);
  }

  take(): Taken {
    return this.#batcher.take();
  }

  preload(hashes: readonly number[], nowMs: number): void {
    this.#batcher.preload(hashes, nowMs);
  }

  get wakeAtMs(): number {
    return this.#batcher.wakeAtMs;
  }

  get faults(): Faults {
    return this.#faults;
  }

  setFaults(faults: Faults, nowMs: number): void {
    this.#advanceGpus(nowMs);
    this.#faults = faults;
    this.#gpus.setAmbient(faults.ambient);
    this.#gpus.setFaults(faults.gpus);
    this.#batcher.stall(faults.stall, nowMs);
    this.#batcher.setPace(faults.slow * this.#gpus.pace, nowMs);
  }

  happen(incident: GpuIncident, nowMs: number): void {
    this.#advanceGpus(nowMs);
    this.#gpus.happen(incident);
  }

  /** Whether the next request shall be answered with an error; seeded. */
  drawError(): boolean {
    return this.#faults.errorRate > 0 && this.#errors.next() < this.#faults.errorRate;
  }

  stats(nowMs: number): BatchingStats {
    return this.#batcher.stats(nowMs);
  }

  gpus(nowMs: number): readonly GpuState[] {
    this.#advanceGpus(nowMs);
    return this.#gpus.gpus;
  }

  /** Weights and used cache, spread evenly over the GPUs that serve the model; nothing on the others. */
  gpuMemoryUsedBytes(index: number): number {
    const { weightBytes, kvBytesPerToken, blockTokens, gpuCount } = this.profile;
    if (index >= gpuCount) return 0;
    return Math.round((weightBytes + this.#batcher.cache.used * blockTokens * kvBytesPerToken) / gpuCount);
  }

  #advanceGpus(nowMs: number): void {
    const ms = nowMs - this.#atMs;
    if (!(ms > 0)) return;
    const busyMs = this.#batcher.busyMs(nowMs);
    this.#gpus.advance(nowMs, (busyMs - this.#busyMs) / ms);
    this.#busyMs = busyMs;
    this.#atMs = nowMs;
    this.#batcher.setPace(this.#faults.slow * this.#gpus.pace, nowMs);
  }
}
