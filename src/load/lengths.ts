/** How many tokens a prompt or an answer has: `512`, `100..500` (uniform), or `lognormal:MEDIAN:SIGMA`. */
import type { Prng } from "../base/prng.ts";

export const TOKENS_MAX = 1_000_000;
const SIGMA_MAX = 4;
const WHOLE = /^\d{1,7}$/;
const DECIMAL = /^\d{1,2}(?:\.\d{1,6})?$/;

export type Lengths =
  | { readonly kind: "uniform"; readonly from: number; readonly to: number; readonly text: string }
  | { readonly kind: "lognormal"; readonly median: number; readonly sigma: number; readonly text: string };

/** undefined: it is none. */
export function parseLengths(text: string): Lengths | undefined {
  const [word, median = "", sigma = "", ...more] = text.split(":");
  if (word === "lognormal") {
    if (more.length > 0 || !isTokens(median) || !DECIMAL.test(sigma) || Number(sigma) > SIGMA_MAX) return undefined;
    return { kind: "lognormal", median: Number(median), sigma: Number(sigma), text };
  }
  const [from = "", to = from, ...rest] = text.split("..");
  if (rest.length > 0 || !isTokens(from) || !isTokens(to) || Number(from) > Number(to)) return undefined;
  return { kind: "uniform", from: Number(from), to: Number(to), text };
}

export function drawLength(lengths: Lengths, prng: Prng): number {
  if (lengths.kind === "lognormal") {
    const drawn = Math.round(lengths.median * Math.exp(lengths.sigma * prng.normal()));
    return Math.min(TOKENS_MAX, Math.max(1, drawn));
  }
  const { from, to } = lengths;
  return from === to ? from : from + prng.int(to - from + 1);
}

function isTokens(text: string): boolean {
  return WHOLE.test(text) && Number(text) >= 1 && Number(text) <= TOKENS_MAX;
}
