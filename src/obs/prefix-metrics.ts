/** The metrics of the prefix index, and of how right what is believed by it turns out to be. */
import type { Exposition } from "./exposition.ts";
import { PREFIX_METRICS } from "./block-metric-names.ts";
import type { WorkerStats } from "./worker-stats.ts";

export interface PrefixFigures {
  readonly entries: number;
  readonly entriesMax: number;
  readonly evictions: number;
}

export function addPrefixMetrics(to: Exposition, stats: WorkerStats, index: PrefixFigures | null = null): void {
  if (index === null) return;
  to.addOne(PREFIX_METRICS.entries, () => index.entries);
  to.addOne(PREFIX_METRICS.entriesMax, () => index.entriesMax);
  to.addOne(PREFIX_METRICS.evictions, () => index.evictions);
  to.addOne(PREFIX_METRICS.prompt, () => stats.count("prefixPrompt"));
  to.addOne(PREFIX_METRICS.expected, () => stats.count("prefixExpected"));
  to.add(PREFIX_METRICS.told, () => [
    [{ what: "prompt" }, stats.count("prefixToldPrompt")],
    [{ what: "cached" }, stats.count("prefixToldCached")],
    [{ what: "expected" }, stats.count("prefixToldExpected")],
  ]);
}
