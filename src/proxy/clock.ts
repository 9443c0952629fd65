/** The worker's time: read once for each event, and good enough for every deadline and measurement within it. */

const ORIGIN_MS = performance.timeOrigin;
let now = performance.now();

/** Milliseconds since the worker began, as of the event that is being handled. */
export function nowMs(): number {
  return now;
}

/** Reads the clock; every socket handler begins with it. */
export function tick(): number {
  now = performance.now();
  return now;
}

/** Milliseconds of the Unix clock, as of the same event. */
export function unixMs(): number {
  return ORIGIN_MS + now;
}
