/** What came of a simulated run, as its clients saw it. */
import type { Arrival } from "./arrival.ts";
import type { BatchingStats, EndEvent } from "./batching.ts";

/** All that came of one mesh. */
export interface Played {
  /** Of those that were served, in the order in which they ended. */
  readonly ttftsMs: Float64Array;
  readonly endsMs: Float64Array;
  /** Mean times between tokens, of those that had more than one. */
  readonly itlsMs: Float64Array;
  readonly good: number;
  readonly refused: number;
  readonly lost: number;
  readonly promptTokens: number;
  /** Of them, such as a cache had. */
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly preemptions: number;
  /** Requests that were sent twice and answered by one of the two, and prompt tokens that were sent in vain. */
  readonly hedges: number;
  readonly hedgeWasteTokens: number;
  readonly endMs: number;
  /** By node: for how long it computed. */
  readonly busyMs: Float64Array;
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
  readonly #ttftsMs: Float64Array;
  readonly #endsMs: Float64Array;
  readonly #itlsMs: Float64Array;
  #served = 0;
  #gaps = 0;
  #good = 0;
  #refused = 0;
  #lost = 0;
  #promptTokens = 0;
  #cachedTokens = 0;
  #outputTokens = 0;
  #hedges = 0;
  #hedgeWasteTokens = 0;

  /** Of that many requests at most. */
  constructor(slo: { readonly ttftMs: number; readonly itlMs: number }, requests: number) {
    this.#ttftsMs = new Float64Array(requests);
    this.#endsMs = new Float64Array(requests);
    this.#itlsMs = new Float64Array(requests);
    this.#goodTtftMs = slo.ttftMs;
    this.#goodItlMs = slo.itlMs;
  }

  /**
   * Its client had the first token at `answeredMs`, and the end at `endSeenMs`. What generates nothing (vectors) is
   * answered at its end.
   */
  served(arrival: Arrival, served: EndEvent, answeredMs: number, endSeenMs: number): void {
    if (served.end !== "finished") {
      this.#refused += 1;
      return;
    }
    const ttftMs = answeredMs - arrival.atMs;
    const gaps = served.outputTokens - 1;
    const itlMs = gaps > 0 ? (served.endedAtMs - served.firstTokenAtMs) / gaps : 0;
    this.#ttftsMs[this.#served] = ttftMs;
    this.#endsMs[this.#served] = endSeenMs - arrival.atMs;
    this.#served += 1;
    if (gaps > 0) {
      this.#itlsMs[this.#gaps] = itlMs;
      this.#gaps += 1;
    }
    if (ttftMs <= this.#goodTtftMs && itlMs <= this.#goodItlMs) this.#good += 1;
    this.#promptTokens += served.promptTokens;
    this.#cachedTokens += served.cachedTokens;
    this.#outputTokens += served.outputTokens;
  }

  hedged(wastedTokens: number): void {
    this.#hedges += 1;
    this.#hedgeWasteTokens += wastedTokens;
  }

  lost(): void {
    this.#lost += 1;
  }

  played(endMs: number, nodes: readonly BatchingStats[]): Played {
    return {
      ttftsMs: this.#ttftsMs.slice(0, this.#served),
      endsMs: this.#endsMs.slice(0, this.#served),
      itlsMs: this.#itlsMs.slice(0, this.#gaps),
      good: this.#good,
      refused: this.#refused,
      lost: this.#lost,
      promptTokens: this.#promptTokens,
      cachedTokens: this.#cachedTokens,
      outputTokens: this.#outputTokens,
      preemptions: sum(nodes, (node) => node.preemptions),
      hedges: this.#hedges,
      hedgeWasteTokens: this.#hedgeWasteTokens,
      endMs,
      busyMs: Float64Array.from(nodes, ({ busyMs }) => busyMs),
    };
  }
}

/** Counts of meshes beside one another, as of one. */
export function totalsOf(parts: readonly Played[]) {
  const refused = sum(parts, (part) => part.refused);
  const lost = sum(parts, (part) => part.lost);
  const served = sum(parts, ({ ttftsMs }) => ttftsMs.length);
  const requests = served + refused + lost;
  return {
    requests,
    served,
    goodput: sum(parts, (part) => part.good) / requests,
    refused,
    lost,
    hitRate: sum(parts, (part) => part.cachedTokens) / sum(parts, (part) => part.promptTokens),
    preemptions: sum(parts, (part) => part.preemptions),
    endMs: Math.max(...parts.map(({ endMs }) => endMs)),
  };
}

/** Of meshes beside one another, as of one. */
export function outcomeOf(parts: readonly Played[]): Outcome {
  const ttfts = sorted(parts.map(({ ttftsMs }) => ttftsMs));
  const itls = sorted(parts.map(({ itlsMs }) => itlsMs));
  const { requests, goodput, refused, lost, hitRate, preemptions, endMs: lastMs } = totalsOf(parts);
  const busy = parts.flatMap(({ busyMs, endMs }) => Array.from(busyMs, (ms) => ms / endMs));
  const utilisation = mean(busy);
  return {
    requests,
    goodput,
    refused,
    lost,
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
    endsMs: parts.flatMap(({ endsMs }) => Array.from(endsMs)),
    hitRate,
    preemptions,
    endMs: lastMs,
    utilisation,
    utilisationSpread: Math.sqrt(mean(busy.map((each) => (each - utilisation) ** 2))),
  };
}

export function sorted(parts: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(sum(parts, ({ length }) => length));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all.sort();
}

export function sum<T>(of: readonly T[], figure: (each: T) => number): number {
  return of.reduce((all, each) => all + figure(each), 0);
}

export function mean(values: ArrayLike<number>): number {
  let all = 0;
  for (let at = 0; at < values.length; at += 1) all += values[at]!;
  return all / values.length;
}

/** Of sorted values, by the nearest rank. */
export function quantile(from: Float64Array, share: number): number {
  return from[Math.max(0, Math.ceil(share * from.length) - 1)] ?? NaN;
}
