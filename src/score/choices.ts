/** Ways to take one of several targets that strategies share. */
import type { Prng } from "../base/prng.ts";
import type { TargetView } from "./view.ts";

/** Says of a target, of which no more than `seconds` are expected, whether it may be taken. */
export type May = (target: number, seconds: number) => boolean;

/**
 * The one with the least of `view.costs`, which whoever asks has filled in; of equals one is drawn. One that may not be
 * taken counts as one that costs as much as can be.
 */
export function leastCost(view: TargetView, prng: Prng, may: May | null = null): number {
  const { count, routable, costs } = view;
  let best = Infinity;
  let found = -1;
  let ties = 0;
  let others = 0;
  for (let target = 0; target < count; target += 1) {
    const of = costs[target]!;
    if (of > best || routable[target] === 0) continue;
    if (of === Infinity || (may !== null && !may(target, Infinity))) {
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

/** Among those that cost as much as can be one was drawn, and nobody asks which: that many went before the first other. */
export function skipDraws(prng: Prng, others: number): void {
  if (others > 1) prng.skip(others - 1);
}

/** One that is routable, drawn; -1: none is. */
export function anyOf({ count, routable }: TargetView, prng: Prng): number {
  let found = -1;
  let ties = 0;
  for (let target = 0; target < count; target += 1) {
    if (routable[target] === 0) continue;
    ties += 1;
    if (ties === 1 || prng.isOneIn(ties)) found = target;
  }
  return found;
}

/** One that is routable, by weight, other than `but` where there is another. */
export function drawn(view: TargetView, prng: Prng, but: number): number {
  const { count, routable, weight } = view;
  let total = 0;
  for (let target = 0; target < count; target += 1) {
    if (routable[target] === 1 && target !== but) total += weight[target]!;
  }
  let left = prng.next() * total;
  let found = but;
  for (let target = 0; target < count; target += 1) {
    if (routable[target] === 0 || target === but) continue;
    found = target;
    left -= weight[target]!;
    if (left < 0) break;
  }
  return found;
}

/** The cheaper of two that are drawn; the first where both cost the same. -1: none is routable. */
export function lesserOfTwo(view: TargetView, prng: Prng, cost: (target: number) => number): number {
  const first = drawn(view, prng, -1);
  if (first < 0) return -1;
  const second = drawn(view, prng, first);
  return cost(second) < cost(first) ? second : first;
}

/** Requests for the target's weight, with the one to be placed. */
export function loadOf(view: TargetView, target: number): number {
  return (view.active[target]! + 1) / view.weight[target]!;
}

/** That of all targets, into `view.costs`. */
export function fillLoads({ count, active, weight, costs }: TargetView): void {
  for (let target = 0; target < count; target += 1) costs[target] = (active[target]! + 1) / weight[target]!;
}

/** The fewest and the most of the routable ones. */
export function extremes(
  { count, routable }: TargetView,
  column: Float64Array,
): { readonly fewest: number; readonly most: number } {
  let fewest = Infinity;
  let most = -Infinity;
  for (let target = 0; target < count; target += 1) {
    if (routable[target] === 0) continue;
    const of = column[target]!;
    if (of < fewest) fewest = of;
    if (of > most) most = of;
  }
  return { fewest, most };
}
