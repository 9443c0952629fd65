/** The metrics of the prefix index, and of how right what is believed by it turns out to be. */
import type { Exposition } from "./exposition.ts";
import { PREFIX_METRICS, PREFIX_SHARING_METRICS } from "./block-metric-names.ts";
import type { WorkerStats } from "./worker-stats.ts";

export interface PrefixFigures {
  readonly entries: number;
  readonly entriesMax: number;
  readonly evictions: number;
  /** Engines that tell of their blocks. */
  readonly followed: number;
}

/** What routers tell each other of it. */
export interface PrefixSharingFigures {
  readonly toldBlocks: number;
  readonly droppedBlocks: number;
  readonly sentBytes: number;
  readonly heardBlocks: number;
  readonly malformed: number;
  /** Messages of senders that are no routers of the mesh. */
  readonly strangers: number;
}

/** undefined while there is nobody to tell, since the mesh was not joined yet or that is turned off. */
export type Sharing = () => PrefixSharingFigures | undefined;

function addSharingMetrics(to: Exposition, sharing: Sharing): void {
  to.add(PREFIX_SHARING_METRICS.told, () => {
    const figures = sharing();
    if (figures === undefined) return [];
    return [
      [{ way: "told" }, figures.toldBlocks],
      [{ way: "heard" }, figures.heardBlocks],
    ];
  });
  to.add(PREFIX_SHARING_METRICS.dropped, () => one(sharing()?.droppedBlocks));
  to.add(PREFIX_SHARING_METRICS.bytes, () => one(sharing()?.sentBytes));
  to.add(PREFIX_SHARING_METRICS.refused, () => {
    const figures = sharing();
    if (figures === undefined) return [];
    return [
      [{ reason: "malformed" }, figures.malformed],
      [{ reason: "stranger" }, figures.strangers],
    ];
  });
}

function one(value: number | undefined): [Record<string, string>, number][] {
  return value === undefined ? [] : [[{}, value]];
}

export function addPrefixMetrics(
  to: Exposition,
  stats: WorkerStats,
  index: PrefixFigures | null = null,
  sharing: Sharing = () => undefined,
): void {
  addSharingMetrics(to, sharing);
  if (index === null) return;
  to.addOne(PREFIX_METRICS.entries, () => index.entries);
  to.addOne(PREFIX_METRICS.entriesMax, () => index.entriesMax);
  to.addOne(PREFIX_METRICS.evictions, () => index.evictions);
  to.addOne(PREFIX_METRICS.followed, () => index.followed);
  to.addOne(PREFIX_METRICS.prompt, () => stats.count("prefixPrompt"));
  to.addOne(PREFIX_METRICS.expected, () => stats.count("prefixExpected"));
  to.add(PREFIX_METRICS.told, () => [
    [{ what: "prompt" }, stats.count("prefixToldPrompt")],
    [{ what: "cached" }, stats.count("prefixToldCached")],
    [{ what: "expected" }, stats.count("prefixToldExpected")],
  ]);
}
