/**
 * Time as the replicated state counts it: it never goes back, whatever the clocks of those who write show.
 *
 * Commands carry the clock of the leader that proposed them. A new leader's may be behind; time then stands still until
 * it has caught up. Where it is behind by more than `DIFFERENT_MS` it is no skew but another clock: time goes on from
 * where it stood, at that clock's pace, or one leader whose clock was an hour ahead would stop it for an hour. A leap
 * forward can't be told from a quiet hour; what it ends are leases and remembered keys, earlier than they should.
 */

export interface Clock {
  readonly nowMs: number;
  /** What the clock that is followed showed last. */
  readonly shownMs: number;
}

/** The last moment that a date can be: whatever is reckoned from it is exact, and a snapshot can hold it. */
export const CLOCK_MS_MAX = 8.64e15;
export const CLOCK_START: Clock = { nowMs: 0, shownMs: 0 };
const DIFFERENT_MS = 10_000;

export function advance(clock: Clock, atMs: number): Clock {
  const stepMs = atMs - clock.shownMs;
  if (stepMs >= 0) return { nowMs: Math.min(CLOCK_MS_MAX, clock.nowMs + stepMs), shownMs: atMs };
  return stepMs < -DIFFERENT_MS ? { nowMs: clock.nowMs, shownMs: atMs } : clock;
}
