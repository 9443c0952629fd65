/**
 * A question to the prefix index: how many tokens of a prompt's beginning each row holds. One object for all questions
 * of a thread; C reads it in place.
 *
 * A row that holds a block holds what is before it, since it was noted with that: its deepest block is what counts, and
 * a hole in the index does not matter. Four holes in a row end the search. The first five holders of each block are read
 * in any case. Of blocks with more, which are those that many prompts begin with, the further ones are read at the end
 * of a run of such, at its beginning, and at distances of 1, 2, 4, ... from the end: whoever holds a part of a run counts
 * as holding half of it or more.
 */
import {
  FURTHER_MAX,
  FURTHER_READS_MAX,
  HOLDERS,
  HOLES_MAX,
  LOOKUP,
  PREFIX_BLOCKS_MAX,
  ROW_SHIFT,
} from "./prefix-layout.ts";
import { furtherLo, type PrefixIndex } from "./prefix-index.ts";

/** A row that holds some of a prompt. */
export interface PrefixHome {
  readonly row: number;
  readonly tokens: number;
}

export const HOMES_MAX = 8;

export class PrefixLookup {
  readonly index: PrefixIndex;
  /** The struct that C reads; its addresses are filled in by native.ts. */
  readonly buffer = new ArrayBuffer(LOOKUP.size);
  /** The prompt's hashes (prefix-hash.ts): the seed, then two words a block. */
  readonly chain = new Int32Array((PREFIX_BLOCKS_MAX + 1) * 2);
  /** Tokens by row; all 0 but between `match` and `clear`. */
  readonly cached: Float32Array;
  /** The rows that are not 0. They stay after `clear`, with their tokens, until the next question. */
  readonly touched: Int32Array;
  readonly #tokens: Float32Array;
  readonly #ints = new Int32Array(this.buffer);
  readonly #floats = new Float32Array(this.buffer);
  readonly #crowded = new Uint8Array(PREFIX_BLOCKS_MAX);
  #reads = 0;

  constructor(index: PrefixIndex) {
    this.index = index;
    this.cached = new Float32Array(index.rowsMax);
    this.touched = new Int32Array(index.rowsMax * 2);
    // C leaves a row's tokens behind all rows.
    this.#tokens = new Float32Array(this.touched.buffer, index.rowsMax * 4);
  }

  /** How many blocks the question has; 0: nothing is looked up. */
  get blocks(): number {
    return this.#ints[LOOKUP.blocks / 4]!;
  }

  get touchedCount(): number {
    return this.#ints[LOOKUP.touchedCount / 4]!;
  }

  /** `tokensLess`: of as many tokens the blocks are short, since parts of a prompt end in mid-block. */
  ask(chain: Int32Array, blocks: number, tokensPerBlock: number, tokensLess: number): void {
    this.chain.set(chain.subarray(0, (blocks + 1) * 2));
    this.#ints[LOOKUP.blocks / 4] = blocks;
    this.#floats[LOOKUP.tokensPerBlock / 4] = tokensPerBlock;
    this.#floats[LOOKUP.tokensLess / 4] = tokensLess;
    this.#ints[LOOKUP.touchedCount / 4] = 0;
  }

  askNothing(): void {
    this.#ints[LOOKUP.blocks / 4] = 0;
    this.#ints[LOOKUP.touchedCount / 4] = 0;
  }

  /** Row number `place` of those touched last. */
  touchedRow(place: number): number {
    return this.touched[place]!;
  }

  touchedTokens(place: number): number {
    return this.#tokens[place]!;
  }

  /** Tokens that the row was found to hold last. */
  tokensOf(row: number): number {
    for (let place = 0; place < this.touchedCount; place += 1) {
      if (this.touched[place] === row) return this.#tokens[place]!;
    }
    return 0;
  }

  /** The rows that were found to hold most, at most 8 and the most first. */
  homes(): PrefixHome[] {
    const homes: PrefixHome[] = [];
    for (let place = 0; place < this.touchedCount; place += 1) {
      const tokens = this.#tokens[place]!;
      if (homes.length === HOMES_MAX && tokens <= homes[HOMES_MAX - 1]!.tokens) continue;
      const before = homes.findIndex((one) => one.tokens < tokens);
      homes.splice(before < 0 ? homes.length : before, 0, { row: this.touched[place]!, tokens });
      if (homes.length > HOMES_MAX) homes.pop();
    }
    return homes;
  }

  /** Fills `cached`; TypeScript's way, native/prefix.h has C's. */
  match(): void {
    const { blocks, chain, index } = this;
    const crowded = this.#crowded;
    let last = -1;
    let holes = 0;
    this.#ints[LOOKUP.touchedCount / 4] = 0;
    this.#reads = 0;
    for (let block = 0; block < blocks; block += 1) {
      crowded[block] = 0;
      const at = index.find(chain[block * 2 + 2]!, chain[block * 2 + 3]!);
      if (at < 0) {
        holes += 1;
        if (holes === HOLES_MAX) break;
        continue;
      }
      holes = 0;
      last = block;
      if (this.#see(at, block)) crowded[block] = 1;
    }
    for (let end = last; end >= 0; end -= 1) {
      if (crowded[end] === 0) continue;
      let start = end;
      while (start > 0 && crowded[start - 1] === 1) start -= 1;
      this.#seeFurther(end);
      for (let back = 1; back < end - start; back *= 2) this.#seeFurther(end - back);
      if (start < end) this.#seeFurther(start);
      end = start;
    }
  }

  /** Makes `cached` all 0 again, and keeps the tokens for the getters. */
  clear(): void {
    for (let place = 0; place < this.touchedCount; place += 1) {
      const row = this.touched[place]!;
      this.#tokens[place] = this.cached[row]!;
      this.cached[row] = 0;
    }
  }

  /** Notes the holders of an entry; whether there may be further ones. */
  #see(at: number, block: number): boolean {
    const { words } = this.index;
    let isFull = true;
    for (let place = 0; place < HOLDERS; place += 1) {
      const holder = Atomics.load(words, this.index.holderWord(at, place));
      if (holder === 0) isFull = false;
      else if (this.index.isHeld(holder)) this.#hold(holder >>> ROW_SHIFT, block);
    }
    return isFull;
  }

  #seeFurther(block: number): void {
    for (let further = 1; further <= FURTHER_MAX; further += 1) {
      if (this.#reads === FURTHER_READS_MAX) return;
      this.#reads += 1;
      const lo = furtherLo(this.chain[block * 2 + 2]!, further);
      const at = this.index.find(lo, this.chain[block * 2 + 3]!);
      if (at < 0 || !this.#see(at, block)) return;
    }
  }

  #hold(row: number, block: number): void {
    const whole = Math.fround((block + 1) * this.#floats[LOOKUP.tokensPerBlock / 4]!);
    const tokens = Math.max(1, Math.fround(whole - this.#floats[LOOKUP.tokensLess / 4]!));
    const before = this.cached[row]!;
    if (before === 0) {
      const count = this.touchedCount;
      this.touched[count] = row;
      this.#ints[LOOKUP.touchedCount / 4] = count + 1;
    }
    if (tokens > before) this.cached[row] = tokens;
  }
}
