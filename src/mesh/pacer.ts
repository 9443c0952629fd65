/**
 * Lets datagrams go at a pace: at most `burst` of them in each millisecond, the others wait in line. News for hundreds
 * of members would otherwise leave in one go, and what a receiver's kernel has no room for is lost: with Linux's usual
 * 208 KiB of it, all but 92 of 1,000 datagrams of full size (bench/mesh/transport.ts).
 *
 * There are two lines. What is urgent (probes and news of members) goes before what is bulky (states), so that load
 * can't make members look dead. Limits: `queueMax` in both lines together; what comes on top is dropped and counted.
 */

export type Urgency = "urgent" | "bulk";
/** What became of one datagram; "busy" when the kernel has no room just now. */
export type Outcome = "sent" | "busy" | "failed";

export interface PacerOptions<T> {
  readonly burst: number;
  readonly queueMax: number;
  readonly send: (item: T) => Outcome;
  readonly nowMs?: () => number;
  readonly setTimer?: (run: () => void, ms: number) => void;
}

const TICK_MS = 1;
/** Items that were sent stay in the list until it is worth moving the others up. */
const SPENT_MAX = 1024;

class Line<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  first(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): void {
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= SPENT_MAX) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}

export class Pacer<T> {
  readonly #options: PacerOptions<T>;
  readonly #nowMs: () => number;
  readonly #setTimer: (run: () => void, ms: number) => void;
  readonly #urgent = new Line<T>();
  readonly #bulk = new Line<T>();
  #tickMs = -Infinity;
  #left = 0;
  #timed = false;

  constructor(options: PacerOptions<T>) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#setTimer = options.setTimer ?? ((run, ms) => void setTimeout(run, ms));
  }

  /** Datagrams that wait. */
  get waiting(): number {
    return this.#urgent.length + this.#bulk.length;
  }

  /** Sends it now or later; false when there is no room for it. */
  push(item: T, urgency: Urgency): boolean {
    if (this.waiting >= this.#options.queueMax) return false;
    (urgency === "urgent" ? this.#urgent : this.#bulk).push(item);
    // In a tick that is used up, the timer is running already.
    if (!this.#timed) this.pump();
    return true;
  }

  /** Sends what may go now: call it when the socket has room again. */
  pump(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#tickMs >= TICK_MS) {
      this.#tickMs = nowMs;
      this.#left = this.#options.burst;
    }
    while (this.#left > 0) {
      const line = this.#urgent.length > 0 ? this.#urgent : this.#bulk;
      const item = line.first();
      if (item === undefined) return;
      // It stays first in line, until the kernel says that it has room, or the next tick tries.
      if (this.#options.send(item) === "busy") break;
      line.shift();
      this.#left--;
    }
    if (this.waiting === 0 || this.#timed) return;
    this.#timed = true;
    this.#setTimer(() => {
      this.#timed = false;
      this.pump();
    }, TICK_MS);
  }

  clear(): void {
    this.#urgent.clear();
    this.#bulk.clear();
  }
}
