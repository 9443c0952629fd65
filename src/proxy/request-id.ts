/**
 * The ids of requests (`x-request-id`), in both lanes: the client's own where it is usable, which is visible ASCII of
 * up to 128 characters, else a new one of 16 hexadecimal digits.
 *
 * A new id is a number until somebody writes it: a call that writes its id twice, to its target and to its client, and
 * keeps nothing in between needs no text and no buffer. The first half of every id is the worker's, drawn by chance;
 * the second half counts, scrambled so that ids don't look alike. After 2^32 requests of a worker its ids come again.
 */
import { copyBytes } from "../wire/octets.ts";

const HALF_BYTES = 8;

/** Bytes of an id that is made here, and of the longest one of a client's. */
export const ID_BYTES: number = 2 * HALF_BYTES;
export const ID_BYTES_MAX = 128;

/** The two digits of each byte. */
const DIGITS: Uint8Array = Buffer.from(
  Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0")).join(""),
);

/** The first half of every id that is made here. */
const START = new Uint8Array(HALF_BYTES);
writeHalf((Math.random() * 0x1_0000_0000) >>> 0, START, 0);
let count = (Math.random() * 0x1_0000_0000) >>> 0;

/** The number of a new id. */
export function nextId(): number {
  count = (count + 1) >>> 0;
  return count;
}

/** Writes the id of this number; answers the position behind it. */
export function writeId(id: number, target: Uint8Array, at: number): number {
  return writeHalf(Math.imul(id, 0x9e3779b1), target, copyBytes(START, 0, HALF_BYTES, target, at));
}

function writeHalf(word: number, target: Uint8Array, start: number): number {
  let at = start;
  for (let shift = 24; shift >= 0; shift -= 8) {
    const digit = ((word >>> shift) & 255) * 2;
    target[at++] = DIGITS[digit] ?? 48;
    target[at++] = DIGITS[digit + 1] ?? 48;
  }
  return at;
}

/** Whether bytes [start, end) of a client's may be the id of its request. */
export function isUsableId(bytes: Uint8Array, start: number, end: number): boolean {
  if (end <= start || end - start > ID_BYTES_MAX) return false;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte < 33 || byte > 126) return false;
  }
  return true;
}
