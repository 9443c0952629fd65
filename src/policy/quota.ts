/**
 * How a quota is measured: in whole numbers within a sliding period, so that shares of it can be handed out and added up
 * without rounding. `requestsPerSecond: 2.5` is 5 requests in 2 seconds; whole rates have a period of one second.
 *
 * A rate below ten digits' accuracy is rounded down, by less than a tenth of a request a second.
 */
import type { QuotaSpec } from "./spec.ts";

/** At most `limit` within any `periodMs`; a period of 0 means at any one time. */
export interface Measure {
  readonly limit: number;
  readonly periodMs: number;
}

export interface Measures {
  /** Null where the quota sets no limit. */
  readonly requests: Measure | null;
  readonly tokens: Measure | null;
  readonly concurrency: Measure | null;
}

export const MEASURES = ["requests", "tokens", "concurrency"] as const;

const SECONDS_MAX = 10;
const ROUNDING = 1e-9;

export function measuresOf({ requestsPerSecond, tokensPerMinute, concurrency }: QuotaSpec): Measures {
  return {
    requests: requestsPerSecond === undefined ? null : requestMeasure(requestsPerSecond),
    tokens: tokensPerMinute === undefined ? null : { limit: tokensPerMinute, periodMs: 60_000 },
    concurrency: concurrency === undefined ? null : { limit: concurrency, periodMs: 0 },
  };
}

function requestMeasure(perSecond: number): Measure {
  // Less than one in ten seconds is one in as many as it takes.
  if (perSecond * SECONDS_MAX < 1) return { limit: 1, periodMs: Math.ceil(1000 / perSecond) };
  let seconds = 1;
  while (seconds < SECONDS_MAX && Math.abs(perSecond * seconds - Math.round(perSecond * seconds)) > ROUNDING) seconds++;
  return { limit: Math.floor(perSecond * seconds + ROUNDING), periodMs: seconds * 1000 };
}
