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
import { expectedSeconds, fillExpectedSeconds } from "./expected-seconds.ts";
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

export function slowestInTime(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { count, marks, matchedTokens, secondsPerPrefillToken } = view;
  const { promptTokens } = wanted;
  markInTime(view, wanted);
  let work = Infinity;
  for (let target = 0; target < count; target += 1) {
    const fresh = freshTokens(promptTokens, matchedTokens[target]!);
    if (marks[target] === 1 && fresh < work) work = fresh;
  }
  if (work === Infinity) return soonest(view, prng, wanted, false);
  const most = work * ALIKE + TOKENS_ALIKE;
  let slowest = -Infinity;
  for (let target = 0; target < count; target += 1) {
    if (marks[target] === 0) continue;
    const seconds = secondsPerPrefillToken[target]!;
    if (freshTokens(promptTokens, matchedTokens[target]!) > most) marks[target] = 0;
    else if (seconds > slowest) slowest = seconds;
  }
  for (let target = 0; target < count; target += 1) {
    if (secondsPerPrefillToken[target]! * ALIKE < slowest) marks[target] = 0;
  }
  return soonest(view, prng, wanted, true);
}

export function cheapestInTime(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { count, marks, costs, matchedTokens, pricePerHour, secondsPerPrefillToken, active } = view;
  const { promptTokens } = wanted;
  markInTime(view, wanted);
  const unknown = dearest(view);
  let cheapest = Infinity;
  for (let target = 0; target < count; target += 1) {
    const tokens = freshTokens(promptTokens, matchedTokens[target]!) + ANSWER_TOKENS;
    const price = pricePerHour[target]!;
    const money = (price > 0 ? price : unknown) * tokens * secondsPerPrefillToken[target]!;
    costs[target] = money;
    if (marks[target] === 1 && money < cheapest) cheapest = money;
  }
  if (cheapest === Infinity) return soonest(view, prng, wanted, false);
  // A step costs much the same whatever its batch: who joins the most shares it with the most.
  for (let target = 0; target < count; target += 1) {
    const isChosen = marks[target] === 1 && costs[target]! <= cheapest * ALIKE;
    costs[target] = isChosen ? -active[target]! : Infinity;
  }
  return leastCost(view, prng);
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

/** Marks the routable targets that are in time. Fills in the costs, too, with what isn't to be used. */
function markInTime(view: TargetView, wanted: Wanted): void {
  const { count, routable, marks, costs, matchedTokens, queuedTokens, secondsPerPrefillToken } = view;
  const { active, running, stepSeconds, secondsPerActive } = view;
  const { promptTokens, leftMs = Infinity, gapMs = Infinity, priority = 1 } = wanted;
  const left = leftMs / (1000 * (MARGINS[priority] ?? MARGIN_USUAL));
  const gap = gapMs / GAP_MARGIN;
  // Whether it makes others wait is no matter of its own time.
  fillExpectedSeconds(view, { ...wanted, missWeight: 0 });
  for (let target = 0; target < count; target += 1) {
    const seconds = secondsPerPrefillToken[target]!;
    const fresh = freshTokens(promptTokens, matchedTokens[target]!);
    // Between two tokens, with the request among those that are there.
    const since = active[target]! + 1 - running[target]!;
    const between = stepSeconds[target]! + (since < 0 ? 0 : since) * secondsPerActive[target]!;
    const isInTime = !(costs[target]! > left || between > gap);
    const queued = queuedTokens[target]! * seconds;
    const isAhead = queued <= BEHIND_SECONDS || queued <= fresh * seconds;
    marks[target] = routable[target] === 1 && isInTime && isAhead ? 1 : 0;
  }
}

/** Of all, or of those that are marked. */
function soonest(view: TargetView, prng: Prng, wanted: Wanted, isMarked: boolean): number {
  const { count, marks, costs } = view;
  if (!isMarked) fillExpectedSeconds(view, wanted);
  else {
    for (let target = 0; target < count; target += 1) {
      costs[target] = marks[target] === 1 ? expectedSeconds(view, target, wanted) : Infinity;
    }
  }
  return leastCost(view, prng);
}
