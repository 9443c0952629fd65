/** Frames in whatever pieces they come, and what ends a stream of them. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { framed, FrameReader } from "../../src/store/frames.ts";

function read(pieces: readonly Uint8Array[], bytesMax?: number): { frames: number[][]; good: boolean } {
  const frames: number[][] = [];
  const reader = new FrameReader((frame) => frames.push([...frame]), bytesMax);
  const good = pieces.every((piece) => reader.push(piece));
  return { frames, good };
}

describe("frames", () => {
  test("are read as written, however the stream is cut", () => {
    const frame = fc.uint8Array({ minLength: 1, maxLength: 300 });
    const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), cuts, (frames, sizes) => {
        const stream = Buffer.concat(frames.map((one) => framed(one)));
        const pieces: Uint8Array[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          pieces.push(stream.subarray(at, at + size));
          at += size;
        }
        expect(read(pieces)).toEqual({ frames: frames.map((one) => [...one]), good: true });
      }),
    );
  });

  test("of several parts are one", () => {
    expect(read([framed(new Uint8Array([1]), new Uint8Array(0), new Uint8Array([2, 3]))]).frames).toEqual([[1, 2, 3]]);
  });

  test("long and short ones in turns come whole", () => {
    const long = new Uint8Array(300_000).fill(7);
    const stream = Buffer.concat([framed(new Uint8Array([1])), framed(long), framed(new Uint8Array([2]))]);
    const pieces = [stream.subarray(0, 100_000), stream.subarray(100_000, 299_999), stream.subarray(299_999)];
    const { frames, good } = read(pieces);
    expect([good, frames.length, frames[1]?.length, frames[2]]).toEqual([true, 3, 300_000, [2]]);
  });

  test("that are empty or too long end the stream, and nothing is read after them", () => {
    const good = framed(new Uint8Array([9]));
    expect(read([framed(new Uint8Array(0)), good]).good).toBe(false);
    const reader = new FrameReader(() => {}, 100);
    expect(reader.push(framed(new Uint8Array(101)))).toBe(false);
    expect(reader.push(good)).toBe(false);
    expect(read([framed(new Uint8Array(100))], 100)).toMatchObject({ good: true });
  });
});
