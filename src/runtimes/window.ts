/**
 * The moments of a window that slides: when they were, and the place at which each counter keeps what it had then. A
 * moment is kept only so often, so that any number of pages costs the same memory.
 */

/** Places for moments: enough that one lies a whole window back, however the pages come. */
export const MOMENTS = 12;

export class SlidingWindow {
  readonly #windowMs: number;
  readonly #atMs = new Float64Array(MOMENTS);
  #count = 0;
  #newest = MOMENTS - 1;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  clear(): void {
    this.#count = 0;
  }

  /** Where counters shall keep what they have now; -1 while the moment before is too young. */
  record(nowMs: number): number {
    if (this.#count > 0 && nowMs - this.#atMs[this.#newest]! < this.#windowMs / (MOMENTS - 2)) return -1;
    this.#newest = (this.#newest + 1) % MOMENTS;
    this.#count = Math.min(MOMENTS, this.#count + 1);
    this.#atMs[this.#newest] = nowMs;
    return this.#newest;
  }

  /** The moment at which the window up to now begins: a whole one back, or the oldest; -1 where there is none. */
  begin(nowMs: number): number {
    let place = -1;
    for (let back = 0; back < this.#count; back++) {
      place = (this.#newest - back + MOMENTS) % MOMENTS;
      if (nowMs - this.#atMs[place]! >= this.#windowMs) break;
    }
    return place;
  }

  /** When that was. */
  atMs(place: number): number {
    return this.#atMs[place]!;
  }
}
