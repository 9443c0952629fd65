/**
 * What was spent within a sliding period, and what is owed beyond it. Time is cut into slots; the whole of the oldest slot
 * that the period touches still counts, so that within no period more is spent than allowed, at the cost of at most
 * one slot of waiting more.
 *
 * What is spent beyond the limit (one request that is larger than it, tokens that turned out to be more) is a debt: it is
 * paid by what becomes free, before anything else may be spent. In the long run no more is spent than the limit.
 */

const SLOTS = 20;

export class Spending {
  readonly #periodMs: number;
  readonly #slotMs: number;
  /** By slot number modulo its length: the current one and those before. */
  readonly #slots = new Float64Array(SLOTS + 1);
  #slot = 0;
  #spent = 0;
  #debt = 0;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
    this.#slotMs = periodMs / SLOTS;
  }

  /** The same for another period: what was spent within this one counts as spent last. */
  withPeriod(periodMs: number): Spending {
    const next = new Spending(periodMs);
    next.#slot = Math.floor((this.#slot * this.#slotMs) / next.#slotMs);
    next.#slots[next.#at(next.#slot)] = this.#spent;
    next.#spent = this.#spent;
    next.#debt = this.#debt;
    return next;
  }

  /** Within the period up to now. */
  spent(limit: number, nowMs: number): number {
    this.#pass(nowMs);
    this.#pay(limit);
    return this.#spent;
  }

  /** 0: so much may be spent now. Else the milliseconds until it may, as far as can be told; Infinity where limit is 0. */
  waitMs(amount: number, limit: number, nowMs: number): number {
    this.#pass(nowMs);
    this.#pay(limit);
    if (limit <= 0) return Infinity;
    if (this.#debt > 0) return Math.ceil(this.#debt / limit) * this.#periodMs;
    // What is larger than the limit may begin when nothing else was spent.
    let missing = this.#spent + Math.min(amount, limit) - limit;
    if (missing <= 0) return 0;
    for (let slot = this.#slot - SLOTS; slot <= this.#slot; slot += 1) {
      missing -= this.#slots[this.#at(slot)]!;
      if (missing <= 0) return Math.max(1, Math.ceil((slot + SLOTS + 1) * this.#slotMs - nowMs));
    }
    return this.#periodMs;
  }

  /** Below 0 gives back what turned out not to be needed, as far as it was spent in this slot. */
  add(amount: number, limit: number, nowMs: number): void {
    this.#pass(nowMs);
    const at = this.#at(this.#slot);
    if (amount < 0) {
      const forgiven = Math.min(this.#debt, -amount);
      this.#debt -= forgiven;
      const back = Math.min(this.#slots[at]!, -amount - forgiven);
      this.#slots[at]! -= back;
      this.#spent -= back;
      return;
    }
    this.#debt += amount;
    this.#pay(limit);
  }

  #at(slot: number): number {
    return ((slot % (SLOTS + 1)) + SLOTS + 1) % (SLOTS + 1);
  }

  /** Debt moves into the period as far as there is room. */
  #pay(limit: number): void {
    if (this.#debt === 0) return;
    const paid = Math.min(this.#debt, Math.max(0, limit - this.#spent));
    this.#debt -= paid;
    this.#slots[this.#at(this.#slot)]! += paid;
    this.#spent += paid;
  }

  #pass(nowMs: number): void {
    const slot = Math.floor(nowMs / this.#slotMs);
    const passed = Math.min(slot - this.#slot, SLOTS + 1);
    for (let each = 1; each <= passed; each += 1) {
      const at = this.#at(slot - passed + each);
      this.#spent -= this.#slots[at]!;
      this.#slots[at] = 0;
    }
    if (passed > 0) this.#slot = slot;
  }
}
