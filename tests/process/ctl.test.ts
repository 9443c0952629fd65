/** Every command of ctl as a process, against a router with one and with three real agents that are control nodes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join as joinPath } from "node:path";
import { freePorts } from "../ports.ts";
import { Bench, EXECUTABLE, ownEnvironment, type Started, until } from "./harness.ts";

const MODEL = "ctl-model";
/** For the start of a whole mesh on a machine that is busy. */
const START_MS = 60_000;
/** By the agent's number: how it comes to be a control node. */
const MODES: Readonly<Record<number, string>> = { 1: "bootstrap", 2: "join" };
const TEST_MS = 90_000;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

describe.each([1, 3])("with %d agents", (count) => {
  const bench = new Bench();
  let router: Started;
  const agents: Started[] = [];
  const ports = freePorts(count);
  const controlAddress = (at: number): string => `127.0.0.1:${ports[at - 1] ?? 0}`;
  const file = (name: string): string => joinPath(bench.dataDir, name);

  beforeAll(async () => {
    router = await bench.router("--workers", "1", "--fleet-poll-interval", "200ms");
    const join = ["--join", String(router.ready["gossip"]), "--mock-models", MODEL];
    for (let at = 1; at <= count; at += 1) {
      const control = ["--control", MODES[at] ?? "auto", "--control-listen", controlAddress(at)];
      agents.push(await bench.agent(`node${at}`, router, ...join, ...control));
    }
    await until(
      async () => (await listed("list-nodes", "nodes")).filter(({ state }) => state === "healthy").length === count,
      START_MS,
    );
    await until(async () => {
      const members = await listed("control status", "members");
      return members.length === Math.min(count, 2);
    }, START_MS);
  }, 2 * START_MS);
  afterAll(() => bench.end());

  async function ctl(line: string, endpoint = `http://${router.address("api")}`, input?: string): Promise<Ran> {
    const child = Bun.spawn([EXECUTABLE, "ctl", ...line.split(" ")], {
      stdin: input === undefined ? "ignore" : new Blob([input]),
      stdout: "pipe",
      stderr: "pipe",
      env: { ...ownEnvironment(), INFERMESH_ENDPOINT: endpoint, INFERMESH_CTL_CONFIG: file("profiles.yaml") },
    });
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, out, err };
  }
  async function listed(line: string, name: string): Promise<Record<string, unknown>[]> {
    const { code, out } = await ctl(`${line} -o json`);
    return code === 0 ? ((JSON.parse(out) as Record<string, Record<string, unknown>[]>)[name] ?? []) : [];
  }
  /** What was printed; a command that fails or complains fails the test. */
  async function good(line: string, input?: string): Promise<string> {
    const { code, out, err } = await ctl(line, undefined, input);
    expect({ line, code, err }).toEqual({ line, code: 0, err: "" });
    return out;
  }

  test(
    "pins are made, listed at every node, and taken away",
    async () => {
      const nodes = agents.map(({ ready }) => String(ready["id"]));
      expect(await good(`pin-model ${MODEL} --nodes ${nodes.join(",")} --min-replicas ${count}`)).toMatch(
        new RegExp(`^pin ${MODEL} set, revision \\d+: nodes=\\S+ minReplicas=${count}\n$`),
      );
      for (const started of [router, ...agents]) {
        const { out } = await ctl("list-pins", `http://${started.address("api")}`);
        expect(out).toContain(nodes.join(","));
      }
      expect(await good(`describe-model ${MODEL}`)).toContain(`minReplicas=${count}`);
      expect(await good("list-models")).toMatch(new RegExp(`^${MODEL} +${count} +${count} +0`, "m"));
      const unknown = await ctl(`pin-model ${MODEL} --nodes nod1 --dry-run`);
      expect(unknown).toMatchObject({ code: 0, out: `pin ${MODEL} would be set (dry run): nodes=nod1\n` });
      expect(unknown.err).toMatch(/warning: no known node is called nod1/);
      expect((await ctl(`pin-model ${MODEL} --min-replicas 3 --max-replicas 2`)).code).toBe(1);
      // Where a pin keeps requests away, nothing is called routable.
      await good(`pin-model ${MODEL} --nodes node1`);
      const shows = (counts: string) => async () =>
        new RegExp(`^${MODEL} +${counts}`, "m").test(await good("list-models"));
      await until(shows(`1 +${count} +0`));
      await good("cordon node1");
      await until(shows(`0 +${count} +1`));
      expect(await good(`describe-model ${MODEL}`)).toMatch(/^node +node1 +cordoned=true/m);
      await good("uncordon node1");
      const conflict = await ctl(`pin-model ${MODEL} --nodes node1 --if-revision 0`);
      expect(conflict.code).toBe(4);
      expect(conflict.err).toMatch(/it has revision \d+ now/);
      expect(await good(`unpin-model ${MODEL}`)).toContain("deleted");
    },
    TEST_MS,
  );

  test(
    "nodes are drained and cordoned, what was decided is shown, and taken back",
    async () => {
      expect(await ctl("drain node1 --reason fans --wait")).toMatchObject({
        code: 0,
        err: "infermesh ctl drain: nothing is in flight at node1\n",
      });
      await good("cordon node1 --reason fans");
      expect(await good("list-nodes")).toMatch(/^node1 +(draining|cordoned)/m);
      expect(await good("describe-node node1")).toContain("Operator\n");
      await good("uncordon node1");
      await good("undrain node1");
      expect(await good("undrain node1")).toContain("unchanged");
      expect(await ctl("drain nod1")).toMatchObject({ code: 1, err: expect.stringContaining("did you mean node1?") });
    },
    TEST_MS,
  );

  test(
    "quotas, rules and policies of every kind, to a file and back",
    async () => {
      await good("quota set acme --requests-per-second 5");
      expect(await good("quota get acme")).toContain("requestsPerSecond");
      expect(await good("quota list")).toContain("acme");
      await ctl(`acl allow tenant:acme ${MODEL} infer`);
      await good(`acl deny tenant:evil ${MODEL}`);
      expect(await good("acl list")).toContain("tenant:evil");
      expect(await good(`acl test tenant:acme ${MODEL}`)).toStartWith("allowed");
      expect((await ctl(`acl test tenant:evil ${MODEL}`)).code).toBe(1);
      await good(`policy set balance ${MODEL} strategy=round-robin`);
      expect(await good(`policy get balance ${MODEL}`)).toContain("round-robin");
      const exported = await good("policy export");
      const applied = await ctl("policy apply -f - -o text", undefined, exported);
      expect(applied.code).toBe(0);
      expect(
        applied.out
          .trim()
          .split("\n")
          .map((line) => line.split("\t")[1]),
      ).toEqual(Array(4).fill("unchanged"));
      const text = `kind: priority\nname: acme\nspec: {priority: 2}\n---\nkind: balance\nname: ${MODEL}\nspec: {strategy: random}\n`;
      expect(await good("policy apply -f - --prune quota", text)).toBe(
        `priority/acme created\n  + priority: 2\nbalance/${MODEL} changed\n  - strategy: round-robin\n  + strategy: random\nquota/acme/* deleted\n  - requestsPerSecond: 5\n`,
      );
      expect(
        (await ctl("policy apply -f -", undefined, "kind: quota\nname: acme/*\nspec: {concurrency: 0}\n")).err,
      ).toContain("quota/acme/*");
      await good(`acl delete tenant:evil ${MODEL}`);
      const last = await ctl(`acl delete tenant:acme ${MODEL} infer`);
      expect(last.err).toContain("this was the last allowance");
      await good("policy delete priority acme");
      expect(await listed("policy list", "policies")).toHaveLength(1);
    },
    TEST_MS,
  );

  test(
    "snapshots are saved, looked at and restored",
    async () => {
      await good(`snapshot save ${file("all")}`);
      expect(await good(`snapshot status ${file("all")}`)).toMatch(/^policies\.balance +1$/m);
      await good(`policy delete balance ${MODEL}`);
      await good(`snapshot restore ${file("all")} --yes`);
      expect(await good(`policy get balance ${MODEL}`)).toContain("random");
      await good(`policy delete balance ${MODEL}`);
    },
    TEST_MS,
  );

  test(
    "models are loaded and unloaded",
    async () => {
      expect(await good("load-model other --nodes node1")).toStartWith("other loaded at node1; it serves");
      expect(await good("load-model other --nodes node1")).toContain("was loaded already");
      expect(await good("unload-model other --nodes node1")).toStartWith("other unloaded at node1");
    },
    TEST_MS,
  );

  test(
    "the control nodes, and another one to lead",
    async () => {
      expect((await ctl("control status")).out).toMatch(/policies can be changed/);
      if (count === 1) return;
      // The third one stands by until it is named.
      expect((await ctl(`control add node3 --address ${controlAddress(3)}`)).out).toMatch(
        /^node3 is (?:a control node now|becoming a control node)\n/,
      );
      // Two can't outvote one another, so that the second becomes a voter with the third.
      await until(async () => {
        const members = await listed("control status", "members");
        return members.length === 3 && members.every(({ role }) => role === "leader" || role === "follower");
      }, START_MS);
      expect(await good("control transfer node2")).toStartWith("node2 leads now\n");
      const removed = await ctl("control remove node3");
      expect(removed.out).not.toMatch(/^node3 .*(follower|learner)/m);
      expect(removed.err).toContain("learns along and votes when one more is added");
      // It stands by, and its control port is still known to the mesh.
      await until(async () => (await ctl("control add node3")).code === 0, START_MS);
      await until(async () => (await listed("control status", "members")).length === 3, START_MS);
      expect((await ctl("control add node9")).err).toContain('there is no node "node9" here');
    },
    TEST_MS,
  );

  test(
    "what happens, what is well, what is counted, what is configured",
    async () => {
      expect(await good("subscribe-events --once --type node")).toContain("node.joined");
      for (const line of ["health", "stats", "config proxy.attemptsMax", "members", "keyring generate"]) {
        expect(await good(line)).not.toBe("");
      }
      expect((await ctl("health", `http://${agents[0]?.address("api")}`)).code).toBe(0);
      expect((await ctl("list-pins", "http://127.0.0.1:1")).code).toBe(3);
      expect((await ctl("list-pin", undefined)).code).toBe(2);
      const full = Bun.spawn(["sh", "-c", `exec "$0" ctl keyring generate > /dev/full`, EXECUTABLE], {
        stderr: "pipe",
      });
      expect(await full.stderr.text()).toBe("infermesh: standard output is cut short: no space is left there\n");
      expect(await full.exited).toBe(1);
      expect((await ctl("list-pins", `http://${router.address("metrics")}`)).code).toBeLessThan(2);
    },
    TEST_MS,
  );

  test(
    "why a request would go where it would, and why one went where it went",
    async () => {
      expect(await good(`explain --model ${MODEL} --prompt-tokens 500`)).toMatch(
        /with 500 prompt tokens would go to node/,
      );
      const url = `http://${router.address("listen")}/v1/chat/completions`;
      const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "hi" }], max_tokens: 1 });
      const headers = { "content-type": "application/json" };
      const answer = await fetch(url, { method: "POST", headers, body });
      expect(answer.status).toBe(200);
      const id = answer.headers.get("x-request-id") ?? "";
      expect(await good(`explain ${id}`)).toMatch(
        new RegExp(`^request ${id} for ${MODEL} with \\d+ prompt tokens went to node`),
      );
      expect((await ctl("explain no-such-request")).code).toBe(1);
      expect((await ctl(`explain --model ${MODEL.slice(0, -1)}`)).err).toContain(`did you mean ${MODEL}?`);
    },
    TEST_MS,
  );

  test(
    "names are completed",
    async () => {
      expect(await good("complete -- ctl drain node")).toBe(agents.map((_, at) => `node${at + 1}\t\n`).join(""));
      expect(await good("complete -- ctl describe-model ctl-")).toBe(`${MODEL}\t\n`);
      await good("policy set priority acme priority=1");
      expect(await good("complete -- ctl policy get priority a")).toBe("acme\t\n");
      await good("policy delete priority acme");
    },
    TEST_MS,
  );
});
