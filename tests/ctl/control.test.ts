/** Models, control nodes, snapshots, decisions, events and profiles, and what goes wrong on the way, against a fake. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { snapshotStatus } from "../../src/ctl/snapshot.ts";
import { decodeSaved, encodeSaved } from "../../src/store/saved.ts";
import { ControlBed, ctl, refusal, type Running } from "./control-bed.ts";

const directory = mkdtempSync(join(tmpdir(), "infermesh-control-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let bed: ControlBed;
beforeEach(() => {
  bed = new ControlBed();
});
afterEach(() => bed.stop());

const unloadable = () => ({ faults: [] });
const run = (line: string, how?: Running) => ctl(bed.endpoint, line.split(" "), how);

describe("models", () => {
  const MODELS = [
    {
      id: "llama",
      nodes: [
        { id: "gpu-1", state: "healthy", routable: true, modelState: { runningRequests: 3, kvUsage: 0.5 } },
        { id: "gpu-2", state: "failed" },
      ],
      routableNodes: 1,
      missingReplicas: 1,
      pin: { kind: "pin", name: "llama", pin: { minReplicas: 2 }, revision: "7" },
    },
    { id: "wanted", missingReplicas: 2 },
  ];

  test("are listed with their load, their pins and what is missing", async () => {
    bed.answers.set("ListModels", () => ({ models: MODELS }));
    expect((await run("list-models")).out).toBe(
      `MODEL   ROUTABLE  NODES  MISSING  RUN  WAIT  PIN
llama          1      2        1    3     0  minReplicas=2
wanted         0      0        2    -     -  -
`,
    );
    expect((await run("list-models -o wide --node gpu-1")).out).toContain("gpu-1,gpu-2\n");
    expect(bed.bodies("ListModels")[1]).toEqual({ node: "gpu-1" });
    const colored = (await run("list-models", { color: true })).out;
    expect(colored).toContain("\u001b[33m      1\u001b[0m");
    expect(colored).toContain("\u001b[31m       0\u001b[0m");
  });

  test("are described with the policies that decide about them", async () => {
    bed.answers.set("GetModel", () => ({ model: MODELS[0], policies: [MODELS[0]?.pin] }));
    expect((await run("describe-model llama")).out).toBe(`llama
  nodes  2, 1 of them get requests, 1 more wanted by its pin

NODE   STATE    ROUTABLE  RUN  WAIT   KV
gpu-1  healthy  yes         3     0  50%
gpu-2  failed   no          -     -    -

KIND  NAME   SPEC           REVISION
pin   llama  minReplicas=2         7
`);
    expect(JSON.parse((await run("describe-model llama -o json")).out)).toMatchObject({
      policies: [{ kind: "pin", spec: { minReplicas: 2 }, revision: 7 }],
    });
  });

  test("are loaded and unloaded at one node after the other", async () => {
    bed.answers.set("LoadModel", ({ node, model }) => ({ node, model, changed: node === "a", models: [model, "m2"] }));
    bed.answers.set("UnloadModel", ({ node = "self", model }) => ({ node, model, changed: true }));
    expect((await run("load-model m --nodes a,b --revision v2")).out).toBe(
      "m loaded at a; it serves m, m2\nm was loaded already at b; it serves m, m2\n",
    );
    // To load twice does no harm, so there is no key, which the method does not know.
    expect(bed.bodies("LoadModel")[1]).toEqual({ model: "m", node: "b", revision: "v2" });
    expect((await run("unload-model m --drain 3s -o text")).out).toBe("self\tm\tunloaded\t-\n");
    expect(bed.bodies("UnloadModel")).toEqual([{ model: "m", drainMs: 3000 }]);
  });
});

test("a router that is to load a model is told to name a node", async () => {
  for (const method of ["LoadModel", "UnloadModel"]) {
    bed.answers.set(method, () => refusal("failed_precondition", 501, "it is a router", { code: "not_supported" }));
  }
  expect((await run("load-model m")).err).toContain("say which: --nodes ID,...");
  expect((await run("load-model m --nodes a")).err).not.toContain("say which");
  bed.answers.set("UnloadModel", () => refusal("not_found", 404, "there is no node", { code: "not_found" }));
  expect((await run("unload-model m --nodes a")).err).toContain("`infermesh ctl list-nodes` shows the nodes");
});

describe("the control nodes", () => {
  const MEMBERS = [
    { member: "a1", node: "gpu-1", address: "10.0.0.1:7950", role: "leader", matchIndex: "12" },
    { member: "b2", node: "gpu-2", address: "10.0.0.2:7950", role: "follower", matchIndex: "11", active: true },
  ];
  const STATUS = {
    engine: "embedded",
    cluster: "c0ffee",
    leader: "gpu-1",
    term: "3",
    commitIndex: "12",
    appliedIndex: "12",
    revision: "9",
    items: 4,
    logBytes: "65536",
  };

  test("are shown with what they have, and the exit code tells whether policies can be changed", async () => {
    bed.answers.set("GetStoreStatus", () => ({ ...STATUS, members: MEMBERS, writable: true }));
    expect(await run("control status")).toMatchObject({
      code: 0,
      out: `Store of policies
  state     policies can be changed
  engine    embedded
  cluster   c0ffee
  leader    gpu-1
  term      3
  policies  4, at revision 9
  log       applied up to 12 of 12, 65,536 bytes

NODE   ROLE      ADDRESS        HAS  HEARD
gpu-1  leader    10.0.0.1:7950   12  -
gpu-2  follower  10.0.0.2:7950   11  yes
`,
    });
    bed.answers.set("GetStoreStatus", () => ({ ...STATUS, alarm: "the disk is full" }));
    expect(await run("control status")).toMatchObject({
      code: 1,
      out: expect.stringContaining("policies stay in force, and can't be changed now: the disk is full\n"),
    });
  });

  test("are added, removed and made to lead", async () => {
    const answer = () => ({ members: MEMBERS, leader: "gpu-2" });
    for (const method of ["AddControlMember", "RemoveControlMember", "TransferLeadership"])
      bed.answers.set(method, answer);
    expect((await run("control add gpu-2 --address 10.0.0.2:7950")).out).toStartWith(
      "gpu-2 is a control node now\n\nNODE",
    );
    expect(bed.bodies("AddControlMember")).toEqual([{ node: "gpu-2", address: "10.0.0.2:7950" }]);
    expect((await run("control remove gpu-1")).out).toStartWith("gpu-1 is no control node any more\n");
    expect((await run("control transfer gpu-2")).out).toStartWith("gpu-2 leads now\n");
    expect(await run("control remove")).toMatchObject({ code: 2 });
  });

  test("are not changed while they have no leader, which is found out before the change", async () => {
    bed.answers.set("GetStoreStatus", () => ({ ...STATUS, leader: "", members: MEMBERS, alarm: "no leader" }));
    const next =
      "infermesh ctl control: a majority of gpu-1, gpu-2 must run; `infermesh ctl members` shows which are down\n";
    for (const line of ["add gpu-3", "remove gpu-2", "transfer gpu-2"]) {
      expect(await run(`control ${line} --timeout 10ms`)).toMatchObject({
        code: 1,
        out: "",
        err: `infermesh ctl control: the control nodes have no leader, and can't be changed now\n${next}`,
      });
    }
    expect(bed.calls.filter(({ method }) => method !== "GetStoreStatus")).toEqual([]);
    expect(await run("control status")).toMatchObject({ code: 1, err: next });
    const alone = "no control node can be reached; see `infermesh ctl control status`";
    bed.answers.set("GetStoreStatus", () => ({ ...STATUS, leader: "", members: [], alarm: alone }));
    const status = await run("control status");
    expect(status.out).toContain("can't be changed now: no control node can be reached\n");
    expect(status.err).toContain("one agent of the mesh is started with --control bootstrap");
    // One that is elected in the meantime is waited for.
    let asked = 0;
    bed.answers.set("GetStoreStatus", () => {
      asked += 1;
      return { ...STATUS, leader: asked < 3 ? "" : "gpu-1", members: MEMBERS, writable: asked >= 3 };
    });
    bed.answers.set("RemoveControlMember", () => ({ members: MEMBERS, leader: "gpu-1" }));
    expect((await run("control remove gpu-3")).code).toBe(0);
  });

  test("one that learns along is told why it does not vote", async () => {
    const members = MEMBERS.map((one) => ({ ...one, role: one.role === "leader" ? "leader" : "learner" }));
    bed.answers.set("GetStoreStatus", () => ({ ...STATUS, members, writable: true }));
    const status = await run("control status");
    expect(status).toMatchObject({
      code: 0,
      err: expect.stringContaining("gpu-2 learns along and votes when one more"),
    });
    expect((await run("control status -o text")).err).toBe("");
    bed.answers.set("RemoveControlMember", () => ({ members, leader: "gpu-1" }));
    expect((await run("control remove gpu-3")).err).toContain("voters are an odd number");
  });
});

describe("snapshots", () => {
  const STAMPS = { revision: 3, createdRevision: 1, updatedAtMs: 1 };
  const BYTES = encodeSaved(
    {
      revision: 3,
      items: [
        { kind: "pin", name: "m", spec: { minReplicas: 1 }, ...STAMPS },
        { kind: "priority", name: "acme", spec: { priority: 2 }, ...STAMPS },
      ],
    },
    Date.UTC(2026, 0, 2, 3, 4, 5),
  );
  const statusOf = async (path: string) => {
    let out = "";
    const terminal = { out: (text: string) => void (out += text), err: () => {}, color: false };
    const code = await snapshotStatus(decodeSaved).run({ output: "text" }, terminal, [path], {
      path: "",
      load: unloadable,
    });
    return { code, out };
  };

  test("are saved, looked at and restored", async () => {
    bed.answers.set("SaveSnapshot", () => ({ snapshot: Buffer.from(BYTES).toString("base64"), revision: "3" }));
    bed.answers.set("RestoreSnapshot", () => ({ revision: "8" }));
    const path = join(directory, "policies.snapshot");
    expect(await run(`snapshot save ${path}`)).toMatchObject({
      code: 0,
      out: `saved revision 3 to ${path}, ${BYTES.length} bytes\n`,
    });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { code, out } = await statusOf(path);
    expect(code).toBe(0);
    expect(out).toContain("revision\t3\nsavedAt\t2026-01-02T03:04:05.000Z\n");
    expect(out).toContain("policies.total\t2\npolicies.pin\t1\npolicies.priority\t1\n");
    expect(await run(`snapshot restore ${path} --yes`)).toMatchObject({
      code: 0,
      out: `restored ${path}; the store is at revision 8\n`,
    });
    expect(bed.bodies("RestoreSnapshot")).toEqual([{ snapshot: readFileSync(path).toString("base64") }]);
  });

  test("are not restored by mistake, and what is none is called so", async () => {
    const path = join(directory, "some.txt");
    writeFileSync(path, "no snapshot");
    expect(await run(`snapshot restore ${path}`)).toMatchObject({ code: 2, err: expect.stringContaining("say --yes") });
    const fault = await statusOf(path).catch((error: unknown) => error);
    expect(String(fault)).toContain(`${path}: this can't be restored: line 1 is not JSON`);
    expect(fault).toMatchObject({ code: "config_invalid" });
    expect((await run(`snapshot restore ${directory} --yes`)).err).toContain("can't be read: it is a folder");
    expect(await run("snapshot restore /nonexistent/x --yes")).toMatchObject({ code: 2 });
    expect(bed.calls).toEqual([]);
  });
});

describe("explain", () => {
  const ROUTE = {
    model: "llama",
    promptTokens: 2000,
    winner: "gpu-2",
    reason: "it is 0.3 s faster than gpu-1",
    candidates: [
      {
        node: "gpu-2",
        eligible: true,
        seconds: 0.25,
        chosen: true,
        capacity: 8,
        terms: [{ name: "prefill", seconds: 0.25, detail: "2000 tokens at 8000/s" }, { name: "queue" }],
      },
      {
        node: "gpu-1",
        eligible: true,
        seconds: 1.5,
        activeRequests: 3,
        queuedTokens: 400,
        capacity: 8,
        terms: [
          { name: "prefill", seconds: 0.5 },
          { name: "queue", seconds: 1 },
        ],
      },
      { node: "gpu-3", reason: "it is draining" },
    ],
  };

  test("shows each candidate with each term, and why the winner won", async () => {
    bed.answers.set("ExplainRoute", () => ROUTE);
    expect((await run("explain --model llama --prompt-tokens 2000")).out).toBe(
      `a request for llama with 2000 prompt tokens would go to gpu-2: it is 0.3 s faster than gpu-1

NODE       TOTAL  PREFILL  QUEUE  RUNNING  OF  QUEUED TOKENS  WHY NOT
* gpu-2  250.0ms  250.0ms  0.0ms        0   8              0  -
  gpu-1    1.50s  500.0ms  1.00s        3   8            400  -
  gpu-3        -        -      -        0   -              0  it is draining
`,
    );
    expect(bed.bodies("ExplainRoute")).toEqual([{ model: "llama", promptTokens: 2000 }]);
    expect((await run("explain --model llama -o wide")).out).toContain("gpu-2 prefill: 2000 tokens at 8000/s\n");
    expect((await run("explain --model llama -o text")).out).toStartWith("gpu-2\t0.25\t0.25\t0\t0\t8\t0\t-\t-\tyes\n");
  });

  test("shows shares where chance decides, and asks for a tenant", async () => {
    const candidates = ROUTE.candidates.map((one, at) => ({ ...one, share: [0.75, 0.25, 0][at] }));
    bed.answers.set("ExplainRoute", () => ({ ...ROUTE, candidates, strategy: "random" }));
    const { out } = await run("explain --model llama --tenant acme");
    expect(out).toContain("would go to gpu-2 by random: ");
    expect(out).toMatch(/TOTAL +SHARE +PREFILL/);
    expect(out).toMatch(/gpu-1 +1\.50s +25\.0%/);
    expect(bed.bodies("ExplainRoute").at(-1)).toEqual({ model: "llama", tenant: "acme" });
    expect(await run("explain r --tenant acme")).toMatchObject({ code: 2 });
  });

  test("of a request of the past", async () => {
    bed.answers.set("ExplainRoute", () => ({ ...ROUTE, requestId: "req-1", winner: "", reason: "no node serves it" }));
    expect((await run("explain req-1")).out).toStartWith(
      "request req-1 for llama with 2000 prompt tokens went nowhere: no node serves it\n",
    );
    expect(bed.bodies("ExplainRoute")).toEqual([{ requestId: "req-1" }]);
  });

  test("wants one of the two", async () => {
    for (const line of ["explain", "explain r --model m", "explain r --prompt-tokens 3"]) {
      expect(await run(line)).toMatchObject({ code: 2, err: expect.stringContaining("give either") });
    }
  });
});

describe("config", () => {
  test("shows all of it, a part, or one value", async () => {
    bed.paths.set("/config", () => ({ id: "r", proxy: { attemptsMax: 3, retry: true } }));
    expect((await run("config")).out).toBe("id                 r\nproxy.attemptsMax  3\nproxy.retry        true\n");
    expect((await run("config proxy")).out).toBe("attemptsMax  3\nretry        true\n");
    expect((await run("config proxy.attemptsMax")).out).toBe("3\n");
    expect((await run("config proxy -o json")).out).toBe('{\n  "attemptsMax": 3,\n  "retry": true\n}\n');
    expect(await run("config proxy.attemptsMx")).toMatchObject({
      code: 1,
      err: expect.stringContaining("did you mean attemptsMax?"),
    });
    bed.paths.clear();
    expect(await run("config")).toMatchObject({ code: 1, err: expect.stringContaining("only a router's --api port") });
  });
});

describe("what a key of the configuration is not", () => {
  test.each([
    ["nope", 'there is no key "nope"; `infermesh ctl config` shows all of them'],
    ["proxy.attemptMax", 'there is no key "attemptMax" in "proxy"; did you mean attemptsMax?'],
    ["proxy.attemptsMax.x", 'there is no key "x" in "proxy.attemptsMax"'],
  ])("%s", async (key, why) => {
    bed.paths.set("/config", () => ({ proxy: { attemptsMax: 3 } }));
    expect(await run(`config ${key}`)).toMatchObject({ code: 1, out: "", err: expect.stringContaining(why) });
  });
});

test("figures are rounded for people, and exact for programs", async () => {
  bed.paths.set("/stats", () => ({ cpu: 0.17647058823529413, nested: { list: [{ s: 16.758192501999996 }], n: 1e21 } }));
  expect((await run("stats")).out).toBe(
    "cpu              0.176471\nnested.list.0.s  16.7582\nnested.n         1e+21\n",
  );
  expect((await run("stats -o text")).out).toStartWith("cpu\t0.17647058823529413\n");
  expect((await run("stats -o json")).out).toContain("16.758192501999996");
});

describe("subscribe-events", () => {
  test("of a type that there is none of is refused, and an empty answer gets words", async () => {
    expect(await run("subscribe-events --once --type nod")).toMatchObject({
      code: 2,
      err: expect.stringContaining("expected one of node, model, policy, gpu, routing, runtime, or a type of these"),
    });
    bed.paths.set("/events", () => ({ events: [], missed: 0, next: 7, first: 5 }));
    expect(await run("subscribe-events --once --type gpu")).toMatchObject({
      code: 0,
      err: "no such events are kept\n",
    });
    expect((await run("subscribe-events --once --since 6 -o text")).err).toBe("");
    for (const since of [3, 8]) {
      expect((await run(`subscribe-events --once --since ${since} -o text`)).err).toContain(
        `number ${since} is none of this life of ENDPOINT, which has begun anew`,
      );
    }
  });

  const EVENT = {
    seq: 7,
    time: "2026-01-02T03:04:05.000Z",
    type: "policy.changed",
    kind: "changed",
    id: "pin/m",
    cause: "set at revision 3",
    labels: { kind: "pin" },
  };

  test("asks for what is wanted, and shows it as it comes", async () => {
    const asked: string[] = [];
    const lines = [{ kind: "heartbeat", next: 6, first: 1 }, { kind: "gap", missed: 2, next: 6 }, EVENT];
    let answered = 0;
    bed.paths.set("/events", (request) => {
      asked.push(new URL(request.url).search);
      answered += 1;
      const body = answered === 1 ? lines : [{ kind: "heartbeat", next: 7, first: 9 }];
      return new Response(body.map((line) => `${JSON.stringify(line)}\n`).join(""));
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    const running = run("subscribe-events --type policy --label kind=pin --since 3 -o text", {
      onErr: (err) => {
        if (err.includes("begun anew")) resolve();
      },
    });
    await promise;
    process.emit("SIGINT");
    const { code, out, err } = await running;
    expect(code).toBe(0);
    expect(out).toBe("2026-01-02T03:04:05.000Z\tpolicy.changed\tpin/m\tset at revision 3\t7\tkind=pin\n");
    expect(err).toContain("2 events were missed\n");
    expect(err).toContain("ENDPOINT has begun anew\n");
    expect(asked.slice(0, 2)).toEqual([
      "?watch=1&type=policy&label=kind%3Dpin&after=3",
      "?watch=1&type=policy&label=kind%3Dpin&after=7",
    ]);
  });

  test("--once shows what is kept, and ends", async () => {
    bed.paths.set("/events", () => ({ events: [EVENT], missed: 4, next: 7 }));
    expect(await run("subscribe-events --once -o json")).toMatchObject({
      code: 0,
      out: `${JSON.stringify({ events: [EVENT], missed: 4, next: 7 }, null, 2)}\n`,
      err: "infermesh ctl: 4 events before these are not kept any more\n",
    });
    expect((await run("subscribe-events --once")).out).toMatch(
      /^2026-\S+ \S+ {2}policy\.changed {5}pin\/m {13}set at revision 3\n$/,
    );
    expect(await run("subscribe-events --type Node")).toMatchObject({ code: 2 });
  });
});

describe("--watch", () => {
  test("shows it again when it is different, and tells of failures once", async () => {
    let revision = 1;
    bed.answers.set("ListPins", () => {
      revision += 1;
      if (revision === 3 || revision === 4) return refusal("unavailable", 503, "nobody leads");
      return { policies: [{ kind: "pin", name: "m", pin: {}, revision: String(revision < 4 ? 1 : 2) }] };
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    const running = run("list-pins --watch --interval 100ms -o text", {
      onOut: (out) => {
        if (out.split("\n").length === 3) resolve();
      },
    });
    await promise;
    process.emit("SIGINT");
    const { code, out, err } = await running;
    expect(code).toBe(0);
    expect(out).toBe("m\t-\t-\t-\t-\t-\t1\t-\t-\nm\t-\t-\t-\t-\t-\t2\t-\t-\n");
    expect(err.match(/nobody leads/g)).toHaveLength(1);
  });

  test("ends where the first answer is none", async () => {
    bed.instead.push(() => refusal("unavailable", 503, "nobody leads"));
    expect(await run("list-pins --watch")).toMatchObject({ code: 1, out: "" });
  });
});

describe("what goes wrong", () => {
  const noQuorum = () =>
    refusal("unavailable", 503, "no majority of the control nodes answers", { code: "no_quorum", retryable: true });

  test("and may pass is tried again, with the same key", async () => {
    bed.instead.push(noQuorum, noQuorum);
    const { code, out, err, progress } = await run("pin-model m --nodes a");
    expect({ code, out, err }).toEqual({ code: 0, out: "pin m set, revision 1: nodes=a\n", err: "" });
    expect(new Set(bed.bodies("PinModel").map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
    expect(bed.calls).toHaveLength(3);
    expect(progress).toContain("no majority of the control nodes answers; trying again");
  });

  test("for good is told with what may be done about it", async () => {
    bed.instead.push(noQuorum, noQuorum, noQuorum);
    expect(await run("unpin-model m --timeout 2s")).toMatchObject({
      code: 1,
      err: "infermesh ctl: ENDPOINT answered: no majority of the control nodes answers (no_quorum)\ninfermesh ctl: nothing is wrong with what you asked; try again, and see `infermesh ctl control status`\n",
    });
  });

  test("not twice for what can't pass, nor for a read", async () => {
    bed.instead.push(() =>
      refusal("permission_denied", 403, "this port is read-only", { code: "forbidden", retryable: false }),
    );
    expect(await run("pin-model m --nodes a")).toMatchObject({
      code: 1,
      err: "infermesh ctl: ENDPOINT answered: this port is read-only (forbidden)\n",
    });
    bed.instead.push(noQuorum);
    expect(await run("list-pins")).toMatchObject({ code: 1 });
    expect(bed.calls).toHaveLength(2);
  });

  test("a connection that is cut counts as what may pass", async () => {
    let cut = 0;
    const broken = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket) {
          cut += 1;
          socket.terminate();
        },
      },
    });
    const { code, err } = await ctl(`http://127.0.0.1:${broken.port}`, [
      "pin-model",
      "m",
      "--nodes",
      "a",
      "--timeout",
      "3s",
    ]);
    broken.stop(true);
    expect(code).toBe(3);
    expect(err).toContain("can't reach");
    expect(cut).toBeGreaterThan(1);
  });

  test("a conflict has its own exit code and tells the revision", async () => {
    await run("pin-model m --nodes a");
    expect(await run("pin-model m --nodes b --if-revision 0")).toMatchObject({
      code: 4,
      err: "infermesh ctl: ENDPOINT answered: pin/m has revision 1, not 0 (conflict)\ninfermesh ctl: it has revision 1 now: look at it, and try again with --if-revision 1\n",
    });
    expect((await run("pin-model m --nodes b --if-revision 1")).code).toBe(0);
    expect((await run("unpin-model m --if-revision 1")).code).toBe(4);
  });

  test("a port without a control plane is called so", async () => {
    bed.instead.push(() => Response.json({ error: { message: "there is nothing at /x" } }, { status: 404 }));
    expect(await run("list-pins")).toMatchObject({
      code: 1,
      err: "infermesh ctl: ENDPOINT answered: there is nothing at /x (status 404)\ninfermesh ctl: is it the --api port of a router or an agent? A port that clients send requests to takes no commands\n",
    });
  });

  test("without a majority what may be answered from here is", async () => {
    const hint = "with --local it is answered from what is known there";
    for (const line of [
      "list-pins",
      "policy list",
      "policy get pin m",
      "quota list",
      "acl list",
      "acl test tenant:a m",
    ]) {
      for (const method of ["ListPins", "ListPolicies", "GetPolicy"]) bed.answers.set(method, noQuorum);
      expect((await run(line)).err).toContain(hint);
    }
    expect((await run("policy export")).err).not.toContain(hint);
    const told = "no majority; see `infermesh ctl control status`";
    const once = () => refusal("unavailable", 503, told, { code: "no_quorum", retryable: true });
    bed.answers.set("ListPolicies", once);
    expect((await run("policy export")).err).toBe(`infermesh ctl: ENDPOINT answered: ${told} (no_quorum)\n`);
  });

  test("warnings are told, and are no failure", async () => {
    bed.instead.push(() =>
      Response.json({
        policies: [],
        revision: "4",
        changed: true,
        warnings: ["no node has the label gpu=h100\u001b[2J"],
      }),
    );
    expect(await run("pin-model m --selector gpu=h100")).toMatchObject({
      code: 0,
      out: "pin m set, revision 4\n",
      err: "infermesh ctl: warning: no node has the label gpu=h100\\u001b[2J\n",
    });
  });

  test("what an answer holds reaches no terminal as it is", async () => {
    bed.answers.set("ListPins", () => ({
      policies: [{ kind: "pin", name: "m\u001b[2J", pin: { revision: "\u202e" } }],
    }));
    const outs = await Promise.all(
      ["table", "text", "json", "yaml", "wide"].map((output) => run(`list-pins -o ${output}`)),
    );
    for (const { out } of outs) expect([out.includes("\u001b"), out.includes("\u202e")]).toEqual([false, false]);
  });

  test("an answer of another shape gets words", async () => {
    for (const [method, line] of [
      ["ListPins", "list-pins"],
      ["ListPolicies", "policy list"],
      ["ListModels", "list-models"],
      ["ExplainRoute", "explain r"],
      ["GetRecommendations", "policy recommendations"],
    ] as const) {
      bed.answers.set(method, () => ({ policies: 3, models: [1], candidates: "x", recommendations: 1 }));
      expect(await run(line)).toMatchObject({
        code: 1,
        out: "",
        err: expect.stringContaining("is this an infermesh --api port?"),
      });
    }
    for (const line of ["policy get pin m", "describe-model m", "snapshot save /nonexistent/x"]) {
      for (const method of ["GetPolicy", "GetModel", "SaveSnapshot"]) bed.answers.set(method, () => ({}));
      expect(await run(line)).toMatchObject({ code: 1, out: "" });
    }
  });
});
