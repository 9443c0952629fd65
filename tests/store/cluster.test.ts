/** The embedded engine over real sockets and disks: one control node, three, followers, and what happens to them. */
import { afterEach, describe, expect, test } from "bun:test";
import type { Change, Item } from "../../src/policy/item.ts";
import type { Outcome } from "../../src/policy/outcome.ts";
import type { PolicyStore } from "../../src/store/policy-store.ts";
import { Cluster, until } from "./cluster.ts";

let cluster = new Cluster();
afterEach(async () => {
  await cluster.end();
  cluster = new Cluster();
});

function pin(store: PolicyStore, name: string, nodes: readonly string[] = ["a"]): Promise<Outcome> {
  return store.write([{ put: { kind: "pin", name, spec: { nodes } } }]);
}

async function names(store: PolicyStore, consistent = true): Promise<string[]> {
  return (await store.list({ kind: "pin", consistent })).items.map(({ name }) => name);
}

describe("one control node", () => {
  test("keeps what was written across a restart", async () => {
    const { host } = await cluster.open("n1", "bootstrap");
    expect(await pin(host, "m1")).toMatchObject({ ok: true, revision: 1, changed: true });
    expect(await host.status()).toMatchObject({
      engine: "embedded",
      writable: true,
      leader: "n1",
      revision: 1,
      items: 1,
    });
    await cluster.close("n1");
    const again = await cluster.open("n1", "auto");
    expect(await names(again.host)).toEqual(["m1"]);
    expect(await pin(again.host, "m2")).toMatchObject({ ok: true, revision: 2 });
  });

  test("is made by an agent that is alone, and by nobody else unasked", async () => {
    const alone = await cluster.open("n1", "auto", { isAlone: true });
    expect(alone.host.isControlNode).toBe(true);
    const second = await cluster.open("n2", "auto", { isAlone: true });
    expect(second.host.isControlNode).toBe(false);
    const third = await cluster.open("n3", "off");
    expect([third.host.isControlNode, third.host.address]).toEqual([false, ""]);
  });

  test("that bootstrapped itself unasked gives way to another cluster while nothing is written in it", async () => {
    const asked = await cluster.open("n1", "bootstrap");
    await pin(asked.host, "m");
    const lone = await cluster.open("n2", "auto", { isAlone: true, peers: () => [] });
    expect(lone.host.isControlNode).toBe(true);
    await cluster.close("n2");
    // It is back, and now it hears of the others, as when two meshes meet.
    let peers: string[] = [];
    const again = await cluster.open("n4", "auto", { isAlone: true, peers: () => peers });
    expect(again.host.isControlNode).toBe(true);
    peers = [asked.announced()];
    await until(() => !again.host.isControlNode, "the lone node to give way");
    await until(async () => (await names(again.host, false)).includes("m"), "the other's policies");
  });
});

describe("a follower", () => {
  test("has all that is there, hears of each change once, and writes by a control node", async () => {
    const { host } = await cluster.open("n1", "bootstrap");
    await pin(host, "before");
    const follower = await cluster.open("f", "off");
    const told: (readonly Item[] | readonly Change[])[] = [];
    follower.host.watch({
      reset: (items) => void told.push(items),
      changed: (changes) => void told.push(changes),
    });
    await until(async () => (await names(follower.host, false)).length === 1, "the copy");
    told.splice(0);
    expect(await pin(follower.host, "after")).toMatchObject({ ok: true, revision: 2 });
    expect(await names(follower.host)).toEqual(["after", "before"]);
    await until(() => told.length > 0, "the change");
    expect(told).toMatchObject([[{ item: { kind: "pin", name: "after", revision: 2 } }]]);
    expect(await follower.host.status()).toMatchObject({ engine: "follower", writable: true, leader: "n1" });
  });

  test("without a control node keeps what it knows, across a restart too, and says clearly that nothing can be written", async () => {
    const { host } = await cluster.open("n1", "bootstrap");
    await pin(host, "m");
    const follower = await cluster.open("f", "off");
    await until(async () => (await names(follower.host, false)).length === 1, "the copy");
    await cluster.close("n1");
    expect(await names(follower.host, false)).toEqual(["m"]);
    const refused = follower.host.write([{ delete: { kind: "pin", name: "m" } }], { timeoutMs: 300 });
    expect(refused).rejects.toMatchObject({ code: "no_quorum", retryable: true });
    await refused.catch(() => {});
    await cluster.close("f");
    const again = await cluster.open("f", "off");
    expect(await names(again.host, false)).toEqual(["m"]);
    expect(await again.host.status()).toMatchObject({ writable: false, items: 1 });
  });
});

describe("three control nodes", () => {
  test("agree, wherever one writes, and go on without the leader", async () => {
    const nodes = await cluster.form(3);
    for (const [at, { host }] of nodes.entries()) expect(await pin(host, `m${at}`)).toMatchObject({ ok: true });
    for (const { host } of nodes) expect(await names(host)).toEqual(["m0", "m1", "m2"]);
    const leader = await cluster.leader();
    await cluster.close(leader.name);
    const rest = nodes.filter(({ name }) => name !== leader.name);
    expect(await pin(rest[0]!.host, "m3")).toMatchObject({ ok: true, revision: 4 });
    for (const { host } of rest) expect(await names(host)).toEqual(["m0", "m1", "m2", "m3"]);
    // Back again, it catches up.
    const again = await cluster.open(leader.name, "join");
    expect(await names(again.host)).toEqual(["m0", "m1", "m2", "m3"]);
  });

  test("without a majority refuse writes as retryable, keep what they know, and go on when it is back", async () => {
    const nodes = await cluster.form(3);
    await pin(nodes[0]!.host, "m");
    await until(async () => (await names(nodes[2]!.host, false)).length === 1, "the write everywhere");
    await cluster.close("n1");
    await cluster.close("n2");
    const rest = nodes[2]!.host;
    const refused = rest.write([{ delete: { kind: "pin", name: "m" } }], { timeoutMs: 1500 });
    const error = await refused.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ retryable: true });
    expect(await names(rest, false)).toEqual(["m"]);
    await cluster.open("n2", "join");
    expect(await pin(rest, "m2")).toMatchObject({ ok: true });
  });

  test("are taken out and in by name; one that was taken out follows, and the number of voters stays odd", async () => {
    const [first] = await cluster.form(3);
    await pin(first!.host, "m");
    const leader = await cluster.leader();
    const other = ["n1", "n2", "n3"].find((name) => name !== leader.name)!;
    await first!.host.changeMembers({ remove: other }, 10_000);
    await until(() => !cluster.nodes.get(other)!.host.isControlNode, "the node to follow");
    const roles = async (): Promise<string[]> => (await leader.host.status()).members.map(({ role }) => role).sort();
    await until(async () => (await roles()).join() === "leader,learner", "one voter and one learner");
    const gone = cluster.nodes.get(other)!;
    await until(async () => (await names(gone.host, false)).includes("m"), "what it follows");
    await first!.host.changeMembers({ add: other, address: gone.host.address }, 10_000);
    await until(async () => (await roles()).join() === "follower,follower,leader", "three voters");
    expect(await pin(gone.host, "m2")).toMatchObject({ ok: true });
    const unknown = first!.host.changeMembers({ remove: "nobody" }, 1000);
    expect(unknown).rejects.toMatchObject({ code: "not_found" });
    await unknown.catch(() => {});
  });

  test("hand leadership over when asked to", async () => {
    const nodes = await cluster.form(3);
    const leader = await cluster.leader();
    const next = nodes.find(({ name }) => name !== leader.name)!;
    await leader.host.changeMembers({ transferTo: next.name }, 5000);
    await until(async () => (await next.host.status()).leader === next.name, "the new leader");
    expect(await pin(leader.host, "m")).toMatchObject({ ok: true });
  });
});

test("policies are saved and restored, into another cluster too; a damaged file is refused", async () => {
  const { host } = await cluster.open("n1", "bootstrap");
  await pin(host, "m1");
  await pin(host, "m2");
  const saved = await host.save(2000);
  await host.write([{ delete: { kind: "pin", name: "m1" } }]);
  await pin(host, "m3");
  expect(await host.restore(saved, 2000)).toMatchObject({ ok: true });
  expect(await names(host)).toEqual(["m1", "m2"]);
  const bent = saved.slice();
  bent[bent.length - 5]! ^= 1;
  const refused = host.restore(bent, 2000);
  expect(refused).rejects.toMatchObject({ code: "bad_request" });
  await refused.catch(() => {});
});

test("control nodes that were all restarted elsewhere find each other by the mesh", async () => {
  const nodes = await cluster.form(3);
  await pin(nodes[0]!.host, "m");
  for (const { name } of nodes) await cluster.close(name);
  const again = [];
  for (const { name } of nodes) again.push(await cluster.open(name, "auto"));
  for (const { host } of again) expect(await names(host)).toEqual(["m"]);
  expect(await pin(again[1]!.host, "m2")).toMatchObject({ ok: true });
});
