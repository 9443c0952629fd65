/** Strategies that remember turns or latencies, and know nothing of prompts. `strategies.ts` tells where they come from. */
import type { Prng } from "../base/prng.ts";
import { lesserOfTwo, loadOf } from "./choices.ts";
import type { Strategy, TargetView, Wanted } from "./view.ts";

/** Smooth turns: a target of weight 2 comes twice as often, and not twice in a row (nginx's way). */
export class RoundRobin implements Strategy {
  readonly name = "round-robin";
  readonly needsPrefixes = false;
  readonly needsFigures = false;
  readonly #start: number;
  /** How far each is from its turn, in weights; NaN: it never was asked for. */
  #turns = new Float64Array(0);

  constructor(prng: Prng) {
    this.#start = prng.nextU32();
  }

  choose(view: TargetView): number {
    const { count, routable, weight } = view;
    if (this.#turns.length < count) this.#grow(count * 2);
    const turns = this.#turns;
    let total = 0;
    let best = -1;
    let bestTurn = -Infinity;
    for (let target = 0; target < count; target += 1) {
      if (routable[target] === 0) continue;
      const own = weight[target]!;
      const before = turns[target]!;
      const turn = (Number.isNaN(before) ? this.#firstTurn(target, count) * own : before) + own;
      turns[target] = turn;
      total += own;
      if (turn <= bestTurn) continue;
      bestTurn = turn;
      best = target;
    }
    if (best >= 0) turns[best] = bestTurn - total;
    return best;
  }

  #grow(count: number): void {
    const turns = new Float64Array(count).fill(NaN);
    turns.set(this.#turns);
    this.#turns = turns;
  }

  /** Routers begin at different targets, or the first ones would get the first request of each; then they go on in order. */
  #firstTurn(target: number, count: number): number {
    const behind = (this.#start % count) - target - 1;
    return (behind < 0 ? behind + count : behind) / count;
  }

  forget(target: number): void {
    if (target < this.#turns.length) this.#turns[target] = NaN;
  }
}

const PEAK_DECAY_MS = 10_000;
/** What linkerd assumes of a target before it has answered. */
const PEAK_INITIAL_MS = 30;

interface Peak {
  costMs: number;
  atMs: number;
}

export class PeakEwma implements Strategy {
  readonly name = "peak-ewma";
  readonly needsPrefixes = false;
  readonly needsFigures = false;
  readonly #prng: Prng;
  readonly #peaks: (Peak | undefined)[] = [];

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  choose(view: TargetView, _wanted: Wanted, nowMs: number): number {
    // Those that are new together decay together, or the one that was looked at first would be cheaper for ever.
    for (let target = 0; target < view.count; target += 1) this.#peakOf(target, nowMs);
    return lesserOfTwo(view, this.#prng, (target) => this.#decayed(target, nowMs) * loadOf(view, target));
  }

  observe(target: number, ttftMs: number, nowMs: number): void {
    const peak = this.#peakOf(target, nowMs);
    const weight = Math.exp(-(nowMs - peak.atMs) / PEAK_DECAY_MS);
    const isPeak = ttftMs > peak.costMs * weight;
    peak.costMs = isPeak ? ttftMs : peak.costMs * weight + ttftMs * (1 - weight);
    peak.atMs = nowMs;
  }

  forget(target: number): void {
    this.#peaks[target] = undefined;
  }

  #decayed(target: number, nowMs: number): number {
    const { costMs, atMs } = this.#peakOf(target, nowMs);
    return costMs * Math.exp(-(nowMs - atMs) / PEAK_DECAY_MS);
  }

  #peakOf(target: number, nowMs: number): Peak {
    return (this.#peaks[target] ??= { costMs: PEAK_INITIAL_MS, atMs: nowMs });
  }
}
