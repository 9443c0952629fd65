/** Strategies that know what targets have cached of a prompt. `strategies.ts` tells where they come from. */
import type { Prng } from "../base/prng.ts";
import { extremes, least, loadOf } from "./choices.ts";
import type { TargetView, Wanted } from "./view.ts";

const MATCH_THRESHOLD = 0.5;
const IMBALANCE = 32;
const IMBALANCE_RATIO = 1.1;

export function cacheAware(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { fewest, most } = extremes(view, (target) => view.active[target]!);
  if (most - fewest > IMBALANCE && most > IMBALANCE_RATIO * fewest) {
    return least(view, prng, (target) => loadOf(view, target));
  }
  const closest = least(view, prng, (target) => -view.matchedTokens[target]!);
  if (closest >= 0 && view.matchedTokens[closest]! > MATCH_THRESHOLD * wanted.promptTokens) return closest;
  return least(view, prng, (target) => view.cachedBlocks[target]!);
}

export function pickerBlend(view: TargetView, prng: Prng, wanted: Wanted): number {
  const waiting = (target: number): number => view.waiting[target]! / view.weight[target]!;
  const { fewest, most } = extremes(view, waiting);
  return least(view, prng, (target) => {
    const prefix = view.matchedTokens[target]! / Math.max(1, wanted.promptTokens);
    const queue = most > fewest ? (most - waiting(target)) / (most - fewest) : 1;
    return -(3 * prefix + 2 * queue + 2 * (1 - view.kvUsage[target]!));
  });
}

const STICKY_SHARE = 0.8;
const STICKY_SECONDS_MAX = 18;
/** The rate that llm-d's default turns tokens into seconds with. */
const STICKY_TOKENS_PER_SECOND = 15_928;

export function stickyPicker(view: TargetView, prng: Prng, wanted: Wanted): number {
  const tokens = (target: number): number => view.queuedTokens[target]! / view.weight[target]!;
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
  const tokens = view.queuedTokens[target]! + fresh + view.contextTokens[target]!;
  return tokens / DYNAMO_BLOCK_TOKENS / view.weight[target]!;
}
