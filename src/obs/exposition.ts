/**
 * Metrics that are read at the moment of a scrape: nothing is kept twice, and what nobody scrapes costs nothing. The
 * registry and the text format are prom-client's; its own counters and histograms would hold copies of what the
 * workers and samples hold already.
 */

import { type Metric as PromMetric, Registry } from "prom-client";
import type { HistogramReading } from "./buckets.ts";

/** One metric: docs/metrics.md is held against these. */
export interface Metric<L extends string = string> {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly L[];
  readonly unit: string;
  readonly help: string;
}

export type Labels<L extends string> = Readonly<Record<L, string>>;
type Reading<T> = Iterable<readonly [labels: Readonly<Record<string, string>>, value: T]>;

interface Line {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric, with the names of its labels in its type. */
export function defineMetric<const L extends string>(
  type: Metric["type"],
  name: string,
  labels: readonly L[],
  unit: string,
  help: string,
): Metric<L> {
  return { name, type, labels, unit, help };
}

/** For a source that others have to be asked for. */
const AHEAD_MS = 1000;

export class Exposition {
  readonly #registry = new Registry();
  readonly #ahead: (() => Promise<void>)[] = [];
  readonly #forget: (() => void)[] = [];
  readonly #texts: (() => string)[] = [];

  /** A source that is asked once for each scrape, so that all lines made of it tell of one moment. */
  once<T>(read: () => T): () => T {
    let taken: { readonly value: T } | undefined;
    this.#forget.push(() => {
      taken = undefined;
    });
    return () => (taken ??= { value: read() }).value;
  }

  /** A source that is asked ahead of each scrape, which does not wait long for it: unknown where it is late or fails. */
  ahead<T>(read: () => Promise<T> | undefined): () => T | undefined {
    let taken: T | undefined;
    this.#ahead.push(async () => {
      taken = undefined;
      const asked = read();
      if (asked === undefined) return;
      const late = Promise.withResolvers<undefined>();
      const timer = setTimeout(() => late.resolve(undefined), AHEAD_MS);
      taken = await Promise.race([asked.catch(() => undefined), late.promise]);
      clearTimeout(timer);
    });
    return () => taken;
  }

  /** A counter or gauge; `read` is asked at each scrape, and what it does not know it leaves out. */
  add<L extends string>(metric: Metric<L>, read: () => Iterable<readonly [Labels<L>, number | undefined]>): void {
    this.#register(metric, () =>
      [...read()].flatMap(([labels, value]): Line[] => (value === undefined ? [] : [{ labels, value }])),
    );
  }

  /** A counter or gauge without labels. */
  addOne(metric: Metric<never>, read: () => number | undefined): void {
    this.add(metric, () => [[{}, read()]]);
  }

  addHistogram<L extends string>(metric: Metric<L>, read: () => Reading<HistogramReading>): void {
    this.#register(metric, () =>
      [...read()].flatMap(([labels, reading]) => histogramLines(metric.name, labels, reading)),
    );
  }

  /** Metrics that are written as text at once, for there are too many to be objects first. */
  addText(write: () => string): void {
    this.#texts.push(write);
  }

  /** All metrics in Prometheus' text format. */
  async text(): Promise<string> {
    await Promise.all(this.#ahead.map((look) => look()));
    for (const forget of this.#forget) forget();
    const registered = await this.#registry.metrics();
    return registered + this.#texts.map((write) => write()).join("");
  }

  #register({ name, type, help }: Metric, lines: () => Line[]): void {
    // What prom-client's registry asks of a metric; the class that its type names does more.
    const metric = {
      name,
      help,
      type,
      get: () => Promise.resolve({ name, help, type, aggregator: "sum", values: lines() }),
    };
    this.#registry.registerMetric(metric as unknown as PromMetric);
  }
}

function histogramLines(name: string, labels: Readonly<Record<string, string>>, reading: HistogramReading): Line[] {
  const { bounds, cumulative, sum } = reading;
  const buckets = cumulative.map((value, index): Line => {
    return { metricName: `${name}_bucket`, labels: { ...labels, le: String(bounds[index] ?? "+Inf") }, value };
  });
  const count = cumulative.at(-1) ?? 0;
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
