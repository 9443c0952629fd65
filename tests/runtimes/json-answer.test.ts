/** JSON of servers: what is told is found, what should not be is not, and nothing of it is long, endless or unprintable. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as read from "../../src/runtimes/json-answer.ts";
import { json, text } from "./replay.ts";

test("what lies at a path is found, in objects and lists", () => {
  const value = read.jsonOf(json({ a: [{ b: "c" }, 2], n: 1.5, f: false, o: { x: 1 } }));
  expect(read.nameAt(value, "a", 0, "b")).toBe("c");
  expect(read.numberAt(value, "n")).toBe(1.5);
  expect(read.countAt(value, "n")).toBeUndefined();
  expect(read.countAt(value, "a", 1)).toBe(2);
  expect(read.flagAt(value, "f")).toBe(false);
  expect(read.membersAt(value, "o")).toEqual([["x", 1]]);
  expect(read.membersAt(value, "a")).toBeUndefined();
  expect(read.itemsAt(value, "o")).toBeUndefined();
  expect(read.listAt(value, "o")).toEqual([]);
  expect(read.memberAt(value, "a", "length")).toBeUndefined();
  expect(read.memberAt(value, "o", "toString")).toBeUndefined();
});

test("names are whole and printable, or none", () => {
  for (const name of ["", " a", "a\n", "\u001b[2J", "\u202e", "\ud800", "x".repeat(read.NAME_CHARS_MAX + 1)]) {
    expect(read.nameAt({ name }, "name")).toBeUndefined();
  }
  expect(read.nameAt({ name: "org/模型:Q4 K" }, "name")).toBe("org/模型:Q4 K");
});

test("words are one short line", () => {
  expect(read.words(" a\n\tb\u001b[1m ")).toBe("a b?[1m");
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 2000 }), (said) => {
      const line = read.words(said);
      expect(line.length).toBeLessThanOrEqual(read.WORDS_CHARS_MAX);
      expect(line.isWellFormed()).toBe(true);
    }),
  );
});

test("numbers are finite, and counts whole", () => {
  for (const n of [-1, Number.NaN, Infinity, "1", null, [1]]) expect(read.numberAt({ n }, "n")).toBeUndefined();
  for (const n of [0, 0.5, 2 ** 60]) expect(read.countAt({ n }, "n")).toBeUndefined();
});

describe("limits", () => {
  test("more bytes than anybody should answer are none", () => {
    expect(read.jsonOf({ body: new TextEncoder().encode(`"${"x".repeat(read.JSON_BYTES_MAX)}"`) })).toBeUndefined();
  });

  test("of long lists the beginning counts", () => {
    const long = Array.from({ length: read.ITEMS_MAX + 5 }, (_, i) => i);
    expect(read.itemsAt({ long }, "long")).toHaveLength(read.ITEMS_MAX);
    expect(read.membersAt(Object.fromEntries(long.map((i) => [`k${i}`, i])))).toHaveLength(read.ITEMS_MAX);
  });

  test("depth is no harm", () => {
    const deep = new TextEncoder().encode("[".repeat(200_000) + "]".repeat(200_000));
    expect(() => read.jsonOf({ body: deep })).not.toThrow();
  });
});

test("a refusal's own words are found, wherever the server puts them", () => {
  const said = (body: unknown) => read.complaint(json(body, 500));
  expect(said({ error: { message: "a" } })).toBe("a");
  expect(said({ error: "b" })).toBe("b");
  expect(said({ code: 405, type: "T", message: "c" })).toBe("c");
  expect(said({ detail: "d" })).toBe("d");
  expect(said({ success: false, error_message: "e" })).toBe("e");
  expect(said({})).toBe("status 500");
  expect(read.complaint(text("plain words", 503))).toBe("plain words");
  expect(read.complaint(text("<html><body>", 502))).toBe("status 502");
});
