/** Prompts of token ids in JSON bodies. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { readTokenIds } from "../../src/wire/token-ids.ts";

const encoder = new TextEncoder();

function read(text: string, room = 1000): number[] | null {
  const ids = new Uint32Array(room);
  const bytes = encoder.encode(`xx${text}yy`);
  const count = readTokenIds(bytes, 2, bytes.length - 2, ids);
  return count < 0 ? null : [...ids.subarray(0, Math.min(room, count))];
}

const id = fc.integer({ min: 0, max: 0xffff_ffff });
const blank = fc.constantFrom("", " ", "\n", "\t  ");

test("what JSON reads as whole numbers is read, in a list or in a list of one", () => {
  fc.assert(
    fc.property(fc.array(id, { minLength: 1, maxLength: 60 }), blank, blank, fc.boolean(), (ids, a, b, isNested) => {
      const list = `${a}[${b}${ids.join(`${a},${b}`)}${a}]${b}`;
      const text = isNested ? `[${a}${list}]${b}` : list;
      expect(JSON.parse(text)).toEqual(isNested ? [ids] : ids);
      expect(read(text)).toEqual(ids);
    }),
  );
});

test("as many as there is room for are kept, and all are counted", () => {
  const ids = new Uint32Array(3);
  const bytes = encoder.encode("[1,2,3,4,5]");
  expect(readTokenIds(bytes, 0, bytes.length, ids)).toBe(5);
  expect([...ids]).toEqual([1, 2, 3]);
});

test("anything else is none", () => {
  const others = ['"text"', '["a","b"]', "[]", "[[]]", "[1,]", "[,1]", "[1,2", "[[1],[2]]", "[[1]", "[1]]", "[-1]"];
  for (const text of [...others, "[1.5]", "[1e3]", "[1 2]", "[4294967296]", "[true]", "[[1],2]", "", "[", "1"]) {
    expect(read(text)).toBeNull();
  }
});

test("no bytes break it, and what it takes for ids JSON does too", () => {
  const piece = fc.constantFrom("[", "]", ",", "1", "0", "23", " ", '"', "-", ".", "e", "{", "}");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const text = pieces.join("");
      const ids = read(text);
      // A leading zero is none of JSON's: the target will refuse what nobody else has cached.
      if (ids === null || /(^|[^0-9])0[0-9]/.test(text)) return;
      const parsed = JSON.parse(text) as number[] | number[][];
      expect(Array.isArray(parsed[0]) ? parsed[0] : parsed).toEqual(ids);
    }),
    { numRuns: 3000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      expect(readTokenIds(bytes, 0, bytes.length, new Uint32Array(8))).toBeGreaterThanOrEqual(-1);
    }),
  );
});
