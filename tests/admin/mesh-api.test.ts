/** What both roles' APIs tell of the mesh, and who may ask a process to leave it. */
import { describe, expect, test } from "bun:test";
import type { Hono } from "hono";
import { agentApi } from "../../src/admin/agent-api.ts";
import type { MeshApiOptions } from "../../src/admin/mesh-api.ts";
import { routerApi } from "../../src/admin/router-api.ts";
import { NodeState } from "../../src/gen/state.js";
import { nodeSample } from "../fleet/samples.ts";

const mesh: MeshApiOptions = {
  members: () => [{ id: "a" }, { id: "b" }],
  member: (id) => (id === "org/a" ? { id, distanceMs: 2 } : undefined),
};

function agent(options: MeshApiOptions): Hono {
  return agentApi({
    sample: () => nodeSample(),
    state: () => new NodeState(),
    metricsText: async () => "",
    status: () => ({}),
    ...options,
  });
}

function router(options: MeshApiOptions, readOnly = false): Hono {
  return routerApi({
    nowMs: () => 0,
    targets: () => [],
    target: () => undefined,
    load: () => ({ inFlight: 0, inFlightTokens: 0, othersInFlight: 0 }),
    register: () => ({ accepted: true, first: true }),
    deregister: () => false,
    stats: () => ({
      uptimeSeconds: 0,
      version: "",
      workers: 1,
      requestsTotal: 0,
      requestsByCode: {},
      inFlight: 0,
      connectionsOpen: 0,
      decision: { p50us: null, p99us: null },
      scorer: "c",
    }),
    metricsText: async () => "",
    config: () => ({}),
    readOnly,
    ...options,
  });
}

describe.each([
  ["agent", agent],
  ["router", router],
] as const)("of a %s", (_role, make) => {
  test("GET /members and /members/:id", async () => {
    const app = make(mesh);
    expect(await (await app.request("/members")).json()).toEqual({ members: [{ id: "a" }, { id: "b" }] });
    expect(await (await app.request(`/members/${encodeURIComponent("org/a")}`)).json()).toEqual({
      id: "org/a",
      distanceMs: 2,
    });
    const unknown = await app.request("/members/x");
    expect([unknown.status, await unknown.json()]).toMatchObject([
      404,
      { error: { message: 'there is no member "x"', code: "not_found" } },
    ]);
    for (const path of ["/members", "/members/a"]) {
      expect((await app.request(path, { method: "DELETE" })).status).toBe(405);
    }
  });

  test("POST /leave is taken, and asks once for each", async () => {
    let asked = 0;
    const app = make({ ...mesh, leave: () => void (asked += 1) });
    const taken = await app.request("/leave", { method: "POST" });
    expect([taken.status, await taken.json(), asked]).toEqual([202, { status: "draining" }, 1]);
    const got = await app.request("/leave");
    expect([got.status, got.headers.get("allow"), asked]).toEqual([405, "POST", 1]);
    const foreign = await app.request("/leave", { method: "POST", headers: { origin: "http://elsewhere.example" } });
    expect([foreign.status, asked]).toEqual([400, 1]);
  });

  test("without a way to leave there is no /leave", async () => {
    expect((await make(mesh).request("/leave", { method: "POST" })).status).toBe(404);
  });
});

test("a router's read-only port takes no leave", async () => {
  let asked = 0;
  const app = router({ ...mesh, leave: () => void (asked += 1) }, true);
  expect([(await app.request("/leave", { method: "POST" })).status, asked]).toEqual([404, 0]);
  expect((await app.request("/members")).status).toBe(200);
});
