/** GET /gpus at agents, with all that is known, and at routers, with what nodes' states tell. */
import { describe, expect, test } from "bun:test";
import { type KnownGpu, gpuRoutes } from "../../src/admin/gpu-api.ts";
import { fleetGpuRoutes } from "../../src/admin/fleet-gpus.ts";
import { newApp } from "../../src/admin/app.ts";
import type { Target } from "../../src/fleet/target.ts";
import type { SourceState } from "../../src/health/source-state.ts";
import { gpuSample, nodeSample } from "../fleet/samples.ts";
import { fakeGpu } from "../gpu/fake-gpu.ts";

type Json = Record<string, unknown>;

const SOURCE: SourceState = {
  state: "ok",
  message: "",
  sinceMs: 1_763_692_893_400,
  stack: { backend: "nvml", source: "/usr/lib/libnvidia-ml.so.1", driverVersion: "570.86.15" },
};

const SLICE = { uuid: "MIG-1", profile: "1g.10gb", gpuInstance: 7 };

function known(index: number, more: Partial<KnownGpu> = {}): KnownGpu {
  return {
    reading: fakeGpu(index, { load: { utilization: 0.5, slices: index === 1 ? [SLICE] : undefined } }),
    verdict: { health: "healthy", sinceMs: performance.now() - 5000, reasons: [] },
    source: SOURCE,
    isFresh: true,
    runtimes: ["vllm"],
    models: ["m"],
    ...more,
  };
}

function agent(gpus: readonly KnownGpu[]) {
  const app = newApp((error) => {
    throw error;
  });
  gpuRoutes(app, { node: "gpu-1", all: () => gpus, states: () => [SOURCE] });
  return async (path: string) => {
    const response = await app.request(path);
    return { status: response.status, json: (await response.json()) as Json };
  };
}

describe("an agent's GET /gpus", () => {
  test("tells all of each reading, with the verdict in Unix time", async () => {
    const reasons = [
      {
        rule: "xid",
        text: "XID 79: GPU has fallen off the bus",
        severity: "quarantined",
        sinceMs: performance.now() - 2000,
        recovery: "manual",
      },
    ] as const;
    const ill = known(0, {
      verdict: { health: "quarantined", sinceMs: performance.now() - 2000, reasons },
      isFresh: false,
    });
    const { status, json } = await agent([ill, known(1)])("/gpus");
    expect(status).toBe(200);
    expect(json).toMatchObject({ node: "gpu-1", sources: [SOURCE] });
    const [first = {}, second] = json["gpus"] as Json[];
    const { reading } = ill;
    expect(first).toMatchObject({
      uuid: "GPU-0",
      node: "gpu-1",
      index: 0,
      name: reading.identity.name,
      health: "quarantined",
      isFresh: false,
      models: ["m"],
      source: SOURCE,
      identity: reading.identity,
      traffic: reading.traffic!,
      wear: reading.wear!,
    });
    expect(first["load"]).toEqual({ utilization: 0.5 });
    const [reason] = first["reasons"] as (Json & { sinceMs: number })[];
    expect(reason).toMatchObject({ rule: "xid", text: reasons[0].text, severity: "quarantined", recovery: "manual" });
    const agoMs = Date.now() - (reason?.sinceMs ?? 0);
    expect(agoMs).toBeGreaterThanOrEqual(1990);
    expect(first["healthSinceMs"]).toBeWithin((reason?.sinceMs ?? 0) - 50, (reason?.sinceMs ?? 0) + 50);
    expect(second).toMatchObject({ health: "healthy", reasons: [], load: { slices: [SLICE] } });
  });

  test("finds one by its name or that of a MIG device, and says when there is none", async () => {
    const get = agent([known(0), known(1)]);
    expect((await get("/gpus/GPU-1")).json).toMatchObject({ uuid: "GPU-1" });
    expect((await get("/gpus/MIG-1")).json).toMatchObject({ uuid: "GPU-1" });
    const { status, json } = await get("/gpus/GPU-9");
    expect(status).toBe(404);
    expect(json["error"]).toMatchObject({ code: "not_found", message: expect.stringContaining('"GPU-9"') });
  });

  test("is empty where no GPU is read, and takes no other method", async () => {
    expect((await agent([])("/gpus")).json).toEqual({ node: "gpu-1", sources: [SOURCE], gpus: [] });
    const app = newApp(() => {});
    gpuRoutes(app, { node: "a", all: () => [], states: () => [] });
    const response = await app.request("/gpus/GPU-1", { method: "DELETE" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });
});

describe("a router's GET /gpus", () => {
  const target = (id: string, uuids: readonly string[]): Target =>
    ({
      id,
      node: id,
      state: "healthy",
      sampledAtMs: 1000,
      lastSample: nodeSample({ gpus: uuids.map((uuid, index) => gpuSample({ uuid, index, utilization: 0.25 })) }),
    }) as unknown as Target;
  const get = async (path: string, targets = [target("a", ["GPU-a", "GPU-mock-0"]), target("b", ["GPU-mock-0"])]) => {
    const app = newApp((error) => {
      throw error;
    });
    fleetGpuRoutes(app, { nowMs: () => 1120.4, targets: () => targets });
    const response = await app.request(path);
    return { status: response.status, json: (await response.json()) as Json };
  };

  test("lists those of all nodes, or of one", async () => {
    const { json } = await get("/gpus");
    expect((json["gpus"] as Json[]).map(({ node, uuid }) => [node, uuid].join("/"))).toEqual([
      "a/GPU-a",
      "a/GPU-mock-0",
      "b/GPU-mock-0",
    ]);
    expect((json["gpus"] as Json[])[0]).toMatchObject({
      utilization: 0.25,
      health: "healthy",
      nodeState: "healthy",
      sampledAgoMs: 120,
    });
    expect((await get("/gpus?node=b")).json["gpus"]).toHaveLength(1);
    expect((await get("/gpus?node=c")).json["gpus"]).toEqual([]);
  });

  test("gives one, and asks which node is meant where it can't tell", async () => {
    expect((await get("/gpus/GPU-a")).json).toMatchObject({ node: "a", uuid: "GPU-a" });
    expect((await get("/gpus/GPU-mock-0?node=b")).json).toMatchObject({ node: "b" });
    expect((await get("/gpus/GPU-x")).status).toBe(404);
    const { status, json } = await get("/gpus/GPU-mock-0");
    expect(status).toBe(409);
    expect(json["error"]).toMatchObject({ param: "node", message: expect.stringContaining("(a, b)") });
  });

  test("knows none of a node that told nothing yet", async () => {
    const silent = {
      id: "c",
      node: "c",
      state: "unknown",
      sampledAtMs: undefined,
      lastSample: undefined,
    } as unknown as Target;
    expect((await get("/gpus", [silent])).json).toEqual({ gpus: [] });
  });
});
