import { expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import {
  decodeAnswer,
  decodeOrder,
  encodeAnswer,
  encodeOrder,
  type KeyAnswer,
  type SentOrder,
} from "../../src/mesh/key-order.ts";
import { Keyring } from "../../src/mesh/keyring.ts";
import { MeshKeys } from "../../src/mesh/mesh-keys.ts";

const A = "0123456789abcdef";
const B = "fedcba9876543210";

const ORDERS: readonly SentOrder[] = [
  { to: "gpu-1", from: "router-a", seconds: 0, order: { op: "list" } },
  { to: "b", from: "a", seconds: 1_700_000_000, order: { op: "add", key: new Uint8Array(32).fill(7) } },
  { to: "x".repeat(128), from: "caf\u00e9", seconds: 0xffff_ffff, order: { op: "use", fingerprint: A } },
  { to: "b", from: "y".repeat(128), seconds: 1, order: { op: "remove", fingerprint: B } },
];

const ANSWERS: readonly KeyAnswer[] = [
  { fingerprints: [A], kept: true, fault: "" },
  { fingerprints: [B, A], kept: false, fault: "can't write the gossip key file" },
  { fingerprints: Array.from({ length: 8 }, (_, index) => `${index}`.repeat(16)), kept: true, fault: "" },
  { error: "can't write the gossip key file: caf\u00e9" },
  { error: "" },
];

test("orders and answers arrive as they were", () => {
  for (const order of ORDERS) expect(decodeOrder(encodeOrder(order))).toEqual(order);
  for (const answer of ANSWERS) expect(decodeAnswer(encodeAnswer(answer))).toEqual(answer);
});

test("the words of an error are shortened, and neither break a line nor steer a terminal", () => {
  const long = decodeAnswer(encodeAnswer({ error: "\u{1f511}".repeat(1000) })) as { error: string };
  expect(long.error).toBe("\u{1f511}".repeat(256));
  expect(decodeAnswer(encodeAnswer({ error: "a\nb\u001b[2J" }))).toEqual({ error: "a?b?[2J" });
  for (const bytes of [[0x0a], [0x1b], [0xc3], [0xed, 0xa0, 0x80], Array.from({ length: 600 }, () => 0x61)]) {
    expect(decodeAnswer(Uint8Array.of(2, 0, ...bytes))).toBeUndefined();
  }
});

test("what is not exactly of the form is refused", () => {
  const head = [0, 0, 0, 0, 1, 98, 1, 97];
  expect(decodeOrder(Uint8Array.of(2, 0, ...head))).toMatchObject({ to: "b", from: "a" });
  const refusedOrders = [
    [],
    [2],
    [2, 0],
    [1, 0, ...head],
    [2, 4, ...head],
    [2, 0, ...head, 0],
    [2, 1, ...head, ...Array(31).fill(0)],
    [2, 2, ...head, ...Array(9).fill(0)],
    [2, 0, 0, 0, 0, 0, 0, 1, 97],
    [2, 0, 0, 0, 0, 0, 1, 98, 2, 97],
    [2, 0, 0, 0, 0, 0, 1, 0xff, 1, 97],
    [2, 0, 0, 0, 0, 0, 129, ...Array(129).fill(98), 1, 97],
  ];
  for (const bytes of refusedOrders) expect(decodeOrder(Uint8Array.from(bytes))).toBeUndefined();
  const nine = Array.from({ length: 72 }, (_, index) => index);
  const one = Array(8).fill(5);
  expect(decodeAnswer(Uint8Array.of(2, 1, 1, ...one))).toMatchObject({ kept: false, fault: "" });
  for (const bytes of [
    [],
    [2],
    [1, 1, 1, ...one],
    [2, 3, 1, ...one],
    [2, 1],
    [2, 1, 0],
    [2, 2, 1, 3],
    [2, 2, 2, ...one, ...one],
    [2, 2, 9, ...nine],
    [2, 2, 1, ...one, 0x0a],
  ]) {
    expect(decodeAnswer(Uint8Array.from(bytes))).toBeUndefined();
  }
});

test("200,000 mutated orders and answers: nothing throws, and what is read has one spelling", () => {
  const prng = new Prng(20_261);
  const seeds = [...ORDERS.map(encodeOrder), ...ANSWERS.map(encodeAnswer)];
  const counts = { orders: 0, answers: 0 };
  for (let round = 0; round < 200_000; round++) {
    const bytes = mutated(seeds[round % seeds.length]!, prng);
    const order = decodeOrder(bytes);
    const answer = decodeAnswer(bytes);
    if (order !== undefined && ++counts.orders > 0) expect(Buffer.compare(encodeOrder(order), bytes)).toBe(0);
    if (answer !== undefined && ++counts.answers > 0) expect(Buffer.compare(encodeAnswer(answer), bytes)).toBe(0);
  }
  // Both ways out were taken often.
  for (const count of Object.values(counts)) {
    expect(count).toBeGreaterThan(10_000);
    expect(count).toBeLessThan(190_000);
  }
});

test("a member that is sent garbage answers nothing and changes nothing", () => {
  const prng = new Prng(7);
  const keyring = new Keyring([new Uint8Array(32)]);
  const before = keyring.list();
  const log = { info() {}, warn() {} };
  const request = () => Promise.reject(new Error("nobody is there"));
  const keys = new MeshKeys({ id: "a", address: "a:1", keyring, members: () => [], request, log, windowSeconds: 300 });
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: prng.int(80) }, () => prng.int(256));
    if (decodeOrder(bytes) === undefined) expect(keys.answer(bytes)).toBeUndefined();
  }
  expect(keyring.list()).toEqual(before);
});

function mutated(seed: Uint8Array, prng: Prng): Uint8Array {
  const bytes = [...seed];
  for (let changes = prng.int(3); changes > 0; changes--) {
    const at = prng.int(bytes.length + 1);
    const how = prng.int(4);
    if (how === 0) bytes[at] = prng.int(256);
    else if (how === 1) bytes.splice(at, prng.int(4));
    else if (how === 2) bytes.splice(at, 0, ...Array.from({ length: prng.int(10) }, () => prng.int(256)));
    else bytes.length = prng.int(bytes.length + 1);
  }
  return Uint8Array.from(bytes, (byte) => byte ?? 0);
}
