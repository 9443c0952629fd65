/** What routers know of caches, beside caches that are asked one by one. */
import { expect } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { KvCache } from "../../src/sim/kv-cache.ts";
import { CachePrefixes, NodeCaches } from "../../src/sim/prefixes.ts";
import { seeded } from "./seeded.ts";

const TARGETS = 70;
const PROMPTS = 12;
const BLOCKS = 6;

/** Prompts that share beginnings, as chained hashes do, and one that is nowhere. */
function prompt(prng: Prng): number[] {
  const first = prng.int(PROMPTS);
  const fork = prng.int(BLOCKS + 1);
  return Array.from({ length: prng.int(BLOCKS + 1) }, (_, block) => first * 100 + (block < fork ? 0 : 1e12) + block);
}

/** Caches and requests on their way, asked one by one. */
class Asked {
  readonly caches: KvCache[];
  readonly coming: Map<number, number>[] = Array.from({ length: TARGETS }, () => new Map());
  readonly #blockTokens: readonly number[];

  constructor(known: NodeCaches) {
    this.#blockTokens = known.blockTokens;
    this.caches = this.#blockTokens.map((_, target) => new KvCache(10, known.watch(target)));
  }

  tokens(target: number, hashes: readonly number[]): number {
    const missing = hashes.findIndex((hash) => !this.caches[target]!.has(hash) && !this.coming[target]!.has(hash));
    return (missing < 0 ? hashes.length : missing) * this.#blockTokens[target]!;
  }

  count(target: number, hashes: readonly number[], by: number): void {
    for (const hash of hashes) {
      const count = (this.coming[target]!.get(hash) ?? 0) + by;
      if (count > 0) this.coming[target]!.set(hash, count);
      else this.coming[target]!.delete(hash);
    }
  }
}

seeded("finds whoever holds the beginning of a prompt, and whoever will", (seed) => {
  const prng = new Prng(seed);
  const known = new NodeCaches(Array.from({ length: TARGETS }, (_, target) => 16 * (1 + (target % 3))));
  const asked = new Asked(known);
  const prefixes = new CachePrefixes(known);
  const onTheirWay: { target: number; hashes: number[] }[] = [];
  for (let move = 0; move < 3000; move += 1) {
    const target = prng.int(TARGETS);
    const hashes = prompt(prng);
    const cache = asked.caches[target]!;
    const kind = prng.int(20);
    if (kind < 8) {
      // Computed there: what doesn't fit pushes out what was there longest.
      cache.takeAnonymous(Math.min(hashes.length, cache.free));
      const blocks = hashes.slice(0, cache.anonymous).map((hash) => cache.name(hash));
      for (const block of blocks.toReversed()) if (block >= 0) cache.release(block);
      cache.giveAnonymous(cache.anonymous);
    } else if (kind < 13) {
      prefixes.routed(target, hashes);
      asked.count(target, hashes, 1);
      onTheirWay.push({ target, hashes });
    } else if (kind < 19) {
      const one = onTheirWay.splice(prng.int(Math.max(1, onTheirWay.length)), 1)[0];
      if (one === undefined) continue;
      prefixes.computed(one.target, one.hashes);
      asked.count(one.target, one.hashes, -1);
    } else {
      cache.lose();
      asked.caches[target] = new KvCache(10, known.watch(target));
    }
    const wanted = prompt(prng);
    const matched = new Float64Array(TARGETS).fill(7);
    const cached = new Float64Array(TARGETS).fill(7);
    prefixes.fill(wanted, matched, cached);
    const tokens = asked.caches.map((_, at) => asked.tokens(at, wanted));
    expect([...matched]).toEqual(tokens);
    expect([...cached]).toEqual(asked.caches.map((each) => each.cached));
    const homes = tokens
      .map((held, at) => ({ target: at, tokens: held }))
      .filter((home) => home.tokens > 0)
      .toSorted((a, b) => b.tokens - a.tokens || a.target - b.target);
    expect(prefixes.homes(wanted)).toEqual(homes.slice(0, 8));
  }
});
