/**
 * How many requests a second are due, as people write it: `50`, a ramp `10..200`, or steps `10,50,100`, over a time. A ramp
 * stays at its end, and so does the last step.
 *
 * Arrivals come out of the integral of the rate: the time at which so many have been due. A Poisson process of a rate that
 * changes is one of rate 1 seen through that (the time-change theorem), so nothing is thinned out and no rate is a mean of
 * slices.
 */

const RATE_MAX = 1_000_000;
const STEPS_MAX = 1000;
const NUMBER = /^\d{1,7}(?:\.\d{1,6})?$/;

/** From `fromMs` on, for `lengthMs`, the rate goes in a straight line from `from` to `to`, in requests a second. */
interface Piece {
  readonly fromMs: number;
  readonly lengthMs: number;
  readonly from: number;
  readonly to: number;
}

export interface RateSpec {
  readonly kind: "ramp" | "steps";
  /** Requests a second: two of a ramp, one or more steps. */
  readonly rates: readonly number[];
  readonly text: string;
}

/** undefined: it is none. */
export function parseRate(text: string): RateSpec | undefined {
  const isRamp = text.includes("..");
  const parts = text.split(isRamp ? ".." : ",");
  if (isRamp ? parts.length !== 2 : parts.length > STEPS_MAX) return undefined;
  if (!parts.every((part) => NUMBER.test(part))) return undefined;
  const rates = parts.map(Number);
  if (rates.some((rate) => rate > RATE_MAX) || Math.max(...rates) === 0) return undefined;
  return { kind: isRamp ? "ramp" : "steps", rates, text };
}

export class RateCurve {
  readonly #pieces: readonly Piece[];
  /** How many were due before each piece. */
  readonly #before: readonly number[];

  /** `overMs`: how long a ramp takes, and all steps together. */
  constructor({ kind, rates }: RateSpec, overMs: number) {
    const [first = 0] = rates;
    const last = rates.at(-1) ?? first;
    const pieces: Piece[] = [];
    if (rates.length > 1 && overMs > 0) {
      const lengthMs = kind === "ramp" ? overMs : overMs / rates.length;
      if (kind === "ramp") pieces.push({ fromMs: 0, lengthMs, from: first, to: last });
      else pieces.push(...rates.map((rate, at) => ({ fromMs: at * lengthMs, lengthMs, from: rate, to: rate })));
    }
    const startMs = pieces.length === 0 ? 0 : overMs;
    pieces.push({ fromMs: startMs, lengthMs: Number.POSITIVE_INFINITY, from: last, to: last });
    let sum = 0;
    this.#before = pieces.map((piece) => {
      const before = sum;
      if (Number.isFinite(piece.lengthMs)) sum += dueIn(piece, piece.lengthMs);
      return before;
    });
    this.#pieces = pieces;
  }

  /** How many have been due by then. */
  due(atMs: number): number {
    const index = this.#pieces.findLastIndex(({ fromMs }) => fromMs <= atMs);
    const piece = this.#pieces[index];
    return piece === undefined ? 0 : (this.#before[index] ?? 0) + dueIn(piece, atMs - piece.fromMs);
  }

  /** When so many have been due; Infinity: never. */
  timeOf(count: number): number {
    let index = this.#before.findLastIndex((before) => before <= count);
    if (index < 0) index = 0;
    const { fromMs, lengthMs, from, to } = this.#pieces[index]!;
    const left = (count - this.#before[index]!) * 1000;
    const slope = Number.isFinite(lengthMs) ? (to - from) / lengthMs : 0;
    // left = from * t + slope * t^2 / 2, in the form that keeps its digits where the slope is small.
    const root = Math.sqrt(Math.max(0, from * from + 2 * slope * left));
    return left === 0 && from > 0 ? fromMs : fromMs + (2 * left) / (from + root);
  }
}

function dueIn({ lengthMs, from, to }: Piece, ms: number): number {
  const slope = Number.isFinite(lengthMs) ? (to - from) / lengthMs : 0;
  return (from * ms + (slope * ms * ms) / 2) / 1000;
}
