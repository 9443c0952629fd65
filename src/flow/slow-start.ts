/**
 * How much of its whole share of the load a target takes that joined or came back lately. A cold runtime is slower than
 * it says: its kernels are not compiled, its caches are empty. Since it is idle it looks best all the same, and all that
 * comes would be sent to it until it is as loaded as the others. So its share grows evenly from `shareMin` to 1 within
 * the window.
 */
import type { SlowStartConfig } from "./settings.ts";

/** The share at `nowMs` of a target that has been in use since `sinceMs`, in (0, 1]. */
export function shareOf(sinceMs: number, nowMs: number, config: SlowStartConfig): number {
  const { windowMs, shareMin } = config;
  const ageMs = Math.max(0, nowMs - sinceMs);
  return ageMs < windowMs ? shareMin + (1 - shareMin) * (ageMs / windowMs) : 1;
}

/**
 * What makes a target with that share as dear, at its share of the others' load, as they are: seconds to be added to its
 * cost, where the load of the others costs them `loadSeconds`. Nothing while they are idle: then it may serve as well as
 * they, which also warms it.
 */
export function coldSeconds(share: number, loadSeconds: number): number {
  return (1 - share) * loadSeconds;
}
