import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { MeshError } from "../../src/base/errors.ts";
import { compareItems } from "../../src/policy/item.ts";
import { parseEtcdAddress } from "../../src/store/etcd-address.ts";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import { policyModel } from "../linearizability/policy-model.ts";
import { checkHistory } from "../linearizability/wgl.ts";
import { compact, deleteOutside, putOutside } from "./etcd-gateway.ts";
import { EtcdCluster, WITHOUT_ETCD } from "./etcd-server.ts";
import { Watching, storeSuite } from "./store-suite.ts";
import { done, gone, put } from "./store-writes.ts";
import { historyOf } from "./store-history.ts";
import { Relay } from "./tcp-relay.ts";

if (WITHOUT_ETCD !== "") console.log(`> skipped: ${WITHOUT_ETCD}`);
/** For tests that start a server of their own. */
const STARTING_MS = 30_000;
const FAST = ["--heartbeat-interval", "20", "--election-timeout", "200"];

const PIN = { minReplicas: 1 };

/** What stores said, and those that are still open. */
const lines: string[] = [];
const log = {
  info: (message: string, fields?: object) => void lines.push(`${message} ${JSON.stringify(fields ?? {})}`),
  warn: (message: string, fields?: object) => void lines.push(`${message} ${JSON.stringify(fields ?? {})}`),
};

function storeOf(text: string, cluster = "test"): EtcdStore {
  const address = parseEtcdAddress(text);
  if (typeof address === "string") throw new Error(address);
  return new EtcdStore({ address, tls: { verify: true }, cluster, log });
}

if (WITHOUT_ETCD === "") {
  storeSuite("etcd", async () => {
    const etcd = await EtcdCluster.start(1, { flags: FAST });
    const stores = [storeOf(etcd.address), storeOf(etcd.address), storeOf(etcd.address)];
    await Promise.all(stores.map((store) => store.ready()));
    const [store, ...others] = stores;
    return {
      store: store!,
      others,
      async stop() {
        await Promise.all(stores.map((each) => each.stop()));
        await etcd.stop();
      },
    };
  });
}

describe.skipIf(WITHOUT_ETCD !== "")("the store in a single etcd", () => {
  let etcd: EtcdCluster;
  let port = 0;
  const open: EtcdStore[] = [];

  const ready = async (cluster: string, address = etcd.address): Promise<EtcdStore> => {
    const store = storeOf(address, cluster);
    open.push(store);
    await store.ready();
    return store;
  };

  beforeAll(async () => {
    etcd = await EtcdCluster.start(1, { flags: FAST });
    port = etcd.nodes[0]!.port;
  });

  afterAll(async () => {
    await Promise.all(open.map((store) => store.stop()));
    await etcd.stop();
  });

  test("clusters beside each other share nothing, and a new one is told, with the others", async () => {
    const [a, b] = [await ready("a"), await ready("b")];
    expect(lines.filter((line) => line.includes("it is begun")).at(-1)).toMatch(/"\/infermesh\/b\/".*"others":"a"/);
    done(await a.write([put("pin", "m", PIN)]));
    expect(await b.list({ consistent: true })).toEqual({ items: [], revision: 0 });
    expect((await a.status()).cluster).not.toBe((await b.status()).cluster);
    const [said, again] = [lines.length, await ready("a")];
    expect((await again.status()).cluster).toBe((await a.status()).cluster);
    expect(lines.slice(said)).toEqual([]);
    const named = await ready("a", `${etcd.address}/b`);
    expect((await named.status()).cluster).toBe((await b.status()).cluster);
  });

  test("a prefix that holds something else, or a later layout, is refused", async () => {
    await putOutside(port, "/infermesh/wrong/identity", "hello");
    await putOutside(port, "/infermesh/later/identity", JSON.stringify({ layout: 2, cluster: "ab" }));
    for (const [cluster, what] of [
      ["wrong", /\/infermesh\/wrong\/identity is no identity of a mesh: name another cluster/],
      ["later", /says layout 2, and this version knows 1/],
    ] as const) {
      const failure = await ready(cluster).catch((error: unknown) => error as MeshError);
      expect(failure).toMatchObject({ code: "config_invalid", message: expect.stringMatching(what) });
    }
  });

  test("policies that were written by hand are taken, and what is none is told and left out", async () => {
    const store = await ready("hand");
    const watching = new Watching(store, { byHand: true });
    const { revision } = done(await store.write([put("pin", "m", PIN)]));
    const item = { kind: "pin", name: "h", spec: { minReplicas: 3 }, revision: 1, createdRevision: 1, updatedAtMs: 0 };
    await putOutside(port, "/infermesh/hand/policies/pin/h", JSON.stringify(item));
    await watching.until(() => watching.items.has("pin/h"));
    expect((await store.get("pin", "h")).item).toEqual(item as never);
    await putOutside(port, "/infermesh/hand/policies/pin/m", `{"kind":"pin","name":"m","spec":{"replicas":1}}`);
    await watching.until(() => !watching.items.has("pin/m"));
    expect(await store.list({ consistent: true })).toMatchObject({ items: [item], revision });
    expect((await store.status()).alarm).toBe("1 keys in etcd are no policies, such as /infermesh/hand/policies/pin/m");
    expect(lines).toContainEqual(expect.stringMatching(/is no policy .*hand\/policies\/pin\/m.*no such field/));
    // Its place can be written.
    const mended = done(await store.write([put("pin", "m", PIN, 0)]));
    expect(mended).toMatchObject({ revision: revision + 1, changed: true });
    expect((await store.status()).alarm).toBe("");
    await deleteOutside(port, "/infermesh/hand/policies/pin/h");
    await watching.until(() => !watching.items.has("pin/h"));
    watching.stop();
  });

  test("of two that create the same, one does", async () => {
    const store = await ready("race");
    const other = await ready("race");
    for (let i = 0; i < 20; i++) {
      const [mine, theirs] = await Promise.all([
        store.write([put("pin", "x", { minReplicas: i }, 0)]),
        other.write([put("pin", "x", { maxReplicas: i + 1 }, 0)]),
      ]);
      expect(mine.ok).not.toBe(theirs.ok);
      const loser = mine.ok ? theirs : mine;
      expect(loser).toMatchObject({ code: "conflict", current: { name: "x" } });
      done(await other.write([gone("pin", "x")]));
    }
  });

  test("idempotency keys are kept under a lease of more than an hour", async () => {
    const store = await ready("keys");
    done(await store.write([put("pin", "x", PIN)], { key: "my-key" }));
    const body = JSON.stringify({ key: Buffer.from("/infermesh/keys/done/my-key").toString("base64") });
    const range = await fetch(`http://127.0.0.1:${port}/v3/kv/range`, { method: "POST", body });
    const { kvs } = (await range.json()) as { kvs: { lease: string }[] };
    const lease = await fetch(`http://127.0.0.1:${port}/v3/kv/lease/timetolive`, {
      method: "POST",
      body: JSON.stringify({ ID: kvs[0]!.lease }),
    });
    expect(Number(((await lease.json()) as { TTL: string }).TTL)).toBeGreaterThan(4000);
    // An administrator revoked it: the next write has another.
    await fetch(`http://127.0.0.1:${port}/v3/kv/lease/revoke`, {
      method: "POST",
      body: JSON.stringify({ ID: kvs[0]!.lease }),
    });
    expect(done(await store.write([put("pin", "y", PIN)], { key: "other" })).repeated).toBe(false);
  });

  test("whoever is cut off while etcd forgets is reset, and has what there is", async () => {
    const relay = await Relay.start(port);
    const store = await ready("reset", `etcd://127.0.0.1:${relay.port}`);
    const watching = new Watching(store);
    const other = await ready("reset");
    done(await other.write([put("pin", "a", PIN)]));
    await watching.reached(1);
    relay.cut();
    done(await other.write([put("pin", "b", PIN), gone("pin", "a")]));
    const { revision } = done(await other.write([put("pin", "c", PIN)]));
    await compact(port, await putOutside(port, "/elsewhere", "x"));
    relay.mend();
    await watching.reached(revision);
    expect([watching.resets, [...watching.items.keys()]]).toEqual([2, ["pin/b", "pin/c"]]);
    done(await other.write([put("pin", "d", PIN)]));
    await watching.reached(revision + 1);
    expect(watching.resets).toBe(2);
    // A break without forgetting is no reset.
    relay.cut();
    done(await other.write([put("pin", "e", PIN)]));
    relay.mend();
    await watching.reached(revision + 2);
    expect([watching.resets, watching.items.size]).toEqual([2, 4]);
    watching.stop();
    relay.stop();
  });

  test("a write whose answer is lost is not written twice, and its fate is found out", async () => {
    const relay = await Relay.start(port);
    const store = await ready("lost", `etcd://127.0.0.1:${relay.port}`);
    const before = done(await store.write([put("pin", "n", { minReplicas: 0 })], { key: "first" }));
    for (const [i, key] of ["", "keyed"].entries()) {
      // The request goes through; the answer, and all that follows, does not.
      relay.swallowAnswers();
      const writing = store.write([put("pin", "n", { minReplicas: i + 1 })], { key, timeoutMs: 10_000 });
      await relay.swallowed;
      relay.cut();
      relay.mend();
      expect(done(await writing)).toMatchObject({ revision: before.revision + 1 + i, changed: true, repeated: false });
    }
    expect(await store.list({ consistent: true })).toMatchObject({ revision: before.revision + 2 });
    relay.stop();
  });

  test(
    "links that break at any time lose no write, do none twice, and hide none from those who watch",
    async () => {
      const relays = await Promise.all([0, 1, 2].map(() => Relay.start(port)));
      const stores = await Promise.all(relays.map((relay) => ready("links", `etcd://127.0.0.1:${relay.port}`)));
      const watching = stores.map((store) => new Watching(store));
      const [clients, operations] = [6, 40];
      const history = await historyOf(stores, {
        seed: 3,
        clients,
        operations,
        timeoutMs: 10_000,
        before(count) {
          const relay = relays[Math.floor(count / 10) % relays.length]!;
          // Whoever is last has nobody whose progress mends its link.
          if (count > clients * operations - 50) for (const each of relays) each.mend();
          // All that goes through it until it is cut is carried out, and not answered.
          else if (count % 10 === 2) relay.swallowAnswers();
          else if (count % 10 === 6) relay.cut();
          else if (count % 10 === 8) relay.mend();
        },
      });
      expect(history.filter((operation) => operation.return === Infinity)).toEqual([]);
      expect(checkHistory(policyModel, history)).toMatchObject({ verdict: "linearizable" });
      const { items, revision } = await stores[0]!.list({ consistent: true });
      for (const each of watching) {
        await each.reached(revision);
        expect([each.resets, [...each.items.values()].toSorted(compareItems)]).toEqual([1, [...items]]);
        each.stop();
      }
      for (const relay of relays) relay.stop();
    },
    STARTING_MS,
  );

  test("what can't be known is said to be so", async () => {
    const relay = await Relay.start(port);
    const store = await ready("doubt", `etcd://127.0.0.1:${relay.port}`);
    done(await store.write([put("pin", "n", PIN)], { key: "first" }));
    relay.swallowAnswers();
    const writing = store.write([put("pin", "n", { minReplicas: 2 })], { key: "k", timeoutMs: 300 });
    const failure = await writing.catch((error: unknown) => error as MeshError);
    expect(failure).toMatchObject({
      code: "request_timeout",
      message: expect.stringContaining("same idempotency key"),
    });
    relay.cut();
    // Until the store has noticed, what it writes may have been sent, and it can't say what became of it.
    await until(async () => !(await store.status()).writable);
    const refused = await store
      .write([put("pin", "m", PIN)], { timeoutMs: 200 })
      .catch((error: unknown) => error as MeshError);
    expect(refused).toMatchObject({ code: "no_quorum", retryable: true });
    // Reads of what is known go on; consistent ones don't.
    expect((await store.list()).items).toHaveLength(1);
    expect(await store.list({ consistent: true, timeoutMs: 200 }).catch((error: unknown) => error)).toMatchObject({
      code: "no_quorum",
    });
    expect(await store.status()).toMatchObject({
      writable: false,
      alarm: expect.stringContaining("no endpoint of etcd can be reached"),
    });
    relay.mend();
    const again = done(await store.write([put("pin", "n", { minReplicas: 2 })], { key: "k" }));
    expect([again.revision, again.repeated]).toEqual([2, true]);
    relay.stop();
  });

  test(
    "data that was replaced is loaded anew",
    async () => {
      const own = await EtcdCluster.start(1, { flags: FAST });
      const store = await ready("replaced", own.address);
      const watching = new Watching(store);
      done(await store.write([put("pin", "a", PIN)]));
      done(await store.write([put("pin", "b", PIN)]));
      const before = await store.status();
      await own.nodes[0]!.kill();
      own.nodes[0]!.wipe();
      await own.nodes[0]!.restart();
      await until(async () => (await store.status()).cluster !== before.cluster);
      await watching.until(() => watching.items.size === 0);
      expect(done(await store.write([put("pin", "c", PIN)]))).toMatchObject({ revision: 1, changed: true });
      expect((await store.list({ consistent: true })).items).toHaveLength(1);
      watching.stop();
      await store.stop();
      await own.stop();
    },
    STARTING_MS,
  );

  test(
    "data that was put back from a backup is loaded anew",
    async () => {
      const own = await EtcdCluster.start(1, { flags: FAST });
      const [node] = own.nodes;
      const store = await ready("backup", own.address);
      const watching = new Watching(store);
      done(await store.write([put("pin", "a", PIN)]));
      await node!.kill();
      node!.backUp();
      await node!.restart();
      done(await store.write([put("pin", "b", PIN)], { timeoutMs: 10_000 }));
      done(await store.write([put("pin", "c", PIN)]));
      await node!.kill();
      node!.putBack();
      await node!.restart();
      await watching.until(() => watching.items.size === 1);
      expect([[...watching.items.keys()], watching.revision]).toEqual([["pin/a"], 1]);
      expect(done(await store.write([put("pin", "d", PIN)]))).toMatchObject({ revision: 2, changed: true });
      watching.stop();
      await store.stop();
      await own.stop();
    },
    STARTING_MS,
  );

  test(
    "a node starts without etcd, and has the policies once etcd is there",
    async () => {
      const own = await EtcdCluster.start(1, { flags: FAST });
      await own.nodes[0]!.kill();
      const store = storeOf(own.address);
      open.push(store);
      const watching = new Watching(store);
      const failure = await store.ready(200).catch((error: unknown) => error);
      const refused = `127.0.0.1:${own.nodes[0]!.port}: connection refused`;
      expect(failure).toMatchObject({ code: "no_quorum", message: expect.stringContaining(refused) });
      expect(watching.items.size).toBe(0);
      await own.nodes[0]!.restart();
      await store.ready(10_000);
      expect(watching.resets).toBe(2);
      done(await store.write([put("pin", "c", PIN)]));
      watching.stop();
      await store.stop();
      await own.stop();
    },
    STARTING_MS,
  );

  test(
    "a full etcd refuses writes and serves reads",
    async () => {
      const own = await EtcdCluster.start(1, { flags: [...FAST, "--quota-backend-bytes", "1000000"] });
      const store = await ready("full", own.address);
      const nodes = Array.from({ length: 600 }, (_, i) => `${"n".repeat(70)}${i}`);
      let failure: unknown;
      // It weighs its data by what it has brought to disk, ten times a second: more may be written than there is room for.
      for (let i = 0; i < 500 && failure === undefined; i++) {
        await store.write([put("pin", "big", { nodes, minReplicas: i })]).catch((error: unknown) => (failure = error));
      }
      expect(failure).toMatchObject({ code: "store_full", retryable: false });
      expect((await store.get("pin", "big", { consistent: true })).item).not.toBeNull();
      expect(await store.status()).toMatchObject({ writable: false, alarm: expect.stringContaining("out of space") });
      await store.stop();
      await own.stop();
    },
    STARTING_MS,
  );

  test("whoever stops it is told so", async () => {
    const store = await ready("stop");
    const writing = store.write([put("pin", "n", PIN)]).catch((error: unknown) => error);
    await store.stop();
    const ended = await writing;
    if (ended instanceof MeshError) expect(ended.code).toMatch(/draining|request_timeout/);
    expect(await store.write([put("pin", "n", PIN)]).catch((error: unknown) => error)).toMatchObject({
      code: "draining",
    });
  });
});

describe.skipIf(WITHOUT_ETCD !== "")("the store in three members of etcd", () => {
  let etcd: EtcdCluster;
  let stores: EtcdStore[];

  beforeAll(async () => {
    etcd = await EtcdCluster.start(3);
    // Each begins at another endpoint.
    const ports = etcd.nodes.map((node) => node.port);
    const orders = [0, 1, 2].map((first) => [0, 1, 2].map((i) => `127.0.0.1:${ports[(first + i) % 3]}`).join(","));
    stores = orders.map((order) => storeOf(`etcd://${order}`));
    await Promise.all(stores.map((store) => store.ready(10_000)));
  }, STARTING_MS);

  afterAll(async () => {
    await Promise.all(stores.map((store) => store.stop()));
    await etcd.stop();
  });

  test(
    "nothing that was acknowledged is lost when the leader is killed, and all stays linearizable",
    async () => {
      const watching = stores.map((store) => new Watching(store));
      const [before] = await Promise.all(stores.map((store) => store.status()));
      const leader = etcd.nodes.find(({ name }) => name === before!.leader)!;
      const killed: Promise<void>[] = [];
      const history = await historyOf(stores, {
        seed: 2,
        clients: 6,
        operations: 20,
        timeoutMs: 10_000,
        before(count) {
          if (count === 40) killed.push(leader.kill());
        },
      });
      await Promise.all(killed);
      expect(checkHistory(policyModel, history)).toMatchObject({ verdict: "linearizable" });
      const { items, revision } = await stores[0]!.list({ consistent: true });
      for (const each of watching) {
        await each.reached(revision);
        expect([each.resets, [...each.items.values()].toSorted(compareItems)]).toEqual([1, [...items]]);
        each.stop();
      }
      const after = await stores[1]!.status();
      expect(after).toMatchObject({ writable: true, alarm: "", revision, items: items.length });
      expect(after.leader).not.toBe(leader.name);
      expect(after.members.find(({ node }) => node === leader.name)).toMatchObject({
        role: "unknown",
        matchIndex: null,
      });
      await leader.restart();
    },
    STARTING_MS,
  );

  test(
    "a member that hangs is left for another",
    async () => {
      const [store] = stores;
      const status = await store!.status();
      const follower = etcd.nodes.find(({ name, port }) => name !== status.leader && port !== etcd.nodes[0]!.port)!;
      const at = [follower, ...etcd.nodes.filter((node) => node !== follower)].map(({ port }) => `127.0.0.1:${port}`);
      const own = storeOf(`etcd://${at.join(",")}`);
      await own.ready();
      follower.pause();
      try {
        done(await own.write([put("pin", "hung", PIN)], { timeoutMs: 10_000 }));
        expect((await own.get("pin", "hung", { consistent: true })).item).not.toBeNull();
      } finally {
        follower.resume();
        await own.stop();
      }
    },
    STARTING_MS,
  );

  test(
    "without a majority writes and consistent reads are refused, and what is known is served",
    async () => {
      const [store] = stores;
      const { items } = await store!.list({ consistent: true });
      const down = etcd.nodes.slice(1);
      await Promise.all(down.map((node) => node.kill()));
      // The member left finds out that it has no leader.
      await until(async () => (await store!.status()).leader === "");
      const failure = await store!.write([put("pin", "no", PIN)], { timeoutMs: 300 }).catch((error: unknown) => error);
      expect(failure).toMatchObject({
        code: "no_quorum",
        retryable: true,
        message: expect.stringContaining("no leader"),
      });
      const reading = store!.list({ consistent: true, timeoutMs: 300 }).catch((error: unknown) => error);
      expect(await reading).toMatchObject({ code: "no_quorum" });
      expect((await store!.list()).items).toEqual(items);
      expect(await store!.status()).toMatchObject({ writable: false, alarm: expect.stringContaining("no leader") });
      await Promise.all(down.map((node) => node.restart()));
      done(await store!.write([put("pin", "yes", PIN)], { timeoutMs: 10_000 }));
      expect((await stores[2]!.get("pin", "no", { consistent: true })).item).toBeNull();
    },
    STARTING_MS,
  );
});

async function until(isIt: () => Promise<boolean>): Promise<void> {
  while (!(await isIt())) await Bun.sleep(20);
}
