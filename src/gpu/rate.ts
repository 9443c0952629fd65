/**
 * The rate of a counter that only grows, and may wrap or begin anew.
 *
 * A counter that is smaller than before has wrapped at 32 bits, if that makes it grow by less than half of them; else it
 * began anew, and there is no rate this once. Nor is there one of the first look, of looks at the same moment, and of a
 * counter that was not there in between.
 */

const WRAP = 2 ** 32;

export class Rate {
  #value = 0;
  /** NaN: there is no look to begin from. */
  #atMs = Number.NaN;

  /** Units a second since the look before. */
  take(value: number | undefined, nowMs: number): number | undefined {
    const before = this.#value;
    const elapsedMs = nowMs - this.#atMs;
    if (value === undefined) {
      this.#atMs = Number.NaN;
      return undefined;
    }
    // Two looks in one moment are one: the later of them must not shorten the time of the next rate.
    if (elapsedMs <= 0) return undefined;
    this.#value = value;
    this.#atMs = nowMs;
    if (Number.isNaN(elapsedMs)) return undefined;
    const grown = value - before;
    if (grown >= 0) return (grown * 1000) / elapsedMs;
    return before < WRAP && grown + WRAP < WRAP / 2 ? ((grown + WRAP) * 1000) / elapsedMs : undefined;
  }
}

/**
 * One of several counters of the same thing, which do not stand alike: the first that answers is the one for good, for to
 * go from one to the other would look like growth.
 */
export class OneCounter {
  #chosen: number | undefined;

  take(...counters: readonly (number | undefined)[]): number | undefined {
    const first = counters.findIndex((value) => value !== undefined);
    this.#chosen ??= first < 0 ? undefined : first;
    return this.#chosen === undefined ? undefined : counters[this.#chosen];
  }
}
