import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ControlFigures } from "../../src/obs/control-metrics.ts";
import { DISCOVERY_METRICS } from "../../src/obs/discovery-metric-names.ts";
import { EXEC_STATES } from "../../src/obs/exec-metrics.ts";
import type { Metric } from "../../src/obs/exposition.ts";
import type { MeshFigures } from "../../src/obs/mesh-metrics.ts";
import * as agentNames from "../../src/obs/agent-metric-names.ts";
import { DCGM_METRICS } from "../../src/obs/dcgm-metrics.ts";
import { GPU_METRICS, GPU_SOURCE_METRICS } from "../../src/obs/gpu-metric-names.ts";
import { GPU_WEAR_METRICS } from "../../src/obs/gpu-wear-names.ts";
import * as blockNames from "../../src/obs/block-metric-names.ts";
import type { HeardBlockFigures, SentBlockFigures } from "../../src/obs/block-metrics.ts";
import * as lateNames from "../../src/obs/late-metric-names.ts";
import * as names from "../../src/obs/metric-names.ts";
import { type SampledNode, agentMetrics, routerMetrics } from "../../src/obs/metrics.ts";
import { WorkerStats } from "../../src/obs/worker-stats.ts";
import type { RuntimeFigures } from "../../src/obs/runtime-metrics.ts";
import { LEARNING } from "./learning.ts";
import { SHARED } from "./shared-desk.ts";
import { expositionFaults } from "./exposition-text.ts";
import { fullGpu, SOURCES } from "./full-gpu.ts";

const MORE = { GPU_METRICS, GPU_SOURCE_METRICS, GPU_WEAR_METRICS, DISCOVERY_METRICS };
const OWN: readonly Metric[] = Object.values({ ...names, ...agentNames, ...blockNames, ...lateNames, ...MORE }).flatMap(
  (group): Metric[] => Object.values(group),
);
const ALL: readonly Metric[] = [...OWN, ...DCGM_METRICS];

/** Value of each line, by name and labels as they are written. */
function lines(text: string): Map<string, number> {
  return new Map(
    text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}

function declared(text: string): string[] {
  return [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1] ?? "");
}

const MESH: MeshFigures = {
  members: [
    { status: "alive", rttMs: undefined },
    { status: "alive", rttMs: 3 },
    { status: "suspect", rttMs: 1 },
    { status: "left", rttMs: 20 },
  ],
  health: 2,
  incarnation: 1_800_000_000,
  events: { joined: 3, "alive-again": 1 },
  news: 4,
  drops: { malformed: 5, otherCluster: 6 },
  transport: {
    packetsIn: 7,
    bytesIn: 8,
    packetsOut: 9,
    bytesOut: 10,
    dropped: { forged: 11, clock: 0 },
    unsent: { queueFull: 12 },
    unreachable: 13,
    requests: 14,
    requestsFailed: 15,
    requestsServed: 16,
    cut: { slow: 17 },
    waiting: 18,
    senders: 19,
    connections: 20,
  },
};

const HEARD_BLOCKS: HeardBlockFigures = {
  updates: 1,
  snapshots: 2,
  gaps: 3,
  malformed: 4,
  strangers: 5,
  refused: 6,
  blocks: 7,
  engines: 8,
  behind: 9,
  asks: 10,
  asksFailed: 11,
};
const SENT_BLOCKS: SentBlockFigures = {
  engines: [
    {
      runtime: "vllm",
      engine: "127.0.0.1:5557",
      isSubscribed: true,
      blocks: 12,
      isPartial: true,
      batches: 13,
      badBatches: 14,
      gaps: 15,
      replayed: 16,
      lost: 17,
      restarts: 18,
    },
  ],
  followers: 19,
  messages: 20,
  bytes: 21,
  snapshots: 22,
  answers: 23,
  answerBytes: 24,
  deferred: 25,
};

const CONTROL: ControlFigures = {
  writable: true,
  leader: "a",
  term: 7,
  logBytes: 8000,
  members: [{ role: "leader" }, { role: "follower" }, { role: "follower" }, { role: "learner" }],
};

function aRouter() {
  const stats = WorkerStats.create({ workersMax: 2, modelsMax: 3, targetsMax: 4 });
  const places = [
    { target: "gpu-1", model: "m", row: 0 },
    { target: "gpu-1", model: "n", row: 1 },
    { target: 'gpu"2\n', model: "m", row: 2 },
  ];
  const metrics = routerMetrics({
    stats,
    prefixes: { entries: 5, entriesMax: 8, evictions: 2, followed: 3 },
    learning: LEARNING,
    table: { inFlight: (row) => row + 1, inFlightTokens: (row) => row * 100 },
    placement: { places: () => places, models: () => ["m", "n", "n"].map((name, id) => ({ id, name })) },
    crew: {
      workers: 2,
      restarts: 3,
      replacements: 4,
      retiring: 1,
      late: { waiting: new Map([[0, 4]]), shared: SHARED, rows: [{ row: 1, msPerToken: 0.05, busyMs: 250 }] },
      scorer: { kind: "typescript", reason: "no compiler" },
    },
    reloads: { counts: { applied: 1, refused: 2 }, isOk: false },
    startedMs: performance.now() - 1500,
    targets: () => [{ state: "healthy" }, { state: "healthy" }, { state: "draining" }],
    mesh: () => MESH,
    signal: () => ({ states: 5, snapshots: 2, gaps: 1, late: 3, malformed: 4, strangers: 6, sources: 7, peers: 8 }),
    blocks: () => HEARD_BLOCKS,
    control: async () => CONTROL,
    tracing: () => ({ exported: 9, dropped: 10, failed: 11, waiting: 12 }),
    policies: () => ({
      revision: 7,
      items: new Map([["acl", 2]]),
      overQuota: new Map([["acme/*", 5]]),
      leases: { answered: 10, failed: 1, grants: 20 },
      leaseAgeSeconds: 0.5,
      scaling: [{ model: "m", replicas: 2, wanted: 3 }],
    }),
  });
  return { stats, metrics };
}

describe("the metrics of policies", () => {
  test("tell what is in force, and what it refused", async () => {
    const { stats, metrics } = aRouter();
    stats.forWorker(0).denied();
    stats.forWorker(1).denied();
    stats.forWorker(1).lateFirstToken();
    const values = lines(await metrics.text());
    const told = [
      ["infermesh_policy_revision", 7],
      ['infermesh_policy_items{kind="acl"}', 2],
      ["infermesh_policy_denied_total", 2],
      ['infermesh_policy_over_quota_total{quota="acme/*"}', 5],
      ["infermesh_policy_late_first_tokens_total", 1],
      ['infermesh_policy_lease_calls_total{result="failed"}', 1],
      ["infermesh_policy_grants_total", 20],
      ["infermesh_policy_lease_age_seconds", 0.5],
      ['infermesh_scaling_replicas_wanted{model="m"}', 3],
    ] as const;
    for (const [name, value] of told) expect([name, values.get(name)]).toEqual([name, value]);
  });
});

describe("the states' metrics", () => {
  test("tell what became of messages, and what a node has sent", async () => {
    const router = lines(await aRouter().metrics.text());
    const results = { state: 5, snapshot: 2, gap: 1, late: 3, malformed: 4, stranger: 6 };
    for (const [result, count] of Object.entries(results)) {
      expect(router.get(`infermesh_signal_messages_total{result="${result}"}`)).toBe(count);
    }
    expect([router.get("infermesh_signal_sources"), router.get("infermesh_signal_peers")]).toEqual([7, 8]);
    const sent = () => ({ routers: 2, messages: 30, bytes: 4000 });
    const quiet = { node: "a", sample: () => NODE, mesh: () => undefined, ...NO_GPUS, startedMs: 0 };
    const agent = agentMetrics({ ...quiet, signal: sent });
    const text = lines(await agent.text());
    expect(text.get("infermesh_signal_routers")).toBe(2);
    expect(text.get("infermesh_signal_sent_messages_total")).toBe(30);
    expect(text.get("infermesh_signal_sent_bytes_total")).toBe(4000);
    const early = lines(await agentMetrics(quiet).text());
    expect(early.has("infermesh_signal_routers")).toBe(false);
  });
});

describe("the metrics of KV caches", () => {
  test("tell what a router heard, what an agent heard and told; nothing where nothing is told", async () => {
    const router = lines(await aRouter().metrics.text());
    const results = { update: 1, snapshot: 2, gap: 3, malformed: 4, stranger: 5 };
    for (const [result, count] of Object.entries(results)) {
      expect(router.get(`infermesh_kv_messages_total{result="${result}"}`)).toBe(count);
    }
    const heard = ["refused_blocks_total", "known_blocks", "known_engines", "engines_behind", "asks_total"];
    expect(heard.map((name) => router.get(`infermesh_kv_${name}`))).toEqual([6, 7, 8, 9, 10]);
    expect(router.get("infermesh_kv_failed_asks_total")).toBe(11);
    const agent = lines(await anAgent().text());
    const of = (name: string): number | undefined =>
      agent.get(`infermesh_kv_${name}{runtime="vllm",engine="127.0.0.1:5557"}`);
    const own = ["subscribed", "blocks", "whole", "batches_total", "bad_batches_total", "gaps_total"];
    expect(own.map(of)).toEqual([1, 12, 0, 13, 14, 15]);
    const mended = ["replayed_batches_total", "lost_gaps_total", "engine_restarts_total"];
    expect(mended.map(of)).toEqual([16, 17, 18]);
    const sent = ["routers", "sent_messages_total", "sent_bytes_total", "snapshots_total", "answers_total"];
    expect(sent.map((name) => agent.get(`infermesh_kv_${name}`))).toEqual([19, 20, 21, 22, 23]);
    expect(agent.get("infermesh_kv_answer_bytes_total")).toBe(24);
    expect(agent.get("infermesh_kv_deferred_asks_total")).toBe(25);
    const quiet = { node: "a", sample: () => NODE, mesh: () => undefined, ...NO_GPUS, startedMs: 0 };
    const none = await agentMetrics({ ...quiet, blocks: () => undefined }).text();
    expect(none).not.toContain("\ninfermesh_kv_");
  });
});

describe("the metrics of a runtime's process", () => {
  const agent = (exec?: Parameters<typeof agentMetrics>[0]["exec"]) =>
    agentMetrics({ node: "a", sample: () => NODE, mesh: () => undefined, ...NO_GPUS, startedMs: 0, exec });

  test("tell its state, starts, ends and how long it took; nothing without one", async () => {
    const exits = new Map([
      ["failed", 3],
      ["asked", 1],
    ]);
    const values = lines(await agent(() => ({ state: "backoff", restarts: 4, exits, readySeconds: 12.5 })).text());
    for (const state of EXEC_STATES) {
      expect(values.get(`infermesh_exec_state{state="${state}"}`)).toBe(Number(state === "backoff"));
    }
    expect(values.get("infermesh_exec_restarts_total")).toBe(4);
    expect(values.get('infermesh_exec_exits_total{reason="failed"}')).toBe(3);
    expect(values.get("infermesh_exec_ready_seconds")).toBe(12.5);
    const young = { state: "starting", restarts: 0, exits: new Map<string, number>(), readySeconds: undefined };
    expect(lines(await agent(() => young).text()).has("infermesh_exec_ready_seconds")).toBe(false);
    expect(await agent().text()).not.toContain("infermesh_exec_");
  });
});

describe("the metrics of tracing", () => {
  test("tell what became of spans", async () => {
    const values = lines(await aRouter().metrics.text());
    const results = { exported: 9, dropped: 10, failed: 11 };
    for (const [result, count] of Object.entries(results)) {
      expect(values.get(`infermesh_router_spans_total{result="${result}"}`)).toBe(count);
    }
    expect(values.get("infermesh_router_spans_waiting")).toBe(12);
  });
});

describe("the router's metrics", () => {
  test("are the sums of what the workers counted", async () => {
    const { stats, metrics } = aRouter();
    const [a, b] = [stats.forWorker(0), stats.forWorker(1)];
    a.request(0, 200, 30);
    b.request(0, 200, 70);
    b.request(-1, 400, 1);
    a.firstToken(0, 15);
    a.pick(0, "best");
    b.pick(1, "best");
    a.upstreamError(2, "reset");
    a.decision(2.5);
    a.connections(1);
    a.retry();
    a.bytes(10, 20);
    a.hedge();
    a.waiting(1);
    b.waiting(1);
    b.waiting(-1);
    for (const why of ["refused", "pushedOut", "expired"] as const) a.turnedAway(why);
    b.turnedAway("expired");
    a.breakerOpened();
    b.fallback();
    for (const how of ["hit", "hit", "shared", "miss"] as const) a.cache(how);
    a.cacheHolds(5, 6000);
    b.cacheHolds(1, 7);
    const text = await metrics.text();
    const values = lines(text);
    const expected: Record<string, number> = {
      'infermesh_router_requests_total{model="m",code="200"}': 2,
      'infermesh_router_requests_total{model="",code="400"}': 1,
      'infermesh_router_request_duration_seconds_bucket{model="m",le="0.05"}': 1,
      'infermesh_router_request_duration_seconds_bucket{model="m",le="0.1"}': 2,
      'infermesh_router_request_duration_seconds_bucket{model="m",le="+Inf"}': 2,
      'infermesh_router_request_duration_seconds_sum{model="m"}': 0.1,
      'infermesh_router_request_duration_seconds_count{model="m"}': 2,
      'infermesh_router_time_to_first_token_seconds_count{model="m"}': 1,
      'infermesh_router_requests_in_flight{target="gpu-1",model="m"}': 1,
      'infermesh_router_requests_in_flight{target="gpu\\"2\\n",model="m"}': 3,
      'infermesh_router_prefill_tokens_in_flight{target="gpu-1",model="n"}': 100,
      'infermesh_router_picks_total{target="gpu-1",reason="best"}': 2,
      'infermesh_router_upstream_errors_total{target="gpu\\"2\\n",kind="reset"}': 1,
      'infermesh_router_decision_seconds_bucket{le="0.000002"}': 0,
      'infermesh_router_decision_seconds_bucket{le="0.000003"}': 1,
      infermesh_router_decision_seconds_sum: 0.0000025,
      infermesh_router_retries_total: 1,
      infermesh_router_hedges_total: 1,
      infermesh_router_requests_waiting: 1,
      infermesh_router_queued_total: 2,
      'infermesh_router_turned_away_total{reason="refused"}': 1,
      'infermesh_router_turned_away_total{reason="pushed-out"}': 1,
      'infermesh_router_turned_away_total{reason="expired"}': 2,
      infermesh_router_breaker_openings_total: 1,
      infermesh_router_fallbacks_total: 1,
      'infermesh_router_cache_requests_total{result="hit"}': 2,
      'infermesh_router_cache_requests_total{result="shared"}': 1,
      'infermesh_router_cache_requests_total{result="miss"}': 1,
      infermesh_router_cache_entries: 6,
      infermesh_router_cache_bytes: 6007,
      infermesh_router_connections_open: 1,
      infermesh_router_received_bytes_total: 10,
      infermesh_router_sent_bytes_total: 20,
      infermesh_router_workers: 2,
      infermesh_router_worker_restarts_total: 3,
      'infermesh_router_scorer_info{kind="typescript"}': 1,
      'infermesh_router_targets{state="healthy"}': 2,
      'infermesh_router_targets{state="unhealthy"}': 0,
    };
    for (const [name, value] of Object.entries(expected)) expect([name, values.get(name)]).toEqual([name, value]);
    expect(text).toContain("# TYPE infermesh_router_request_duration_seconds histogram");
    // Read anew at each scrape.
    a.request(1, 502, 1);
    expect(lines(await metrics.text()).get('infermesh_router_requests_total{model="n",code="502"}')).toBe(1);
    // By HTTP and by gRPC it is two models of one name, and one line.
    b.request(2, 502, 9);
    const after = lines(await metrics.text());
    expect(after.get('infermesh_router_requests_total{model="n",code="502"}')).toBe(2);
    expect(after.get('infermesh_router_request_duration_seconds_count{model="n"}')).toBe(2);
    expect(after.get('infermesh_router_request_duration_seconds_bucket{model="n",le="0.005"}')).toBe(1);
  });

  test("hold those of the process", async () => {
    const values = lines(await aRouter().metrics.text());
    expect(values.get("process_resident_memory_bytes")).toBeGreaterThan(2 ** 20);
    expect(values.get('process_cpu_seconds_total{mode="user"}')).toBeGreaterThan(0);
    expect(values.get("process_open_fds")).toBeGreaterThan(2);
    expect(values.get("process_threads")).toBeGreaterThan(0);
    expect(
      Math.abs((values.get("process_start_time_seconds") ?? 0) + process.uptime() - Date.now() / 1000),
    ).toBeLessThan(5);
    expect(values.get("infermesh_event_loop_lag_seconds")).toBeGreaterThanOrEqual(0);
    expect([...values.keys()].some((name) => name.startsWith("infermesh_build_info{version="))).toBe(true);
  });

  test("are told as JSON too", () => {
    const { stats, metrics } = aRouter();
    expect(metrics.stats().decision).toEqual({ p50us: null, p99us: null });
    stats.forWorker(0).request(0, 200, 1);
    stats.forWorker(1).request(0, 503, 1);
    stats.forWorker(1).decision(1.8);
    const { uptimeSeconds, version, decision, ...rest } = metrics.stats();
    expect(uptimeSeconds).toBeGreaterThanOrEqual(1.5);
    expect(version).toBeString();
    expect(decision.p99us).toBeGreaterThan(1.5);
    expect(decision.p99us).toBeLessThanOrEqual(2);
    expect(rest).toEqual({
      workers: 2,
      workerRestarts: 3,
      requestsTotal: 2,
      requestsByCode: { "200": 1, "503": 1 },
      retriesTotal: 0,
      inFlight: 6,
      inFlightTokens: 300,
      connectionsOpen: 0,
      connectionsTotal: 0,
      bytesReceived: 0,
      bytesSent: 0,
      scorer: "typescript",
      discovery: [],
    });
  });
});

const NO_GPUS = { gpus: () => [], gpuSources: () => [], dcgmHost: undefined };

const NODE: SampledNode = {
  ready: true,
  draining: false,
  requestsInProgress: 5,
  failedResponses: 2,
  connectedPeers: 1,
  backoffRequests: 0,
  cpuUsage: 0.25,
  memoryUsage: undefined,
  gpuUsage: 0.5,
  models: [
    {
      model: "m",
      runningRequests: 4,
      waitingRequests: 1,
      queuedPrefillTokens: 640,
      kvUsage: 0.4,
      kvCapacityTokens: undefined,
      prefillTokensPerSecond: 25_000,
      decodeTokensPerSecond: 2000,
      slots: 256,
    },
  ],
};

describe("an agent's metrics", () => {
  test("are those of one sample, without what is not known", async () => {
    let samples = 0;
    let node = NODE;
    const metrics = agentMetrics({
      node: "gpu-1",
      sample: () => ((samples += 1), node),
      mesh: () => undefined,
      ...NO_GPUS,
      startedMs: performance.now(),
    });
    // Sampling may need what is set up only later.
    expect(samples).toBe(0);
    const text = await metrics.text();
    expect(samples).toBe(1);
    const values = lines(text);
    const expected: Record<string, number> = {
      'infermesh_agent_info{node="gpu-1"}': 1,
      infermesh_agent_ready: 1,
      infermesh_agent_requests_in_progress: 5,
      infermesh_agent_failed_responses_total: 2,
      infermesh_agent_cpu_usage_ratio: 0.25,
      'infermesh_model_requests_running{model="m"}': 4,
      'infermesh_model_kv_usage_ratio{model="m"}': 0.4,
    };
    for (const [name, value] of Object.entries(expected)) expect([name, values.get(name)]).toEqual([name, value]);
    expect(values.has("infermesh_agent_memory_usage_ratio")).toBe(false);
    expect(values.has('infermesh_model_kv_capacity_tokens{model="m"}')).toBe(false);
    node = { ...NODE, ready: false };
    expect(lines(await metrics.text()).get("infermesh_agent_ready")).toBe(0);
  });
});

const QUANTILES = { p50: 1, p95: 2, p99: 3 };
const RUNTIME: RuntimeFigures = {
  name: "big",
  kind: "vllm",
  version: "0.11.0",
  state: "slow",
  isServing: true,
  models: new Map([["loaded", 2]]),
  failures: new Map([["timeout", 7]]),
  scrapeSeconds: 0.01,
  scrapeBytes: 5000,
  runningRequests: 3,
  waitingRequests: 4,
  kvUsage: 0.5,
  cacheHitRate: 0.25,
  requestsPerSecond: 6,
  preemptionsPerSecond: 0,
  timeToFirstToken: QUANTILES,
  interTokenLatency: QUANTILES,
  queueTime: QUANTILES,
};

function anAgent(mesh: () => MeshFigures | undefined = () => MESH) {
  const gpus = { gpus: () => [fullGpu(0), fullGpu(1, { slices: 0 })], gpuSources: () => SOURCES, dcgmHost: "host-a" };
  const exec = () => ({ state: "ready", restarts: 1, exits: new Map([["failed", 1]]), readySeconds: 3 });
  const told = { runtimes: () => [RUNTIME], blocks: () => SENT_BLOCKS };
  return agentMetrics({ node: "a", sample: () => NODE, mesh, ...gpus, startedMs: 0, exec, ...told });
}

describe("a runtime's metrics", () => {
  test("tell what it tells, and leave out what it does not", async () => {
    const values = lines(await anAgent().text());
    const expected: Record<string, number> = {
      'infermesh_runtime_info{runtime="big",kind="vllm",version="0.11.0"}': 1,
      'infermesh_runtime_up{runtime="big"}': 1,
      'infermesh_runtime_state{runtime="big",state="slow"}': 1,
      'infermesh_runtime_models{runtime="big",state="loaded"}': 2,
      'infermesh_runtime_requests_running{runtime="big"}': 3,
      'infermesh_runtime_time_to_first_token_seconds{runtime="big",quantile="0.95"}': 2,
      'infermesh_runtime_queue_time_seconds{runtime="big",quantile="0.99"}': 3,
      'infermesh_runtime_ask_failures_total{runtime="big",reason="timeout"}': 7,
      'infermesh_runtime_scrape_bytes{runtime="big"}': 5000,
    };
    for (const [name, value] of Object.entries(expected)) expect([name, values.get(name)]).toEqual([name, value]);
    const { cacheHitRate: _no, queueTime: _never, ...told } = RUNTIME;
    const silent = { ...told, cacheHitRate: undefined, queueTime: undefined };
    const less = await agentMetrics({
      node: "a",
      sample: () => NODE,
      mesh: () => undefined,
      ...NO_GPUS,
      startedMs: 0,
      runtimes: () => [silent],
    }).text();
    expect([...lines(less).keys()].filter((name) => /cache_hit|queue_time/.test(name))).toEqual([]);
  });
});

describe("the mesh's metrics", () => {
  test("are those of one moment, at agents and routers alike", async () => {
    let asked = 0;
    const text = await anAgent(() => ((asked += 1), MESH)).text();
    expect(asked).toBe(1);
    const values = lines(text);
    const expected: Record<string, number> = {
      'infermesh_mesh_members{status="alive"}': 2,
      'infermesh_mesh_members{status="suspect"}': 1,
      'infermesh_mesh_members{status="failed"}': 0,
      'infermesh_mesh_members{status="left"}': 1,
      infermesh_mesh_health_score: 2,
      infermesh_mesh_incarnation: 1_800_000_000,
      'infermesh_mesh_events_total{kind="alive-again"}': 1,
      infermesh_mesh_rtt_median_seconds: 0.003,
      infermesh_mesh_rtt_max_seconds: 0.02,
      infermesh_mesh_news: 4,
      'infermesh_mesh_dropped_total{reason="other-cluster"}': 6,
      infermesh_gossip_received_packets_total: 7,
      infermesh_gossip_received_bytes_total: 8,
      infermesh_gossip_sent_packets_total: 9,
      infermesh_gossip_sent_bytes_total: 10,
      'infermesh_gossip_dropped_total{reason="forged"}': 11,
      'infermesh_gossip_dropped_total{reason="clock"}': 0,
      'infermesh_gossip_unsent_total{reason="queue-full"}': 12,
      infermesh_gossip_unreachable_total: 13,
      infermesh_gossip_requests_total: 14,
      infermesh_gossip_failed_requests_total: 15,
      infermesh_gossip_served_requests_total: 16,
      'infermesh_gossip_cut_connections_total{reason="slow"}': 17,
      infermesh_gossip_waiting_packets: 18,
      infermesh_gossip_senders: 19,
      infermesh_gossip_connections: 20,
    };
    for (const [name, value] of Object.entries(expected)) expect([name, values.get(name)]).toEqual([name, value]);
    const router = [...lines(await aRouter().metrics.text())].filter(([name]) => /_(mesh|gossip)_/.test(name));
    expect(router).toEqual([...values].filter(([name]) => /_(mesh|gossip)_/.test(name)));
  });

  test("are left out before the node has joined, and round trips before the first", async () => {
    const early = lines(await anAgent(() => undefined).text());
    expect([...early.keys()].filter((name) => /_(mesh|gossip)_/.test(name))).toEqual([]);
    const alone = { ...MESH, members: [{ status: "alive", rttMs: undefined }] };
    const values = lines(await anAgent(() => alone).text());
    expect(values.has("infermesh_mesh_rtt_median_seconds")).toBe(false);
    expect(values.get('infermesh_mesh_members{status="alive"}')).toBe(1);
  });
});

test("what is served is Prometheus' text format, whatever names stand in it", async () => {
  const { stats, metrics } = aRouter();
  stats.forWorker(0).request(0, 200, 30);
  stats.forWorker(0).pick(2, "best");
  expect(expositionFaults(await metrics.text())).toEqual([]);
  expect(expositionFaults(await anAgent().text())).toEqual([]);
  const broken: [string, RegExp][] = [
    ['# TYPE a counter\na{b="c"d"} 1\n', /not a sample/],
    ["# TYPE a counter\na 1\na 2\n", /comes twice/],
    ["# TYPE a counter\na -1\n", /a counter of -1/],
    ["# TYPE a gauge\nb 1\n", /stands among those of a/],
    ["# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\na 2\n", /comes again/],
    ["# TYPE a gauge\na 1", /does not end/],
    ["# TYPE a thing\na 1\n", /no type thing/],
  ];
  for (const [text, says] of broken) expect(expositionFaults(text).join("; ")).toMatch(says);
});

describe("docs/metrics.md", () => {
  const page = readFileSync(join(import.meta.dir, "../../docs/metrics.md"), "utf8");
  const rows = [...page.matchAll(/^\| `(\S+)`\s*\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$/gm)].map((match) =>
    match.slice(1).map((cell) => cell.trim()),
  );

  test("lists every metric as it is, and no other", () => {
    const told = ALL.map(({ name, type, labels, unit, help }) =>
      [name, type, labels.join(", "), unit, help].join(" | "),
    );
    expect(rows.map((row) => row.join(" | ")).sort()).toEqual(told.sort());
  });

  test("lists what is served", async () => {
    const router = declared(await aRouter().metrics.text());
    const agent = declared(await anAgent().text());
    expect([...new Set([...router, ...agent])].sort()).toEqual(ALL.map(({ name }) => name).sort());
  });

  test("names follow Prometheus' habits", () => {
    for (const { name, type, unit } of OWN) {
      expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect(name.endsWith("_total")).toBe(type === "counter");
      if (["seconds", "bytes", "watts", "ratio"].includes(unit)) expect(name).toContain(unit);
    }
    expect(new Set(ALL.map(({ name }) => name)).size).toBe(ALL.length);
  });
});
