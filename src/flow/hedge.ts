/**
 * First-token hedging for one model in one worker: when a request has waited for its first token longer than nearly all
 * do, a second one goes to another target, the first answer is used, and the other request is cancelled at once ("The
 * Tail at Scale", Dean and Barroso 2013). This core says after which delay, and whether it may be done at all.
 *
 * The budget: each request that may be hedged earns `share` of a hedge, from nothing, and at most `burst` are saved up.
 * So of n such requests never more than share * n are sent twice, whatever the targets do.
 *
 * What to observe, once for each request: the time from its first sending to its first token, whichever of the two brought
 * it; errors are no tokens. A request that was given up before a first token is observed as well, with the time it had
 * waited: it would have taken at least that, and leaving it out would make the percentile, and so the delay, too short.
 *
 * Until `samplesMin` are known (old ones count in part, so that also holds after a long pause) the delay is Infinity.
 */
import { LatencyHistogram } from "./latency-histogram.ts";
import type { HedgeConfig } from "./settings.ts";

/** Of a model that is to be hedged though the settings hedge none: what the 95th percentile leaves. */
const FORCED_SHARE = 0.05;
/** The percentile is looked up anew after so many observations. */
const REFRESH_AFTER = 16;

export class Hedge {
  readonly #config: HedgeConfig;
  readonly #latencies: LatencyHistogram;
  #balance = 0;
  #shareMin = 0;
  #delayMs = Infinity;
  #unseen = 0;

  constructor(config: HedgeConfig, nowMs: number) {
    this.#config = config;
    this.#latencies = new LatencyHistogram(config.halfLifeMs, nowMs);
  }

  /** A request came that may be hedged; `isForced`: also where the settings hedge none. */
  request(nowMs: number, isForced = false): void {
    this.#shareMin = isForced ? FORCED_SHARE : 0;
    this.#balance = Math.min(this.#config.burst, this.#balance + this.#share);
    if (this.#latencies.decay(nowMs)) this.#refresh();
  }

  /** How long after its first sending a request may be sent a second time; Infinity: not at all. */
  delayMs(): number {
    return this.#delayMs;
  }

  /** Whether a second request may be sent now, its delay being over; one that may is paid for. */
  tryHedge(nowMs: number): boolean {
    if (this.#latencies.decay(nowMs)) this.#refresh();
    if (this.#balance < 1 || this.#delayMs === Infinity) return false;
    this.#balance--;
    return true;
  }

  /** A first token came, or was given up, `ttftMs` after the request was first sent. */
  observe(ttftMs: number, nowMs: number): void {
    this.#latencies.observe(ttftMs, nowMs);
    if (++this.#unseen >= REFRESH_AFTER || this.#delayMs === Infinity) this.#refresh();
  }

  get #share(): number {
    return this.#config.share > 0 ? this.#config.share : this.#shareMin;
  }

  #refresh(): void {
    this.#unseen = 0;
    const { samplesMin, quantile, delayMsMin } = this.#config;
    const known = this.#share > 0 && this.#latencies.total >= samplesMin;
    this.#delayMs = known ? Math.max(delayMsMin, this.#latencies.quantile(quantile)) : Infinity;
  }
}
