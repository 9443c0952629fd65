/** What routers tell each other of prompts that they sent somewhere. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ByteWriter } from "../../src/base/bytes.ts";
import { PREFIX_BLOCKS_MAX } from "../../src/score/prefix-layout.ts";
import { placeKey } from "../../src/signal/flights.ts";
import { PREFIXES, PrefixTeller, readPrefixes } from "../../src/signal/prefix-news.ts";

const KEY = placeKey("gpu-1", "llama");
const SCHEME = 1;

/** Two words a block, the upper one with its sign bit. */
function hashesOf(blocks: number, seed: number): Int32Array {
  return Int32Array.from({ length: blocks * 2 }, (_, at) => {
    const word = Math.imul(at + 1 + seed * 1000, 0x9e3779b1);
    return at % 2 === 0 ? word : word | 0x80000000;
  });
}

/** What is heard of a place's blocks, behind one another. */
function heard(packets: readonly Uint8Array[]): Map<number, number[]> {
  const all = new Map<number, number[]>();
  for (const packet of packets) {
    for (const { key, chain, blocks } of readPrefixes(packet)!) {
      expect(chain.length).toBe((blocks + 1) * 2);
      all.set(key, [...(all.get(key) ?? []), ...chain.subarray(2)]);
    }
  }
  return all;
}

describe("telling", () => {
  test("whatever is told is heard, in messages of the size that is allowed", () => {
    const key = fc.nat({ max: 2 ** 48 - 1 });
    const prompts = fc.array(fc.tuple(key, fc.integer({ min: 1, max: PREFIX_BLOCKS_MAX }), fc.nat()), { maxLength: 8 });
    fc.assert(
      fc.property(prompts, fc.integer({ min: 64, max: 1400 }), (told, packetBytesMax) => {
        const teller = new PrefixTeller({ packetBytesMax, bytesPerSecond: 1 << 24 });
        const wanted = new Map<number, number[]>();
        for (const [at, blocks, seed] of told) {
          const hashes = hashesOf(blocks, seed % 1000);
          wanted.set(at, [...(wanted.get(at) ?? []), ...hashes]);
          teller.offer(at, hashes, 1, 0);
        }
        const packets = teller.take();
        for (const packet of packets) expect(packet.length).toBeLessThanOrEqual(packetBytesMax);
        expect(heard(packets)).toEqual(wanted);
        expect(teller.take()).toEqual([]);
        expect(teller.droppedBlocks).toBe(0);
      }),
    );
  });

  test("while much is told only what is new of a prompt is, and no more than may be", () => {
    const teller = new PrefixTeller({ packetBytesMax: 1400, bytesPerSecond: 10_000 });
    const bytes = (): number => teller.take().reduce((sum, packet) => sum + packet.length, 0);
    teller.offer(KEY, hashesOf(500, 1), 3, 0);
    expect(bytes()).toBeGreaterThan(4000);
    teller.offer(KEY, hashesOf(500, 2), 400, 1);
    expect(bytes()).toBeGreaterThan(3000);
    // Less than half is left.
    teller.offer(KEY, hashesOf(500, 3), 3, 2);
    const [packet, ...others] = teller.take();
    expect(others).toEqual([]);
    expect(readPrefixes(packet!)).toMatchObject([{ key: KEY, blocks: 3 }]);
    expect([...readPrefixes(packet!)![0]!.chain.subarray(2)]).toEqual([...hashesOf(500, 3).subarray(497 * 2)]);
    for (let prompt = 0; prompt < 100; prompt += 1) teller.offer(KEY, hashesOf(50, prompt), 50, 3);
    expect(bytes()).toBeLessThan(3000);
    expect(teller.droppedBlocks).toBeGreaterThan(4000);
    // A second later there is room again, for a second's worth.
    const told = teller.toldBlocks;
    for (let prompt = 0; prompt < 100; prompt += 1) teller.offer(KEY, hashesOf(50, prompt), 50, 60_000);
    expect(bytes()).toBeLessThanOrEqual(10_000);
    expect(teller.toldBlocks - told).toBeGreaterThan(1000);
  });
});

describe("hearing", () => {
  test("no bytes break it: they are a message, or none", () => {
    const head = fc.constantFrom([], [PREFIXES], [PREFIXES, SCHEME], [PREFIXES, 2]);
    fc.assert(
      fc.property(head, fc.uint8Array({ maxLength: 200 }), (first, rest) => {
        for (const { key, chain, blocks } of readPrefixes(Uint8Array.from([...first, ...rest])) ?? []) {
          expect(key).toBeLessThan(2 ** 48);
          expect(blocks).toBeLessThanOrEqual(PREFIX_BLOCKS_MAX);
          for (let block = 1; block <= blocks; block += 1) expect(chain[block * 2 + 1]).toBeLessThan(0);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("a message that was cut, or has more than may be, is none", () => {
    const teller = new PrefixTeller({ packetBytesMax: 1400, bytesPerSecond: 1 << 20 });
    teller.offer(KEY, hashesOf(4, 1), 4, 0);
    const [packet] = teller.take();
    for (let length = 3; length < packet!.length; length += 1) {
      expect(readPrefixes(packet!.subarray(0, length))).toBeUndefined();
    }
    expect(readPrefixes(packet!.subarray(0, 1))).toBeUndefined();
    expect(readPrefixes(new Uint8Array(0))).toBeUndefined();
    const writer = new ByteWriter(8192);
    for (const byte of [PREFIXES, SCHEME, 0, 0, 0, 0, 0, 0]) writer.byte(byte);
    writer.varint(PREFIX_BLOCKS_MAX + 1);
    for (const word of hashesOf(PREFIX_BLOCKS_MAX + 1, 1)) writer.fixed32(word);
    expect(readPrefixes(writer.bytes())).toBeUndefined();
  });

  test("a hash without its sign bit is none: the index takes that for an entry that is being written", () => {
    const packet = Uint8Array.of(PREFIXES, SCHEME, 1, 2, 3, 4, 5, 6, 1, 9, 9, 9, 9, 8, 8, 8, 0x08);
    expect(readPrefixes(packet)).toBeUndefined();
    packet[packet.length - 1] = 0x88;
    expect(readPrefixes(packet)).toMatchObject([{ key: 0x0605 * 2 ** 32 + 0x04030201, blocks: 1 }]);
  });

  test("prompts that are hashed in another way are let be", () => {
    expect(readPrefixes(Uint8Array.of(PREFIXES, 7, 1, 2, 3))).toEqual([]);
  });
});
