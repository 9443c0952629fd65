/**
 * A mesh in which this version and the one before it are at work together, and an upgrade of it, node by node. The
 * executable before is built by scripts/build-previous.sh; without it these tests are left out, and say so.
 */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { MeshError } from "../../src/base/errors.ts";
import { config } from "../../package.json";
import { freePort } from "../ports.ts";
import { call } from "./api-store.ts";
import { Bench, EXECUTABLE, type NodeView, nodes, ownEnvironment, rawChat, type Started, until } from "./harness.ts";
import { RawLoad } from "./raw-load.ts";
import { startVllmMock } from "./vllm-mock.ts";

setDefaultTimeout(90_000);
/** Several processes of two versions start, on a machine that may be busy. */
const PATIENCE_MS = 30_000;
const CACHE =
  process.env["INFERMESH_PREVIOUS"] ??
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "infermesh-previous");
const PREVIOUS = join(CACHE, config.previous, "infermesh");
const isThere = existsSync(PREVIOUS);
if (!isThere) console.log(`left out: ${PREVIOUS} is missing: run scripts/build-previous.sh`);

const VERSIONS = { before: PREVIOUS, now: EXECUTABLE } as const;
type Version = keyof typeof VERSIONS;
const LOOPBACK = "127.0.0.1:0";

const bench = new Bench();
afterAll(() => bench.end());

function launch(version: Version, ...args: string[]): Promise<Started> {
  const env = { ...ownEnvironment(), XDG_STATE_HOME: bench.dataDir };
  const ports = ["--api", "--metrics", "--gossip"].filter((name) => !args.includes(name));
  const all = [...args, "--swim-profile", "local", ...ports.flatMap((name) => [name, LOOPBACK])];
  return bench.launch(all, { executable: VERSIONS[version], env });
}

const router = (version: Version, ...args: string[]): Promise<Started> =>
  launch(version, "router", "--listen", LOOPBACK, "--workers", "1", ...args);

function agent(version: Version, id: string, ...args: string[]): Promise<Started> {
  const kept = ["--data-dir", join(bench.dataDir, id)];
  const mock = args.includes("--runtime") ? [] : ["--mock", "--mock-speed", "50", "--serve", LOOPBACK];
  const serve = args.includes("--serve") ? mock.slice(0, -2) : mock;
  return launch(version, "agent", "--id", id, ...serve, ...kept, ...args);
}

const joining = (other: Started): string[] => ["--join", String(other.ready["gossip"]), "--register", "none"];

interface Streamed extends NodeView {
  readonly streamed: boolean;
  readonly routable: boolean;
}

/** Healthy nodes, of whose load the router hears by the stream of states. */
async function streamed(of: Started): Promise<string[]> {
  const all = (await nodes(of)) as Streamed[];
  return all.flatMap(({ id, state, streamed: isStreamed, sample }) =>
    state === "healthy" && isStreamed && sample !== null ? [id] : [],
  );
}

async function ask(
  of: Started,
  model: string,
  headers = {},
  content = "hi",
): Promise<{ status: number; node: string | null }> {
  const answer = await fetch(`http://${of.address("listen")}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model, messages: [{ role: "user", content }], max_tokens: 1 }),
  });
  await answer.text();
  return { status: answer.status, node: answer.headers.get("x-infermesh-node") };
}

/** Some 20,000 tokens: what takes longer to compute than any node is further away than another. */
const LONG = "word ".repeat(20_000);

/** The nodes that answer one of many requests. */
async function serving(of: Started, model: string): Promise<Set<string>> {
  const answers = await Promise.all(Array.from({ length: 16 }, (_, at) => ask(of, model, {}, `${at} ${LONG}`)));
  return new Set(answers.map(({ status, node }) => (status === 200 ? (node ?? "nobody") : String(status))));
}

function misgivings(of: readonly Started[]): unknown[] {
  return of.flatMap(({ lines }) => lines.filter(({ level }) => level !== "info"));
}

describe.skipIf(!isThere)("nodes of both versions", () => {
  for (const version of ["before", "now"] as const) {
    test(`a router of the version ${version} hears both by gossip and stream, sends to both, and sees one drained`, async () => {
      const front = await router(version, "--id", `router-${version}`);
      const ids = ["before", "now"].map((name) => `${version}-${name}`);
      const [old, young] = await Promise.all([
        agent("before", ids[0]!, ...joining(front), "--mock-models", "m"),
        agent("now", ids[1]!, ...joining(front), "--mock-models", "m"),
      ]);
      await until(async () => (await streamed(front)).toSorted().join() === ids.join(), PATIENCE_MS);
      await until(async () => (await serving(front, "m")).size === 2, PATIENCE_MS);
      const samples = (await nodes(front)).map(({ sample }) => sample?.models[0]?.prefillTokensPerSecond);
      expect(samples.every((rate) => rate !== undefined && rate > 0)).toBe(true);

      for (const [leaver, other] of [
        [young, ids[0]],
        [old, undefined],
      ] as const) {
        expect(await leaver.stop()).toBe(0);
        const left = async () => (await nodes(front)).filter(({ state }) => state === "healthy");
        await until(async () => (await left()).map(({ id }) => id).join() === (other ?? ""), PATIENCE_MS);
        if (other !== undefined) expect([...(await serving(front, "m"))]).toEqual([other]);
      }
      expect(misgivings([front, old, young])).toEqual([]);
    });

    test(`a router of the version ${version} takes registrations of both`, async () => {
      const front = await router(version, "--fleet-poll-interval", "200ms");
      const register = ["--register", `http://${front.address("api")}`];
      const ids = ["before", "now"].map((name) => `registers-${version}-${name}`);
      await Promise.all([
        agent("before", ids[0]!, ...register, "--mock-models", "m"),
        agent("now", ids[1]!, ...register, "--mock-models", "m"),
      ]);
      await until(async () => (await serving(front, "m").catch(() => new Set())).size === 2, PATIENCE_MS);
      expect((await nodes(front)).map(({ id, state }) => `${id} ${state}`).toSorted()).toEqual(
        ids.map((id) => `${id} healthy`),
      );
    });
  }

  test("a GPU that a newer agent quarantines gets no request from an older router, until it is well again", async () => {
    const front = await router("before", "--id", "router-gpu");
    const node = await agent("now", "quarantined", ...joining(front), "--mock-models", "m");
    await until(async () => (await ask(front, "m")).status === 200, PATIENCE_MS);
    const faults = `http://${node.address("api")}/mock/faults`;
    await fetch(faults, { method: "POST", body: JSON.stringify({ gpu: 0, xid: 79 }) });
    const routable = async (): Promise<boolean> => ((await nodes(front)) as Streamed[])[0]?.routable === true;
    await until(async () => !(await routable()), PATIENCE_MS);
    expect((await ask(front, "m")).status).toBe(503);
    await fetch(faults, { method: "DELETE" });
    await call(node.address("api"), "ClearGpu", {});
    await until(routable, PATIENCE_MS);
    expect((await ask(front, "m")).status).toBe(200);
  });

  test("routers of both versions tell each other what they have in flight", async () => {
    const first = await router("before", "--id", "told-1");
    const second = await router("now", "--id", "told-2", ...joining(first).slice(0, 2));
    const slow = ["--mock-models", "m", "--mock-speed", "0.2"];
    await launch("now", "agent", "--mock", "--id", "told", "--serve", LOOPBACK, ...joining(first), ...slow);
    interface Others extends NodeView {
      readonly othersInFlight: number;
    }
    const both = [first, second] as const;
    for (const one of both) await until(async () => (await streamed(one)).length === 1, PATIENCE_MS);
    for (const [asked, told] of [both, both.toReversed()] as [Started, Started][]) {
      const cancel = new AbortController();
      const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }], max_tokens: 2000 });
      const url = `http://${asked.address("listen")}/v1/chat/completions`;
      const pending = fetch(url, { method: "POST", body, signal: cancel.signal }).catch(() => undefined);
      await until(async () => ((await nodes(told)) as Others[])[0]!.othersInFlight > 0, PATIENCE_MS);
      cancel.abort();
      await pending;
      await until(async () => ((await nodes(told)) as Others[])[0]!.othersInFlight === 0, PATIENCE_MS);
    }
    expect(misgivings(both)).toEqual([]);
  });
});

describe.skipIf(!isThere)("a node with two runtimes, at a router from before there were such", () => {
  const runtimes: ReturnType<typeof startVllmMock>[] = [];
  let told: string[] = [];

  beforeAll(() => {
    if (!isThere) return;
    runtimes.push(startVllmMock("llama"), startVllmMock("qwen"));
    told = runtimes.flatMap(({ port }, at) => ["--runtime", `${["one", "two"][at]}:vllm=http://127.0.0.1:${port}`]);
  });
  afterAll(() => Promise.all(runtimes.map((one) => one.stop())));

  test("serves by the one endpoint that such a router hears of by gossip, and by all at a newer one", async () => {
    const front = await router("before");
    await agent("now", "pair", ...joining(front), ...told);
    await until(async () => (await ask(front, "llama")).status === 200, PATIENCE_MS);
    expect(await ask(front, "llama")).toEqual({ status: 200, node: "pair" });
    // It must not be sent to where the other model is.
    expect((await ask(front, "qwen")).status).toBe(404);
    const newer = await router("now", ...joining(front).slice(0, 2));
    await until(async () => (await ask(newer, "qwen")).status === 200, PATIENCE_MS);
    expect(await ask(newer, "llama")).toEqual({ status: 200, node: "pair/one" });
  });

  test("the same by registration, and the agent says so", async () => {
    const front = await router("before");
    const node = await agent("now", "registers", "--register", `http://${front.address("api")}`, ...told);
    await until(async () => (await ask(front, "llama")).status === 200, PATIENCE_MS);
    expect((await ask(front, "qwen")).status).toBe(404);
    await until(() => misgivings([node]).length > 0, PATIENCE_MS);
    const said = { msg: "registered at router with one endpoint alone", endpoint: "one" };
    expect(misgivings([node])).toMatchObject([said]);
  });
});

interface Status {
  readonly members?: readonly { readonly node: string; readonly role: string }[];
}

describe.skipIf(!isThere)("an upgrade, one process after the other", () => {
  const ids = ["node1", "node2", "node3"];
  const running = new Map<string, { readonly started: Started; readonly args: string[] }>();
  let front: Started;
  const successors: number[] = [];
  const loads: RawLoad[] = [];

  afterEach(() => {
    for (const pid of successors.splice(0)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
  });

  const apiOf = (id: string): string => running.get(id)!.started.address("api");

  async function members(): Promise<string> {
    for (const id of ids) {
      const status = (await call(apiOf(id), "GetStoreStatus", {}).catch(() => undefined)) as Status | undefined;
      const all = status?.members ?? [];
      const voters = all.filter(({ role }) => role === "leader" || role === "follower");
      if (voters.length > 0)
        return voters
          .map(({ node }) => node)
          .toSorted()
          .join();
    }
    return "";
  }

  /** By the first node, as often as it takes while the leader is one that has just ended. */
  async function write(name: string, spec: object): Promise<void> {
    await until(async () => {
      try {
        await call(apiOf(ids[0]!), "SetPolicy", { name, ...spec }, PATIENCE_MS);
        return true;
      } catch (error) {
        if (error instanceof MeshError && error.retryable) return false;
        throw error;
      }
    }, PATIENCE_MS);
  }

  async function policies(id: string): Promise<unknown> {
    return call(apiOf(id), "ListPolicies", {}, PATIENCE_MS);
  }

  /** Ends a node in order and starts it in another version, in its place. */
  async function change(id: string, version: Version): Promise<void> {
    const { started, args } = running.get(id)!;
    expect(await started.stop()).toBe(0);
    running.set(id, { started: await agent(version, id, ...args), args });
    await until(async () => (await streamed(front)).length === ids.length, PATIENCE_MS);
  }

  test("loses no request and no policy, takes changes all the time, and can be taken back", async () => {
    const gossip = new Map<string, number>();
    for (const id of ids) gossip.set(id, freePort());
    for (const [at, id] of ids.entries()) {
      const others = ids.filter((one) => one !== id).flatMap((one) => ["--join", `127.0.0.1:${gossip.get(one)}`]);
      const args = [
        "--mock-models",
        "m",
        "--register",
        "none",
        "--gossip",
        `127.0.0.1:${gossip.get(id)}`,
        ...others,
        "--serve",
        `127.0.0.1:${freePort()}`,
        "--control",
        at === 0 ? "bootstrap" : "join",
        "--control-listen",
        `127.0.0.1:${freePort()}`,
      ];
      running.set(id, { started: await agent("before", id, ...args), args });
    }
    const joins = ids.flatMap((id) => ["--join", `127.0.0.1:${gossip.get(id)}`]);
    front = await router("before", ...joins, "--data-dir", join(bench.dataDir, "router"));
    await until(async () => (await members()) === ids.join(), PATIENCE_MS);
    await until(async () => (await streamed(front)).length === ids.length, PATIENCE_MS);
    await write("tenant:evil/m/*", { acl: { effect: "deny", reason: "unpaid" } });
    await write("acme/m", { quota: { requestsPerSecond: 1000 } });
    const evil = { "x-infermesh-tenant": "evil" };
    await until(async () => (await ask(front, "m", evil)).status === 403, PATIENCE_MS);

    const request = await rawChat(front);
    const port = Number(front.address("listen").split(":").pop());
    loads.push(new RawLoad({ port, clients: 4, request, pauseMs: 5 }));
    const steps: readonly [string, Version][] = [
      ...ids.map((id): [string, Version] => [id, "now"]),
      ["node2", "before"],
    ];
    for (const [at, [id, version]] of steps.entries()) {
      await change(id, version);
      await write(`step${at}/m`, { quota: { requestsPerSecond: 100 + at } });
      await loads[0]!.goOn(20);
      expect((await ask(front, "m", evil)).status).toBe(403);
      const all = await Promise.all(ids.map((one) => policies(one)));
      expect([all[1], all[2]]).toEqual([all[0], all[0]]);
      if (at !== 1) continue;
      // The router in the midst of it: a new process takes its place.
      const url = `http://${front.address("api")}/upgrade`;
      const answer = await fetch(url, { method: "POST", body: JSON.stringify({ executable: EXECUTABLE }) });
      const { pid } = (await answer.json()) as { pid: number };
      expect(answer.status).toBe(200);
      successors.push(pid);
      await loads[0]!.goOn(20);
      await until(async () => (await streamed(front)).length === ids.length, PATIENCE_MS);
    }
    expect(await loads[0]!.end()).toEqual([]);
    expect(await members()).toBe(ids.join());
    const kept = JSON.stringify(await policies("node1"));
    for (const name of ["tenant:evil/m/*", "acme/m", ...steps.map((_, at) => `step${at}/m`)])
      expect(kept).toContain(name);
    await until(async () => (await serving(front, "m")).size === ids.length, PATIENCE_MS);
  });
});
