/**
 * A quantile of a histogram's buckets as Prometheus' histogram_quantile has it: linear within the bucket where it lies,
 * from 0 in the first one. In the bucket without an upper bound it is the highest bound there is.
 */

/**
 * `bounds` ascend, the last may be Infinity; `cumulative` counts what is at or below each. Counts that fall are taken as
 * high as those before them: they come of buckets that were read at different moments. Undefined where nothing was
 * counted, or no bound is finite.
 */
export function quantile(
  q: number,
  bounds: readonly number[],
  cumulative: ArrayLike<number>,
  total: number,
): number | undefined {
  const finite = bounds.at(-1) === Infinity ? bounds.length - 1 : bounds.length;
  if (!(total > 0) || finite === 0) return undefined;
  const rank = q * total;
  let below = 0;
  for (let i = 0; i < finite; i++) {
    const count = Math.max(below, cumulative[i]!);
    const bound = bounds[i]!;
    if (count >= rank && count > below) {
      if (i === 0 && bound <= 0) return bound;
      const lower = i === 0 ? 0 : bounds[i - 1]!;
      return lower + (bound - lower) * Math.max(0, (rank - below) / (count - below));
    }
    below = count;
  }
  return bounds[finite - 1];
}
