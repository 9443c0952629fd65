/**
 * Strategies that know by when a first token is wanted, and what targets cost. Both look at the targets that are expected
 * to be in time, with a margin for estimates that are wrong: twice the time for the first priority, less for later ones.
 *
 *   slo    keeps most for others: the least to compute, for what is cached need not be computed anew; of those alike the
 *          slowest machine, since a request that is more urgent or longer may need a faster one; of those the soonest
 *   cost   the least money for the request: the price of a target's time, for as long as the prompt and a usual answer's
 *          share of a full batch take there; of those alike the soonest
 *
 * Where nobody is in time, and where nothing distinguishes them, it is the soonest: `ttft`.
 */
import type { Prng } from "../base/prng.ts";
import { extremes, leastCost } from "./choices.ts";
import { type May, secondsOf, soonestOf } from "./expected-seconds.ts";
import type { TargetView, Wanted } from "./view.ts";

/** By priority: how many times the expected time must fit into what is left. */
const MARGINS = [2, 1.5, 1.25, 1.1];
const MARGIN_USUAL = 1.5;
/** In milliseconds of a second: prompts that come later stretch steps, and batches grow between samples. */
const GAP_MARGIN = 1000 * 1.75;
/** Work, speed and money are alike within so much. */
const ALIKE = 1.15;
/** Tokens of a prompt that take a full batch's machine as long as a usual answer does. */
const ANSWER_TOKENS = 1000;
/** A queue of prompts keeps those waiting who decode: from here on a target is behind, unless one's own takes longer. */
const BEHIND_SECONDS = 0.15;
/** Prompts that differ by less need as much. */
const TOKENS_ALIKE = 64;
/** So often those are asked that have the next least; then all. */
const ROUNDS = 4;

export function slowestInTime(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { count, routable, matchedTokens, secondsPerPrefillToken } = view;
  const { promptTokens } = wanted;
  const may = inTime(view, wanted);
  let [cached, cachedAt, slowest, slowestAt] = [-1, 0, 0, 0];
  for (let target = 0; target < count; target += 1) {
    if (routable[target] === 0) continue;
    const matched = matchedTokens[target]!;
    const seconds = secondsPerPrefillToken[target]!;
    if (matched > cached) [cached, cachedAt] = [matched, target];
    if (seconds > slowest) [slowest, slowestAt] = [seconds, target];
  }
  let work = freshTokens(promptTokens, cached);
  if (!isAny(view, matchedTokens, cachedAt, may)) {
    fillWork(view, promptTokens);
    work = leastOf(view, may);
  }
  if (work === Infinity) return soonestOf(view, prng, wanted);
  const enough = work * ALIKE + TOKENS_ALIKE;
  // Where nobody has any of it all have as much to compute.
  if (cached > 0 || !isAny(view, secondsPerPrefillToken, slowestAt, may))
    slowest = slowestOf(view, wanted, may, enough);
  return soonestOf(view, prng, wanted, { may, freshTokens: enough, slowest, alike: ALIKE });
}

/** What is to be computed, into `view.costs`. */
function fillWork({ count, costs, matchedTokens }: TargetView, promptTokens: number): void {
  for (let target = 0; target < count; target += 1) costs[target] = freshTokens(promptTokens, matchedTokens[target]!);
}

/** The most seconds of a token of those in time that have at most that to compute. */
function slowestOf(view: TargetView, { promptTokens }: Wanted, may: May, work: number): number {
  const { count, routable, costs, matchedTokens, secondsPerPrefillToken } = view;
  let [slowest, slowestAt] = [0, 0];
  for (let target = 0; target < count; target += 1) {
    const seconds = secondsPerPrefillToken[target]!;
    if (seconds > slowest && promptTokens - matchedTokens[target]! <= work && routable[target] === 1)
      [slowest, slowestAt] = [seconds, target];
  }
  const isMeant: May = (target, seconds) => promptTokens - matchedTokens[target]! <= work && may(target, seconds);
  if (isAny(view, secondsPerPrefillToken, slowestAt, isMeant)) return slowest;
  for (let target = 0; target < count; target += 1) {
    costs[target] = promptTokens - matchedTokens[target]! <= work ? -secondsPerPrefillToken[target]! : Infinity;
  }
  return -leastOf(view, may);
}

export function cheapestInTime(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { count, costs, active } = view;
  const may = inTime(view, wanted);
  fillMoney(view, wanted.promptTokens);
  const cheapest = leastOf(view, may);
  if (cheapest === Infinity) return soonestOf(view, prng, wanted);
  // A step costs much the same whatever its batch: who joins the most shares it with the most.
  for (let target = 0; target < count; target += 1) {
    costs[target] = costs[target]! <= cheapest * ALIKE ? -active[target]! : Infinity;
  }
  return leastCost(view, prng, may);
}

/** What the request costs at each that is routable, into `view.costs`. */
function fillMoney(view: TargetView, promptTokens: number): void {
  const { count, routable, costs, matchedTokens, pricePerHour, secondsPerPrefillToken } = view;
  let unknown = 0;
  for (let target = 0; target < count; target += 1) {
    if (routable[target] === 0) continue;
    let price = pricePerHour[target]!;
    if (!(price > 0)) {
      if (unknown === 0) unknown = dearest(view);
      price = unknown;
    }
    const tokens = freshTokens(promptTokens, matchedTokens[target]!) + ANSWER_TOKENS;
    costs[target] = price * tokens * secondsPerPrefillToken[target]!;
  }
}

/** A price that nobody has told is taken for the highest that somebody did. */
function dearest(view: TargetView): number {
  const { most } = extremes(view, view.pricePerHour);
  return most > 0 ? most : 1;
}

function freshTokens(promptTokens: number, matchedTokens: number): number {
  const rest = promptTokens - matchedTokens;
  return rest < 1 ? 1 : rest;
}

/**
 * The least of `view.costs` of routable targets that are in time; Infinity: none is. Whether one is takes ten times as
 * long to say as what is in a column, so it is asked of those with the least of all, then of those with the next.
 */
function leastOf(view: TargetView, may: May): number {
  const { count, routable, costs } = view;
  let tried = -Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    let [least, leastAt] = [Infinity, 0];
    for (let target = 0; target < count; target += 1) {
      const of = costs[target]!;
      if (of < least && of > tried && routable[target] === 1) [least, leastAt] = [of, target];
    }
    if (least === Infinity || isAny(view, costs, leastAt, may)) return least;
    tried = least;
  }
  let least = Infinity;
  for (let target = 0; target < count; target += 1) {
    const of = costs[target]!;
    if (of < least && of > tried && routable[target] === 1 && may(target, Infinity)) least = of;
  }
  return least;
}

/** Whether that one, or another behind it that has the same in the column, is in time. */
function isAny({ count, routable }: TargetView, column: Float64Array, first: number, may: May): boolean {
  const value = column[first]!;
  for (let target = first; target < count; target += 1) {
    if (column[target] === value && routable[target] === 1 && may(target, Infinity)) return true;
  }
  return false;
}

/** Says of a routable target whether it is in time. */
function inTime(view: TargetView, wanted: Wanted): May {
  const { matchedTokens, queuedTokens, secondsPerPrefillToken, slots, secondsPerQueuedRequest } = view;
  const { active, running, stepSeconds, secondsPerActive, kvOffset, kvPerToken, penaltySeconds } = view;
  const { promptTokens, leftMs = Infinity, gapMs = Infinity, priority = 1 } = wanted;
  const left = leftMs / (1000 * (MARGINS[priority] ?? MARGIN_USUAL));
  const gap = gapMs / GAP_MARGIN;
  return (target, most) => {
    const seconds = secondsPerPrefillToken[target]!;
    const before = queuedTokens[target]!;
    const matched = matchedTokens[target]!;
    const isAhead =
      before * seconds <= BEHIND_SECONDS || before * seconds <= freshTokens(promptTokens, matched) * seconds;
    if (!isAhead) return false;
    // Between two tokens, with the request among those that are there.
    const since = active[target]! + 1 - running[target]!;
    const between = stepSeconds[target]! + (since < 0 ? 0 : since) * secondsPerActive[target]!;
    if (between > gap) return false;
    if (most <= left) return true;
    const expected = secondsOf(
      promptTokens,
      // Whether it makes others wait is no matter of its own time.
      0,
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
    return !(expected > left);
  };
}
