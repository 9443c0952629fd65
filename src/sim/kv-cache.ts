/**
 * The KV cache of one engine as vLLM's block pool keeps it: blocks of a fixed number of tokens, full blocks of known
 * content found again by a hash that is chained over everything before them, reference counts, and one queue of free
 * blocks in which content is kept until the block is needed (least recently freed goes first).
 *
 * A block in use is either *named* (its content has a hash, others may share it) or *anonymous* (the rest: a last, not
 * yet full block, or generated text that nobody can name). Anonymous blocks are interchangeable, so they are only counted,
 * in use and in the queue: there, such as were freed one after another are one entry, a *run*. Taking and giving back
 * what has no name costs the same however much it is.
 *
 * State grows with the blocks ever named, not with the size of the pool: an idle node of a large simulation is cheap.
 */

import { assert } from "../base/assert.ts";
import { BlockTable, NONE } from "./block-table.ts";

const ENTRIES_MIN = 16;

/** Hears which content comes to a cache and leaves it. */
export interface CacheWatch {
  named(hash: number): void;
  forgotten(hash: number): void;
}

export class KvCache {
  readonly blocksMax: number;
  readonly #watch: CacheWatch | null;
  /** By entry, a named block or a run of the queue: its hash, NONE of a run. */
  #hashes = new Float64Array(ENTRIES_MIN);
  /** Users of a named block; blocks of a run. */
  #counts = new Int32Array(ENTRIES_MIN);
  #previous = new Int32Array(ENTRIES_MIN);
  #next = new Int32Array(ENTRIES_MIN);
  #entries = 0;
  /** Entries of no use, linked by `next`. */
  #spare = NONE;
  readonly #byHash = new BlockTable();
  #anonymous = 0;
  #unused: number;
  #head = NONE;
  #tail = NONE;
  #queued = 0;

  constructor(blocksMax: number, watch: CacheWatch | null = null) {
    assert(Number.isInteger(blocksMax) && blocksMax > 0, "a KV cache needs at least one block");
    this.blocksMax = blocksMax;
    this.#unused = blocksMax;
    this.#watch = watch;
  }

  /** Blocks that can be taken, those with cached content included. */
  get free(): number {
    return this.#unused + this.#queued;
  }

  get used(): number {
    return this.blocksMax - this.free;
  }

  get anonymous(): number {
    return this.#anonymous;
  }

  /** Blocks whose content can be found by hash, in use or free. */
  get cached(): number {
    return this.#byHash.size;
  }

  has(hash: number): boolean {
    return this.find(hash) !== NONE;
  }

  /** The block with that content; -1: there is none. */
  find(hash: number): number {
    return this.#byHash.get(hash);
  }

  /** Nobody uses it, and sharing it takes it out of the free ones. */
  isFree(block: number): boolean {
    return this.#counts[block] === 0;
  }

  /** One more user of a block that was found. */
  share(block: number): void {
    assert(block !== NONE, "share() needs a block that is cached");
    if (this.#counts[block] === 0) {
      this.#unlink(block);
      this.#queued -= 1;
    }
    this.#counts[block]! += 1;
  }

  /** Takes free blocks, never used ones first, then the one freed longest ago, whose content is forgotten. */
  takeAnonymous(count: number): void {
    assert(count <= this.free, "more blocks taken than are free");
    this.#anonymous += count;
    const unused = Math.min(count, this.#unused);
    this.#unused -= unused;
    let left = count - unused;
    this.#queued -= left;
    while (left > 0) left -= this.#takeFirst(left);
  }

  giveAnonymous(count: number): void {
    assert(count >= 0 && count <= this.#anonymous, "more anonymous blocks given back than were taken");
    if (count === 0) return;
    this.#anonymous -= count;
    this.#queued += count;
    const last = this.#tail;
    if (last !== NONE && this.#hashes[last] === NONE) this.#counts[last]! += count;
    else this.#append(this.#newEntry(NONE, count));
  }

  /**
   * Gives an anonymous block its content's name, so that it can be shared. -1 when another block has that content
   * already: then the block stays anonymous.
   */
  name(hash: number): number {
    assert(this.#anonymous > 0, "there is no anonymous block to name");
    const block = this.#nextEntry();
    if (!this.#byHash.add(hash, block)) return NONE;
    this.#anonymous -= 1;
    this.#newEntry(hash, 1);
    this.#watch?.named(hash);
    return block;
  }

  /** One user less of a named block; without any it is free, its content kept until the block is taken. */
  release(block: number): void {
    const users = this.#counts[block]! - 1;
    assert(users >= 0, "a block was released more often than shared");
    this.#counts[block] = users;
    if (users > 0) return;
    this.#append(block);
    this.#queued += 1;
  }

  /** Tells its watch that all content is gone, as it is with the engine. */
  lose(): void {
    if (this.#watch === null) return;
    for (const hash of this.#byHash.hashes()) this.#watch.forgotten(hash);
  }

  /** Every block is in exactly one place, and the counts say so. O(blocks): for tests. */
  check(): void {
    let queued = 0;
    let free = 0;
    let previous = NONE;
    for (let entry = this.#head; entry !== NONE; entry = this.#next[entry]!) {
      const isRun = this.#hashes[entry] === NONE;
      assert(this.#previous[entry] === previous, "the free queue is torn");
      assert(isRun ? this.#counts[entry]! > 0 : this.#counts[entry] === 0, "a block in use is in the free queue");
      queued += isRun ? this.#counts[entry]! : 1;
      if (!isRun) free += 1;
      assert(queued <= this.blocksMax, "the free queue has a loop");
      previous = entry;
    }
    assert(previous === this.#tail, "the free queue is torn");
    assert(queued === this.#queued, "the free queue is miscounted");
    let inUse = this.#anonymous;
    for (const hash of this.#byHash.hashes()) {
      const block = this.#byHash.get(hash);
      assert(this.#hashes[block] === hash, "the index points to a wrong block");
      if (this.#counts[block]! > 0) inUse += 1;
      else free -= 1;
    }
    assert(free === 0, "a block is neither used nor free");
    assert(inUse === this.used, "used blocks are miscounted");
  }

  /** Takes the first of the queue, of a run as many as are wanted; answers how many. */
  #takeFirst(wanted: number): number {
    const entry = this.#head;
    const hash = this.#hashes[entry]!;
    const count = hash === NONE ? this.#counts[entry]! : 1;
    if (count > wanted) {
      this.#counts[entry] = count - wanted;
      return wanted;
    }
    this.#unlink(entry);
    this.#next[entry] = this.#spare;
    this.#spare = entry;
    if (hash === NONE) return count;
    this.#byHash.delete(hash);
    this.#watch?.forgotten(hash);
    // Whoever would release it once more is told.
    this.#counts[entry] = 0;
    return 1;
  }

  /** The one that is made next. */
  #nextEntry(): number {
    return this.#spare === NONE ? this.#entries : this.#spare;
  }

  #newEntry(hash: number, count: number): number {
    const entry = this.#nextEntry();
    if (entry === this.#spare) this.#spare = this.#next[entry]!;
    else {
      this.#entries += 1;
      if (entry === this.#hashes.length) this.#grow();
    }
    this.#hashes[entry] = hash;
    this.#counts[entry] = count;
    return entry;
  }

  #grow(): void {
    const larger = (of: Int32Array): Int32Array<ArrayBuffer> => {
      const grown = new Int32Array(of.length * 2);
      grown.set(of);
      return grown;
    };
    const hashes = new Float64Array(this.#hashes.length * 2);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    this.#counts = larger(this.#counts);
    this.#previous = larger(this.#previous);
    this.#next = larger(this.#next);
  }

  #append(entry: number): void {
    this.#previous[entry] = this.#tail;
    this.#next[entry] = NONE;
    if (this.#tail === NONE) this.#head = entry;
    else this.#next[this.#tail] = entry;
    this.#tail = entry;
  }

  #unlink(entry: number): void {
    const previous = this.#previous[entry]!;
    const next = this.#next[entry]!;
    if (previous === NONE) this.#head = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#tail = previous;
    else this.#previous[next] = previous;
  }
}

/**
 * The hash of one block, chained to the one before it: equal exactly when everything up to the block's end is equal (as
 * far as 53 bits can tell). `previous` is the hash of the block before, or a salt (the model) for the first.
 */
export function chainHash(previous: number, tokens: ArrayLike<number>, start: number, end: number): number {
  let low = (previous | 0) ^ 0x9e3779b9;
  let high = (Math.floor(previous / 4294967296) | 0) ^ 0x85ebca6b;
  for (let index = start; index < end; index += 1) {
    const token = tokens[index] as number;
    low = Math.imul(low ^ token, 0x01000193);
    low ^= low >>> 15;
    high = Math.imul(high ^ token ^ (low >>> 7), 0xc2b2ae35);
    high ^= high >>> 13;
  }
  return (high & 0x1fffff) * 4294967296 + (low >>> 0);
}

/** Hashes of the full blocks of a token sequence. */
export function blockHashes(tokens: ArrayLike<number>, blockTokens: number, salt: number): number[] {
  const hashes: number[] = [];
  let previous = salt;
  for (let end = blockTokens; end <= tokens.length; end += blockTokens) {
    previous = chainHash(previous, tokens, end - blockTokens, end);
    hashes.push(previous);
  }
  return hashes;
}
