/**
 * How much of its whole share a target takes that joined or came back lately. A cold runtime is slower than it says: its
 * kernels are not compiled, its caches are empty. Since it is idle it looks best all the same, and all that comes would
 * be sent to it until it is as loaded as the others. So its share grows evenly from `shareMin` to 1 within the window.
 *
 * The share is meant to multiply the target's weight (as Envoy's slow start does): it is then as dear as the others at
 * that share of their load. Where all targets are equally new nothing changes.
 *
 * A router that has just started can't tell new targets from old ones. What comes into use in its own first window has
 * its whole share at once.
 */
import type { SlowStartConfig } from "./settings.ts";

/** The time since when a target that is not in use has been in use. */
export const NOT_IN_USE = Infinity;

export class SlowStart {
  readonly #config: SlowStartConfig;
  /** End of the router's own first window. */
  readonly #settledAtMs: number;

  constructor(config: SlowStartConfig, nowMs: number) {
    this.#config = config;
    this.#settledAtMs = nowMs + config.windowMs;
  }

  /** Since when a target has been in use, from what was answered for it last (NOT_IN_USE at first). */
  since(beforeMs: number, inUse: boolean, nowMs: number): number {
    if (!inUse) return NOT_IN_USE;
    if (beforeMs !== NOT_IN_USE) return beforeMs;
    return nowMs < this.#settledAtMs ? -Infinity : nowMs;
  }

  /** Its share now, in (0, 1]. */
  share(sinceMs: number, nowMs: number): number {
    const { windowMs, shareMin } = this.#config;
    const ageMs = Math.max(0, nowMs - sinceMs);
    return ageMs < windowMs ? shareMin + (1 - shareMin) * (ageMs / windowMs) : 1;
  }
}
