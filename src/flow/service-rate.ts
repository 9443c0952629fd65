/**
 * How fast a queue is served, in tokens a second, observed while something waits: an idle queue tells nothing of what
 * its targets can do. Amounts and the time they took decay alike with the time that was waited, so a rate follows a
 * change within `windowMs` of waiting; the time since the last request was taken counts as well, so a queue that stands
 * still is known to.
 *
 * Not known before `SERVED_MIN` requests were taken, nor after a time of waiting in which none was: what was known before
 * an outage says nothing about the time after it, and would refuse those who come then.
 */

const SERVED_MIN = 8;

export class ServiceRate {
  readonly #windowMs: number;
  #tokens = 0;
  #ms = 0;
  /** Taken since the time was last counted: at one moment there may be several. */
  #pending = 0;
  #served = 0;
  #servedAtBegin = 0;
  /** Up to when the waiting is counted; NaN while nothing waits. */
  #countedMs = Number.NaN;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** Something waits from now on. */
  begin(nowMs: number): void {
    if (!Number.isNaN(this.#countedMs)) return;
    this.#countedMs = nowMs;
    this.#servedAtBegin = this.#served;
  }

  /** A request of that many tokens was taken. */
  served(tokens: number, nowMs: number): void {
    this.#served++;
    this.#pending += tokens;
    this.#count(nowMs);
  }

  /** Nothing waits any more. */
  end(nowMs: number): void {
    this.#count(nowMs);
    this.#countedMs = Number.NaN;
    if (this.#served > this.#servedAtBegin) return;
    this.#tokens = 0;
    this.#ms = 0;
    this.#pending = 0;
    this.#served = 0;
  }

  /** Undefined when it is not known. */
  perSecond(nowMs: number): number | undefined {
    if (this.#served < SERVED_MIN) return undefined;
    const sinceMs = nowMs - this.#countedMs;
    const ms = this.#ms + (sinceMs > 0 ? sinceMs : 0);
    return ms > 0 ? ((this.#tokens + this.#pending) / ms) * 1000 : undefined;
  }

  #count(nowMs: number): void {
    const elapsedMs = nowMs - this.#countedMs;
    if (!(elapsedMs > 0)) return;
    const kept = Math.exp(-elapsedMs / this.#windowMs);
    this.#tokens = this.#tokens * kept + this.#pending;
    this.#ms = this.#ms * kept + elapsedMs;
    this.#pending = 0;
    this.#countedMs = nowMs;
  }
}
