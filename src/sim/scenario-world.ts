/** From a scenario to what came of it: one cell, played by one strategy. */
import { arrivalStrategy } from "../score/strategies.ts";
import type { Arrival } from "./arrival.ts";
import type { BatchingConfig } from "./batching.ts";
import { PROFILES } from "./profile.ts";
import { type Failure, groupName, type NodeGroup, type Scenario, type StrategyName } from "./scenario.ts";
import type { Incident, SimNode } from "./sim-node.ts";
import type { RouterSpec } from "./router-spec.ts";
import type { SimRouter } from "./sim-router.ts";
import { sliced } from "./slice.ts";
import type { Played } from "./tally.ts";
import { arrivalsOf } from "./workload.ts";
import { World } from "./world.ts";

/** Points of what is drawn over time. */
const MOMENTS = 150;

/** Over time, in `MOMENTS` equal parts of the scenario's duration: NaN where nothing was sampled. */
export interface OverTime {
  /** Part of the nodes' time in which they computed. */
  readonly utilisation: Float64Array;
  /** Requests that waited for their prompts' turn, at nodes and in routers. */
  readonly waiting: Float64Array;
}

export interface CellPlayed extends Played {
  readonly overTime: OverTime;
  /** By node, for how long it computed of the time while requests came, up to its last sample. */
  readonly comingBusyMs: Float64Array;
  readonly comingMs: number;
  readonly events: number;
}

/** The group of each node of a cell: groups one after another. */
export function groupsOfCell({ nodes, cells }: Pick<Scenario, "nodes" | "cells">): NodeGroup[] {
  return nodes.flatMap((group) => Array.from({ length: group.count / cells }, () => group));
}

/** `progress` hears what part of the time is done. */
export function playCell(
  scenario: Scenario,
  strategy: StrategyName,
  cell: number,
  traces: ReadonlyMap<number, readonly Arrival[]>,
  progress: (part: number) => void = () => {},
): CellPlayed {
  const groups = groupsOfCell(scenario);
  const { durationMs, network, routers, samples, slo } = scenario;
  const watcher = new Watcher(durationMs, groups.length, progress);
  const waysMs = new Map(
    network.links.flatMap(({ from, to, oneWayMs }) => [
      [`${from} ${to}`, oneWayMs],
      [`${to} ${from}`, oneWayMs],
    ]),
  );
  const world = new World({
    arrivals: arrivalsOf(scenario, cell, traces),
    nodes: groups.map((group) => configOf(group, scenario.blockTokens)),
    routers: routers.count,
    router: {
      strategy: strategyOf(strategy, scenario),
      weights: groups.map(({ weight }) => weight),
      prices: groups.map(({ pricePerHour }) => pricePerHour),
    },
    seed: scenario.seed + cell,
    networkMs(router, node) {
      const from = routers.zones[router % routers.zones.length]!;
      const to = groups[node]!.zone;
      return waysMs.get(`${from} ${to}`) ?? (from === to ? network.withinMs : network.betweenMs);
    },
    jitterMs: network.jitterMs,
    sampleEveryMs: samples.everyMs,
    sampleDelayMs: samples.delayMs,
    sampleLoss: samples.loss,
    // As real ones do; they are at most as far from each other as the nodes of two zones.
    ...(scenario.late.shared ? { deskMs: routers.zones.length > 1 ? network.betweenMs : network.withinMs } : {}),
    incidents: incidentsOf(scenario, cell, groups),
    ...slo,
    watch: (nowMs, nodes, seenBy) => watcher.see(nowMs, nodes, seenBy),
  });
  const played = world.play();
  const overTime = watcher.overTime();
  // Of a scenario that is over before the first sample, all is taken.
  const { comingMs, comingBusyMs } =
    watcher.comingMs > 0 ? watcher : { comingMs: played.endMs, comingBusyMs: played.busyMs };
  return { ...played, overTime, comingMs, comingBusyMs, events: world.events };
}

function strategyOf(name: StrategyName, { late }: Scenario): RouterSpec["strategy"] {
  return name === "late" ? late : (seed) => arrivalStrategy(name, seed);
}

function configOf({ profile, slice, stepTokensMax }: NodeGroup, blockTokens: number): BatchingConfig {
  // The scenario's check has seen that there is one.
  const of = sliced(PROFILES[profile], slice)!;
  const budget = stepTokensMax === 0 ? of.stepTokensMax : stepTokensMax;
  return {
    ...of,
    stepTokensMax: budget,
    runningMax: Math.min(of.runningMax, budget),
    blockTokens,
    kvBlocks: Math.max(1, Math.floor((of.kvBlocks * of.blockTokens) / blockTokens)),
  };
}

function incidentsOf({ failures }: Scenario, cell: number, groups: readonly NodeGroup[]): Incident[] {
  const incidents = failures.flatMap((failure) => {
    if (failure.cell !== cell) return [];
    const group = failure.group === "" ? groups[0]! : groups.find((each) => groupName(each) === failure.group)!;
    const first = groups.indexOf(group);
    return Array.from({ length: failure.count }, (_, at) => incidentsOfNode(failure, first + at)).flat();
  });
  // Those of one moment stay in the order in which they are written.
  return incidents.toSorted((a, b) => a.atMs - b.atMs);
}

function incidentsOfNode({ kind, atMs, forMs, factor, everyMs }: Failure, node: number): Incident[] {
  const untilMs = atMs + forMs;
  if (kind === "slow")
    return [
      { node, atMs, kind, factor },
      { node, atMs: untilMs, kind, factor: 1 },
    ];
  if (kind === "down")
    return [
      { node, atMs, kind },
      { node, atMs: untilMs, kind: "up" },
    ];
  if (kind === "cold")
    return [
      { node, atMs: 0, kind: "down" },
      { node, atMs: forMs, kind: "up" },
    ];
  const incidents: Incident[] = [];
  for (let downMs = atMs; downMs < untilMs; downMs += everyMs) {
    incidents.push({ node, atMs: downMs, kind: "down" });
    incidents.push({ node, atMs: Math.min(untilMs, downMs + everyMs / 2), kind: "up" });
  }
  return incidents;
}

/** Puts samples together to what is drawn over time. */
class Watcher {
  readonly #durationMs: number;
  readonly #nodes: number;
  readonly #progress: (part: number) => void;
  readonly #busyMs: Float64Array;
  readonly comingBusyMs: Float64Array;
  comingMs = 0;
  readonly #moments = new Float64Array(MOMENTS);
  readonly #utilisation = new Float64Array(MOMENTS);
  readonly #waiting = new Float64Array(MOMENTS);

  constructor(durationMs: number, nodes: number, progress: (part: number) => void) {
    this.#durationMs = durationMs;
    this.#nodes = nodes;
    this.#progress = progress;
    this.#busyMs = new Float64Array(nodes);
    this.comingBusyMs = new Float64Array(nodes);
  }

  see(nowMs: number, nodes: readonly SimNode[], routers: readonly SimRouter[]): void {
    if (nowMs > this.#durationMs) return;
    const tookMs = nowMs - this.comingMs;
    this.comingMs = nowMs;
    let busyMs = 0;
    let waiting = 0;
    for (const { place, isDown, engine } of nodes) {
      const before = this.#busyMs[place]!;
      const now = isDown ? 0 : engine.busyMs(nowMs);
      this.#busyMs[place] = now;
      // One that came again counts from 0.
      const more = now >= before ? now - before : now;
      this.comingBusyMs[place]! += more;
      busyMs += more;
      if (!isDown) waiting += engine.waiting;
    }
    for (const router of routers) waiting += router.waiting;
    this.#progress(nowMs / this.#durationMs);
    if (tookMs === 0) return;
    const moment = Math.ceil((nowMs / this.#durationMs) * MOMENTS) - 1;
    this.#moments[moment]! += 1;
    this.#utilisation[moment]! += busyMs / tookMs / this.#nodes;
    this.#waiting[moment]! += waiting;
  }

  overTime(): OverTime {
    const averaged = (sums: Float64Array): Float64Array => sums.map((sum, at) => sum / this.#moments[at]!);
    return { utilisation: averaged(this.#utilisation), waiting: averaged(this.#waiting) };
  }
}
