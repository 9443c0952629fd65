/** The OpenAPI document: its structure, and that what it says is what the API takes and gives. */
import { expect, test } from "bun:test";
import { apiServices } from "../../src/admin/api.ts";
import { openApiDocument } from "../../src/admin/open-api.ts";
import { agentApi } from "../../src/admin/agent-api.ts";
import { routerApi } from "../../src/admin/router-api.ts";
import { takeUpdate } from "../../src/health/shape.ts";
import type { RunnerDetail } from "../../src/keeper/runner.ts";
import type { GpuReading } from "../../src/health/reading.ts";
import { gpuSample, nodeSample } from "../fleet/samples.ts";
import { fullGpu } from "../obs/full-gpu.ts";
import { Journal } from "../../src/mesh/journal.ts";
import { messageToJson } from "../../src/wire/proto-json.ts";
import { types } from "./api-bed.ts";

type Json = Record<string, unknown>;

const services = apiServices({
  control: {
    members: () => [],
    named: () => [],
    state: () => undefined,
    policies: () => null,
    controlAddress: () => "",
    events: new Journal(1),
    models: { load: async () => ({}), unload: async () => ({}) },
    gpus: { get: async () => ({}), clear: async () => ({}) },
  },
  states: { states: () => [] },
  readOnly: false,
  isStopping: () => false,
  onError: () => {},
});
const document = JSON.parse(JSON.stringify(openApiDocument(services))) as {
  openapi: string;
  info: Json;
  paths: Record<string, { post: Json & { operationId: string } }>;
  components: { schemas: Record<string, Json & { properties?: Record<string, Json> }> };
};

/** Every object in the document. */
function* objects(value: unknown): Generator<Json> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield value as Json;
  for (const inner of Object.values(value)) yield* objects(inner);
}

test("is OpenAPI 3.1, and refers to nothing that is not there", () => {
  expect(document.openapi).toBe("3.1.0");
  expect(Object.keys(document.info)).toEqual(expect.arrayContaining(["title", "version"]));
  const known = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
  for (const one of objects(document)) if ("$ref" in one) expect(known).toContain(one["$ref"] as string);
  for (const name of Object.keys(document.components.schemas)) expect(name).toMatch(/^[a-zA-Z0-9._-]+$/);
  const used = JSON.stringify(document);
  for (const reference of known) expect(used).toContain(`"${reference}"`);
});

test("has every unary method that is served, once, and no other", () => {
  const unary = services.methods.filter(({ info, service }) => !info.serverStreams && service.startsWith("infermesh."));
  expect(Object.keys(document.paths).toSorted()).toEqual(unary.map(({ path }) => path).toSorted());
  const ids = Object.values(document.paths).map(({ post }) => post.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { post } of Object.values(document.paths)) {
    expect(Object.keys(post)).toEqual(expect.arrayContaining(["summary", "requestBody", "responses", "operationId"]));
    expect(String(post["summary"]).length).toBeGreaterThan(0);
  }
});

test("every schema has the fields that the JSON form has, with types that it writes", () => {
  for (const [name, { properties, type }] of Object.entries(document.components.schemas)) {
    if (type !== "object" || name === "connect.Error") continue;
    const message = types.message(name);
    expect(Object.keys(properties ?? {})).toEqual(message.fields.map(({ json }) => json));
    for (const [field, value] of Object.entries(messageToJson(message, {}))) {
      const schema = properties?.[field] ?? {};
      if (schema["$ref"] !== undefined) continue;
      const kind = Array.isArray(value) ? "array" : Number.isInteger(value) ? ["integer", "number"] : typeof value;
      const allowed = [schema["type"]].flat();
      expect([kind].flat().some((one) => allowed.includes(one))).toBe(true);
    }
  }
});

/** What of a value is not as its schema says. */
function faultsOf(value: unknown, schema: Json, schemas: Json, path: string): string[] {
  if (schema["$ref"] !== undefined) {
    const name = (schema["$ref"] as string).replace("#/components/schemas/", "");
    return faultsOf(value, schemas[name] as Json, schemas, path);
  }
  const allowed = [schema["type"]].flat() as string[];
  const actual = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const fits = allowed.some((type) => type === actual || (type === "integer" && Number.isInteger(value)));
  if (!fits) return [`${path} is ${actual}, not ${allowed.join(" or ")}`];
  if (schema["enum"] !== undefined && !(schema["enum"] as unknown[]).includes(value))
    return [`${path} is none of its words`];
  if (Array.isArray(value)) {
    return value.flatMap((item, i) => faultsOf(item, schema["items"] as Json, schemas, `${path}[${i}]`));
  }
  if (actual !== "object") return [];
  const properties = schema["properties"] as Record<string, Json>;
  const missing = ((schema["required"] ?? []) as string[]).filter((key) => !Object.hasOwn(value as Json, key));
  const inner = Object.entries(value as Json).flatMap(([key, field]) => {
    const known = Object.hasOwn(properties, key) ? properties[key] : undefined;
    return known === undefined ? [`${path}.${key} is in no schema`] : faultsOf(field, known, schemas, `${path}.${key}`);
  });
  return [...missing.map((key) => `${path}.${key} is missing`), ...inner];
}

/** The fields of a schema that no value had. */
function unusedOf(value: unknown, schema: Json, path: string): string[] {
  if (Array.isArray(value)) return value.slice(0, 1).flatMap((item) => unusedOf(item, schema["items"] as Json, path));
  if (typeof value !== "object" || value === null || schema["properties"] === undefined) return [];
  return Object.entries(schema["properties"] as Record<string, Json>).flatMap(([key, field]) =>
    Object.hasOwn(value, key) ? unusedOf((value as Json)[key], field, `${path}.${key}`) : [`${path}.${key}`],
  );
}

async function documentAndGpus(app: ReturnType<typeof agentApi>) {
  const of = async (path: string): Promise<Json> => (await (await app.request(path)).json()) as Json;
  const openApi = (await of("/openapi.json")) as { paths: Json; components: { schemas: Record<string, Json> } };
  return { openApi, gpus: await of("/gpus") };
}

test("an agent's GPUs are in it, and are as it says", async () => {
  const reading = takeUpdate(fullGpu(0).reading) as GpuReading;
  const source = { state: "ok", message: "", sinceMs: 1, stack: { backend: "nvml", source: "/lib/x.so" } } as const;
  const reasons = [{ rule: "xid", text: "XID 79", severity: "quarantined", sinceMs: 1, recovery: "manual" }] as const;
  const gpu = {
    reading,
    verdict: { health: "quarantined", sinceMs: 1, reasons },
    source,
    isFresh: true,
    runtimes: ["vllm"],
    models: ["m"],
  } as const;
  const app = agentApi({
    sample: () => nodeSample(),
    state: () => ({}) as never,
    metricsText: async () => "",
    status: () => ({}),
    gpus: { node: "a", all: () => [gpu], states: () => [source] },
    services,
  });
  const { openApi, gpus } = await documentAndGpus(app);
  const { schemas } = openApi.components;
  expect(Object.keys(openApi.paths)).toEqual(expect.arrayContaining(["/gpus", "/gpus/{uuid}"]));
  expect(faultsOf(gpus, schemas["gpus.List"]!, schemas, "$")).toEqual([]);
  // Whatever a reading can hold is described, and nothing else is.
  expect(unusedOf((gpus["gpus"] as Json[])[0], schemas["gpus.Gpu"]!, "gpu")).toEqual([
    "gpu.identity.isIntegrated",
    "gpu.load.slices.computeInstance",
    "gpu.traffic.processes.container",
  ]);
  // The check itself can fail.
  expect(
    faultsOf({ ...gpus, odd: 1, gpus: [{ uuid: 5 }] }, schemas["gpus.List"]!, schemas, "$").length,
  ).toBeGreaterThan(5);
  const known = Object.keys(schemas).map((name) => `#/components/schemas/${name}`);
  for (const one of objects(openApi)) if ("$ref" in one) expect(known).toContain(one["$ref"] as string);
});

test("the runtime that an agent runs is in it, and is as it says; without one it is not", async () => {
  const status: RunnerDetail = {
    state: "backoff",
    message: "ended with code 1",
    since: "2026-11-28T01:34:20.924Z",
    program: "vllm",
    pid: null,
    startedAt: null,
    restarts: 3,
    detached: false,
    lastExit: { at: "2026-11-28T01:34:20.924Z", how: "ended with code 1", lastLines: ["a"] },
    log: "/x",
    lastLines: [],
  };
  const nothing = (): void => {};
  const agent = (runtime?: { status: RunnerDetail; start(): void; restart(): void; stop(): void }) =>
    agentApi({
      sample: () => nodeSample(),
      state: () => ({}) as never,
      metricsText: async () => "",
      status: () => ({}),
      services,
      ...(runtime === undefined ? {} : { runtime }),
    });
  const documentOf = async (app: ReturnType<typeof agentApi>) =>
    (await (await app.request("/openapi.json")).json()) as {
      paths: Json;
      components: { schemas: Record<string, Json> };
    };
  const running = agent({ status, start: nothing, restart: nothing, stop: nothing });
  const { paths, components } = await documentOf(running);
  const { schemas } = components;
  for (const action of ["start", "restart", "stop"]) {
    expect(paths[`/runtime/${action}`]).toMatchObject({ post: { responses: { "202": {} } } });
    const answer = await running.request(`/runtime/${action}`, { method: "POST" });
    expect([answer.status, await answer.json()]).toEqual([202, status]);
  }
  expect(paths["/runtime"]).toMatchObject({ get: { responses: { "200": {} } } });
  for (const one of [status, { ...status, lastExit: null, pid: 7 }]) {
    expect(faultsOf(one, schemas["runtime.Status"]!, schemas, "$")).toEqual([]);
  }
  expect(unusedOf(status, schemas["runtime.Status"]!, "$")).toEqual([]);
  const known = Object.keys(schemas).map((name) => `#/components/schemas/${name}`);
  for (const one of objects({ paths, components })) if ("$ref" in one) expect(known).toContain(one["$ref"] as string);
  expect(Object.keys((await documentOf(agent())).paths).filter((path) => path.startsWith("/runtime"))).toEqual([]);
});

test("so are those that a router knows of", async () => {
  const target = {
    id: "a",
    node: "a",
    state: "healthy",
    sampledAtMs: undefined,
    lastSample: nodeSample({
      gpus: [gpuSample(), gpuSample({ utilization: 0.5, migProfile: "1g", healthReason: "x" })],
    }),
  };
  const app = routerApi({
    nowMs: () => 1,
    targets: () => [target as never],
    target: () => undefined,
    load: () => ({ inFlight: 0, inFlightTokens: 0, othersInFlight: 0 }),
    register: () => ({ first: true }) as never,
    deregister: () => false,
    stats: () => ({}) as never,
    metricsText: async () => "",
    config: () => ({}),
    services,
  });
  const { openApi, gpus } = await documentAndGpus(app);
  const { schemas } = openApi.components;
  expect(Object.keys(openApi.paths)).toEqual(expect.arrayContaining(["/gpus", "/gpus/{uuid}"]));
  expect(faultsOf(gpus, schemas["gpus.FleetList"]!, schemas, "$")).toEqual([]);
});
