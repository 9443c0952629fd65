/**
 * What a runtime may be asked: at most one request a second in the mean of any minute, however the looks fall. A bucket
 * of three, filled with 57 a minute: any sixty seconds see at most 60. What comes in a row (after a start, after a
 * connection that ended) is taken from the three.
 */

const FULL = 3;
const PER_MS = 57 / 60_000;

export class AskBudget {
  #left = FULL;
  #atMs = -Infinity;

  /** When the next ask may be made, now or later, with so many left after it. */
  nextMs(nowMs: number, leave: number): number {
    this.#fill(nowMs);
    const missing = 1 + leave - this.#left;
    return missing <= 0 ? nowMs : nowMs + Math.ceil(missing / PER_MS);
  }

  spend(nowMs: number): void {
    this.#fill(nowMs);
    this.#left -= 1;
  }

  #fill(nowMs: number): void {
    if (nowMs > this.#atMs) {
      this.#left = Math.min(FULL, this.#left + (nowMs - this.#atMs) * PER_MS);
      this.#atMs = nowMs;
    }
  }
}
