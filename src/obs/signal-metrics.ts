/** The metrics of the signal plane: states that a node sends, and what a router hears of nodes and other routers. */
import type { Exposition } from "./exposition.ts";
import { SIGNAL_METRICS } from "./metric-names.ts";

/** What a router has heard. */
export interface HeardFigures {
  readonly states: number;
  readonly snapshots: number;
  readonly gaps: number;
  readonly late: number;
  readonly malformed: number;
  readonly strangers: number;
  readonly sources: number;
  readonly peers: number;
}

/** What a node has sent. */
export interface SentFigures {
  readonly routers: number;
  readonly messages: number;
  readonly bytes: number;
}

/** `read` knows nothing before the node has joined. */
export function addHeardMetrics(to: Exposition, read: () => HeardFigures | undefined): void {
  const now = to.once(read);
  to.add(SIGNAL_METRICS.heard, () => {
    const figures = now();
    if (figures === undefined) return [];
    const { states, snapshots, gaps, late, malformed, strangers } = figures;
    const results = { state: states, snapshot: snapshots, gap: gaps, late, malformed, stranger: strangers };
    return Object.entries(results).map(([result, count]) => [{ result }, count] as const);
  });
  to.addOne(SIGNAL_METRICS.sources, () => now()?.sources);
  to.addOne(SIGNAL_METRICS.peers, () => now()?.peers);
}

export function addSentMetrics(to: Exposition, read: () => SentFigures | undefined): void {
  const now = to.once(read);
  to.addOne(SIGNAL_METRICS.routers, () => now()?.routers);
  to.addOne(SIGNAL_METRICS.sent, () => now()?.messages);
  to.addOne(SIGNAL_METRICS.sentBytes, () => now()?.bytes);
}
