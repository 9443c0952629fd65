/**
 * The rates of one row, a model at a target, as its router's own requests tell them: what a prompt token takes, and what a
 * step of decoding does by the requests in the batch (learnt-line.ts).
 *
 * Runtimes compute prompts in the order in which they come, so the first token of one is the moment at which all before it
 * are done, and between two first tokens of a target at work lies the time for what was sent between them: `sentTokens`
 * counts that. First tokens of one step come together, and are one lesson. Where it isn't sure what was computed in such a
 * time (prompts whose answers come whole, and are therefore not seen to be done; those that were given up; other routers')
 * it teaches only that a token takes less than was thought if the least that was computed would have taken longer, and
 * more if the most would have taken less. A whole answer teaches only the former: what of its time was decoding is not
 * known.
 *
 * Tokens are the router's own count, as everything in a row: where that is wrong by a factor, or what it believes to be
 * cached by a share, so is the rate, and their product is right.
 */
import type { LearningConfig } from "./learning-settings.ts";
import { type Learnt, LearntLine, type Prior } from "./learnt-line.ts";

/** First tokens that come within this time of each other are of one step. */
const SAME_STEP_MS = 1;
/** What a first token takes beside its prompt: the way there and back, the rest of a step, and its own. */
const OFFSET_SECONDS = 0.005;
const OFFSET_DEVIATION = 0.02;
/** A step without requests, which reads the weights: 8B of 16 bits on a large GPU, and some times that. */
const STEP_SECONDS = 0.01;
const STEP_DEVIATION = 0.05;

/** The first token of a request, or its answer where that comes whole. Counts of tokens wrap at 2^32. */
export interface FirstToken {
  /** Of the prompt, to be computed there. */
  readonly tokens: number;
  /** Of all prompts that were sent there, up to this one. */
  readonly sentTokens: number;
  /** Others' prompts that may have been before it; 0. */
  readonly othersTokens: number;
  readonly sentMs: number;
  readonly firstMs: number;
  readonly isWhole: boolean;
}

/** A stream that has ended: how far apart its tokens were, and with how many others in the batch. */
export interface StreamEnd {
  readonly secondsPerToken: number;
  readonly requests: number;
  readonly atMs: number;
}

/** What is thought of a row before anything is observed. */
export interface RowPriors {
  readonly secondsPerPrefillToken: number;
  /** What one more request adds to a step. */
  readonly secondsPerActive: number;
}

export class RowRates {
  readonly #prefill: LearntLine;
  readonly #step: LearntLine;
  #priors: RowPriors;
  #isKnown = false;
  #sentTokens = 0;
  #firstMs = -Infinity;
  /** First tokens of one step, or a few: the least and the most that was computed for them, and how long it took. */
  #least = 0;
  #most = 0;
  #ms = 0;

  /** `config` may change in place. */
  constructor(priors: RowPriors, config: LearningConfig) {
    this.#priors = priors;
    this.#prefill = new LearntLine(prefillPrior(priors), config);
    this.#step = new LearntLine(stepPrior(priors), config);
  }

  get priors(): RowPriors {
    return this.#priors;
  }

  /** When a first token taught something last; -Infinity: never. */
  get seenMs(): number {
    return this.#prefill.seenMs;
  }

  assume(priors: RowPriors): void {
    const { secondsPerPrefillToken, secondsPerActive } = this.#priors;
    if (priors.secondsPerPrefillToken === secondsPerPrefillToken && priors.secondsPerActive === secondsPerActive)
      return;
    this.#priors = priors;
    this.#prefill.assume(prefillPrior(priors));
    this.#step.assume(stepPrior(priors));
  }

  /** In the order in which they came. */
  firstToken(first: FirstToken): void {
    const { tokens, sentTokens, firstMs } = first;
    const more = (sentTokens - this.#sentTokens) | 0;
    if (!this.#isKnown) {
      // A whole answer says when its prompt was computed at the latest, which is too late to count from.
      if (first.isWhole) return;
    } else if (more < tokens) {
      // It was overtaken: its time is part of the next lesson's.
      return;
    } else if (first.isWhole) {
      this.#wholeAnswer(first);
    } else {
      this.#lesson(first, more);
    }
    this.#isKnown = true;
    this.#sentTokens = sentTokens | 0;
    if (!first.isWhole) this.#firstMs = Math.max(this.#firstMs, firstMs);
  }

  #wholeAnswer({ tokens, sentMs, firstMs }: FirstToken): void {
    this.settle(Infinity);
    const seconds = (firstMs - Math.max(this.#firstMs, sentMs)) / 1000;
    if (seconds < this.#prefill.expected(tokens)) {
      this.#prefill.observe(tokens, seconds, firstMs, this.#worth(tokens));
    }
  }

  #lesson({ tokens, othersTokens, sentMs, firstMs }: FirstToken, more: number): void {
    const ms = Math.max(0, firstMs - Math.max(this.#firstMs, sentMs));
    if (ms > SAME_STEP_MS || this.#least === 0) {
      this.settle(Infinity);
      this.#most = Math.max(0, othersTokens);
    }
    this.#least += tokens;
    this.#most += more;
    this.#ms += ms;
  }

  /** Time passes: what came by then is all of its step. */
  settle(nowMs: number): void {
    if (this.#least === 0 || nowMs - this.#firstMs <= SAME_STEP_MS) return;
    const [least, most, seconds] = [this.#least, this.#most, this.#ms / 1000];
    this.#least = 0;
    this.#most = 0;
    this.#ms = 0;
    const line = this.#prefill;
    if (least < most && line.expected(least) <= seconds && line.expected(most) >= seconds) return;
    const amount = line.expected(least) > seconds ? least : most;
    line.observe(amount, seconds, this.#firstMs, (least / most) * this.#worth(amount));
  }

  /** What prompts take that are short, or cached but for a rest, is mostly other things: it must not crowd out the rest. */
  #worth(amount: number): number {
    return amount / (amount + OFFSET_DEVIATION / this.#priors.secondsPerPrefillToken);
  }

  streamEnded({ secondsPerToken, requests, atMs }: StreamEnd): void {
    this.#step.observe(requests, secondsPerToken, atMs);
  }

  /** Some first tokens were not told of: what was computed since the last one is not known. */
  lost(): void {
    this.#isKnown = false;
    this.#least = 0;
    this.#most = 0;
    this.#ms = 0;
  }

  /** What a prompt token takes, and a first token beside its prompt. */
  prefill(nowMs: number): Learnt {
    return this.#prefill.at(nowMs);
  }

  /** Counts changes of that, time's passing apart. */
  get prefillVersion(): number {
    return this.#prefill.version;
  }

  /** Until when at least so many observations of it count, if nothing more comes. */
  prefillCountsUntilMs(samples: number): number {
    return this.#prefill.countsUntilMs(samples);
  }

  /** What a request adds to a step of decoding, and what a step takes without. */
  step(nowMs: number): Learnt {
    return this.#step.at(nowMs);
  }

  forget(): void {
    this.lost();
    this.#prefill.forget();
    this.#step.forget();
  }
}

function prefillPrior({ secondsPerPrefillToken }: RowPriors): Prior {
  return { offset: OFFSET_SECONDS, offsetDeviation: OFFSET_DEVIATION, slope: secondsPerPrefillToken };
}

function stepPrior({ secondsPerActive }: RowPriors): Prior {
  return { offset: STEP_SECONDS, offsetDeviation: STEP_DEVIATION, slope: secondsPerActive };
}
