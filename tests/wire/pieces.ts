/** How the tests of this room feed bytes to incremental parsers: in pieces, and never in a buffer that ends where they do. */
import fc from "fast-check";

export const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");

/** A buffer that holds bytes[0, end) at `offset`, with other bytes before and after, which nobody may look at. */
export function placed(bytes: Uint8Array, end: number, offset = 3, filler = 0x0a): Uint8Array {
  const buffer = new Uint8Array(offset + bytes.length + 8).fill(filler);
  buffer.set(bytes.subarray(0, end), offset);
  return buffer;
}

/** Pieces of `bytes`, cut at the given places, each in a buffer of its own. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const cuts = [0, ...places.toSorted((a, b) => a - b), bytes.length];
  return cuts.slice(1).map((end, i) => bytes.slice(cuts[i], end));
}

/** Random places to cut at. */
export const cuts = (length: number): fc.Arbitrary<number[]> => fc.array(fc.nat(length), { maxLength: 12 });
