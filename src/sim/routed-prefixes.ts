/**
 * What a router believes of the nodes' caches that nothing is told of: by what it sent where, and by what other routers
 * tell of theirs. The very index that routers have (`../score/prefix-index.ts`).
 */
import type { Home } from "../flow/late-room.ts";
import { PrefixIndex } from "../score/prefix-index.ts";
import { PREFIX_BLOCK_BYTES, PREFIX_BLOCKS_MAX, SET_WORDS, WAYS } from "../score/prefix-layout.ts";
import { PrefixLookup } from "../score/prefix-lookup.ts";
import type { BatchingConfig } from "./batching.ts";
import type { KnownPrefixes } from "./prefixes.ts";

/** Prompts that were sent to a target: its blocks, from one on. */
export interface PrefixNews {
  readonly target: number;
  readonly hashes: readonly number[];
  readonly from: number;
}

/** Entries for each block that nodes have room for: by twice as many, few are lost to others of their set. */
const ENTRIES_PER_BLOCK = 2;
const INDEX_BYTES_MAX = 2 ** 26;

export class RoutedPrefixes implements KnownPrefixes {
  readonly #blockTokens: readonly number[];
  readonly #index: PrefixIndex;
  readonly #lookup: PrefixLookup;
  readonly #chain = new Int32Array((PREFIX_BLOCKS_MAX + 1) * 2);
  readonly #tellsWhole: boolean;
  #news: PrefixNews[] = [];

  /** `tellsWhole`: others hear of all blocks of a prompt, not only of those that were not believed to be there. */
  constructor(nodes: readonly BatchingConfig[], tellsWhole: boolean) {
    this.#blockTokens = nodes.map(({ blockTokens }) => blockTokens);
    const blocks = nodes.reduce((sum, { kvBlocks }) => sum + kvBlocks, 0);
    const bytes = 2 ** Math.ceil(Math.log2((blocks * ENTRIES_PER_BLOCK * SET_WORDS * 4) / WAYS));
    this.#index = PrefixIndex.create(Math.min(INDEX_BYTES_MAX, bytes), nodes.length);
    for (const [target, { kvBlocks }] of nodes.entries()) this.#index.reset(target, kvBlocks, PREFIX_BLOCK_BYTES);
    this.#lookup = new PrefixLookup(this.#index);
    this.#tellsWhole = tellsWhole;
  }

  fill(hashes: readonly number[], matchedTokens: Float64Array, cachedBlocks: Float64Array): void {
    this.#match(hashes);
    matchedTokens.fill(0);
    for (let place = 0; place < this.#lookup.touchedCount; place += 1) {
      const target = this.#lookup.touchedRow(place);
      matchedTokens[target] = this.#lookup.touchedTokens(place) * this.#blockTokens[target]!;
    }
    for (let target = 0; target < cachedBlocks.length; target += 1) {
      cachedBlocks[target] = this.#index.blocksOf(target);
    }
  }

  homes(hashes: readonly number[]): readonly Home[] {
    this.#match(hashes);
    return this.#lookup.homes().map(({ row, tokens }) => ({ target: row, tokens: tokens * this.#blockTokens[row]! }));
  }

  routed(target: number, hashes: readonly number[]): void {
    const fresh = this.#note(target, hashes, 0);
    if (fresh > 0) this.#news.push({ target, hashes, from: this.#tellsWhole ? 0 : hashes.length - fresh });
  }

  computed(): void {
    // It is believed to be there from the moment at which it was sent.
  }

  /** What the others are to hear of. */
  takeNews(): readonly PrefixNews[] {
    const news = this.#news;
    this.#news = [];
    return news;
  }

  heard(news: readonly PrefixNews[]): void {
    for (const { target, hashes, from } of news) this.#note(target, hashes, from);
  }

  #note(target: number, hashes: readonly number[], from: number): number {
    return this.#index.note(0, target, this.#chain, this.#write(hashes, from));
  }

  #match(hashes: readonly number[]): void {
    if (hashes.length === 0) this.#lookup.askNothing();
    else this.#lookup.ask(this.#chain, this.#write(hashes, 0), 1, 0);
    this.#lookup.match();
    this.#lookup.clear();
  }

  /** Answers how many there are. */
  #write(hashes: readonly number[], from: number): number {
    const blocks = Math.max(0, Math.min(hashes.length, PREFIX_BLOCKS_MAX) - from);
    for (let block = 0; block < blocks; block += 1) {
      const hash = hashes[from + block]!;
      this.#chain[block * 2 + 2] = mixed(hash | 0);
      this.#chain[block * 2 + 3] = mixed(Math.floor(hash / 2 ** 32) ^ (hash * 0x85ebca6b)) | 0x80000000;
    }
    return blocks;
  }
}

/** Traces name their blocks by counting: sets are chosen by the lower bits. */
function mixed(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
