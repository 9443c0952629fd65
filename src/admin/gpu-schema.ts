/** GET /gpus and GET /gpus/{uuid} for the OpenAPI document: an agent's and a router's. */
import type { GpuStack } from "../health/reading.ts";
import type { SourceState } from "../health/source-state.ts";
import type { HealthReason } from "../health/verdict.ts";
import type { GpuSample } from "../score/sample.ts";
import {
  type Fields,
  FLAG,
  INTEGER,
  type Json,
  NUMBER,
  object,
  READING_SCHEMAS,
  SHARE,
  TEXT,
} from "./reading-schema.ts";

/** Paths and schemas that stand in the document beside those of the services. */
export interface ApiPart {
  readonly paths: Json;
  readonly schemas: Json;
}

const UNIX_MS = { type: "integer", description: "Unix time in milliseconds." };
const TEXTS = { type: "array", items: TEXT };
const HEALTH = { type: "string", enum: ["healthy", "degraded", "quarantined"] };
const STATES = ["starting", "ok", "absent", "denied", "broken", "lost", "unresponsive"];

const STACK: Fields<GpuStack> = {
  backend: TEXT,
  source: TEXT,
  driverVersion: TEXT,
  libraryVersion: TEXT,
  cudaVersion: TEXT,
};

const SOURCE: Fields<SourceState> = {
  state: { type: "string", enum: STATES },
  message: { type: "string", description: "What happened, where, and what to do next; empty when nothing did." },
  sinceMs: UNIX_MS,
  stack: object(STACK, ["backend", "source"]),
  ambiguous: TEXTS,
};

const REASON: Fields<HealthReason> = {
  rule: TEXT,
  text: TEXT,
  severity: { type: "string", enum: ["degraded", "quarantined"] },
  sinceMs: UNIX_MS,
  recovery: { type: "string", enum: ["auto", "manual"] },
};

const GPU = {
  uuid: TEXT,
  node: TEXT,
  index: INTEGER,
  name: TEXT,
  health: HEALTH,
  healthSinceMs: UNIX_MS,
  reasons: { type: "array", items: object(REASON, Object.keys(REASON)), description: "The worst first." },
  isFresh: { type: "boolean", description: "False: the figures are the last that came." },
  runtimes: TEXTS,
  models: TEXTS,
  source: reference("gpus.Source"),
  ...READING_SCHEMAS,
};

const FLEET_GPU: Fields<GpuSample> & Json = {
  index: INTEGER,
  uuid: TEXT,
  name: TEXT,
  migProfile: TEXT,
  utilization: SHARE,
  memoryUsedBytes: NUMBER,
  memoryTotalBytes: NUMBER,
  powerWatts: NUMBER,
  powerLimitWatts: NUMBER,
  temperatureCelsius: NUMBER,
  throttleReasons: TEXTS,
  health: HEALTH,
  healthReason: TEXT,
  healthSinceMs: UNIX_MS,
  models: TEXTS,
  runtimes: TEXTS,
  node: TEXT,
  nodeState: { type: "string", enum: ["unknown", "healthy", "unhealthy", "draining"] },
  routable: FLAG,
  sampledAgoMs: { type: ["integer", "null"] },
};

const FIXED = [
  "uuid",
  "node",
  "index",
  "name",
  "health",
  "healthSinceMs",
  "reasons",
  "isFresh",
  "runtimes",
  "models",
  "source",
  "identity",
];
export const ERROR = object(
  {
    error: object({ message: TEXT, type: TEXT, param: { type: ["string", "null"] }, code: TEXT }, ["message", "code"]),
  },
  ["error"],
);

const UUID = { name: "uuid", in: "path", required: true, description: "Of a GPU, or of a MIG device.", schema: TEXT };
const NODE = { name: "node", in: "query", required: false, description: "Only those of this node.", schema: TEXT };

/** An agent's. */
export const GPU_API: ApiPart = {
  paths: paths("gpus.List", "gpus.Gpu", []),
  schemas: {
    "gpus.Error": ERROR,
    "gpus.Source": object(SOURCE, ["state", "message", "sinceMs"]),
    "gpus.Gpu": object(GPU, FIXED),
    "gpus.List": object({ node: TEXT, sources: list("gpus.Source"), gpus: list("gpus.Gpu") }, [
      "node",
      "sources",
      "gpus",
    ]),
  },
};

/** A router's. */
export const FLEET_GPU_API: ApiPart = {
  paths: paths("gpus.FleetList", "gpus.FleetGpu", [NODE]),
  schemas: {
    "gpus.Error": ERROR,
    "gpus.FleetGpu": object(FLEET_GPU, [
      "index",
      "uuid",
      "name",
      "throttleReasons",
      "models",
      "node",
      "nodeState",
      "routable",
      "sampledAgoMs",
    ]),
    "gpus.FleetList": object({ gpus: list("gpus.FleetGpu") }, ["gpus"]),
  },
};

function paths(all: string, one: string, parameters: readonly Json[]): Json {
  return {
    "/gpus": { get: operation("listGpus", "The GPUs, with what is known of each.", all, parameters) },
    "/gpus/{uuid}": { get: operation("getGpu", "One GPU.", one, [UUID, ...parameters]) },
  };
}

function operation(operationId: string, summary: string, schema: string, parameters: readonly Json[]): Json {
  const answer = (description: string, name: string): Json => ({
    description,
    content: { "application/json": { schema: reference(name) } },
  });
  return {
    tags: ["gpus"],
    operationId,
    summary,
    parameters,
    responses: { "200": answer("What is known now.", schema), default: answer("It failed.", "gpus.Error") },
  };
}

function list(name: string): Json {
  return { type: "array", items: reference(name) };
}

function reference(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}
