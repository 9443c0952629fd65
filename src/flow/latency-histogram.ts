/**
 * An online quantile of durations that forgets: counts in buckets whose bounds grow by a constant factor, all of them
 * halved with each half-life. A quantile is off by at most one bucket's width, an eighth of an octave (9 %), from that of
 * the decayed durations. Range: 1 ms to 2^20 ms (17 minutes); what lies outside counts as the nearest bound.
 *
 * Memory: 1.3 KB. Cost: an addition for each duration; all buckets are gone over at most `DECAYS` times a half-life.
 */

const PER_OCTAVE = 8;
const OCTAVES = 20;
const BUCKETS = OCTAVES * PER_OCTAVE;
/** Steps in which one half-life is forgotten. */
const DECAYS = 32;

export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  readonly #halfLifeMs: number;
  #total = 0;
  #decayedAtMs: number;

  constructor(halfLifeMs: number, nowMs: number) {
    this.#halfLifeMs = halfLifeMs;
    this.#decayedAtMs = nowMs;
  }

  /** How many durations it holds, old ones counted in part. */
  get total(): number {
    return this.#total;
  }

  observe(durationMs: number, nowMs: number): void {
    this.decay(nowMs);
    const octaves = durationMs > 1 ? Math.log2(durationMs) : 0;
    const bucket = Math.min(BUCKETS - 1, Math.floor(octaves * PER_OCTAVE));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total++;
  }

  /** Lets old durations count less, as of now; true if that has changed anything. */
  decay(nowMs: number): boolean {
    const elapsedMs = nowMs - this.#decayedAtMs;
    if (!(elapsedMs >= this.#halfLifeMs / DECAYS)) return false;
    this.#decayedAtMs = nowMs;
    const kept = 0.5 ** (elapsedMs / this.#halfLifeMs);
    let total = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = (this.#counts[bucket] ?? 0) * kept;
      this.#counts[bucket] = count;
      total += count;
    }
    // Summed anew, so that rounding can't add up.
    this.#total = total;
    return true;
  }

  /** The duration that `share` of all do not exceed, taken as spread evenly within a bucket; 0 when it is empty. */
  quantile(share: number): number {
    if (!(this.#total > 0)) return 0;
    let left = share * this.#total;
    let bucket = 0;
    // The last bucket that holds anything takes what rounding left over.
    let last = 0;
    for (; bucket < BUCKETS; bucket++) {
      const count = this.#counts[bucket] ?? 0;
      if (count > 0) last = bucket;
      if (count > 0 && left <= count) return 2 ** ((bucket + left / count) / PER_OCTAVE);
      left -= count;
    }
    return 2 ** ((last + 1) / PER_OCTAVE);
  }
}
