/**
 * What a scenario came to by one strategy, in figures: what `infermesh sim` shows, writes and draws.
 *
 * Cost is told in two ways. `busy` counts a node's price for the time in which it computed: what its work is worth
 * where nodes are shared or let go when they idle. `provisioned` counts all nodes for the whole time, which differs between
 * strategies only by how long the last request takes. Both are for 1,000 generated tokens.
 */
import { groupsOfCell, type CellPlayed, type OverTime } from "./scenario-world.ts";
import type { Scenario, StrategyName } from "./scenario.ts";
import { mean, quantile, sorted, sum, totalsOf } from "./tally.ts";

const CDF_POINTS = 200;
const HOUR_MS = 3_600_000;

export interface Spread {
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Figures {
  readonly strategy: StrategyName;
  readonly requests: number;
  readonly served: number;
  readonly refused: number;
  readonly lost: number;
  /** Part of the requests that kept to the SLO. */
  readonly goodput: number;
  readonly ttftMs: Spread;
  readonly itlMs: Spread;
  readonly endToEndMs: Spread;
  /** Of prompt tokens, those that a cache had. */
  readonly cacheHitRate: number;
  readonly preemptions: number;
  /** Requests that were sent twice, and the part of all prompt tokens that were sent in vain by that. */
  readonly hedges: number;
  readonly hedgeWaste: number;
  /** Of the nodes' time while requests come, in which they computed: mean, and the deviation among them. */
  readonly utilisation: number;
  readonly utilisationSpread: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** By group of nodes. */
  readonly utilisationByGroup: readonly number[];
  /** For 1,000 generated tokens; null where no node has a price or nothing was generated. */
  readonly costBusy: number | null;
  readonly costProvisioned: number | null;
  /** Of the simulation. */
  readonly endMs: number;
  readonly events: number;
}

/** What is drawn. */
export interface Curves {
  /** Times to first token at even steps of the share of requests, 0 to 1. */
  readonly ttftCdfMs: readonly number[];
  readonly overTime: OverTime;
}

export interface Result {
  readonly figures: Figures;
  readonly curves: Curves;
  /** What the simulation took of processors. */
  readonly cpuMs: number;
}

export function resultOf(
  scenario: Scenario,
  strategy: StrategyName,
  cells: readonly CellPlayed[],
  cpuMs: number,
): Result {
  const ttfts = sorted(cells.map(({ ttftsMs }) => ttftsMs));
  const { requests, served, goodput, refused, lost, hitRate, preemptions, endMs } = totalsOf(cells);
  const busy = cells.flatMap(({ comingBusyMs, comingMs }) => Array.from(comingBusyMs, (ms) => ms / comingMs));
  const utilisation = mean(busy);
  const outputTokens = sum(cells, (cell) => cell.outputTokens);
  const figures: Figures = {
    strategy,
    requests,
    served,
    refused,
    lost,
    goodput,
    ttftMs: spread(ttfts),
    itlMs: spread(sorted(cells.map(({ itlsMs }) => itlsMs))),
    endToEndMs: spread(sorted(cells.map(({ endsMs }) => endsMs))),
    cacheHitRate: hitRate,
    preemptions,
    hedges: sum(cells, (cell) => cell.hedges),
    hedgeWaste: sum(cells, (cell) => cell.hedgeWasteTokens) / sum(cells, (cell) => cell.promptTokens),
    utilisation,
    utilisationSpread: Math.sqrt(mean(busy.map((each) => (each - utilisation) ** 2))),
    promptTokens: sum(cells, (cell) => cell.promptTokens),
    outputTokens,
    utilisationByGroup: byGroup(scenario, cells),
    ...costs(scenario, cells, outputTokens),
    endMs,
    events: sum(cells, ({ events }) => events),
  };
  const overTime = {
    utilisation: together(
      cells.map((cell) => cell.overTime.utilisation),
      1 / cells.length,
    ),
    waiting: together(
      cells.map((cell) => cell.overTime.waiting),
      1,
    ),
  };
  const ttftCdfMs = Array.from({ length: CDF_POINTS + 1 }, (_, at) => quantile(ttfts, at / CDF_POINTS));
  return { figures, curves: { ttftCdfMs, overTime }, cpuMs };
}

function spread(of: Float64Array): Spread {
  return {
    mean: mean(of),
    p50: quantile(of, 0.5),
    p90: quantile(of, 0.9),
    p95: quantile(of, 0.95),
    p99: quantile(of, 0.99),
    p999: quantile(of, 0.999),
    max: of.at(-1) ?? NaN,
  };
}

function byGroup(scenario: Scenario, cells: readonly CellPlayed[]): number[] {
  const groups = groupsOfCell(scenario);
  return scenario.nodes.map((group) => {
    const shares = cells.flatMap(({ comingBusyMs, comingMs }) =>
      Array.from(
        comingBusyMs.filter((_, node) => groups[node] === group),
        (ms) => ms / comingMs,
      ),
    );
    return mean(shares);
  });
}

function costs(scenario: Scenario, cells: readonly CellPlayed[], outputTokens: number) {
  const prices = groupsOfCell(scenario).map(({ pricePerHour }) => pricePerHour / HOUR_MS);
  if (outputTokens === 0 || prices.every((price) => price === 0)) return { costBusy: null, costProvisioned: null };
  const busy = sum(cells, ({ busyMs }) => busyMs.reduce((all, ms, at) => all + ms * prices[at]!, 0));
  const provisioned = cells.length * sum(prices, (price) => price * scenario.durationMs);
  return { costBusy: (busy / outputTokens) * 1000, costProvisioned: (provisioned / outputTokens) * 1000 };
}

function together(parts: readonly Float64Array[], factor: number): Float64Array {
  return Float64Array.from(parts[0]!, (_, at) => sum(parts, (part) => part[at]!) * factor);
}
