/** What explanations say of how fast a target is taken to be, and of how that is known. */
import type { RowRate } from "./row-learning.ts";

/** As the API tells it: rates in prompt tokens a second. */
export interface ShownRates {
  readonly prefillUsed: number;
  readonly prefillTold: number;
  readonly prefillLearnt: number;
  readonly confidence: number;
  readonly requests: number;
  readonly seenAgoMs?: number | undefined;
  readonly stepSeconds: number;
  readonly stepSecondsPerRequest: number;
  readonly streams: number;
}

/** From where somebody may wonder why the row is written by something else than is told. */
const WORTH_TELLING = 0.02;

export function shownRates(rate: RowRate | undefined): ShownRates | undefined {
  if (rate === undefined) return undefined;
  const { used, prior, learnt, confidence, samples, seenAgoMs, step } = rate;
  return {
    prefillUsed: 1 / used,
    prefillTold: 1 / prior,
    prefillLearnt: 1 / learnt,
    confidence,
    requests: samples,
    seenAgoMs: seenAgoMs === undefined ? undefined : Math.round(seenAgoMs),
    stepSeconds: step.offset,
    stepSecondsPerRequest: step.slope,
    streams: step.samples,
  };
}

/** Behind what the term of prefill says of the rate. */
export function ratesText(shown: ShownRates | undefined): string {
  if (shown === undefined) return "";
  const { prefillUsed, prefillTold, prefillLearnt, confidence, requests, seenAgoMs } = shown;
  if (seenAgoMs === undefined && Math.abs(prefillUsed / prefillTold - 1) < WORTH_TELLING)
    return "; nothing was learnt of it";
  const told = `${Math.round(prefillTold)} are told`;
  if (seenAgoMs === undefined) return `; ${told}, and others of the model are found to be as fast as this`;
  const whence = `${Math.round(prefillLearnt)} learnt from ${Math.round(requests)} requests, the last ${(seenAgoMs / 1000).toFixed(1)} s ago`;
  return `; ${told}, ${whence}, confidence ${confidence.toFixed(2)}`;
}
