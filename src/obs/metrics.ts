/**
 * The metrics of the two roles: what each is read from. Names, labels and meanings stand in metric-names.ts
 * and agent-metric-names.ts.
 *
 * The sources are described by what is asked of them, since this room knows no other.
 */

import { version } from "../base/version.ts";
import { addedByName, type HistogramReading, quantile } from "./buckets.ts";
import { Exposition, type Metric } from "./exposition.ts";
import {
  addHeardBlockMetrics,
  addSentBlockMetrics,
  type HeardBlockFigures,
  type SentBlockFigures,
} from "./block-metrics.ts";
import { addDiscoveryMetrics, type DiscoveryFigures } from "./discovery-metrics.ts";
import { addControlMetrics, type ControlFigures } from "./control-metrics.ts";
import { addFlowMetrics } from "./flow-metrics.ts";
import { addMeshMetrics, type MeshFigures } from "./mesh-metrics.ts";
import { sum, sumsOf } from "./sums.ts";
import { addRuntimeMetrics, type RuntimeFigures } from "./runtime-metrics.ts";
import { addHeardMetrics, addSentMetrics, type HeardFigures, type SentFigures } from "./signal-metrics.ts";
import { AGENT_METRICS, MODEL_METRICS } from "./agent-metric-names.ts";
import { addExecMetrics, type ExecFigures } from "./exec-metrics.ts";
import { dcgmText } from "./dcgm-metrics.ts";
import type { GpuFigures, GpuSourceFigures } from "./gpu-figures.ts";
import { gpuText } from "./gpu-metrics.ts";
import { ROUTER_METRICS } from "./metric-names.ts";
import { addPrefixMetrics, type PrefixFigures, type Sharing } from "./prefix-metrics.ts";
import { addRateMetrics, type Learning } from "./rate-metrics.ts";
import type { LateFigures } from "./late-metrics.ts";
import type { RouterFigures } from "./router-figures.ts";
import { addProcessMetrics } from "./process-metrics.ts";
import type { SpanFigures } from "./span-exporter.ts";
import { addPolicyMetrics, type PolicyFigures } from "./policy-metrics.ts";
import { addTracingMetrics } from "./tracing-metrics.ts";
import { addTokenMetrics } from "./token-metrics.ts";
import type { WorkerStats } from "./worker-stats.ts";

export interface RouterMetricsOptions {
  readonly stats: WorkerStats;
  readonly prefixes?: PrefixFigures | null;
  /** Absent: nothing is learnt of rates. */
  readonly learning?: Learning;
  readonly sharing?: Sharing;
  readonly table: { inFlight(row: number): number; inFlightTokens(row: number): number };
  readonly placement: {
    places(): Iterable<{ readonly target: string; readonly model: string; readonly row: number }>;
    models(): Iterable<{ readonly id: number; readonly name: string }>;
  };
  readonly crew: {
    readonly workers: number;
    readonly restarts: number;
    readonly replacements: number;
    readonly retiring: number;
    readonly late: LateFigures;
    readonly scorer: { readonly kind: string; readonly reason: string };
  };
  readonly reloads: { readonly counts: Readonly<Record<string, number>>; readonly isOk: boolean };
  /** `performance.now()` at the start. */
  readonly startedMs: number;
  readonly targets?: () => Iterable<{ readonly state: string }>;
  readonly mesh: () => MeshFigures | undefined;
  readonly signal?: () => HeardFigures | undefined;
  readonly blocks?: () => HeardBlockFigures | undefined;
  readonly tracing?: () => SpanFigures | undefined;
  readonly policies?: () => PolicyFigures | undefined;
  readonly discovery?: () => readonly DiscoveryFigures[];
  readonly control?: () => Promise<ControlFigures> | undefined;
}

export interface RouterMetrics {
  /** Prometheus' text format. */
  text(): Promise<string>;
  stats(): RouterFigures;
}

export function routerMetrics(options: RouterMetricsOptions): RouterMetrics {
  const { stats, table, placement, crew, reloads, startedMs, targets } = options;
  const out = new Exposition();
  addProcessMetrics(out);
  addMeshMetrics(out, options.mesh);
  addHeardMetrics(out, () => options.signal?.());
  addHeardBlockMetrics(out, () => options.blocks?.());
  // A router is no control node.
  addControlMetrics(out, "", options.control);
  addTracingMetrics(out, () => options.tracing?.());
  addDiscoveryMetrics(out, () => options.discovery?.() ?? []);
  addPolicyMetrics(out, stats, () => options.policies?.());
  /** Model -1 counts what was refused before its model was known. One of two protocols is two models of one name. */
  const models = () => [{ id: -1, name: "" }, ...placement.models()];
  const byModel = (read: (model: number) => HistogramReading) =>
    function* () {
      const readings = addedByName(models().map(({ id, name }) => [name, read(id)]));
      for (const [model, reading] of readings) {
        if ((reading.cumulative.at(-1) ?? 0) > 0) yield [{ model }, reading] as const;
      }
    };
  out.add(ROUTER_METRICS.requests, () =>
    sumsOf(
      "model",
      "code",
      models().map(({ id, name }) => [name, stats.requests(id)]),
    ),
  );
  out.addHistogram(
    ROUTER_METRICS.duration,
    byModel((model) => stats.durations(model)),
  );
  addTokenMetrics(out, stats, models);
  const byPlace = (read: (row: number) => number) =>
    function* () {
      for (const { target, model, row } of placement.places()) yield [{ target, model }, read(row)] as const;
    };
  out.add(
    ROUTER_METRICS.inFlight,
    byPlace((row) => table.inFlight(row)),
  );
  out.add(
    ROUTER_METRICS.inFlightTokens,
    byPlace((row) => table.inFlightTokens(row)),
  );
  // A target has a row for each of its models, and one line for all of them.
  const rows = () => [...placement.places()].map(({ target, row }) => ({ target, row }));
  out.add(ROUTER_METRICS.picks, () =>
    sumsOf(
      "target",
      "reason",
      rows().map(({ target, row }) => [target, stats.picks(row)]),
    ),
  );
  out.add(ROUTER_METRICS.upstreamErrors, () =>
    sumsOf(
      "target",
      "kind",
      rows().map(({ target, row }) => [target, stats.upstreamErrors(row)]),
    ),
  );
  out.addHistogram(ROUTER_METRICS.decision, () => [[{}, inSeconds(stats.decisions())]]);
  addFlowMetrics(out, stats, placement, () => crew.late);
  addPrefixMetrics(out, stats, options.prefixes, options.sharing);
  if (options.learning !== undefined) addRateMetrics(out, placement, options.learning);
  out.addOne(ROUTER_METRICS.connections, () => stats.connectionsOpen());
  out.addOne(ROUTER_METRICS.connectionsTotal, () => stats.connectionsTotal());
  out.addOne(ROUTER_METRICS.received, () => stats.bytes().in);
  out.addOne(ROUTER_METRICS.sent, () => stats.bytes().out);
  out.addOne(ROUTER_METRICS.workers, () => crew.workers);
  out.addOne(ROUTER_METRICS.restarts, () => crew.restarts);
  out.addOne(ROUTER_METRICS.replacements, () => crew.replacements);
  out.addOne(ROUTER_METRICS.retiring, () => crew.retiring);
  out.add(ROUTER_METRICS.reloads, () =>
    Object.entries(reloads.counts).map(([outcome, count]) => [{ outcome }, count] as const),
  );
  out.addOne(ROUTER_METRICS.reloadOk, () => Number(reloads.isOk));
  out.add(ROUTER_METRICS.scorer, () => [[{ kind: crew.scorer.kind }, 1]]);
  if (targets !== undefined) {
    out.add(ROUTER_METRICS.targets, () => {
      const counts = new Map(["healthy", "unknown", "unhealthy", "draining"].map((state) => [state, 0]));
      for (const { state } of targets()) counts.set(state, (counts.get(state) ?? 0) + 1);
      return [...counts].map(([state, count]) => [{ state }, count] as const);
    });
  }
  return {
    text: () => out.text(),
    stats() {
      const byCode = stats.requestsByCode();
      const places = [...placement.places()];
      const decisions = stats.decisions();
      const bytes = stats.bytes();
      return {
        uptimeSeconds: Math.round(performance.now() - startedMs) / 1000,
        version,
        workers: crew.workers,
        workerRestarts: crew.restarts,
        requestsTotal: sum(byCode.values()),
        requestsByCode: Object.fromEntries(byCode),
        retriesTotal: stats.retries(),
        inFlight: sum(places.map(({ row }) => table.inFlight(row))),
        inFlightTokens: sum(places.map(({ row }) => table.inFlightTokens(row))),
        connectionsOpen: stats.connectionsOpen(),
        connectionsTotal: stats.connectionsTotal(),
        bytesReceived: bytes.in,
        bytesSent: bytes.out,
        decision: { p50us: quantile(decisions, 0.5), p99us: quantile(decisions, 0.99) },
        scorer: crew.scorer.kind,
        discovery: options.discovery?.() ?? [],
      };
    },
  };
}

/** What the agent's metrics read of a sample of its node. */
export interface SampledNode {
  readonly ready: boolean;
  readonly draining: boolean;
  readonly requestsInProgress: number;
  readonly failedResponses: number;
  readonly connectedPeers: number;
  readonly backoffRequests: number;
  readonly cpuUsage: number | undefined;
  readonly memoryUsage: number | undefined;
  readonly gpuUsage: number | undefined;
  readonly models: readonly {
    readonly model: string;
    readonly runningRequests: number;
    readonly waitingRequests: number;
    readonly queuedPrefillTokens: number | undefined;
    readonly kvUsage: number | undefined;
    readonly kvCapacityTokens: number | undefined;
    readonly prefillTokensPerSecond: number | undefined;
    readonly decodeTokensPerSecond: number | undefined;
    readonly slots: number | undefined;
  }[];
}

export interface AgentMetricsOptions {
  /** The node's id. */
  readonly node: string;
  /** Asked once for each scrape, and not before the first. */
  readonly sample: () => SampledNode;
  readonly mesh: () => MeshFigures | undefined;
  readonly signal?: () => SentFigures | undefined;
  readonly blocks?: () => SentBlockFigures | undefined;
  readonly control?: () => Promise<ControlFigures> | undefined;
  /** Those that are asked. */
  readonly runtimes?: () => readonly RuntimeFigures[];
  /** The process that the agent runs as its runtime; undefined where it runs none. */
  readonly exec?: (() => ExecFigures) | undefined;
  readonly gpus: () => readonly GpuFigures[];
  readonly gpuSources: () => readonly GpuSourceFigures[];
  /** Under which host's name dcgm-exporter's metrics are served too; undefined where they are not. */
  readonly dcgmHost: string | undefined;
  /** `performance.now()` at the start. */
  readonly startedMs: number;
}

export function agentMetrics(options: AgentMetricsOptions): {
  text(): Promise<string>;
} {
  const { node, sample, mesh, signal, startedMs, dcgmHost } = options;
  const out = new Exposition();
  const now = out.once(sample);
  addProcessMetrics(out);
  addMeshMetrics(out, mesh);
  addSentMetrics(out, () => signal?.());
  addSentBlockMetrics(out, () => options.blocks?.());
  addControlMetrics(out, node, options.control);
  out.add(AGENT_METRICS.info, () => [[{ node }, 1]]);
  out.addOne(AGENT_METRICS.ready, () => Number(now().ready));
  out.addOne(AGENT_METRICS.draining, () => Number(now().draining));
  out.addOne(AGENT_METRICS.inProgress, () => now().requestsInProgress);
  out.addOne(AGENT_METRICS.failed, () => now().failedResponses);
  out.addOne(AGENT_METRICS.backoff, () => now().backoffRequests);
  out.addOne(AGENT_METRICS.peers, () => now().connectedPeers);
  out.addOne(AGENT_METRICS.cpu, () => now().cpuUsage);
  out.addOne(AGENT_METRICS.memory, () => now().memoryUsage);
  out.addOne(AGENT_METRICS.gpu, () => now().gpuUsage);
  out.addOne(AGENT_METRICS.uptime, () => (performance.now() - startedMs) / 1000);

  if (options.runtimes !== undefined) addRuntimeMetrics(out, options.runtimes);
  if (options.exec !== undefined) addExecMetrics(out, options.exec);

  type Model = SampledNode["models"][number];
  const addModel = (metric: Metric<"model">, read: (model: Model) => number | undefined) =>
    out.add(metric, () => now().models.map((model) => [{ model: model.model }, read(model)] as const));
  addModel(MODEL_METRICS.running, (model) => model.runningRequests);
  addModel(MODEL_METRICS.waiting, (model) => model.waitingRequests);
  addModel(MODEL_METRICS.queuedTokens, (model) => model.queuedPrefillTokens);
  addModel(MODEL_METRICS.kvUsage, (model) => model.kvUsage);
  addModel(MODEL_METRICS.kvCapacity, (model) => model.kvCapacityTokens);
  addModel(MODEL_METRICS.prefillRate, (model) => model.prefillTokensPerSecond);
  addModel(MODEL_METRICS.decodeRate, (model) => model.decodeTokensPerSecond);
  addModel(MODEL_METRICS.slots, (model) => model.slots);

  const gpus = out.once(options.gpus);
  out.addText(() => gpuText(node, gpus(), options.gpuSources()));
  if (dcgmHost !== undefined) out.addText(() => dcgmText(dcgmHost, gpus()));
  return { text: () => out.text() };
}

function inSeconds({ bounds, cumulative, sum: total }: HistogramReading): HistogramReading {
  return { bounds: bounds.map((bound) => Number((bound / 1e6).toPrecision(6))), cumulative, sum: total / 1e6 };
}
