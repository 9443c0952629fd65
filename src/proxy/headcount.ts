/**
 * How many workers all routers have, as it is safe to say: what a worker may spend of a quota before anybody answered it
 * goes by that. A router that is not seen any more may be cut off, and spend on, so it is reckoned with for a while.
 */

const GONE_MS = 600_000;

export class Headcount {
  #most = 1;
  #atMs = -Infinity;

  /** So many are seen now; answers the most of the last while. */
  seen(count: number, nowMs: number): number {
    if (count >= this.#most || nowMs - this.#atMs >= GONE_MS) {
      this.#most = count;
      this.#atMs = nowMs;
    }
    return this.#most;
  }
}
