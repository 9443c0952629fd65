import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CHUNKS_BAD, CHUNKS_MORE, ChunkScanner } from "../../src/wire/chunks.ts";
import { bytesOf, cutAt, cuts, placed } from "./pieces.ts";

interface Seen {
  /** Where the message ended in the whole, or CHUNKS_MORE or CHUNKS_BAD. */
  result: number;
  data: string;
  bodyBytes: number;
}

function scan(pieces: readonly Uint8Array[]): Seen {
  const scanner = new ChunkScanner();
  let data = "";
  let before = 0;
  for (const piece of pieces) {
    const buffer = placed(piece, piece.length);
    const result = scanner.push(buffer, 3, 3 + piece.length);
    for (let i = 0; i < scanner.spanCount; i++) {
      data += Buffer.from(buffer.subarray(scanner.spans[i * 2], scanner.spans[i * 2 + 1])).toString("latin1");
    }
    expect(scanner.boundary).toBeGreaterThanOrEqual(3);
    if (result === CHUNKS_BAD) return { result, data: "", bodyBytes: 0 };
    if (result >= 0) {
      expect(scanner.atBoundary).toBe(true);
      expect(scanner.boundary).toBe(result);
      return { result: before + result - 3, data, bodyBytes: scanner.bodyBytes };
    }
    before += piece.length;
  }
  return { result: CHUNKS_MORE, data, bodyBytes: scanner.bodyBytes };
}

/** Scans whole, in two at every place, and dripped: all must agree. */
function scanEverywhere(text: string): Seen {
  const bytes = bytesOf(text);
  const expected = scan([bytes]);
  for (let cut = 0; cut <= bytes.length; cut++) expect(scan(cutAt(bytes, [cut]))).toEqual(expected);
  expect(scan(cutAt(bytes, Array.from(bytes.keys())))).toEqual(expected);
  return expected;
}

describe("good messages", () => {
  test.each([
    ["0\r\n\r\n", ""],
    ["5\r\nhello\r\n0\r\n\r\n", "hello"],
    ["5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"],
    ["A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n", "01234567890123456789"],
    ["4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"],
    ["0000000000000001\r\na\r\n0\r\n\r\n", "a"],
    ['5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n', "hello"],
    ["1\r\na\r\n0\r\nX-Sum: 1\r\ny:\r\n\r\n", "a"],
  ])("%j", (text, data) => {
    expect(scanEverywhere(text)).toEqual({ result: text.length, data, bodyBytes: data.length });
  });

  test("what follows the end is not touched", () => {
    expect(scanEverywhere("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n").result).toBe(11);
  });

  test.each(["", "5", "5\r\n", "5\r\nhel", "5\r\nhello\r", "0\r\n", "0\r\nx", "0\r\n\r"])(
    "%j is not the end",
    (text) => {
      expect(scanEverywhere(text).result).toBe(CHUNKS_MORE);
    },
  );

  test("boundaries", () => {
    const scanner = new ChunkScanner();
    const push = (text: string): number => scanner.push(bytesOf(text), 0, text.length);
    push("1\r\na\r\n2\r\nb");
    expect([scanner.boundary, scanner.atBoundary]).toEqual([6, false]);
    push("c\r\n");
    expect([scanner.boundary, scanner.atBoundary]).toEqual([3, true]);
    push("3");
    expect([scanner.boundary, scanner.atBoundary]).toEqual([0, false]);
    expect(push("\r\nabc\r\n0\r\n\r\n")).toBe(12);
    expect([scanner.boundary, scanner.atBoundary, scanner.bodyBytes]).toEqual([12, true, 6]);
    expect(push("more")).toBe(0);
    scanner.reset();
    expect([scanner.boundary, scanner.atBoundary, scanner.bodyBytes, scanner.spanCount]).toEqual([0, true, 0, 0]);
  });

  test("more chunks in a push than ever before", () => {
    const text = `${"1\r\na\r\n".repeat(100)}0\r\n\r\n`;
    expect(scan([bytesOf(text)])).toEqual({ result: text.length, data: "a".repeat(100), bodyBytes: 100 });
  });

  test("any data in any chunks in any pieces", () => {
    const message = fc.array(fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 40 }), { maxLength: 8 });
    fc.assert(
      fc.property(message, fc.array(fc.nat(400), { maxLength: 12 }), (chunks, places) => {
        const text = `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("")}0\r\n\r\n`;
        const bytes = bytesOf(text);
        const pieces = cutAt(
          bytes,
          places.map((place) => place % (bytes.length + 1)),
        );
        const data = chunks.join("");
        expect(scan(pieces)).toEqual({ result: text.length, data, bodyBytes: data.length });
      }),
    );
  });
});

describe("bad messages", () => {
  test.each([
    ["no size", "\r\n"],
    ["no size but an extension", ";a\r\n"],
    ["a size that is no number", "g\r\n"],
    ["a signed size", "+5\r\nhello\r\n"],
    ["a size with 0x", "0x5\r\nhello\r\n"],
    ["a blank before the size", " 5\r\nhello\r\n"],
    ["a blank after the size", "5 \r\nhello\r\n"],
    ["a size of 2^53", "20000000000000\r\n"],
    ["a size of 17 digits", "00000000000000000\r\n"],
    ["a size that wraps around in 64 bits", "10000000000000005\r\n"],
    ["a bare LF after the size", "5\nhello\r\n0\r\n\r\n"],
    ["a bare LF after the data", "5\r\nhello\n0\r\n\r\n"],
    ["CR without LF after the size", "5\rhello"],
    ["CR without LF after the data", "5\r\nhello\rx"],
    ["data longer than its size", "5\r\nhello!\r\n0\r\n\r\n"],
    ["a bare LF in an extension", "5;a\nb\r\nhello\r\n"],
    ["CR without LF in an extension", "5;a\rb\r\nhello\r\n"],
    ["NUL in an extension", "5;a\0\r\nhello\r\n"],
    ["too long an extension", `5;${"a".repeat(257)}\r\n`],
    ["a bare LF at the end", "0\r\n\n"],
    ["CR without LF at the end", "0\r\n\rx"],
    ["a trailer without a name", "0\r\n: a\r\n\r\n"],
    ["a trailer without a colon", "0\r\nab\r\n\r\n"],
    ["a folded trailer", "0\r\na: b\r\n c\r\n\r\n"],
    ["a bare LF in a trailer", "0\r\na: b\n\r\n"],
    ["CR without LF in a trailer", "0\r\na: b\rc\r\n\r\n"],
    ["too long a trailer section", `0\r\n${`a: ${"b".repeat(90)}\r\n`.repeat(90)}\r\n`],
  ])("%s", (_name, text) => {
    if (text.length < 1000) expect(scanEverywhere(text).result).toBe(CHUNKS_BAD);
    else expect(scan([bytesOf(text)]).result).toBe(CHUNKS_BAD);
  });

  test("bad for good", () => {
    const scanner = new ChunkScanner();
    expect(scanner.push(bytesOf("x"), 0, 1)).toBe(CHUNKS_BAD);
    expect(scanner.push(bytesOf("0\r\n\r\n"), 0, 5)).toBe(CHUNKS_BAD);
    scanner.reset();
    expect(scanner.push(bytesOf("0\r\n\r\n"), 0, 5)).toBe(5);
  });

  test("any bytes in any pieces give what one piece gives", () => {
    const noise = fc.string({ unit: fc.constantFrom(...Array.from("05aF;\r\n: x\0")), maxLength: 30 });
    fc.assert(
      fc.property(noise, cuts(30), (text, places) => {
        const bytes = bytesOf(text);
        const usable = places.filter((place) => place <= bytes.length);
        expect(scan(cutAt(bytes, usable))).toEqual(scan([bytes]));
      }),
      { numRuns: 1000 },
    );
  });
});
