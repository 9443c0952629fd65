/**
 * A line that is learnt from what is observed: seconds = offset + slope * amount. For prompts the amount is tokens to
 * compute, for steps of decoding the requests in the batch; the offset is what either takes beside that.
 *
 * It is the mean of a Bayesian linear regression in which older observations count less (1/e after `memory` of them, half
 * after each `halfLife` of time), so the more is known, the less the prior counts. Observations are held against what was
 * expected by their ratio, since the noise of times grows with them, and each has a bounded say (Huber): one of ten
 * times the expected time moves the line no more than one of some deviations. How far observations scatter is learnt with
 * that bound too. Some of them that are far off on the same side, one soon after another, are no chance but a change
 * (clocks held down, another neighbour on the machine), as a cumulative sum of their deviations tells (CUSUM); then what
 * was known before counts for little.
 *
 * Bounds: the slope stays within BOUND times the prior's, either way; the offset within 0 and OFFSET_MAX. What is no number
 * that something could take is no observation.
 */
import { assert } from "../base/assert.ts";
import type { LearningConfig } from "./learning-settings.ts";

/** How many times more or less than the prior something may come to be thought. */
export const BOUND = 10;
/** Huber's, in deviations: 95 % as good as a mean where nothing is far off. */
const HUBER = 1.5;
/** An observation is farther off than this only by chance, in deviations; what it says of a change is bounded too. */
const FAR = 4;
/** The sum of what observations are farther off than usual, on one side, that tells of a change. */
const USUAL = 1.5;
const CHANGE = 8;
const KEPT_AT_CHANGE = 1 / 32;
/** How much the scatter follows one observation; in the logarithm of a ratio, or near it. */
const SCATTER_RATE = 1 / 16;
const SCATTER_FIRST = 0.5;
const SCATTER_MIN = 0.03;
/** Of a normal distribution: its deviation by its mean absolute one. */
const DEVIATION = 1.25;
const OFFSET_MAX = 10;
const SECONDS_MIN = 1e-6;
const SECONDS_MAX = 1e6;
const AMOUNT_MAX = 1e9;
/** How sure a prior's slope is, as a part of it. */
const SLOPE_DEVIATION = 2;
const SLOPE_SURE = 1 / SLOPE_DEVIATION ** 2;

/** What is thought before anything is observed. */
export interface Prior {
  readonly offset: number;
  /** How sure that is, in seconds. */
  readonly offsetDeviation: number;
  /** Taken to be right within a factor of some. */
  readonly slope: number;
}

export interface Learnt {
  readonly slope: number;
  readonly offset: number;
  /** Observations that count. */
  readonly samples: number;
  /** Of the slope: its standard error as a part of it. */
  readonly error: number;
}

export class LearntLine {
  readonly #config: LearningConfig;
  #prior: Prior;
  #offset: number;
  #slope: number;
  #error = Infinity;
  #scatter = SCATTER_FIRST;
  /** Weighted sums. */
  #count = 0;
  #ones = 0;
  #amounts = 0;
  #squares = 0;
  #times = 0;
  #products = 0;
  #seenMs = -Infinity;
  /** Counts changes of what is known, time's passing apart. */
  version = 0;
  /** The sums that tell of a change, to more and to less. */
  #more = 0;
  #less = 0;

  /** `config` may change in place. */
  constructor(prior: Prior, config: LearningConfig) {
    assert(prior.slope > 0 && prior.offset >= 0 && prior.offsetDeviation > 0, "a prior has a slope and a doubt");
    this.#config = config;
    this.#prior = prior;
    this.#offset = prior.offset;
    this.#slope = prior.slope;
  }

  /** When something was observed last; -Infinity: never. */
  get seenMs(): number {
    return this.#seenMs;
  }

  /** The prior has changed; what was observed stays. */
  assume(prior: Prior): void {
    const { slope, offset, offsetDeviation } = this.#prior;
    if (prior.slope === slope && prior.offset === offset && prior.offsetDeviation === offsetDeviation) return;
    this.#prior = prior;
    this.#solve();
  }

  /** That much took so long. `weight` is above 0; 1: nothing else is known to have taken some of the time. */
  observe(amount: number, seconds: number, nowMs: number, weight = 1): void {
    if (!(amount >= 0 && amount <= AMOUNT_MAX && weight > 0 && weight <= 1)) return;
    if (!(seconds >= SECONDS_MIN && seconds <= SECONDS_MAX && Math.abs(nowMs) < Infinity)) return;
    this.#pass(nowMs);
    const expected = this.expected(amount);
    const unit = Math.sqrt(expected * seconds);
    const off = (seconds - expected) / unit;
    this.#lookForChange(Math.max(-FAR, Math.min(FAR, off / this.#scatter)));
    const say = weight * Math.min(1, (HUBER * this.#scatter) / Math.abs(off));
    this.#keep(Math.exp(-weight / this.#config.memory));
    this.#add(amount, seconds, weight, say / (unit * unit));
    this.#scatter += (Math.min(Math.abs(off), FAR * this.#scatter) - this.#scatter) * SCATTER_RATE * weight;
    this.#scatter = Math.max(SCATTER_MIN, this.#scatter);
    this.#solve();
  }

  #lookForChange(deviations: number): void {
    this.#more = Math.max(0, this.#more + deviations - USUAL);
    this.#less = Math.max(0, this.#less - deviations - USUAL);
    if (Math.max(this.#more, this.#less) < CHANGE) return;
    this.#keep(KEPT_AT_CHANGE);
    this.#restart();
  }

  /** How far observations will scatter is not known. */
  #restart(): void {
    this.#scatter = SCATTER_FIRST;
    this.#more = 0;
    this.#less = 0;
  }

  /** What that much is expected to take. */
  expected(amount: number): number {
    return Math.max(SECONDS_MIN, this.#offset + this.#slope * amount);
  }

  /** What is known, as it counts now. */
  at(nowMs: number): Learnt {
    const samples = this.#count * this.#left(nowMs);
    return { slope: this.#slope, offset: this.#offset, samples, error: this.#error };
  }

  /** Until when at least so many observations count, if nothing more is observed. */
  countsUntilMs(samples: number): number {
    if (this.#count < samples) return -Infinity;
    // Short of it, however that is rounded.
    return this.#seenMs + this.#config.halfLifeMs * Math.log2(this.#count / samples) - 1;
  }

  /** Nothing was ever observed. */
  forget(): void {
    this.#keep(0);
    this.#restart();
    this.#seenMs = -Infinity;
    this.#solve();
  }

  /** Part of what was known that counts still; a clock that goes back is none. */
  #left(nowMs: number): number {
    return this.#count === 0 ? 0 : 0.5 ** (Math.max(0, nowMs - this.#seenMs) / this.#config.halfLifeMs);
  }

  #pass(nowMs: number): void {
    const left = this.#left(nowMs);
    if (left < 1) this.#keep(left);
    this.#seenMs = Math.max(this.#seenMs, nowMs);
  }

  #keep(part: number): void {
    this.#count *= part;
    this.#ones *= part;
    this.#amounts *= part;
    this.#squares *= part;
    this.#times *= part;
    this.#products *= part;
  }

  #add(amount: number, seconds: number, weight: number, say: number): void {
    this.#count += weight;
    this.#ones += say;
    this.#amounts += say * amount;
    this.#squares += say * amount * amount;
    this.#times += say * seconds;
    this.#products += say * amount * seconds;
  }

  /** The regression, of seconds at an offset and of seconds by the prior for the amount. */
  #solve(): void {
    this.version += 1;
    const { offset, offsetDeviation, slope } = this.#prior;
    const variance = (DEVIATION * this.#scatter) ** 2;
    const doubt = 1 / offsetDeviation ** 2;
    const ones = this.#ones / variance + doubt;
    const mixed = (this.#amounts * slope) / variance;
    const squares = (this.#squares * slope * slope) / variance + SLOPE_SURE;
    const times = this.#times / variance + offset * doubt;
    const products = (this.#products * slope) / variance + SLOPE_SURE;
    const determinant = ones * squares - mixed * mixed;
    let ratio = (ones * products - mixed * times) / determinant;
    const free = (squares * times - mixed * products) / determinant;
    this.#offset = Math.min(OFFSET_MAX, Math.max(0, free));
    // At the edge of what an offset may be, the slope is what goes best with that.
    if (this.#offset !== free) ratio = (products - mixed * this.#offset) / squares;
    ratio = Math.min(BOUND, Math.max(1 / BOUND, ratio));
    this.#slope = ratio * slope;
    this.#error = this.#offset === free ? Math.sqrt(ones / determinant) / ratio : 1 / (Math.sqrt(squares) * ratio);
  }
}
