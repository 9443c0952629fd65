/** The ControlPlane service over the policies' state machine, by the JSON that ctl and curl speak. */
import { afterEach, describe, expect, test } from "bun:test";
import { type ControlPlaneOptions, controlPlane } from "../../src/admin/control-plane.ts";
import type { MemberFacts } from "../../src/admin/node-message.ts";
import type { EventType } from "../../src/base/event-types.ts";
import { Journal } from "../../src/mesh/journal.ts";
import { type Bed, Beds, failureOf, serverStream, unary } from "./api-bed.ts";
import { MemoryStore } from "./memory-store.ts";

const CONTROL = "infermesh.control.v1.ControlPlane";
const START_MS = 1_795_000_000_000;

function member(id: string, more: Partial<MemberFacts> = {}): MemberFacts {
  return {
    id,
    status: "alive",
    address: "10.0.0.1:7946",
    role: "agent",
    zone: "eu-1",
    incarnation: 7,
    sinceMs: 1000,
    rttMs: 0.5,
    seenAgoMs: null,
    version: "0.1.0",
    models: ["llama-3-8b"],
    self: false,
    labels: { tier: "gold" },
    apiAddress: "10.0.0.1:9090",
    servingAddress: "10.0.0.1:8000",
    healthy: true,
    draining: false,
    ...more,
  };
}

const MEMBERS = [
  member("node-1", { self: true }),
  member("node-2", { models: ["llama-3-8b", "qwen-7b"], labels: {}, zone: "eu-2" }),
  member("router-1", { role: "router", models: [] }),
];

const beds = new Beds();
afterEach(() => beds.close());

function open(more: Partial<ControlPlaneOptions> = {}): { bed: Bed; store: MemoryStore; journal: Journal } {
  const store = new MemoryStore();
  const journal = new Journal(START_MS);
  const watchers = { count: 0 };
  const options: ControlPlaneOptions = {
    members: () => MEMBERS,
    named: () => MEMBERS,
    state: (id) =>
      id === "node-1" ? { id, models: [{ labels: { model: "llama-3-8b" }, runningRequests: 3 }] } : undefined,
    policies: () => store,
    controlAddress: (node) => (node === "node-2" ? "10.0.0.2:7950" : ""),
    events: journal,
    models: {
      load: async ({ node, model }) => ({ node, model, changed: true, models: [model] }),
      unload: async ({ node, model }) => ({ node, model, changed: true }),
    },
    gpus: {
      get: async ({ node, gpu }) => ({ node, gpu: JSON.stringify({ uuid: gpu }) }),
      clear: async ({ node, gpu, dryRun }) => ({
        node,
        gpus: [{ uuid: gpu, ended: ["XID 79"] }],
        changed: true,
        dryRun,
      }),
    },
    ...more,
  };
  return { bed: beds.open({ implementations: { [CONTROL]: controlPlane(options, watchers) } }), store, journal };
}

type Json = Record<string, unknown> & { code?: string; message?: string };

async function call(bed: Bed, method: string, request: object = {}): Promise<Json> {
  const response = await fetch(bed.url(`/${CONTROL}/${method}`), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  const json = (await response.json()) as Json;
  expect(response.ok).toBe(json.code === undefined);
  return json;
}

const EVENTS = `/${CONTROL}/SubscribeEvents`;

async function take(stream: ReturnType<typeof serverStream>, count: number): Promise<Json[]> {
  const seen: Json[] = [];
  for await (const message of stream) {
    seen.push(message as Json);
    if (seen.length === count) break;
  }
  return seen;
}

describe("policies", () => {
  test("are set, read, listed and deleted, of every kind", async () => {
    const { bed } = open();
    const specs = {
      pin: ["llama-3-8b", { nodes: ["node-1"], minReplicas: 1 }],
      quota: ["acme/llama-3-8b", { requestsPerSecond: 5, concurrency: 2 }],
      acl: ["tenant:acme/llama-3-8b/infer", { effect: "allow", reason: "paid" }],
      balance: ["llama-3-8b", { strategy: "two-choices", weights: { "node-1": 2 } }],
      scaling: ["llama-3-8b", { minReplicas: 0, maxReplicas: 4, target: { metric: "kv-usage", value: 0.5 } }],
      slo: ["llama-3-8b", { class: "latency", ttftMs: 200 }],
      priority: ["acme", { priority: 0 }],
      node: ["node-1", { cordoned: true }],
    };
    for (const [kind, [name, spec]] of Object.entries(specs)) {
      const set = await call(bed, "SetPolicy", { name, [kind]: spec });
      expect(set).toMatchObject({ changed: true, alreadyApplied: false, policies: [{ kind, name, [kind]: spec }] });
      expect(set["warnings"]).toHaveLength(kind === "acl" ? 1 : 0);
      const got = await call(bed, "GetPolicy", { kind, name });
      expect(got).toMatchObject({ policy: { kind, name, [kind]: spec }, revision: set["revision"] });
    }
    const all = await call(bed, "ListPolicies");
    expect((all["policies"] as Json[]).map(({ kind }) => kind)).toEqual(Object.keys(specs).toSorted());
    expect((await call(bed, "ListPolicies", { kind: "quota", namePrefix: "acme/" }))["policies"]).toHaveLength(1);
    expect((await call(bed, "ListPolicies", { namePrefix: "zz" }))["policies"]).toEqual([]);
    const gone = await call(bed, "DeletePolicy", { kind: "quota", name: "acme/llama-3-8b" });
    expect(gone).toMatchObject({ changed: true, deleted: [{ kind: "quota", name: "acme/llama-3-8b" }], policies: [] });
    expect(await call(bed, "GetPolicy", { kind: "quota", name: "acme/llama-3-8b" })).toMatchObject({
      code: "not_found",
    });
  });

  test.each([
    ["SetPolicy", { name: "m", quota: {} }, "invalid_argument", "name: found"],
    ["SetPolicy", { name: "a/m", quota: { requestsPerSecond: 0 } }, "invalid_argument", "requestsPerSecond: found 0"],
    [
      "SetPolicy",
      { name: "m", pin: { minReplicas: 3, maxReplicas: 2 } },
      "invalid_argument",
      "minReplicas: found 3; expected at most maxReplicas, which is 2",
    ],
    ["SetPolicy", { name: "m" }, "invalid_argument", "kind is missing; expected acl, balance"],
    ["SetPolicy", { name: "m", kind: "pin" }, "invalid_argument", 'pin is missing; expected the spec under "pin"'],
    ["SetPolicy", { name: "m", kind: "pin", slo: {} }, "invalid_argument", "kind is pin, but slo is given"],
    ["SetPolicy", { name: "m", kind: "pni" }, "invalid_argument", "did you mean pin?"],
    ["PinModel", { model: "" }, "invalid_argument", "name: found"],
    ["PinModel", { model: "m", nodes: ["a"], selector: { a: "b" } }, "invalid_argument", "nodes or a selector"],
    ["PinModel", { model: "m", nodes: ["x".repeat(300)] }, "invalid_argument", "nodes"],
    ["UnpinModel", { model: "m" }, "not_found", "there is no pin/m"],
    ["DrainNode", { id: "node-11" }, "not_found", "did you mean node-1?"],
    ["GetNode", { id: "nod-1" }, "not_found", "did you mean node-1?"],
    ["GetModel", { id: "llama-3-8" }, "not_found", "did you mean llama-3-8b?"],
    ["ListModels", { node: "zzz" }, "not_found", 'there is no node "zzz"'],
    ["LoadModel", { node: "node-1" }, "invalid_argument", "model is missing"],
    ["ApplyPolicies", { writes: [{}] }, "invalid_argument", "writes[0] is empty"],
    ["ApplyPolicies", { writes: [] }, "invalid_argument", "a list of 1 to"],
    ["RestoreSnapshot", {}, "invalid_argument", "snapshot is empty"],
    ["AddControlMember", { node: "node-1" }, "invalid_argument", "tells of no control port"],
    ["AddControlMember", { node: "node-3" }, "not_found", 'there is no node "node-3" here'],
    ["RemoveControlMember", {}, "invalid_argument", "node is missing"],
    ["ExplainRoute", { model: "m" }, "unimplemented", "ask a router"],
    ["ForgetRates", {}, "unimplemented", "ask a router"],
    ["GetRecommendations", {}, "unimplemented", "ask a router"],
  ])("%s %j is refused", async (method, request, code, words) => {
    const answer = await call(open().bed, method, request);
    expect(answer.code).toBe(code);
    expect(answer.message).toContain(words);
  });

  test("what was learnt of rates is forgotten, of whom that is asked, and not by a port that others reach", async () => {
    const asked: unknown[] = [];
    const forgetRates = ({ node, model }: { readonly node: string; readonly model: string }) =>
      asked.push([node, model]) + 2;
    const { bed } = open({ forgetRates });
    expect(await call(bed, "ForgetRates", { node: "node-2" })).toMatchObject({ forgotten: 3 });
    expect(await call(bed, "ForgetRates", { model: "m" })).toMatchObject({ forgotten: 4 });
    expect(asked).toEqual([
      ["node-2", ""],
      ["", "m"],
    ]);
  });

  test("a stale revision is a conflict, which tells what is there", async () => {
    const { bed } = open();
    const pin = { model: "llama-3-8b", nodes: ["node-1"] };
    const { revision } = await call(bed, "PinModel", { ...pin, ifRevision: "0" });
    expect(await call(bed, "PinModel", { ...pin, nodes: ["node-2"], ifRevision: revision })).toMatchObject({
      changed: true,
    });
    const stale = await call(bed, "PinModel", { ...pin, ifRevision: revision });
    expect(stale).toMatchObject({
      code: "aborted",
      details: [{ debug: { code: "conflict", current: { pin: { nodes: ["node-2"] } } } }],
    });
  });

  test("a key makes a write happen once", async () => {
    const { bed } = open();
    const request = { model: "llama-3-8b", nodes: ["node-1"], idempotencyKey: "once" };
    const first = await call(bed, "PinModel", request);
    await call(bed, "PinModel", { model: "llama-3-8b", nodes: ["node-2"] });
    const again = await call(bed, "PinModel", request);
    expect(again).toMatchObject({ alreadyApplied: true, revision: first["revision"] });
    expect(await call(bed, "ListPins", { model: "llama-3-8b" })).toMatchObject({
      policies: [{ pin: { nodes: ["node-2"] } }],
    });
  });

  test("what is probably not meant is warned of", async () => {
    const { bed } = open();
    const warned = async (request: object): Promise<string> =>
      String((await call(bed, "PinModel", request))["warnings"]);
    const names = await warned({ model: "lama-3-8b", nodes: ["node-2", "node-3"] });
    expect(names).toContain("did you mean llama-3-8b?");
    expect(names).toContain("node-3 (did you mean node-1?)");
    expect(await warned({ model: "llama-3-8b", selector: { tier: "silver" } })).toContain("silver");
    expect(await warned({ model: "llama-3-8b", selector: { tier: "gold" }, minReplicas: 2 })).not.toBe("");
    expect(await warned({ model: "llama-3-8b", nodes: ["node-1"] })).toBe("");
  });

  test("a dry run answers as the write would, and changes nothing", async () => {
    const { bed, store } = open();
    const request = { model: "qwen-7b", nodes: ["node-2"], dryRun: true };
    expect(await call(bed, "PinModel", request)).toMatchObject({
      dryRun: true,
      changed: true,
      revision: "1",
      policies: [{ name: "qwen-7b" }],
    });
    expect(store.machine.size).toBe(0);
    expect(await call(bed, "DeletePolicy", { kind: "pin", name: "m", dryRun: true })).toMatchObject({
      code: "not_found",
    });
  });

  test("many are applied together or not at all", async () => {
    const { bed, store } = open();
    const put = (name: string, pin: object): object => ({ put: { name, pin } });
    const good = await call(bed, "ApplyPolicies", {
      writes: [
        put("a", { minReplicas: 1 }),
        put("b", { minReplicas: 1 }),
        { put: { name: "x", priority: { priority: 1 } } },
      ],
    });
    expect(good["policies"]).toHaveLength(3);
    const bad = await call(bed, "ApplyPolicies", {
      writes: [{ delete: { kind: "pin", name: "a" } }, { ...put("b", { minReplicas: 2 }), ifRevision: 99 }],
    });
    expect(bad).toMatchObject({ code: "aborted", details: [{ debug: { write: 1 } }] });
    expect(store.machine.get("pin", "a")).toBeDefined();
    expect(await call(bed, "ApplyPolicies", { writes: [put("c", { minReplicas: -1 }), put("d", {})] })).toMatchObject({
      code: "invalid_argument",
    });
  });

  test("without a majority reads from here go on, all else fails and may be tried again", async () => {
    const { bed, store } = open();
    await call(bed, "PinModel", { model: "llama-3-8b", nodes: ["node-1"] });
    store.hasQuorum = false;
    const refused = await call(bed, "PinModel", { model: "llama-3-8b", nodes: ["node-2"] });
    expect(refused).toMatchObject({
      code: "unavailable",
      details: [{ debug: { code: "no_quorum", retryable: true } }],
    });
    expect(await call(bed, "ListPolicies")).toMatchObject({ code: "unavailable" });
    expect((await call(bed, "ListPolicies", { local: true }))["policies"]).toHaveLength(1);
    expect(await call(bed, "GetModel", { id: "llama-3-8b" })).toMatchObject({ model: { pin: { name: "llama-3-8b" } } });
    expect(await call(bed, "GetStoreStatus")).toMatchObject({ writable: false, alarm: "no majority" });
  });

  test("a process without a store says so, and still tells of its nodes", async () => {
    const { bed } = open({ policies: () => null });
    expect(await call(bed, "ListPins")).toMatchObject({
      code: "unavailable",
      details: [{ debug: { code: "starting" } }],
    });
    expect((await call(bed, "ListNodes"))["nodes"]).toHaveLength(3);
  });
});

describe("nodes", () => {
  test("are listed and told of, with what policies say", async () => {
    const { bed } = open();
    await call(bed, "DrainNode", { id: "node-2", reason: "new disk" });
    const nodes = (await call(bed, "ListNodes", { role: "agent" }))["nodes"] as Json[];
    expect(nodes.map(({ id, draining, reason }) => [id, draining, reason])).toEqual([
      ["node-1", false, ""],
      ["node-2", true, "new disk"],
    ]);
    const ids = async (request: object): Promise<unknown[]> =>
      ((await call(bed, "ListNodes", request))["nodes"] as Json[]).map(({ id }) => id);
    expect(await ids({ model: "qwen-7b" })).toEqual(["node-2"]);
    expect(await ids({ zone: "eu-1" })).toEqual(["node-1", "router-1"]);
    expect(await ids({ selector: { tier: "gold" }, role: "agent" })).toEqual(["node-1"]);
    expect(await call(bed, "GetNode", { id: "node-1" })).toMatchObject({
      node: { id: "node-1", self: true, rttMs: 0.5, state: { models: [{ runningRequests: 3 }] } },
    });
    const models = (await call(bed, "ListModels"))["models"] as Json[];
    expect(models).toMatchObject([
      { id: "llama-3-8b", routableNodes: 1, nodes: [{ id: "node-1" }, { id: "node-2" }] },
      { id: "qwen-7b", routableNodes: 0 },
    ]);
    expect(models[0]?.["nodes"]).toMatchObject([{ modelState: { runningRequests: 3 } }, { id: "node-2" }]);
    expect((await call(bed, "ListModels", { node: "node-1" }))["models"]).toHaveLength(1);
  });

  test("count as serving a model only where its pin and they themselves let requests go", async () => {
    const { bed } = open();
    const told = async (): Promise<unknown> => {
      const [model] = (await call(bed, "ListModels"))["models"] as Json[];
      const nodes = model?.["nodes"] as Json[];
      return [nodes.map(({ routable }) => routable), model?.["routableNodes"], model?.["missingReplicas"]];
    };
    expect(await told()).toEqual([[true, true], 2, 0]);
    await call(bed, "PinModel", { model: "llama-3-8b", nodes: ["node-1", "node-9"], minReplicas: 2 });
    expect(await told()).toEqual([[true, false], 1, 1]);
    await call(bed, "CordonNode", { id: "node-1", reason: "fan" });
    expect(await told()).toEqual([[false, false], 0, 2]);
    const { policies } = await call(bed, "GetModel", { id: "llama-3-8b" });
    expect((policies as Json[]).map(({ kind, name }) => [kind, name])).toEqual([
      ["node", "node-1"],
      ["pin", "llama-3-8b"],
    ]);
    await call(bed, "UncordonNode", { id: "node-1" });
    await call(bed, "PinModel", { model: "llama-3-8b", selector: { tier: "gold" } });
    expect(await told()).toEqual([[true, false], 1, 0]);
    await call(bed, "PinModel", { model: "llama-3-8b", maxReplicas: 1 });
    expect(await told()).toMatchObject([{}, 1, 0]);
  });

  test("are drained and cordoned independently, and nothing is left when both have ended", async () => {
    const { bed, store } = open();
    const spec = (): unknown => store.machine.get("node", "node-1")?.spec;
    await call(bed, "DrainNode", { id: "node-1", reason: "why" });
    await call(bed, "CordonNode", { id: "node-1" });
    expect(spec()).toEqual({ cordoned: true, draining: true, reason: "why" });
    expect(await call(bed, "UndrainNode", { id: "node-1" })).toMatchObject({ changed: true });
    expect(spec()).toEqual({ cordoned: true, reason: "why" });
    expect(await call(bed, "UncordonNode", { id: "node-1" })).toMatchObject({ deleted: [{ name: "node-1" }] });
    expect(spec()).toBeUndefined();
    expect(await call(bed, "UncordonNode", { id: "node-1" })).toMatchObject({ changed: false });
    expect(await call(bed, "DrainNode", { id: "new", allowUnknown: true })).toMatchObject({
      changed: true,
      warnings: [expect.stringContaining("new")],
    });
  });

  test("a drain that races with a cordon keeps both, and drains once", async () => {
    const { bed, store } = open();
    store.beforeWrite = () => {
      store.beforeWrite = null;
      store.put([{ put: { kind: "node", name: "node-1", spec: { cordoned: true } } }]);
    };
    const request = { id: "node-1" };
    await call(bed, "DrainNode", request);
    expect(store.machine.get("node", "node-1")?.spec).toEqual({ cordoned: true, draining: true });
    const before = store.machine.revision;
    expect(await call(bed, "DrainNode", request)).toMatchObject({ changed: false });
    expect(store.machine.revision).toBe(before);
    expect(await call(bed, "DrainNode", { ...request, ifRevision: "1" })).toMatchObject({ code: "aborted" });
  });

  test("models are loaded by the node's runtime", async () => {
    const { bed } = open();
    expect(await call(bed, "LoadModel", { node: "node-1", model: "m" })).toEqual({
      node: "node-1",
      model: "m",
      changed: true,
      models: ["m"],
    });
    expect(await call(bed, "UnloadModel", { model: "m", drainMs: 5 })).toMatchObject({ changed: true });
  });

  test("GPUs are told of, and their quarantines ended, by their own node", async () => {
    const { bed } = open();
    expect(await call(bed, "GetGpu", { gpu: "0@node-1" })).toMatchObject({ gpu: '{"uuid":"0@node-1"}' });
    const cleared = { node: "node-1", gpus: [{ uuid: "0", ended: ["XID 79"] }], changed: true, dryRun: true };
    expect(await call(bed, "ClearGpu", { node: "node-1", gpu: "0", dryRun: true })).toMatchObject(cleared);
  });
});

describe("the store", () => {
  test("tells its state, changes its members, and is saved and restored", async () => {
    const { bed, store } = open();
    await call(bed, "PinModel", { model: "llama-3-8b", nodes: ["node-1"] });
    expect(await call(bed, "GetStoreStatus")).toMatchObject({
      engine: "embedded",
      leader: "n1",
      items: 1,
      members: [{ matchIndex: "7" }],
    });
    expect(await call(bed, "AddControlMember", { node: "node-2" })).toMatchObject({
      leader: "n1",
      members: [{ node: "n1" }],
    });
    await call(bed, "RemoveControlMember", { node: "node-2" });
    await call(bed, "TransferLeadership", { node: "node-1" });
    expect(store.changes).toEqual([
      { add: "node-2", address: "10.0.0.2:7950" },
      { remove: "node-2" },
      { transferTo: "node-1" },
    ]);
    const { snapshot } = await call(bed, "SaveSnapshot");
    await call(bed, "UnpinModel", { model: "llama-3-8b" });
    await call(bed, "RestoreSnapshot", { snapshot });
    expect((await call(bed, "ListPins"))["policies"]).toHaveLength(1);
  });
});

test("a snapshot may be longer than any other request, by JSON and by gRPC", async () => {
  const sizes: number[] = [];
  const { bed, store } = open();
  store.restore = async (saved) => {
    sizes.push(saved.length);
    return { ok: true, revision: 1, items: [], changed: true, repeated: false };
  };
  const long = new Uint8Array(3_000_000).fill(7);
  expect(await call(bed, "RestoreSnapshot", { snapshot: Buffer.from(long).toString("base64") })).toEqual({
    revision: "1",
  });
  await unary(bed.client(), `/${CONTROL}/RestoreSnapshot`, { snapshot: long });
  expect(sizes).toEqual([3_000_000, 3_000_000]);
  const other = await fetch(bed.url(`/${CONTROL}/GetNode`), { method: "POST", body: "x".repeat(1_100_000) });
  expect(other.status).toBe(413);
});

describe("SubscribeEvents", () => {
  const news = (type: EventType, id: string, labels = {}) => ({ type, id, cause: `${id} did`, labels });

  test("begins where it was asked to, brings what is wanted, and tells what was missed", async () => {
    const { bed, journal } = open();
    const client = bed.client();
    journal.append(news("policy.changed", "pin/a", { kind: "pin" }), START_MS + 1);
    journal.append(news("gpu.degraded", "gpu-0", { node: "n1" }), START_MS + 2);
    const base = START_MS * 1000;
    const all = await take(serverStream(client, EVENTS, { since: 0 }), 3);
    expect(all).toMatchObject([
      { position: { first: base + 1 }, next: base },
      {
        event: {
          number: base + 1,
          type: "policy.changed",
          subject: "pin/a",
          labels: { kind: "pin" },
          atMs: START_MS + 1,
        },
      },
      { event: { number: base + 2, type: "gpu.degraded" }, next: base + 2 },
    ]);
    const filtered = await take(serverStream(client, EVENTS, { since: 0, types: ["gpu"], labels: { node: "n1" } }), 2);
    expect(filtered[1]).toMatchObject({ event: { type: "gpu.degraded" } });
    const live = serverStream(client, EVENTS, { types: ["model.loaded"] });
    const came = take(live, 2);
    await new Promise((resolve) => live.once("metadata", resolve));
    journal.append(news("model.unloaded", "m"), START_MS + 3);
    journal.append(news("model.loaded", "m"), START_MS + 4);
    expect((await came)[1]).toMatchObject({ event: { type: "model.loaded" } });
    for (let count = 0; count < 2000; count++) journal.append(news("routing.x", String(count)), START_MS + 5);
    const late = await take(serverStream(client, EVENTS, { since: base + 1 }), 3);
    expect(late[1]).toMatchObject({ missed: { count: 2003 - 1024 - 0 }, next: base + 1 + 979 });
    expect(late[2]).toMatchObject({ event: { number: base + 1 + 980 } });
  });

  test("ends with the journal, and is refused when too many watch", async () => {
    const { bed, journal } = open();
    const client = bed.client();
    const streams = await Promise.all(
      Array.from({ length: 64 }, async () => {
        const stream = serverStream(client, EVENTS, {});
        stream.on("error", () => {});
        await new Promise((resolve) => stream.once("data", resolve));
        return stream;
      }),
    );
    const { code } = await new Promise<{ code: number }>((resolve) => {
      serverStream(client, EVENTS, {})
        .on("error", (error) => resolve(error as never))
        .resume();
    });
    expect(code).toBe(8);
    const ends = streams.map((stream) => new Promise((resolve) => stream.on("end", resolve).resume()));
    journal.end();
    await Promise.all(ends);
  });
});

test("what the parts throw that is no MeshError stays inside", async () => {
  const { bed } = open({
    members: () => {
      throw new TypeError("secret");
    },
  });
  const answer = await call(bed, "ListNodes");
  expect([answer.code, answer.message]).toEqual([
    "internal",
    "internal error; its cause is in the log of the process that was asked",
  ]);
  expect(bed.errors).toHaveLength(1);
});

describe("recommendations", () => {
  const advice = {
    recommendations: [
      { model: "qwen-7b", replicas: 2, wanted: 2, why: "kv-usage is 0.5 a replica, the target is 0.5" },
      { model: "llama-3-8b", replicas: 1, wanted: 3, why: "requests wait" },
    ],
    short: [{ model: "llama-3-8b", replicas: 1, wanted: 2 }],
    revision: 12,
  };

  test("are those of scaling policies and of pins that lack replicas, by model", async () => {
    const { bed } = open({ advice: () => advice });
    expect(await call(bed, "GetRecommendations")).toEqual({
      recommendations: [
        { model: "llama-3-8b", replicas: 1, wanted: 2, why: "its pin asks for at least 2", policy: "pin/llama-3-8b" },
        { model: "llama-3-8b", replicas: 1, wanted: 3, why: "requests wait", policy: "scaling/llama-3-8b" },
        expect.objectContaining({ model: "qwen-7b", policy: "scaling/qwen-7b" }),
      ],
      revision: "12",
    });
    const one = await unary(bed.client(), `/${CONTROL}/GetRecommendations`, { model: "qwen-7b" });
    expect(one["recommendations"]).toHaveLength(1);
  });

  test("of a model that nobody knows, or before any policies are heard, are refused", async () => {
    const { bed } = open({ advice: () => ({ ...advice, recommendations: [] }) });
    expect(await call(bed, "GetRecommendations", { model: "qwen-7b" })).toMatchObject({ recommendations: [] });
    expect(await call(bed, "GetRecommendations", { model: "qwen-8b" })).toMatchObject({
      code: "not_found",
      message: expect.stringContaining("did you mean qwen-7b?"),
    });
    const { bed: early } = open({ advice: () => ({ recommendations: [], short: [], revision: undefined }) });
    expect(await call(early, "GetRecommendations")).toMatchObject({ code: "unavailable" });
  });
});

describe("what is probably not meant", () => {
  test("a role that there is not, and an id that is not given, are refused", async () => {
    const { bed } = open();
    expect(await call(bed, "ListNodes", { role: "agnet" })).toMatchObject({
      code: "invalid_argument",
      message: 'role is "agnet"; expected agent, router, client, unknown; did you mean agent?',
    });
    for (const method of ["GetNode", "DrainNode", "UndrainNode", "GetModel"]) {
      expect(await call(bed, method)).toMatchObject({
        code: "invalid_argument",
        message: expect.stringContaining("id is missing"),
      });
    }
  });

  test("to undo what was never done to a node that nobody knows is warned of", async () => {
    const { bed } = open();
    expect(await call(bed, "UndrainNode", { id: "nod-1" })).toMatchObject({
      changed: false,
      warnings: ['there is no node "nod-1" here; did you mean node-1?; and no policy is about it'],
    });
    expect(await call(bed, "UndrainNode", { id: "node-1" })).toMatchObject({ changed: false, warnings: [] });
  });

  test.each([
    [
      { types: ["nodes.joined"] },
      'type is "nodes.joined"; events are about gpu, model, node, policy, routing, runtime; did you',
    ],
    [{ types: ["Node"] }, "expected one such as node.joined"],
    [{ types: Array.from({ length: 33 }, () => "node") }, "33 types or labels; at most 32"],
    [{ labels: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`l${at}`, ""])) }, "at most 32"],
  ])("a filter of events that can't be meant: %p", async (filter, words) => {
    const { bed } = open();
    const failure = await failureOf(take(serverStream(bed.client(), EVENTS, filter), 1));
    expect([failure.code, failure.details]).toEqual([3, expect.stringContaining(words)]);
  });
});

test("a snapshot is of the revision that its head tells", async () => {
  const { bed, store } = open();
  store.save = async () => Buffer.from('{"format": "infermesh policies", "revision": 41}\n{}');
  expect(await call(bed, "SaveSnapshot")).toMatchObject({ revision: "41" });
  store.save = async () => Buffer.from("what is no JSON");
  expect(await call(bed, "SaveSnapshot")).toMatchObject({ revision: "0" });
});
