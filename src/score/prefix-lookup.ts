/**
 * A question to the prefix index: how many tokens of a prompt's beginning each row holds. One object for all questions
 * of a thread; C reads it in place.
 *
 * A row that holds a block holds what is before it, since it was noted with that. So its deepest block is what counts,
 * a hole in the index does not matter, and most blocks need not be looked at: the deepest that is known is found by
 * steps that double and then halve, and between two blocks it is looked only where a row is known that holds the one and
 * not yet the other. A conversation of 128 blocks takes some twenty probes.
 *
 * Of the blocks with more than five holders, which many prompts begin with, the further ones are read of the deepest, of
 * the one half as deep and of the first: whoever holds a part of them counts as holding one of these.
 */
import { FURTHER_MAX, HOLDERS, HOLES_MAX, LOOKUP, PREFIX_BLOCKS_MAX, ROW_SHIFT } from "./prefix-layout.ts";
import { furtherLo, type PrefixIndex } from "./prefix-index.ts";

/** A row that holds some of a prompt. */
export interface PrefixHome {
  readonly row: number;
  readonly tokens: number;
}

export const HOMES_MAX = 8;
const FULL = 1;
const SHALLOW = 2;

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
  /** The deepest block with more than five holders; -1: none. */
  #crowded = -1;

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
    this.#ints[LOOKUP.touchedCount / 4] = 0;
    const deep = this.#deepest();
    if (deep < 0) return;
    this.#crowded = -1;
    if ((this.#see(deep, 0, 0) & FULL) !== 0) this.#crowded = deep;
    this.#seeBetween(0, deep);
    const crowded = this.#crowded;
    if (crowded >= 0) this.#seeFurther(crowded);
    if (crowded > 1) this.#seeFurther(crowded >> 1);
    if (crowded > 0) this.#seeFurther(0);
  }

  /** Makes `cached` all 0 again, and keeps the tokens for the getters. */
  clear(): void {
    for (let place = 0; place < this.touchedCount; place += 1) {
      const row = this.touched[place]!;
      this.#tokens[place] = this.cached[row]!;
      this.cached[row] = 0;
    }
  }

  /** The deepest block that is known, or -1. */
  #deepest(): number {
    const last = this.blocks - 1;
    let found = this.#locate(0);
    let unknown = this.blocks;
    for (let step = 1; found >= 0 && found < last; step *= 2) {
      const next = Math.min(last, found + step);
      const at = this.#locate(next);
      if (at < 0) {
        unknown = next;
        break;
      }
      found = at;
    }
    while (found >= 0 && unknown - found > 1) {
      const middle = (found + unknown) >> 1;
      const at = this.#locate(middle);
      if (at < 0) unknown = middle;
      else found = at;
    }
    return found;
  }

  /** The first block from `block` on that is known, of the next few; -1: none is. */
  #locate(block: number): number {
    const end = Math.min(this.blocks, block + HOLES_MAX);
    for (let each = block; each < end; each += 1) if (this.#find(each, 0) >= 0) return each;
    return -1;
  }

  /** Looks between two blocks, of which `deep` was seen, for rows that hold less than that. */
  #seeBetween(shallow: number, deep: number): void {
    const seen = this.#see(shallow, 0, this.#tokensAt(deep));
    const isFull = (seen & FULL) !== 0;
    if (isFull && shallow > this.#crowded) this.#crowded = shallow;
    const isEdge = isFull && this.#crowded < deep;
    if (deep - shallow <= 1 || !((seen & SHALLOW) !== 0 || isEdge)) return;
    const middle = (shallow + deep) >> 1;
    if ((this.#see(middle, 0, 0) & FULL) !== 0 && middle > this.#crowded) this.#crowded = middle;
    this.#seeBetween(middle, deep);
    this.#seeBetween(shallow, middle);
  }

  #seeFurther(block: number): void {
    for (let further = 1; further <= FURTHER_MAX; further += 1) this.#see(block, further, 0);
  }

  #find(block: number, further: number): number {
    const at = block * 2 + 2;
    return this.index.find(furtherLo(this.chain[at]!, further), this.chain[at + 1]!);
  }

  #tokensAt(block: number): number {
    const whole = Math.fround((block + 1) * this.#floats[LOOKUP.tokensPerBlock / 4]!);
    return Math.max(1, Math.fround(whole - this.#floats[LOOKUP.tokensLess / 4]!));
  }

  /** Notes the holders of an entry. FULL: there may be further ones; SHALLOW: one is known of less than `deepTokens`. */
  #see(block: number, further: number, deepTokens: number): number {
    const { words } = this.index;
    const at = this.#find(block, further);
    if (at < 0) return 0;
    const tokens = this.#tokensAt(block);
    let seen = FULL;
    for (let place = 0; place < HOLDERS; place += 1) {
      const holder = Atomics.load(words, this.index.holderWord(at, place));
      if (holder === 0) seen &= ~FULL;
      else if (this.index.isHeld(holder)) {
        const row = holder >>> ROW_SHIFT;
        this.#hold(row, tokens);
        if (this.cached[row]! < deepTokens) seen |= SHALLOW;
      }
    }
    return seen;
  }

  #hold(row: number, tokens: number): void {
    const before = this.cached[row]!;
    if (before === 0) {
      const count = this.touchedCount;
      this.touched[count] = row;
      this.#ints[LOOKUP.touchedCount / 4] = count + 1;
    }
    if (tokens > before) this.cached[row] = tokens;
  }
}
