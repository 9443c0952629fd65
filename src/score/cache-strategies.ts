/** Strategies that know what targets have cached of a prompt. `strategies.ts` tells where they come from. */
import type { Prng } from "../base/prng.ts";
import { extremes, fillLoads, leastCost } from "./choices.ts";
import type { TargetView, Wanted } from "./view.ts";

const MATCH_THRESHOLD = 0.5;
const IMBALANCE = 32;
const IMBALANCE_RATIO = 1.1;

export function cacheAware(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { count, active, matchedTokens, cachedBlocks, costs } = view;
  const { fewest, most } = extremes(view, active);
  if (most - fewest > IMBALANCE && most > IMBALANCE_RATIO * fewest) {
    fillLoads(view);
    return leastCost(view, prng);
  }
  for (let target = 0; target < count; target += 1) costs[target] = -matchedTokens[target]!;
  const closest = leastCost(view, prng);
  if (closest >= 0 && matchedTokens[closest]! > MATCH_THRESHOLD * wanted.promptTokens) return closest;
  costs.set(cachedBlocks);
  return leastCost(view, prng);
}

export function pickerBlend(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { count, waiting, weight, matchedTokens, kvUsage, costs } = view;
  const promptTokens = Math.max(1, wanted.promptTokens);
  for (let target = 0; target < count; target += 1) costs[target] = waiting[target]! / weight[target]!;
  const { fewest, most } = extremes(view, costs);
  for (let target = 0; target < count; target += 1) {
    const prefix = matchedTokens[target]! / promptTokens;
    const queue = most > fewest ? (most - costs[target]!) / (most - fewest) : 1;
    costs[target] = -(3 * prefix + 2 * queue + 2 * (1 - kvUsage[target]!));
  }
  return leastCost(view, prng);
}

const STICKY_SHARE = 0.8;
const STICKY_SECONDS_MAX = 18;
/** The rate that llm-d's default turns tokens into seconds with. */
const STICKY_TOKENS_PER_SECOND = 15_928;

export function stickyPicker(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { count, queuedTokens, weight, matchedTokens, costs } = view;
  const homeTokens = STICKY_SHARE * wanted.promptTokens;
  for (let target = 0; target < count; target += 1) costs[target] = queuedTokens[target]! / weight[target]!;
  const best = leastCost(view, prng);
  for (let target = 0; target < count; target += 1)
    if (!(matchedTokens[target]! >= homeTokens)) costs[target] = Infinity;
  const home = leastCost(view, prng);
  if (home < 0 || !(matchedTokens[home]! >= homeTokens)) return best;
  const more = queuedTokens[home]! / weight[home]! - queuedTokens[best]! / weight[best]!;
  return more / STICKY_TOKENS_PER_SECOND > STICKY_SECONDS_MAX ? best : home;
}

const DYNAMO_BLOCK_TOKENS = 64;

/** Dynamo: prefill blocks that would wait, its own less what overlaps, and blocks of what is decoded. */
export function kvCost(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { count, queuedTokens, contextTokens, matchedTokens, weight, costs } = view;
  const { promptTokens } = wanted;
  for (let target = 0; target < count; target += 1) {
    const fresh = Math.max(0, promptTokens - matchedTokens[target]!);
    const tokens = queuedTokens[target]! + fresh + contextTokens[target]!;
    costs[target] = tokens / DYNAMO_BLOCK_TOKENS / weight[target]!;
  }
  return leastCost(view, prng);
}
