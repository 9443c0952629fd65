/** States over real sockets on loopback: an agent's sender and a router's receiver in one mesh. */
import { afterEach, describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { Journal } from "../../src/mesh/journal.ts";
import { joinMesh, type MeshNode } from "../../src/mesh/node-membership.ts";
import { Roster } from "../../src/mesh/roster.ts";
import { gossipSettings } from "../../src/mesh/settings.ts";
import { StateReceiver } from "../../src/mesh/state-receiver.ts";
import { StateSender } from "../../src/mesh/state-sender.ts";
import { CHANNEL } from "../../src/mesh/envelope.ts";
import type { NodeSample } from "../../src/score/sample.ts";
import { FlightTeller, PeerFlights, placeKey } from "../../src/signal/flights.ts";
import { flightSettings, signalSettings } from "../../src/signal/settings.ts";
import type { Report } from "../../src/signal/subscriber.ts";
import type { Member } from "../../src/swim/event.ts";
import { bareMeta, decodeMeta, encodeMeta, type NodeRole } from "../../src/swim/meta.ts";
import { swimSettings } from "../../src/swim/settings.ts";
import { modelSample, nodeSample } from "../fleet/samples.ts";
import { until } from "../process/harness.ts";

const FAST = { ...defaultsOf(swimSettings), probeIntervalMs: 100, probeTimeoutMs: 50, gossipIntervalMs: 20 };
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

async function open(
  id: string,
  role: NodeRole,
  join: readonly string[],
  datagramBytesMax = 1400,
  onEvent = (): void => {},
): Promise<MeshNode> {
  const mesh = defaultsOf(gossipSettings);
  const node = await joinMesh({
    id,
    identity: 0,
    incarnation: 1,
    gossip: { host: "127.0.0.1", port: 0 },
    advertise: "",
    join,
    mesh: { ...mesh, limits: { ...mesh.limits, datagramBytesMax } },
    swim: { ...FAST, packetBytesMax: Math.min(FAST.packetBytesMax, datagramBytesMax) },
    meta: { ...bareMeta(role), apiAddress: "127.0.0.1:1", servingAddress: "127.0.0.1:2" },
    journal: new Journal(Date.now()),
    log: { info() {}, warn() {} },
    onEvent,
  });
  ends.push(() => {
    node.membership.stop();
    node.transport.stop();
  });
  return node;
}

interface Router {
  readonly node: MeshNode;
  readonly reports: Report[];
  readonly flights: PeerFlights;
  readonly receiver: StateReceiver;
  readonly loads: Map<number, { requests: number; tokens: number }>;
}

async function router(id: string, join: readonly string[] = [], flightIntervalMs = 20): Promise<Router> {
  const node = await open(id, "router", join);
  const reports: Report[] = [];
  const loads = new Map<number, { requests: number; tokens: number }>();
  const flights = new PeerFlights();
  const receiver = new StateReceiver({
    node,
    config: { ...defaultsOf(flightSettings), flightIntervalMs },
    flights,
    loads: () => loads,
    onReport: (report) => reports.push(report),
    onLoads() {},
  });
  receiver.start();
  ends.push(() => receiver.stop());
  return { node, reports, flights, receiver, loads };
}

async function agent(
  id: string,
  join: readonly string[],
  sample: () => NodeSample,
  datagramBytesMax?: number,
  intervalMs = 100,
) {
  let sender: StateSender | null = null;
  const node = await open(id, "agent", join, datagramBytesMax, () => sender?.membersChanged());
  const config = { ...defaultsOf(signalSettings), sampleIntervalMs: 20, intervalMs };
  sender = new StateSender({ node, config, id, incarnation: Date.now(), isReady: true, sample });
  sender.start();
  ends.push(() => sender?.stop());
  return { node, sender };
}

describe("states", () => {
  test("go from every agent to every router, also to one that comes late", async () => {
    const one = await router("r1");
    const seed = [one.node.membership.address];
    let running = 1;
    const sample = (): NodeSample => nodeSample({ models: [modelSample({ runningRequests: running })] });
    await agent("a1", seed, sample);
    await agent("a2", seed, sample);
    const heard = ({ reports }: Router, wanted: number): boolean =>
      ["a1", "a2"].every((id) => reports.some((r) => r.id === id && r.sample.models[0]?.runningRequests === wanted));
    await until(() => heard(one, 1));
    const two = await router("r2", seed);
    await until(() => heard(two, 1));
    running = 50;
    await until(() => heard(one, 50) && heard(two, 50));
    expect(one.receiver.stats()).toMatchObject({ malformed: 0, strangers: 0, sources: 2 });
    expect(one.reports.some(({ place }) => place?.length === 11)).toBe(true);
  });

  test("that are too long for a datagram are fetched, keyframes and the states between alike", async () => {
    const one = await router("r1");
    let running = 0;
    const models = Array.from({ length: 200 }, (_, at) => `model-with-a-rather-long-name-${at}`);
    const sample = (): NodeSample => {
      running += 1;
      return nodeSample({ models: models.map((model) => modelSample({ model, runningRequests: running })) });
    };
    const { sender } = await agent("a1", [one.node.membership.address], sample, 700);
    const figures = (): number[] => one.reports.map((report) => report.sample.models[199]?.runningRequests ?? 0);
    await until(() => one.reports.length >= 10 && (figures().at(-1) ?? 0) > 10);
    expect(figures().every((figure, at) => at === 0 || figure >= figures()[at - 1]!)).toBe(true);
    expect(one.receiver.stats()).toMatchObject({ malformed: 0, strangers: 0 });
    expect(sender.stats().messages).toBeGreaterThan(5);
  });

  test("tell what moved a moment after it did, long before the next regular one", async () => {
    const one = await router("r1");
    let running = 1;
    const sample = (): NodeSample => nodeSample({ models: [modelSample({ runningRequests: running })] });
    const { sender } = await agent("a1", [one.node.membership.address], sample, undefined, 600_000);
    const heard = (wanted: number): boolean => one.reports.some((r) => r.sample.models[0]?.runningRequests === wanted);
    await until(() => heard(1));
    for (const wanted of [50, 100, 10]) {
      running = wanted;
      sender.moved();
      sender.moved();
      await until(() => heard(wanted));
    }
  });

  test("cost an idle node one look each, and what moves many times at once is looked at once", async () => {
    const one = await router("r1");
    let looks = 0;
    const sample = (): NodeSample => {
      looks += 1;
      return nodeSample();
    };
    const { sender } = await agent("a1", [one.node.membership.address], sample);
    await until(() => one.reports.length >= 3);
    const [looksBefore, sentBefore] = [looks, sender.stats().messages];
    await until(() => sender.stats().messages >= sentBefore + 10);
    expect(looks - looksBefore).toBeLessThanOrEqual(12);
    looks = 0;
    for (let time = 0; time < 100; time += 1) sender.moved();
    await until(() => looks > 0);
    // A regular one may fall into the moment.
    expect(looks).toBeLessThanOrEqual(2);
  });

  test("end with their node: what came from there is forgotten", async () => {
    const one = await router("r1");
    const { node, sender } = await agent("a1", [one.node.membership.address], () => nodeSample());
    await until(() => one.receiver.stats().sources === 1);
    sender.stop();
    await node.leave(2000);
    await until(() => one.receiver.stats().sources === 0);
  });

  test("of another's name, of strangers, and loads that no router told are not believed", async () => {
    const one = await router("r1");
    const liar = await open("liar", "agent", [one.node.membership.address]);
    await until(() => one.node.roster.idAt(liar.membership.address) === "liar");
    const config = { ...defaultsOf(signalSettings), sampleIntervalMs: 20 };
    const sender = new StateSender({
      node: liar,
      config,
      id: "someone-else",
      incarnation: 1,
      isReady: true,
      sample: () => nodeSample(),
    });
    sender.start();
    ends.push(() => sender.stop());
    const key = placeKey("a1", "m");
    const [claim] = new FlightTeller(1300, new Prng(1)).tell([[key, { requests: 1e6, tokens: 1e9 }]], 0);
    liar.transport.send(one.node.membership.address, claim!, CHANNEL.state);
    await until(() => one.receiver.stats().strangers >= 2);
    expect([one.reports, one.flights.load(key).requests]).toEqual([[], 0]);
  });

  test("whether a node takes requests is told to the mesh as well", async () => {
    const one = await router("r1");
    let ready = true;
    const { sender } = await agent("a1", [one.node.membership.address], () => nodeSample({ ready }));
    const meta = () => decodeMeta(one.node.membership.member("a1")?.meta ?? new Uint8Array());
    await until(() => meta()?.healthy === true);
    ready = false;
    await until(() => meta()?.healthy === false);
    sender.look();
    expect(meta()?.draining).toBe(false);
  });
});

test("a router whose load others wait for tells of it at once, however seldom it would else", async () => {
  const one = await router("r1");
  const two = await router("r2", [one.node.membership.address], 3_600_000);
  const key = placeKey("a1", "m");
  await until(() => two.node.roster.routers().length === 1 && one.node.roster.routers().length === 1);
  for (const requests of [3, 7]) {
    two.loads.set(key, { requests, tokens: 500 });
    two.receiver.hasten();
    two.receiver.hasten();
    await until(() => one.flights.load(key).requests === requests);
  }
});

test("routers tell each other of their load; one that dies leaves none behind", async () => {
  const one = await router("r1");
  const two = await router("r2", [one.node.membership.address]);
  const key = placeKey("a1", "m");
  two.loads.set(key, { requests: 3, tokens: 500 });
  await until(() => one.flights.load(key).requests === 3);
  expect(two.flights.load(key).requests).toBe(0);
  two.receiver.stop();
  two.node.membership.stop();
  two.node.transport.stop();
  await until(() => one.flights.load(key).requests === 0);
});

describe("the roster", () => {
  const member = (id: string, address: string, status: Member["status"], role: NodeRole): Member => ({
    id,
    address,
    status,
    incarnation: 1,
    sinceMs: 0,
    versions: [1, 1],
    meta: encodeMeta({ ...bareMeta(role), version: "1", controlAddress: "", isControlNode: false }, 512),
    rttMs: undefined,
    answeredAtMs: undefined,
  });
  const roster = new Roster();
  const vacated: string[] = [];
  roster.onVacated = (address) => void vacated.push(address);
  const told = (id: string, address: string, status: Member["status"], role: NodeRole = "agent"): void =>
    roster.told({ kind: "updated", id, address, incarnation: 1, cause: "" }, member(id, address, status, role));

  test("knows who is present and who is a router, whatever the event was called", () => {
    told("a", "h:1", "alive");
    told("r", "h:2", "suspect", "router");
    told("dead", "h:3", "failed", "router");
    expect(["h:1", "h:2", "h:3"].map((at) => roster.idAt(at))).toEqual(["a", "r", undefined]);
    expect([roster.routers(), roster.isRouter("r"), roster.isRouter("a")]).toEqual([["h:2"], true, false]);
  });

  test("two names at one address: the later has it, and when one goes the other", () => {
    told("b", "h:1", "alive");
    expect(roster.idAt("h:1")).toBe("b");
    told("a", "h:1", "failed");
    expect([roster.idAt("h:1"), vacated]).toEqual(["b", []]);
    told("c", "h:1", "alive");
    told("c", "h:1", "left");
    expect(roster.idAt("h:1")).toBe("b");
    told("b", "h:9", "alive");
    expect([roster.idAt("h:1"), roster.idAt("h:9"), vacated]).toEqual([undefined, "b", ["h:1"]]);
  });
});
