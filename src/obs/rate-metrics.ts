/** The metrics of rates that a router learns from its own requests. */
import type { Exposition } from "./exposition.ts";
import { RATE_METRICS } from "./late-metric-names.ts";

/** Of a row, in seconds. */
interface RateFigures {
  readonly used: number;
  readonly prior: number;
  readonly learnt: number;
  readonly samples: number;
  readonly confidence: number;
  readonly step: { readonly offset: number; readonly slope: number; readonly samples: number };
}

export interface Learning {
  readonly counts: { readonly taken: number; readonly lost: number };
  of(row: number, unixMs: number): RateFigures | undefined;
}

interface Places {
  places(): Iterable<{ readonly target: string; readonly model: string; readonly row: number }>;
}

export function addRateMetrics(to: Exposition, placement: Places, learning: Learning): void {
  const known = function* () {
    const unixMs = Date.now();
    for (const { target, model, row } of placement.places()) {
      const rate = learning.of(row, unixMs);
      if (rate !== undefined) yield { labels: { target, model }, rate };
    }
  };
  to.add(RATE_METRICS.prefill, function* () {
    for (const { labels, rate } of known()) {
      yield [{ ...labels, what: "used" }, rate.used];
      yield [{ ...labels, what: "told" }, rate.prior];
      if (rate.samples > 0) yield [{ ...labels, what: "learnt" }, rate.learnt];
    }
  });
  to.add(RATE_METRICS.confidence, function* () {
    for (const { labels, rate } of known()) yield [labels, rate.confidence];
  });
  to.add(RATE_METRICS.samples, function* () {
    for (const { labels, rate } of known()) yield [labels, rate.samples];
  });
  to.add(RATE_METRICS.step, function* () {
    for (const { labels, rate } of known()) {
      if (!(rate.step.samples > 0)) continue;
      yield [{ ...labels, what: "base" }, rate.step.offset];
      yield [{ ...labels, what: "request" }, rate.step.slope];
    }
  });
  to.add(RATE_METRICS.notes, () => [
    [{ result: "taken" }, learning.counts.taken],
    [{ result: "lost" }, learning.counts.lost],
  ]);
}
