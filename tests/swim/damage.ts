/** Packets of a real mesh, and what can happen to them. */
import { expect } from "bun:test";
import type { Prng } from "../../src/base/prng.ts";
import type { Swim } from "../../src/swim/swim.ts";
import { clusterMark, type ClusterMark, HEADER_BYTES, MESSAGE, murmur3 } from "../../src/swim/wire.ts";
import { Circle } from "./lone.ts";

export const MARK = clusterMark("test");

/** Makes the header right again, so that the damage gets past it; or right in another cluster. */
export function seal(packet: Uint8Array, { tag, seed }: ClusterMark = MARK): void {
  const sum = murmur3(packet, HEADER_BYTES, packet.length, seed);
  packet.set([tag, tag >>> 8, sum, sum >>> 8, sum >>> 16, sum >>> 24], 2);
}

/** Packets of every kind, of the cluster "test", about members n0..n7. */
export function corpus(): Uint8Array[] {
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

/** The largest number there is, spelt as lengths and counts are. */
const LARGEST = [0xff, 0xff, 0xff, 0xff, 0x0f];

/** Cut short, two in one, some bits or bytes changed, a count far too large; never as it was. */
export function damage(prng: Prng, from: Uint8Array, other: Uint8Array): Uint8Array {
  for (;;) {
    const damaged = damagedOnce(prng, from, other);
    // Two bits may cancel each other out.
    if (Buffer.compare(damaged, from) !== 0) return damaged;
  }
}

function damagedOnce(prng: Prng, from: Uint8Array, other: Uint8Array): Uint8Array {
  const kind = prng.int(6);
  if (kind === 0) return from.slice(0, prng.int(from.length));
  if (kind === 1) {
    const cut = prng.int(from.length);
    const joined = new Uint8Array(cut + other.length - HEADER_BYTES);
    joined.set(from.subarray(0, cut));
    joined.set(other.subarray(HEADER_BYTES), cut);
    return joined;
  }
  const damaged = from.slice();
  if (kind === 2) {
    const at = HEADER_BYTES + prng.int(Math.max(1, from.length - HEADER_BYTES));
    damaged.set(LARGEST.slice(0, from.length - at), at);
    return damaged;
  }
  const count = kind === 3 ? 1 : 1 + prng.int(6);
  for (let index = 0; index < count; index += 1) {
    const at = prng.int(damaged.length);
    damaged[at] = kind === 5 ? [0, 0x7f, 0x80, 0xff][prng.int(4)]! : damaged[at]! ^ (1 << prng.int(8));
  }
  return damaged;
}

/** The same with a header that is right. */
export function forge(prng: Prng, from: Uint8Array, other: Uint8Array): Uint8Array {
  const forged = damage(prng, from, other);
  if (forged.length < HEADER_BYTES) return forged;
  forged.set(from.subarray(0, 2));
  seal(forged);
  return forged;
}
