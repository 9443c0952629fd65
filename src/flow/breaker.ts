/**
 * One target's circuit breaker in one worker: stops requests to a target that fails, and finds out when it is well.
 *
 *   closed     everything passes. Opens on `failuresInRow`, or when `failureShare` of at least `requestsMin` outcomes
 *              within `windowMs` were failures.
 *   open       nothing passes, for `openMs`, which doubles with each opening up to `openMsMax`.
 *   half-open  `probesMax` requests at a time pass. `probeSuccesses` in a row close it, one failure opens it again.
 *
 * Only outcomes of requests that were let through in the present state count: what had been sent before the breaker
 * opened and fails while it is half open says nothing about now. So the caller tells with each outcome when its request
 * was sent. Tell an outcome as soon as it is known, which for a stream is its first byte.
 *
 * The window slides over counts of two whole windows: of the older one counts the part that is still within reach, as
 * if its outcomes lay evenly in it. That needs no memory for each outcome, and is exact for an even stream of them.
 *
 * Recovery: a probe whose outcome never comes is no longer waited for after `probeMs`, so nothing can keep a breaker
 * half open for ever. Times need not be strict: an earlier nowMs than the last counts as that.
 */
import type { BreakerConfig } from "./settings.ts";

export type BreakerState = "closed" | "open" | "half-open";

/** How a request ended, as far as it tells of its target; `unknown` when it tells nothing (the client went away). */
export type Outcome = "success" | "failure" | "unknown";

/** What an outcome changed: `opened` wants the target ejected until `openUntilMs`. */
export type BreakerChange = "opened" | "closed" | null;

export class Breaker {
  readonly #config: BreakerConfig;
  #state: BreakerState = "closed";
  /** Since when it is in this state: earlier requests do not count. */
  #sinceMs = -Infinity;
  #openUntilMs = -Infinity;
  /** Openings in a row, by which the time is doubled. */
  #openings = 0;
  #failuresInRow = 0;
  // ---- the window, and the one before
  #windowStartMs = -Infinity;
  #total = 0;
  #failed = 0;
  #totalBefore = 0;
  #failedBefore = 0;
  // ---- half-open
  #probes = 0;
  #probeSentMs = 0;
  #successes = 0;

  constructor(config: BreakerConfig) {
    this.#config = config;
  }

  /** As of the last call: an open breaker whose time is over becomes half-open when it is next asked to `allow`. */
  get state(): BreakerState {
    return this.#state;
  }

  /** Until when it lets nothing through; in the past unless it is open. */
  get openUntilMs(): number {
    return this.#openUntilMs;
  }

  /** Whether a request may be sent now. One that is allowed must be sent, and its outcome told. */
  allow(nowMs: number): boolean {
    if (this.#state === "closed") return true;
    if (this.#state === "open") {
      if (nowMs < this.#openUntilMs) return false;
      this.#enter("half-open", nowMs);
      this.#probes = 0;
      this.#successes = 0;
    }
    if (this.#probes >= this.#config.probesMax) {
      if (nowMs - this.#probeSentMs < this.#config.probeMs) return false;
      this.#probes--;
    }
    this.#probes++;
    this.#probeSentMs = nowMs;
    return true;
  }

  /** The outcome of a request that was sent at `sentMs`. */
  observe(outcome: Outcome, sentMs: number, nowMs: number): BreakerChange {
    if (sentMs < this.#sinceMs || this.#state === "open") return null;
    if (this.#state === "closed") return this.#count(outcome, nowMs);
    if (this.#probes > 0) this.#probes--;
    if (outcome === "failure") return this.#open(nowMs);
    if (outcome === "unknown" || ++this.#successes < this.#config.probeSuccesses) return null;
    this.#close(nowMs);
    return "closed";
  }

  /** Lets everything through again, whatever was seen; the next opening is still longer than the last. */
  pardon(nowMs: number): void {
    if (this.#state !== "closed") this.#close(nowMs);
  }

  #count(outcome: Outcome, nowMs: number): BreakerChange {
    if (outcome === "unknown") return null;
    this.#slide(nowMs);
    this.#total++;
    if (outcome === "success") {
      this.#failuresInRow = 0;
      return null;
    }
    this.#failed++;
    this.#failuresInRow++;
    return this.#failuresInRow >= this.#config.failuresInRow || this.#failsOften(nowMs) ? this.#open(nowMs) : null;
  }

  #failsOften(nowMs: number): boolean {
    const kept = 1 - Math.min(1, Math.max(0, (nowMs - this.#windowStartMs) / this.#config.windowMs));
    const total = this.#total + this.#totalBefore * kept;
    const failed = this.#failed + this.#failedBefore * kept;
    return total >= this.#config.requestsMin && failed >= total * this.#config.failureShare;
  }

  #slide(nowMs: number): void {
    const { windowMs } = this.#config;
    const elapsedMs = nowMs - this.#windowStartMs;
    if (elapsedMs < windowMs) return;
    const next = elapsedMs < windowMs * 2;
    this.#totalBefore = next ? this.#total : 0;
    this.#failedBefore = next ? this.#failed : 0;
    this.#windowStartMs = next ? this.#windowStartMs + windowMs : nowMs;
    this.#total = 0;
    this.#failed = 0;
  }

  #open(nowMs: number): "opened" {
    const { openMs, openMsMax } = this.#config;
    if (this.#state === "closed" && nowMs - this.#sinceMs >= openMsMax) this.#openings = 0;
    // 2^40 times the shortest time is beyond every longest one.
    this.#openUntilMs = nowMs + Math.min(openMsMax, openMs * 2 ** Math.min(40, this.#openings));
    this.#openings++;
    this.#enter("open", nowMs);
    return "opened";
  }

  #close(nowMs: number): void {
    this.#openUntilMs = -Infinity;
    this.#enter("closed", nowMs);
    this.#failuresInRow = 0;
    this.#windowStartMs = -Infinity;
    this.#total = 0;
    this.#failed = 0;
    this.#totalBefore = 0;
    this.#failedBefore = 0;
  }

  #enter(state: BreakerState, nowMs: number): void {
    this.#state = state;
    this.#sinceMs = Math.max(this.#sinceMs, nowMs);
  }
}
