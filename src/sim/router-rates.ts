/** What a router of a simulated mesh learns of its nodes' rates, by the router's own code (score/learnt-rates.ts). */
import { defaultsOf } from "../base/settings-reading.ts";
import { learningSettings } from "../score/learning-settings.ts";
import { LearntRates } from "../score/learnt-rates.ts";
import type { RowPriors, RowRates } from "../score/row-rates.ts";
import type { Sent } from "./sent.ts";

const LEARNING = defaultsOf(learningSettings);
const NO_LEARNING = { ...LEARNING, enabled: false };

export class RouterRates {
  readonly #learnt: LearntRates;
  /** By target, and so the next. */
  readonly #rates: readonly RowRates[];
  /** Prompt tokens that were sent there. */
  readonly #sentTokens: Float64Array;
  /** What a prompt token is found to take there. */
  readonly seconds: Float64Array;

  constructor(priors: readonly RowPriors[], learns: boolean) {
    this.#learnt = new LearntRates(learns ? LEARNING : NO_LEARNING);
    this.#rates = priors.map((each, target) => this.#learnt.of(target, each));
    this.#sentTokens = new Float64Array(priors.length);
    this.seconds = new Float64Array(priors.length);
    this.#learnt.fillSeconds(this.seconds);
  }

  sent(sent: Sent, othersTokens: number): void {
    this.#sentTokens[sent.target]! += sent.freshTokens;
    sent.sentTokens = this.#sentTokens[sent.target]!;
    sent.othersTokens = othersTokens;
  }

  firstToken({ target, freshTokens: tokens, sentTokens, othersTokens, sentMs }: Sent, firstMs: number): void {
    this.#rates[target]!.firstToken({ tokens, sentTokens, othersTokens, sentMs, firstMs, isWhole: false });
  }

  renew(nowMs: number): void {
    this.#learnt.renew(nowMs);
    this.#learnt.fillSeconds(this.seconds);
  }
}
