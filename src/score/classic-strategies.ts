/** Strategies that remember turns or latencies, and know nothing of prompts. `strategies.ts` tells where they come from. */
import type { Prng } from "../base/prng.ts";
import { lesserOfTwo } from "./choices.ts";
import type { Strategy, TargetView, Wanted } from "./view.ts";

export class RoundRobin implements Strategy {
  readonly name = "round-robin";
  readonly needsPrefixes = false;
  #next: number;

  constructor(prng: Prng) {
    this.#next = prng.nextU32();
  }

  choose(view: TargetView): number {
    for (let tries = 0; tries < view.count; tries += 1) {
      const target = this.#next++ % view.count;
      if (view.routable[target] === 1) return target;
    }
    return -1;
  }
}

const PEAK_DECAY_MS = 10_000;
/** What linkerd assumes of a target before it has answered. */
const PEAK_INITIAL_MS = 30;

export class PeakEwma implements Strategy {
  readonly name = "peak-ewma";
  readonly needsPrefixes = false;
  readonly #prng: Prng;
  readonly #costMs: Float64Array;
  readonly #atMs: Float64Array;

  constructor(prng: Prng, targets: number) {
    this.#prng = prng;
    this.#costMs = new Float64Array(targets).fill(PEAK_INITIAL_MS);
    this.#atMs = new Float64Array(targets);
  }

  choose(view: TargetView, _wanted: Wanted, nowMs: number): number {
    return lesserOfTwo(view, this.#prng, (target) => this.#cost(view, target, nowMs));
  }

  observe(target: number, ttftMs: number, nowMs: number): void {
    const now = this.#decayed(target, nowMs);
    this.#costMs[target] = ttftMs > now ? ttftMs : now;
    if (ttftMs <= now) {
      const weight = Math.exp(-(nowMs - this.#atMs[target]!) / PEAK_DECAY_MS);
      this.#costMs[target] = this.#costMs[target] * weight + ttftMs * (1 - weight);
    }
    this.#atMs[target] = nowMs;
  }

  #decayed(target: number, nowMs: number): number {
    return this.#costMs[target]! * Math.exp(-(nowMs - this.#atMs[target]!) / PEAK_DECAY_MS);
  }

  #cost(view: TargetView, target: number, nowMs: number): number {
    return this.#decayed(target, nowMs) * (view.active[target]! + 1);
  }
}
