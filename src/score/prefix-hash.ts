/**
 * Hashes of a prompt's blocks, each of the block and of all before it, so that two prompts that begin alike have the
 * same first hashes. 63 bits and a set sign bit, in two words: lower half, upper half.
 *
 *     chain = [seed, block 0, block 1, ...]            two words each
 *
 * Four lanes of 32 bits as in xxHash32, begun with the hash before and folded in two ways: fast in C, and possible in
 * TypeScript, which has no 64-bit integers to speak of. native/prefix.h has the twin, which answers the same bits. A
 * block meets another of a million by chance once in 10^13 times, and then a prefill is expected to be shorter than it
 * is. It withstands no one who looks for collisions, who gains nothing but a slower answer.
 */
import { PREFIX_BLOCK_BYTES } from "./prefix-layout.ts";

const P1 = 0x9e3779b1;
const P2 = 0x85ebca77;
const P3 = 0xc2b2ae3d;
const P4 = 0x27d4eb2f;
const STRIPE = 16;

/**
 * Appends the hashes of bytes [start, end) to a chain of `blocks` blocks, up to `blocksMax`; answers how many it has
 * then. What is left behind the last whole block is a block of its own with `withRest`, else it is left out.
 */
export function hashBlocks(
  bytes: Uint8Array,
  start: number,
  end: number,
  chain: Int32Array,
  blocks: number,
  blocksMax: number,
  withRest: boolean,
): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = blocks;
  let at = start;
  for (; count < blocksMax && at + PREFIX_BLOCK_BYTES <= end; at += PREFIX_BLOCK_BYTES) {
    hashBlock(view, at, PREFIX_BLOCK_BYTES, chain, count);
    count += 1;
  }
  if (withRest && count < blocksMax && at < end && end - at < PREFIX_BLOCK_BYTES) {
    hashBlock(view, at, end - at, chain, count);
    count += 1;
  }
  return count;
}

/** Where chains of a model begin: the same for one name, another for any other. */
export function seedChain(chain: Int32Array, name: Uint8Array): void {
  chain[0] = P3 | 0;
  chain[1] = P4 | 0;
  hashBlock(new DataView(name.buffer, name.byteOffset, name.byteLength), 0, name.length, chain, 0);
  chain[0] = chain[2]!;
  chain[1] = chain[3]!;
}

const rest = new Uint8Array(STRIPE);
const restView = new DataView(rest.buffer);

function hashBlock(view: DataView, start: number, length: number, chain: Int32Array, blocks: number): void {
  const lo = chain[blocks * 2]!;
  const hi = chain[blocks * 2 + 1]!;
  let a = (lo + P1) | 0;
  let b = (hi + P2) | 0;
  let c = lo ^ P3;
  let d = hi ^ P4;
  const whole = length - (length % STRIPE);
  for (let at = start; at < start + whole; at += STRIPE) {
    a = round(a, view.getInt32(at, true));
    b = round(b, view.getInt32(at + 4, true));
    c = round(c, view.getInt32(at + 8, true));
    d = round(d, view.getInt32(at + 12, true));
  }
  if (whole < length) {
    rest.fill(0);
    for (let i = whole; i < length; i += 1) rest[i - whole] = view.getUint8(start + i);
    a = round(a, restView.getInt32(0, true));
    b = round(b, restView.getInt32(4, true));
    c = round(c, restView.getInt32(8, true));
    d = round(d, restView.getInt32(12, true));
  }
  const low = avalanche((rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18) + length) | 0);
  const high = avalanche(rotate(a, 19) ^ Math.imul(b, P3) ^ rotate(c, 5) ^ Math.imul(d, P4) ^ Math.imul(low, P2));
  chain[blocks * 2 + 2] = low;
  chain[blocks * 2 + 3] = high | 0x80000000;
}

function round(lane: number, word: number): number {
  const sum = (lane + Math.imul(word, P2)) | 0;
  return Math.imul((sum << 13) | (sum >>> 19), P1);
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}

function avalanche(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 15), P2);
  x = Math.imul(x ^ (x >>> 13), P3);
  return x ^ (x >>> 16);
}
