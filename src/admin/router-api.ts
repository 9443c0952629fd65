/**
 * The router's JSON API, on its --api and --metrics ports: registration, targets, statistics, health.
 * Every endpoint is described in docs/api.md.
 */
import type { Context, Hono } from "hono";
import { MeshError } from "../base/errors.ts";
import { withoutUrlSecrets } from "../base/url-secrets.ts";
import type { RegisterResult } from "../fleet/event.ts";
import { formatHostPort, parseRegistration, type Registration } from "../fleet/registration.ts";
import { isRoutable, type Target } from "../fleet/target.ts";
import { allowOnly, jsonBody, newApp, PROMETHEUS_TYPE, wantedFormat } from "./app.ts";
import { fleetGpuRoutes } from "./fleet-gpus.ts";
import { FLEET_GPU_API } from "./gpu-schema.ts";
import { type KeyringControl, keyringRoutes } from "./keyring-api.ts";
import { type MeshApiOptions, leaveRoute, meshRoutes } from "./mesh-api.ts";
import { operationRoutes, type Operations } from "./operations-api.ts";

const ENDPOINTS_SHOWN_MAX = 16;

/** What the table holds of a target now, over all its models. */
export interface TargetLoad {
  readonly inFlight: number;
  readonly inFlightTokens: number;
  /** Requests there of the other routers, as they told of them. */
  readonly othersInFlight: number;
}

/** What is known of the KV cache of an engine, by its node's word. */
export interface EngineBlocks {
  /** Which one of the node's: where its events come from. */
  readonly engine: string;
  readonly runtime: string;
  readonly blocks: number;
  /** Tokens a block; 0 before the first. */
  readonly blockTokens: number;
  /** The engine holds no others. */
  readonly whole: boolean;
  /** Nothing that the node told is missing. */
  readonly current: boolean;
  /** The node hears the engine: else what it told may be out of date. */
  readonly heard: boolean;
  readonly updatesBehind: number;
  /** Since when it is not current. */
  readonly behindMs: number | null;
}

/** GET /stats. */
export interface RouterStats {
  readonly uptimeSeconds: number;
  readonly version: string;
  readonly workers: number;
  readonly requestsTotal: number;
  readonly requestsByCode: Readonly<Record<string, number>>;
  readonly inFlight: number;
  readonly connectionsOpen: number;
  /** Time that workers take to choose a target, in microseconds; null before the first choice. */
  readonly decision: { readonly p50us: number | null; readonly p99us: number | null };
  readonly scorer: string;
  readonly [more: string]: unknown;
}

export interface RouterHealth {
  readonly status: "ok" | "degraded" | "draining";
  readonly reason?: string;
}

export interface RouterApiOptions extends MeshApiOptions {
  nowMs(): number;
  targets(): readonly Target[];
  target(id: string): Target | undefined;
  load(id: string): TargetLoad;
  /** Of the engines behind a target; none where nothing is told of them. */
  blocks?(target: Target): readonly EngineBlocks[];
  register(registration: Registration): RegisterResult;
  deregister(id: string): boolean;
  stats(): RouterStats;
  /** By default: degraded without a routable target. */
  health?(): RouterHealth;
  metricsText(): Promise<string>;
  /** The configuration in force; what looks like a secret is hidden here. */
  config(): unknown;
  /** The gossip's keys. */
  readonly keyring?: () => KeyringControl;
  readonly operations?: Operations;
  onError?(error: unknown, request: string): void;
  /** Leaves out what changes the router or shows its configuration: for the metrics port, which others can reach. */
  readonly readOnly?: boolean;
}

export function routerApi(options: RouterApiOptions): Hono {
  const app = newApp((error, request) => options.onError?.(error, request));
  const node = (target: Target): Record<string, unknown> => ({
    ...nodeJson(target, options.load(target.id), options.nowMs()),
    kvCache: options.blocks?.(target) ?? [],
  });
  const text = async (c: Context): Promise<Response> =>
    c.body(await options.metricsText(), 200, { "content-type": PROMETHEUS_TYPE });

  app.get("/nodes", (c) => {
    const of = c.req.query("node");
    return c.json({
      nodes: options
        .targets()
        .filter((one) => of === undefined || one.node === of)
        .map(node),
    });
  });
  // Ids of static targets may hold slashes, since model names do.
  app.get("/nodes/:id{.+}", (c) => {
    const id = c.req.param("id");
    const target = options.target(id);
    if (target !== undefined) return c.json(node(target));
    const endpoints = options.targets().filter((one) => one.node === id);
    const shown = JSON.stringify(id.slice(0, 128));
    if (endpoints.length === 0) throw new MeshError("not_found", `there is no node ${shown}`);
    const names = endpoints.map((one) => one.id).slice(0, ENDPOINTS_SHOWN_MAX);
    throw new MeshError(
      "not_found",
      `${shown} serves at several endpoints: ask for ${names.join(", ")}, or /nodes?node=ID`,
    );
  });
  fleetGpuRoutes(app, options);
  app.get("/models", (c) => c.json({ models: modelsJson(options) }));
  app.get("/stats", (c) => c.json(options.stats()));
  app.get("/health", (c) => {
    const targets = options.targets();
    const routable = targets.filter(isRoutable).length;
    const health = options.health?.() ?? healthOf(routable);
    const { uptimeSeconds, version } = options.stats();
    const body = { ...health, nodes: targets.length, routableNodes: routable, uptimeSeconds, version };
    return c.json(body, health.status === "draining" ? 503 : 200);
  });
  app.get("/metrics", async (c): Promise<Response> => {
    c.header("vary", "accept");
    return wantedFormat(c, ["json", "text"]) === "text" ? text(c) : c.json(options.stats());
  });
  app.get("/telemetry", text);

  meshRoutes(app, { ...options, openApi: FLEET_GPU_API });
  const read = "GET, HEAD";
  if (options.readOnly !== true) {
    registrationRoutes(app, options);
    if (options.keyring !== undefined) keyringRoutes(app, options.keyring);
    if (options.leave !== undefined) leaveRoute(app, options.leave);
    if (options.operations !== undefined) operationRoutes(app, options.operations);
    app.get("/config", (c) => c.json(redacted(options.config()) as object));
    allowOnly(app, { "/register": "POST", "/deregister": "POST", "/config": read });
  }
  allowOnly(app, {
    "/nodes": read,
    "/nodes/*": read,
    "/models": read,
    "/stats": read,
    "/health": read,
    "/metrics": read,
    "/telemetry": read,
  });
  return app;
}

/** Only registration, for a port that serves nothing else of this API. */
export function registrationRoutes(app: Hono, options: Pick<RouterApiOptions, "register" | "deregister">): void {
  app.post("/register", async (c) => {
    const parsed = parseRegistration(await jsonBody(c));
    if ("faults" in parsed) throw new MeshError("bad_request", parsed.faults.join("; "));
    const { id, models } = parsed.registration;
    const result = options.register(parsed.registration);
    if (result.refused !== undefined) throw result.refused;
    return c.json({ id, models, first: result.first }, result.first ? 201 : 200);
  });
  app.post("/deregister", async (c) => {
    const body = await jsonBody(c);
    const id: unknown = typeof body === "object" && body !== null && "id" in body ? body.id : undefined;
    if (typeof id !== "string") throw new MeshError("bad_request", "id is missing; expected text", { param: "id" });
    if (!options.deregister(id)) throw new MeshError("not_found", `there is no registered node "${id.slice(0, 128)}"`);
    return c.json({ id });
  });
}

/** One target as GET /nodes shows it; ages rather than times, since clocks differ. */
export function nodeJson(target: Target, load: TargetLoad, nowMs: number): Record<string, unknown> {
  const agoMs = (sinceMs: number): number => Math.max(0, Math.round(nowMs - sinceMs));
  return {
    id: target.id,
    node: target.node,
    endpoint: target.endpoint,
    protocol: target.protocol,
    tls: target.tls,
    state: target.state,
    routable: isRoutable(target),
    source: target.source,
    address: formatHostPort(target.host, target.port),
    models: target.models,
    zone: target.zone,
    labels: target.labels,
    incarnation: target.incarnation,
    weight: target.weight,
    inFlight: load.inFlight,
    inFlightTokens: load.inFlightTokens,
    othersInFlight: load.othersInFlight,
    rttMs: target.rttMs ?? null,
    streamed: target.streamed,
    sampledAgoMs: target.sampledAtMs === undefined ? null : agoMs(target.sampledAtMs),
    registeredAgoMs: agoMs(target.registeredAtMs),
    failuresInRow: target.failuresInRow,
    lastError: target.lastError,
    sample: target.lastSample ?? null,
  };
}

function modelsJson(options: RouterApiOptions): object[] {
  const models = new Map<string, Target[]>();
  for (const target of options.targets()) {
    for (const model of target.models) {
      const serving = models.get(model);
      if (serving === undefined) models.set(model, [target]);
      else serving.push(target);
    }
  }
  return [...models]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, targets]) => ({
      id,
      nodes: targets.map((target) => ({
        id: target.id,
        node: target.node,
        state: target.state,
        routable: isRoutable(target),
      })),
      routableNodes: targets.filter(isRoutable).length,
    }));
}

function healthOf(routable: number): RouterHealth {
  return routable > 0 ? { status: "ok" } : { status: "degraded", reason: "no routable node" };
}

const SECRET = /secret|token|password|passphrase|credential|authorization|apikey|privatekey/i;
const KEY = /(^key|[_-]key|Key)$/;
const HIDDEN = "***";
const DEPTH_MAX = 32;

/** A configuration fit to show: values under secret-looking names and passwords in URLs are replaced. */
export function redacted(value: unknown, name = "", depth = 0): unknown {
  const secret = (SECRET.test(name) || KEY.test(name)) && value !== null && value !== "" && value !== undefined;
  if (secret && typeof value !== "number" && typeof value !== "boolean") return HIDDEN;
  if (typeof value === "string") return withoutUrlSecrets(value);
  if (typeof value !== "object" || value === null || depth >= DEPTH_MAX) return value;
  if (Array.isArray(value)) return value.map((item) => redacted(item, "", depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redacted(item, key, depth + 1)]));
}
