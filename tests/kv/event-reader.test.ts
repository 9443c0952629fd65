import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Packr } from "msgpackr/pack";
import { Prng } from "../../src/base/prng.ts";
import { bytesKey } from "../../src/kv/block-key.ts";
import { type KvEvent, MEDIUM, mediumOf, type StoredEvent } from "../../src/kv/event.ts";
import { HASH_BYTES_MAX, readBatch } from "../../src/kv/event-reader.ts";
import { DEPTH_MAX, KIND, MsgpackReader } from "../../src/kv/msgpack.ts";
import { bytesOf, EVENT_BYTES } from "./event-bytes.ts";

const u64 = (value: bigint): string =>
  String.fromCharCode(
    ...Array.from({ length: 8 }, (_, at) => Number((BigInt.asUintN(64, value) >> BigInt(56 - 8 * at)) & 255n)),
  );
const digest = (from: number): string => String.fromCharCode(...Array.from({ length: 32 }, (_, at) => from + at));
const FF = "\xff".repeat(32);
const SEVEN = [0, 1, 2, 3, 4, 5, 6, 7];
const H1 = u64(0x8f3c1d2e4b5a6978n);
const H2 = u64(0xffffffffffffffffn);

/** An event with its tokens as a plain list. */
const plain = (event: KvEvent): object => (event.kind === "stored" ? { ...event, tokens: [...event.tokens] } : event);
const read = (name: keyof typeof EVENT_BYTES) => {
  const batch = readBatch(bytesOf(name));
  return batch === undefined ? undefined : { ...batch, events: batch.events.map(plain) };
};
const STORED = {
  kind: "stored",
  parent: undefined,
  adapter: "",
  tokens: SEVEN,
  blockTokens: 4,
  medium: MEDIUM.gpu,
  extras: [],
  group: undefined,
  isWhole: true,
};
const cleared = { kind: "cleared" };
const removed = (hashes: string[], medium: number = MEDIUM.gpu, group?: number) => ({
  kind: "removed",
  hashes,
  medium,
  group,
});
const salt = (text: string): number => {
  const packed = new Packr().pack(text);
  return bytesKey(packed, 0, packed.length, 0);
};

describe("events as the engines send them", () => {
  test("by position, without a medium: the GPU, and hashes of 64 bits in full", () => {
    expect(read("first")).toEqual({ rank: 0, unknown: 0, events: [{ ...STORED, hashes: [H1, H2] }] });
    expect(read("firstRemoved")?.events).toEqual([removed([H1])]);
    expect(read("firstCleared")?.events).toEqual([cleared]);
  });

  test("by position, with a medium and hashes of 32 bytes", () => {
    const tokens = [250, 251, 252, 253, 254, 255, 256, 257];
    const stored = { ...STORED, hashes: [digest(0), digest(32)], parent: FF, tokens };
    expect(read("array")).toEqual({ rank: 3, unknown: 0, events: [stored, removed([FF]), cleared] });
  });

  test("a block that was copied to another medium comes without tokens", () => {
    const stored = { ...STORED, hashes: [H1, H2], tokens: [], blockTokens: 0, medium: MEDIUM.cpu };
    expect(read("offloaded")).toEqual({ rank: undefined, unknown: 0, events: [stored, removed([H1, H2])] });
  });

  test("an adapter that has only a number is named by it", () => {
    const stored = { ...STORED, hashes: [u64(5n)], tokens: [1, 2, 70_000, 4], adapter: "#9" };
    expect(read("loraId")?.events).toEqual([stored]);
  });

  test("as maps, the batch too", () => {
    const stored = { ...STORED, hashes: [digest(0), digest(32)] };
    expect(read("map")).toEqual({ rank: 1, unknown: 0, events: [stored, removed([digest(0)]), cleared] });
    const events = [{ ...STORED, hashes: [H1], tokens: [1, 2, 3, 4] }, removed([H1]), cleared];
    expect(read("mixed")).toEqual({ rank: 0, unknown: 0, events });
  });

  test("an adapter's name, an image's hash, the group of a cache", () => {
    const packed = new Packr().pack(["img-1", 3]);
    const extras = [0, bytesKey(packed, 0, packed.length, 0)];
    const stored = { ...STORED, hashes: [digest(0), digest(32)], parent: FF, adapter: "sql", extras, group: 0 };
    expect(read("mapWithAll")?.events).toEqual([stored, removed([digest(0)], MEDIUM.gpu, 0)]);
  });

  test("a sliding window holds no whole prefixes", () => {
    expect(read("mapWindow")?.events[0]).toEqual({
      ...STORED,
      hashes: [digest(0), digest(32)],
      group: 1,
      isWhole: false,
    });
  });

  test("a salt means the same at both engines", () => {
    const extras = [salt("pepper"), 0];
    expect(read("mapSalted")?.events).toEqual([{ ...STORED, hashes: [H1, H2], extras }]);
    const [event] = read("sglangSalted")!.events as { extras: number[] }[];
    expect(event!.extras[0]).toBe(extras[0]);
  });

  test("SGLang's: signed hashes by their bits, its media, pairs of tokens", () => {
    const stored = { ...STORED, hashes: [u64(-2n), u64(2n ** 63n - 1n)], parent: H2, tokens: [1, 2], blockTokens: 1 };
    expect(read("sglang")).toEqual({ rank: 2, unknown: 0, events: [stored, removed([u64(-2n)], MEDIUM.cpu), cleared] });
    const pairs = { ...STORED, hashes: [u64(11n)], tokens: [1, 2], blockTokens: 2, medium: MEDIUM.disk };
    expect(read("sglangPairs")?.events).toEqual([pairs]);
  });

  test("an event of a later version is counted, and those beside it are read", () => {
    expect(read("later")).toEqual({ rank: 0, unknown: 1, events: [cleared] });
  });

  test("media by name", () => {
    const names = [undefined, "gpu", "CPU", "CPU_PINNED", "STORAGE", "disk", "EXTERNAL"];
    expect(names.map((name) => mediumOf(name, false))).toEqual([1, 1, 2, 2, 4, 4, 8]);
    expect(mediumOf("CPU", true)).toBe(MEDIUM.remote);
  });
});

describe("malformed batches", () => {
  const pack = (value: unknown): Uint8Array => Uint8Array.from(new Packr({ useRecords: false }).pack(value));
  const one = (event: unknown): Uint8Array => pack([1.5, [event]]);

  const refused: readonly (readonly [string, Uint8Array])[] = [
    ["nothing", new Uint8Array(0)],
    ["a number", pack(7)],
    ["no events", pack([1.5])],
    ["events that are no list", pack([1.5, 7])],
    ["something behind", Uint8Array.from([...bytesOf("array"), 0])],
    ["an event that is a number", one(3)],
    ["an event without a type", one({ block_hashes: [] })],
    ["an empty event", one([])],
    ["a type that is a number", one([3, []])],
    ["hashes that are no list", one(["BlockRemoved", 3])],
    ["no hashes", one({ type: "BlockRemoved" })],
    ["a hash that is a float", one(["BlockRemoved", [1.5]])],
    ["an empty hash", one(["BlockRemoved", [new Uint8Array(0)]])],
    ["a hash that is too long", one(["BlockRemoved", [new Uint8Array(HASH_BYTES_MAX + 1)]])],
    ["a token below zero", one(["BlockStored", [1], null, [-1], 1, null])],
    ["a token of 33 bits", one(["BlockStored", [1], null, [2 ** 32], 1, null])],
    ["an empty pair", one(["BlockStored", [1], null, [[]], 1, null])],
    ["a negative block size", one(["BlockStored", [1], null, [1], -1, null])],
    ["more extra keys than blocks", one(["BlockStored", [1], null, [1], 1, null, "GPU", null, [null, null]])],
  ];
  for (const [what, bytes] of refused) test(`${what}: no batch`, () => expect(readBatch(bytes)).toBeUndefined());

  test("a field that is there twice is one too many", () => {
    const name = (text: string): number[] => [0xa0 | text.length, ...Buffer.from(text)];
    const twice = [
      0x83,
      ...name("type"),
      ...name("BlockRemoved"),
      ...name("block_hashes"),
      0x91,
      1,
      ...name("block_hashes"),
      0x91,
      2,
    ];
    expect(readBatch(Uint8Array.from([0x92, 1, 0x91, ...twice]))).toBeUndefined();
    const once = [0x82, ...twice.slice(1, -15)];
    expect(readBatch(Uint8Array.from([0x92, 1, 0x91, ...once]))?.events).toEqual([removed([u64(1n)])] as KvEvent[]);
  });

  test("cut anywhere: no batch", () => {
    for (const name of Object.keys(EVENT_BYTES) as (keyof typeof EVENT_BYTES)[]) {
      const bytes = bytesOf(name);
      for (let end = 0; end < bytes.length; end += 1) expect(readBatch(bytes.subarray(0, end))).toBeUndefined();
      expect(readBatch(bytes)).toBeDefined();
    }
  });

  test("a length that lies takes no room, and deep nesting no stack", () => {
    const lie = Uint8Array.of(0x92, 1, 0xdd, 0xff, 0xff, 0xff, 0xff);
    expect(readBatch(lie)).toBeUndefined();
    expect(readBatch(new Uint8Array(1_000_000).fill(0x91))).toBeUndefined();
    const reader = new MsgpackReader();
    reader.read(Uint8Array.from([...Array<number>(DEPTH_MAX).fill(0x91), 1]));
    reader.skip();
    expect(reader.isDone).toBe(true);
    reader.read(Uint8Array.from([...Array<number>(DEPTH_MAX + 1).fill(0x91), 1]));
    reader.skip();
    expect(reader.bad).toBe(true);
  });

  test("mutated ones throw nothing, and leave no trace in the next", () => {
    const prng = new Prng(Number(Bun.env["SEED"] ?? 5557));
    const names = Object.keys(EVENT_BYTES) as (keyof typeof EVENT_BYTES)[];
    const good = read("mapWithAll");
    let refusals = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const bytes = bytesOf(names[prng.int(names.length)]!);
      for (let edits = 1 + prng.int(3); edits > 0; edits -= 1) bytes[prng.int(bytes.length)] = prng.int(256);
      const batch = readBatch(bytes);
      if (batch === undefined) refusals += 1;
      else for (const event of batch.events) expect(["stored", "removed", "cleared"]).toContain(event.kind);
    }
    expect(refusals).toBeGreaterThan(2000);
    expect(read("mapWithAll")).toEqual(good);
  });
});

describe("MessagePack, against another encoder", () => {
  const packr = new Packr({ useRecords: false, int64AsType: "bigint" });
  const scalar = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double(),
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      scalar,
      fc.array(tie("any"), { maxLength: 20 }),
      fc.dictionary(fc.string(), tie("any")),
    ),
  })).any;

  test("every value is gone past in full", () => {
    fc.assert(
      fc.property(value, (any) => {
        const reader = new MsgpackReader();
        reader.read(Uint8Array.from(packr.pack([any, 1])));
        expect(reader.array()).toBe(2);
        reader.skip();
        expect(reader.integer()).toBe(1);
        expect(reader.isDone).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("tokens of every size, alone and in pairs, and hashes of every length", () => {
    const token = fc.oneof(fc.nat(200), fc.nat(70_000), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
    const tokens = fc.array(token, { minLength: 1, maxLength: 100 });
    const hash = fc.uint8Array({ minLength: 1, maxLength: HASH_BYTES_MAX });
    fc.assert(
      fc.property(tokens, fc.array(hash, { minLength: 1, maxLength: 5 }), fc.nat(99), (list, hashes, pairFrom) => {
        const spelled = list.map((number) => (number < 2 ** 31 ? number : BigInt(number)));
        const mixed = spelled.map((number, at) => (at < pairFrom ? number : [number, 7]));
        const batch = readBatch(Uint8Array.from(packr.pack([1, [["BlockStored", hashes, null, mixed, 4, null]]])));
        const event = batch?.events[0] as StoredEvent;
        expect([...event.tokens]).toEqual(list);
        expect(event.hashes).toEqual(hashes.map((bytes) => Buffer.from(bytes).toString("latin1")));
      }),
    );
  });

  test("numbers are read as they were written, hashes by their 64 bits", () => {
    const numbers = fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.integer({ min: -200, max: 70_000 }));
    fc.assert(
      fc.property(numbers, (number) => {
        const reader = new MsgpackReader();
        // Beyond 32 bits the encoder takes floats for numbers, and integers for BigInts.
        const bytes = Uint8Array.from(packr.pack(Math.abs(number) < 2 ** 31 ? number : BigInt(number)));
        reader.read(bytes);
        expect(reader.kind).toBe(KIND.integer);
        expect(reader.integer()).toBe(number);
        reader.read(bytes);
        expect(reader.hash(8)).toBe(u64(BigInt(number)));
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (number) => {
        const reader = new MsgpackReader();
        reader.read(Uint8Array.from(packr.pack(number)));
        expect(reader.hash(8)).toBe(u64(number));
        expect(reader.isDone).toBe(true);
      }),
    );
  });

  test("beyond 2^53 an integer is none, and a text must be UTF-8", () => {
    const reader = new MsgpackReader();
    reader.read(Uint8Array.from(packr.pack(2n ** 53n)));
    reader.integer();
    expect(reader.bad).toBe(true);
    reader.read(Uint8Array.of(0xa1, 0xff));
    expect(reader.text(9)).toBe("");
    expect(reader.bad).toBe(true);
    reader.read(Uint8Array.of(0xa2, 0x61, 0x62));
    expect(reader.text(1)).toBe("");
    expect(reader.bad).toBe(true);
  });
});
