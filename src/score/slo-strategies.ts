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
import { extremes, leastCost, type May } from "./choices.ts";
import { expectedSeconds, LATE, soonestOf } from "./expected-seconds.ts";
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
/** Of whether a target is in time, in `view.marks`, beside LATE. */
const NOT_ASKED = 0;
const IN_TIME = 1;

export function slowestInTime(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { count, routable, costs, matchedTokens, secondsPerPrefillToken } = view;
  const { promptTokens } = wanted;
  const may = inTime(view, wanted);
  let work = Infinity;
  for (let target = 0; target < count; target += 1) {
    const fresh = freshTokens(promptTokens, matchedTokens[target]!);
    if (fresh < work && routable[target] === 1 && may(target, Infinity)) work = fresh;
  }
  if (work === Infinity) return soonestOf(view, prng, wanted);
  const enough = work * ALIKE + TOKENS_ALIKE;
  for (let target = 0; target < count; target += 1) {
    costs[target] = promptTokens - matchedTokens[target]! > enough ? Infinity : -secondsPerPrefillToken[target]!;
  }
  const slowest = -leastInTime(view, wanted, may);
  return soonestOf(view, prng, wanted, { may, freshTokens: enough, slowest, alike: ALIKE });
}

export function cheapestInTime(view: TargetView, prng: Prng, wanted: Wanted): number {
  const { count, costs, active } = view;
  const may = inTime(view, wanted);
  fillMoney(view, wanted.promptTokens);
  const cheapest = leastInTime(view, wanted, may);
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

/** The least of `view.costs` of those that are routable and in time. */
function leastInTime(view: TargetView, wanted: Wanted, may: May): number {
  const { count, routable, costs, marks, matchedTokens, queuedTokens, secondsPerPrefillToken } = view;
  const { active, running, stepSeconds, secondsPerActive } = view;
  const { promptTokens, gapMs = Infinity } = wanted;
  let least = Infinity;
  for (let target = 0; target < count; target += 1) {
    const of = costs[target]!;
    if (!(of < least) || routable[target] === 0) continue;
    // Those that are wanted most are often full: of most of them that tells enough, and is told here in a fifth of the time.
    const between = betweenSeconds(active[target]!, running[target]!, stepSeconds[target]!, secondsPerActive[target]!);
    const seconds = secondsPerPrefillToken[target]!;
    const fresh = freshTokens(promptTokens, matchedTokens[target]!);
    if (isFull(between, gapMs, queuedTokens[target]! * seconds, fresh * seconds)) marks[target] = LATE;
    else if (may(target, Infinity)) least = of;
  }
  return least;
}

/** Between two tokens, with the request among those that are there. */
function betweenSeconds(active: number, running: number, stepSeconds: number, secondsPerActive: number): number {
  const since = active + 1 - running;
  return stepSeconds + (since < 0 ? 0 : since) * secondsPerActive;
}

/** Its tokens would come too far apart, or it is behind. */
function isFull(betweenTokens: number, gapMs: number, queuedSeconds: number, ownSeconds: number): boolean {
  if (betweenTokens > gapMs / GAP_MARGIN) return true;
  return !(queuedSeconds <= BEHIND_SECONDS || queuedSeconds <= ownSeconds);
}

/** Says of a routable target whether it is in time: once of each, which `view.marks` remember. */
function inTime(view: TargetView, wanted: Wanted): May {
  const { marks, matchedTokens, queuedTokens, secondsPerPrefillToken } = view;
  const { active, running, stepSeconds, secondsPerActive } = view;
  const { promptTokens, leftMs = Infinity, gapMs = Infinity, priority = 1 } = wanted;
  const left = leftMs / (1000 * (MARGINS[priority] ?? MARGIN_USUAL));
  // Whether it makes others wait is no matter of its own time.
  const alone = { ...wanted, missWeight: 0 };
  marks.fill(NOT_ASKED);
  return (target, most) => {
    const mark = marks[target]!;
    if (mark !== NOT_ASKED) return mark === IN_TIME;
    const between = betweenSeconds(active[target]!, running[target]!, stepSeconds[target]!, secondsPerActive[target]!);
    const seconds = secondsPerPrefillToken[target]!;
    const fresh = freshTokens(promptTokens, matchedTokens[target]!);
    const isLate =
      isFull(between, gapMs, queuedTokens[target]! * seconds, fresh * seconds) ||
      (most > left && expectedSeconds(view, target, alone) > left);
    marks[target] = isLate ? LATE : IN_TIME;
    return !isLate;
  };
}
