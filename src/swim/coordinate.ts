/**
 * Network coordinates (Vivaldi, Dabek et al. 2004, with the refinements of Ledlie et al. 2007 that Serf uses): each
 * member places itself in 8 dimensions plus a height (its access link) so that distances match round trips. Figures
 * are milliseconds. A coordinate is 11 numbers: the vector, the height, the error (0..1.5), the adjustment.
 *
 * Recovery: a coordinate that is no longer finite starts anew; the round trips that went in are medians of three, so
 * one slow answer moves nobody.
 */
import type { Prng } from "../base/prng.ts";
import { COORDINATE_FLOATS } from "./wire.ts";

const DIMENSIONS = 8;
export const HEIGHT = 8;
export const ERROR = 9;
const ADJUSTMENT = 10;

const ERROR_MAX = 1.5;
const CE = 0.25;
const CC = 0.25;
const HEIGHT_MIN_MS = 0.01;
const ADJUSTMENT_WINDOW = 20;
const GRAVITY_RHO_MS = 150_000;
const TINY_MS = 1e-3;

export type Coordinate = Float64Array<ArrayBuffer>;

export function freshCoordinate(): Coordinate {
  const coordinate = new Float64Array(COORDINATE_FLOATS);
  coordinate[HEIGHT] = HEIGHT_MIN_MS;
  coordinate[ERROR] = ERROR_MAX;
  return coordinate;
}

type Numbers = Float64Array | Float32Array;

function rawDistance(a: Numbers, b: Numbers, from: number): number {
  let sum = 0;
  for (let index = 0; index < DIMENSIONS; index += 1) {
    const difference = a[index]! - b[from + index]!;
    sum += difference * difference;
  }
  return Math.sqrt(sum) + a[HEIGHT]! + b[from + HEIGHT]!;
}

/** The round trip to expect, in milliseconds; b's numbers begin at `from`. */
export function coordinateDistance(a: Numbers, b: Numbers, from = 0): number {
  const raw = rawDistance(a, b, from);
  const adjusted = raw + a[ADJUSTMENT]! + b[from + ADJUSTMENT]!;
  return adjusted > 0 ? adjusted : raw;
}

/** A member's own coordinate. */
export class Vivaldi {
  readonly own = freshCoordinate();
  readonly #prng: Prng;
  readonly #adjustments = new Float64Array(ADJUSTMENT_WINDOW);
  #adjustmentAt = 0;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** A round trip of rttMs to a member at that coordinate. */
  observe(other: Coordinate, rttMs: number): void {
    const { own } = this;
    const rtt = Math.max(rttMs, TINY_MS);
    const distance = rawDistance(own, other, 0);
    const wrongness = Math.abs(distance - rtt) / rtt;
    const total = Math.max(own[ERROR]! + other[ERROR]!, 1e-6);
    const weight = own[ERROR]! / total;
    own[ERROR] = Math.min(ERROR_MAX, CE * weight * wrongness + own[ERROR]! * (1 - CE * weight));
    this.#push(other, CC * weight * (rtt - distance));
    this.#adjust(other, rtt);
    this.#gravity();
    for (let index = 0; index < COORDINATE_FLOATS; index += 1) {
      if (!Number.isFinite(own[index]!)) {
        own.set(freshCoordinate());
        return;
      }
    }
  }

  /** Moves away from the other by forceMs, or towards it. */
  #push(other: Coordinate, forceMs: number): void {
    const { own } = this;
    let length = 0;
    for (let index = 0; index < DIMENSIONS; index += 1) length += (own[index]! - other[index]!) ** 2;
    length = Math.sqrt(length);
    if (length > TINY_MS * 1e-3) {
      const scale = forceMs / length;
      for (let index = 0; index < DIMENSIONS; index += 1) own[index]! += (own[index]! - other[index]!) * scale;
      own[HEIGHT] = Math.max(HEIGHT_MIN_MS, ((own[HEIGHT]! + other[HEIGHT]!) * forceMs) / length + own[HEIGHT]!);
      return;
    }
    // Both stand at one point: any direction will do, the first dimensions by chance.
    for (let index = 0; index < DIMENSIONS; index += 1) own[index]! += (this.#prng.next() - 0.5) * forceMs;
  }

  #adjust(other: Coordinate, rttMs: number): void {
    const { own } = this;
    this.#adjustments[this.#adjustmentAt] = rttMs - rawDistance(own, other, 0);
    this.#adjustmentAt = (this.#adjustmentAt + 1) % ADJUSTMENT_WINDOW;
    let sum = 0;
    for (let index = 0; index < ADJUSTMENT_WINDOW; index += 1) sum += this.#adjustments[index]!;
    own[ADJUSTMENT] = sum / (2 * ADJUSTMENT_WINDOW);
  }

  /** Draws the cloud of all members slowly to the origin, so that it does not drift. */
  #gravity(): void {
    const { own } = this;
    let length = 0;
    for (let index = 0; index < DIMENSIONS; index += 1) length += own[index]! ** 2;
    if (length === 0) return;
    length = Math.sqrt(length);
    const force = -((length / GRAVITY_RHO_MS) ** 2);
    for (let index = 0; index < DIMENSIONS; index += 1) own[index]! += (own[index]! / length) * force;
  }
}

/** The middle one: of the last three round trips to a peer, so that one slow answer moves nobody. */
export function medianOfThree(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
