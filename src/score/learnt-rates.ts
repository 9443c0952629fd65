/**
 * The learnt rates of all rows of one model, and what rows are written by.
 *
 * What is learnt of a row weighs by its confidence: the observations that count, of which `samplesMin` are enough, and the
 * standard error of the rate. The rest of the weight has the prior, times what most rows of the model are found to be more
 * or less than theirs (the median): so a target that is new begins with what is known of its like. A row that can't be told
 * from them is written by that alone, since differences of a few percent between equal targets are chance, and taken at
 * their word would send all requests of a mesh at rest to one of them. It has its own figure from DISTINCT on, if that is
 * two standard errors too, and until it is down to half of it.
 */
import type { LearningConfig } from "./learning-settings.ts";
import { BOUND, type Learnt } from "./learnt-line.ts";
import { type RowPriors, RowRates } from "./row-rates.ts";

/** Logarithms of ratios: a fifth more, or less. */
const DISTINCT = 0.2;
const ERRORS = 2;
/** A standard error, as a part of the rate, of which half is believed. */
const ERROR_HALF = 0.25;
/** A row of at least this confidence says what is typical of its like. */
const CONFIDENT = 0.5;
const ROWS_MIN = 16;

/** How a row's figure came about. */
export interface UsedRate {
  /** What the row is written by, in seconds a token. */
  readonly used: number;
  readonly prior: number;
  /** What its own requests alone tell. */
  readonly learnt: number;
  /** Observations that count, of the last of them when. */
  readonly samples: number;
  readonly seenMs: number;
  /** 0 to 1: how much its own requests' word counts. */
  readonly confidence: number;
  /** What the model's rows are more than their priors, typically. */
  readonly typical: number;
}

interface Known {
  readonly rates: RowRates;
  isDistinct: boolean;
  /** As of the last renewal, and so the next two. */
  learnt: Learnt | null;
  confidence: number;
  /** Which the confidence is of, and until when it stays what it is. */
  version: number;
  untilMs: number;
  /** Logarithms: what was learnt as a multiple of the row's prior; what it is to be taken for. */
  own: number;
  ratio: number;
}

export class LearntRates {
  readonly #config: LearningConfig;
  readonly #rows = new Map<number, Known>();
  /** The logarithm of what rows are more than their priors. */
  #typical = 0;
  /** Of the rows that say what that is. */
  #ratios = new Float64Array(ROWS_MIN);
  /** When that was, and by what. */
  #renewedMs = -Infinity;
  #samplesMin = NaN;
  #halfLifeMs = NaN;
  /** The power of e that was asked for last: most rows have the typical ratio. */
  #exponent = 0;
  #power = 1;

  /** `config` may change in place. */
  constructor(config: LearningConfig) {
    this.#config = config;
  }

  /** The rates of a row, which is thought of as `priors` say where it is new. */
  of(row: number, priors: RowPriors): RowRates {
    const known = this.#rows.get(row);
    if (known !== undefined) {
      known.rates.assume(priors);
      return known.rates;
    }
    const rates = new RowRates(priors, this.#config);
    this.#rows.set(row, {
      rates,
      isDistinct: false,
      learnt: null,
      confidence: 0,
      version: -1,
      untilMs: -Infinity,
      own: 0,
      ratio: this.#typical,
    });
    return rates;
  }

  find(row: number): RowRates | undefined {
    return this.#rows.get(row)?.rates;
  }

  /** The row leads elsewhere from now on, or nowhere. */
  drop(row: number): void {
    this.#rows.delete(row);
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Takes in what was observed: `secondsOf` says the same until the next call, while priors stay. */
  renew(nowMs: number): void {
    if (this.#ratios.length < this.#rows.size) this.#ratios = new Float64Array(this.#rows.size * 2);
    const ratios = this.#ratios;
    // More than enough is enough: until it is less, a row of which nothing came is what it was.
    const { samplesMin, halfLifeMs } = this.#config;
    const isOther = samplesMin !== this.#samplesMin || halfLifeMs !== this.#halfLifeMs;
    [this.#samplesMin, this.#halfLifeMs, this.#renewedMs] = [samplesMin, halfLifeMs, nowMs];
    let count = 0;
    for (const known of this.#rows.values()) {
      known.rates.settle(nowMs);
      if (isOther || nowMs >= known.untilMs || known.version !== known.rates.prefillVersion) this.#learn(known, nowMs);
      if (known.confidence < CONFIDENT) continue;
      ratios[count] = known.confidence * known.own;
      count += 1;
    }
    this.#typical = median(ratios.subarray(0, count));
    for (const known of this.#rows.values()) this.#judge(known);
  }

  #learn(known: Known, nowMs: number): void {
    const { rates } = known;
    const learnt = rates.seenMs === -Infinity ? null : rates.prefill(nowMs);
    known.version = rates.prefillVersion;
    known.learnt = learnt;
    known.confidence = 0;
    known.untilMs = -Infinity;
    if (learnt === null) return;
    known.own = Math.log(learnt.slope / rates.priors.secondsPerPrefillToken);
    known.confidence = confidenceOf(learnt, this.#config);
    known.untilMs = rates.prefillCountsUntilMs(this.#samplesMin);
  }

  #judge(known: Known): void {
    const { learnt, own, confidence } = known;
    known.ratio = this.#typical;
    if (learnt === null) {
      known.isDistinct = false;
      return;
    }
    const off = own - this.#typical;
    const most = Math.max(DISTINCT, ERRORS * learnt.error);
    known.isDistinct = Math.abs(off) > (known.isDistinct ? most / 2 : most);
    if (known.isDistinct) known.ratio += off * confidence;
  }

  /** What a prompt token is to be taken to take at the row; undefined where there is none of that number. */
  secondsOf(row: number): number | undefined {
    const known = this.#rows.get(row);
    return known === undefined ? undefined : this.#seconds(known);
  }

  /** The same of all rows, each at its number. */
  fillSeconds(into: Float64Array): void {
    for (const [row, known] of this.#rows) into[row] = this.#seconds(known);
  }

  #seconds({ rates, ratio }: Known): number {
    const { secondsPerPrefillToken } = rates.priors;
    if (!this.#config.enabled || ratio === 0) return secondsPerPrefillToken;
    if (ratio !== this.#exponent) {
      this.#exponent = ratio;
      this.#power = Math.exp(ratio);
    }
    return secondsPerPrefillToken * Math.min(BOUND, Math.max(1 / BOUND, this.#power));
  }

  /** The same, and how it came about: for people. */
  used(row: number): UsedRate | undefined {
    const known = this.#rows.get(row);
    if (known === undefined) return undefined;
    const { rates, confidence } = known;
    const learnt = known.learnt === null ? null : rates.prefill(this.#renewedMs);
    const prior = rates.priors.secondsPerPrefillToken;
    return {
      used: this.#seconds(known),
      prior,
      learnt: learnt?.slope ?? prior,
      samples: learnt?.samples ?? 0,
      seenMs: rates.seenMs,
      confidence,
      typical: Math.exp(this.#typical),
    };
  }
}

/** How much what was learnt counts beside what was thought before. */
export function confidenceOf({ samples, error }: Learnt, { samplesMin }: LearningConfig): number {
  return Math.min(1, samples / samplesMin) / (1 + (error / ERROR_HALF) ** 2);
}

/** Of values that are put in order. */
function median(values: Float64Array): number {
  const { length } = values;
  if (length === 0) return 0;
  values.sort();
  const middle = length >> 1;
  return length % 2 === 1 ? values[middle]! : (values[middle - 1]! + values[middle]!) / 2;
}
