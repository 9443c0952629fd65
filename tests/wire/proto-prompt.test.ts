import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { promptIn } from "../../src/wire/proto-prompt.ts";

const LENGTH_DELIMITED = 2;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    bytes.push(left > 127 ? (left % 128) | 128 : left);
    if (left <= 127) return bytes;
  }
}

function field(number: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([Buffer.from([...varint(number * 8 + LENGTH_DELIMITED), ...varint(bytes.length)]), bytes]);
}

const number = (of: number, value: number): Buffer => Buffer.from([...varint(of * 8), ...varint(value)]);
const text = (count: number, seed = 1): string => Array.from({ length: count }, (_, at) => `w${at * seed}`).join(" ");

function found(message: Uint8Array): string | null {
  const span = promptIn(message, 0, message.length);
  return span === null ? null : Buffer.from(message).toString("utf8", span.start, span.end);
}

describe("a prompt is found", () => {
  const prompt = text(400);

  test("in a message of its own, among others", () => {
    // TGIS: model_id = 1, requests = 3 { text = 2 }, params = 10.
    const requests = field(3, field(2, prompt));
    const message = Buffer.concat([field(1, "llama"), requests, field(10, number(1, 500))]);
    expect(found(message)).toBe(prompt);
  });

  test("in a tensor, with its length before it or without", () => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(Buffer.byteLength(prompt));
    const raw = Buffer.concat([
      field(1, "m"),
      field(5, field(1, "text_input")),
      field(7, Buffer.concat([length, Buffer.from(prompt)])),
    ]);
    expect(found(raw)).toBe(prompt);
    const contents = field(5, Buffer.concat([field(1, "text_input"), field(2, "BYTES"), field(5, field(8, prompt))]));
    expect(found(Buffer.concat([field(1, "m"), contents]))).toBe(prompt);
  });

  test("in any language, and with line breaks", () => {
    for (const words of ["Grüße aus Köln\n", "日本語のプロンプト\n", "🙂 emoji\t"]) {
      expect(found(field(2, field(3, words.repeat(300))))).toBe(words.repeat(300));
    }
  });

  test("as token ids, as they are packed", () => {
    const ids = Buffer.from(Array.from({ length: 900 }, (_, at) => varint(1000 + at * 7)).flat());
    const span = promptIn(field(4, ids), 0, field(4, ids).length)!;
    expect(Buffer.from(field(4, ids).subarray(span.start, span.end)).equals(ids)).toBe(true);
  });

  test("as far as it is here", () => {
    const whole = Buffer.concat([field(1, "m"), field(3, field(2, prompt))]);
    for (const cut of [40, 500, whole.length - 1]) {
      expect(prompt.startsWith(found(whole.subarray(0, cut))!)).toBe(true);
    }
  });
});

test("of a message with very many fields, the first count", () => {
  const many = Buffer.concat(Array.from({ length: 3000 }, () => field(2, "a few words")));
  expect(found(Buffer.concat([field(1, "the longest of the first"), many, field(3, "far behind ".repeat(10))]))).toBe(
    "the longest of the first",
  );
});

test("what is no message has none", () => {
  expect(found(Buffer.from("plain text that is no protobuf at all"))).toBeNull();
  expect(found(Buffer.alloc(0))).toBeNull();
  expect(found(number(1, 5))).toBeNull();
  expect(found(field(1, ""))).toBeNull();
  expect(found(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))).toBeNull();
  // Groups are not looked into.
  expect(found(Buffer.from([0x0b, 0x0c]))).toBeNull();
});

test("whatever stands before it, a conversation that goes on begins with the same bytes", () => {
  fc.assert(
    fc.property(fc.nat(2000), fc.nat(2000), fc.integer({ min: 1, max: 9 }), (words, more, depth) => {
      const wrap = (prompt: string): Buffer => {
        let message = Buffer.from(field(2, prompt));
        for (let level = 0; level < depth; level += 1) message = Buffer.concat([number(1, level), field(3, message)]);
        return Buffer.concat([field(1, "model"), message]);
      };
      const first = `hello ${text(words)}`;
      const next = `${first} ${text(more, 3)}`;
      expect(found(wrap(first))).toBe(first);
      expect(found(wrap(next))).toBe(next);
    }),
  );
});

test("any bytes are taken, and what is found lies within them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), fc.nat(20), (bytes, before, behind) => {
      const start = Math.min(before, bytes.length);
      const end = Math.max(start, bytes.length - behind);
      const span = promptIn(bytes, start, end);
      if (span === null) return;
      expect(span.start).toBeGreaterThanOrEqual(start);
      expect(span.end).toBeLessThanOrEqual(end);
      expect(span.end).toBeGreaterThan(span.start);
    }),
    { numRuns: 2000 },
  );
});
