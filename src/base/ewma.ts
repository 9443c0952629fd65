/**
 * A rate that forgets: amounts over the time that they took, both decayed with the same constant, so that long and
 * short observations weigh by their length. O(1) state, no clock.
 */

export class RateEwma {
  readonly #constantMs: number;
  #amount = 0;
  #ms = 0;

  /** `constantMs`: after this much observed time an old observation weighs 1/e. */
  constructor(constantMs: number) {
    this.#constantMs = constantMs;
  }

  observe(amount: number, ms: number): void {
    if (!(ms > 0)) return;
    const keep = Math.exp(-ms / this.#constantMs);
    this.#amount = this.#amount * keep + amount;
    this.#ms = this.#ms * keep + ms;
  }

  /** Amount per second; undefined before the first observation. */
  get perSecond(): number | undefined {
    return this.#ms > 0 ? (this.#amount / this.#ms) * 1_000 : undefined;
  }
}
