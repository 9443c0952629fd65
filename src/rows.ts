/**
 * A router's score table and what its rows are written by: samples, the settings of the score, what is learnt of rates,
 * the loads of other routers, what is cached, and how new a target is. Wiring only.
 */
import { liveCopy, overwrite } from "./base/live.ts";
import type { RouterConfig } from "./config.ts";
import { WorkerStats } from "./obs/worker-stats.ts";
import { indexesFor } from "./proxy/crew.ts";
import { Placement } from "./proxy/placement.ts";
import { PrefixRows } from "./proxy/prefix-rows.ts";
import { RowLearning } from "./proxy/row-learning.ts";
import { Warmth } from "./proxy/warmth.ts";
import { ScoreTable } from "./score/table.ts";
import { PeerFlights } from "./signal/flights.ts";

export interface Rows {
  readonly table: ScoreTable;
  readonly stats: WorkerStats;
  readonly flights: PeerFlights;
  readonly prefixes: PrefixRows | null;
  readonly learning: RowLearning;
  readonly placement: Placement;
  /** Takes on a new configuration; rows are to be written anew then. */
  configure(config: RouterConfig): void;
}

export function openRows(config: RouterConfig): Rows {
  const workersMax = indexesFor(config.workers);
  const table = ScoreTable.create({ ...config.table, workersMax: workersMax + 1 });
  const stats = WorkerStats.create({ ...config.table, workersMax });
  const flights = new PeerFlights();
  const live = { score: liveCopy(config.score), flow: liveCopy(config.flow), rates: liveCopy(config.rates) };
  const warmth = new Warmth(table, live.flow.slowStart);
  const prefixes = PrefixRows.create(config.prefix, table, () => config.proxy.bytesPerToken);
  const learning = new RowLearning(live.rates, live.score, table);
  const counts = prefixes?.with(stats) ?? stats;
  const placement = new Placement(table, counts, live.score, (key) => flights.load(key), warmth, learning);
  return {
    table,
    stats,
    flights,
    prefixes,
    learning,
    placement,
    configure({ score, flow, rates }) {
      overwrite(live.score, score);
      overwrite(live.flow, flow);
      overwrite(live.rates, rates);
    },
  };
}
