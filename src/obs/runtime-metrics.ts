/** Metrics of the runtimes that an agent looks after; of the mock there is no more than of its models. */
import type { Quantiles } from "../base/runtime-terms.ts";
import { RUNTIME_METRICS } from "./agent-metric-names.ts";
import type { Exposition, Metric } from "./exposition.ts";

/** What is read of a runtime; undefined for what it does not tell. */
export interface RuntimeFigures {
  readonly name: string;
  readonly kind: string;
  readonly version: string;
  readonly state: string;
  readonly isServing: boolean;
  /** By state. */
  readonly models: ReadonlyMap<string, number>;
  readonly failures: ReadonlyMap<string, number>;
  readonly scrapeSeconds: number | undefined;
  readonly scrapeBytes: number | undefined;
  readonly runningRequests: number | undefined;
  readonly waitingRequests: number | undefined;
  readonly kvUsage: number | undefined;
  readonly cacheHitRate: number | undefined;
  readonly requestsPerSecond: number | undefined;
  readonly preemptionsPerSecond: number | undefined;
  readonly timeToFirstToken: Quantiles | undefined;
  readonly interTokenLatency: Quantiles | undefined;
  readonly queueTime: Quantiles | undefined;
}

export function addRuntimeMetrics(out: Exposition, read: () => readonly RuntimeFigures[]): void {
  const now = out.once(read);
  const each = (metric: Metric<"runtime">, value: (of: RuntimeFigures) => number | undefined): void =>
    out.add(metric, () => now().map((of) => [{ runtime: of.name }, value(of)] as const));
  const quantiles = (
    metric: Metric<"runtime" | "quantile">,
    value: (of: RuntimeFigures) => Quantiles | undefined,
  ): void => out.add(metric, () => now().flatMap((of) => quantileLines(of.name, value(of))));
  const counts = <L extends string>(
    metric: Metric<"runtime" | L>,
    label: L,
    value: (of: RuntimeFigures) => ReadonlyMap<string, number>,
  ): void =>
    out.add(metric, () =>
      now().flatMap((of) =>
        [...value(of)].map(
          ([word, count]) => [{ runtime: of.name, [label]: word } as Record<"runtime" | L, string>, count] as const,
        ),
      ),
    );
  out.add(RUNTIME_METRICS.info, () => now().map(({ name, kind, version }) => [{ runtime: name, kind, version }, 1]));
  each(RUNTIME_METRICS.up, ({ isServing }) => Number(isServing));
  out.add(RUNTIME_METRICS.state, () => now().map(({ name, state }) => [{ runtime: name, state }, 1]));
  counts(RUNTIME_METRICS.models, "state", ({ models }) => models);
  each(RUNTIME_METRICS.running, ({ runningRequests }) => runningRequests);
  each(RUNTIME_METRICS.waiting, ({ waitingRequests }) => waitingRequests);
  each(RUNTIME_METRICS.kvUsage, ({ kvUsage }) => kvUsage);
  each(RUNTIME_METRICS.cacheHits, ({ cacheHitRate }) => cacheHitRate);
  each(RUNTIME_METRICS.requests, ({ requestsPerSecond }) => requestsPerSecond);
  each(RUNTIME_METRICS.preemptions, ({ preemptionsPerSecond }) => preemptionsPerSecond);
  quantiles(RUNTIME_METRICS.firstToken, ({ timeToFirstToken }) => timeToFirstToken);
  quantiles(RUNTIME_METRICS.interToken, ({ interTokenLatency }) => interTokenLatency);
  quantiles(RUNTIME_METRICS.queueTime, ({ queueTime }) => queueTime);
  each(RUNTIME_METRICS.scrapeSeconds, ({ scrapeSeconds }) => scrapeSeconds);
  each(RUNTIME_METRICS.scrapeBytes, ({ scrapeBytes }) => scrapeBytes);
  counts(RUNTIME_METRICS.failures, "reason", ({ failures }) => failures);
}

function quantileLines(
  runtime: string,
  quantiles: Quantiles | undefined,
): (readonly [{ readonly runtime: string; readonly quantile: string }, number])[] {
  if (quantiles === undefined) return [];
  const { p50, p95, p99 } = quantiles;
  return [
    [{ runtime, quantile: "0.5" }, p50],
    [{ runtime, quantile: "0.95" }, p95],
    [{ runtime, quantile: "0.99" }, p99],
  ];
}
