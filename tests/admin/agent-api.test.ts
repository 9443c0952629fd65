import type { NodeSample } from "../../src/score/sample.ts";
import { describe, expect, test } from "bun:test";
import { agentApi, type AgentApiOptions, type AgentHealth } from "../../src/admin/agent-api.ts";
import { acceptedFormat, type Format } from "../../src/admin/app.ts";
import { MeshError } from "../../src/base/errors.ts";
import { NodeState } from "../../src/gen/state.js";
import { decodeNodeState, decodeVitalsJson, encodeNodeState } from "../../src/mesh/node-state.ts";
import { modelSample, nodeSample } from "../fleet/samples.ts";

const identity = {
  id: "gpu-1",
  incarnation: 7,
  role: "gpu",
  zone: "eu",
  labels: {},
  addresses: { serve: "127.0.0.1:8000", api: "", metrics: "127.0.0.1:9090", gossip: "" },
};
const sample = nodeSample({
  requestsInProgress: 3,
  cpuUsage: 0.5,
  models: [modelSample({ runningRequests: 3, kvUsage: 0.25 })],
});

function api(overrides: Partial<AgentApiOptions> = {}) {
  return agentApi({
    sample: () => sample,
    state: (each) => encodeNodeState(each, identity, 1000),
    metricsText: async () => "infermesh_agent_up 1\n",
    status: () => ({ id: "gpu-1" }),
    ...overrides,
  });
}

async function metrics(accept?: string, query = ""): Promise<Response> {
  return api().request(`/metrics${query}`, accept === undefined ? {} : { headers: { accept } });
}

describe("GET /metrics", () => {
  test("gives JSON vitals with the fixed names", async () => {
    const response = await metrics("application/json");
    expect(response.headers.get("content-type")).toContain("application/json");
    const json = (await response.json()) as Record<string, unknown>;
    const { state, ...vitals } = json;
    expect(vitals).toEqual({
      ready: true,
      draining: false,
      requests_in_progress: 3,
      cpu_usage: 0.5,
      memory_usage: null,
      gpu_usage: null,
      failed_responses: 0,
      connected_peers: 0,
      backoff_requests: 0,
      uptime_seconds: 1,
      version: "0.1.0",
    });
    expect(state).toMatchObject({ id: "gpu-1", models: [{ runningRequests: 3, kvUsage: 0.25 }] });
    expect(decodeVitalsJson(json, [])).toEqual(sample);
  });

  test("gives text to Prometheus and a NodeState to routers", async () => {
    const prometheus = await metrics(
      "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    );
    expect(prometheus.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(prometheus.headers.get("vary")).toBe("accept");
    expect(await prometheus.text()).toBe("infermesh_agent_up 1\n");
    const router = await metrics("application/x-protobuf");
    expect(decodeNodeState(NodeState.decode(new Uint8Array(await router.arrayBuffer())))).toEqual(sample);
  });

  test("lets ?format= decide", async () => {
    const browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    for (const [format, type] of [
      ["json", "application/json"],
      ["text", "text/plain"],
      ["prometheus", "text/plain"],
      ["protobuf", "application/x-protobuf"],
    ] as const) {
      expect((await metrics(browser, `?format=${format}`)).headers.get("content-type")).toStartWith(type);
    }
    const wrong = await metrics(browser, "?format=xml");
    expect(wrong.status).toBe(400);
    expect(await wrong.json()).toEqual({
      error: {
        message: 'format is "xml"; expected one of json, text, prometheus, protobuf',
        type: "invalid_request_error",
        param: "format",
        code: "bad_request",
      },
    });
    expect((await metrics(browser, "?format=constructor")).status).toBe(400);
  });
});

test("formats by Accept header", () => {
  const all: Format[] = ["json", "text", "protobuf"];
  const table: [string, Format][] = [
    ["", "json"],
    ["*/*", "json"],
    ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"],
    ["application/json", "json"],
    ["text/plain", "text"],
    ["text/*", "text"],
    ["TEXT/PLAIN", "text"],
    ["application/*", "json"],
    ["application/openmetrics-text; version=1.0.0", "text"],
    ["application/json;q=0.5, text/plain", "text"],
    ["application/json, text/plain", "json"],
    ["text/plain, application/json", "text"],
    ["text/plain;q=0.4, */*;q=0.5", "json"],
    ["application/json;q=0, */*", "text"],
    ["application/json;q=0, text/plain;q=0", "json"],
    ["application/json, text/plain, */*", "json"],
    ["application/x-protobuf; proto=infermesh.state.v1.NodeState, application/json;q=0.9", "protobuf"],
    ["application/vnd.google.protobuf", "protobuf"],
    [
      "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;q=0.5",
      "text",
    ],
    ["application/json;q=nonsense, text/plain;q=0.1", "text"],
    ["image/png", "json"],
    [",;=,,", "json"],
  ];
  for (const [accept, format] of table) expect([accept, acceptedFormat(accept, all)]).toEqual([accept, format]);
  expect(acceptedFormat("application/x-protobuf", ["json", "text"])).toBe("json");
});

test("GET /telemetry is text whatever is asked for", async () => {
  const response = await api().request("/telemetry", { headers: { accept: "application/json" } });
  expect(await response.text()).toBe("infermesh_agent_up 1\n");
});

test("GET /health follows the sample, or what it is given", async () => {
  const health = async (overrides: Partial<AgentApiOptions>) => {
    const response = await api(overrides).request("/health");
    return [response.status, ((await response.json()) as AgentHealth).status];
  };
  expect(await health({})).toEqual([200, "ok"]);
  expect(await health({ sample: () => nodeSample({ ready: false }) })).toEqual([200, "degraded"]);
  expect(await health({ sample: () => nodeSample({ ready: false, draining: true }) })).toEqual([503, "draining"]);
  const gpu = { index: 3, uuid: "GPU-3", health: "quarantined", healthReason: "XID 79", models: ["m"] };
  const ill = nodeSample({ ready: false, gpus: [gpu] as unknown as NodeSample["gpus"] });
  const told = await api({ sample: () => ill }).request("/health");
  expect(await told.json()).toMatchObject({
    status: "degraded",
    reason: "GPU 3 (GPU-3) is quarantined: XID 79",
  });
  expect(await health({ health: () => ({ status: "draining" }) })).toEqual([503, "draining"]);
});

test("GET /status and /state", async () => {
  const status = await api().request("/status");
  expect(await status.json()).toMatchObject({ id: "gpu-1", health: { status: "ok" }, vitals: { ready: true } });
  expect(await (await api().request("/state")).json()).toMatchObject({ id: "gpu-1", incarnation: 7, zone: "eu" });
  const binary = await api().request("/state", { headers: { accept: "application/x-protobuf" } });
  expect(NodeState.decode(new Uint8Array(await binary.arrayBuffer())).id).toBe("gpu-1");
  expect((await api().request("/state?format=text")).status).toBe(400);
});

test("/mock/faults where there is a mock", async () => {
  let faults: object = {};
  const app = api({
    faults: {
      get: () => faults,
      set: (json) => {
        if (json === 7) return { error: new MeshError("bad_request", "not an object") };
        faults = json as object;
        return { faults };
      },
      clear: () => (faults = {}),
    },
  });
  const set = await app.request("/mock/faults", { method: "POST", body: '{"slow":3}' });
  expect(await set.json()).toEqual({ slow: 3 });
  expect(await (await app.request("/mock/faults")).json()).toEqual({ slow: 3 });
  expect((await app.request("/mock/faults", { method: "POST", body: "7" })).status).toBe(400);
  const broken = await app.request("/mock/faults", { method: "POST", body: "{" });
  expect([broken.status, ((await broken.json()) as { error: { code: string } }).error.code]).toEqual([400, "bad_json"]);
  expect((await app.request("/mock/faults", { method: "POST" })).status).toBe(400);
  expect(await (await app.request("/mock/faults", { method: "DELETE" })).json()).toEqual({});
  expect((await api().request("/mock/faults")).status).toBe(404);
});

test("other paths are 404, other methods 405, and a failing app tells no details", async () => {
  const lost = await api().request("/nowhere");
  expect([lost.status, ((await lost.json()) as { error: { code: string } }).error.code]).toEqual([404, "not_found"]);
  const wrong = await api().request("/metrics", { method: "POST" });
  expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  expect((await api().request("/metrics", { method: "HEAD" })).status).toBe(200);

  const told: string[] = [];
  const failing = api({
    metricsText: () => Promise.reject(new Error("secret")),
    onError: (error, request) => told.push(`${request} ${(error as Error).message}`),
  });
  const failed = await failing.request("/telemetry");
  expect(failed.status).toBe(500);
  expect(await failed.text()).not.toContain("secret");
  expect(told).toEqual(["GET /telemetry secret"]);
});

test("a page of another origin can't change anything", async () => {
  const app = api({ faults: { get: () => ({}), set: () => ({ faults: {} }), clear: () => ({}) } });
  const post = (origin: string) =>
    app.request("http://127.0.0.1:9090/mock/faults", {
      method: "POST",
      body: "{}",
      headers: { origin, host: "127.0.0.1:9090" },
    });
  expect((await post("http://evil.example")).status).toBe(400);
  expect((await post("null")).status).toBe(400);
  expect((await post("http://127.0.0.1:9090")).status).toBe(200);
});

test("a page of a name that was made to lead here can't change anything; a name that the operator gave can", async () => {
  const app = api({ faults: { get: () => ({}), set: () => ({ faults: {} }), clear: () => ({}) } });
  const post = async (host: string, hostname = "") => {
    const headers = { origin: `http://${host}`, host };
    const init = { method: "POST", body: "{}", headers };
    return (await app.request(`http://${host}/mock/faults`, init, { hostname })).status;
  };
  expect(await post("rebound.example:50051")).toBe(400);
  expect(await post("rebound.example:50051", "127.0.0.1")).toBe(400);
  expect(await post("127.0.0.1.evil.example:50051")).toBe(400);
  expect(await post("gpu-1:50051", "gpu-1")).toBe(200);
  for (const host of ["localhost:50051", "[::1]:50051", "10.0.0.8:50051"]) expect(await post(host)).toBe(200);
  // What is no web page names no origin, and may call the node what it likes.
  const plain = await app.request("http://gpu-1:50051/mock/faults", { method: "POST", body: "{}" });
  expect(plain.status).toBe(200);
});
