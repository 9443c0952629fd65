/** Live members on loopback, and what somebody can do to them who records their packets or makes up some. */
import { afterEach, expect, spyOn, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { parseAddress } from "../../src/base/units.ts";
import { Envelope, KIND, PLAIN_HEADER_BYTES } from "../../src/mesh/envelope.ts";
import { framed } from "../../src/mesh/frame.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import type { Membership } from "../../src/mesh/membership.ts";
import { ReplayTable } from "../../src/mesh/replay.ts";
import { TcpClient } from "../../src/mesh/tcp-client.ts";
import { Udp } from "../../src/mesh/udp.ts";
import type { SwimEvent } from "../../src/swim/event.ts";
import { STREAM } from "../../src/swim/exchange.ts";
import { hashBytes } from "../../src/swim/lexicon.ts";
import { swimSettings } from "../../src/swim/settings.ts";
import { FRAME, HEADER_BYTES, MESSAGE } from "../../src/swim/wire.ts";
import { Writer } from "../../src/swim/writer.ts";
import { eventually, RawClient } from "../admin/raw-client.ts";
import { forge, MARK } from "../swim/damage.ts";
import { open as openMember, stopAll } from "./member-bed.ts";
import { Bed, bytesOf, KEY, TIMEOUT_MS } from "./transport-bed.ts";

const SEED = Number(process.env["SEED"] ?? 20_261_125);
/** An ack without a coordinate, its number spelt at its longest, in header and envelope. */
const BARE_ANSWER_BYTES = PLAIN_HEADER_BYTES + HEADER_BYTES + 7;
const SPEED = { probeIntervalMs: 200, probeTimeoutMs: 150, gossipIntervalMs: 40, pushPullIntervalMs: 1000 };

const bed = new Bed();
const stops: (() => void)[] = [];
afterEach(() => {
  stopAll();
  for (const stop of stops.splice(0)) stop();
  bed.close();
});

interface Node {
  readonly member: Membership;
  readonly port: number;
  readonly events: SwimEvent[];
}

async function open(id: string, keys: readonly Uint8Array[], join: readonly string[]): Promise<Node> {
  const swim = { ...defaultsOf(swimSettings), ...SPEED };
  const { member, events } = await openMember(id, join, { cluster: "test", keyring: new Keyring(keys), swim });
  return { member, port: parseAddress(member.address)?.port ?? 0, events };
}

/** Two members that have talked for a while, and all that was sent to the first of them. */
async function recordedPair(keys: readonly Uint8Array[]) {
  const sent: { port: number; packet: Uint8Array }[] = [];
  const asked: { port: number; packet: Uint8Array }[] = [];
  const udp = spyOn(Udp.prototype, "send");
  const tcp = spyOn(TcpClient.prototype, "ask");
  stops.push(
    () => udp.mockRestore(),
    () => tcp.mockRestore(),
  );
  const first = await open("first", keys, []);
  const second = await open("second", keys, [first.member.address]);
  // News leave at their pace whatever the load; probes slow down when a machine is short of time.
  for (let version = 0; version < 6; version += 1) {
    second.member.setMeta(bytesOf(`version ${version}`));
    await Bun.sleep(50);
  }
  const collect = (): void => {
    for (const [packet, , port] of udp.mock.calls.splice(0)) sent.push({ port, packet });
    for (const [to, packet] of tcp.mock.calls.splice(0)) asked.push({ port: to.port, packet });
  };
  const to = (all: typeof sent): Uint8Array[] =>
    all.filter(({ port }) => port === first.port).map(({ packet }) => packet);
  await eventually(
    () => {
      collect();
      const news = Buffer.from(first.member.member("second")?.meta ?? []).toString();
      return news === "version 5" && to(sent).length >= 12 && to(asked).length >= 2;
    },
    TIMEOUT_MS * 4,
    () => `recorded ${to(sent).length} datagrams and ${to(asked).length} requests`,
  );
  return {
    first,
    packets: to(sent),
    requests: to(asked),
    /** How much was sent to a port by now. */
    sentTo: (port: number) => (collect(), sent.filter((one) => one.port === port).length),
  };
}

const standing = ({ member }: Node) =>
  member.members().map(({ id, address, meta }) => [id, address, Buffer.from(meta).toString()]);

/** What became of members, but for whether they answered in time. */
const lasting = ({ events }: Node) => events.filter(({ kind }) => kind !== "suspect" && kind !== "alive-again");

async function answerTo(port: number, packet: Uint8Array): Promise<number> {
  const client = await RawClient.connect(port);
  client.send(Buffer.from(framed(packet)).toString("latin1"));
  return (await client.untilEnded()).length;
}

test(`recorded packets of a sealed pair, played again, change nothing and get no byte (SEED=${SEED})`, async () => {
  const { first, packets, requests, sentTo } = await recordedPair([KEY]);
  const before = standing(first);
  const told = lasting(first).length;
  const stranger = await bed.rawUdp();
  const prng = new Prng(SEED);
  const replayed = () => first.member.figures().transport.dropped.replayed;
  const known = replayed();
  let played = 0;
  for (let round = 0; round < 3; round += 1) {
    for (let count = 0; count < packets.length; count += 1) {
      stranger.send(packets[prng.int(packets.length)]!, first.port);
      played += 1;
    }
    await eventually(() => replayed() === known + played, TIMEOUT_MS);
  }
  for (const request of requests) expect(await answerTo(first.port, request)).toBe(0);
  expect(replayed()).toBe(known + played + requests.length);
  expect(sentTo(stranger.port)).toBe(0);
  expect(stranger.received).toEqual([]);
  expect(standing(first)).toEqual(before);
  expect(lasting(first)).toHaveLength(told);
});

test(`in a plain mesh a stranger gets a bare answer to a ping, shorter than it, and no more (SEED=${SEED})`, async () => {
  const { first, packets } = await recordedPair([]);
  const before = standing(first);
  const told = lasting(first).length;
  const stranger = await bed.rawUdp();
  const envelope = plainEnvelope();
  const received = () => first.member.figures().transport.packetsIn;

  const id = bytesOf("first");
  const ping = envelope.seal(
    KIND.datagram,
    message(FRAME.datagram, (writer) => {
      writer.byte(MESSAGE.ping);
      writer.varint(300);
      writer.fixed32(hashBytes(id, 0, id.length));
    }),
  );
  stranger.send(ping, first.port);
  await eventually(() => stranger.received.length === 1);
  expect(stranger.received[0]!.length).toBeLessThan(ping.length);

  const prng = new Prng(SEED);
  const payloads = packets.map((packet) => packet.subarray(PLAIN_HEADER_BYTES));
  const any = (): Uint8Array => payloads[prng.int(payloads.length)]!;
  let bytes = ping.length;
  for (let burst = 0; burst < 40; burst += 1) {
    const known = received();
    for (let count = 0; count < 50; count += 1) {
      const packet = envelope.seal(KIND.datagram, count === 0 ? any() : forge(prng, any(), any()));
      stranger.send(packet, first.port);
      bytes += packet.length;
    }
    await eventually(() => received() >= known + 50, TIMEOUT_MS);
  }
  const answered = stranger.received.reduce((sum, { length }) => sum + length, 0);
  expect(answered).toBeLessThan(bytes);
  for (const answer of stranger.received) expect(answer.length).toBeLessThanOrEqual(BARE_ANSWER_BYTES);
  expect(standing(first)).toEqual(before);
  expect(lasting(first)).toHaveLength(told);
});

test(`over TCP only who asks for the members in the right form gets more than it brought (SEED=${SEED})`, async () => {
  const { first, requests } = await recordedPair([]);
  const envelope = plainEnvelope();
  const ask = (frame: Uint8Array): Promise<number> => answerTo(first.port, envelope.seal(KIND.request, frame));
  const id = bytesOf("first");
  const ping = message(FRAME.stream, (writer) => {
    writer.byte(STREAM.ping);
    writer.fixed32(hashBytes(id, 0, id.length));
  });
  const pong = await ask(ping);
  expect(pong).toBeGreaterThan(0);
  expect(pong).toBeLessThan(framed(envelope.seal(KIND.request, ping)).length);
  // The whole table for 13 bytes: TCP's handshake shows that who asks is where it says, so nobody else gets it.
  const digest = message(FRAME.stream, (writer) => {
    writer.byte(STREAM.digest);
    writer.fixed32(1);
  });
  expect(await ask(digest)).toBeGreaterThan(100);
  expect(await ask(digest.slice(0, -1))).toBe(0);

  const prng = new Prng(SEED);
  const frames = requests.map((request) => request.subarray(PLAIN_HEADER_BYTES));
  for (let count = 0; count < 200; count += 1) {
    const forged = forge(prng, frames[prng.int(frames.length)]!, frames[prng.int(frames.length)]!);
    const before = standing(first);
    const { malformed } = first.member.figures().drops;
    const answer = await ask(forged);
    if (first.member.figures().drops.malformed > malformed) expect([answer, standing(first)]).toEqual([0, before]);
    const isQuestion = forged[HEADER_BYTES] === STREAM.digest || forged[HEADER_BYTES] === STREAM.state;
    if (answer > 0 && !isQuestion) throw new Error(`${answer} bytes for a frame of ${forged.length}: SEED=${SEED}`);
  }
});

function plainEnvelope(): Envelope {
  return new Envelope({
    cluster: "test",
    keyring: new Keyring([]),
    replays: new ReplayTable({ windowSeconds: 1, sessionsMax: 1 }),
    windowSeconds: 1,
    bytesMax: 1 << 20,
    nowSeconds: () => 0,
  });
}

function message(frame: number, write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer(64);
  writer.begin(frame, MARK);
  write(writer);
  return writer.finish(MARK);
}
