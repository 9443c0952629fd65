/**
 * Retries as a share of traffic: one model's budget in one worker.
 *
 * A retry helps while few requests fail, and is what turns an overload into an outage when many do: each failure then
 * makes one more request. So a retry must be earned. Each request earns `share` of one, each second `perSecondMin`, and
 * what is not used decays with `windowMs` (Finagle's budget lets deposits lapse after such a time; decay needs no list
 * of them). A model at rest therefore has `perSecondMin * windowMs / 1000` to spend at once, one with r requests a second
 * r * share * windowMs / 1000 more: what one target of a few loses in a moment can be repeated, a storm can't go on.
 *
 * In the long run retries are at most share * requests + perSecondMin * seconds, plus what there was at the start.
 */
import type { RetryConfig } from "./settings.ts";

/** Part of the window after which the balance is brought up to now. */
const STEP = 0.001;

export class RetryBudget {
  readonly #config: RetryConfig;
  #balance: number;
  #atMs: number;

  constructor(config: RetryConfig, nowMs: number) {
    this.#config = config;
    this.#balance = (config.perSecondMin * config.windowMs) / 1000;
    this.#atMs = nowMs;
  }

  /** A request came; the tries after its first are not requests. */
  request(nowMs: number): void {
    this.#advance(nowMs);
    this.#balance += this.#config.share;
  }

  /** Whether a request may be tried once more now; one that may is paid for. */
  tryRetry(nowMs: number): boolean {
    this.#advance(nowMs);
    if (this.#balance < 1) return false;
    this.#balance--;
    return true;
  }

  #advance(nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    // An exponential for each request would cost more than all else here, for less than a thousandth of the window.
    if (!(elapsedMs >= this.#config.windowMs * STEP)) return;
    this.#atMs = nowMs;
    const { windowMs, perSecondMin } = this.#config;
    const kept = Math.exp(-elapsedMs / windowMs);
    // What flows in evenly while it decays: at rest it comes to one window's worth.
    this.#balance = this.#balance * kept + (1 - kept) * ((perSecondMin * windowMs) / 1000);
  }
}
