/**
 * Which metric of a server is which figure: data, the same for the adapters that come with infermesh and for those that
 * users write in YAML (runtime-map.ts).
 *
 *     const MAP: MetricMap = {
 *       figures: {
 *         runningRequests: { value: "vllm:num_requests_running" },
 *         kvUsage: { value: { names: ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"], across: "mean" } },
 *         cacheHitRate: { ratio: ["vllm:prefix_cache_hits", "vllm:prefix_cache_queries"] },
 *         timeToFirstToken: { quantiles: "vllm:time_to_first_token_seconds" },
 *       },
 *     };
 *
 * Names are those of samples; a counter's may be written with or without `_total`, and is found both ways.
 */
import type { EngineFigures } from "./reading.ts";

export const ACROSS = ["sum", "mean", "max", "min"] as const;
/** What several series of one family make together, such as those of data-parallel engines. */
export type Across = (typeof ACROSS)[number];

/** Where a number stands on the page. */
export interface Family {
  /** Of which the first that is on the page counts: newer names first. */
  readonly names: readonly string[];
  /** Labels that a series must have, with these values. */
  readonly where?: Readonly<Record<string, string>>;
  /** Sum where it is not said. */
  readonly across?: Across;
  /** Multiplied with what stands there: 0.01 for percent, 1e-6 for microseconds. */
  readonly scale?: number;
}

/** One name or several alone stand for a family with nothing else to say. */
export type FamilySource = string | readonly string[] | Family;

/**
 * value        what stands there: a gauge, or a counter's running total
 * label        the number in a label of an info metric
 * series       how many series there are: one for each engine, for example
 * rate         a counter's growth a second, over the window
 * ratio        the growth of one counter by that of another, over the window; undefined where the second did not grow
 * mean         of a histogram or summary, over the window
 * quantiles    of a histogram, over the window; a summary's own where there are no buckets
 * number       a constant: what the server does not tell, but who configures it knows
 * first        the first of these that is known
 * best         the highest that was seen. It falls only as others are seen, to half of the way in `halfLifeMs`: idleness
 *              says nothing of speed
 * held         the last that was above 0, while nothing happens
 */
export type Figure =
  | { readonly value: FamilySource }
  | { readonly label: string; readonly of: FamilySource }
  | { readonly series: FamilySource }
  | { readonly rate: FamilySource }
  | { readonly ratio: readonly [FamilySource, FamilySource] }
  | { readonly mean: FamilySource }
  | { readonly number: number }
  | { readonly sum: readonly Figure[] }
  | { readonly product: readonly Figure[] }
  | { readonly difference: readonly [Figure, Figure] }
  | { readonly quotient: readonly [Figure, Figure] }
  | { readonly first: readonly Figure[] }
  | { readonly best: Figure; readonly halfLifeMs?: number }
  | { readonly held: Figure };

export interface Distribution {
  readonly quantiles: FamilySource;
}

export const QUANTILE_FIGURES = ["timeToFirstToken", "interTokenLatency", "queueTime"] as const;
export type QuantileFigure = (typeof QUANTILE_FIGURES)[number];
export type NumberFigure = Exclude<keyof EngineFigures, QuantileFigure>;

/** The figures that are a number, and the most that each may sensibly be: beyond it is what nobody meant. */
export const NUMBER_FIGURES: Readonly<Record<NumberFigure, number>> = {
  runningRequests: 1e9,
  waitingRequests: 1e9,
  queuedPrefillTokens: 1e15,
  kvUsage: 1,
  kvCapacityTokens: 1e15,
  cacheHitRate: 1,
  prefillTokensPerSecond: 1e12,
  decodeTokensPerSecond: 1e12,
  slots: 1e9,
  preemptionsPerSecond: 1e9,
  requestsPerSecond: 1e9,
  failedResponses: Number.MAX_SAFE_INTEGER,
};

export type FigureMap = { readonly [F in NumberFigure]?: Figure } & { readonly [F in QuantileFigure]?: Distribution };

/**
 * A label's texts, or how often something was done: who counts the requests that it answers counts those, too, by which
 * somebody else loads a model, and so tells of them without being asked more.
 */
export type ModelHint = { readonly label: string; readonly of: FamilySource } | { readonly counted: FamilySource };

export interface MetricMap {
  readonly figures: FigureMap;
  /** More numbers, for what a table makes of its readings by itself. */
  readonly notes?: Readonly<Record<string, Figure>>;
  /**
   * Labels of which the first that a series has names the model whose figure it is, for servers that have an engine for
   * each model. Series of all models make the runtime's figures together. Where it is left out, all is the runtime's.
   */
  readonly modelLabels?: readonly string[];
  /** What says, by being another one, that the models may be others now: then the server is asked for them at once. */
  readonly modelHints?: readonly ModelHint[];
  /** What is there where loads are counted, though none was made yet: looks at the list of models are counted with them. */
  readonly hintsShownBy?: FamilySource;
  /** Over which rates, ratios and quantiles are taken: 10 s where it is not said. */
  readonly windowMs?: number;
}
