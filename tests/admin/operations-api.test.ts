import { describe, expect, test } from "bun:test";
import { newApp } from "../../src/admin/app.ts";
import { operationRoutes, type Operations } from "../../src/admin/operations-api.ts";
import { MeshError } from "../../src/base/errors.ts";

const LOCAL = { hostname: "127.0.0.1", remoteAddress: "127.0.0.1" };

function bed(overrides: Partial<Operations> = {}) {
  const asked: string[] = [];
  const app = newApp(() => {});
  operationRoutes(app, {
    reload: () => ({ outcome: "unchanged", changes: [], pending: [], faults: [] }),
    workers: () => ({ workers: [{ index: 0, startedAgoMs: 5 }], retiring: 1 }),
    async restartWorkers() {
      asked.push("restart");
    },
    async upgrade(executable) {
      asked.push(`upgrade ${executable}`);
      return { pid: 42, version: "0.2.0" };
    },
    ...overrides,
  });
  const post = async (path: string, body = "", env: object = LOCAL) => {
    const init = { method: "POST", ...(body === "" ? {} : { body }) };
    const response = await app.request(path, init, env);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return { app, post, asked };
}

describe("POST /reload", () => {
  test("tells what changed, and what waits", async () => {
    const change = { path: "proxy.attemptsMax", from: "3", to: "2" };
    const pending = { path: "workers", from: "1", to: "2" };
    const { post } = bed({ reload: () => ({ outcome: "applied", changes: [change], pending: [pending], faults: [] }) });
    expect(await post("/reload")).toEqual({
      status: 200,
      body: { outcome: "applied", changes: [change], pending: [pending] },
    });
  });

  test("is an error with every fault when it is refused", async () => {
    const faults = ["workersx: no such key", "id: too long"];
    const { post } = bed({ reload: () => ({ outcome: "refused", changes: [], pending: [], faults }) });
    const { status, body } = await post("/reload");
    expect(status).toBe(400);
    expect(body).toMatchObject({ outcome: "refused", faults, error: { code: "config_invalid" } });
  });
});

describe("workers", () => {
  test("are shown, and replaced", async () => {
    const { app, post, asked } = bed();
    const shown = { workers: [{ index: 0, startedAgoMs: 5 }], retiring: 1 };
    expect(await (await app.request("/workers")).json()).toEqual(shown);
    expect(await post("/workers/restart")).toEqual({ status: 200, body: shown });
    expect(asked).toEqual(["restart"]);
  });

  test("are not replaced twice at a time", async () => {
    const { post } = bed({ restartWorkers: () => Promise.reject(new MeshError("conflict", "an earlier restart")) });
    expect(await post("/workers/restart")).toMatchObject({
      status: 409,
      body: { error: { message: "an earlier restart" } },
    });
  });
});

describe("POST /upgrade", () => {
  test("takes an executable, or none", async () => {
    const { post, asked } = bed();
    expect(await post("/upgrade")).toEqual({ status: 200, body: { pid: 42, version: "0.2.0" } });
    expect((await post("/upgrade", '{"executable":"/opt/infermesh"}')).status).toBe(200);
    expect((await post("/upgrade", "{}", { ...LOCAL, remoteAddress: "::ffff:127.0.0.1" })).status).toBe(200);
    expect(asked).toEqual(["upgrade ", "upgrade /opt/infermesh", "upgrade "]);
  });

  test("is not for others than who is on this machine", async () => {
    const { post, asked } = bed();
    for (const remoteAddress of ["10.0.0.7", "", "::2", "127.evil"]) {
      const { status } = await post("/upgrade", "", { ...LOCAL, remoteAddress });
      expect([remoteAddress, status]).toEqual([remoteAddress, 400]);
    }
    expect((await post("/upgrade", "", {})).status).toBe(400);
    expect(asked).toEqual([]);
  });

  test("refuses bodies of another form", async () => {
    const { post, asked } = bed();
    for (const body of ["[]", "7", '{"path":"/x"}', '{"executable":7}', "{"]) {
      expect([body, (await post("/upgrade", body)).status]).toEqual([body, 400]);
    }
    expect(asked).toEqual([]);
  });
});

test("other methods are told what there is", async () => {
  const { app } = bed();
  for (const path of ["/reload", "/workers/restart", "/upgrade"]) {
    const response = await app.request(path);
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
  }
});
