/**
 * Whether one rule holds for one GPU, by findings that come as they come. It turns on when it was found bad for `holdMs`
 * on end, and off when it was found good for `clearMs` on end; a finding between the two thresholds ends either run and
 * leaves all as it is. So nothing flaps, however noisy the figure.
 *
 * What is not known neither turns it on nor off; a run goes on when the next known finding is as before. After
 * `forgetMs` without a known finding it is forgotten: off, since nothing says any more that it is so. What is not judged
 * leaves it as it is too, but ends a run that would turn it on: two bad moments with a rest between are not "on end".
 */

/**
 *   unjudged   the figure is known and says nothing at this moment (a link that rests): it stays on, or off
 *   unknown    there is no figure
 */
export type Judgement = "bad" | "between" | "good" | "unjudged" | "unknown";

export interface ConditionTimes {
  readonly holdMs: number;
  readonly clearMs: number;
  readonly forgetMs: number;
}

export class Condition {
  readonly #times: ConditionTimes;
  #isOn = false;
  #sinceMs = 0;
  /** When the run began that would turn it; -1 without one. */
  #runMs = -1;
  #last: Judgement = "unknown";
  #knownMs = 0;
  #judgedMs = 0;

  constructor(times: ConditionTimes) {
    this.#times = times;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** When it began to be bad; only of one that is on. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** When it has to be looked at again though nothing new was read; Infinity: never. */
  get wakeAtMs(): number {
    if (!this.#isOn && this.#runMs < 0) return Infinity;
    if (this.#last === "unknown") return this.#knownMs + this.#times.forgetMs;
    return this.#last === "unjudged" || this.#runMs < 0 ? Infinity : this.#runMs + this.#turnMs;
  }

  see(judgement: Judgement, nowMs: number): void {
    this.#last = judgement;
    if (judgement === "unknown") {
      if (nowMs - this.#knownMs >= this.#times.forgetMs) this.forget();
      return;
    }
    this.#knownMs = nowMs;
    if (judgement === "unjudged") {
      if (!this.#isOn) this.#runMs = -1;
      return;
    }
    // A run of which nothing was seen for so long is none.
    if (nowMs - this.#judgedMs >= this.#times.forgetMs) this.#runMs = -1;
    this.#judgedMs = nowMs;
    const isTurning = judgement === (this.#isOn ? "good" : "bad");
    if (!isTurning) this.#runMs = -1;
    else if (this.#runMs < 0) this.#runMs = nowMs;
    if (this.#runMs < 0 || nowMs - this.#runMs < this.#turnMs) return;
    this.#isOn = !this.#isOn;
    this.#sinceMs = this.#runMs;
    this.#runMs = -1;
  }

  forget(): void {
    this.#isOn = false;
    this.#runMs = -1;
  }

  get #turnMs(): number {
    return this.#isOn ? this.#times.clearMs : this.#times.holdMs;
  }
}
