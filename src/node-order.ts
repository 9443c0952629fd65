/** What the policies decide of one node, told to that node: whether it is drained, so that it says so to everybody. */
import type { Change, Item, ItemKey } from "./policy/item.ts";

/** The part of a policy store that tells of its items. */
interface Watched {
  watch(watcher: {
    reset(items: readonly Item[], revision: number): void;
    changed(changes: readonly Change[], revision: number): void;
  }): () => void;
}

/** What is decided of one node. */
export interface NodeOrder {
  /** It is given no new requests. */
  readonly isCordoned: boolean;
  /** It is to tell everybody that it wants none. */
  readonly isDraining: boolean;
  readonly reason: string;
}

/** Tells a node what is decided of it: at once, and whenever that changes. The returned function ends it. */
export function watchNode(source: Watched, id: string, told: (order: NodeOrder) => void): () => void {
  let before = "";
  const tell = (item: Item | undefined): void => {
    const { cordoned = false, draining = false, reason = "" } = item?.kind === "node" ? item.spec : {};
    const order = { isCordoned: cordoned || draining, isDraining: draining, reason };
    const now = JSON.stringify(order);
    if (now !== before) told(order);
    before = now;
  };
  const isOurs = ({ kind, name }: ItemKey): boolean => kind === "node" && name === id;
  return source.watch({
    reset: (items) => tell(items.find(isOurs)),
    changed(changes) {
      for (const change of changes) {
        if ("item" in change && isOurs(change.item)) tell(change.item);
        else if ("deleted" in change && isOurs(change.deleted)) tell(undefined);
      }
    },
  });
}
