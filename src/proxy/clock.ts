/**
 * The worker's time: read once for each event, and good enough for every deadline and measurement within it.
 *
 * Events of one turn of the epoll lane share a reading, eight at most: a tenth of a millisecond under full load, for a
 * reading costs as much as a claim in the score table.
 */

const ORIGIN_MS = performance.timeOrigin;
/** Events that share a reading. */
const SHARED = 8;

let now = performance.now();
let isShared = false;
let left = 0;

/** Milliseconds since the worker began, as of the event that is being handled. */
export function nowMs(): number {
  return now;
}

/** Reads the clock; every socket handler begins with it. */
export function tick(): number {
  if (left > 0) {
    left--;
    return now;
  }
  if (isShared) left = SHARED - 1;
  now = performance.now();
  return now;
}

/** A turn of the lane begins, or ends: the next event reads the clock. */
export function shareReadings(isTurn: boolean): void {
  isShared = isTurn;
  left = 0;
}

/** Milliseconds of the Unix clock, as of the same event. */
export function unixMs(): number {
  return ORIGIN_MS + now;
}
