/** Bytes become the same lines however they are cut, and none is longer than it may be. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Lines } from "../../src/gpu/lines.ts";

const encoder = new TextEncoder();

describe("lines", () => {
  test("are those that were written, whatever the chunks", () => {
    const line = fc.string({ maxLength: 12, unit: "grapheme" }).map((text) => text.replaceAll("\n", ""));
    const isWhole = (text: string): boolean => text.isWellFormed() && !text.startsWith("\uFEFF");
    fc.assert(
      fc.property(fc.array(line.filter(isWhole)), fc.array(fc.nat(9)), (written, cuts) => {
        const bytes = encoder.encode(written.map((text) => `${text}\n`).join(""));
        const lines = new Lines(100);
        const read: string[] = [];
        let from = 0;
        for (const length of [...cuts, bytes.length]) {
          const found = lines.push(bytes.subarray(from, from + length));
          from += length;
          if (found === "too long") throw new Error("none of them is");
          read.push(...found);
        }
        expect(read).toEqual(written);
      }),
    );
  });

  test("have a limit, at which everything ends", () => {
    const lines = new Lines(4);
    expect(lines.push(encoder.encode("abcd\nab"))).toEqual(["abcd"]);
    expect(lines.push(encoder.encode("cd\n"))).toEqual(["abcd"]);
    expect(lines.push(encoder.encode("abc"))).toEqual([]);
    expect(lines.push(encoder.encode("de"))).toBe("too long");
    expect(lines.push(encoder.encode("a\n"))).toBe("too long");
    expect(new Lines(4).push(encoder.encode("abcde\n"))).toBe("too long");
  });
});
