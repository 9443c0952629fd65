/** list-nodes and describe-node: what a router's targets and the members of its mesh look like together. */
import { afterAll, describe, expect, test } from "bun:test";
import { describeNode } from "../../src/ctl/describe-node.ts";
import { listNodes } from "../../src/ctl/nodes.ts";
import { CtlBed, NOBODY_SAYS } from "./ctl-bed.ts";

const TARGETS = [
  {
    id: "gpu-1",
    state: "healthy",
    routable: true,
    source: "registered",
    address: "10.0.0.7:8000",
    models: ["llama-3.1-8b", "m2"],
    labels: { rack: "r12" },
    weight: 2,
    inFlight: 3,
    inFlightTokens: 220,
    rttMs: 0.42,
    sampledAgoMs: 2100,
    registeredAgoMs: 61_000,
    failuresInRow: 0,
    lastError: "",
    sample: {
      version: "0.1.9",
      requestsInProgress: 14,
      failedResponses: 1,
      uptimeSeconds: 93.4,
      models: [
        { model: "llama-3.1-8b", runningRequests: 12, waitingRequests: 1, kvUsage: 0.41, kvCapacityTokens: 400_000 },
        { model: "m2", runningRequests: 2, waitingRequests: 0, kvUsage: 0.873 },
      ],
      gpus: [
        {
          index: 0,
          name: "NVIDIA H100",
          health: "degraded",
          healthReason: "clocks held down by heat",
          utilization: 0.87,
          memoryUsedBytes: 64 * 2 ** 30,
          memoryTotalBytes: 80 * 2 ** 30,
          powerWatts: 512.3,
          temperatureCelsius: 61,
          throttleReasons: ["hw_thermal"],
        },
      ],
    },
  },
  {
    id: "static-\u001b[2J",
    state: "unhealthy",
    source: "static",
    address: "h:1",
    models: [],
    inFlight: 0,
    rttMs: null,
    sampledAgoMs: null,
    failuresInRow: 3,
    lastError: "connection refused",
    sample: null,
  },
];

const member = (id: string, more: object) => ({
  id,
  status: "alive",
  address: "10.0.0.5:7947",
  role: "agent",
  zone: "",
  incarnation: 1795234463,
  sinceMs: 123_456,
  rttMs: null,
  seenAgoMs: null,
  version: "0.2.0",
  models: [],
  ...more,
});

const GPU_1 = member("gpu-1", { address: "10.0.0.7:7946", zone: "eu-1a", incarnation: 1795234464, seenAgoMs: 600 });
const MEMBERS = [
  member("router-a-8080", { role: "router", rttMs: 12, seenAgoMs: 2000 }),
  GPU_1,
  member("gpu-2", {
    status: "failed",
    zone: "eu-1b",
    address: "10.0.0.8:7946",
    incarnation: 1795234400,
    version: "",
    models: ["m"],
  }),
  member("gone", { status: "left" }),
];
const DETAIL = {
  ...GPU_1,
  self: false,
  labels: { rack: "r12" },
  apiAddress: "10.0.0.7:9090",
  servingAddress: "10.0.0.7:8000",
  healthy: true,
  draining: true,
  cut: true,
  protocols: [1, 2],
  rttMs: 0.42,
  distanceMs: 0.57,
};
const EVENTS = Array.from({ length: 12 }, (_, at) => ({
  seq: at + 1,
  time: `2026-01-02T03:04:${String(at + 10)}.000Z`,
  kind: at % 2 === 0 ? "suspect" : "alive-again",
  id: at === 3 ? "other" : "gpu-1",
  address: "10.0.0.7:7946",
  incarnation: 7,
  cause: `cause ${at}`,
}));
const STATUS = {
  id: "a",
  role: "gpu",
  version: "0.1.0",
  zone: "z",
  incarnation: 5,
  serve: "127.0.0.1:8000",
  models: ["m"],
  health: { status: "ok" },
  vitals: { requests_in_progress: 2 },
};

/** It answers, and a GPU of its runtime is not fit for use. */
const ILL = {
  ...TARGETS[0],
  routable: false,
  sample: {
    ready: false,
    gpus: [{ index: 3, uuid: "GPU-3", health: "quarantined", healthReason: "XID 79: gone", models: ["m2"] }],
  },
};

const DECIDED = [
  { id: "gpu-1", draining: true, cordoned: true, reason: "fans" },
  { id: TARGETS[1]?.id, cordoned: true },
];

const bed = new CtlBed({
  "/router/nodes": () => ({ nodes: TARGETS }),
  "/router/members": () => ({ members: MEMBERS }),
  "/router/members/gpu-1": () => DETAIL,
  "/router/members/router-a-8080": () => ({ ...MEMBERS[0], self: true, protocols: [1, 1] }),
  "/router/nodes/gpu-1": () => TARGETS[0],
  "/router/nodes/static-%1B%5B2J": () => TARGETS[1],
  "/router/events": () => ({ events: EVENTS, missed: 0, next: 12 }),
  "/old/nodes": () => ({ nodes: TARGETS }),
  "/decided/nodes": () => ({ nodes: TARGETS }),
  "/decided/nodes/gpu-1": () => TARGETS[0],
  "/decided/infermesh.control.v1.ControlPlane/ListNodes": () => ({ nodes: DECIDED }),
  "/decided/infermesh.control.v1.ControlPlane/GetNode": () => ({ node: DECIDED[0] }),
  "/empty/nodes": () => ({ nodes: [] }),
  "/agent/status": () => STATUS,
  "/agent/metrics": () => ({ state: { models: [{ runningRequests: 2, waitingRequests: 1, kvUsage: 0.25 }] } }),
  "/agent/members": () => ({ members: [member("a", {}), MEMBERS[0]] }),
  "/agent/members/a": () => member("a", { self: true }),
  "/lone/status": () => STATUS,
  "/ill/nodes": () => ({ nodes: [ILL] }),
  "/ill/nodes/gpu-1": () => ILL,
  "/ill/members": () => ({ members: [GPU_1] }),
  "/ill/members/gpu-1": () => DETAIL,
  "/broken/members/x": () => Response.json({ error: { message: "a fault of ours" } }, { status: 500 }),
});
afterAll(() => bed.stop());

describe("list-nodes", () => {
  test("shows a table for people: targets with their membership, then the members that are none", async () => {
    const { code, out, err } = await bed.run(listNodes, "router");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toBe(
      `ID             STATE      ROLE      ZONE   MODELS           RUN  WAIT   KV  IN-FLIGHT     RTT   SEEN  ADDRESS
gpu-1          healthy    agent     eu-1a  llama-3.1-8b +1   14     1  87%          3   0.4ms  600ms  10.0.0.7:8000
static-?[2J    unhealthy  upstream  -      -                  -     -    -          0       -      -  h:1
gpu-2          failed     agent     eu-1b  m                  -     -    -          -       -      -  10.0.0.8:7946
router-a-8080  alive      router    -      -                  -     -    -          -  12.0ms     2s  10.0.0.5:7947
`,
    );
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(160);
  });

  test("shows one line a node with tabs between, exact, for scripts", async () => {
    const { out } = await bed.run(listNodes, "router", { output: "text" });
    expect(out.split("\n")[0]).toBe(
      "gpu-1\thealthy\tagent\teu-1a\tllama-3.1-8b,m2\t14\t1\t0.873\t3\t0.42\t600\t10.0.0.7:8000\t0.2.0\t1795234464\tregistered\t-\t-\track=r12\t-",
    );
    expect(out.split("\n")[1]).toBe(
      "static-?[2J\tunhealthy\tupstream\t-\t-\t-\t-\t-\t0\t-\t-\th:1\t-\t-\tstatic\t-\t-\t-\t-",
    );
  });

  test("as JSON and YAML keeps every field of the targets, and adds to them", async () => {
    const { nodes } = JSON.parse((await bed.run(listNodes, "router", { output: "json" })).out) as { nodes: object[] };
    expect(nodes).toMatchObject([...TARGETS, { id: "gpu-2" }, { id: "router-a-8080" }]);
    expect(nodes[0]).toMatchObject({
      role: "agent",
      status: "alive",
      version: "0.2.0",
      incarnation: 1795234464,
      seenAgoMs: 600,
    });
    expect(nodes[3]).toEqual({
      id: "router-a-8080",
      state: "alive",
      source: "gossip",
      address: "10.0.0.5:7947",
      models: [],
      zone: "",
      incarnation: 1795234463,
      inFlight: null,
      rttMs: 12,
      sampledAgoMs: null,
      sample: null,
      role: "router",
      status: "alive",
      version: "0.2.0",
      seenAgoMs: 2000,
      decided: "",
      reason: "",
    });
    expect(Bun.YAML.parse((await bed.run(listNodes, "router", { output: "yaml" })).out)).toEqual({ nodes });
  });

  test("of a router that tells no members shows its targets, with what they say of themselves", async () => {
    const { code, out } = await bed.run(listNodes, "old", { output: "text" });
    expect(code).toBe(0);
    expect(out.split("\n").map((line) => line.split("\t")[12])).toEqual(["0.1.9", "-", undefined]);
  });

  test("tells of a node that answers well and gets no requests", async () => {
    const { out } = await bed.run(listNodes, "ill", { output: "text" });
    expect(out.split("\t").slice(0, 3)).toEqual(["gpu-1", "unready", "agent"]);
    const known = await bed.run(describeNode, "ill", { operand: "gpu-1" });
    expect(known.out).toContain(
      "  state        healthy, gets no requests: GPU 3 (GPU-3) is quarantined: XID 79: gone\n",
    );
  });

  test("colours states only where that is wanted", async () => {
    expect((await bed.run(listNodes, "router")).out).not.toContain("\u001b[");
    const { out } = await bed.run(listNodes, "router", { color: true });
    expect(out).toContain("\u001b[32mhealthy  \u001b[0m");
    expect(out).toContain("\u001b[31munhealthy\u001b[0m");
    expect(out).toContain("\u001b[31mfailed   \u001b[0m");
  });

  test("of an agent shows itself, and its mesh", async () => {
    const lone = "a\thealthy\tagent\tz\tm\t-\t-\t-\t2\t-\t0\t127.0.0.1:8000\t0.1.0\t5\tself\t-\t-\t-\t-\n";
    expect(await bed.run(listNodes, "lone", { output: "text" })).toEqual({ code: 0, err: "", out: lone });
    const { out } = await bed.run(listNodes, "agent", { output: "text" });
    expect(out.split("\n")[0]?.split("\t").slice(5, 8)).toEqual(["2", "1", "0.25"]);
    expect(out.split("\n").map((line) => line.split("\t").slice(0, 3))).toEqual([
      ["a", "healthy", "agent"],
      ["router-a-8080", "alive", "router"],
      [""],
    ]);
  });

  test("shows what an operator has decided, where nothing worse is known", async () => {
    const { out } = await bed.run(listNodes, "decided", { output: "text" });
    const cells = out.split("\n").map((line) => line.split("\t"));
    expect(cells.map(([id, state]) => [id, state])).toEqual([
      ["gpu-1", "draining"],
      ["static-?[2J", "unhealthy"],
      [""],
    ]);
    expect(cells.map((line) => line.slice(-4, -1))).toEqual([
      ["draining", "fans", "rack=r12"],
      ["cordoned", "-", "-"],
      [],
    ]);
    const wide = await bed.run(listNodes, "decided", { output: "wide" });
    expect(wide.out.split("\n")[0]).toEndWith("SOURCE      DECIDED   REASON  LABELS    SPEAKS");
    expect((await bed.run(describeNode, "decided", { operand: "gpu-1" })).out).toContain(
      "Operator\n  decided  draining and cordoned\n  reason   fans\n",
    );
  });

  test("says so when there are none, and keeps the output for data", async () => {
    expect(await bed.run(listNodes, "empty")).toEqual({ code: 0, out: "", err: "no nodes\n" });
    expect((await bed.run(listNodes, "empty", { output: "json" })).out).toBe('{\n  "nodes": []\n}\n');
    expect((await bed.run(listNodes, "empty", { output: "text" })).out).toBe("");
  });
});

describe("describe-node", () => {
  test("shows all of a node in sections", async () => {
    const { code, out, err } = await bed.run(describeNode, "router", { operand: "gpu-1" });
    expect([code, err]).toEqual([0, ""]);
    expect(out.replace(/\d{4}-\d\d-\d\d \d\d:/g, "DAY HH:")).toBe(`gpu-1

Membership
  status       alive for 2m3s, draining
  role         agent
  zone         eu-1a
  labels       rack=r12
  incarnation  1795234464
  gossip       10.0.0.7:7946
  vitals       10.0.0.7:9090
  serving      10.0.0.7:8000
  models       - and more
  version      0.2.0, gossip protocol 1 to 2
  RTT          0.4ms, 0.6ms by network coordinates
  last seen    600ms ago

Target
  state        healthy, gets requests
  source       registered
  address      10.0.0.7:8000
  models       llama-3.1-8b, m2
  weight       2
  zone         -
  labels       rack=r12
  in flight    3 requests, 220 prompt tokens not computed yet
  in progress  14 requests, of all routers
  failed       1 responses
  sampled      2s ago, 1m33s after its start
  announced    1m1s ago
  last error   -

Models
  MODEL         RUNNING  WAITING  SLOTS  PREFILL QUEUE   KV  KV TOKENS  PREFILL/S  DECODE/S
  llama-3.1-8b       12        1      -              -  41%    400,000          -         -
  m2                  2        0      -              -  87%          -          -         -

GPUs
  GPU  NAME         HEALTH    BUSY   MEMORY       OF  POWER  TEMP  THROTTLED BY  SINCE  WHY
    0  NVIDIA H100  degraded   87%  64.0GiB  80.0GiB   512W   61C  hw_thermal    -      clocks held down by heat

Latest 10 of 11 events
${EVENTS.filter(({ id }) => id === "gpu-1")
  .slice(-10)
  .map(({ seq, kind, cause }) => `  DAY HH:04:${seq + 9}  ${kind.padEnd(11)}  10.0.0.7:7946  ${cause}\n`)
  .join("")
  .replace(/^/, "  TIME                 EVENT        ADDRESS        CAUSE\n")}`);
  });

  test("shows what there is of an upstream, a router, and an agent that is asked for itself", async () => {
    const upstream = await bed.run(describeNode, "router", { operand: "static-\u001b[2J" });
    expect(upstream.code).toBe(0);
    expect(upstream.out).toStartWith("static-?[2J\n\nTarget\n  state        unhealthy, gets no requests\n");
    expect(upstream.out).toContain("last error   3 polls failed in a row: connection refused\n");
    expect(upstream.out).toEndWith("\nNo events\n");
    const router = await bed.run(describeNode, "router", { operand: "router-a-8080" });
    expect(router.out).toContain("status       alive for 2m3s (asked here)\n");
    expect(router.out).toContain("RTT          -\n");
    expect(router.out).not.toContain("Target");
    const own = await bed.run(describeNode, "agent", { operand: "a" });
    expect(own.out).toContain("\nWhat it says of itself\n  id                           a\n");
  });

  test("hands on everything as JSON, YAML and text", async () => {
    const events = EVENTS.filter(({ id }) => id === "gpu-1");
    const whole = { id: "gpu-1", decision: null, member: DETAIL, node: TARGETS[0], status: null, events };
    const json = await bed.run(describeNode, "router", { operand: "gpu-1", output: "json" });
    expect(JSON.parse(json.out)).toEqual(whole);
    expect(Bun.YAML.parse((await bed.run(describeNode, "router", { operand: "gpu-1", output: "yaml" })).out)).toEqual(
      whole,
    );
    const text = await bed.run(describeNode, "router", { operand: "gpu-1", output: "text" });
    expect(text.out).toContain("member.labels.rack\tr12\n");
    expect(text.out).toContain("events.0.kind\tsuspect\n");
  });

  test("says what was meant by an id that nobody has", async () => {
    expect(await bed.run(describeNode, "router", { operand: "gpu1" })).toEqual({
      code: 1,
      out: "",
      err: 'infermesh ctl: http://127.0.0.1:PORT/router knows no node "gpu1"; did you mean gpu-1?\n',
    });
    const err = (await bed.run(describeNode, "lone", { operand: "nobody" })).err;
    expect(err).toBe('infermesh ctl: http://127.0.0.1:PORT/lone knows no node "nobody"\n');
  });

  test("tells of errors, and of nobody there", async () => {
    const broken = await bed.run(describeNode, "broken", { operand: "x" });
    expect(broken).toMatchObject({ code: 1, out: "", err: expect.stringContaining("a fault of ours (status 500)") });
    const nobody = await bed.run(describeNode, "", { operand: "x", endpoint: "http://127.0.0.1:1" });
    expect(nobody).toMatchObject({
      code: 3,
      err: `infermesh ctl: can't reach http://127.0.0.1:1: nobody listens there\n${NOBODY_SAYS}`,
    });
  });
});
