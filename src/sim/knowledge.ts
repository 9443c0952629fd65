/** What each router of a simulated mesh knows of the nodes' caches, and what routers tell each other of that. */
import type { CacheWatch } from "./kv-cache.ts";
import { CachePrefixes, type KnownPrefixes, NodeCaches } from "./prefixes.ts";
import { RoutedPrefixes } from "./routed-prefixes.ts";
import type { WorldSpec } from "./world-spec.ts";

type At = (atMs: number, happens: (nowMs: number) => void) => void;

export class Knowledge {
  /** Null: nobody goes by what they tell. */
  readonly #caches: NodeCaches | null;
  /** By router, where it goes by what was sent. */
  readonly #routed: readonly RoutedPrefixes[];
  readonly #news: WorldSpec["prefixNews"];

  /** `isAsked`: somebody goes by it. */
  constructor({ nodes, routers, router, prefixNews }: WorldSpec, isAsked: boolean) {
    const byRouting = router.knows === "routed";
    this.#caches = isAsked && !byRouting ? new NodeCaches(nodes.map(({ blockTokens }) => blockTokens)) : null;
    const tellsWhole = prefixNews?.isWhole === true;
    this.#routed = Array.from(
      { length: isAsked && byRouting ? routers : 0 },
      () => new RoutedPrefixes(nodes, tellsWhole),
    );
    this.#news = prefixNews;
  }

  watch(node: number): CacheWatch | null {
    return this.#caches?.watch(node) ?? null;
  }

  of(router: number): KnownPrefixes | null {
    return this.#caches === null ? (this.#routed[router] ?? null) : new CachePrefixes(this.#caches);
  }

  /** Routers tell each other from now on. */
  tell(nowMs: number, at: At): void {
    if (this.#news === undefined || this.#routed.length < 2) return;
    const { everyMs, delayMs } = this.#news;
    for (const teller of this.#routed) {
      const news = teller.takeNews();
      if (news.length === 0) continue;
      at(nowMs + delayMs, () => {
        for (const other of this.#routed) if (other !== teller) other.heard(news);
      });
    }
    at(nowMs + everyMs, (atMs) => this.tell(atMs, at));
  }
}

/** Which router owns a prompt. */
export function ownerOf(
  hashes: readonly number[],
  { routers, ownerBlock }: { readonly routers: number; readonly ownerBlock: number },
): number {
  if (hashes.length === 0) return 0;
  const hash = hashes[Math.min(ownerBlock, hashes.length - 1)]!;
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return ((mixed ^ (mixed >>> 13)) >>> 0) % routers;
}
