/** The metrics of KV caches: what an agent hears of its engines and tells routers, and what a router hears of nodes. */
import { HEARD_BLOCK_METRICS, KV_ENGINE_METRICS, SENT_BLOCK_METRICS } from "./block-metric-names.ts";
import type { Exposition, Metric } from "./exposition.ts";

/** What a router has heard. */
export interface HeardBlockFigures {
  readonly updates: number;
  readonly snapshots: number;
  readonly gaps: number;
  readonly malformed: number;
  readonly strangers: number;
  readonly refused: number;
  readonly blocks: number;
  readonly engines: number;
  readonly behind: number;
  readonly asks: number;
  readonly asksFailed: number;
}

/** One engine, as its agent hears it. */
export interface EngineFigures {
  readonly runtime: string;
  readonly engine: string;
  readonly isSubscribed: boolean;
  readonly blocks: number;
  readonly isPartial: boolean;
  readonly batches: number;
  readonly badBatches: number;
  readonly gaps: number;
  readonly replayed: number;
  readonly lost: number;
  readonly restarts: number;
}

/** What an agent has heard and told. */
export interface SentBlockFigures {
  readonly engines: readonly EngineFigures[];
  readonly followers: number;
  readonly messages: number;
  readonly bytes: number;
  readonly snapshots: number;
  readonly answers: number;
  readonly answerBytes: number;
  readonly deferred: number;
}

/** `read` knows nothing before the node has joined. */
export function addHeardBlockMetrics(to: Exposition, read: () => HeardBlockFigures | undefined): void {
  const now = to.once(read);
  to.add(HEARD_BLOCK_METRICS.messages, () => {
    const figures = now();
    if (figures === undefined) return [];
    const { updates, snapshots, gaps, malformed, strangers } = figures;
    const results = { update: updates, snapshot: snapshots, gap: gaps, malformed, stranger: strangers };
    return Object.entries(results).map(([result, count]) => [{ result }, count] as const);
  });
  to.addOne(HEARD_BLOCK_METRICS.blocks, () => now()?.blocks);
  to.addOne(HEARD_BLOCK_METRICS.engines, () => now()?.engines);
  to.addOne(HEARD_BLOCK_METRICS.behind, () => now()?.behind);
  to.addOne(HEARD_BLOCK_METRICS.refused, () => now()?.refused);
  to.addOne(HEARD_BLOCK_METRICS.asks, () => now()?.asks);
  to.addOne(HEARD_BLOCK_METRICS.failedAsks, () => now()?.asksFailed);
}

/** Nothing where no engine tells of its cache. */
export function addSentBlockMetrics(to: Exposition, read: () => SentBlockFigures | undefined): void {
  const now = to.once(read);
  const each = (metric: Metric<"runtime" | "engine">, value: (of: EngineFigures) => number) =>
    to.add(metric, () =>
      (now()?.engines ?? []).map((of) => [{ runtime: of.runtime, engine: of.engine }, value(of)] as const),
    );
  each(KV_ENGINE_METRICS.subscribed, ({ isSubscribed }) => Number(isSubscribed));
  each(KV_ENGINE_METRICS.blocks, ({ blocks }) => blocks);
  each(KV_ENGINE_METRICS.whole, ({ isPartial }) => Number(!isPartial));
  each(KV_ENGINE_METRICS.batches, ({ batches }) => batches);
  each(KV_ENGINE_METRICS.badBatches, ({ badBatches }) => badBatches);
  each(KV_ENGINE_METRICS.gaps, ({ gaps }) => gaps);
  each(KV_ENGINE_METRICS.replayed, ({ replayed }) => replayed);
  each(KV_ENGINE_METRICS.lost, ({ lost }) => lost);
  each(KV_ENGINE_METRICS.restarts, ({ restarts }) => restarts);
  to.addOne(SENT_BLOCK_METRICS.routers, () => now()?.followers);
  to.addOne(SENT_BLOCK_METRICS.messages, () => now()?.messages);
  to.addOne(SENT_BLOCK_METRICS.bytes, () => now()?.bytes);
  to.addOne(SENT_BLOCK_METRICS.snapshots, () => now()?.snapshots);
  to.addOne(SENT_BLOCK_METRICS.answers, () => now()?.answers);
  to.addOne(SENT_BLOCK_METRICS.answerBytes, () => now()?.answerBytes);
  to.addOne(SENT_BLOCK_METRICS.deferred, () => now()?.deferred);
}
