/**
 * The formula of the scorers (pick.ts) over a view: what time to a first token is expected at a target. The simulation's
 * routers decide by it; a router's `ttft` is the scan in C, which counts the same in float32, over the same figures.
 */
import type { TargetView, Wanted } from "./view.ts";

/** As `prefixes.missWeight` is unless it is set: own tokens count three times where a second of work waits. */
export const MISS_WEIGHT = 2;

export function expectedSeconds(view: TargetView, target: number, wanted: Wanted): number {
  const { promptTokens, missWeight = MISS_WEIGHT } = wanted;
  const active = view.active[target]!;
  const before = view.queuedTokens[target]!;
  const fresh = Math.max(0, promptTokens - view.matchedTokens[target]!);
  const seconds = view.secondsPerPrefillToken[target]!;
  const price = 1 + missWeight * Math.min(1, before * seconds);
  const waiting = Math.max(0, active + 1 - view.slots[target]!);
  const excess = Math.max(0, view.kvOffset[target]! + (before + fresh) * view.kvPerToken[target]!);
  return (
    (before + fresh * price) * seconds +
    active * view.secondsPerActive[target]! +
    waiting * view.secondsPerQueuedRequest[target]! +
    excess * excess +
    view.penaltySeconds[target]!
  );
}
