import { expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { framed, FrameReader } from "../../src/mesh/frame.ts";

const SEED = Number(Bun.env["SEED"] ?? 20_261_203);

test("a frame comes out whole, however it is cut", () => {
  const packet = Buffer.from("the quick brown fox");
  const bytes = framed(packet);
  for (let size = 1; size <= bytes.length; size++) {
    const reader = new FrameReader(8, 100);
    let state = "more";
    for (let at = 0; at < bytes.length; at += size) {
      expect(state).toBe("more");
      state = reader.push(bytes.subarray(at, at + size));
    }
    expect(state).toBe("done");
    expect(reader.frame).toEqual(Uint8Array.from(packet));
  }
});

test("too short, too long, and more than one frame", () => {
  const push = (bytes: Uint8Array) => new FrameReader(8, 100).push(bytes);
  expect(push(framed(new Uint8Array(7)))).toBe("bad");
  expect(push(framed(new Uint8Array(101)).subarray(0, 4))).toBe("bad");
  expect(push(Buffer.concat([framed(new Uint8Array(8)), new Uint8Array(1)]))).toBe("bad");
  expect(push(Buffer.from("GET / HTTP/1.1\r\n\r\n"))).toBe("bad");
});

test("memory follows what came, not what was announced", () => {
  const reader = new FrameReader(8, 1 << 28);
  const bytes = framed(new Uint8Array(1 << 20));
  new DataView(bytes.buffer).setUint32(0, 1 << 28);
  reader.push(bytes.subarray(0, 100));
  expect(reader.room).toBeLessThanOrEqual(4096);
  reader.push(bytes.subarray(100));
  expect(reader.room).toBeLessThan(3 << 20);
});

test("noise", () => {
  console.log(`frame seed ${SEED}`);
  const prng = new Prng(SEED);
  for (let round = 0; round < 20_000; round++) {
    const reader = new FrameReader(8, 64);
    for (let pieces = prng.int(5); pieces >= 0; pieces--) {
      const piece = Uint8Array.from({ length: prng.int(30) }, () => (prng.int(3) === 0 ? prng.int(256) : 0));
      if (reader.push(piece) !== "more") break;
    }
    if (reader.frame.length > 64) throw new Error(`SEED=${SEED}: a frame of ${reader.frame.length}`);
  }
});
