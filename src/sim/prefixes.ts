/** What a router knows of the nodes' caches: what they hold, by their events, and what is on its way there. */
import type { Home } from "../flow/late-room.ts";
import type { Batcher } from "./batching.ts";

const HOMES_MAX = 8;

export class CachePrefixes {
  readonly #engines: readonly Batcher[];
  /** By node: blocks that requests on their way will bring, and how many of those. */
  readonly #coming: readonly Map<number, number>[];

  constructor(engines: readonly Batcher[]) {
    this.#engines = engines;
    this.#coming = engines.map(() => new Map());
  }

  fill(hashes: readonly number[], matchedTokens: Float64Array, cachedBlocks: Float64Array): void {
    for (const [target, { cache, config }] of this.#engines.entries()) {
      matchedTokens[target] = this.matched(target, hashes) * config.blockTokens;
      cachedBlocks[target] = cache.cached;
    }
  }

  /** The targets that hold most of it, at most `HOMES_MAX`, most first. */
  homes(hashes: readonly number[]): Home[] {
    const found: Home[] = [];
    for (const [target, { config }] of this.#engines.entries()) {
      const tokens = this.matched(target, hashes) * config.blockTokens;
      if (tokens > 0) found.push({ target, tokens });
    }
    return found.sort((a, b) => b.tokens - a.tokens || a.target - b.target).slice(0, HOMES_MAX);
  }

  matched(target: number, hashes: readonly number[]): number {
    const { cache } = this.#engines[target]!;
    const coming = this.#coming[target]!;
    let blocks = 0;
    while (blocks < hashes.length && (cache.has(hashes[blocks]!) || coming.has(hashes[blocks]!))) blocks += 1;
    return blocks;
  }

  routed(target: number, hashes: readonly number[]): void {
    const coming = this.#coming[target]!;
    for (const hash of hashes) coming.set(hash, (coming.get(hash) ?? 0) + 1);
  }

  computed(target: number, hashes: readonly number[]): void {
    const coming = this.#coming[target]!;
    for (const hash of hashes) {
      const count = coming.get(hash)! - 1;
      if (count > 0) coming.set(hash, count);
      else coming.delete(hash);
    }
  }
}
