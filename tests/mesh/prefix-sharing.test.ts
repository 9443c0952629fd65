/** Routers that tell each other of prompts over real sockets on loopback. */
import { afterEach, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { CHANNEL } from "../../src/mesh/envelope.ts";
import { Journal } from "../../src/mesh/journal.ts";
import { joinMesh, type MeshNode } from "../../src/mesh/node-membership.ts";
import { PrefixSharing } from "../../src/mesh/prefix-sharing.ts";
import { gossipSettings } from "../../src/mesh/settings.ts";
import { StateReceiver } from "../../src/mesh/state-receiver.ts";
import { PeerFlights } from "../../src/signal/flights.ts";
import { type HeardPrefix, PREFIXES } from "../../src/signal/prefix-news.ts";
import { flightSettings } from "../../src/signal/settings.ts";
import { bareMeta, type NodeRole } from "../../src/swim/meta.ts";
import { swimSettings } from "../../src/swim/settings.ts";
import { until } from "../process/harness.ts";

const FAST = { ...defaultsOf(swimSettings), probeIntervalMs: 100, probeTimeoutMs: 50, gossipIntervalMs: 20 };
const KEY = randomBytes(32).toString("base64");
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function open(id: string, role: NodeRole, join: readonly string[]): Promise<MeshNode> {
  const node = await joinMesh({
    id,
    identity: 0,
    incarnation: 1,
    gossip: { host: "127.0.0.1", port: 0 },
    advertise: "",
    join,
    mesh: { ...defaultsOf(gossipSettings), key: KEY },
    swim: FAST,
    meta: { ...bareMeta(role), apiAddress: "127.0.0.1:1", servingAddress: "127.0.0.1:2" },
    journal: new Journal(Date.now()),
    log: { info() {}, warn() {} },
    onEvent() {},
  });
  ends.push(() => node.fallSilent());
  return node;
}

async function router(id: string, join: readonly string[] = []) {
  const node = await open(id, "router", join);
  const heard: HeardPrefix[] = [];
  const state = { peers: 0 };
  const sharing = new PrefixSharing({
    node,
    bytesPerSecond: 1 << 20,
    heard: (prefix) => heard.push(prefix),
    peers: (count) => (state.peers = count),
  });
  ends.push(() => sharing.stop());
  return { node, sharing, heard, state, seed: [node.membership.address] };
}

const HASHES = Int32Array.of(1, -1, 2, -2, 3, -3);

test("every router hears what another one sent somewhere, and knows how many there are", async () => {
  const one = await router("r1");
  const two = await router("r2", one.seed);
  const three = await router("r3", one.seed);
  await until(() => [one, two, three].every(({ state }) => state.peers === 2));
  one.sharing.tell(77, HASHES, 2);
  await until(() => two.heard.length > 0 && three.heard.length > 0);
  for (const { heard } of [two, three]) {
    expect(heard).toEqual([{ key: 77, chain: Int32Array.of(0, 0, ...HASHES), blocks: 3 }]);
  }
  expect(one.heard).toEqual([]);
  expect(one.sharing.stats()).toMatchObject({ toldBlocks: 3, droppedBlocks: 0, heardBlocks: 0 });
  expect(one.sharing.stats().sentBytes).toBeGreaterThan(2 * 3 * 8);
  expect(two.sharing.stats()).toMatchObject({ heardBlocks: 3, malformed: 0, strangers: 0 });
  two.sharing.stop();
  expect(two.state.peers).toBe(0);
});

test("agents have no say in it, and what is malformed is counted", async () => {
  const one = await router("r1");
  const two = await router("r2", one.seed);
  const agent = await open("a1", "agent", one.seed);
  await until(() => one.state.peers === 1 && one.node.roster.idAt(agent.membership.address) !== undefined);
  const to = one.node.membership.address;
  agent.transport.send(to, Uint8Array.of(PREFIXES, 1), CHANNEL.state);
  two.node.transport.send(to, Uint8Array.of(PREFIXES, 1, 2, 3), CHANNEL.state);
  await until(() => one.sharing.stats().strangers === 1 && one.sharing.stats().malformed === 1);
  expect(one.heard).toEqual([]);
});

test("a router of a version that does not know of it counts it as malformed, and goes on", async () => {
  const one = await router("r1");
  const older = await open("r2", "router", one.seed);
  const states = new StateReceiver({
    node: older,
    config: defaultsOf(flightSettings),
    flights: new PeerFlights(),
    loads: () => [],
    onReport() {},
    onLoads() {},
  });
  states.start();
  ends.push(() => states.stop());
  await until(() => one.state.peers === 1);
  one.sharing.tell(77, HASHES, 3);
  await until(() => states.stats().malformed === 1);
});
