/** How values are spread: of all of them, or of so many that only a histogram holds them. */

export interface Spread {
  readonly count: number;
  /** null where there are none. */
  readonly mean: number | null;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly p999: number | null;
  readonly max: number | null;
}

const RANKS = { p50: 0.5, p90: 0.9, p95: 0.95, p99: 0.99, p999: 0.999, max: 1 } as const;

/** Of sorted values, by the nearest rank. */
export function spreadOf(sorted: Float64Array): Spread {
  let sum = 0;
  for (const value of sorted) sum += value;
  return spread(sorted.length, sum, (rank) => sorted[rank - 1] ?? 0);
}

function spread(count: number, sum: number, valueAt: (rank: number) => number): Spread {
  const at = (share: number) => (count === 0 ? null : valueAt(Math.max(1, Math.ceil(share * count))));
  const { p50, p90, p95, p99, p999, max } = RANKS;
  return {
    count,
    mean: count === 0 ? null : sum / count,
    p50: at(p50),
    p90: at(p90),
    p95: at(p95),
    p99: at(p99),
    p999: at(p999),
    max: at(max),
  };
}

/** The value below or at which each of `points` equal shares lies: the inverse of the distribution's function. */
export function shares(sorted: Float64Array, points: number): number[] {
  if (sorted.length === 0) return [];
  return Array.from(
    { length: points + 1 },
    (_, at) => sorted[Math.max(0, Math.ceil((at / points) * sorted.length) - 1)]!,
  );
}

const STEP = Math.log(1.01);
/** A microsecond, in milliseconds: what is less counts as nothing. */
const LEAST = 0.001;
const BINS = 2400;

/** What one holds, for another thread. */
export interface HistogramState {
  readonly counts: Float64Array;
  readonly count: number;
  readonly sum: number;
  readonly max: number;
}

/** Counts by value, each bin a hundredth wide: quantiles are off by half of that at most. Up to some months. */
export class LogHistogram {
  readonly #counts = new Float64Array(BINS);
  #count = 0;
  #sum = 0;
  #max = 0;

  add(value: number): void {
    const bin = value < LEAST ? 0 : Math.min(BINS - 1, 1 + Math.floor(Math.log(value / LEAST) / STEP));
    this.#counts[bin] = this.#counts[bin]! + 1;
    this.#count += 1;
    this.#sum += value;
    if (value > this.#max) this.#max = value;
  }

  state(): HistogramState {
    return { counts: this.#counts, count: this.#count, sum: this.#sum, max: this.#max };
  }

  /** As if all that another one was given had come here. */
  absorb({ counts, count, sum, max }: HistogramState): void {
    for (let bin = 0; bin < BINS; bin += 1) this.#counts[bin] = this.#counts[bin]! + counts[bin]!;
    this.#count += count;
    this.#sum += sum;
    this.#max = Math.max(this.#max, max);
  }

  spread(): Spread {
    return spread(this.#count, this.#sum, (rank) => this.#valueAt(rank));
  }

  #valueAt(rank: number): number {
    if (rank >= this.#count) return this.#max;
    let below = 0;
    for (let bin = 0; bin < BINS; bin += 1) {
      below += this.#counts[bin]!;
      if (below >= rank) return bin === 0 ? 0 : LEAST * Math.exp((bin - 0.5) * STEP);
    }
    return this.#max;
  }
}
