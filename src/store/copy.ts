/**
 * The policies as this node knows them, and those who watch them. What is told is in order and without repeats: a watcher
 * that joins is reset to what is known, and from then on hears of each change once.
 */
import { type Change, type Item, type ItemKey, keyOf, replay } from "../policy/item.ts";
import type { Kind } from "../policy/spec.ts";
import type { Listing, Watcher } from "./policy-store.ts";

export class Watchers {
  readonly #watchers = new Set<Watcher>();

  get size(): number {
    return this.#watchers.size;
  }

  add(watcher: Watcher, known: Listing): () => void {
    this.#watchers.add(watcher);
    watcher.reset(known.items, known.revision);
    return () => this.#watchers.delete(watcher);
  }

  reset({ items, revision }: Listing): void {
    for (const watcher of this.#watchers) watcher.reset(items, revision);
  }

  changed(changes: readonly Change[], revision: number): void {
    if (changes.length > 0) for (const watcher of this.#watchers) watcher.changed(changes, revision);
  }
}

/** A copy that is kept by changes. */
export class Copy {
  readonly watchers = new Watchers();
  readonly #items = new Map<string, Item>();
  #revision = 0;

  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#items.size;
  }

  list(kind?: Kind): Listing {
    const items = [...this.#items.values()].filter((item) => kind === undefined || item.kind === kind);
    return { items, revision: this.#revision };
  }

  get(key: ItemKey): Item | null {
    return this.#items.get(keyOf(key)) ?? null;
  }

  watch(watcher: Watcher): () => void {
    return this.watchers.add(watcher, this.list());
  }

  reset(items: readonly Item[], revision: number): void {
    this.#items.clear();
    for (const item of items) this.#items.set(keyOf(item), item);
    this.#revision = revision;
    this.watchers.reset(this.list());
  }

  changed(changes: readonly Change[], revision: number): void {
    for (const change of changes) replay(this.#items, change);
    this.#revision = revision;
    this.watchers.changed(changes, revision);
  }
}
