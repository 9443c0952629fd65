/**
 * Requests as a scenario's workload describes them: by chance (Poisson), in bursts (a Poisson process whose rate
 * switches between a low and a high one after exponential times, MMPP), or from a trace; with lognormal lengths; of
 * tenants whose prompts begin alike, drawn by Zipf's law.
 *
 * Every kind of work in every cell has a stream of random numbers of its own: changing one leaves the others as they are.
 */
import { Prng } from "../base/prng.ts";
import type { Arrival } from "./arrival.ts";
import type { Scenario, Work } from "./scenario.ts";

/** Names of blocks are whole numbers: kind of work, tenant, block. */
const WORK_HASHES = 1e12;
const TENANT_HASHES = 1e6;
/** Of prompts that share nothing. */
const NOTHING: readonly number[] = [];

/** What is asked of one cell, in order of time. `traces`: those that the workload names, by its place. */
export function arrivalsOf(
  scenario: Scenario,
  cell: number,
  traces: ReadonlyMap<number, readonly Arrival[]>,
): readonly Arrival[] {
  const seeds = new Prng(scenario.seed);
  const parts = scenario.workload.map((work, place) => {
    let seed = seeds.nextU32();
    // One stream a cell, the same whatever cells are played.
    const ofCells = new Prng(seed);
    for (let skipped = 0; skipped <= cell; skipped += 1) seed = ofCells.nextU32();
    const trace = traces.get(place);
    if (trace !== undefined) return ofTrace(trace, work, scenario, cell);
    return drawn(work, place, scenario, new Prng(seed));
  });
  if (parts.length === 1) return parts[0]!;
  return parts.flat().toSorted((a, b) => a.atMs - b.atMs);
}

function ofTrace(trace: readonly Arrival[], { speed }: Work, { durationMs, cells }: Scenario, cell: number): Arrival[] {
  const arrivals: Arrival[] = [];
  for (let at = cell; at < trace.length; at += cells) {
    const arrival = trace[at]!;
    const atMs = arrival.atMs / speed;
    if (atMs > durationMs) break;
    arrivals.push({ ...arrival, atMs });
  }
  return arrivals;
}

function drawn(work: Work, place: number, { durationMs, cells, blockTokens }: Scenario, prng: Prng): Arrival[] {
  const arrivals: Arrival[] = [];
  if (work.rate === 0) return arrivals;
  const next = work.arrivals === "bursts" ? bursts(work, cells, prng) : even(1000 / (work.rate / cells), prng);
  const tenants = work.tenants === 0 ? null : new Zipf(work.tenants, work.tenantSkew);
  const prefixes = new Map<number, readonly number[]>();
  for (let atMs = next(0); atMs <= durationMs; atMs = next(atMs)) {
    const own = length(work.promptTokens, work.promptSigma, work.tokensMax, prng);
    const outputTokens =
      work.outputTokens === 0 ? 0 : length(work.outputTokens, work.outputSigma, work.tokensMax, prng);
    if (tenants === null) arrivals.push({ atMs, promptTokens: own, outputTokens, hashes: NOTHING });
    else {
      const tenant = tenants.draw(prng);
      let hashes = prefixes.get(tenant);
      if (hashes === undefined) {
        const first = place * WORK_HASHES + tenant * TENANT_HASHES;
        hashes = Array.from({ length: Math.floor(work.prefixTokens / blockTokens) }, (_, block) => first + block);
        prefixes.set(tenant, hashes);
      }
      arrivals.push({ atMs, promptTokens: work.prefixTokens + own, outputTokens, hashes });
    }
  }
  return arrivals;
}

function length(median: number, sigma: number, max: number, prng: Prng): number {
  const tokens = sigma === 0 ? median : median * Math.exp(sigma * prng.normal());
  return Math.max(1, Math.min(max, Math.round(tokens)));
}

function even(everyMs: number, prng: Prng): (afterMs: number) => number {
  return (afterMs) => afterMs + prng.exponential(everyMs);
}

/** Its mean rate is the work's: low * quiet share + high * burst share. */
function bursts({ rate, burstFactor, burstMs, quietMs }: Work, cells: number, prng: Prng): (afterMs: number) => number {
  const low = ((rate / cells) * (quietMs + burstMs)) / (quietMs + burstMs * burstFactor);
  let isBurst = prng.next() < burstMs / (burstMs + quietMs);
  let switchMs = prng.exponential(isBurst ? burstMs : quietMs);
  return (afterMs) => {
    let fromMs = afterMs;
    for (;;) {
      const atMs = fromMs + prng.exponential(1000 / (isBurst ? low * burstFactor : low));
      if (atMs <= switchMs) return atMs;
      // Without memory: what would have come after the switch is drawn anew from there.
      fromMs = switchMs;
      isBurst = !isBurst;
      switchMs += prng.exponential(isBurst ? burstMs : quietMs);
    }
  };
}

/** Draws 0..count-1, the k-th as often as 1 / (k + 1)^skew. */
class Zipf {
  readonly #until: Float64Array;

  constructor(count: number, skew: number) {
    this.#until = new Float64Array(count);
    let sum = 0;
    for (let rank = 0; rank < count; rank += 1) {
      sum += (rank + 1) ** -skew;
      this.#until[rank] = sum;
    }
  }

  draw(prng: Prng): number {
    const until = this.#until;
    const at = prng.next() * until[until.length - 1]!;
    let low = 0;
    let high = until.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (until[middle]! > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
