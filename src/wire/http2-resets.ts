/**
 * Resets of the last while, counted exactly: the times of the last `max` of them in a ring. "Full" means that there were
 * so many within the window, whenever it began, so that nobody who counts by windows of this length or a shorter one
 * has counted more. Nothing is held before the first.
 */
export class ResetWindow {
  readonly #max: number;
  readonly #windowMs: number;
  #times: Float64Array | null = null;
  /** Where the oldest stands, which the next one overwrites. */
  #next = 0;

  constructor(max: number, windowMs: number) {
    this.#max = max;
    this.#windowMs = windowMs;
  }

  note(nowMs: number): void {
    this.#times ??= new Float64Array(this.#max).fill(-Infinity);
    this.#times[this.#next] = nowMs;
    this.#next = (this.#next + 1) % this.#max;
  }

  isFull(nowMs: number): boolean {
    return this.#times !== null && nowMs - this.#times[this.#next]! < this.#windowMs;
  }
}
