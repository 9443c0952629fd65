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
import { least } from "./choices.ts";
import { expectedSeconds } from "./expected-seconds.ts";
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
  const isInTime = inTime(view, wanted);
  const fresh = (target: number): number => freshTokens(view, target, wanted);
  const work = lowest(view, (target) => (isInTime(target) ? fresh(target) : Infinity));
  const isLeastWork = (target: number): boolean => isInTime(target) && fresh(target) <= work * ALIKE + TOKENS_ALIKE;
  const speed = (target: number): number => view.secondsPerPrefillToken[target]!;
  const slowest = -lowest(view, (target) => (isLeastWork(target) ? -speed(target) : Infinity));
  const isChosen = (target: number): boolean => isLeastWork(target) && speed(target) * ALIKE >= slowest;
  return soonest(view, prng, wanted, work === Infinity ? null : isChosen);
}

export function cheapestInTime(view: TargetView, prng: Prng, wanted: Wanted): number {
  const isInTime = inTime(view, wanted);
  const unknown = dearest(view);
  const money = (target: number): number => {
    const tokens = freshTokens(view, target, wanted) + ANSWER_TOKENS;
    const price = view.pricePerHour[target]!;
    return (price > 0 ? price : unknown) * tokens * view.secondsPerPrefillToken[target]!;
  };
  const cheapest = lowest(view, (target) => (isInTime(target) ? money(target) : Infinity));
  if (cheapest === Infinity) return soonest(view, prng, wanted, null);
  // A step costs much the same whatever its batch: who joins the most shares it with the most.
  const isChosen = (target: number): boolean => isInTime(target) && money(target) <= cheapest * ALIKE;
  return least(view, prng, (target) => (isChosen(target) ? -view.active[target]! : Infinity));
}

/** A price that nobody has told is taken for the highest that somebody did. */
function dearest(view: TargetView): number {
  const highest = -lowest(view, (target) => -view.pricePerHour[target]!);
  return highest > 0 ? highest : 1;
}

function freshTokens(view: TargetView, target: number, { promptTokens }: Wanted): number {
  return Math.max(1, promptTokens - view.matchedTokens[target]!);
}

function inTime(view: TargetView, wanted: Wanted): (target: number) => boolean {
  const { leftMs = Infinity, gapMs = Infinity, priority = 1 } = wanted;
  const margin = 1000 * (MARGINS[priority] ?? MARGIN_USUAL);
  // Whether it makes others wait is no matter of its own time.
  const alone = { ...wanted, missWeight: 0 };
  return (target) => {
    if (expectedSeconds(view, target, alone) > leftMs / margin || gapSeconds(view, target) > gapMs / GAP_MARGIN)
      return false;
    const seconds = view.secondsPerPrefillToken[target]!;
    return (
      view.queuedTokens[target]! * seconds <= Math.max(BEHIND_SECONDS, freshTokens(view, target, wanted) * seconds)
    );
  };
}

/** Between two tokens, with the request among those that are there. */
function gapSeconds(view: TargetView, target: number): number {
  const more = Math.max(0, view.active[target]! + 1 - view.running[target]!);
  return view.stepSeconds[target]! + more * view.secondsPerActive[target]!;
}

function soonest(view: TargetView, prng: Prng, wanted: Wanted, among: ((target: number) => boolean) | null): number {
  const seconds = (target: number): number => expectedSeconds(view, target, wanted);
  if (among === null) return least(view, prng, seconds);
  return least(view, prng, (target) => (among(target) ? seconds(target) : Infinity));
}

/** The least of the routable ones' figures. */
function lowest(view: TargetView, figure: (target: number) => number): number {
  let found = Infinity;
  for (let target = 0; target < view.count; target += 1) {
    if (view.routable[target] === 1) found = Math.min(found, figure(target));
  }
  return found;
}
