/**
 * A member's sense of itself: its clock and its health.
 *
 * Local health (Lifeguard, section IV-A): a score that rises with missed answers and with refutations, falls with
 * answered probes, and slows the member's probes down, so that one in trouble accuses others less.
 *
 * The clock stands still while the member is not run though it should be (a starved CPU, a stopped process): what
 * others did not answer in that time is not held against them.
 */
import type { SwimConfig, SwimRules } from "./settings.ts";

export class Awareness {
  /** The core's time. */
  nowMs: number;
  /** The core's clock is behind the shell's by this much. */
  pausedMs = 0;
  /** 0 is good. */
  awareness = 0;
  readonly #config: SwimConfig;
  readonly #rules: SwimRules;
  #wakeAtMs: number;
  /** The same on the core's clock. */
  #dueAtMs = -Infinity;

  constructor(config: SwimConfig, rules: SwimRules, nowMs: number) {
    this.#config = config;
    this.#rules = rules;
    this.nowMs = nowMs;
    this.#wakeAtMs = nowMs;
  }

  /** The shell's time is nowMs; late inputs never turn the clock back. */
  advance(nowMs: number): void {
    const lateMs = nowMs - this.#wakeAtMs;
    if (this.#rules.selfDoubt && lateMs > this.#config.probeTimeoutMs / 2) {
      this.pausedMs += lateMs;
      this.#wakeAtMs = nowMs;
      this.ail(Math.ceil(lateMs / this.#config.probeIntervalMs));
    }
    // What is due at wakeAtMs is due then, however the difference of the two clocks was rounded.
    if (nowMs >= this.#wakeAtMs && lateMs < 1) this.nowMs = Math.max(this.nowMs, this.#dueAtMs);
    this.nowMs = Math.max(this.nowMs, nowMs - this.pausedMs);
  }

  /** Something is due then, on the core's clock; when that is on the shell's. */
  plan(dueAtMs: number): number {
    this.#dueAtMs = dueAtMs;
    this.#wakeAtMs = dueAtMs + this.pausedMs;
    return this.#wakeAtMs;
  }

  get tenths(): number {
    return Math.max(0, Math.floor(this.nowMs / 100)) % 2 ** 32;
  }

  /** Probes take this many times their time. */
  get slowness(): number {
    return this.#rules.localHealth ? this.awareness + 1 : 1;
  }

  ail(by: number): void {
    if (!this.#rules.localHealth) return;
    this.awareness = Math.min(this.#config.awarenessMax - 1, Math.max(0, this.awareness + by));
  }
}
