/**
 * The formula of the scorers (pick.ts) over a view: what time to a first token is expected at a target. The simulation's
 * routers decide by it; a router's `ttft` is the scan in C, which counts the same in float32, over the same figures.
 */
import type { TargetView, Wanted } from "./view.ts";

/** As `prefixes.missWeight` is unless it is set: own tokens count three times where a second of work waits. */
export const MISS_WEIGHT = 2;

export function expectedSeconds(view: TargetView, target: number, wanted: Wanted): number {
  return secondsOf(
    wanted.promptTokens,
    wanted.missWeight ?? MISS_WEIGHT,
    view.active[target]!,
    view.queuedTokens[target]!,
    view.matchedTokens[target]!,
    view.secondsPerPrefillToken[target]!,
    view.secondsPerActive[target]!,
    view.slots[target]!,
    view.secondsPerQueuedRequest[target]!,
    view.kvOffset[target]!,
    view.kvPerToken[target]!,
    view.penaltySeconds[target]!,
  );
}

/** The same of all targets at once, into `view.costs`: column by column it takes a third of the time. */
export function fillExpectedSeconds(view: TargetView, wanted: Wanted): void {
  const { count, costs, active, queuedTokens, matchedTokens, secondsPerPrefillToken, secondsPerActive } = view;
  const { slots, secondsPerQueuedRequest, kvOffset, kvPerToken, penaltySeconds } = view;
  const { promptTokens, missWeight = MISS_WEIGHT } = wanted;
  for (let target = 0; target < count; target += 1) {
    costs[target] = secondsOf(
      promptTokens,
      missWeight,
      active[target]!,
      queuedTokens[target]!,
      matchedTokens[target]!,
      secondsPerPrefillToken[target]!,
      secondsPerActive[target]!,
      slots[target]!,
      secondsPerQueuedRequest[target]!,
      kvOffset[target]!,
      kvPerToken[target]!,
      penaltySeconds[target]!,
    );
  }
}

function secondsOf(
  promptTokens: number,
  missWeight: number,
  active: number,
  before: number,
  matched: number,
  seconds: number,
  perActive: number,
  slots: number,
  perQueued: number,
  kvOffset: number,
  kvPerToken: number,
  penalty: number,
): number {
  // Comparisons, since Math.max also tells zeros apart, which takes longer than all the rest.
  const rest = promptTokens - matched;
  const fresh = rest < 0 ? 0 : rest;
  const behind = before * seconds;
  const price = 1 + missWeight * (behind > 1 ? 1 : behind);
  const over = active + 1 - slots;
  const waiting = over < 0 ? 0 : over;
  const above = kvOffset + (before + fresh) * kvPerToken;
  const excess = above < 0 ? 0 : above;
  return (before + fresh * price) * seconds + active * perActive + waiting * perQueued + excess * excess + penalty;
}
