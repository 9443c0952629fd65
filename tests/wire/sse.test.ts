import { describe, expect, test } from "bun:test";
import { SseScanner } from "../../src/wire/sse.ts";
import { bytesOf, cutAt, placed } from "./pieces.ts";

function scan(pieces: readonly Uint8Array[]): [events: number, atEventBoundary: boolean, firsts: number] {
  const scanner = new SseScanner();
  let firsts = 0;
  for (const piece of pieces) {
    scanner.push(placed(piece, piece.length), 3, 3 + piece.length);
    if (scanner.firstEventAt) firsts++;
  }
  return [scanner.events, scanner.atEventBoundary, firsts];
}

describe("events", () => {
  test.each([
    ["", 0, true],
    ["data: a\n\n", 1, true],
    ["data: a\r\n\r\n", 1, true],
    ["data: a\n\r\n", 1, true],
    ["data: a\ndata: b\n\ndata: c\n\n", 2, true],
    ["event: x\nid: 1\ndata\n\n", 1, true],
    ["data: a\n", 0, false],
    ["data: a", 0, false],
    ["data: a\n\nda", 1, false],
    [": ping\n\n: ping\n\n", 0, true],
    ["retry: 5\n\ndata: a\n\n", 1, true],
    ["\n\n\r\n\n", 0, true],
    ["data: a\r\r\n\r\n", 1, true],
    ["\r\rdata: a\n\n", 0, true],
    ["data: \xe9\n\n\n\n", 1, true],
  ])("%j: %d", (text, events, atBoundary) => {
    const bytes = bytesOf(text);
    const firsts = events > 0 ? 1 : 0;
    expect(scan([bytes])).toEqual([events, atBoundary, firsts]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(scan(cutAt(bytes, [cut]))).toEqual([events, atBoundary, firsts]);
    }
    expect(scan(cutAt(bytes, Array.from(bytes.keys())))).toEqual([events, atBoundary, firsts]);
  });

  test("reset forgets", () => {
    const scanner = new SseScanner();
    scanner.push(bytesOf("data: a\n\ndata"), 0, 13);
    scanner.reset();
    expect([scanner.events, scanner.atEventBoundary, scanner.firstEventAt]).toEqual([0, true, false]);
    scanner.push(bytesOf("\n"), 0, 1);
    expect(scanner.events).toBe(0);
  });
});
