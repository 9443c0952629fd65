import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PIECE_CHARS_MAX, Writer, saltOf, tokenize, unitVector } from "../../src/sim/text.ts";

function written(writer: Writer, tokens: number): { text: string; ids: number[] } {
  const indices = Array.from({ length: tokens }, (_, index) => index);
  return { text: indices.map((index) => writer.text(index)).join(""), ids: indices.map((index) => writer.id(index)) };
}

describe("writer", () => {
  test("the same seed writes the same text, another seed another one", () => {
    expect(written(new Writer(7), 300)).toEqual(written(new Writer(7), 300));
    expect(written(new Writer(8), 300).text).not.toBe(written(new Writer(7), 300).text);
    expect(written(new Writer(7), 40).text).toMatch(/^[A-Z][a-z]+[ a-z,.A-Z\n]+$/);
  });

  test("the tokeniser cuts what was written into the writer's own tokens", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.integer({ min: 1, max: 400 }), (seed, length) => {
        const { text, ids } = written(new Writer(seed), length);
        expect(tokenize(text)).toEqual(ids);
        expect(tokenize(`<|assistant|>\n${text}`).slice(-length)).toEqual(ids);
      }),
    );
  });

  test("ends of itself after 16 to 256 tokens", () => {
    const lengths = Array.from({ length: 500 }, (_, seed) => new Writer(seed).naturalTokens);
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(16);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(256);
    expect(new Set(lengths).size).toBeGreaterThan(100);
  });
});

describe("tokeniser", () => {
  test("gives about one token for four characters of English", () => {
    const { text, ids } = written(new Writer(1), 5_000);
    const ratio = text.length / ids.length;
    expect(ratio > 3.5 && ratio < 5).toBe(true);
  });

  test("covers any text with pieces of bounded length, and a longer text keeps the tokens of its beginning", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), fc.string({ maxLength: 50 }), (text, more) => {
        const ids = tokenize(text);
        expect(ids.length).toBeGreaterThanOrEqual(Math.ceil(text.length / PIECE_CHARS_MAX));
        expect(ids.length).toBeLessThanOrEqual(text.length);
        expect(tokenize(`${text}\n\n.${more}`).slice(0, Math.max(0, ids.length - 1))).toEqual(ids.slice(0, -1));
      }),
    );
    expect(tokenize("")).toEqual([]);
    expect(tokenize("a  b")).toHaveLength(3);
  });
});

test("salts differ by seed and text, vectors have length 1", () => {
  expect(saltOf(1, "a")).toBe(saltOf(1, "a"));
  expect(new Set([saltOf(1, "a"), saltOf(2, "a"), saltOf(1, "b")]).size).toBe(3);
  const vector = unitVector(3, 256);
  expect(vector.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 5);
  expect(unitVector(3, 256)).toEqual(vector);
  expect(unitVector(4, 256)).not.toEqual(vector);
});
