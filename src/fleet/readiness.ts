/**
 * Whether a router that has just started should get requests: not before it accepts them, and not before it knows where
 * to send them. Where nobody can take any, waiting would help nobody, so that it waits for so long at most. From then on
 * it is ready whatever becomes of its targets: it says why better than a closed port does, and a fleet that is gone is no
 * reason to end every router.
 */
export class Readiness {
  readonly #waitMs: () => number;
  #acceptsSinceMs = Number.POSITIVE_INFINITY;
  #isReady = false;

  /** `waitMs`: for a target that can be asked, after it accepts requests. */
  constructor(waitMs: () => number) {
    this.#waitMs = waitMs;
  }

  /** It accepts requests from now on. */
  accepts(nowMs: number): void {
    this.#acceptsSinceMs = nowMs;
  }

  /** Why it is not ready; "" when it is. `targets` can be asked now. */
  whyNot(targets: number, nowMs: number): string {
    if (nowMs < this.#acceptsSinceMs) return "it is starting";
    this.#isReady ||= targets > 0 || nowMs - this.#acceptsSinceMs >= this.#waitMs();
    return this.#isReady ? "" : "no target is known yet that can be asked";
  }
}
