import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SocketNames } from "../../src/wire/socket-names.ts";
import { OPCODE } from "../../src/wire/websocket.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A frame as a client sends it; `first` is its first byte. */
function frame(first: number, payload: Uint8Array, mask: readonly number[] | null = [1, 2, 3, 4]): Buffer {
  const masked = mask === null ? 0 : 128;
  const { length } = payload;
  const head = length < 126 ? [masked | length] : [masked | 126, length >> 8, length & 255];
  const bytes = mask === null ? payload : payload.map((byte, i) => byte ^ mask[i & 3]!);
  return Buffer.concat([Buffer.from([first, ...head, ...(mask ?? [])]), bytes]);
}

const FINAL = 128;
const text = (message: string): Buffer => frame(FINAL | OPCODE.text, utf8(message));

/** All names, with the bytes pushed in pieces that end at these places. */
function read(bytes: Buffer, cuts: readonly number[] = []): { names: string[]; isUnreadable: boolean } {
  const names = new SocketNames();
  const found: string[] = [];
  let from = 0;
  for (const to of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    found.push(...names.push(bytes, from, to));
    from = to;
  }
  return { names: found, isUnreadable: names.isUnreadable };
}

describe("models that are named in a WebSocket", () => {
  test("are found in each message, whatever its frames and wherever they are cut", () => {
    const mask = fc.option(fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)));
    const message = fc.record({
      model: fc.option(fc.constantFrom("m", "n", "h\u00e9")),
      pad: fc.string({ maxLength: 400 }),
      pieces: fc.array(fc.nat(500), { maxLength: 4 }),
      isBinary: fc.boolean(),
      hasPing: fc.boolean(),
      mask,
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(3000), { maxLength: 8 }), (messages, cuts) => {
        const frames: Buffer[] = [];
        for (const { model, pad, pieces, isBinary, hasPing, mask: key } of messages) {
          const json = utf8(JSON.stringify({ pad, ...(model === null ? {} : { model }), x: { model: "other" } }));
          const ends = [...new Set(pieces.filter((at) => at < json.length)), json.length].toSorted((a, b) => a - b);
          for (const [index, end] of ends.entries()) {
            const opcode = index > 0 ? OPCODE.continuation : isBinary ? OPCODE.binary : OPCODE.text;
            const isLast = index === ends.length - 1;
            frames.push(frame((isLast ? FINAL : 0) | opcode, json.subarray(ends[index - 1] ?? 0, end), key));
            if (hasPing) frames.push(frame(FINAL | OPCODE.ping, utf8('{"model":"ping"}'), key));
          }
        }
        const bytes = Buffer.concat(frames);
        const { names, isUnreadable } = read(
          bytes,
          cuts.filter((at) => at <= bytes.length),
        );
        expect(names).toEqual(messages.flatMap(({ model }) => model ?? []));
        expect(isUnreadable).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  test("are told before the message ends", () => {
    const bytes = text('{"model":"n","x":1}');
    const names = new SocketNames();
    expect(names.push(bytes, 0, bytes.length - 1)).toEqual(["n"]);
    expect(names.push(bytes, bytes.length - 1, bytes.length)).toEqual([]);
  });

  test.each<[string, Buffer, boolean]>([
    ["packed messages", frame(FINAL | 64 | OPCODE.text, utf8("x")), true],
    ["a key that some take for the model", text('{"Model":"n"}'), true],
    ["a model named twice", text('{"model":"m","model":"n"}'), true],
    ["JSON that only some parsers read", text(' {"x":NaN,"model":"n"}'), true],
    ["a mark before the object", text('\ufeff{"model":"n"}'), true],
    ["text", text("  hello"), false],
    ["a list", text('["model","n"]'), false],
    ["speech", frame(FINAL | OPCODE.binary, Uint8Array.from([0, 255, 1, 2])), false],
    ["nothing", text(""), false],
    ["a ping", frame(FINAL | OPCODE.ping, utf8("{")), false],
    ["no frames at all", Buffer.from("last words"), false],
  ])("%s: told where they may be read otherwise", (_name, bytes, isUnreadable) => {
    expect(read(bytes).isUnreadable).toBe(isUnreadable);
    expect(read(bytes, [...bytes.keys()]).isUnreadable).toBe(isUnreadable);
  });

  test("of any bytes are read without a fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(Array.isArray(read(Buffer.from(bytes)).names)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});
