import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  RANDOM,
  SAMPLED,
  TRACEPARENT_BYTES,
  TraceParent,
  isSampled,
  newSpanId,
  newTrace,
  stateMembers,
  writeTraceparent,
} from "../../src/wire/trace-context.ts";
import { bytesOf, placed } from "./pieces.ts";

const SEED = 20_261_127;
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";

/** What `text` reads as, written again; undefined when it is refused. Bytes around it must not matter. */
function read(text: string): string | undefined {
  const bytes = bytesOf(text);
  const place = new TraceParent();
  const results = [0x0a, 0x61].map((filler) => {
    if (!place.read(placed(bytes, bytes.length, 3, filler), 3, 3 + bytes.length)) return undefined;
    const out = new Uint8Array(80).fill(0x2a);
    expect(writeTraceparent(place, out, 5)).toBe(5 + TRACEPARENT_BYTES);
    expect([out[4], out[5 + TRACEPARENT_BYTES]]).toEqual([0x2a, 0x2a]);
    return Buffer.from(out.subarray(5, 5 + TRACEPARENT_BYTES)).toString("latin1");
  });
  expect(results[1]).toBe(results[0]);
  return results[0];
}

describe("traceparent", () => {
  test.each([
    [`00-${TRACE}-${PARENT}-01`, `00-${TRACE}-${PARENT}-01`],
    [`00-${TRACE}-${PARENT}-00`, `00-${TRACE}-${PARENT}-00`],
    [`00-${TRACE}-${PARENT}-03`, `00-${TRACE}-${PARENT}-03`],
    [
      "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01",
      "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01",
    ],
    [
      "00-00000000000000000000000000000001-0000000000000001-00",
      "00-00000000000000000000000000000001-0000000000000001-00",
    ],
    [
      "00-10000000000000000000000000000000-1000000000000000-00",
      "00-10000000000000000000000000000000-1000000000000000-00",
    ],
  ])("%s is read, and written as %s", (text, written) => {
    expect(read(text)).toBe(written);
  });

  test("flags that nobody knows are cleared", () => {
    expect(read(`00-${TRACE}-${PARENT}-ff`)).toBe(`00-${TRACE}-${PARENT}-03`);
    expect(read(`00-${TRACE}-${PARENT}-fc`)).toBe(`00-${TRACE}-${PARENT}-00`);
  });

  test("a later version is read as 00, with or without more behind it", () => {
    const written = `00-${TRACE}-${PARENT}-01`;
    for (const text of [`01-${TRACE}-${PARENT}-01`, `cc-${TRACE}-${PARENT}-01-what-the-future-holds`]) {
      expect(read(text)).toBe(written);
    }
    expect(read(`fe-${TRACE}-${PARENT}-01-`)).toBe(written);
  });

  test.each([
    ["nothing", ""],
    ["version ff", `ff-${TRACE}-${PARENT}-01`],
    ["a version that is no number", `0x-${TRACE}-${PARENT}-01`],
    ["more behind version 00", `00-${TRACE}-${PARENT}-01-`],
    ["more behind version 00, without a dash", `00-${TRACE}-${PARENT}-01x`],
    ["more behind a later version, without a dash", `01-${TRACE}-${PARENT}-01.x`],
    ["capitals in the trace's id", `00-${TRACE.toUpperCase()}-${PARENT}-01`],
    ["capitals in the parent's id", `00-${TRACE}-${PARENT.toUpperCase()}-01`],
    ["capitals in the flags", `00-${TRACE}-${PARENT}-0A`],
    ["a trace's id of zeros", `00-${"0".repeat(32)}-${PARENT}-01`],
    ["a parent's id of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["other separators", `00_${TRACE}_${PARENT}_01`],
    ["one that is short", `00-${TRACE.slice(1)}-${PARENT}-01`],
    ["a later one that is short", `01-${TRACE}-${PARENT}-1`],
    ["a letter beyond f", `00-${TRACE.replace("a", "g")}-${PARENT}-01`],
    ["a byte below 0", `00-${TRACE.replace("a", "/")}-${PARENT}-01`],
    ["a byte between 9 and a", `00-${TRACE.replace("a", ":")}-${PARENT}-01`],
  ])("%s is refused", (_what, text) => {
    expect(read(text)).toBeUndefined();
  });

  test("cut off anywhere it is refused", () => {
    const whole = `00-${TRACE}-${PARENT}-01`;
    for (let length = 0; length < whole.length; length++) expect(read(whole.slice(0, length))).toBeUndefined();
  });

  test("what is written reads as what was meant, and agrees with a plain pattern on any text", () => {
    const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));
    const nearly = fc
      .tuple(hex(2), hex(32), hex(16), hex(2), fc.constantFrom("", "", "-", "-x", "x"))
      .map(([version, trace, parent, flags, rest]) => `${version}-${trace}-${parent}-${flags}${rest}`);
    const spoilt = fc
      .tuple(nearly, fc.nat(60), fc.constantFrom("", "0", "-", "G", " "))
      .map(([text, at, by]) => text.slice(0, at) + by + text.slice(at + 1));
    fc.assert(
      fc.property(fc.oneof(nearly, spoilt), (text) => {
        const found = /^(?!ff)(?:00-(.{32})-(.{16})-(..)|(?!00)[0-9a-f]{2}-(.{32})-(.{16})-(..)(?:-.*)?)$/.exec(text);
        const [trace = "", parent = "", flags = ""] = (found ?? []).slice(1).filter((part) => part !== undefined);
        const good =
          /^[0-9a-f]{32}$/.test(trace) &&
          /^[0-9a-f]{16}$/.test(parent) &&
          /^[0-9a-f]{2}$/.test(flags) &&
          !/^0+$/.test(trace) &&
          !/^0+$/.test(parent);
        const known = (Number.parseInt(flags, 16) & (SAMPLED | RANDOM)).toString(16).padStart(2, "0");
        expect(read(text)).toBe(good ? `00-${trace}-${parent}-${known}` : undefined);
      }),
      { seed: SEED, numRuns: 500 },
    );
  });
});

describe("new ids", () => {
  test("are the words that were given, and never zeros", () => {
    const place = new TraceParent();
    const out = Buffer.alloc(TRACEPARENT_BYTES);
    newTrace(place, 0x01234567, 0x89abcdef, -1, 5);
    newSpanId(place, 0xdeadbeef, 7);
    writeTraceparent(place, out, 0);
    expect(out.toString()).toBe("00-0123456789abcdefffffffff00000005-deadbeef00000007-02");
    newTrace(place, 0, 0, 0, 0);
    newSpanId(place, 0, 0);
    writeTraceparent(place, out, 0);
    expect(out.toString()).toBe("00-00000000000000000000000000000001-0000000000000001-02");
    expect(place.read(out, 0, out.length)).toBe(true);
  });

  test("a share of them is sampled, the higher the more, and those of a lower one always among them", () => {
    fc.assert(
      fc.property(
        fc.nat(0xffff_ffff),
        fc.nat(0xffff_ffff),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (a, b, ratio) => {
          const place = new TraceParent();
          newTrace(place, 1, 2, a, b);
          expect(isSampled(place, 1)).toBe(true);
          expect(isSampled(place, 0)).toBe(false);
          if (isSampled(place, ratio / 2)) expect(isSampled(place, ratio)).toBe(true);
        },
      ),
      { seed: SEED },
    );
    const place = new TraceParent();
    let sampled = 0;
    for (let i = 0; i < 10_000; i++) {
      newTrace(place, 0, 0, Math.imul(i, 0x9e3779b1), Math.imul(i, 0x85ebca6b));
      if (isSampled(place, 0.25)) sampled++;
    }
    expect(sampled).toBeGreaterThan(2400);
    expect(sampled).toBeLessThan(2600);
  });
});

test.each([
  ["", 0],
  [" \t", 0],
  ["a=1", 1],
  ["a=1,b=2", 2],
  [" a=1 ,\t, ,b=2,", 2],
  [Array.from({ length: 40 }, (_, i) => `k${i}=v`).join(", "), 40],
])("tracestate %p has %p members", (text, members) => {
  const bytes = bytesOf(text);
  expect(stateMembers(placed(bytes, bytes.length, 3, 0x61), 3, 3 + bytes.length)).toBe(members);
});
