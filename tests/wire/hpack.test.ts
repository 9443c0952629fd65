import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BLOCK_ROLE, type HeaderBlock } from "../../src/wire/header-block.ts";
import { fieldOf } from "../../src/wire/header-field.ts";
import { HpackDecoder } from "../../src/wire/hpack.ts";
import { decodeHuffman } from "../../src/wire/hpack-huffman.ts";
import { huffman, HpackWriter, type Pair, prefixed, type Spelling } from "./hpack-writer.ts";
import { placed } from "./pieces.ts";

const LIST_MAX = 65_536;
const none = (): boolean => false;

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
}

function decode(decoder: HpackDecoder, block: Uint8Array): Pair[] | null {
  const buffer = placed(block, block.length);
  return pairs(decoder.decode(buffer, 3, 3 + block.length));
}

function pairs(block: HeaderBlock | null): Pair[] | null {
  if (block === null) return null;
  return block.fields.map(
    ({ name, source, valueStart }) =>
      [
        Buffer.from(name.bytes).toString("latin1"),
        Buffer.from(source.subarray(valueStart)).toString("latin1"),
      ] as const,
  );
}

describe("the examples of RFC 7541", () => {
  const request = (path: string, authority = "www.example.com"): Pair[] => [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", path],
    [":authority", authority],
  ];
  /** [section, size of the table, blocks: [bytes, fields, bytes of the table afterwards]] */
  const EXAMPLES: readonly (readonly [string, number, readonly (readonly [string, readonly Pair[], number])[]])[] = [
    [
      "C.2.1",
      4096,
      [["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", [["custom-key", "custom-header"]], 55]],
    ],
    ["C.2.2", 4096, [["040c 2f73 616d 706c 652f 7061 7468", [[":path", "/sample/path"]], 0]]],
    ["C.2.3", 4096, [["1008 7061 7373 776f 7264 0673 6563 7265 74", [["password", "secret"]], 0]]],
    ["C.2.4", 4096, [["82", [[":method", "GET"]], 0]]],
    [
      "C.3",
      4096,
      [
        ["8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", request("/"), 57],
        ["8286 84be 5808 6e6f 2d63 6163 6865", [...request("/"), ["cache-control", "no-cache"]], 110],
        [
          "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
          [
            [":method", "GET"],
            [":scheme", "https"],
            [":path", "/index.html"],
            [":authority", "www.example.com"],
            ["custom-key", "custom-value"],
          ],
          164,
        ],
      ],
    ],
    [
      "C.4",
      4096,
      [
        ["8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", request("/"), 57],
        ["8286 84be 5886 a8eb 1064 9cbf", [...request("/"), ["cache-control", "no-cache"]], 110],
        [
          "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
          [
            [":method", "GET"],
            [":scheme", "https"],
            [":path", "/index.html"],
            [":authority", "www.example.com"],
            ["custom-key", "custom-value"],
          ],
          164,
        ],
      ],
    ],
    [
      "C.6",
      256,
      [
        [
          "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
          [
            [":status", "302"],
            ["cache-control", "private"],
            ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
            ["location", "https://www.example.com"],
          ],
          222,
        ],
        [
          "4883 640e ffc1 c0bf",
          [
            [":status", "307"],
            ["cache-control", "private"],
            ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
            ["location", "https://www.example.com"],
          ],
          222,
        ],
        [
          "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
          [
            [":status", "200"],
            ["cache-control", "private"],
            ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
            ["location", "https://www.example.com"],
            ["content-encoding", "gzip"],
            ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
          ],
          215,
        ],
      ],
    ],
  ];
  for (const [section, size, blocks] of EXAMPLES) {
    test(section, () => {
      const decoder = new HpackDecoder(LIST_MAX, size);
      for (const [bytes, fields, tableBytes] of blocks) {
        expect(decode(decoder, hex(bytes))).toEqual([...fields]);
        expect(decoder.tableBytes).toBe(tableBytes);
      }
    });
  }
});

describe("what can't be decoded", () => {
  const end = "ff".repeat(4);
  /** [why, block] */
  const FAULTS: readonly (readonly [string, string])[] = [
    ["index 0", "80"],
    ["an index beyond the static table", "be"],
    ["a name beyond the static table", "7e 01 61"],
    ["an integer that is cut off", "ff"],
    ["an integer that is cut off in its middle", "ff 80"],
    ["an integer beyond 2^28", "ff ffff ffff 7f"],
    ["an integer in endless zeros", `ff ${"80".repeat(12)} 00`],
    ["no value", "40 01 61"],
    ["a value that is cut off", "40 01 61 05 62"],
    ["a name that is cut off", "40 05 61"],
    ["a length beyond the block", `40 7f${end} 0f`],
    ["a size update after a field", "82 20"],
    ["a size update beyond the limit", "3f e2 1f"],
    ["Huffman: the end of string", "00 01 61 84 ffff fffc"],
    ["Huffman: a byte of padding", "00 01 61 82 1fff"],
    ["Huffman: padding of zeros", "00 01 61 81 18"],
  ];
  for (const [why, block] of FAULTS) {
    test(why, () => expect(decode(new HpackDecoder(LIST_MAX), hex(block))).toBeNull());
  }

  test("a size update of the limit itself can", () => {
    expect(decode(new HpackDecoder(LIST_MAX), hex("3f e1 1f 82"))).toEqual([[":method", "GET"]]);
  });
});

describe("limits", () => {
  test("a list beyond the limit is decoded for the table's sake and says so", () => {
    const decoder = new HpackDecoder(100);
    const writer = new HpackWriter();
    const many: Pair[] = ["a", "b", "c", "d"].map((name) => [name, "12345"]);
    const bytes = writer.block(many, { literal: "indexed", huffman: false, useTables: false });
    const block = decoder.decode(bytes, 0, bytes.length);
    expect(block?.tooLarge).toBe(true);
    expect(block?.size).toBe(4 * 38);
    expect(pairs(block)).toEqual(many.slice(0, 2));
    const next = writer.block([["d", "12345"]]);
    expect(pairs(decoder.decode(next, 0, next.length))).toEqual([["d", "12345"]]);
  });

  test("an entry beyond the table's size empties it", () => {
    const decoder = new HpackDecoder(LIST_MAX, 64);
    expect(decode(decoder, hex("40 01 61 01 62"))).not.toBeNull();
    expect(decoder.tableBytes).toBe(34);
    const long = Uint8Array.from([0x40, ...prefixed(40, 7, 0), ...Buffer.alloc(40, "x"), 1, 0x62]);
    expect(decode(decoder, long)).not.toBeNull();
    expect(decoder.tableBytes).toBe(0);
  });

  test("a size update to zero empties the table, and nothing enters it", () => {
    const decoder = new HpackDecoder(LIST_MAX);
    decode(decoder, hex("40 01 61 01 62"));
    expect(decode(decoder, hex("20 40 01 61 01 62"))).toEqual([["a", "b"]]);
    expect(decoder.tableBytes).toBe(0);
    expect(decode(decoder, hex("be"))).toBeNull();
  });
});

describe("the memory of blocks", () => {
  test("the same bytes give the same block, until the table changes", () => {
    const decoder = new HpackDecoder(LIST_MAX);
    decode(decoder, hex("40 01 61 01 62"));
    const block = hex("82 be");
    const first = decoder.decode(block, 0, 2);
    expect(decoder.decode(block, 0, 2)).toBe(first);
    decode(decoder, hex("40 01 63 01 64"));
    expect(pairs(decoder.decode(block, 0, 2))).toEqual([
      [":method", "GET"],
      ["c", "d"],
    ]);
  });

  test("a long list that comes in few bytes is not kept", () => {
    const decoder = new HpackDecoder(1 << 20);
    const value = "b".repeat(3000);
    decode(decoder, Buffer.concat([hex("40 01 61"), hex("7f b9 16"), Buffer.from(value)]));
    const block = Buffer.alloc(100, 0xbe);
    const first = decoder.decode(block, 0, 100);
    expect(first?.size).toBe(100 * 3033);
    expect(decoder.decode(block, 0, 100)).not.toBe(first);
  });

  test("a block that is read in two roles is read anew", () => {
    const decoder = new HpackDecoder(LIST_MAX);
    const block = decoder.decode(hex("88"), 0, 1);
    expect(block?.fault(BLOCK_ROLE.answer)).toBe("");
    expect(block?.fault(BLOCK_ROLE.trailers)).not.toBe("");
    expect(block?.fault(BLOCK_ROLE.answer)).toBe("");
    expect(block?.status).toBe(200);
  });
});

describe("properties", () => {
  const text = (alphabet: string, minLength = 0): fc.Arbitrary<string> =>
    fc.string({ unit: fc.constantFrom(...alphabet.split("")), minLength, maxLength: 80 });
  const pair = fc.tuple(
    fc.oneof(fc.constantFrom(":path", "content-type", "x-a", "grpc-timeout"), text("abcdefgh-0", 1)),
    fc.oneof(fc.constantFrom("", "200", "application/grpc"), text(" !~abcXYZ019\u0000\u00ff")),
  );
  const spelling: fc.Arbitrary<Spelling> = fc.record({
    literal: fc.constantFrom("indexed", "plain", "never"),
    huffman: fc.boolean(),
    useTables: fc.boolean(),
  });
  const blocks = fc.array(fc.tuple(fc.option(fc.nat(4096)), fc.array(fc.tuple(pair, spelling), { maxLength: 12 })), {
    maxLength: 20,
  });

  test("what is encoded in any way is decoded, and sent on without a table it is the same", () => {
    fc.assert(
      fc.property(blocks, (list) => {
        const writer = new HpackWriter();
        const decoder = new HpackDecoder(LIST_MAX);
        const next = new HpackDecoder(LIST_MAX, 0);
        for (const [resize, fields] of list) {
          const bytes = Uint8Array.from([
            ...(resize === null ? [] : writer.resize(resize)),
            ...fields.flatMap(([field, how]) => writer.field(field, how)),
          ]);
          const block = decoder.decode(bytes, 0, bytes.length);
          expect(pairs(block)).toEqual(fields.map(([field]) => field));
          expect(decoder.tableBytes).toBe(writer.tableBytes);
          const out = new Uint8Array(block!.encodedLength(none) + 2);
          const end = block!.write(out, 1, none);
          expect(end).toBe(out.length - 1);
          expect(pairs(next.decode(out, 1, end))).toEqual(pairs(block));
        }
      }),
      { seed: 7541 },
    );
  });

  test("random bytes are decoded or refused, and nothing grows beyond its limit", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 30 }), (list) => {
        const decoder = new HpackDecoder(2000, 512);
        for (const bytes of list) {
          const block = decoder.decode(bytes, 0, bytes.length);
          expect(decoder.tableBytes).toBeLessThanOrEqual(512);
          if (block === null) return;
          for (const role of Object.values(BLOCK_ROLE)) block.fault(role);
          expect(block.fields.length).toBeLessThanOrEqual(2000 / 32);
        }
      }),
      { seed: 7541, numRuns: 500 },
    );
  });

  test("Huffman: any bytes round-trip", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const coded = Uint8Array.from(huffman(bytes));
        const target = new Uint8Array(coded.length * 2 + 2);
        const end = decodeHuffman(coded, 0, coded.length, target, 1);
        expect(Buffer.from(target.subarray(1, end))).toEqual(Buffer.from(bytes));
      }),
      { seed: 7541 },
    );
  });
});

test("fields of our own: static where the table has them, literals otherwise", () => {
  expect([...fieldOf(":status", "200").encoded]).toEqual([0x88]);
  expect([...fieldOf("content-type", "a").encoded]).toEqual([0x0f, 16, 1, 97]);
  expect([...fieldOf("x", "é").encoded]).toEqual([0, 1, 120, 2, 0xc3, 0xa9]);
  expect(fieldOf("content-length", "12").text).toBe("12");
});
