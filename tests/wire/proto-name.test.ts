/** The model's name in a protobuf message: found early, and never two of them. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ProtoName } from "../../src/wire/proto-name.ts";
import { cutAt, cuts, placed } from "./pieces.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** What is told of a message in these pieces: the name, or "-"; then what is wrong with it. */
function read(pieces: readonly Uint8Array[], number = 1): [string, string] {
  const name = new ProtoName(
    number,
    pieces.reduce((sum, piece) => sum + piece.length, 0),
  );
  for (const piece of pieces) {
    const fine = name.push(placed(piece, piece.length), 3, 3 + piece.length);
    expect(fine).toBe(name.fault === "");
    if (!fine) break;
  }
  return [name.isFound ? Buffer.from(name.bytes).toString() : "-", name.fault];
}

/** Reads whole, in two at every place, and byte by byte: all must agree. */
function readEverywhere(bytes: Uint8Array, number = 1): [string, string] {
  const whole = read([bytes], number);
  for (let at = 0; at <= bytes.length; at++) expect(read(cutAt(bytes, [at]), number)).toEqual(whole);
  expect(read(cutAt(bytes, [...bytes.keys()]), number)).toEqual(whole);
  return whole;
}

describe("the name", () => {
  test.each([
    ["first", "0a 01 61 12 01 62", 1, "a"],
    ["second", "0a 01 61 12 01 62", 2, "b"],
    ["behind every other type", "10 96 01 19 0102030405060708 25 01020304 0a 01 61", 1, "a"],
    ["before them", "0a 01 61 10 96 01 19 0102030405060708 25 01020304 12 00", 1, "a"],
    ["empty", "0a 00", 1, ""],
    ["of a large number", "fa 3f 01 61", 1023, "a"],
    ["with a length and a tag that are longer than need be", "8a 80 00 81 80 00 61", 1, "a"],
    ["absent", "12 01 62", 1, "-"],
    ["in an empty message", "", 1, "-"],
    ["with the number of another type", "08 05 0a 01 61", 1, "a"],
    ["inside another message", "12 03 0a 01 62 0a 01 61", 1, "a"],
    ["behind a group that has one too", "13 0a 01 62 1b 0a 01 63 1c 14 0a 01 61", 1, "a"],
    ["inside a group alone", "13 0a 01 62 14", 1, "-"],
  ])("%s", (_what, bytes, number, name) => {
    expect(readEverywhere(hex(bytes), number)).toEqual([name, ""]);
  });

  test.each([
    ["another one", "0a 01 61 0a 01 62"],
    ["the same again", "0a 01 61 0a 01 61"],
    ["an empty one", "0a 01 61 0a 00"],
    ["an empty one first", "0a 00 0a 01 61"],
    ["behind other fields", "0a 01 61 10 96 01 12 03 0a 01 62 25 01020304 0a 01 62"],
    ["with a tag that is longer than need be", "0a 01 61 8a 00 01 62"],
    ["behind a group", "0a 01 61 13 14 0a 01 62"],
  ])("twice: %s", (_what, bytes) => {
    expect(readEverywhere(hex(bytes))[1]).toContain("twice");
  });

  test.each([
    ["longer than the message", "0a 05 61", "longer than its message"],
    ["another one longer than the message", "12 05 61", "longer than its message"],
    ["a length of many gigabytes", "12 ff ff ff ff ff ff 01", "longer than its message"],
    ["a fixed number that is cut off", "19 01", "longer than its message"],
    ["a group that does not end", "0b", "in the midst"],
    ["a group that another one ends", "0b 14", "not begun"],
    ["the end of a group", "0c", "not begun"],
    ["field 0", "02 01 61", "number"],
    ["a number of type 6", "0e", "type"],
    ["a number of type 7", "0f", "type"],
    ["a tag whose lower 32 bits are another one", "8a 80 80 80 80 01 01 62", "number"],
    ["an endless varint", "10 ff ff ff ff ff ff ff ff ff ff 01", "ten bytes"],
    ["a varint that is cut off", "10 ff", "in the midst"],
    ["a tag alone", "0a", "in the midst"],
    ["a name of 513 bytes", `0a 81 04 ${"61".repeat(513)}`, "512"],
  ])("%s is bad", (_what, bytes, fault) => {
    const [name, reason] = readEverywhere(hex(bytes));
    expect([name, reason]).toEqual(["-", expect.stringContaining(fault)]);
  });

  test("groups are followed to a depth of 100", () => {
    const nested = (depth: number): Buffer =>
      Buffer.concat([Buffer.alloc(depth, 0x13), Buffer.alloc(depth, 0x14), hex("0a 01 61")]);
    expect(read([nested(100)])).toEqual(["a", ""]);
    expect(read([nested(101)])[1]).toContain("deeper");
  });

  test("is good for routing as soon as it is there", () => {
    const bytes = hex("10 96 01 12 03 626262 0a 03 616263 1a 01 63");
    const name = new ProtoName(1, bytes.length);
    for (let at = 0; at < bytes.length; at++) {
      name.push(bytes, at, at + 1);
      expect(name.isFound).toBe(at >= 12);
    }
    expect([Buffer.from(name.bytes).toString(), name.rest]).toEqual(["abc", 0]);
  });
});

test("any fields in any pieces: the name that is there once is found, and no message with two passes", () => {
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))];
  const field = fc.oneof(
    fc.nat(70_000).map((value) => ({ isName: false, bytes: [...varint(5 << 3), ...varint(value)] })),
    fc.uint8Array({ minLength: 8, maxLength: 8 }).map((raw) => ({ isName: false, bytes: [(6 << 3) | 1, ...raw] })),
    fc.uint8Array({ maxLength: 200 }).map((raw) => ({
      isName: false,
      bytes: [...varint((300 << 3) | 2), ...varint(raw.length), ...raw],
    })),
    fc.string({ unit: "binary-ascii", maxLength: 20 }).map((text) => ({
      isName: true,
      bytes: [(3 << 3) | 2, text.length, ...Buffer.from(text, "latin1")],
    })),
  );
  fc.assert(
    fc.property(fc.array(field, { maxLength: 8 }), cuts(400), (fields, places) => {
      const bytes = Uint8Array.from(fields.flatMap((one) => one.bytes));
      const pieces = cutAt(
        bytes,
        places.filter((place) => place <= bytes.length),
      );
      const names = fields.filter((one) => one.isName);
      const [name, fault] = read(pieces, 3);
      expect(fault.includes("twice")).toBe(names.length > 1);
      if (names.length === 1) expect(name).toBe(Buffer.from(names[0]!.bytes.slice(2)).toString("latin1"));
      if (names.length < 2) expect(fault).toBe("");
    }),
    { seed: 14, numRuns: 500 },
  );
});

test("random bytes are read or refused, whatever the pieces", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), cuts(60), (bytes, places) => {
      const usable = places.filter((place) => place <= bytes.length);
      expect(read(cutAt(bytes, usable))).toEqual(read([bytes]));
    }),
    { seed: 15, numRuns: 2000 },
  );
});
