/**
 * The deadlines of this worker's calls, as sets of those that end within the same few milliseconds: to enter and to
 * leave one costs the same however many there are, which matters since nearly every call leaves long before its time.
 * The timer is set for the earliest set that there was; when it finds nothing, it is set anew.
 */
import { nowMs, tick } from "./clock.ts";

export interface Dated {
  /** Its time has come; it is in no set any more. */
  expired(): void;
}

/** How late a deadline may be kept. */
const GRAIN_MS = 8;

export class Deadlines {
  readonly #wakeAt: (atMs: number) => void;
  readonly #slots = new Map<number, Set<Dated>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerSlot = Number.POSITIVE_INFINITY;

  /** `wakeAt` is called with the moment at which the timer is due, so that a transport wakes for it. */
  constructor(wakeAt: (atMs: number) => void) {
    this.#wakeAt = wakeAt;
  }

  /** Notes a deadline; answers the slot by which it is taken back. */
  enter(dated: Dated, atMs: number): number {
    const slot = Math.ceil(atMs / GRAIN_MS);
    const set = this.#slots.get(slot);
    if (set === undefined) this.#slots.set(slot, new Set([dated]));
    else set.add(dated);
    if (slot < this.#timerSlot) this.#schedule(slot);
    return slot;
  }

  leave(dated: Dated, slot: number): void {
    const set = this.#slots.get(slot);
    if (set?.delete(dated) === true && set.size === 0) this.#slots.delete(slot);
  }

  #schedule(slot: number): void {
    clearTimeout(this.#timer);
    this.#timerSlot = slot;
    if (slot === Number.POSITIVE_INFINITY) {
      this.#wakeAt(slot);
      return;
    }
    const atMs = slot * GRAIN_MS;
    this.#wakeAt(atMs);
    this.#timer = setTimeout(this.#wake, Math.min(TIMER_MS_MAX, Math.max(1, atMs - nowMs())));
  }

  readonly #wake = (): void => {
    const now = tick() / GRAIN_MS;
    for (const [slot, set] of this.#slots) {
      if (slot > now) continue;
      this.#slots.delete(slot);
      for (const dated of set) dated.expired();
    }
    let next = Number.POSITIVE_INFINITY;
    for (const slot of this.#slots.keys()) next = Math.min(next, slot);
    this.#schedule(next);
  };
}

/** Longer timers end at once; this one finds nothing and is set anew. */
const TIMER_MS_MAX = 2 ** 31 - 1;
