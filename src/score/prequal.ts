/**
 * Prequal (Wydra et al., "Load is not what you should balance", NSDI '24): a pool of probes, each telling of a target's
 * requests in flight and latency. Of those that are not among the most loaded the fastest is taken; where all are, the
 * least loaded. A probe that was used is spent, and the worst leaves with it.
 */
import type { Prng } from "../base/prng.ts";
import { drawn, loadOf } from "./choices.ts";
import type { Strategy, TargetView, Wanted } from "./view.ts";

const PROBES_KEPT = 16;
const PROBES_A_REQUEST = 3;
const HOT_QUANTILE = 0.84;
const PROBE_AGE_MS = 1_000;

interface Probe {
  readonly target: number;
  readonly load: number;
  readonly latencyMs: number;
  readonly atMs: number;
}

export class Prequal implements Strategy {
  readonly name = "prequal";
  readonly needsPrefixes = false;
  readonly needsFigures = false;
  readonly #prng: Prng;
  readonly #latencyMs: (number | undefined)[] = [];
  #probes: Probe[] = [];

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  choose(view: TargetView, _wanted: Wanted, nowMs: number): number {
    for (let probe = 0; probe < PROBES_A_REQUEST; probe += 1) this.#probe(view, nowMs);
    this.#probes = this.#probes.filter(
      ({ target, atMs }) => nowMs - atMs <= PROBE_AGE_MS && view.routable[target] === 1,
    );
    if (this.#probes.length === 0) return drawn(view, this.#prng, -1);
    const loads = this.#probes.map(({ load }) => load).toSorted((a, b) => a - b);
    const hot = loads[Math.min(loads.length - 1, Math.floor(loads.length * HOT_QUANTILE))]!;
    const cold = this.#probes.filter(({ load }) => load < hot || hot === loads[0]);
    const best =
      cold.length > 0
        ? cold.reduce((a, b) => (b.latencyMs < a.latencyMs ? b : a))
        : this.#probes.reduce((a, b) => (b.load < a.load ? b : a));
    // A probe that was used tells of one request more, and the worst of the pool goes as one comes.
    this.#probes = this.#probes.filter((probe) => probe !== best);
    if (this.#probes.length > 1) {
      const worst = this.#probes.reduce((a, b) => (b.load > a.load ? b : a));
      this.#probes = this.#probes.filter((probe) => probe !== worst);
    }
    return best.target;
  }

  observe(target: number, ttftMs: number): void {
    const before = this.#latencyMs[target];
    this.#latencyMs[target] = before === undefined ? ttftMs : before * 0.8 + ttftMs * 0.2;
  }

  forget(target: number): void {
    this.#latencyMs[target] = undefined;
    this.#probes = this.#probes.filter((probe) => probe.target !== target);
  }

  #probe(view: TargetView, nowMs: number): void {
    const target = drawn(view, this.#prng, -1);
    if (target < 0) return;
    this.#probes = this.#probes.filter((probe) => probe.target !== target);
    const load = loadOf(view, target);
    this.#probes.push({ target, load, latencyMs: this.#latencyMs[target] ?? 0, atMs: nowMs });
    if (this.#probes.length > PROBES_KEPT) this.#probes.shift();
  }
}
