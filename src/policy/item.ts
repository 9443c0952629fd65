/**
 * One policy as the store holds it: what it says, and when that was said. An item's key is its kind and its name.
 */
import type { Kind, Specs } from "./spec.ts";

export interface ItemKey {
  readonly kind: Kind;
  readonly name: string;
}

interface Stamps {
  /** Of the write that said so last. */
  readonly revision: number;
  /** Of the write that made it; a policy that was deleted and put again is a new one. */
  readonly createdRevision: number;
  /** The leader's wall clock at that write: for people. Leaders' clocks differ. */
  readonly updatedAtMs: number;
}

export type ItemOf<K extends Kind> = {
  [P in K]: Stamps & { readonly kind: P; readonly name: string; readonly spec: Specs[P] };
}[K];
/** Discriminated by `kind`. */
export type Item = ItemOf<Kind>;

/** What happened to one item: replayed in order, changes make the same state anywhere. */
export type Change = { readonly item: Item } | { readonly deleted: ItemKey; readonly revision: number };

/** No kind has a slash in it, so that no two items have the same. */
export function keyOf({ kind, name }: ItemKey): string {
  return `${kind}/${name}`;
}

/** The order of all lists: by kind, then by name, both by code units, so that it is the same on every machine. */
export function compareItems(a: ItemKey, b: ItemKey): number {
  if (a.kind !== b.kind) return a.kind < b.kind ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** Puts a change into a map of items by key. */
export function replay(items: Map<string, Item>, change: Change): void {
  if ("item" in change) items.set(keyOf(change.item), change.item);
  else items.delete(keyOf(change.deleted));
}
