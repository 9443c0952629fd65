/** Blocks of KV caches over real sockets on loopback: agents' senders and routers' receivers in one mesh. */
import { afterEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { IndexFeed } from "../../src/kv/index-feed.ts";
import { HELD, writeAsk, writeStandings } from "../../src/kv/talk.ts";
import { blockHearingSettings, blockSendingSettings } from "../../src/kv/settings.ts";
import { FOLLOW } from "../../src/kv/wire.ts";
import { BlockReceiver } from "../../src/mesh/block-receiver.ts";
import { BlockSender } from "../../src/mesh/block-sender.ts";
import { CHANNEL } from "../../src/mesh/envelope.ts";
import { Journal } from "../../src/mesh/journal.ts";
import { joinMesh, type MeshNode } from "../../src/mesh/node-membership.ts";
import { gossipSettings } from "../../src/mesh/settings.ts";
import { StateReceiver } from "../../src/mesh/state-receiver.ts";
import { flightSettings } from "../../src/signal/settings.ts";
import { PeerFlights } from "../../src/signal/flights.ts";
import { bareMeta, type NodeRole } from "../../src/swim/meta.ts";
import { swimSettings } from "../../src/swim/settings.ts";
import { Engine, storedEvent } from "../kv/engine.ts";
import { until } from "../process/harness.ts";

const FAST = { ...defaultsOf(swimSettings), probeIntervalMs: 100, probeTimeoutMs: 50, gossipIntervalMs: 20 };
const KEY = randomBytes(32).toString("base64");
const SENDING = { ...defaultsOf(blockSendingSettings), intervalMs: 20 };
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

interface Place {
  readonly port?: number;
  readonly incarnation?: number;
  readonly frameBytesMax?: number;
  onEvent?(): void;
}

async function open(id: string, role: NodeRole, join: readonly string[], place: Place = {}): Promise<MeshNode> {
  const mesh = defaultsOf(gossipSettings);
  const limits = { ...mesh.limits, frameBytesMax: place.frameBytesMax ?? mesh.limits.frameBytesMax };
  const node = await joinMesh({
    id,
    identity: 0,
    incarnation: place.incarnation ?? 1,
    gossip: { host: "127.0.0.1", port: place.port ?? 0 },
    advertise: "",
    join,
    mesh: { ...mesh, key: KEY, limits },
    swim: FAST,
    meta: { ...bareMeta(role), apiAddress: "127.0.0.1:1", servingAddress: "127.0.0.1:2" },
    journal: new Journal(Date.now()),
    log: { info() {}, warn() {} },
    onEvent: () => place.onEvent?.(),
  });
  ends.push(() => node.fallSilent());
  return node;
}

async function router(id: string, join: readonly string[] = []) {
  const node = await open(id, "router", join);
  const receiver = new BlockReceiver({ node, config: defaultsOf(blockHearingSettings) });
  ends.push(() => receiver.stop());
  return { node, receiver, seed: [node.membership.address] };
}

async function agent(id: string, join: readonly string[], feeds: readonly IndexFeed[], place: Place = {}) {
  let sender: BlockSender | null = null;
  const node = await open(id, "agent", join, { ...place, onEvent: () => sender?.membersChanged() });
  sender = new BlockSender({ node, config: SENDING });
  ends.push(() => sender?.stop());
  for (const feed of feeds) sender.add(feed);
  return { node, sender };
}

const feedOf = (seed: number, slot = 0): IndexFeed =>
  new IndexFeed({ slot, runtime: "vllm", engine: `rank ${slot}` }, new Prng(seed));

function isSame(receiver: BlockReceiver, id: string, feeds: readonly IndexFeed[]): boolean {
  const engines = receiver.engines(id);
  return (
    engines.length === feeds.length &&
    feeds.every((feed) => {
      const remote = engines.find(({ slot }) => slot === feed.slot);
      if (remote === undefined || !remote.isCurrent || remote.size !== feed.index.size) return false;
      return [...feed.index.blocks()].every(({ key, media }) => remote.media(key) === media);
    })
  );
}

const filled = (feed: IndexFeed, blocks: number, seed: number): void =>
  feed.index.apply(
    storedEvent({
      hashes: Array.from({ length: blocks }, (_, at) => `${seed}-${at}`),
      tokens: Uint32Array.from({ length: blocks * 4 }, (_, at) => seed * 1e6 + at),
    }),
  );

test("every router follows every engine: whole caches by TCP, changes by datagrams, also one that comes late", async () => {
  const one = await router("r1");
  const engines = [new Engine(1), new Engine(2)];
  const feeds = [feedOf(1, 0), feedOf(2, 5)];
  filled(feeds[0]!, 60_000, 7);
  const { sender } = await agent("a1", one.seed, feeds);
  await until(() => isSame(one.receiver, "a1", feeds));
  const { asks } = one.receiver.stats();
  // On a busy machine many of them go together.
  for (let round = 0; round < 60 || (round < 1000 && one.receiver.stats().updates <= 10); round += 1) {
    for (const [at, feed] of feeds.entries()) feed.index.apply(engines[at]!.next());
    await Bun.sleep(10);
  }
  await until(() => isSame(one.receiver, "a1", feeds));
  const two = await router("r2", one.seed);
  await until(() => isSame(two.receiver, "a1", feeds));
  expect(one.receiver.stats()).toMatchObject({ malformed: 0, refused: 0, strangers: 0, engines: 2, behind: 0 });
  expect(one.receiver.stats().blocks).toBe(feeds[0]!.index.size + feeds[1]!.index.size);
  expect(one.receiver.stats().updates).toBeGreaterThan(10);
  expect(one.receiver.stats().asks - asks).toBeLessThan(10);
  expect(sender.stats()).toMatchObject({ followers: 2 });
  // Written once for each engine, whoever asked.
  expect(sender.stats().snapshots).toBeLessThan(5);
});

test("what gets lost is noticed and asked for", async () => {
  const one = await router("r1");
  const feeds = [feedOf(3)];
  filled(feeds[0]!, 100, 1);
  const { node, sender } = await agent("a1", one.seed, feeds);
  await until(() => isSame(one.receiver, "a1", feeds));
  const send = node.transport.send.bind(node.transport);
  const prng = new Prng(Number(Bun.env["SEED"] ?? 5));
  let lost = 0;
  node.transport.send = (to, payload, channel) => {
    if (channel !== CHANNEL.state || prng.int(3) > 0) return send(to, payload, channel);
    lost += 1;
    return true;
  };
  const engine = new Engine(4);
  for (let round = 0; round < 200; round += 1) {
    feeds[0]!.index.apply(engine.next());
    await Bun.sleep(5);
  }
  await until(() => isSame(one.receiver, "a1", feeds));
  expect(lost).toBeGreaterThan(5);
  expect(one.receiver.stats().gaps).toBeGreaterThan(0);
  // But for caches that were cleared, the kept updates were enough.
  expect(sender.stats().snapshots).toBeLessThan(8);
});

test("answers fit a short frame", async () => {
  const one = await router("r1");
  const feeds = [feedOf(3)];
  filled(feeds[0]!, 50_000, 1);
  await agent("a1", one.seed, feeds, { frameBytesMax: 65_536 });
  await until(() => isSame(one.receiver, "a1", feeds));
  expect(one.receiver.stats()).toMatchObject({ asksFailed: 0, malformed: 0 });
  expect(one.receiver.stats().asks).toBeGreaterThan(5);
});

test("a node that starts anew, at the same place, is followed anew; one that is gone is forgotten", async () => {
  const one = await router("r1");
  const before = [feedOf(3)];
  filled(before[0]!, 5000, 1);
  const first = await agent("a1", one.seed, before);
  await until(() => isSame(one.receiver, "a1", before));
  first.sender.stop();
  const { port } = first.node.transport;
  first.node.fallSilent();
  const after = [feedOf(4)];
  filled(after[0]!, 300, 2);
  const second = await agent("a1", one.seed, after, { port, incarnation: 2 });
  await until(() => isSame(one.receiver, "a1", after));
  expect(one.receiver.stats().blocks).toBe(300);
  second.sender.remove(after[0]!);
  await until(() => one.receiver.engines("a1").length === 0);
  second.sender.add(after[0]!);
  await until(() => isSame(one.receiver, "a1", after));
  one.receiver.forget("a1");
  expect(one.receiver.stats().blocks).toBe(0);
});

test("strangers are not heard, only routers are told, and what is no ask has no answer", async () => {
  const one = await router("r1");
  const feeds = [feedOf(3)];
  const { node, sender } = await agent("a1", one.seed, feeds);
  await until(() => isSame(one.receiver, "a1", feeds));
  const other = await open("a2", "agent", one.seed);
  await until(() => node.roster.idAt(other.membership.address) === "a2");
  other.transport.send(node.membership.address, FOLLOW, CHANNEL.state);
  const ask = { slot: 9, held: HELD.nothing, life: 0, number: 0, part: 0 } as const;
  const answer = await other.transport.request(node.membership.address, writeAsk(ask), 5000, CHANNEL.state);
  expect(answer.length).toBeLessThan(20);
  const cut = other.transport.request(node.membership.address, writeAsk(ask).subarray(0, 5), 5000, CHANNEL.state);
  expect(cut).rejects.toThrow("closed without an answer");
  await cut.catch(() => {});
  expect(sender.stats().followers).toBe(1);
  // A transport of the same mesh whose address no member has.
  const stranger = await open("r3", "router", []);
  const [standing] = writeStandings([{ slot: 0, life: 1, number: 1 }], 256, 1000);
  await until(() => {
    stranger.transport.send(one.node.membership.address, standing!, CHANNEL.state);
    return one.receiver.stats().strangers > 0;
  });
  expect(one.receiver.engines("r3")).toEqual([]);
});

test("a router that knows nothing of blocks lets them be", async () => {
  const node = await open("old", "router", []);
  const states = new StateReceiver({
    node,
    config: defaultsOf(flightSettings),
    flights: new PeerFlights(),
    loads: () => [],
    onReport() {},
    onLoads() {},
  });
  states.start();
  ends.push(() => states.stop());
  const feed = feedOf(1);
  filled(feed, 100, 1);
  const { sender } = await agent("a1", [node.membership.address], [feed]);
  await until(() => states.stats().malformed > 0);
  // It is offered them, and nothing is taken or written for it.
  expect(sender.stats()).toMatchObject({ followers: 0, snapshots: 0 });
  expect(feed.number).toBe(0);
});
