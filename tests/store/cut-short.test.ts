/** What is left when a step is cut short, comes late or comes from the wrong one: seats, files, removals, two clusters. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../../src/base/errors.ts";
import type { Incoming } from "../../src/store/calls.ts";
import { Feed } from "../../src/store/feed.ts";
import { openLog } from "../../src/store/log.ts";
import type { PolicyStore } from "../../src/store/policy-store.ts";
import type { RaftNode } from "../../src/store/raft-node.ts";
import { StoreFiles } from "../../src/store/store-files.ts";
import { Tries } from "../../src/store/tries.ts";
import { Ways } from "../../src/store/ways.ts";
import { Cluster, LOG_ENTRY, type Node, until } from "./cluster.ts";

let cluster = new Cluster();
const ends: (() => void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) end();
  await cluster.end();
  cluster = new Cluster();
});

async function pin(store: PolicyStore, name: string, timeoutMs = 5000): Promise<unknown> {
  return store.write([{ put: { kind: "pin", name, spec: { nodes: ["a"] } } }], { timeoutMs });
}

async function names(store: PolicyStore, consistent = true): Promise<string[]> {
  return (await store.list({ kind: "pin", consistent })).items.map(({ name }) => name);
}

function failure(asked: Promise<unknown>): Promise<{ readonly code: string; readonly message: string }> {
  return asked.then(
    () => ({ code: "answered", message: "" }),
    (error: unknown) => error as MeshError,
  );
}

/** The code of what it rejects with. */
async function code(asked: Promise<unknown>): Promise<string> {
  return (await failure(asked)).code;
}

/** Asks a node as another one that has the store of that cluster, or none. */
function asker(node: string, storeId = ""): Ways {
  const identity = { cluster: "mesh", node, storeId: () => storeId, keys: () => [] };
  const handlers = { message() {}, call: () => Promise.reject(new MeshError("not_supported", "nothing here")) };
  const ways = new Ways({ identity, handlers, onBroken() {} });
  ends.push(() => ways.stop());
  return ways;
}

async function roles({ host }: Node): Promise<string> {
  const { members } = await host.status();
  return members
    .map(({ role }) => role)
    .sort()
    .join();
}

describe("what another node may ask", () => {
  test("of the members only a member", async () => {
    const { host, announced } = await cluster.open("n1", "bootstrap");
    await pin(host, "m");
    const stranger = asker("x");
    const at = announced();
    const seat = { op: "seat", member: 7, node: "x", address: "127.0.0.1:1" };
    const asked: [string, object][] = [
      ["submit", { command: seat, timeoutMs: 500 }],
      ["submit", { command: { op: "write", key: "k", writes: [] }, timeoutMs: 500 }],
      ["submit-any", { command: seat, timeoutMs: 500 }],
      ["submit-any", { command: { op: "unseat", member: 7 }, timeoutMs: 500 }],
      ["members", { change: { remove: "n1" }, timeoutMs: 500 }],
      ["join", { member: 7, node: "x", address: "127.0.0.1:1", timeoutMs: 500 }],
      ["join-any", { member: 7, node: "x", address: "127.0.0.1:1", timeoutMs: 500 }],
      ["report", { member: 7, address: "127.0.0.1:1" }],
    ];
    for (const [method, body] of asked) {
      expect([method, await code(stranger.ask(at, method, body, { timeoutMs: 2000 }))]).toEqual([method, "forbidden"]);
    }
    expect(await code(stranger.ask(at, "invite", { addresses: [] }))).toBe("forbidden");
  });

  test("whatever it says, no member leaves by hearsay, and nothing it sends ends the node", async () => {
    const { host, announced } = await cluster.open("n1", "bootstrap");
    const { cluster: id, members } = await host.status();
    const member = asker("x", id);
    const bodies = [null, 7, "x", [], {}, { timeoutMs: -1 }, { timeoutMs: 5, command: {}, change: {}, member: 1 }];
    const methods = ["submit", "submit-any", "members", "members-any", "join", "join-any", "list", "status", "report"];
    for (const method of [...methods, "about", "invite", "taken-out", "nothing"]) {
      for (const body of bodies) expect(await code(member.ask(announced(), method, body))).not.toBe("upstream_failed");
    }
    const own = Number.parseInt(members[0]!.member, 16);
    await member.ask(announced(), "taken-out", { member: own });
    await pin(host, "m");
    expect([host.isControlNode, await names(host)]).toEqual([true, ["m"]]);
    // One that takes no part hears so, from a leader that is sure of it.
    expect(await member.ask(announced(), "report", { member: 7, address: "127.0.0.1:1" })).toEqual({ isMember: false });
    expect(await member.ask(announced(), "report", { member: own, address: "127.0.0.1:1" })).toEqual({
      isMember: true,
    });
  });
});

describe("members", () => {
  test("a leader that is taken out hands over first, and comes back by name", async () => {
    await cluster.form(3);
    const leader = await cluster.leader();
    const others = [...cluster.nodes.values()].filter((node) => node !== leader);
    await leader.host.changeMembers({ remove: leader.name }, 10_000);
    await until(() => !leader.host.isControlNode, "the former leader to follow");
    await until(async () => (await roles(others[0]!)) === "leader,learner", "the others");
    await pin(leader.host, "m");
    await others[0]!.host.changeMembers({ add: leader.name, address: leader.host.address }, 10_000);
    await until(async () => (await roles(others[0]!)) === "follower,follower,leader", "three voters");
    expect(await names(leader.host)).toEqual(["m"]);
  });

  test("a seat that an admission has left behind is in nobody's way", async () => {
    const { host, announced } = await cluster.open("n1", "bootstrap");
    await pin(host, "m");
    const { cluster: id } = await host.status();
    const member = asker("n2", id);
    for (const [number, node] of [
      [7, "n2"],
      [8, "gone"],
    ] as const) {
      const command = { op: "seat", member: number, node, address: "127.0.0.1:1" };
      await member.ask(announced(), "submit", { command, timeoutMs: 2000 });
    }
    await host.changeMembers({ remove: "gone" }, 2000);
    expect(await code(host.changeMembers({ remove: "gone" }, 2000))).toBe("not_found");
    await cluster.open("n2", "join");
    await until(async () => (await roles(cluster.nodes.get("n1")!)) === "leader,learner", "the newcomer");
  });

  test("one that can't be reached is not invited in vain for long, and the error says which", async () => {
    const { host } = await cluster.open("n1", "bootstrap");
    const failed = await failure(host.changeMembers({ add: "n9", address: "127.0.0.1:1" }, 5000));
    expect(failed.code).toBe("not_found");
    expect(failed.message).toContain("n9 can't be asked to become a control node");
  });

  test("one that was taken out begins no cluster of its own at its next start, whatever its flags say", async () => {
    await cluster.form(3);
    await cluster.leader();
    await cluster.nodes.get("n2")!.host.changeMembers({ remove: "n1" }, 10_000);
    await until(() => !cluster.nodes.get("n1")!.host.isControlNode, "n1 to follow");
    await cluster.close("n1");
    const again = await cluster.open("n1", "bootstrap", { isAlone: true, peers: () => [] });
    expect(again.host.isControlNode).toBe(false);
    expect(again.lines.join("\n")).toContain("begins none of its own");
  });
});

describe("files", () => {
  const path = (name: string): string => join(cluster.dir, `control-${name}.sqlite`);

  test("of a cluster that was not begun to the end are begun anew", async () => {
    new StoreFiles(path("n1")).doubt();
    const log = await openLog(path("n1"), { clusterId: "0".repeat(32), member: 7 }, LOG_ENTRY);
    await log!.close();
    const { host } = await cluster.open("n1", "bootstrap");
    await pin(host, "m");
    expect((await host.status()).cluster).not.toBe("0".repeat(32));
    await cluster.close("n1");
    expect(await names((await cluster.open("n1", "auto")).host)).toEqual(["m"]);
  });

  test("of a store that was put away in part are put away whole", async () => {
    const { host } = await cluster.open("n1", "bootstrap");
    await pin(host, "m");
    await cluster.close("n1");
    const files = new StoreFiles(path("n1"));
    files.putAside("removed");
    const aside = files.removed;
    // As if it had been killed after the first of them.
    renameSync(`${aside}-mark`, `${path("n1")}-mark`);
    await Bun.write(`${path("n1")}-fate`, aside.split("/").at(-1)!);
    const again = await cluster.open("n1", "auto");
    expect(again.host.isControlNode).toBe(false);
    expect([existsSync(`${aside}-mark`), existsSync(`${path("n1")}-mark`)]).toEqual([true, false]);
    expect(readdirSync(cluster.dir).filter((name) => name.includes("fate"))).toEqual([]);
    const kept = await openLog(aside, undefined, LOG_ENTRY);
    expect(kept!.contents.entries.length).toBeGreaterThan(1);
    await kept!.close();
  });
});

describe("two control clusters", () => {
  test("in one mesh are warned of, and neither hears the other", async () => {
    const one = await cluster.open("n1", "bootstrap");
    const other = await cluster.open("n2", "bootstrap");
    await pin(one.host, "m1");
    await pin(other.host, "m2");
    await until(() => one.lines.join().includes("two control clusters"), "the warning");
    const [id, foreign] = [(await one.host.status()).cluster, (await other.host.status()).cluster];
    const { message } = await failure(asker("x", foreign).ask(one.announced(), "status", {}));
    expect(message).toContain(`this node's store is of the control cluster ${id}, not ${foreign}`);
  });

  test("a follower stays with its own: what it knows stays in force, and nothing is written to the other", async () => {
    const { host } = await cluster.open("n1", "bootstrap");
    await pin(host, "m1");
    const follower = await cluster.open("f", "off");
    await until(async () => (await names(follower.host, false)).length === 1, "the copy");
    await cluster.close("n1");
    const other = await cluster.open("n2", "bootstrap");
    expect(await code(pin(follower.host, "m2", 500))).toBe("not_leader");
    expect(await names(other.host)).toEqual([]);
    await pin(other.host, "m3");
    expect(await names(follower.host, false)).toEqual(["m1"]);
  });

  test("a lone node in whose store nothing was written gives way also after a restart", async () => {
    let peers: string[] = [];
    const options = { isAlone: true, peers: () => peers };
    await cluster.open("n1", "auto", options);
    await cluster.close("n1");
    const lone = await cluster.open("n1", "auto", options);
    expect(lone.host.isControlNode).toBe(true);
    const asked = await cluster.open("n2", "bootstrap");
    peers = [asked.announced()];
    await until(() => !lone.host.isControlNode, "the lone node to give way");
    await until(() => !existsSync(join(cluster.dir, "control-n1.sqlite")), "its files to be gone");
  });
});

describe("a node", () => {
  test("that has handed over answers what it knows, and takes up again", async () => {
    const { host } = await cluster.open("n1", "bootstrap");
    await pin(host, "m");
    await host.suspend();
    expect(await names(host, false)).toEqual(["m"]);
    expect(await code(pin(host, "m2"))).toBe("starting");
    expect(await code(names(host))).toBe("starting");
    await host.resume();
    await pin(host, "m2");
    expect(await names(host)).toEqual(["m", "m2"]);
  });

  test("that becomes a control node, or ceases to be one, shows nothing older than it knew", async () => {
    const nodes = await cluster.form(3);
    for (let at = 0; at < 20; at += 1) await pin(nodes[0]!.host, `m${at}`);
    const newcomer = await cluster.open("n4", "auto");
    await until(async () => (await names(newcomer.host, false)).length === 20, "the copy");
    const revisions: number[] = [];
    newcomer.host.watch({
      reset: (_items, revision) => void revisions.push(revision),
      changed: (_changes, revision) => void revisions.push(revision),
    });
    await nodes[0]!.host.changeMembers({ add: "n4", address: newcomer.host.address }, 10_000);
    await until(() => newcomer.host.isControlNode, "the newcomer");
    await pin(newcomer.host, "later");
    await until(() => revisions.at(-1) === 21, "its own write");
    await nodes[0]!.host.changeMembers({ remove: "n4" }, 10_000);
    await until(() => !newcomer.host.isControlNode, "the node to follow");
    await pin(newcomer.host, "last");
    await until(() => revisions.at(-1) === 22, "the last write");
    expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
  });

  test("that follows lists more than a frame holds", async () => {
    const { host } = await cluster.open("n1", "bootstrap");
    const follower = await cluster.open("f", "off");
    const padding = Array.from({ length: 250 }, (_, at) => `${at}-${"v".repeat(230)}`);
    for (let batch = 0; batch < 12; batch += 1) {
      const writes = Array.from({ length: 15 }, (_, at) => ({
        put: { kind: "pin" as const, name: `m${batch}-${at}`, spec: { nodes: padding } },
      }));
      expect(await host.write(writes)).toMatchObject({ ok: true });
    }
    expect(await names(follower.host)).toHaveLength(180);
    expect(await follower.host.status()).toMatchObject({ writable: true });
  });
});

test("a follower whose link breaks by what it is told first is told nothing more", async () => {
  let watched = 0;
  const incoming: Incoming = {
    method: "follow",
    body: {},
    node: "f",
    storeId: "",
    isGone: false,
    piece: () => incoming.onGone(),
    onGone() {},
  };
  const feed = new Feed(incoming, null, (watcher) => {
    watched += 1;
    watcher.reset([], 0);
    return () => void (watched -= 1);
  });
  await feed.ended;
  await Bun.sleep(0);
  expect(watched).toBe(0);
});

test("what may have been done is never told as not done, whatever comes after it", async () => {
  const failures = ["request_timeout", "store_full"] as const;
  let at = 0;
  const node = { raft: { status: () => ({ leader: 2 }) } } as unknown as RaftNode;
  const tries = new Tries({
    node,
    self: 1,
    addressOf: () => "there",
    ask: () => Promise.reject(new MeshError(failures[at++]!, "it failed")),
  });
  const never = (): Promise<never> => Promise.reject(new Error("it does not lead"));
  expect(await code(tries.atLeader("submit", {}, 5000, never))).toBe("request_timeout");
  expect(at).toBe(2);
  at = 1;
  expect(await code(tries.atLeader("submit", {}, 5000, never))).toBe("store_full");
});
