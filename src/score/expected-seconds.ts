/**
 * The formula of the scorers (pick.ts) over a view: what time to a first token is expected at a target. The simulation's
 * routers decide by it; a router's `ttft` is the scan in C, which counts the same in float32, over the same figures.
 */
import type { Prng } from "../base/prng.ts";
import { anyOf, type May, skipDraws } from "./choices.ts";
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

/** The mark of a target of which is known already that it may not be taken. */
export const LATE = 2;

/** Which targets are meant, but for such as are marked LATE. */
export interface Only {
  readonly may: May;
  /** With at most so much to compute. */
  readonly freshTokens: number;
  /** And so slow a machine: seconds of a prompt token, when they are taken so many times. */
  readonly slowest: number;
  readonly alike: number;
}

const ALL: Only = { may: () => true, freshTokens: Infinity, slowest: 0, alike: 1 };

/**
 * The routable one that is expected to be the soonest; of equals one is drawn. Those that aren't meant cost as much as can
 * be: `leastCost` finds the same in a column of such costs, by the same draws.
 *
 * Nothing that costs are made of is below zero. So tokens that are computed before the first one tell of most targets
 * that they are not the soonest; the whole formula is for a few.
 */
export function soonestOf(view: TargetView, prng: Prng, wanted: Wanted, only: Only = ALL): number {
  const { count, routable, active, queuedTokens, matchedTokens, secondsPerPrefillToken, secondsPerActive } = view;
  const { slots, secondsPerQueuedRequest, kvOffset, kvPerToken, penaltySeconds, marks } = view;
  const { promptTokens, missWeight = MISS_WEIGHT } = wanted;
  const { may, freshTokens, slowest, alike } = only;
  const isAny = only === ALL;
  let best = Infinity;
  let found = -1;
  let ties = 0;
  let others = 0;
  for (let target = 0; target < count; target += 1) {
    if (routable[target] === 0) continue;
    const matched = matchedTokens[target]!;
    const seconds = secondsPerPrefillToken[target]!;
    const rest = promptTokens - matched;
    let of = Infinity;
    if (isAny || (rest <= freshTokens && seconds * alike >= slowest && marks[target] !== LATE)) {
      const before = queuedTokens[target]!;
      if ((before + (rest < 0 ? 0 : rest)) * seconds > best) continue;
      of = secondsOf(
        promptTokens,
        missWeight,
        active[target]!,
        before,
        matched,
        seconds,
        secondsPerActive[target]!,
        slots[target]!,
        secondsPerQueuedRequest[target]!,
        kvOffset[target]!,
        kvPerToken[target]!,
        penaltySeconds[target]!,
      );
      if (!isAny && of <= best && !may(target, of)) of = Infinity;
    }
    if (of > best) continue;
    if (of === Infinity) {
      others += 1;
      continue;
    }
    if (of < best) {
      if (best === Infinity) skipDraws(prng, others);
      best = of;
      ties = 0;
    }
    ties += 1;
    if (ties === 1 || prng.isOneIn(ties)) found = target;
  }
  return best < Infinity ? found : anyOf(view, prng);
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
