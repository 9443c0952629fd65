import { describe, expect, test } from "bun:test";
import { redacted, routerApi, type RouterApiOptions, type RouterStats } from "../../src/admin/router-api.ts";
import { Prng } from "../../src/base/prng.ts";
import { MeshError } from "../../src/base/errors.ts";
import { parseSection } from "../../src/base/settings-reading.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import { fleetSettings } from "../../src/fleet/settings.ts";
import { nodeSample } from "../fleet/samples.ts";

const stats: RouterStats = {
  uptimeSeconds: 5,
  version: "0.1.0",
  workers: 2,
  requestsTotal: 10,
  requestsByCode: { "200": 9, "404": 1 },
  inFlight: 1,
  connectionsOpen: 4,
  decision: { p50us: 2, p99us: 8 },
  scorer: "c",
};

function newRouter(overrides: Partial<RouterApiOptions> = {}) {
  const parsed = parseSection(fleetSettings, {});
  if (!("value" in parsed)) throw new Error("the defaults are at fault");
  const fleet = new Fleet(parsed.value, new Prng(1));
  const app = routerApi({
    nowMs: () => 1500,
    targets: () => fleet.targets(),
    target: (id) => fleet.target(id),
    load: () => ({ inFlight: 2, inFlightTokens: 300, othersInFlight: 1 }),
    register: (registration) => fleet.register(registration, 1000),
    deregister: (id) => fleet.deregister(id, 1000),
    stats: () => stats,
    metricsText: async () => "infermesh_router_up 1\n",
    config: () => ({ listen: ":8080", tls: { privateKey: "hush" } }),
    ...overrides,
  });
  const post = async (path: string, body: unknown) => {
    const response = await app.request(path, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    return {
      status: response.status,
      json: (await response.json()) as Record<string, never> & { error: Record<string, string> },
    };
  };
  return { fleet, app, post };
}

const node = { id: "gpu-1", address: "127.0.0.1:8000", metrics_port: 9090, models: ["m"] };

describe("POST /register", () => {
  test("is 201 at first, 200 again", async () => {
    const { post, fleet } = newRouter();
    expect(await post("/register", node)).toMatchObject({
      status: 201,
      json: { id: "gpu-1", models: ["m"], first: true },
    });
    expect(await post("/register", node)).toMatchObject({ status: 200, json: { first: false } });
    expect(fleet.targets()).toHaveLength(1);
  });

  test("is 400 with every fault, 409 for a conflict, 429 when full", async () => {
    const { post } = newRouter();
    const bad = await post("/register", { id: "", address: "x" });
    expect(bad.status).toBe(400);
    for (const field of ["id is", "address is", "metrics_port is", "models is"]) {
      expect(bad.json.error["message"]).toContain(field);
    }
    expect((await post("/register", "{")).json.error["code"]).toBe("bad_json");
    await post("/register", node);
    expect(await post("/register", { ...node, address: "127.0.0.1:8001" })).toMatchObject({
      status: 409,
      json: { error: { code: "conflict", type: "invalid_request_error" } },
    });
    const full = newRouter({ register: () => ({ refused: new MeshError("over_capacity", "full") }) });
    expect((await full.post("/register", node)).status).toBe(429);
  });

  test("is undone by POST /deregister", async () => {
    const { post, fleet } = newRouter();
    await post("/register", node);
    expect((await post("/deregister", { id: "gpu-1" })).status).toBe(200);
    expect(fleet.targets()).toEqual([]);
    expect((await post("/deregister", { id: "gpu-1" })).status).toBe(404);
    expect((await post("/deregister", {})).status).toBe(400);
    expect((await post("/deregister", null)).status).toBe(400);
  });
});

test("GET /nodes shows each target, before and after its first sample", async () => {
  const { post, app, fleet } = newRouter();
  await post("/register", { ...node, zone: "eu", labels: { tier: "a" }, weight: 2 });
  const unknown = {
    id: "gpu-1",
    node: "gpu-1",
    endpoint: "",
    protocol: "http",
    tls: false,
    state: "unknown",
    routable: true,
    source: "registered",
    address: "127.0.0.1:8000",
    models: ["m"],
    zone: "eu",
    labels: { tier: "a" },
    incarnation: 0,
    weight: 2,
    inFlight: 2,
    inFlightTokens: 300,
    othersInFlight: 1,
    rttMs: null,
    streamed: false,
    sampledAgoMs: null,
    registeredAgoMs: 500,
    failuresInRow: 0,
    lastError: "",
    sample: null,
    kvCache: [],
  };
  expect(await (await app.request("/nodes")).json()).toEqual({ nodes: [unknown] });
  fleet.take();
  fleet.polled("gpu-1", { ok: true, sample: nodeSample(), rttMs: 1.5 }, 1200);
  expect(await (await app.request("/nodes/gpu-1")).json()).toMatchObject({
    state: "healthy",
    rttMs: 1.5,
    streamed: false,
    sampledAgoMs: 300,
    sample: { ready: true, uptimeSeconds: 1 },
  });
  expect((await app.request("/nodes/gpu-2")).status).toBe(404);
});

test("a node with several endpoints registers each, and is told of with all of them", async () => {
  const { app, post } = newRouter();
  const of = (endpoint: string, port: number) => ({
    ...node,
    id: `gpu-1/${endpoint}`,
    node: "gpu-1",
    endpoint,
    address: `127.0.0.1:${port}`,
  });
  expect((await post("/register", of("http", 8000))).status).toBe(201);
  expect((await post("/register", { ...of("grpc", 8001), protocol: "grpc", tls: true })).status).toBe(201);
  await post("/register", { ...node, id: "gpu-2" });
  const { nodes } = (await (await app.request("/nodes?node=gpu-1")).json()) as { nodes: Record<string, unknown>[] };
  expect(nodes.map(({ id, node: at, protocol, tls }) => [id, at, protocol, tls])).toEqual([
    ["gpu-1/http", "gpu-1", "http", false],
    ["gpu-1/grpc", "gpu-1", "grpc", true],
  ]);
  expect((await app.request("/nodes/gpu-1/grpc")).status).toBe(200);
  const several = await app.request("/nodes/gpu-1");
  expect(several.status).toBe(404);
  expect(JSON.stringify(await several.json())).toContain("ask for gpu-1/http, gpu-1/grpc");
  expect(await post("/deregister", { id: "gpu-1" })).toMatchObject({ status: 200 });
  expect(await (await app.request("/nodes?node=gpu-1")).json()).toEqual({ nodes: [] });
});

test("GET /nodes/:id takes ids with slashes, plain and encoded", async () => {
  const { app, fleet } = newRouter();
  const upstream = { host: "10.0.0.1", port: 80, tls: false, protocol: "http" as const };
  fleet.setStatic(
    [
      { ...upstream, model: "a", weight: 1 },
      { ...upstream, model: "org/b", weight: 2 },
    ],
    0,
  );
  for (const id of ["10.0.0.1:80/org/b", encodeURIComponent("10.0.0.1:80/org/b")]) {
    expect(await (await app.request(`/nodes/${id}`)).json()).toMatchObject({ models: ["org/b"], weight: 2 });
  }
});

test("GET /models lists each model once, with its nodes", async () => {
  const { app, post } = newRouter();
  await post("/register", node);
  await post("/register", { ...node, id: "gpu-2", models: ["m", "a"] });
  expect(await (await app.request("/models")).json()).toEqual({
    models: [
      { id: "a", nodes: [{ id: "gpu-2", node: "gpu-2", state: "unknown", routable: true }], routableNodes: 1 },
      {
        id: "m",
        nodes: [
          { id: "gpu-1", node: "gpu-1", state: "unknown", routable: true },
          { id: "gpu-2", node: "gpu-2", state: "unknown", routable: true },
        ],
        routableNodes: 2,
      },
    ],
  });
});

test("GET /health is degraded without nodes, 503 when draining", async () => {
  const { app, post } = newRouter();
  const empty = await app.request("/health");
  expect([empty.status, await empty.json()]).toEqual([
    200,
    { status: "degraded", reason: "no routable node", nodes: 0, routableNodes: 0, uptimeSeconds: 5, version: "0.1.0" },
  ]);
  await post("/register", node);
  expect(await (await app.request("/health")).json()).toMatchObject({ status: "ok", nodes: 1, routableNodes: 1 });
  const draining = await newRouter({ health: () => ({ status: "draining" }) }).app.request("/health");
  expect(draining.status).toBe(503);
});

test("GET /stats, /metrics and /telemetry", async () => {
  const { app } = newRouter();
  expect(await (await app.request("/stats")).json()).toEqual(stats);
  expect(await (await app.request("/metrics")).json()).toEqual(stats);
  const text = await app.request("/metrics", { headers: { accept: "text/plain" } });
  expect(await text.text()).toBe("infermesh_router_up 1\n");
  expect((await app.request("/metrics?format=protobuf")).status).toBe(400);
  expect(await (await app.request("/telemetry")).text()).toBe("infermesh_router_up 1\n");
});

test("GET /config hides secrets", async () => {
  const { app } = newRouter();
  expect(await (await app.request("/config")).json()).toEqual({ listen: ":8080", tls: { privateKey: "***" } });
  expect(
    redacted({
      apiKey: "k",
      api_key: "k",
      tokens: ["a"],
      password: "",
      maxTokens: 5,
      monkey: "fine",
      upstreams: ["http://user:pass@host/", "http://host:80/"],
      gpu: { source: "dcgm=http://ada:se@cret/x@host:9400/metrics" },
    }),
  ).toEqual({
    apiKey: "***",
    api_key: "***",
    tokens: "***",
    password: "",
    maxTokens: 5,
    monkey: "fine",
    upstreams: ["http://user:***@host/", "http://host:80/"],
    gpu: { source: "dcgm=http://ada:***@host:9400/metrics" },
  });
});

test("the read-only part has neither registration nor configuration", async () => {
  const { app, post, fleet } = newRouter({ readOnly: true });
  expect((await post("/register", node)).status).toBe(404);
  expect((await post("/deregister", { id: "gpu-1" })).status).toBe(404);
  expect((await app.request("/config")).status).toBe(404);
  expect((await app.request("/nodes")).status).toBe(200);
  expect(fleet.targets()).toEqual([]);
});

test("wrong methods are 405", async () => {
  const { app } = newRouter();
  for (const [path, method, allow] of [
    ["/register", "GET", "POST"],
    ["/nodes", "DELETE", "GET, HEAD"],
    ["/nodes/a", "DELETE", "GET, HEAD"],
    ["/stats", "POST", "GET, HEAD"],
  ]) {
    const response = await app.request(path!, { method: method! });
    expect([path, response.status, response.headers.get("allow")]).toEqual([path, 405, allow]);
  }
});
