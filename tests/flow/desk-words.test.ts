/** What routers' desks say to each other, as bytes. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ByteWriter } from "../../src/base/bytes.ts";
import { keyOf } from "../../src/base/key.ts";
import { deskOwner } from "../../src/flow/desk-owner.ts";
import {
  type DeskWord,
  HEAD_BYTES,
  HOMES_MAX,
  readHead,
  readWords,
  WORD,
  WORD_BYTES_MAX,
  writeHead,
  writeWord,
} from "../../src/flow/desk-words.ts";

const key = fc.nat({ max: 2 ** 48 - 1 });
const id = fc.nat({ max: 2 ** 32 - 1 });
const tokens = fc.integer({ min: 1, max: 2 ** 31 });
const ms = fc.nat({ max: 4_000_000_000 }).map((tenths) => tenths / 10);
const home = fc.record({ place: key, tokens: fc.nat({ max: 2 ** 31 }) });
const homes = fc.array(home, { maxLength: HOMES_MAX });

const word: fc.Arbitrary<DeskWord> = fc.oneof(
  fc.record({
    word: fc.constant(WORD.ask),
    id,
    model: key,
    digest: key,
    tokens,
    priority: fc.nat({ max: 255 }),
    ageMs: ms,
    wantedInMs: fc.oneof(ms, fc.constant(Infinity)),
    tenant: key,
    weight: fc.integer({ min: 1, max: 64 }).map((eighths) => eighths / 8),
    isSilent: fc.boolean(),
    session: fc.option(fc.record({ place: key, slackMs: ms })),
    homes,
  }),
  fc.record({ word: fc.constant(WORD.homes), id, homes }),
  fc.record({ word: fc.constantFrom(WORD.over, WORD.unreached), id }),
  fc.record({ word: fc.constant(WORD.answered), id, agoMs: ms }),
  fc.record({
    word: fc.constant(WORD.bound),
    id,
    place: key,
    tokens,
    waiting: id,
    aheadMs: ms,
    workMs: ms,
    kind: fc.nat({ max: 2 }),
  }),
  fc.record({ word: fc.constant(WORD.declined), model: key, why: fc.constantFrom(0 as const, 1 as const, 2 as const) }),
  fc.record({ word: fc.constant(WORD.crowd), model: key, isCrowded: fc.boolean() }),
);

const HEAD = { decides: true, life: 7, toLife: 0, seq: 3, ack: 2 ** 32 - 1 };

function packetOf(words: readonly DeskWord[]): Uint8Array {
  const writer = new ByteWriter(65_536);
  writeHead(writer, HEAD);
  for (const one of words) writeWord(writer, one);
  return writer.bytes();
}

describe("words of desks", () => {
  test("whatever is said is heard, none longer than a word may be", () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 20 }), (words) => {
        const packet = packetOf(words);
        expect(packet.length).toBeLessThanOrEqual(HEAD_BYTES + words.length * WORD_BYTES_MAX);
        expect(readHead(packet)).toEqual(HEAD);
        expect(readWords(packet)).toEqual(words);
      }),
    );
  });

  test("what is beyond the limits is said within them, and of too many homes the best", () => {
    const many = Array.from({ length: 20 }, (_, at) => ({ place: at, tokens: at * 10 }));
    const packet = packetOf([
      { word: WORD.homes, id: 1, homes: many },
      { word: WORD.answered, id: 2, agoMs: -5 },
      { word: WORD.answered, id: 3, agoMs: 1e12 },
    ]);
    const [told, now, long] = readWords(packet)!;
    expect(told).toEqual({ word: WORD.homes, id: 1, homes: many.slice(-HOMES_MAX).toReversed() });
    expect(now).toEqual({ word: WORD.answered, id: 2, agoMs: 0 });
    expect(long).toEqual({ word: WORD.answered, id: 3, agoMs: (2 ** 32 - 2) / 10 });
  });

  test("bytes that are none of ours say nothing, and no bytes do harm", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        readHead(bytes);
        readWords(bytes);
        const words = readWords(Uint8Array.of(...packetOf([]), ...bytes));
        // What is read is what would be written.
        if (words !== undefined) expect(readWords(packetOf(words))).toEqual(words);
      }),
      { numRuns: 2000 },
    );
  });

  test("a packet that is cut, or whose head is another's, is malformed", () => {
    fc.assert(
      fc.property(word, fc.nat(), (one, at) => {
        const packet = packetOf([one]);
        const cut = packet.subarray(0, HEAD_BYTES + 1 + (at % (packet.length - HEAD_BYTES - 1)));
        expect(readWords(cut)).toBeUndefined();
      }),
    );
    const packet = packetOf([]);
    for (const [place, value] of [
      [0, 0x61],
      [1, 2],
      [2, 9],
    ] as const) {
      const other = packet.slice();
      other[place] = value;
      expect(readHead(other)).toBeUndefined();
    }
    expect(readHead(packet.subarray(0, HEAD_BYTES - 1))).toBeUndefined();
    // No line has a life of 0.
    expect(readHead(packet.slice().fill(0, 3, 7))).toBeUndefined();
  });
});

describe("who decides", () => {
  const routers = Array.from({ length: 8 }, (_, at) => `router-${at}`);
  const models = Array.from({ length: 4000 }, (_, at) => keyOf(`http  model-${at}`));

  test("is the same for all, whatever order they know each other in, and spread evenly", () => {
    const counts = new Map<string, number>();
    for (const model of models) {
      const owner = deskOwner(routers, model);
      expect(deskOwner(routers.toReversed(), model)).toBe(owner);
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    for (const router of routers) {
      expect(counts.get(router) ?? 0).toBeGreaterThan(375);
      expect(counts.get(router) ?? 0).toBeLessThan(625);
    }
    expect(deskOwner([], 1)).toBe("");
  });

  test("changes only for the models of one that leaves", () => {
    const without = routers.filter((router) => router !== "router-3");
    for (const model of models) {
      const owner = deskOwner(routers, model);
      if (owner !== "router-3") expect(deskOwner(without, model)).toBe(owner);
    }
  });
});
