/**
 * The deadlines of this worker's calls, as sets of those that end within the same few milliseconds: to enter and to
 * leave one costs the same however many there are, which matters since nearly every call leaves long before its time.
 */
import { nowMs, tick } from "./clock.ts";

export interface Dated {
  /** Its time has come; it is in no set any more. */
  expired(): void;
}

/** How late a deadline may be kept. */
const GRAIN_MS = 8;

const slots = new Map<number, Set<Dated>>();
let timer: ReturnType<typeof setInterval> | null = null;
/** The next slot to end. */
let next = 0;

/** Notes a deadline; answers the slot by which it is taken back. */
export function enterDeadline(dated: Dated, atMs: number): number {
  if (timer === null) {
    next = Math.floor(nowMs() / GRAIN_MS);
    timer = setInterval(sweep, GRAIN_MS);
  }
  const slot = Math.max(next, Math.ceil(atMs / GRAIN_MS));
  const set = slots.get(slot);
  if (set === undefined) slots.set(slot, new Set([dated]));
  else set.add(dated);
  return slot;
}

export function leaveDeadline(dated: Dated, slot: number): void {
  const set = slots.get(slot);
  if (set === undefined || !set.delete(dated) || set.size > 0) return;
  slots.delete(slot);
}

function sweep(): void {
  const now = Math.floor(tick() / GRAIN_MS);
  for (; next <= now; next++) {
    const set = slots.get(next);
    if (set === undefined) continue;
    slots.delete(next);
    for (const dated of set) dated.expired();
  }
  if (slots.size > 0 || timer === null) return;
  clearInterval(timer);
  timer = null;
}
