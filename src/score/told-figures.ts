/** Figures that were told, brought within what can be: they come from the network, and any number may be in them. */

/** What can be of tokens a second. */
const RATE_MIN = 0.001;
const RATE_MAX = 1e9;
const WEIGHT_MIN = 0.001;
const WEIGHT_MAX = 1000;

/** The value within [0, max]; undefined where it is not known. */
export function bounded(value: number | undefined, max: number): number | undefined {
  return value === undefined || Number.isNaN(value) ? undefined : Math.min(max, Math.max(0, value));
}

export function rate(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? Math.min(RATE_MAX, Math.max(RATE_MIN, value)) : undefined;
}

/** A capacity in relation to others; 1 where it is no number. */
export function weightIn(value: number): number {
  return Math.min(WEIGHT_MAX, Math.max(WEIGHT_MIN, Number.isNaN(value) ? 1 : value));
}
