/** The small readers of the gRPC lane: framing, timeouts, one field of a protobuf message. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { areWhole, GrpcFraming, messageLength } from "../../src/wire/grpc-framing.ts";
import { formatTimeout, parseTimeout } from "../../src/wire/grpc-timeout.ts";
import { fieldOf } from "../../src/wire/header-field.ts";
import { ProtoField } from "../../src/wire/proto-field.ts";
import { cutAt, cuts } from "./pieces.ts";

function framed(length: number, flag = 0): Buffer {
  const bytes = Buffer.alloc(5 + length, 7);
  bytes[0] = flag;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

describe("framing", () => {
  test("messages of any size in any pieces are counted, and none is larger than allowed", () => {
    const sizes = fc.array(fc.nat(300), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(sizes, cuts(1200), fc.integer({ min: 1, max: 300 }), (lengths, places, max) => {
        const all = Buffer.concat(lengths.map((length) => framed(length)));
        const framing = new GrpcFraming(max);
        let fine = true;
        for (const piece of cutAt(
          all,
          places.map((place) => Math.min(place, all.length)),
        )) {
          fine &&= framing.push(piece, 0, piece.length);
        }
        expect(fine).toBe(lengths.every((length) => length <= max));
        if (!fine) return;
        expect(framing.messages).toBe(lengths.length);
        expect(framing.length).toBe(lengths.at(-1)!);
      }),
      { seed: 11 },
    );
  });

  test("whole messages need no memory", () => {
    const two = Buffer.concat([framed(10), framed(0)]);
    for (let end = 0; end <= two.length; end++) {
      expect(areWhole(two, 0, end, 10)).toBe(end === 0 || end === 15 || end === 20);
    }
    expect(areWhole(two, 0, two.length, 9)).toBe(false);
  });

  test("part of a message is told from the whole", () => {
    const bytes = framed(10, 1);
    for (let end = 1; end < bytes.length; end++) {
      const framing = new GrpcFraming(10);
      expect(framing.push(bytes, 0, end)).toBe(true);
      expect(framing.messages).toBe(end < 5 ? 0 : 1);
      expect(messageLength(bytes, 0, end)).toBe(end < 5 ? -1 : 10);
    }
    expect(messageLength(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), 0, 5)).toBe(0xffff_ffff);
  });
});

describe("timeouts", () => {
  const parse = (text: string): number => parseTimeout(fieldOf("grpc-timeout", text));

  test("every unit", () => {
    expect(["1H", "2M", "3S", "4m", "5u", "6n"].map(parse)).toEqual([3_600_000, 120_000, 3000, 4, 0.005, 0.000006]);
    expect(parse("99999999H")).toBe(99_999_999 * 3_600_000);
  });

  test("anything else is none", () => {
    for (const text of ["", "5", "m", "123456789m", "-1m", "1.5S", "1 S", "5x", "5mm"]) expect(parse(text)).toBe(-1);
  });

  test("what is written is read as the same or a little less, and never more", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (leftMs) => {
        const text = formatTimeout(leftMs);
        const readMs = parse(text);
        expect(readMs).toBeGreaterThanOrEqual(0);
        expect(readMs).toBeLessThanOrEqual(leftMs * (1 + 1e-9));
        if (leftMs < 99_999_999_000) expect(leftMs - readMs).toBeLessThanOrEqual(Math.max(0.0011, leftMs * 0.00002));
      }),
      { seed: 12 },
    );
  });
});

describe("a field of a message", () => {
  const find = (bytes: Uint8Array, number: number, end = bytes.length): [string, string] => {
    const field = new ProtoField(number, 0);
    const result = field.read(bytes, end, bytes.length);
    return [result, Buffer.from(bytes.subarray(field.start, field.end)).toString()];
  };
  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

  /** [what, bytes, the field's number, result, text] */
  const CASES: readonly (readonly [string, string, number, string, string])[] = [
    ["first", "0a 01 61 12 01 62", 1, "found", "a"],
    ["second", "0a 01 61 12 01 62", 2, "found", "b"],
    ["the first of two", "0a 01 61 0a 01 62", 1, "found", "a"],
    ["behind every other type", "10 96 01 19 0102030405060708 25 01020304 0a 01 61", 1, "found", "a"],
    ["empty", "0a 00", 1, "found", ""],
    ["of a large number", "fa 3f 01 61", 1023, "found", "a"],
    ["absent", "12 01 62", 1, "absent", ""],
    ["in an empty message", "", 1, "absent", ""],
    ["with the number of another type", "08 05 0a 01 61", 1, "found", "a"],
    ["longer than the message", "0a 05 61", 1, "bad", ""],
    ["another one longer than the message", "12 05 61", 1, "bad", ""],
    ["a group", "0b 0c", 1, "bad", ""],
    ["field 0", "02 01 61", 1, "bad", ""],
    ["a number of type 7", "0f", 1, "bad", ""],
    ["an endless varint", "10 ff ff ff ff ff ff ff ff ff ff 01", 1, "bad", ""],
    ["a varint that is cut off", "10 ff", 1, "bad", ""],
    ["a fixed number that is cut off", "19 01", 1, "bad", ""],
  ];
  for (const [what, bytes, number, result, text] of CASES) {
    test(what, () => expect(find(hex(bytes), number)).toEqual([result, text]));
  }

  test("byte by byte it is found as soon as it is there, and never looked for twice", () => {
    const bytes = hex("10 96 01 19 0102030405060708 12 03 626262 0a 03 616263 1a 01 63");
    const field = new ProtoField(1, 0);
    for (let end = 0; end < bytes.length; end++) {
      const result = field.read(bytes, end, bytes.length);
      expect(result).toBe(end < 22 ? "more" : "found");
      if (result === "found") break;
    }
    expect(Buffer.from(bytes.subarray(field.start, field.end)).toString()).toBe("abc");
  });

  test("random bytes are read or refused, within their message", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(60), (bytes, cut) => {
        const field = new ProtoField(1, 0);
        const end = Math.min(cut, bytes.length);
        if (field.read(bytes, end, bytes.length) === "more") field.read(bytes, bytes.length, bytes.length);
        expect(field.end).toBeLessThanOrEqual(bytes.length);
        expect(field.start).toBeLessThanOrEqual(field.end);
      }),
      { seed: 13, numRuns: 2000 },
    );
  });
});
