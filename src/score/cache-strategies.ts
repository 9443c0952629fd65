/** Strategies that know what targets have cached of a prompt. `strategies.ts` tells where they come from. */
import type { Prng } from "../base/prng.ts";
import { extremes, least } from "./choices.ts";
import type { TargetView, Wanted } from "./view.ts";

const MATCH_THRESHOLD = 0.5;
const IMBALANCE = 32;
const IMBALANCE_RATIO = 1.1;

export function cacheAware(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { fewest, most } = extremes(view, view.active);
  if (most - fewest > IMBALANCE && most > IMBALANCE_RATIO * fewest) {
    return least(view, prng, (target) => view.active[target]!);
  }
  const closest = least(view, prng, (target) => -view.matchedTokens[target]!);
  if (closest >= 0 && view.matchedTokens[closest]! > MATCH_THRESHOLD * wanted.promptTokens) return closest;
  return least(view, prng, (target) => view.cachedBlocks[target]!);
}

export function pickerBlend(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { fewest, most } = extremes(view, view.waiting);
  return least(view, prng, (target) => {
    const prefix = view.matchedTokens[target]! / wanted.promptTokens;
    const queue = most > fewest ? (most - view.waiting[target]!) / (most - fewest) : 1;
    return -(3 * prefix + 2 * queue + 2 * (1 - view.kvUsage[target]!));
  });
}

const STICKY_SHARE = 0.8;
const STICKY_SECONDS_MAX = 18;
/** The rate that llm-d's default turns tokens into seconds with. */
const STICKY_TOKENS_PER_SECOND = 15_928;

export function stickyPicker(view: TargetView, prng: Prng, wanted: Wanted): number {
  const tokens = (target: number): number => view.queuedTokens[target]!;
  const isHome = (target: number): boolean => view.matchedTokens[target]! >= STICKY_SHARE * wanted.promptTokens;
  const best = least(view, prng, tokens);
  const home = least(view, prng, (target) => (isHome(target) ? tokens(target) : Infinity));
  if (home < 0 || !isHome(home)) return best;
  return (tokens(home) - tokens(best)) / STICKY_TOKENS_PER_SECOND > STICKY_SECONDS_MAX ? best : home;
}

const DYNAMO_BLOCK_TOKENS = 64;

/** Dynamo: prefill blocks that would wait, its own less what overlaps, and blocks of what is decoded. */
export function kvCost(view: TargetView, target: number, wanted: Wanted): number {
  const fresh = Math.max(0, wanted.promptTokens - view.matchedTokens[target]!);
  return (view.queuedTokens[target]! + fresh + view.contextTokens[target]!) / DYNAMO_BLOCK_TOKENS;
}

/** Weight of one's own uncached tokens: those who come later wait for them too. */
const MISS_WEIGHT = 3;

export function expectedSeconds(view: TargetView, target: number, wanted: Wanted): number {
  const fresh = Math.max(1, wanted.promptTokens - view.matchedTokens[target]!);
  const load = Math.min(1, view.queuedTokens[target]! * view.secondsPerPrefillToken[target]!);
  const price = 1 + (MISS_WEIGHT - 1) * load;
  return (view.queuedTokens[target]! + price * fresh) * view.secondsPerPrefillToken[target]! + view.rttSeconds[target]!;
}
