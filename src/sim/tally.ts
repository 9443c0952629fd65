/** What came of a simulated run, as its clients saw it. */
import type { Arrival } from "./arrival.ts";
import type { BatchingStats, EndEvent } from "./batching.ts";

export interface Served extends EndEvent {
  /** When the client had the end of it. */
  readonly seenMs: number;
}

export interface Outcome {
  readonly requests: number;
  /** Share of the requests that were good. */
  readonly goodput: number;
  /** By a node that could never hold them. */
  readonly refused: number;
  /** That failed at their nodes, or found none. */
  readonly lost: number;
  readonly ttftMeanMs: number;
  readonly ttftMs: Readonly<Record<"p50" | "p90" | "p95" | "p99" | "p999", number>>;
  readonly itlMs: Readonly<Record<"p50" | "p95" | "p99", number>>;
  readonly longestMs: number;
  /** Of whole requests, in the order in which they ended. */
  readonly endsMs: readonly number[];
  /** Of prompt tokens, those that a cache had. */
  readonly hitRate: number;
  readonly preemptions: number;
  readonly endMs: number;
  /** Of the nodes' time, in which they computed: mean, and the deviation among them. */
  readonly utilisation: number;
  readonly utilisationSpread: number;
}

export class Tally {
  readonly #goodTtftMs: number;
  readonly #goodItlMs: number;
  readonly #ttftsMs: number[] = [];
  readonly #endsMs: number[] = [];
  readonly #itlsMs: number[] = [];
  #good = 0;
  #refused = 0;
  #lost = 0;
  #promptTokens = 0;
  #cachedTokens = 0;

  constructor(slo: { readonly ttftMs: number; readonly itlMs: number }) {
    this.#goodTtftMs = slo.ttftMs;
    this.#goodItlMs = slo.itlMs;
  }

  served(arrival: Arrival, served: Served, networkMs: number): void {
    if (served.end !== "finished") {
      this.#refused += 1;
      return;
    }
    // What generates nothing (vectors) is answered at its end.
    const answeredMs = served.outputTokens > 0 ? served.firstTokenAtMs : served.endedAtMs;
    const ttftMs = answeredMs + networkMs - arrival.atMs;
    const gaps = served.outputTokens - 1;
    const itlMs = gaps > 0 ? (served.endedAtMs - served.firstTokenAtMs) / gaps : 0;
    this.#ttftsMs.push(ttftMs);
    this.#endsMs.push(served.endedAtMs + networkMs - arrival.atMs);
    if (gaps > 0) this.#itlsMs.push(itlMs);
    if (ttftMs <= this.#goodTtftMs && itlMs <= this.#goodItlMs) this.#good += 1;
    this.#promptTokens += served.promptTokens;
    this.#cachedTokens += served.cachedTokens;
  }

  lost(): void {
    this.#lost += 1;
  }

  outcome(endMs: number, nodes: readonly BatchingStats[]): Outcome {
    const ttfts = Float64Array.from(this.#ttftsMs).sort();
    const itls = Float64Array.from(this.#itlsMs).sort();
    const requests = ttfts.length + this.#refused + this.#lost;
    const busy = nodes.map(({ busyMs }) => busyMs / endMs);
    const utilisation = mean(busy);
    return {
      requests,
      goodput: this.#good / requests,
      refused: this.#refused,
      lost: this.#lost,
      ttftMeanMs: mean(ttfts),
      ttftMs: {
        p50: quantile(ttfts, 0.5),
        p90: quantile(ttfts, 0.9),
        p95: quantile(ttfts, 0.95),
        p99: quantile(ttfts, 0.99),
        p999: quantile(ttfts, 0.999),
      },
      itlMs: { p50: quantile(itls, 0.5), p95: quantile(itls, 0.95), p99: quantile(itls, 0.99) },
      longestMs: ttfts.at(-1) ?? NaN,
      endsMs: this.#endsMs,
      hitRate: this.#cachedTokens / this.#promptTokens,
      preemptions: nodes.reduce((sum, node) => sum + node.preemptions, 0),
      endMs,
      utilisation,
      utilisationSpread: Math.sqrt(mean(busy.map((each) => (each - utilisation) ** 2))),
    };
  }
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < values.length; at += 1) sum += values[at]!;
  return sum / values.length;
}

/** Of sorted values, by the nearest rank. */
function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}
