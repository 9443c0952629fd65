import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { Swim } from "../../src/swim/swim.ts";
import { clusterMark, FRAME, HEADER_BYTES, MESSAGE, murmur3 } from "../../src/swim/wire.ts";
import { Reader } from "../../src/swim/reader.ts";
import { Writer } from "../../src/swim/writer.ts";
import { MeshWorld } from "../sim/mesh-world.ts";
import { Circle, DEFAULTS, selfOf, START_MS } from "./lone.ts";

const MARK = clusterMark("test");
/** Of each kind of damage; together 1,000,000 packets and 30,000 frames. */
const PACKETS = 500_000;
const FRAMES = 15_000;

/** Makes the header right again, so that the damage gets past it. */
function seal(packet: Uint8Array): void {
  const sum = murmur3(packet, HEADER_BYTES, packet.length, MARK.seed);
  packet.set([MARK.tag, MARK.tag >>> 8, sum, sum >>> 8, sum >>> 16, sum >>> 24], 2);
}

/** Packets of every kind, of the cluster "test", about members n0..n7. */
function corpus(): Uint8Array[] {
  const packets: Uint8Array[] = [];
  const circle = new Circle(8);
  const collect = (swim: Swim): void => {
    const take = swim.take.bind(swim);
    swim.take = () => {
      const taken = take();
      for (const { packet } of taken.sends) if (packets.length < 4_000) packets.push(packet);
      return taken;
    };
  };
  for (const swim of circle.swims.values()) collect(swim);
  circle.run(4_000);
  circle.silent.add("10.0.0.5:7946");
  circle.swim(1).setProfile({ meta: new Uint8Array(400) }, circle.nowMs);
  circle.run(8_000);
  circle.silent.clear();
  circle.swim(2).leave(circle.nowMs);
  circle.run(6_000);
  const kinds = new Set(packets.map((packet) => packet[HEADER_BYTES]!));
  expect(kinds.size).toBeGreaterThanOrEqual(Object.keys(MESSAGE).length - 2);
  return packets;
}

function damage(prng: Prng, from: Uint8Array, other: Uint8Array): Uint8Array {
  const kind = prng.int(5);
  if (kind === 0) return from.slice(0, prng.int(from.length + 1));
  if (kind === 1) {
    const cut = prng.int(from.length);
    const joined = new Uint8Array(cut + other.length - HEADER_BYTES);
    joined.set(from.subarray(0, cut));
    joined.set(other.subarray(HEADER_BYTES), cut);
    return joined;
  }
  const damaged = from.slice();
  const count = kind === 2 ? 1 : 1 + prng.int(6);
  for (let index = 0; index < count; index += 1) {
    const at = prng.int(damaged.length);
    damaged[at] = kind === 4 ? [0, 0x7f, 0x80, 0xff][prng.int(4)]! : damaged[at]! ^ (1 << prng.int(8));
  }
  return damaged;
}

function listener(): Swim {
  const circle = new Circle(8, { membersMax: 40 });
  circle.run(2_000);
  const swim = circle.swim(0);
  swim.take();
  return swim;
}

const seed = Number(process.env["SEED"] ?? 20_261_121);

describe("a packet that is not as it should be", () => {
  const packets = corpus();

  test(`never throws nor changes anything: ${PACKETS} damaged ones (SEED=${seed})`, () => {
    const prng = new Prng(seed);
    const swim = listener();
    const { digest, size, incarnation } = swim;
    let dropped = 0;
    let whole = 0;
    for (let count = 0; count < PACKETS; count += 1) {
      const from = packets[prng.int(packets.length)]!;
      const packet = damage(prng, from, packets[prng.int(packets.length)]!);
      // Two bits may cancel each other out.
      if (Buffer.compare(packet, from) === 0) {
        whole += 1;
        continue;
      }
      const before = swim.drops.malformed + swim.drops.otherCluster + swim.drops.otherVersion;
      swim.receive("10.0.0.3:7946", packet, START_MS + 2_000);
      dropped += swim.drops.malformed + swim.drops.otherCluster + swim.drops.otherVersion - before;
      if (count % 1024 === 0) swim.take();
    }
    expect(dropped + whole).toBe(PACKETS);
    expect(whole).toBeLessThan(PACKETS / 20);
    expect([digest, size, incarnation]).toEqual([swim.digest, swim.size, swim.incarnation]);
  }, 20_000);

  test(`behind a right header, too: ${PACKETS} forged ones (SEED=${seed})`, () => {
    const prng = new Prng(seed + 1);
    let swim = listener();
    let dropped = 0;
    for (let count = 0; count < PACKETS; count += 1) {
      const packet = damage(prng, packets[prng.int(packets.length)]!, packets[prng.int(packets.length)]!);
      if (packet.length >= HEADER_BYTES) {
        packet[0] = FRAME.datagram;
        packet[1] = 1;
        seal(packet);
      }
      const { digest, size, drops } = swim;
      const { malformed } = drops;
      swim.receive("10.0.0.3:7946", packet, START_MS + 2_000);
      if (drops.malformed > malformed) {
        dropped += 1;
        if (swim.digest !== digest || swim.size !== size) throw new Error(`changed by a malformed one: SEED=${seed}`);
      }
      if (count % 256 === 0 && swim.take().sends.some(({ packet: { length } }) => length > 1400)) {
        throw new Error(`a long packet: SEED=${seed}`);
      }
      if (swim.members().length > 40 && count % 256 === 0) throw new Error(`grew: SEED=${seed}`);
      if (count % 20_000 === 0) swim = listener();
    }
    expect(dropped).toBeGreaterThan(PACKETS / 10);
  }, 20_000);

  test(`frames of streams: ${2 * FRAMES} (SEED=${seed})`, () => {
    const prng = new Prng(seed + 2);
    const swim = listener();
    const circle = new Circle(8);
    const other = new Swim(DEFAULTS, selfOf(9), new Prng(3), START_MS);
    other.join(["10.0.0.0:7946"], START_MS);
    const order = other.take().streams[0]!;
    const frames = [order.frame, circle.swim(0).answer(order.frame, START_MS)!];
    for (let count = 0; count < FRAMES * 2; count += 1) {
      const frame = damage(prng, frames[prng.int(2)]!, frames[prng.int(2)]!);
      if (count % 2 === 0 && frame.length >= HEADER_BYTES) {
        frame[0] = FRAME.stream;
        frame[1] = 1;
        seal(frame);
      }
      const { digest, drops } = swim;
      const { malformed } = drops;
      swim.answer(frame, START_MS + 2_000);
      if (drops.malformed > malformed && swim.digest !== digest) throw new Error(`changed: SEED=${seed}`);
      other.join(["10.0.0.0:7946"], START_MS + 2_000);
      other.streamed(other.take().streams[0]!.id, frame, START_MS + 2_000);
      if (swim.members().length > 40) throw new Error(`grew: SEED=${seed}`);
    }
  }, 20_000);
});

test("a stranger's packet never makes more bytes out than in", () => {
  const packets = corpus();
  const swim = listener();
  const { digest } = swim;
  const prng = new Prng(seed);
  let nowMs = START_MS + 2_000;
  for (let count = 0; count < 20_000; count += 1) {
    const packet = damage(prng, packets[prng.int(packets.length)]!, packets[prng.int(packets.length)]!);
    if (packet.length >= HEADER_BYTES) {
      packet[0] = FRAME.datagram;
      packet[1] = 1;
      seal(packet);
    }
    swim.receive("192.0.2.1:9", packet, nowMs);
    const { sends, streams, events } = swim.take();
    const out = sends.reduce((sum, send) => sum + send.packet.length, 0);
    if (out > packet.length) throw new Error(`${out} bytes out for ${packet.length} in: SEED=${seed}`);
    expect(streams.length + events.length).toBe(0);
    nowMs += 0.001;
  }
  expect(swim.drops.strangers).toBeGreaterThan(1000);
  expect(swim.digest).toBe(digest);
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
