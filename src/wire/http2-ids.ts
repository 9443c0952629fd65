/**
 * What an HTTP/2 connection remembers of streams that it no longer has: those that we reset, whose late frames are
 * ignored (RFC 9113 section 5.4.2), and those that a client passed over, which were never open (section 5.1.1). Both
 * are bounded; what is forgotten counts as closed.
 */

const SKIPPED_RANGES_MAX = 16;

export class ClosedIds {
  readonly #max: number;
  readonly #reset = new Set<number>();
  /** Pairs [first, last]. */
  readonly #skipped: number[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  /** We reset this stream a moment ago. */
  remember(id: number): void {
    this.#reset.add(id);
    if (this.#reset.size <= this.#max) return;
    for (const oldest of this.#reset) {
      this.#reset.delete(oldest);
      return;
    }
  }

  wasReset(id: number): boolean {
    return this.#reset.has(id);
  }

  /** Ids from `first` to `last` were passed over; none when `last` comes before. */
  skip(first: number, last: number): void {
    if (last < first) return;
    if (this.#skipped.length >= SKIPPED_RANGES_MAX * 2) this.#skipped.splice(0, 2);
    this.#skipped.push(first, last);
  }

  wasSkipped(id: number): boolean {
    for (let i = 0; i < this.#skipped.length; i += 2) {
      if (id >= (this.#skipped[i] ?? 0) && id <= (this.#skipped[i + 1] ?? 0)) return true;
    }
    return false;
  }
}
