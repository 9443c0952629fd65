import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EVENT_BYTES_MAX, SseData } from "../../src/wire/sse-data.ts";
import { cutAt } from "./pieces.ts";

const encoder = new TextEncoder();

function read(pieces: readonly Uint8Array[]): string[] {
  const reader = new SseData();
  const told: string[] = [];
  for (const piece of pieces) reader.push(piece, (data) => told.push(data));
  return told;
}

/** The same of a whole text, written down as the standard has it. */
function expected(text: string): string[] {
  const told: string[] = [];
  let data: string[] = [];
  for (const line of text.split("\n").slice(0, -1)) {
    const bare = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (bare === "") {
      if (data.length > 0) told.push(data.join("\n"));
      data = [];
    } else if (bare.startsWith("data:")) data.push(bare.slice(5).replace(/^ /, ""));
  }
  return told;
}

describe("the data of events", () => {
  test.each([
    ["", []],
    ["data: a\n\n", ["a"]],
    ["data:a\r\n\r\n", ["a"]],
    ["data:  a \n\n", [" a "]],
    ["data: a\ndata: b\n\ndata: c\n\n", ["a\nb", "c"]],
    ["event: x\nid: 1\ndata: é\nretry: 9\n\n", ["é"]],
    [": ping\n\nevent: x\n\n", []],
    ["data: a\n", []],
    ["data: a\n\ndata: b", ["a"]],
    ["data:\n\n", [""]],
    ["\n\n\r\n\ndata: a\n\r\n", ["a"]],
  ])("%j", (text, told) => {
    const bytes = encoder.encode(text);
    expect(expected(text)).toEqual(told);
    for (let cut = 0; cut <= bytes.length; cut++) expect(read(cutAt(bytes, [cut]))).toEqual(told);
    expect(read(cutAt(bytes, Array.from(bytes.keys())))).toEqual(told);
  });

  test("of one that is too large is none, and the next one's is read", () => {
    const large = "x".repeat(EVENT_BYTES_MAX);
    for (const one of [`data: ${large}\n\n`, `data: a\nother: ${large}${large}\r\ndata: b\r\n\r\n`]) {
      const bytes = encoder.encode(`data: before\n\n${one}data: after\n\n`);
      expect(read([bytes])).toEqual(["before", "after"]);
      expect(read(cutAt(bytes, [20, 30, 60_000, 65_540, 65_560]))).toEqual(["before", "after"]);
    }
    const fits = "x".repeat(EVENT_BYTES_MAX - "data: \n\n".length);
    expect(read([encoder.encode(`data: ${fits}\n\n`)])).toEqual([fits]);
  });

  test("is that of the standard, wherever the bytes are cut", () => {
    const part = fc.constantFrom("data:", "data: ", "event: x", "\n", "\r\n", "\n\n", "a", ": ", "é", "\r", "id");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 30 }), fc.array(fc.nat(60), { maxLength: 5 }), (parts, cuts) => {
        const text = parts.join("");
        const bytes = encoder.encode(text);
        const within = [...new Set(cuts)].filter((cut) => cut <= bytes.length).toSorted((a, b) => a - b);
        expect(read(cutAt(bytes, within))).toEqual(expected(text));
      }),
    );
  });

  test("any bytes do no harm", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
        expect(read(pieces)).toEqual(read([Uint8Array.from(pieces.flatMap((piece) => [...piece]))]));
      }),
    );
  });
});
