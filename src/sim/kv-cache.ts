/**
 * The KV cache of one engine as vLLM's block pool keeps it: blocks of a fixed number of tokens, full blocks of known
 * content found again by a hash that is chained over everything before them, reference counts, and one queue of free
 * blocks in which content is kept until the block is needed (least recently freed goes first).
 *
 * A block in use is either *named* (its content has a hash, others may share it) or *anonymous* (the rest: a last, not
 * yet full block, or generated text that nobody can name). Anonymous blocks are interchangeable, so sequences only count
 * theirs and the pool keeps the identities: a decode step takes blocks for a whole batch at once.
 *
 * State grows with the blocks ever touched, not with the size of the pool: an idle node of a large simulation is cheap.
 */

import { assert } from "../base/assert.ts";

const NONE = -1;

export class KvCache {
  readonly blocksMax: number;
  readonly #refs: number[] = [];
  readonly #hashes: number[] = [];
  readonly #previous: number[] = [];
  readonly #next: number[] = [];
  readonly #byHash = new Map<number, number>();
  readonly #anonymous: number[] = [];
  #head = NONE;
  #tail = NONE;
  #queued = 0;

  constructor(blocksMax: number) {
    assert(Number.isInteger(blocksMax) && blocksMax > 0, "a KV cache needs at least one block");
    this.blocksMax = blocksMax;
  }

  /** Blocks that can be taken, those with cached content included. */
  get free(): number {
    return this.blocksMax - this.#refs.length + this.#queued;
  }

  get used(): number {
    return this.blocksMax - this.free;
  }

  get anonymous(): number {
    return this.#anonymous.length;
  }

  /** Blocks whose content can be found by hash, in use or free. */
  get cached(): number {
    return this.#byHash.size;
  }

  has(hash: number): boolean {
    return this.#byHash.has(hash);
  }

  /** The content is there and nobody uses it: sharing it takes a block out of the free ones. */
  isFree(hash: number): boolean {
    const block = this.#byHash.get(hash);
    return block !== undefined && this.#refs[block] === 0;
  }

  /** One more user of the block with that content. */
  share(hash: number): number {
    const block = this.#byHash.get(hash);
    assert(block !== undefined, "share() needs a hash that is cached");
    if (this.#refs[block] === 0) this.#unqueue(block);
    this.#refs[block] = (this.#refs[block] as number) + 1;
    return block;
  }

  /** Takes free blocks, never used ones first, then the one freed longest ago, whose content is forgotten. */
  takeAnonymous(count: number): void {
    assert(count <= this.free, "more blocks taken than are free");
    for (let taken = 0; taken < count; taken += 1) this.#anonymous.push(this.#takeFree());
  }

  giveAnonymous(count: number): void {
    assert(count >= 0 && count <= this.#anonymous.length, "more anonymous blocks given back than were taken");
    for (let given = 0; given < count; given += 1) {
      const block = this.#anonymous.pop() as number;
      this.#refs[block] = 0;
      this.#enqueue(block);
    }
  }

  /**
   * Gives an anonymous block its content's name, so that it can be shared. -1 when another block has that content
   * already: then the block stays anonymous.
   */
  name(hash: number): number {
    if (this.#byHash.has(hash)) return NONE;
    const block = this.#anonymous.pop();
    assert(block !== undefined, "there is no anonymous block to name");
    this.#hashes[block] = hash;
    this.#byHash.set(hash, block);
    return block;
  }

  /** One user less of a named block; without any it is free, its content kept until the block is taken. */
  release(block: number): void {
    const refs = (this.#refs[block] as number) - 1;
    assert(refs >= 0, "a block was released more often than shared");
    this.#refs[block] = refs;
    if (refs === 0) this.#enqueue(block);
  }

  /** Every block is in exactly one place, and the counts say so. O(blocks): for tests. */
  check(): void {
    let queued = 0;
    for (let block = this.#head; block !== NONE; block = this.#next[block] as number) {
      assert(this.#refs[block] === 0, "a block in use is in the free queue");
      queued += 1;
      assert(queued <= this.#refs.length, "the free queue has a loop");
    }
    assert(queued === this.#queued, "the free queue is miscounted");
    let inUse = 0;
    for (const refs of this.#refs) {
      assert(refs >= 0, "a reference count is negative");
      if (refs > 0) inUse += 1;
    }
    assert(inUse + queued === this.#refs.length, "a block is neither used nor free");
    assert(inUse === this.used, "used blocks are miscounted");
    for (const [hash, block] of this.#byHash) assert(this.#hashes[block] === hash, "the index points to a wrong block");
  }

  #takeFree(): number {
    if (this.#refs.length < this.blocksMax) {
      this.#refs.push(1);
      this.#hashes.push(NONE);
      this.#previous.push(NONE);
      this.#next.push(NONE);
      return this.#refs.length - 1;
    }
    const block = this.#head;
    this.#unqueue(block);
    const hash = this.#hashes[block] as number;
    if (hash !== NONE) {
      this.#byHash.delete(hash);
      this.#hashes[block] = NONE;
    }
    this.#refs[block] = 1;
    return block;
  }

  #enqueue(block: number): void {
    this.#previous[block] = this.#tail;
    this.#next[block] = NONE;
    if (this.#tail === NONE) this.#head = block;
    else this.#next[this.#tail] = block;
    this.#tail = block;
    this.#queued += 1;
  }

  #unqueue(block: number): void {
    const previous = this.#previous[block] as number;
    const next = this.#next[block] as number;
    if (previous === NONE) this.#head = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#tail = previous;
    else this.#previous[next] = previous;
    this.#queued -= 1;
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
