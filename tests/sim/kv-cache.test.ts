import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { KvCache, blockHashes, chainHash } from "../../src/sim/kv-cache.ts";

/** The same pool, written as plainly as can be: what is free lies in one array, in the order in which it was freed. */
class NaiveCache {
  readonly refs = new Map<number, number>();
  /** Content of free blocks, -1 for none; the first is the next to be taken. */
  readonly queue: number[];
  anonymous = 0;
  constructor(blocks: number) {
    this.queue = Array.from({ length: blocks }, () => -1);
  }
  has(hash: number): boolean {
    return this.refs.has(hash) || this.queue.includes(hash);
  }
  share(hash: number): void {
    const at = this.queue.indexOf(hash);
    if (at >= 0) this.queue.splice(at, 1);
    this.refs.set(hash, (this.refs.get(hash) ?? 0) + 1);
  }
  take(count: number): void {
    this.queue.splice(0, count);
    this.anonymous += count;
  }
  give(count: number): void {
    for (let index = 0; index < count; index += 1) this.queue.push(-1);
    this.anonymous -= count;
  }
  name(hash: number): boolean {
    if (this.has(hash)) return false;
    this.anonymous -= 1;
    this.refs.set(hash, 1);
    return true;
  }
  release(hash: number): void {
    const refs = this.refs.get(hash)! - 1;
    if (refs > 0) this.refs.set(hash, refs);
    else {
      this.refs.delete(hash);
      this.queue.push(hash);
    }
  }
}

describe("the pool", () => {
  test("behaves as a naive one under any use, and finds the same prefixes", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (seed) => {
        const prng = new Prng(seed);
        const cache = new KvCache(16);
        const naive = new NaiveCache(16);
        const held: { hash: number; block: number }[] = [];
        for (let move = 0; move < 200; move += 1) {
          const hash = prng.int(24);
          const count = prng.int(4);
          expect(cache.has(hash)).toBe(naive.has(hash));
          expect(cache.has(hash) && cache.isFree(cache.find(hash))).toBe(naive.queue.includes(hash));
          switch (prng.int(5)) {
            case 0:
              if (cache.has(hash)) {
                cache.share(cache.find(hash));
                held.push({ hash, block: cache.find(hash) });
                naive.share(hash);
              }
              break;
            case 1:
              if (count <= cache.free) {
                cache.takeAnonymous(count);
                naive.take(count);
              }
              break;
            case 2:
              cache.giveAnonymous(Math.min(count, cache.anonymous));
              naive.give(Math.min(count, naive.anonymous));
              break;
            case 3:
              if (cache.anonymous > 0) {
                const block = cache.name(hash);
                expect(block !== -1).toBe(naive.name(hash));
                if (block !== -1) held.push({ hash, block });
              }
              break;
            default: {
              const one = held.splice(prng.int(Math.max(1, held.length)), 1)[0];
              if (one !== undefined) {
                cache.release(one.block);
                naive.release(one.hash);
              }
            }
          }
          cache.check();
          expect([cache.free, cache.anonymous]).toEqual([naive.queue.length, naive.anonymous]);
        }
      }),
    );
  });

  test("refuses to hand out what is not there", () => {
    const cache = new KvCache(2);
    expect(() => cache.takeAnonymous(3)).toThrow("more blocks");
    expect(() => cache.giveAnonymous(1)).toThrow("anonymous");
    expect(() => cache.share(cache.find(1))).toThrow("cached");
    expect(() => cache.name(1)).toThrow("anonymous");
    cache.takeAnonymous(1);
    const block = cache.name(5);
    cache.release(block);
    expect(() => cache.release(block)).toThrow("released");
    expect(cache.cached).toBe(1);
    expect(() => new KvCache(0)).toThrow();
  });
});

describe("hash chains", () => {
  test("equal beginnings give equal hashes, and one other token changes all that follow", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200_000), { minLength: 40, maxLength: 80 }), fc.nat(39), (tokens, at) => {
        const hashes = blockHashes(tokens, 8, 7);
        expect(hashes).toHaveLength(Math.floor(tokens.length / 8));
        const other = blockHashes(tokens.with(at, tokens[at]! + 1), 8, 7);
        for (const [block, hash] of hashes.entries()) {
          expect(Number.isSafeInteger(hash) && hash >= 0).toBe(true);
          expect(hash === other[block]).toBe(block < Math.floor(at / 8));
        }
        expect(blockHashes(tokens, 8, 8)[0]).not.toBe(hashes[0]);
      }),
    );
    const many = new Set(Array.from({ length: 20_000 }, (_, token) => chainHash(1, [token], 0, 1)));
    expect(many.size).toBe(20_000);
  });
});
