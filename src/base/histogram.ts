/** Counts by upper bounds, as a Prometheus histogram holds them; cumulative only when read. */

export class Histogram {
  readonly bounds: readonly number[];
  readonly #counts: number[];
  count = 0;
  sum = 0;

  /** Bounds ascend; the last bucket (+Inf) is implied. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  /** Counts `value` `times` over. */
  observe(value: number, times = 1): void {
    let low = 0;
    let high = this.bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.bounds[middle] as number) < value) low = middle + 1;
      else high = middle;
    }
    this.#counts[low] = (this.#counts[low] as number) + times;
    this.count += times;
    this.sum += value * times;
  }

  /** Observations at or below each bound, then all of them. */
  cumulative(): number[] {
    let below = 0;
    return this.#counts.map((count) => (below += count));
  }
}
