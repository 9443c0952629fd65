import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CanonicalBody } from "../../src/wire/json-canonical.ts";
import { placed } from "./pieces.ts";

const canonical = new CanonicalBody();

function read(text: string): string | undefined {
  const bytes = Buffer.from(text);
  const ok = canonical.read(placed(bytes, bytes.length, 3, 0x22), 3, 3 + bytes.length);
  return ok ? Buffer.from(canonical.bytes).toString() : undefined;
}

describe("the canonical form of a body", () => {
  test.each([
    ["{}", "{}"],
    [' { "a" : [ 1 , "x y" ] } \n', '{"a":[1,"x y"]}'],
    ['{"a": "\\" b \\\\" , "c" : 1}', '{"a":"\\" b \\\\","c":1}'],
    ['{"b":1,"a":1.0}', '{"b":1,"a":1.0}'],
  ])("%s", (text, expected) => {
    expect(read(text)).toBe(expected);
  });

  test("what is no object has none", () => {
    for (const text of ["", "[]", '{"a":1', "{} {}", '{"a":01}']) expect(read(text)).toBeUndefined();
    expect(canonical.bytes.length).toBe(0);
  });

  test("blanks make no difference, and anything else does", () => {
    const value = fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue());
    fc.assert(
      fc.property(value, fc.constantFrom(1, "\t", 2), (one, indent) => {
        const text = JSON.stringify(one);
        expect(read(JSON.stringify(one, null, indent))).toBe(text);
        expect(read(text)).toBe(text);
      }),
      { numRuns: 500, seed: 3 },
    );
  });
});

describe("what decides whether an answer is kept", () => {
  test.each([
    ["{}", false, false],
    ['{"temperature":0}', true, false],
    ['{"temperature":0.0,"stream":false}', true, false],
    ['{"temperature":-0e5,"stream":null}', true, false],
    ['{"t\\u0065mperature":0}', true, false],
    ['{"temperature":0.1}', false, false],
    ['{"temperature":"0"}', false, false],
    ['{"temperature":null}', false, false],
    ['{"temperature":[]}', false, false],
    ['{"temperature":0,"temperature":1}', false, false],
    ['{"temperature":1,"temperature":0}', false, false],
    ['{"temperature":0,"temperature":0}', false, false],
    ['{"a":{"temperature":0,"stream":true}}', false, false],
    ['{"temperature":0,"stream":true}', true, true],
    ['{"temperature":0,"str\\u0065am":1}', true, true],
    ['{"stream":true,"stream":false}', false, true],
  ])("%s: greedy %p, streams %p", (text, isGreedy, streams) => {
    expect(read(text)).toBeDefined();
    expect([canonical.isGreedy, canonical.streams]).toEqual([isGreedy, streams]);
  });
});
