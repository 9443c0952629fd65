/**
 * The key of a block of tokens: what the block holds and all that precedes it, in 53 bits.
 *
 * Engines name their blocks by hashes of their own: of their own algorithm, often of a random seed, so that the same
 * prompt has other hashes at each of them, and nobody else can compute them. Hence a key made here from the tokens:
 * the same at every node, and computable by whoever has the tokens of a request.
 *
 *     root = rootKey(adapter)                      0 for the base model
 *     key  = blockKey(parent's key, tokens, from, to, extra)
 *
 * Two lanes of 32 bits, each mixed as in MurmurHash3 with constants of its own, the second carrying the first; both
 * finished across; 21 bits of the one and 32 of the other. Of a million blocks two share a key with a probability of
 * 1 in 18,000, and then a router expects a prefix where there is none: slower by a prefill, never wrong. It withstands
 * no one who looks for collisions.
 *
 * The result is part of what nodes and routers tell each other: a change of it is a change of the protocol.
 */

/** Blocks of nothing before: of the base model. */
export const ROOT = 0;

let h1 = 0;
let h2 = 0;

function begin(seed: number): void {
  h1 = (seed >>> 0) ^ 0x9747b28c;
  h2 = Math.floor(seed / 2 ** 32) ^ 0x3c6ef372;
}

function mix(word: number): void {
  let a = Math.imul(word, 0xcc9e2d51);
  a = Math.imul((a << 15) | (a >>> 17), 0x1b873593) ^ h1;
  h1 = (Math.imul((a << 13) | (a >>> 19), 5) + 0xe6546b64) | 0;
  let b = Math.imul(word, 0x85ebca6b);
  b = Math.imul((b << 16) | (b >>> 16), 0xc2b2ae35) ^ h2;
  h2 = (Math.imul((b << 17) | (b >>> 15), 5) + 0x52dce729 + h1) | 0;
}

function finish(length: number): number {
  h1 = avalanche(h1 ^ length ^ (h2 >>> 16));
  h2 = avalanche(h2 ^ length ^ (h1 << 7));
  const key = (h2 & 0x1fffff) * 2 ** 32 + (h1 >>> 0);
  // 0 stands for nothing before.
  return key === ROOT ? 1 : key;
}

function avalanche(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/** Tokens [from, to) behind the block of key `parent`; `extra` is what else went into them, 0 for nothing. */
export function blockKey(parent: number, tokens: ArrayLike<number>, from: number, to: number, extra = 0): number {
  begin(parent);
  for (let at = from; at < to; at += 1) mix(tokens[at]!);
  if (extra !== 0) {
    mix(extra >>> 0);
    mix(Math.floor(extra / 2 ** 32) | 0x80000000);
  }
  return finish(to - from);
}

/** Of bytes [from, to), behind `seed`. */
export function bytesKey(bytes: Uint8Array, from: number, to: number, seed = 0): number {
  begin(seed);
  for (let at = from; at < to; at += 1) mix(bytes[at]!);
  return finish(to - from);
}

/** What blocks of an adapter hang on; "" is the base model. */
export function rootKey(adapter: string): number {
  if (adapter === "") return ROOT;
  begin(0x4c6f5241);
  for (let at = 0; at < adapter.length; at += 1) mix(adapter.charCodeAt(at));
  return finish(adapter.length);
}
