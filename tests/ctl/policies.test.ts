/** Pins, quotas, rules, policies and their files, against a control plane in memory. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Fault } from "../../src/base/field.ts";
import { KINDS, SPEC_READERS } from "../../src/policy/spec.ts";
import { ControlBed, ctl, type Json, refusal, type Running } from "./control-bed.ts";

let bed: ControlBed;
beforeEach(() => {
  bed = new ControlBed();
});
afterEach(() => bed.stop());

const run = (line: string, how?: Running) => ctl(bed.endpoint, line.split(" "), how);
const json = async (line: string) => JSON.parse((await run(`${line} -o json`)).out) as Record<string, unknown>;

describe("pins", () => {
  test("are made as README shows, listed and taken away", async () => {
    expect(await run("pin-model llama-3-8b --nodes node1,node2 --min-replicas 2")).toMatchObject({
      code: 0,
      err: "",
      out: "pin llama-3-8b set, revision 1: nodes=node1,node2 minReplicas=2\n",
    });
    expect(bed.bodies("PinModel")).toEqual([
      {
        model: "llama-3-8b",
        nodes: ["node1", "node2"],
        minReplicas: 2,
        idempotencyKey: expect.stringMatching(/^[0-9a-f]{32}$/),
      },
    ]);
    expect((await run("pin-model llama-3-8b --nodes node1 --nodes node2 --min-replicas 2")).out).toBe(
      "pin llama-3-8b unchanged, revision 1: nodes=node1,node2 minReplicas=2\n",
    );
    expect((await run("list-pins")).out).toBe(
      `MODEL       REVISION OF MODEL  NODES        SELECTOR  MIN  MAX  REVISION
llama-3-8b  -                  node1,node2  -           2    -         1
`,
    );
    expect((await run("list-pins -o text")).out).toBe(
      "llama-3-8b\t-\tnode1,node2\t-\t2\t-\t1\t2026-01-02T03:04:05.000Z\t1\n",
    );
    expect(await json("list-pins llama-3-8b")).toEqual({
      pins: [
        {
          kind: "pin",
          name: "llama-3-8b",
          spec: { nodes: ["node1", "node2"], minReplicas: 2 },
          revision: 1,
          createdRevision: 1,
          updatedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
        },
      ],
    });
    expect((await run("unpin-model llama-3-8b")).out).toBe("pin llama-3-8b deleted, revision 2\n");
    expect(await run("list-pins")).toMatchObject({ code: 0, out: "", err: "no pins\n" });
  });

  test("take a selector, a revision and bounds", async () => {
    await run("pin-model m --selector gpu=h100,zone=a --revision v2 --min-replicas 0 --max-replicas 3");
    expect(bed.bodies("PinModel")[0]).toMatchObject({
      selector: { gpu: "h100", zone: "a" },
      revision: "v2",
      minReplicas: 0,
      maxReplicas: 3,
    });
  });

  test("dry: are checked and not made", async () => {
    expect(await run("pin-model m --nodes a --dry-run")).toMatchObject({
      code: 0,
      out: "pin m would be set (dry run): nodes=a\n",
    });
    expect(bed.policies).toEqual([]);
  });

  test("bad flags are refused before anything is asked", async () => {
    for (const line of [
      "pin-model m --min-replicas -1",
      "pin-model m --min-replicas two",
      "pin-model",
      "pin-model a b",
    ]) {
      expect(await run(line)).toMatchObject({ code: 2, out: "" });
    }
    expect(bed.calls).toEqual([]);
  });

  test("say where or how often, and nodes or labels", async () => {
    expect(await run("pin-model m")).toMatchObject({ code: 2, err: expect.stringContaining("say where or how often") });
    expect(await run("pin-model m --nodes a --selector b=c")).toMatchObject({
      code: 2,
      err: expect.stringContaining("--nodes or --selector, not both"),
    });
    expect(await run("list-pins m")).toMatchObject({ code: 0, err: "no pin of m\n" });
    expect(bed.bodies("PinModel")).toEqual([]);
    bed.answers.set("UnpinModel", () =>
      refusal("not_found", 404, "there is no pin/m to delete", { code: "not_found" }),
    );
    expect((await run("unpin-model m")).err).toContain("`infermesh ctl list-pins` shows those that there are");
  });

  test("are never made of variables that are for something else", async () => {
    await run("pin-model m --revision v1", { env: { INFERMESH_NODES: "3", INFERMESH_MIN_REPLICAS: "7" } });
    expect(Object.keys(bed.bodies("PinModel")[0] ?? {}).sort()).toEqual(["idempotencyKey", "model", "revision"]);
  });
});

describe("nodes", () => {
  test("are drained, cordoned and taken back, several at once", async () => {
    const drained = await run("drain gpu-1 gpu-2 --reason fans");
    expect(drained).toMatchObject({
      code: 0,
      out: "node gpu-1 draining, revision 1\nnode gpu-2 draining, revision 2\n",
    });
    expect(bed.bodies("DrainNode")[1]).toMatchObject({ id: "gpu-2", reason: "fans" });
    expect((await run("cordon gpu-3 --allow-unknown")).out).toBe("node gpu-3 cordoned, revision 3\n");
    expect(bed.bodies("CordonNode")[0]).toMatchObject({ id: "gpu-3", allowUnknown: true });
    expect((await run("uncordon gpu-3")).out).toBe("node gpu-3 uncordoned, revision 4\n");
    expect((await run("undrain gpu-1 -o text")).out).toBe("node/gpu-1\t5\tno longer draining\n");
  });

  test("that one is refused does not keep the others from it", async () => {
    bed.instead.push(() =>
      Response.json({ code: "not_found", message: "no node gpo-1; did you mean gpu-1?" }, { status: 404 }),
    );
    expect(await run("drain gpo-1 gpu-2")).toMatchObject({
      code: 1,
      out: "node gpu-2 draining, revision 1\n",
      err: "infermesh ctl: ENDPOINT answered: no node gpo-1; did you mean gpu-1? (not_found)\ninfermesh ctl: `infermesh ctl list-nodes` shows the nodes; --allow-unknown takes one that is yet to come\n",
    });
  });

  test("--wait waits until nothing is in flight", async () => {
    const inFlight = [2, 1, 0];
    bed.paths.set("/nodes", () => ({ nodes: [] }));
    bed.paths.set("/nodes/gpu-1", () => ({ inFlight: inFlight.shift() }));
    expect(await run("drain gpu-1 --wait")).toMatchObject({
      code: 0,
      out: "node gpu-1 draining, revision 1\n",
      err: "infermesh ctl drain: nothing is in flight at gpu-1\n",
      progress: expect.arrayContaining(["gpu-1: 2 in flight", "gpu-1: 1 in flight"]),
    });
    bed.paths.set("/nodes/gpu-2", () => ({ inFlight: 1 }));
    expect(await run("drain gpu-2 --wait=1ms")).toMatchObject({ code: 1 });
    expect(await run("drain gpu-3 --wait 1s")).toMatchObject({
      code: 1,
      err: expect.stringContaining("sends nothing to gpu-3"),
    });
  });

  test("--wait asks a node itself what it has, and drains none that the one who is asked can't see", async () => {
    const inProgress = [1, 0];
    const status = (): Json => ({ id: "gpu-1", vitals: { requests_in_progress: inProgress.shift() } });
    bed.paths.set("/status", status);
    inProgress.unshift(1);
    expect(await run("drain gpu-1 --wait")).toMatchObject({
      code: 0,
      err: "infermesh ctl drain: nothing is in flight at gpu-1\n",
      progress: expect.arrayContaining(["gpu-1: 1 in flight"]),
    });
    expect(await run("drain gpu-2 --wait")).toMatchObject({
      code: 2,
      out: "",
      err: "infermesh ctl drain: ENDPOINT is an agent, which can't tell what is in flight at gpu-2; nothing was changed: ask a router (--endpoint), or leave out --wait\n",
    });
    expect(bed.bodies("DrainNode").map(({ id }) => id)).toEqual(["gpu-1"]);
  });
});

describe("quotas", () => {
  test("are set, shown, listed and taken away", async () => {
    expect((await run("quota set acme llama --requests-per-second 2.5 --concurrency 4")).out).toBe(
      "quota acme/llama set, revision 1: requestsPerSecond=2.5 concurrency=4\n",
    );
    expect(bed.bodies("SetPolicy")[0]).toMatchObject({
      kind: "quota",
      name: "acme/llama",
      quota: { requestsPerSecond: 2.5, concurrency: 4 },
    });
    await run("quota set acme --tokens-per-minute 60000");
    for (const line of ["set acme/llama other --concurrency 1", "get acme/llama other", "delete acme/llama other"]) {
      expect(await run(`quota ${line}`)).toMatchObject({
        code: 2,
        err: 'infermesh ctl quota: "acme/llama" names a model already, and so does "other"; say TENANT MODEL, or TENANT/MODEL\n',
      });
    }
    expect(await run("quota set acme --requests-per-second -5")).toMatchObject({
      code: 2,
      err: expect.stringContaining('found "-5" (flag --requests-per-second); expected a number from 0, such as 0.5'),
    });
    expect((await run("quota list")).out).toBe(
      `TENANT  MODEL  REQUESTS/S  TOKENS/MIN  AT ONCE  REVISION
acme    llama         2.5           -        4         1
acme    *               -       60000        -         2
`,
    );
    expect((await run("quota get acme/llama")).out).toContain("spec.requestsPerSecond  2.5\n");
    expect((await run("quota delete acme")).out).toBe("quota acme/* deleted, revision 3\n");
    expect(await run("quota get acme")).toMatchObject({ code: 1, err: expect.stringContaining("(not_found)") });
  });

  test("without a limit are no quotas", async () => {
    expect(await run("quota set acme llama")).toMatchObject({
      code: 2,
      err: expect.stringContaining("give at least one"),
    });
  });
});

describe("rules", () => {
  test("are made, listed and taken away", async () => {
    expect((await run("acl allow tenant:acme meta-llama/Llama-3 infer")).out).toBe(
      "acl tenant:acme/meta-llama/Llama-3/infer set, revision 1: effect=allow\n",
    );
    expect((await run("acl deny * llama --reason unpaid")).out).toBe(
      "acl */llama/* set, revision 2: effect=deny reason=unpaid\n",
    );
    expect((await run("acl list")).out).toBe(
      `EFFECT  SUBJECT      MODEL               ACTION  REASON  REVISION
allow   tenant:acme  meta-llama/Llama-3  infer   -              1
deny    *            llama               *       unpaid         2
`,
    );
    expect((await run("acl delete * llama")).out).toBe("acl */llama/* deleted, revision 3\n");
  });

  test("are tried out", async () => {
    await run("acl allow tenant:acme llama infer");
    await run("acl deny tenant:acme llama embed --reason costs");
    expect(await run("acl test tenant:acme llama")).toMatchObject({
      code: 0,
      out: "allowed: tenant:acme infer llama: tenant:acme/llama/infer allows it\n",
    });
    expect(await run("acl test tenant:acme llama embed -o text")).toMatchObject({
      code: 1,
      out: "denied\ttenant:acme/llama/embed\ttenant:acme/llama/embed denies it: costs\n",
    });
    expect((await run("acl test tenant:other llama")).code).toBe(1);
    expect((await run("acl test tenant:other mistral")).code).toBe(0);
    const hash = "ab".repeat(32);
    await run(`acl deny key:${hash} llama infer`);
    expect(JSON.parse((await run(`acl test tenant:acme llama --key ${hash} -o json`)).out)).toMatchObject({
      subject: "tenant:acme",
      allowed: false,
      rule: `key:${hash}/llama/infer`,
    });
    expect((await run(`acl test key:${hash} llama`)).code).toBe(1);
    for (const line of ["acl test tenant:a *", "acl test tenant:a m *", `acl test key:${hash} m --key ${hash}`]) {
      expect(await run(line)).toMatchObject({ code: 2, out: "" });
    }
  });

  test("name who they are about", async () => {
    expect(await run("acl allow acme llama")).toMatchObject({
      code: 2,
      err: expect.stringContaining("did you mean tenant:acme?"),
    });
    expect(await run("acl allow tenant:acme llama read")).toMatchObject({ code: 2 });
    expect(await run("acl allow tenant:acme")).toMatchObject({ code: 2 });
    // What is no hash may be a key itself, and is not repeated.
    for (const line of ["acl deny key:sk-12345 llama", "acl test key:sk-12345 llama", "acl delete key:AB12 llama"]) {
      const { code, err } = await run(line);
      expect(code).toBe(2);
      expect(err).toContain("key:- takes the key itself from standard input");
      expect(err).not.toContain("sk-12345");
    }
    expect(bed.calls).toEqual([]);
    expect((await run(`acl deny key:${"0f".repeat(8)} llama`)).code).toBe(0);
  });
});

describe("policies of every kind", () => {
  test("are set from words, as YAML reads them", async () => {
    const line = "policy set scaling m minReplicas=1 maxReplicas=4 target.metric=kv-usage target.value=0.8";
    expect((await run(line)).out).toBe(
      "scaling m set, revision 1: minReplicas=1 maxReplicas=4 target=metric:kv-usage,value:0.8\n",
    );
    expect(bed.bodies("SetPolicy")[0]).toMatchObject({
      kind: "scaling",
      name: "m",
      scaling: { minReplicas: 1, maxReplicas: 4, target: { metric: "kv-usage", value: 0.8 } },
    });
    await ctl(bed.endpoint, ["policy", "set", "pin", "m", "nodes=[a, b]", 'selector={zone: "1"}']);
    expect(bed.bodies("SetPolicy")[1]).toMatchObject({ pin: { nodes: ["a", "b"], selector: { zone: "1" } } });
    expect((await run("policy list")).out.replaceAll(/ +/g, " ")).toBe(
      `KIND NAME SPEC REVISION
scaling m minReplicas=1 maxReplicas=4 target=metric:kv-usage,value:0.8 1
pin m nodes=a,b selector=zone:1 2
`,
    );
    expect((await run("policy list --kind pin --local")).out).not.toContain("scaling");
    expect(bed.bodies("ListPolicies").at(-1)).toEqual({ kind: "pin", local: true });
    expect((await run("policy get pin m -o yaml")).out).toContain("nodes:\n    - a\n");
    expect((await run("policy delete pin m")).out).toBe("pin m deleted, revision 3\n");
  });

  test("zeros that decide something are shown", async () => {
    await run("policy set priority acme priority=0");
    bed.answers.set("GetPolicy", () => ({ policy: { kind: "priority", name: "acme", priority: {} }, revision: "1" }));
    expect(await json("policy get priority acme")).toEqual({ kind: "priority", name: "acme", spec: { priority: 0 } });
  });

  test("what is no kind, no field or no YAML is refused before anything is asked", async () => {
    expect(await run("policy get pins m")).toMatchObject({
      code: 2,
      err: expect.stringContaining("did you mean pin?"),
    });
    expect(await run("policy set pin m nodes")).toMatchObject({
      code: 2,
      err: expect.stringContaining("is no KEY=VALUE"),
    });
    expect(await run("policy set pin m nodes=[a")).toMatchObject({
      code: 2,
      err: expect.stringContaining("is no YAML"),
    });
    expect(await run("policy set pin m")).toMatchObject({
      code: 2,
      err: expect.stringContaining("at least one field"),
    });
    const twice = [
      "minReplicas=1 minReplicas=2",
      "target.value=1 target.value=2",
      "target=1 target.value=2",
      "a.b=1 a=2",
    ];
    for (const words of twice) {
      expect(await run(`policy set scaling m ${words}`)).toMatchObject({
        code: 2,
        err: expect.stringContaining("a second time"),
      });
    }
    expect(bed.calls).toEqual([]);
  });

  test("what help says of the kinds is what their readers take", async () => {
    const { out } = await run("policy set --help");
    const notes = out.slice(out.indexOf("Kinds, their names and keys:"));
    const lines = new Map(
      [...notes.matchAll(/^ {2}([a-z]+) [A-Z].*(?:\n {2}(?![a-z]+ [A-Z]).*)*/gm)].map((match) => [match[1], match[0]]),
    );
    expect([...lines.keys()].filter((kind) => kind !== "Exit")).toEqual([...KINDS]);
    for (const kind of KINDS) {
      const told = [...(lines.get(kind) ?? "").matchAll(/([A-Za-z]+)(?:\.[A-Za-z]+)?=/g)].map(([, key = ""]) => key);
      const faults: Fault[] = [];
      const wrong = Object.fromEntries([...new Set(told)].map((key) => [key, Symbol.iterator]));
      SPEC_READERS[kind](wrong, { path: "", source: "", fromText: false, faults });
      // Every key is known, and has another fault than that.
      expect(faults.filter(({ expected }) => expected.startsWith("no such"))).toEqual([]);
      expect(new Set(faults.map(({ path }) => path))).toEqual(new Set(told));
    }
  });
});
