/**
 * Which sealed packets were opened before, so that one that is recorded and sent again is not opened twice.
 *
 * A sender numbers its packets: a session (64 random bits, drawn at its start) and a counter. For each session this
 * table keeps the highest counter and a bitmap of the last thousand (the sliding window of RFC 6479, as WireGuard has
 * it): what is older than the window, or marked in it, was seen. Packets also tell their sender's time, and those
 * older than the window of time are refused before they come here; so a session that was silent for longer needs no
 * memory any more.
 *
 * Limits: `sessionsMax` sessions. Only packets that open make an entry, so strangers can't fill the table. When it is
 * full of sessions that are not over, the one that was silent longest goes, and from then on a session that is new
 * must tell a time later than the last of those that went: that is never true of their packets.
 */

/** Words of 32 in a window; the oldest one may be partly gone. */
const WORDS = 32;
const COUNTERS = (WORDS - 1) * 32;
const SLOTS_MIN = 16;

export class ReplayTable {
  readonly #windowSeconds: number;
  readonly #sessionsMax: number;
  /** Slot by the session's lower 53 bits. */
  readonly #slots = new Map<number, number>();
  readonly #free: number[] = [];
  #capacity = 0;
  #high = new Uint32Array(0);
  #top = new Uint32Array(0);
  /** The latest time that the session told, in seconds. */
  #told = new Uint32Array(0);
  #bits = new Uint32Array(0);
  #next = 0;
  /** New sessions must tell a later time. */
  #floor = 0;

  constructor(limits: { readonly windowSeconds: number; readonly sessionsMax: number }) {
    this.#windowSeconds = limits.windowSeconds;
    this.#sessionsMax = limits.sessionsMax;
  }

  get size(): number {
    return this.#slots.size;
  }

  /** Whether this packet was not opened before, as far as can be known. */
  isNew(high: number, low: number, counter: number, told: number): boolean {
    const slot = this.#slots.get(keyOf(high, low));
    if (slot === undefined) return told > this.#floor;
    // Two sessions that agree in 53 bits: the second is out of luck, which happens to nobody.
    if (this.#high[slot] !== high) return false;
    const top = this.#top[slot]!;
    if (counter > top) return true;
    if (counter + COUNTERS <= top) return false;
    return ((this.#bits[wordAt(slot, counter)]! >>> (counter & 31)) & 1) === 0;
  }

  /** Remembers a packet that opened; `isNew` was true of it. */
  mark(high: number, low: number, counter: number, told: number, nowSeconds: number): void {
    const key = keyOf(high, low);
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      slot = this.#take(nowSeconds);
      this.#slots.set(key, slot);
      this.#high[slot] = high;
      this.#top[slot] = counter;
      this.#told[slot] = told;
      this.#bits.fill(0, slot * WORDS, (slot + 1) * WORDS);
    }
    const top = this.#top[slot]!;
    if (counter > top) {
      const steps = Math.min(WORDS, (counter >>> 5) - (top >>> 5));
      for (let step = 1; step <= steps; step++) this.#bits[slot * WORDS + (((top >>> 5) + step) & (WORDS - 1))] = 0;
      this.#top[slot] = counter;
    }
    if (told > this.#told[slot]!) this.#told[slot] = told;
    const word = wordAt(slot, counter);
    this.#bits[word] = this.#bits[word]! | (1 << (counter & 31));
  }

  #take(nowSeconds: number): number {
    const slot = this.#free.pop();
    if (slot !== undefined) return slot;
    if (this.#next === this.#capacity) this.#forget(nowSeconds);
    const freed = this.#free.pop();
    if (freed !== undefined) return freed;
    if (this.#next === this.#capacity) this.#grow();
    return this.#next++;
  }

  /** Before the table grows: drops what is over; at its largest, what was silent longest. */
  #forget(nowSeconds: number): void {
    let silentKey = -1;
    let silentTold = Infinity;
    for (const [key, slot] of this.#slots) {
      const told = this.#told[slot]!;
      if (told + this.#windowSeconds < nowSeconds) this.#drop(key, slot);
      else if (told < silentTold) [silentKey, silentTold] = [key, told];
    }
    if (this.#free.length > 0 || this.#capacity < this.#sessionsMax) return;
    this.#floor = Math.max(this.#floor, silentTold);
    this.#drop(silentKey, this.#slots.get(silentKey)!);
  }

  #drop(key: number, slot: number): void {
    this.#slots.delete(key);
    this.#free.push(slot);
  }

  #grow(): void {
    this.#capacity = Math.min(this.#sessionsMax, Math.max(SLOTS_MIN, this.#capacity * 2));
    this.#high = longer(this.#high, this.#capacity);
    this.#top = longer(this.#top, this.#capacity);
    this.#told = longer(this.#told, this.#capacity);
    this.#bits = longer(this.#bits, this.#capacity * WORDS);
  }
}

function keyOf(high: number, low: number): number {
  return (high & 0x1f_ffff) * 4_294_967_296 + low;
}

function wordAt(slot: number, counter: number): number {
  return slot * WORDS + ((counter >>> 5) & (WORDS - 1));
}

function longer(from: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const to = new Uint32Array(length);
  to.set(from);
  return to;
}
