/**
 * How much something grew within a window of time that moves along in tenths of itself. A counter that goes backwards
 * (the driver was loaded anew) starts anew, with nothing in the window.
 */
const PARTS = 10;

export class Growth {
  readonly #partMs: number;
  readonly #parts = Array.from({ length: PARTS }, () => 0);
  #part = 0;
  #total = 0;
  #last: number | undefined;

  constructor(windowMs: number) {
    this.#partMs = Math.max(1, Math.ceil(windowMs / PARTS));
  }

  /** The counter stands at `value`. */
  stand(value: number, nowMs: number): void {
    const last = this.#last;
    this.#last = value;
    if (last === undefined) return;
    if (value < last) this.clear();
    else this.add(value - last, nowMs);
  }

  add(count: number, nowMs: number): void {
    this.#move(nowMs);
    const at = this.#part % PARTS;
    this.#parts[at] = (this.#parts[at] ?? 0) + count;
    this.#total += count;
  }

  total(nowMs: number): number {
    this.#move(nowMs);
    return this.#total;
  }

  /** When the total becomes less by time alone; Infinity: never. */
  get wakeAtMs(): number {
    return this.#total === 0 ? Infinity : (this.#part + 1) * this.#partMs;
  }

  clear(): void {
    this.#parts.fill(0);
    this.#total = 0;
  }

  #move(nowMs: number): void {
    const part = Math.floor(nowMs / this.#partMs);
    if (part <= this.#part) return;
    if (part - this.#part >= PARTS) this.clear();
    else {
      for (let gone = this.#part + 1; gone <= part; gone += 1) {
        this.#total -= this.#parts[gone % PARTS] ?? 0;
        this.#parts[gone % PARTS] = 0;
      }
    }
    this.#part = part;
  }
}
