/** What a router knows of the nodes' caches: what they hold, by their events, and what is on its way there. */
import type { Home } from "../flow/late-room.ts";
import { BlockHolders } from "./block-holders.ts";
import type { CacheWatch } from "./kv-cache.ts";

const HOMES_MAX = 8;
const NO_HOMES: readonly Home[] = [];

/** What the nodes' caches hold, as they tell; the same for all routers. */
export class NodeCaches {
  readonly blockTokens: readonly number[];
  readonly holders: BlockHolders;
  /** By node: blocks. */
  readonly cachedBlocks: Float64Array;

  constructor(blockTokens: readonly number[]) {
    this.blockTokens = blockTokens;
    this.holders = new BlockHolders(blockTokens.length);
    this.cachedBlocks = new Float64Array(blockTokens.length);
  }

  watch(node: number): CacheWatch {
    return {
      named: (hash) => {
        this.holders.add(hash, node);
        this.cachedBlocks[node]! += 1;
      },
      forgotten: (hash) => {
        this.holders.remove(hash, node);
        this.cachedBlocks[node]! -= 1;
      },
    };
  }
}

/** What a router goes by. */
export interface KnownPrefixes {
  /** Tokens of the prompt's beginning, and blocks in all, by target. */
  fill(hashes: readonly number[], matchedTokens: Float64Array, cachedBlocks: Float64Array): void;
  /** The targets that hold most of it, at most `HOMES_MAX`, most first. */
  homes(hashes: readonly number[]): readonly Home[];
  routed(target: number, hashes: readonly number[]): void;
  computed(target: number, hashes: readonly number[]): void;
}

export class CachePrefixes implements KnownPrefixes {
  readonly #caches: NodeCaches;
  /** Nodes to which requests with the block are on their way, once for each. */
  readonly #coming: BlockHolders;
  // Of the prompt that was matched last: targets that hold its beginning, and blocks of it, fewest first.
  readonly #found: Int32Array;
  readonly #blocks: Int32Array;
  #count = 0;
  /** Where those begin that hold all of it. */
  #whole = 0;
  /** Targets that hold all blocks so far, a bit each. */
  readonly #alive: Int32Array;

  constructor(caches: NodeCaches) {
    const targets = caches.blockTokens.length;
    this.#caches = caches;
    this.#coming = new BlockHolders(targets, true);
    this.#found = new Int32Array(targets);
    this.#blocks = new Int32Array(targets);
    this.#alive = new Int32Array(caches.holders.words);
  }

  fill(hashes: readonly number[], matchedTokens: Float64Array, cachedBlocks: Float64Array): void {
    const { blockTokens } = this.#caches;
    this.#match(hashes);
    matchedTokens.fill(0);
    for (let at = 0; at < this.#count; at += 1) {
      const target = this.#found[at]!;
      matchedTokens[target] = this.#blocks[at]! * blockTokens[target]!;
    }
    cachedBlocks.set(this.#caches.cachedBlocks);
  }

  homes(hashes: readonly number[]): readonly Home[] {
    const { blockTokens } = this.#caches;
    this.#match(hashes);
    if (this.#count === 0) return NO_HOMES;
    const homes: Home[] = [];
    // From the most on, and of equals from the first on: what comes later is rarely one of the few.
    for (let at = this.#whole; at < this.#count; at += 1) keep(homes, this.#found[at]!, this.#blocks[at]!, blockTokens);
    for (let at = this.#whole - 1; at >= 0; at -= 1) keep(homes, this.#found[at]!, this.#blocks[at]!, blockTokens);
    return homes;
  }

  routed(target: number, hashes: readonly number[]): void {
    const coming = this.#coming;
    for (let block = 0; block < hashes.length; block += 1) coming.add(hashes[block]!, target);
  }

  computed(target: number, hashes: readonly number[]): void {
    const coming = this.#coming;
    for (let block = 0; block < hashes.length; block += 1) coming.remove(hashes[block]!, target);
  }

  /** Block by block, the targets that have no more of it drop out: bits at a time, however many hold the first. */
  #match(hashes: readonly number[]): void {
    this.#count = 0;
    this.#whole = 0;
    if (hashes.length === 0) return;
    const alive = this.#alive;
    const { holders } = this.#caches;
    const coming = this.#coming;
    let last = alive.length - 1;
    alive.fill(-1);
    for (let block = 0; block < hashes.length && last >= 0; block += 1) {
      const held = holders.rowOf(hashes[block]!);
      const comes = coming.rowOf(hashes[block]!);
      const [holding, bringing] = [holders.bits, coming.bits];
      const until = last;
      last = -1;
      for (let word = 0; word <= until; word += 1) {
        const were = alive[word]!;
        if (were === 0) continue;
        const are = were & (holding[held + word]! | bringing[comes + word]!);
        if (are !== were) {
          // Of the first block they have nothing.
          if (block > 0) this.#drop(word, were ^ are, block);
          alive[word] = are;
        }
        if (are !== 0) last = word;
      }
    }
    this.#whole = this.#count;
    for (let word = 0; word <= last; word += 1) this.#drop(word, alive[word]!, hashes.length);
  }

  #drop(word: number, bits: number, blocks: number): void {
    for (let left = bits; left !== 0; left &= left - 1) {
      this.#found[this.#count] = word * 32 + 31 - Math.clz32(left & -left);
      this.#blocks[this.#count] = blocks;
      this.#count += 1;
    }
  }
}

/** Puts it in its place among those with the most. */
function keep(homes: Home[], target: number, blocks: number, blockTokens: readonly number[]): void {
  const tokens = blocks * blockTokens[target]!;
  let place = homes.length;
  while (place > 0 && isBefore(tokens, target, homes[place - 1]!)) place -= 1;
  if (place === HOMES_MAX) return;
  if (homes.length === HOMES_MAX) homes.pop();
  homes.splice(place, 0, { target, tokens });
}

function isBefore(tokens: number, target: number, home: Home): boolean {
  return tokens > home.tokens || (tokens === home.tokens && target < home.target);
}
