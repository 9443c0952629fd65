/** The policies in a router: from a store through the main thread to real workers, rows of the score table and back. */
import { afterEach, describe, expect, test } from "bun:test";
import { MeshError } from "../src/base/errors.ts";
import { defaultsOf } from "../src/base/settings-reading.ts";
import type { Target } from "../src/fleet/target.ts";
import { flowSettings } from "../src/flow/settings.ts";
import { WorkerStats } from "../src/obs/worker-stats.ts";
import { watchNode } from "../src/node-order.ts";
import { Policies, type PoliciesOptions } from "../src/policies.ts";
import type { Put } from "../src/policy/write.ts";
import { Crew, indexesFor } from "../src/proxy/crew.ts";
import { Placement } from "../src/proxy/placement.ts";
import { proxySettings } from "../src/proxy/settings.ts";
import { costSettings } from "../src/score/cost.ts";
import { ScoreTable } from "../src/score/table.ts";
import { apiSettings } from "../src/wire/api-access.ts";
import { modelSample, nodeSample, targetOf } from "./fleet/samples.ts";
import { FakeStore } from "./fake-store.ts";
import { CLOSE, CONTENT, ask, fixtures, ok, post, statusOf, until } from "./proxy/harness.ts";

const { upstream } = fixtures();
const WORKERS = 2;
const SIZES = { targetsMax: 64, modelsMax: 4, workersMax: indexesFor(WORKERS) };

const deny = (name: string): Put => ({ kind: "acl", name, spec: { effect: "deny" } });
const chat = (tenant = ""): string =>
  post('{"messages":[],"model":"m"}', (tenant === "" ? "" : `x-infermesh-tenant: ${tenant}\r\n`) + CLOSE);

const target = (id: string, port: number, change: Partial<Target> = {}): Target => targetOf(id, { port, ...change });

const quiet: PoliciesOptions["log"] = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  configure() {},
} as unknown as PoliciesOptions["log"];

/** The main thread's part, without workers. */
class Main {
  readonly table = ScoreTable.create(SIZES);
  readonly stats = WorkerStats.create(SIZES);
  readonly placement = new Placement(this.table, this.stats, defaultsOf(costSettings));
  readonly nodes = new Map<string, Target>();
  readonly events: { readonly type: string; readonly id: string }[] = [];
  readonly loads: string[] = [];
  readonly store = new FakeStore();
  crew: Crew | null = null;
  readonly standing = { id: "router-1", node: null, routers: 1, hasControlNodes: true };
  readonly policies = new Policies({
    config: { score: defaultsOf(costSettings), workers: WORKERS },
    placement: this.placement,
    targets: { all: () => [...this.nodes.values()], get: (id: string) => this.nodes.get(id) },
    log: quiet,
    crew: () => this.crew,
    standing: this.standing,
    journal: { tell: (event) => void this.events.push(event) },
    models: {
      load: ({ node, model, revision }) => {
        this.loads.push(`${node} ${model} ${revision}`);
        return Promise.reject(new MeshError("not_supported", "the runtime can't"));
      },
    },
  });

  set(...targets: Target[]): void {
    for (const one of targets) this.nodes.set(one.id, one);
    const ids = targets.map(({ id }) => id);
    const routes = this.placement.sync(ids, (id) => this.nodes.get(id), performance.now(), 1);
    if (routes === null) return;
    if (this.crew === null) this.placement.routed(routes.version, [...this.nodes.values()], 0);
    else this.crew.setRoutes(routes);
  }

  async start(): Promise<Crew> {
    this.crew = await Crew.start(
      {
        entry: new URL("../src/proxy/worker.ts", import.meta.url),
        listen: { host: "127.0.0.1", port: 0 },
        workers: WORKERS,
        settings: {
          maxBodyBytes: 4096,
          allowRegister: false,
          proxy: defaultsOf(proxySettings),
          flow: defaultsOf(flowSettings),
          paths: defaultsOf(apiSettings),
          ...CONTENT,
        },
        tls: null,
        upstreamTls: { verify: true },
        table: this.table,
        stats: this.stats,
        policies: this.policies,
        control: () => Promise.resolve({ status: 500, body: "{}" }),
        routed: (version) => this.placement.routed(version, [...this.nodes.values()], performance.now()),
        restarted: () => {},
        failed(error) {
          throw error;
        },
      },
      this.placement.snapshot(),
    );
    await this.crew.settled();
    return this.crew;
  }
}

const opened: Main[] = [];
afterEach(async () => {
  for (const { policies, crew } of opened.splice(0)) {
    policies.stop();
    await crew?.drain(500);
  }
});

function main(): Main {
  const made = new Main();
  opened.push(made);
  return made;
}

/** The statuses of requests that reach every worker. */
async function statuses(port: number, tenant: string, count = 12): Promise<Set<number>> {
  return new Set((await Promise.all(Array.from({ length: count }, () => ask(port, chat(tenant))))).map(statusOf));
}

describe("a router with workers", () => {
  test("obeys what the store says, at once, in every worker, and in those that start later", async () => {
    const one = main();
    one.store.put(deny("tenant:acme/m/*"));
    one.policies.watch(one.store);
    one.set(target("a", upstream(ok).port));
    const { port } = await one.start();
    expect(await statuses(port, "acme")).toEqual(new Set([403]));
    expect(await statuses(port, "other")).toEqual(new Set([200]));
    one.store.put(deny("tenant:other/m/*"));
    await until(async () => !(await statuses(port, "other")).has(200));
    one.crew!.crash(0);
    one.crew!.crash(1);
    await until(() => one.crew!.restarts === 2);
    expect(await statuses(port, "acme")).toEqual(new Set([403]));
    one.store.write(
      { delete: { kind: "acl", name: "tenant:acme/m/*" } },
      { delete: { kind: "acl", name: "tenant:other/m/*" } },
    );
    await until(async () => !(await statuses(port, "acme")).has(403));
    expect(one.stats.count("denied")).toBeGreaterThan(30);
  });

  test("moves requests by pins and out of nodes that are cordoned, without a restart", async () => {
    const ups = [upstream(ok), upstream(ok)] as const;
    const one = main();
    one.policies.watch(one.store);
    one.set(target("a", ups[0].port), target("b", ups[1].port));
    const { port } = await one.start();
    const got = async (): Promise<boolean[]> => {
      const before = ups.map(({ requests }) => requests.length);
      expect(await statuses(port, "", 16)).toEqual(new Set([200]));
      return ups.map(({ requests }, index) => requests.length > before[index]!);
    };
    expect(await got()).toEqual([true, true]);
    one.store.put({ kind: "pin", name: "m", spec: { nodes: ["b"] } });
    expect(await got()).toEqual([false, true]);
    one.store.put({ kind: "node", name: "b", spec: { draining: true } });
    const text = await ask(port, chat());
    expect(statusOf(text)).toBe(503);
    expect(text).toContain("the policy pin/m allows only b");
    one.store.write({ delete: { kind: "pin", name: "m" } });
    expect(await got()).toEqual([true, false]);
    one.store.write({ delete: { kind: "node", name: "b" } });
    expect(await got()).toEqual([true, true]);
  });

  test("keeps all workers together within a quota, also when one dies and while nobody answers", async () => {
    const up = upstream(ok);
    const one = main();
    one.store.put({ kind: "quota", name: "acme/*", spec: { requestsPerSecond: 40 } });
    one.policies.watch(one.store);
    one.set(target("a", up.port));
    const { port } = await one.start();
    const AT_ONCE = 8;
    const served: number[] = [];
    const goOn = async (ms: number): Promise<void> => {
      const end = performance.now() + ms;
      while (performance.now() < end) {
        const texts = await Promise.all(Array.from({ length: AT_ONCE }, () => ask(port, chat("acme"))));
        for (const text of texts) if (statusOf(text) === 200) served.push(performance.now());
      }
    };
    await goOn(1600);
    one.crew!.crash(0);
    await until(() => one.crew!.restarts === 1);
    await goOn(1100);
    one.store.hasQuorum = false;
    await goOn(1100);
    const most = Math.max(...served.map((from) => served.filter((at) => at >= from && at < from + 1000).length));
    // A worker that is new spends a start that nobody has granted yet, at most one lease; and answers come later than
    // what they answer was let pass.
    expect(most).toBeLessThanOrEqual(40 + 20 + AT_ONCE);
    expect(served.length).toBeGreaterThan(20);
    const { overQuota, leases, leaseAgeSeconds } = one.policies.figures();
    expect(overQuota.get("acme/*")).toBeGreaterThan(10);
    expect(leases.failed).toBeGreaterThan(0);
    expect(leases.grants).toBeGreaterThan(2);
    expect(leaseAgeSeconds).toBeGreaterThan(0.5);
    const holders = new Set(one.store.asked.flat().map(({ holder }) => holder));
    expect(holders.size).toBe(3);
    for (const holder of holders) expect(holder).toMatch(/^router-1\/[0-9a-f]{8}\/\d+$/);
  }, 15_000);
});

test("a router that comes to a mesh begins with as much of a quota as all its routers leave it", async () => {
  const up = upstream(ok);
  const one = main();
  one.set(target("a", up.port));
  const { port } = await one.start();
  one.store.hasQuorum = false;
  one.policies.watch(one.store);
  for (const name of ["acme/*", "beta/*"]) one.store.put({ kind: "quota", name, spec: { requestsPerSecond: 800 } });
  // The mesh is entered behind the workers' start.
  one.standing.routers = 200;
  await one.policies.caughtUp(1);
  await until(async () => statusOf(await ask(port, chat("acme"))) === 429);
  const passed = async (who: string): Promise<number> => {
    const texts = await Promise.all(Array.from({ length: 30 }, () => ask(port, chat(who))));
    return texts.filter((text) => statusOf(text) === 200).length;
  };
  expect(await passed("beta")).toBeLessThanOrEqual(WORKERS);
  // Routers that are out of sight may be there all the same.
  one.standing.routers = 1;
  one.policies.upkeep(performance.now());
  one.store.put({ kind: "quota", name: "gamma/*", spec: { requestsPerSecond: 800 } });
  await until(async () => statusOf(await ask(port, chat("gamma"))) === 429);
});

describe("the main thread", () => {
  const event = (type: string, id: string) => expect.objectContaining({ type, id }) as Main["events"][number];

  test("tells of models that lack replicas, once, and asks nodes to load them", () => {
    const one = main();
    one.policies.watch(one.store);
    one.set(target("a", 1), target("b", 1, { models: [] }), target("c", 1, { models: [], labels: { gpu: "l4" } }));
    one.set(target("d", 1, { models: [], state: "unhealthy" }));
    one.store.put({ kind: "pin", name: "m", spec: { nodes: ["a", "b", "d"], minReplicas: 2, revision: "r7" } });
    one.policies.upkeep(10_000);
    one.policies.upkeep(10_100);
    one.policies.upkeep(14_000);
    expect(one.events).toEqual([event("model.short", "m")]);
    expect(one.policies.short).toEqual([{ model: "m", replicas: 1, wanted: 2 }]);
    expect(one.loads).toEqual(["b m r7"]);
    one.policies.upkeep(80_000);
    expect(one.loads).toEqual(["b m r7", "b m r7"]);
    one.set(target("b", 1));
    one.policies.upkeep(90_000);
    expect(one.events.at(-1)).toEqual(event("model.met", "m"));
    expect(one.policies.short).toEqual([]);
    expect(one.loads).toHaveLength(2);
  });

  test("recommends replicas by the load that nodes tell of", () => {
    const one = main();
    const loaded = (kvUsage: number): Partial<Target> => ({
      lastSample: nodeSample({ models: [modelSample({ kvUsage })] }),
      sampledAtMs: 0,
    });
    one.policies.watch(one.store);
    one.set(target("a", 1, loaded(0.9)), target("b", 1, loaded(0.7)));
    const metric = { metric: "kv-usage", value: 0.4 } as const;
    one.store.put({ kind: "scaling", name: "m", spec: { minReplicas: 1, maxReplicas: 8, target: metric } });
    one.policies.upkeep(10_000);
    expect(one.policies.recommendations).toEqual([expect.objectContaining({ model: "m", replicas: 2, wanted: 4 })]);
    expect(one.events).toEqual([event("model.scaling", "m")]);
    one.policies.upkeep(20_000);
    expect(one.events).toHaveLength(1);
    // One that gets no requests is no replica, whatever it has loaded.
    one.store.put({ kind: "node", name: "b", spec: { cordoned: true } });
    one.policies.upkeep(25_000);
    expect(one.policies.recommendations).toMatchObject([{ replicas: 1 }]);
    one.store.write({ delete: { kind: "scaling", name: "m" } });
    one.policies.upkeep(30_000);
    expect(one.policies.recommendations).toEqual([]);
  });

  test("waits at its start for what the control nodes have, and for nothing if they can't be asked", async () => {
    const one = main();
    one.store.put(deny("*/m/infer"), { kind: "node", name: "a", spec: { cordoned: true } });
    const late: (() => void)[] = [];
    one.policies.watch({
      list: () => one.store.list(),
      lease: (wants) => one.store.lease(wants),
      watch(watcher) {
        watcher.reset([], 0);
        late.push(() => watcher.reset(one.store.machine.list(), one.store.machine.revision));
        return () => {};
      },
    });
    let isCaughtUp = false;
    const caughtUp = one.policies.caughtUp(30_000).then(() => (isCaughtUp = true));
    await Bun.sleep(30);
    expect(isCaughtUp).toBe(false);
    late[0]!();
    await caughtUp;
    expect(one.policies.figures().revision).toBe(1);
    one.store.put(deny("*/n/infer"));
    await one.policies.caughtUp(20);
    one.store.hasQuorum = false;
    await one.policies.caughtUp(30_000);
  });

  test("goes on with another store as that one says, and has figures from the first", () => {
    const one = main();
    expect(one.policies.figures().revision).toBeUndefined();
    one.set(target("a", 1), target("b", 1));
    one.policies.watch(one.store);
    one.store.put({ kind: "node", name: "a", spec: { cordoned: true } });
    const serving = (): string[] => {
      const all = one.placement.serving((id) => one.nodes.get(id));
      return (all.get("m") ?? []).map(({ id }) => id);
    };
    expect(serving()).toEqual(["b"]);
    const other = new FakeStore();
    one.policies.watch(other);
    expect(serving()).toEqual(["a", "b"]);
    one.store.put({ kind: "node", name: "b", spec: { cordoned: true } });
    expect(serving()).toEqual(["a", "b"]);
    other.put(deny("*/m/infer"), { kind: "node", name: "b", spec: { draining: true } });
    expect(serving()).toEqual(["a"]);
    const { revision, items } = one.policies.figures();
    expect([revision, [...items]]).toEqual([
      1,
      [
        ["acl", 1],
        ["node", 1],
      ],
    ]);
    expect(one.policies.all().items.map(({ kind }) => kind)).toEqual(["acl"]);
  });
});

test("a node hears what is decided of it alone", () => {
  const store = new FakeStore();
  store.put({ kind: "node", name: "b", spec: { draining: true } });
  const heard: unknown[] = [];
  const end = watchNode(store, "a", (order) => heard.push(order));
  store.put({ kind: "node", name: "a", spec: { draining: true, reason: "new fans" } });
  store.put(deny("*/m/infer"));
  store.put({ kind: "node", name: "a", spec: { cordoned: true } });
  store.write({ delete: { kind: "node", name: "a" } });
  end();
  store.put({ kind: "node", name: "a", spec: { draining: true } });
  expect(heard).toEqual([
    { isCordoned: false, isDraining: false, reason: "" },
    { isCordoned: true, isDraining: true, reason: "new fans" },
    { isCordoned: true, isDraining: false, reason: "" },
    { isCordoned: false, isDraining: false, reason: "" },
  ]);
});
