/**
 * The agent's JSON API, on its --metrics and --api ports: vitals, health, state, and the mock runtime's faults.
 * Every endpoint is described in docs/api.md.
 */
import type { Context, Hono } from "hono";
import type { MeshError } from "../base/errors.ts";
import { NodeState } from "../gen/state.js";
import { type NodeSample, whyNotReady } from "../score/sample.ts";
import { allowOnly, jsonBody, newApp, PROMETHEUS_TYPE, PROTOBUF_TYPE, wantedFormat, type Format } from "./app.ts";
import { gpuRoutes, type GpuView } from "./gpu-api.ts";
import { type ApiPart, GPU_API } from "./gpu-schema.ts";
import { type KeyringControl, keyringRoutes } from "./keyring-api.ts";
import { type MeshApiOptions, leaveRoute, meshRoutes } from "./mesh-api.ts";
import { RUNTIME_API } from "./runtime-schema.ts";

export interface AgentHealth {
  readonly status: "ok" | "degraded" | "draining";
  /** Why it is not ok. */
  readonly reason?: string;
}

export interface AgentApiOptions extends MeshApiOptions {
  /** The newest sample; called for each request. */
  sample(): NodeSample;
  /** The sample as the message that routers read. */
  state(sample: NodeSample): NodeState;
  /** All metrics in Prometheus' text format. */
  metricsText(): Promise<string>;
  /** What GET /status tells beside vitals and health: identity, addresses, routers. */
  status(): Record<string, unknown>;
  /** The node's GPUs, with all that is read of them. */
  readonly gpus?: GpuView;
  /** By default what the sample says. */
  health?(): AgentHealth;
  /** The mock runtime's faults; without it there is no /mock. Not for the metrics port, which others can reach. */
  readonly faults?: AgentFaults;
  /** The runtime that the agent has started; without it there is no /runtime. Not for the metrics port either. */
  readonly runtime?: RuntimeControl;
  /** The gossip's keys; without it there is no /keyring. Not for the metrics port either. */
  readonly keyring?: () => KeyringControl;
  /** Errors that are not the client's. */
  onError?(error: unknown, request: string): void;
}

export interface RuntimeControl {
  readonly status: object;
  start(): void;
  restart(): void;
  stop(): void;
}

export interface AgentFaults {
  get(): unknown;
  set(json: unknown): { readonly faults: unknown } | { readonly error: MeshError };
  clear(): unknown;
}

/** The vitals as JSON: names and meaning are fixed. */
export function vitalsJson(sample: NodeSample): Record<string, unknown> {
  return {
    ready: sample.ready,
    draining: sample.draining,
    requests_in_progress: sample.requestsInProgress,
    cpu_usage: sample.cpuUsage ?? null,
    memory_usage: sample.memoryUsage ?? null,
    gpu_usage: sample.gpuUsage ?? null,
    failed_responses: sample.failedResponses,
    connected_peers: sample.connectedPeers,
    backoff_requests: sample.backoffRequests,
    uptime_seconds: sample.uptimeSeconds,
    version: sample.version,
  };
}

export function agentApi(options: AgentApiOptions): Hono {
  const app = newApp((error, request) => options.onError?.(error, request));
  const stateJson = (sample: NodeSample): object =>
    NodeState.toObject(options.state(sample), { enums: String, arrays: true });
  const stateBytes = (c: Context, sample: NodeSample): Response => {
    const bytes = NodeState.encode(options.state(sample)).finish();
    return c.body(new Uint8Array(bytes), 200, { "content-type": PROTOBUF_TYPE });
  };
  const text = async (c: Context): Promise<Response> =>
    c.body(await options.metricsText(), 200, { "content-type": PROMETHEUS_TYPE });
  const health = (sample: NodeSample): AgentHealth => options.health?.() ?? healthOf(sample);

  app.get("/metrics", async (c): Promise<Response> => {
    c.header("vary", "accept");
    const format = wantedFormat(c, ["json", "text", "protobuf"]);
    if (format === "text") return text(c);
    const sample = options.sample();
    if (format === "protobuf") return stateBytes(c, sample);
    return c.json({ ...vitalsJson(sample), state: stateJson(sample) });
  });
  app.get("/telemetry", text);
  app.get("/health", (c) => {
    const sample = options.sample();
    const now = health(sample);
    const body = { ...now, ready: sample.ready, uptime_seconds: sample.uptimeSeconds, version: sample.version };
    return c.json(body, now.status === "draining" ? 503 : 200);
  });
  app.get("/status", (c) => {
    const sample = options.sample();
    return c.json({ ...options.status(), health: health(sample), vitals: vitalsJson(sample) });
  });
  app.get("/state", (c) => {
    c.header("vary", "accept");
    const formats: Format[] = ["json", "protobuf"];
    const sample = options.sample();
    return wantedFormat(c, formats) === "protobuf" ? stateBytes(c, sample) : c.json(stateJson(sample));
  });
  if (options.gpus !== undefined) gpuRoutes(app, options.gpus);
  const parts = [options.gpus === undefined ? [] : GPU_API, options.runtime === undefined ? [] : RUNTIME_API].flat();
  meshRoutes(app, { ...options, openApi: together(parts) });
  const read = "GET, HEAD";
  const methods: Record<string, string> = {
    "/metrics": read,
    "/telemetry": read,
    "/health": read,
    "/status": read,
    "/state": read,
  };

  if (options.leave !== undefined) leaveRoute(app, options.leave);
  const { faults } = options;
  if (faults !== undefined) {
    app.get("/mock/faults", (c) => c.json(faults.get() as object));
    app.post("/mock/faults", async (c) => {
      const result = faults.set(await jsonBody(c));
      if ("error" in result) throw result.error;
      return c.json(result.faults as object);
    });
    app.delete("/mock/faults", (c) => c.json(faults.clear() as object));
    methods["/mock/faults"] = "GET, HEAD, POST, DELETE";
  }
  if (options.runtime !== undefined) Object.assign(methods, runtimeRoutes(app, options.runtime));
  allowOnly(app, methods);
  if (options.keyring !== undefined) keyringRoutes(app, options.keyring);
  return app;
}

function together(parts: readonly ApiPart[]): ApiPart {
  return {
    paths: Object.assign({}, ...parts.map(({ paths }) => paths)) as ApiPart["paths"],
    schemas: Object.assign({}, ...parts.map(({ schemas }) => schemas)) as ApiPart["schemas"],
  };
}

/** Answers the methods of its paths. What was asked for takes its time: 202, with the state that it has begun with. */
function runtimeRoutes(app: Hono, runtime: RuntimeControl): Record<string, string> {
  app.get("/runtime", (c) => c.json(runtime.status));
  const methods: Record<string, string> = { "/runtime": "GET, HEAD" };
  for (const action of ["start", "restart", "stop"] as const) {
    app.post(`/runtime/${action}`, (c) => {
      runtime[action]();
      return c.json(runtime.status, 202);
    });
    methods[`/runtime/${action}`] = "POST";
  }
  return methods;
}

function healthOf(sample: NodeSample): AgentHealth {
  if (sample.draining) return { status: "draining", reason: "the node finishes what it has" };
  if (sample.ready) return { status: "ok" };
  return { status: "degraded", reason: whyNotReady(sample) || "the runtime is not ready" };
}
