import { expect, test } from "bun:test";
import fc from "fast-check";
import { ModelStatus, NodeState } from "../../src/gen/state.js";
import { decodeNodeState, decodeVitalsJson, encodeNodeState, type NodeIdentity } from "../../src/mesh/node-state.ts";
import type { EndpointSample, GpuSample, ModelSample, NodeRuntime, NodeSample } from "../../src/score/sample.ts";
import { MODEL_STATES, RUNTIME_STATES } from "../../src/base/runtime-terms.ts";
import { modelSample, nodeRuntime, nodeSample } from "../fleet/samples.ts";

const identity: NodeIdentity = {
  id: "gpu-1",
  incarnation: 1_700_000_000_000,
  role: "gpu",
  zone: "eu",
  labels: { tenant: "acme", tier: "gold" },
  addresses: { serve: "10.0.0.1:8000", api: "", metrics: "10.0.0.1:9090", gossip: "" },
};

const count = fc.integer({ min: 0, max: 4_000_000_000 });
const big = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const share = fc.double({ min: 0, max: 1, noNaN: true, noDefaultInfinity: true });
const rate = fc.double({ min: 0, max: 1e6, noNaN: true, noDefaultInfinity: true });
const name = fc.string({ minLength: 1, maxLength: 30 });
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });

const quantiles = fc.record({ p50: rate, p95: rate, p99: rate });

const anyModel: fc.Arbitrary<ModelSample> = fc.record({
  model: name,
  runtime: fc.constantFrom("", "vllm", "triton"),
  state: fc.constantFrom(...MODEL_STATES),
  reason: fc.constantFrom("", "out of memory"),
  parent: maybe(name),
  contextTokensMax: maybe(big),
  capabilities: fc.array(name, { maxLength: 3 }),
  cacheHitRate: maybe(share),
  timeToFirstToken: maybe(quantiles),
  interTokenLatency: maybe(quantiles),
  preemptionsPerSecond: maybe(rate),
  workLeftSeconds: maybe(rate),
  loadSeconds: maybe(rate),
  figuresAgeMs: maybe(fc.nat(1000).map((eighths) => eighths * 125)),
  runningRequests: count,
  waitingRequests: count,
  queuedPrefillTokens: maybe(big),
  kvUsage: maybe(share),
  kvCapacityTokens: maybe(big),
  prefillTokensPerSecond: maybe(rate),
  decodeTokensPerSecond: maybe(rate),
  slots: maybe(count),
});

const anyGpu: fc.Arbitrary<GpuSample> = fc
  .record({
    index: fc.nat(64),
    uuid: name,
    name,
    migProfile: maybe(name),
    utilization: maybe(share),
    memory: maybe(fc.record({ used: big, total: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) })),
    powerWatts: maybe(rate),
    powerLimitWatts: maybe(rate),
    // JSON has no -0.
    temperatureCelsius: maybe(fc.double({ min: -40, max: 150, noNaN: true }).map((celsius) => celsius + 0)),
    throttleReasons: fc.array(name, { maxLength: 4 }),
    health: maybe(fc.constantFrom("healthy" as const, "degraded" as const, "quarantined" as const)),
    healthReason: maybe(name),
    healthSinceMs: maybe(big),
    models: fc.array(name, { maxLength: 3 }),
    runtimes: maybe(fc.array(name, { minLength: 1, maxLength: 3 })),
  })
  .map(({ memory, ...gpu }) => ({ ...gpu, memoryUsedBytes: memory?.used, memoryTotalBytes: memory?.total }));

const anyEndpoint: fc.Arbitrary<EndpointSample> = fc.record({
  name,
  host: fc.constantFrom("", "10.0.0.1", "::1", "gpu-1.example"),
  port: fc.integer({ min: 1, max: 65_535 }),
  protocol: fc.constantFrom("http" as const, "grpc" as const),
  tls: fc.boolean(),
});

const anyRuntime: fc.Arbitrary<NodeRuntime> = fc.record({
  name: fc.constantFrom("vllm", "triton", "ollama"),
  kind: name,
  version: fc.string({ maxLength: 20 }),
  // Of one that is not, a model that is loaded reads as loading: a test of its own.
  ready: fc.constant(true),
  draining: fc.constant(false),
  state: fc.constantFrom(...RUNTIME_STATES),
  message: fc.string({ maxLength: 60 }),
  sinceMs: big,
  endpoints: fc.array(anyEndpoint, { maxLength: 3 }),
});

const anySample: fc.Arbitrary<NodeSample> = fc.record({
  ready: fc.constant(true),
  draining: fc.constant(false),
  runtimes: fc.uniqueArray(anyRuntime, { maxLength: 3, selector: ({ name: one }) => one }),
  models: fc.array(anyModel, { maxLength: 4 }),
  gpus: fc.array(anyGpu, { maxLength: 4 }),
  requestsInProgress: count,
  failedResponses: big,
  connectedPeers: count,
  backoffRequests: big,
  cpuUsage: maybe(share),
  memoryUsage: maybe(share),
  gpuUsage: maybe(share),
  uptimeSeconds: rate,
  version: fc.string({ maxLength: 20 }),
});

test("a sample survives the wire, and what it does not know stays unknown", () => {
  fc.assert(
    fc.property(anySample, (sample) => {
      const bytes = NodeState.encode(encodeNodeState(sample, identity, 5)).finish();
      expect(decodeNodeState(NodeState.decode(bytes))).toEqual(sample);
    }),
    { numRuns: 300 },
  );
});

test("a sample survives JSON", () => {
  fc.assert(
    fc.property(anySample, (sample) => {
      const state = NodeState.toObject(encodeNodeState(sample, identity, 5), { enums: String, arrays: true });
      const json = JSON.parse(JSON.stringify({ ready: sample.ready, state })) as unknown;
      expect(decodeVitalsJson(json, [])).toEqual(sample);
    }),
    { numRuns: 200 },
  );
});

test("zero is sent as zero where unknown differs from it", () => {
  const zero = nodeSample({ cpuUsage: 0, models: [modelSample({ queuedPrefillTokens: 0, kvUsage: 0, slots: 0 })] });
  const decoded = decodeNodeState(NodeState.decode(NodeState.encode(encodeNodeState(zero, identity, 0)).finish()));
  expect(decoded).toEqual(zero);
});

test("the identity goes along: labels by name, the others as custom", () => {
  const state = encodeNodeState(nodeSample({ models: [modelSample()] }), identity, 12.4);
  expect(NodeState.toObject(state, {})).toMatchObject({
    id: "gpu-1",
    incarnation: 1_700_000_000_000,
    role: "gpu",
    zone: "eu",
    observedAtMs: 12,
    addresses: { serve: "10.0.0.1:8000", metrics: "10.0.0.1:9090" },
    labels: { tenant: "acme", node: "gpu-1", zone: "eu", custom: { tier: "gold" } },
    models: [{ labels: { model: "m", node: "gpu-1" }, status: ModelStatus.MODEL_STATUS_READY }],
  });
});

test("a model on a quarantined GPU has failed, but on a node that is drained it is draining", () => {
  const gpu = {
    index: 0,
    uuid: "GPU-0",
    name: "H100",
    migProfile: undefined,
    utilization: undefined,
    memoryUsedBytes: undefined,
    memoryTotalBytes: undefined,
    powerWatts: undefined,
    powerLimitWatts: undefined,
    temperatureCelsius: undefined,
    throttleReasons: [],
    health: "quarantined",
    healthReason: "XID 79",
    healthSinceMs: 5,
    models: ["m"],
  } as const;
  const sample = nodeSample({ ready: false, models: [modelSample(), modelSample({ model: "n" })], gpus: [gpu] });
  const statuses = (of: NodeSample) => encodeNodeState(of, identity, 0).models.map(({ status }) => status);
  expect(statuses(sample)).toEqual([ModelStatus.MODEL_STATUS_FAILED, ModelStatus.MODEL_STATUS_LOADING]);
  const drained = { ...sample, draining: true };
  expect(statuses(drained)).toEqual([ModelStatus.MODEL_STATUS_DRAINING, ModelStatus.MODEL_STATUS_DRAINING]);
  expect(decodeNodeState(encodeNodeState(drained, identity, 0)).draining).toBe(true);
  expect(statuses({ ...sample, ready: true })[0]).toBe(ModelStatus.MODEL_STATUS_READY);
});

test("what a runtime has of a model is its status, and one that is loaded is served while its runtime is ready", () => {
  const sample = nodeSample({
    runtimes: [nodeRuntime(), nodeRuntime({ name: "triton", kind: "triton", ready: false, state: "down" })],
    models: [
      modelSample({ runtime: "vllm" }),
      modelSample({ model: "coming", runtime: "vllm", state: "warming" }),
      modelSample({ model: "lost", runtime: "triton" }),
      modelSample({ model: "broken", runtime: "triton", state: "failed", reason: "out of memory" }),
    ],
  });
  const message = encodeNodeState(sample, identity, 0);
  expect(message.models.map(({ status, labels }) => [status, labels?.runtime])).toEqual([
    [ModelStatus.MODEL_STATUS_READY, "vllm"],
    [ModelStatus.MODEL_STATUS_WARMING, "vllm"],
    [ModelStatus.MODEL_STATUS_LOADING, "triton"],
    [ModelStatus.MODEL_STATUS_FAILED, "triton"],
  ]);
  const read = decodeNodeState(message);
  expect(read.runtimes).toEqual([...sample.runtimes]);
  expect(read.models.map(({ state }) => state)).toEqual(["loaded", "warming", "loading", "failed"]);
  expect(read.models[3]?.reason).toBe("out of memory");
});

test("runtimes without a name or with one that was told already are left out, and so are endpoints that are none", () => {
  const endpoints = [
    { name: "http", address: ":8000", protocol: "http", tls: false },
    { name: "odd", address: "nowhere", protocol: "http" },
    { name: "odd", address: ":1", protocol: "smtp" },
  ];
  const state = NodeState.fromObject({
    runtimes: [{ name: "a", state: "flying", ready: true, endpoints }, { name: "a" }, { name: "" }, { name: "b" }],
    models: [
      { labels: { model: "m" }, status: 99, cacheHitRate: 3, timeToFirstToken: [{ quantile: 0.5, seconds: 1 }] },
    ],
  });
  const { runtimes, models } = decodeNodeState(state);
  expect(runtimes.map(({ name: one, state: is, ready }) => [one, is, ready])).toEqual([
    ["a", "ready", true],
    ["b", "starting", false],
  ]);
  expect(runtimes[0]?.endpoints).toEqual([{ name: "http", host: "", port: 8000, protocol: "http", tls: false }]);
  // A status of a later version is not taken for "served".
  expect(models).toEqual([modelSample({ state: "available", cacheHitRate: 1 })]);
});

test("draining is told of the node, and by versions that do not, of its models", () => {
  const draining = nodeSample({ ready: false, draining: true, models: [modelSample()] });
  const loading = nodeSample({ ready: false, models: [modelSample()] });
  expect(decodeNodeState(encodeNodeState(draining, identity, 0)).draining).toBe(true);
  expect(decodeNodeState(encodeNodeState(loading, identity, 0))).toMatchObject({ ready: false, draining: false });
  const { draining: _told, ...earlier } = NodeState.toObject(encodeNodeState(draining, identity, 0), {});
  expect(decodeNodeState(NodeState.fromObject(earlier)).draining).toBe(true);
  expect(decodeNodeState(encodeNodeState({ ...draining, models: [] }, identity, 0)).draining).toBe(true);
});

test("figures that can't be are unknown or bounded, and nameless models are left out", () => {
  const state = NodeState.fromObject({
    models: [
      {
        labels: { model: "m" },
        kvUsage: Number.NaN,
        prefillTokensPerSecond: -1,
        decodeTokensPerSecond: Number.POSITIVE_INFINITY,
      },
      { labels: { model: "n" }, kvUsage: 7 },
      {},
    ],
    gpus: [{ utilization: 2, health: 99 }],
    vitals: { cpuUsage: -3 },
  });
  const sample = decodeNodeState(state);
  expect(sample.models).toEqual([modelSample(), modelSample({ model: "n", kvUsage: 1 })]);
  expect(sample.gpus[0]).toMatchObject({ utilization: 1, health: undefined, memoryTotalBytes: undefined });
  expect(sample.cpuUsage).toBeUndefined();
  const odd = nodeSample({ requestsInProgress: Number.NaN, cpuUsage: Number.NaN });
  expect(decodeNodeState(encodeNodeState(odd, identity, 0))).toEqual(nodeSample());
});

test("JSON vitals without a state: the requests stand for every model", () => {
  const vitals = {
    ready: true,
    requests_in_progress: 3,
    cpu_usage: 0.5,
    gpu_usage: null,
    failed_responses: "x",
    version: "1",
  };
  expect(decodeVitalsJson(vitals, ["a", "b"])).toEqual(
    nodeSample({
      models: [modelSample({ model: "a", runningRequests: 3 }), modelSample({ model: "b", runningRequests: 3 })],
      requestsInProgress: 3,
      cpuUsage: 0.5,
      uptimeSeconds: 0,
      version: "1",
    }),
  );
});

test("what is no vitals is null, and no input throws", () => {
  for (const json of [null, 7, "x", [], {}, { ready: "yes" }, { ready: true, state: { models: 7 } }]) {
    expect(decodeVitalsJson(json, ["m"])).toBeNull();
  }
  fc.assert(fc.property(fc.jsonValue(), (state) => void decodeVitalsJson({ ready: true, state }, ["m"])));
});
