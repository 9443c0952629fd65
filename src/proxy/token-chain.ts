/**
 * Prompts of token ids as chains of the prefix index, by the keys that engines' blocks have (kv/block-key.ts): what an
 * engine tells of its blocks and what is sent there as token ids are then entries of one kind.
 *
 * Engines have blocks of 16 tokens or so, and an entry for each would be as many as sixteen of a prompt of text. So those
 * blocks are entries whose end is a multiple of 256 tokens, or each where blocks are as long: a block's key is of all
 * before it, and what is lost is half of that of each match, as it is of text.
 *
 * A key is 53 bits, the same for every model, since an engine does not say whose its blocks are. Its entry is of a model:
 * both halves are changed by the hash of its name, the seed of its other chains.
 *
 * A worker reads and chains them in C, in one pass and some five times as fast (native/tokens.c, the twin of this).
 */
import { blockKey } from "../kv/block-key.ts";
import type { ChainIds } from "../native-tokens.ts";
import { PREFIX_BLOCKS_MAX } from "../score/prefix-layout.ts";
import { readTokenIds } from "../wire/token-ids.ts";

const ENTRY_TOKENS = 256;
/** In a model's size of blocks: its prompts hang on the root of an adapter, the model's name. */
export const ADAPTER = 1 << 30;
const HIGH = 2 ** 32;

/** Every so many blocks of that size there is one that is an entry. */
export function strideOf(blockTokens: number): number {
  return Math.max(1, Math.floor(ENTRY_TOKENS / blockTokens));
}

/** Whether the block behind `depth` others is one. */
export function isEntry(depth: number, stride: number): boolean {
  return (depth + 1) % stride === 0;
}

/** An entry's lower half; `seed` is the first of the seed's words (prefix-hash.ts). */
export function lowerOf(key: number, seed: number): number {
  return ((key % HIGH) | 0) ^ seed;
}

/** Its upper half; `seed` is the second word. */
export function upperOf(key: number, seed: number): number {
  return (Math.floor(key / HIGH) ^ seed) | 0x80000000;
}

/** How many blocks a chain of so many tokens has. */
export function blocksOf(tokens: number, blockTokens: number): number {
  return Math.min(PREFIX_BLOCKS_MAX, Math.floor(tokens / (strideOf(blockTokens) * blockTokens)));
}

/** Tokens of the most that a chain can tell of. */
export function tokensMax(blockTokens: number): number {
  return PREFIX_BLOCKS_MAX * strideOf(blockTokens) * blockTokens;
}

/** Fills the chain, whose seed is there, with the blocks of these tokens; answers how many. `root`: of its adapter. */
export function chainTokens(
  ids: Uint32Array,
  count: number,
  blockTokens: number,
  root: number,
  chain: Int32Array,
): number {
  const stride = strideOf(blockTokens);
  const [lower = 0, upper = 0] = chain;
  let key = root;
  let blocks = 0;
  for (let depth = 0; (depth + 1) * blockTokens <= count && blocks < PREFIX_BLOCKS_MAX; depth += 1) {
    key = blockKey(key, ids, depth * blockTokens, (depth + 1) * blockTokens);
    if (!isEntry(depth, stride)) continue;
    blocks += 1;
    chain[blocks * 2] = lowerOf(key, lower);
    chain[blocks * 2 + 1] = upperOf(key, upper);
  }
  return blocks;
}

/** Prompts in JSON as chains, without C. */
export class TokenChains {
  #ids = new Uint32Array(0);

  readonly chain: ChainIds = (bytes, from, to, blockTokens, root, chain) => {
    const max = tokensMax(blockTokens);
    // An id and its comma are two bytes at least.
    const room = Math.min(max, Math.ceil((to - from) / 2));
    if (this.#ids.length < room) this.#ids = new Uint32Array(Math.max(room, Math.min(max, this.#ids.length * 2)));
    const count = readTokenIds(bytes, from, to, this.#ids);
    if (count > 0) chainTokens(this.#ids, Math.min(count, max), blockTokens, root, chain);
    return count;
  };
}
