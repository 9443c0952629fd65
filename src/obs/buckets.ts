/** Histogram buckets: the bounds in use, counting into them, and reading them. */

export const DURATION_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
] as const;

export const FIRST_TOKEN_SECONDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
] as const;

export const TOKEN_GAP_SECONDS = [
  0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5,
] as const;

export const DECISION_MICROSECONDS = [
  0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50, 100, 250, 1000, 10_000,
] as const;

export interface HistogramReading {
  /** Upper bounds, ascending, without +Inf. */
  readonly bounds: readonly number[];
  /** Observations at or below each bound; the last, for +Inf, counts all. */
  readonly cumulative: readonly number[];
  readonly sum: number;
}

/** The bucket that a value falls into: the first whose bound it doesn't exceed. */
export function bucketOf(bounds: readonly number[], value: number): number {
  let bucket = 0;
  while (bucket < bounds.length && value > (bounds[bucket] ?? Infinity)) bucket += 1;
  return bucket;
}

/** A reading from counts by bucket. */
export function cumulative(bounds: readonly number[], counts: readonly number[], sum: number): HistogramReading {
  let total = 0;
  return { bounds, cumulative: counts.map((count) => (total += count)), sum };
}

/** Readings of the same buckets by the name that they belong to, added up. */
export function addedByName(
  readings: readonly (readonly [name: string, reading: HistogramReading])[],
): Map<string, HistogramReading> {
  const sums = new Map<string, HistogramReading>();
  for (const [name, reading] of readings) {
    const before = sums.get(name);
    sums.set(name, before === undefined ? reading : added(before, reading));
  }
  return sums;
}

function added(one: HistogramReading, other: HistogramReading): HistogramReading {
  const { bounds } = one;
  return {
    bounds,
    cumulative: one.cumulative.map((count, bucket) => count + (other.cumulative[bucket] ?? 0)),
    sum: one.sum + other.sum,
  };
}

/** The value below which a fraction of the observations lies, taken as even within a bucket; null of none. */
export function quantile({ bounds, cumulative: below }: HistogramReading, fraction: number): number | null {
  const total = below.at(-1) ?? 0;
  if (total === 0) return null;
  const wanted = fraction * total;
  const bucket = below.findIndex((count) => count >= wanted && count > 0);
  const upper = bounds[bucket];
  // Beyond the last bound nothing is known but that.
  if (upper === undefined) return bounds.at(-1) ?? null;
  const lower = bounds[bucket - 1] ?? 0;
  const before = below[bucket - 1] ?? 0;
  const inside = (below[bucket] ?? 0) - before;
  return inside === 0 ? upper : lower + ((upper - lower) * (wanted - before)) / inside;
}
