import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { Names } from "../../src/swim/lexicon.ts";
import { Swim } from "../../src/swim/swim.ts";
import { clusterMark, FRAME, HEADER_BYTES, PROTOCOL_VERSION } from "../../src/swim/wire.ts";
import { STREAM } from "../../src/swim/exchange.ts";
import { Reader } from "../../src/swim/reader.ts";
import { Writer } from "../../src/swim/writer.ts";
import { MeshWorld } from "../sim/mesh-world.ts";
import { corpus, damage, forge, MARK, seal } from "./damage.ts";
import { Circle, DEFAULTS, selfOf, START_MS } from "./lone.ts";

/** Of each kind of damage; together 1,000,000 packets and 60,000 frames, each of these decoded as question and answer. */
const PACKETS = 500_000;
const FRAMES = 30_000;
const MEMBERS_MAX = 40;

const seed = Number(process.env["SEED"] ?? 20_261_121);
const MEMBER = "10.0.0.3:7946";
const LATER_MS = START_MS + 2_001;

interface Listener {
  readonly swim: Swim;
  /** All texts that it holds: nothing that was dropped may be among them. */
  readonly names: Names;
  /** A frame of a stream that asks, and one that answers. */
  readonly frames: readonly [Uint8Array, Uint8Array];
}

/** n0, which has just started anew and knows n1..n7. */
function listener(): Listener {
  const circle = new Circle(8);
  circle.run(2_000);
  const names = new Names();
  const swim = new Swim({ ...DEFAULTS, membersMax: MEMBERS_MAX }, selfOf(0), new Prng(3), circle.nowMs, names);
  swim.join([selfOf(1).address], circle.nowMs);
  const { frame, id } = swim.take().streams[0]!;
  const answer = circle.swim(1).answer(frame, circle.nowMs)!;
  expect(swim.streamed(id, answer, circle.nowMs)).toBe("joined");
  swim.take();
  expect(swim.size).toBe(8);
  return { swim, names, frames: [frame, answer] };
}

/** What a packet that is dropped must leave as it was. */
function standing({ swim, names }: Listener): number[] {
  const { digest, size, incarnation, news } = swim;
  return [digest, size, incarnation, news, names.ids.size, names.addresses.size, names.metas.size];
}

const droppedBy = ({ drops }: Swim): number => drops.malformed + drops.otherCluster + drops.otherVersion;

function fail(what: string): never {
  throw new Error(`${what}: SEED=${seed}`);
}

describe("a packet that is not as it should be", () => {
  const packets = corpus();
  const any = (prng: Prng): Uint8Array => packets[prng.int(packets.length)]!;

  test(`never throws nor changes anything: ${PACKETS} damaged ones (SEED=${seed})`, () => {
    const prng = new Prng(seed);
    const listening = listener();
    const { swim } = listening;
    const before = standing(listening);
    for (let count = 1; count <= PACKETS; count += 1) {
      swim.receive(MEMBER, damage(prng, any(prng), any(prng)), LATER_MS);
      if (droppedBy(swim) !== count) fail("a damaged packet was taken");
      if (count % 1024 === 0) swim.take();
    }
    expect(standing(listening)).toEqual(before);
    expect(swim.drops.otherCluster).toBeGreaterThan(PACKETS / 200);
    expect(swim.drops.otherVersion).toBeGreaterThan(PACKETS / 200);
  });

  test(`behind a right header, too: ${PACKETS} forged ones (SEED=${seed})`, () => {
    const prng = new Prng(seed + 1);
    let listening = listener();
    let dropped = 0;
    for (let count = 0; count < PACKETS; count += 1) {
      const { swim, names } = listening;
      const { digest, size } = swim;
      const { malformed } = swim.drops;
      swim.receive(MEMBER, forge(prng, any(prng), any(prng)), LATER_MS);
      if (swim.drops.malformed > malformed) {
        dropped += 1;
        if (swim.digest !== digest || swim.size !== size) fail("changed by a malformed one");
      }
      if (count % 256 === 0) {
        if (swim.take().sends.some(({ packet: { length } }) => length > 1400)) fail("a long packet");
        if (swim.members().length > MEMBERS_MAX || names.ids.size > MEMBERS_MAX) fail("grew");
        if (names.addresses.size > MEMBERS_MAX || names.metas.size > MEMBERS_MAX) fail("grew");
      }
      if (count % 20_000 === 0) listening = listener();
    }
    expect(dropped).toBeGreaterThan(PACKETS / 10);
  });

  test(`frames of streams: ${2 * FRAMES}, as questions and as answers (SEED=${seed})`, () => {
    const prng = new Prng(seed + 2);
    let listening = listener();
    let dropped = 0;
    for (let count = 0; count < FRAMES * 2; count += 1) {
      const { swim, frames } = listening;
      const from = frames[prng.int(2)]!;
      const frame = (count % 2 === 0 ? forge : damage)(prng, from, frames[prng.int(2)]!);
      const before = standing(listening).join();
      const drops = droppedBy(swim);
      const answer = swim.answer(frame, LATER_MS);
      if (droppedBy(swim) > drops && (answer !== undefined || standing(listening).join() !== before)) fail("answered");
      // More than it brought is for those only who ask for the state in the right form.
      const isQuestion = frame[HEADER_BYTES] === STREAM.digest || frame[HEADER_BYTES] === STREAM.state;
      if (answer !== undefined && answer.length > frame.length && !isQuestion) fail("a long answer");
      const between = standing(listening).join();
      swim.join(["192.0.2.7:1"], LATER_MS);
      const end = swim.streamed(swim.take().streams.at(-1)!.id, frame, LATER_MS);
      if (end === "malformed") dropped += 1;
      if (end === "malformed" && standing(listening).join() !== between) fail("changed by a malformed answer");
      if (swim.members().length > MEMBERS_MAX) fail("grew");
      if (count % 5_000 === 0) listening = listener();
    }
    expect(dropped).toBeGreaterThan(FRAMES);
  });

  test("of another cluster or a later version is dropped whole, though right in itself", () => {
    const listening = listener();
    const { swim } = listening;
    const before = standing(listening);
    const foreign = (packet: Uint8Array, kind: "cluster" | "version"): Uint8Array => {
      const copy = packet.slice();
      if (kind === "version") copy[1] = PROTOCOL_VERSION + 1 + (packet.length % 200);
      seal(copy, kind === "version" ? MARK : clusterMark("other"));
      return copy;
    };
    for (const kind of ["cluster", "version"] as const) {
      for (const packet of packets) swim.receive(MEMBER, foreign(packet, kind), LATER_MS);
      for (const frame of listening.frames) expect(swim.answer(foreign(frame, kind), LATER_MS)).toBeUndefined();
      swim.join(["192.0.2.7:1"], LATER_MS);
      const order = swim.take().streams[0]!;
      expect(swim.streamed(order.id, foreign(listening.frames[1], kind), LATER_MS)).toBe("malformed");
    }
    const count = packets.length + 3;
    expect(swim.drops).toEqual({ malformed: 0, otherCluster: count, otherVersion: count, strangers: 0 });
    const { sends, streams, events } = swim.take();
    expect([sends, streams, events]).toEqual([[], [], []]);
    expect(standing(listening)).toEqual(before);
  });
});

test(`a stranger's packet never makes more bytes out than in (SEED=${seed})`, () => {
  const packets = corpus();
  const listening = listener();
  const { swim, frames } = listening;
  const before = standing(listening);
  const prng = new Prng(seed);
  let nowMs = LATER_MS;
  let answered = 0;
  for (let count = 0; count < 50_000; count += 1) {
    const any = packets[prng.int(packets.length)]!;
    // A state that is asked for by a datagram would be the largest answer there is.
    const packet =
      count % 10 === 0 ? frames[prng.int(2)]!.slice() : forge(prng, any, packets[prng.int(packets.length)]!);
    if (count % 20 === 0) {
      packet[0] = FRAME.datagram;
      seal(packet);
    }
    swim.receive("192.0.2.1:9", packet, nowMs);
    const { sends, streams, events } = swim.take();
    const out = sends.reduce((sum, send) => sum + send.packet.length, 0);
    if (out > packet.length) fail(`${out} bytes out for ${packet.length} in`);
    if (out > 0) answered += 1;
    if (streams.length + events.length > 0) fail("a stream or an event for a stranger");
    nowMs += 0.001;
  }
  expect(answered).toBeGreaterThan(0);
  expect(swim.drops.strangers).toBeGreaterThan(1000);
  expect(standing(listening)).toEqual(before);
});

describe("numbers and names", () => {
  test("go out and come back", () => {
    const writer = new Writer(4096);
    writer.begin(FRAME.datagram, MARK);
    const values = [0, 1, 127, 128, 300, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
    for (const value of values) writer.varint(value);
    writer.float(1.5);
    writer.fixed32(0xdeadbeef);
    const long = new TextEncoder().encode("a-member-with-quite-a-long-name.example");
    for (let round = 0; round < 3; round += 1) writer.name(7, long);
    const reader = new Reader();
    expect(reader.open(writer.finish(MARK), FRAME.datagram, MARK)).toBeUndefined();
    for (const value of values) expect(reader.varint()).toBe(value);
    expect(reader.float()).toBe(1.5);
    expect(reader.fixed32()).toBe(0xdeadbeef);
    for (let round = 0; round < 3; round += 1) {
      reader.name();
      expect(reader.buffer.slice(reader.start, reader.stop)).toEqual(long);
    }
    expect([reader.bad, reader.at]).toEqual([false, reader.end]);
  });

  test("have one spelling each", () => {
    const spelt = (...bytes: number[]): Reader => {
      const writer = new Writer(64);
      writer.begin(FRAME.datagram, MARK);
      for (const byte of bytes) writer.byte(byte);
      const reader = new Reader();
      reader.open(writer.finish(MARK), FRAME.datagram, MARK);
      return reader;
    };
    const bad = (read: (reader: Reader) => unknown, ...bytes: number[]): boolean => {
      const reader = spelt(...bytes);
      read(reader);
      return reader.bad;
    };
    const varint = (reader: Reader): number => reader.varint();
    expect(bad(varint, 0x80, 0x00)).toBe(true);
    expect(bad(varint, 0xff, 0xff, 0xff, 0xff, 0x10)).toBe(true);
    expect(bad(varint, 0xff)).toBe(true);
    expect(bad((reader) => reader.incarnation(), 0xff, 0xff, 0xff, 0xff, 0x0f)).toBe(true);
    expect(bad((reader) => reader.name(), 0x01)).toBe(true);
    expect(bad((reader) => reader.name(), 0x02, 0x20)).toBe(true);
    expect(bad((reader) => reader.name(), 0x00)).toBe(true);
    expect(bad((reader) => reader.fixed32(), 1, 2, 3)).toBe(true);
    expect(bad((reader) => reader.float(), 1)).toBe(true);
  });

  test("packets of a full mesh stay within 1,400 bytes", () => {
    const world = new MeshWorld({ seed: 1, nodes: 60 });
    let longest = 0;
    world.onPacket = (_from, _to, packet) => {
      longest = Math.max(longest, packet.length);
    };
    world.acquaint();
    for (const node of world.nodes) world.setMeta(node, new Uint8Array(300));
    world.runFor(2_000);
    expect(longest).toBeLessThanOrEqual(1_400);
    expect(longest).toBeGreaterThan(1_000);
  });
});
