import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CLOSE_CODE, closeFrame, FrameScanner, OPCODE } from "../../src/wire/websocket.ts";

interface Frame {
  readonly opcode: number;
  readonly final: boolean;
  readonly masked: boolean;
  readonly length: number;
}

function encode({ opcode, final, masked, length }: Frame): Uint8Array {
  const extended =
    length < 126
      ? []
      : length < 65_536
        ? [length >> 8, length & 255]
        : [0, 0, 0, 0, 0, length >> 16, (length >> 8) & 255, length & 255];
  const short = length < 126 ? length : length < 65_536 ? 126 : 127;
  const head = [(final ? 128 : 0) | opcode, (masked ? 128 : 0) | short, ...extended, ...(masked ? [1, 2, 3, 4] : [])];
  return Uint8Array.from([...head, ...new Uint8Array(length).fill(0x81)]);
}

const dataFrame = fc.record({
  opcode: fc.constantFrom(OPCODE.continuation, OPCODE.text, OPCODE.binary),
  final: fc.boolean(),
  masked: fc.boolean(),
  length: fc.oneof(fc.nat(130), fc.constantFrom(125, 126, 127, 65_535, 65_536)),
});
const controlFrame = fc.record({
  opcode: fc.constantFrom(OPCODE.ping, OPCODE.pong, OPCODE.close),
  final: fc.constant(true),
  masked: fc.boolean(),
  length: fc.nat(125),
});

describe("frames in transit", () => {
  test("boundaries and messages are seen wherever the bytes are cut", () => {
    const frames = fc.array(fc.oneof(dataFrame, controlFrame), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(frames, fc.integer({ min: 1, max: 70_000 }), (list, step) => {
        const bytes = Buffer.concat(list.map(encode));
        const scanner = new FrameScanner();
        for (let at = 0; at < bytes.length; at += step) scanner.push(bytes, at, Math.min(bytes.length, at + step));
        expect(scanner.atBoundary).toBe(true);
        expect(scanner.lost).toBe(false);
        expect(scanner.messages).toBe(list.filter(({ opcode, final }) => final && opcode < 8).length);
        expect(scanner.closed).toBe(list.some(({ opcode }) => opcode === OPCODE.close));
      }),
      { numRuns: 200 },
    );
  });

  test("only the end of a frame is a boundary", () => {
    for (const length of [0, 1, 125, 126, 300, 65_536]) {
      const bytes = encode({ opcode: OPCODE.binary, final: true, masked: true, length });
      const scanner = new FrameScanner();
      for (let at = 0; at < bytes.length; at++) {
        expect(scanner.atBoundary).toBe(at === 0);
        scanner.push(bytes, at, at + 1);
      }
      expect(scanner.atBoundary).toBe(true);
    }
  });

  test.each([
    ["a reserved opcode", [0x83, 0]],
    ["a reserved control opcode", [0x8b, 0]],
    ["a ping in pieces", [0x09, 0]],
    ["a ping of 126 bytes", [0x89, 126, 0, 126]],
    ["a compressed close", [0xc8, 0]],
    ["a length beyond 2^53", [0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0]],
    ["another protocol", [...Buffer.from("GET / HTTP/1.1\r\n\r\n")]],
  ])("%s has no boundaries", (_name, bytes) => {
    const scanner = new FrameScanner();
    scanner.push(Uint8Array.from(bytes), 0, bytes.length);
    expect(scanner.lost).toBe(true);
    expect(scanner.atBoundary).toBe(false);
    scanner.push(encode({ opcode: OPCODE.text, final: true, masked: false, length: 3 }), 0, 5);
    expect(scanner.messages).toBe(0);
  });

  test("random bytes do no harm", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        const scanner = new FrameScanner();
        scanner.push(bytes, 0, bytes.length);
        expect(scanner.messages).toBeLessThanOrEqual(bytes.length / 2);
      }),
    );
  });
});

describe("a close frame", () => {
  test.each([true, false])("is one whole frame, masked: %p", (masked) => {
    const frame = closeFrame(CLOSE_CODE.goingAway, "the router stops", masked);
    const scanner = new FrameScanner();
    scanner.push(frame, 0, frame.length);
    expect(scanner.closed && scanner.atBoundary).toBe(true);
    const payload = Buffer.from(frame.subarray(masked ? 6 : 2));
    expect(payload.readUInt16BE(0)).toBe(1001);
    expect(payload.toString("latin1", 2)).toBe("the router stops");
    expect((frame[1] ?? 0) >= 128).toBe(masked);
  });
});
