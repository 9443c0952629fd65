/** Messages as bytes: every message is read back as written, and no bytes make the decoder stumble. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  decodeMessage,
  encodeMessage,
  ENTRIES_MAX,
  ENTRY_BYTES_MAX,
  MESSAGE_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  SNAPSHOT_BYTES_MAX,
} from "../../src/raft/codec.ts";
import { type Configuration, encodeConfiguration, type Entry, ENTRY_KINDS } from "../../src/raft/entry.ts";
import type { AppendRequest, Message } from "../../src/raft/message.ts";

const whole = fc.oneof(fc.nat(300), fc.maxSafeNat());
const member = fc.integer({ min: 1, max: 2 ** 48 - 1 });
const members = fc.uniqueArray(member, { maxLength: 5 });
const configuration: fc.Arbitrary<Configuration> = fc.record({
  voters: members,
  outgoing: members,
  learners: members,
  learnersNext: members,
});
const position = fc.record({ index: whole, term: whole });
const bytes = fc.uint8Array({ maxLength: 200 });
const head = { from: member, to: member, term: whole };

const entries = fc
  .array(fc.record({ kind: fc.constantFrom(...ENTRY_KINDS), term: fc.nat(5), data: bytes, configuration }))
  .map((drafts) => {
    let index = 6;
    let term = 3;
    return drafts.map((draft): Entry => {
      index += 1;
      term += draft.term;
      const data = draft.kind === "configuration" ? encodeConfiguration(draft.configuration) : draft.data;
      return { index, term, kind: draft.kind, data };
    });
  });

const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ type: fc.constant("vote" as const), ...head, pre: fc.boolean(), transfer: fc.boolean(), last: position }),
  fc.record({ type: fc.constant("vote-reply" as const), ...head, pre: fc.boolean(), granted: fc.boolean() }),
  fc.record({
    type: fc.constant("append" as const),
    ...head,
    previous: fc.constant({ index: 6, term: 3 }),
    commitIndex: whole,
    round: whole,
    entries,
  }),
  fc.record({ type: fc.constant("append-reply" as const), ...head, round: whole, index: whole }),
  fc.record({ type: fc.constant("append-reply" as const), ...head, round: whole, index: whole, hint: position }),
  fc
    .record({
      type: fc.constant("snapshot" as const),
      ...head,
      at: position,
      configuration,
      offset: fc.nat(900),
      bytes,
    })
    .map((chunk) => ({ ...chunk, totalBytes: chunk.offset + chunk.bytes.length + 7 })),
  fc.record({ type: fc.constant("snapshot-reply" as const), ...head, at: position, received: whole }),
  fc.record({ type: fc.constant("transfer" as const), ...head }),
  fc.record({ type: fc.constant("read" as const), ...head, id: whole }),
  fc.record({ type: fc.constant("read-reply" as const), ...head, id: whole }),
  fc.record({ type: fc.constant("read-reply" as const), ...head, id: whole, index: whole }),
);

const appendOf = (...drafts: readonly Partial<Entry>[]): AppendRequest => ({
  type: "append",
  from: 1,
  to: 2,
  term: 3,
  previous: { index: 6, term: 3 },
  commitIndex: 0,
  round: 0,
  entries: drafts.map((draft, at) => ({
    index: 7 + at,
    term: 3,
    kind: "command",
    data: new Uint8Array(0),
    ...draft,
  })),
});
const readBack = (one: Message): Message | undefined => decodeMessage(encodeMessage(one));

describe("a message", () => {
  test("is read back as written", () => {
    fc.assert(fc.property(message, (one) => expect(readBack(one)).toEqual(one)));
  });

  test("is not kept alive by what it carries", () => {
    const packet = encodeMessage(appendOf({ data: new Uint8Array([1, 2, 3]) }));
    const read = decodeMessage(packet);
    packet.fill(0);
    expect(read).toEqual(appendOf({ data: new Uint8Array([1, 2, 3]) }));
  });

  test("cut short or with something behind it is none", () => {
    fc.assert(
      fc.property(message, fc.nat(), (one, seed) => {
        const written = encodeMessage(one);
        expect(decodeMessage(written.subarray(0, seed % written.length))).toBeUndefined();
        expect(decodeMessage(new Uint8Array([...written, seed & 255]))).toBeUndefined();
      }),
    );
  });
});

describe("the decoder", () => {
  test("survives any bytes, and reads each message in one spelling only", () => {
    const check = (packet: Uint8Array): void => {
      const read = decodeMessage(packet);
      // A configuration is JSON, which has many spellings.
      if (read === undefined || Buffer.from(packet).includes("voters")) return;
      expect(encodeMessage(read)).toEqual(packet);
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), check));
    const typed = fc.tuple(fc.nat(9), fc.uint8Array({ maxLength: 64 }));
    fc.assert(
      fc.property(typed, ([kind, rest]) => check(new Uint8Array([1, kind, ...rest]))),
      { numRuns: 1000 },
    );
    const flipped = fc.tuple(message, fc.nat(), fc.nat(7)).map(([one, at, bit]) => {
      const packet = encodeMessage(one);
      packet[at % packet.length]! ^= 1 << bit;
      return packet;
    });
    fc.assert(fc.property(flipped, check), { numRuns: 1000 });
  });

  test("refuses another version, an unknown kind, nobody as a member", () => {
    const written = encodeMessage({ type: "transfer", from: 1, to: 2, term: 3 });
    const changed = (at: number, value: number): Uint8Array => Uint8Array.from(written).fill(value, at, at + 1);
    expect(decodeMessage(written)).toBeDefined();
    expect(decodeMessage(changed(0, 2))).toBeUndefined();
    expect(decodeMessage(changed(1, 9))).toBeUndefined();
    expect(decodeMessage(changed(2, 0))).toBeUndefined();
  });

  test("refuses numbers of 2^53 and more", () => {
    const at = (term: number): Uint8Array => encodeMessage({ type: "transfer", from: 1, to: 2, term });
    expect(decodeMessage(at(Number.MAX_SAFE_INTEGER))).toBeDefined();
    expect(decodeMessage(at(2 ** 53))).toBeUndefined();
    expect(decodeMessage(new Uint8Array([...at(0).subarray(0, 14), ...Array<number>(9).fill(255), 1]))).toBeUndefined();
  });

  test("holds entries to their limits, to rising terms and to readable configurations", () => {
    const megabyte = new Uint8Array(ENTRY_BYTES_MAX);
    const full = appendOf({ data: megabyte }, { data: megabyte });
    expect(encodeMessage(full).length).toBeLessThanOrEqual(MESSAGE_BYTES_MAX);
    expect(readBack(full)).toEqual(full);
    expect(readBack(appendOf({ data: new Uint8Array(ENTRY_BYTES_MAX + 1) }))).toBeUndefined();
    expect(readBack(appendOf({ data: megabyte }, { data: megabyte }, { data: megabyte.subarray(1) }))).toBeUndefined();
    const many = Array.from({ length: ENTRIES_MAX }, () => ({}));
    expect(encodeMessage(appendOf(...many)).length).toBeLessThan(MESSAGE_BYTES_MAX);
    expect(readBack(appendOf(...many))).toEqual(appendOf(...many));
    expect(readBack(appendOf(...many, {}))).toBeUndefined();
    expect(readBack(appendOf({ term: 2 }))).toBeUndefined();
    expect(readBack(appendOf({ term: 4 }, { term: 3 }))).toBeUndefined();
    expect(readBack(appendOf({ kind: "configuration" }))).toBeUndefined();
  });

  test("holds pieces of snapshots to their limits", () => {
    const piece = (totalBytes: number, offset: number, length: number): Message => ({
      type: "snapshot",
      from: 1,
      to: 2,
      term: 3,
      at: { index: 9, term: 2 },
      configuration: { voters: [1, 2], outgoing: [], learners: [], learnersNext: [] },
      totalBytes,
      offset,
      bytes: new Uint8Array(length),
    });
    const whole3 = piece(SNAPSHOT_BYTES_MAX, SNAPSHOT_BYTES_MAX - PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX);
    expect(readBack(whole3)).toEqual(whole3);
    expect(readBack(piece(SNAPSHOT_BYTES_MAX + 1, 0, 1))).toBeUndefined();
    expect(readBack(piece(10, 5, 6))).toBeUndefined();
    expect(readBack(piece(2 * PAYLOAD_BYTES_MAX, 0, PAYLOAD_BYTES_MAX + 1))).toBeUndefined();
  });
});
