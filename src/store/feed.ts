/**
 * What a control node tells a follower: all items in pieces, then changes as they are applied. A follower that names the
 * revision of this very store that it has is spared the items.
 */
import type { Incoming } from "./calls.ts";
import type { Piece } from "./bodies.ts";
import type { Item } from "../policy/item.ts";
import type { Watcher } from "./policy-store.ts";

/** Of the items in one piece, about. */
const PIECE_BYTES = 256 * 1024;

/** Resolves when the follower is gone; rejects when `end` is called. */
export class Feed {
  readonly ended: Promise<unknown>;
  readonly #reject: (error: Error) => void;

  constructor(
    incoming: Incoming,
    known: { readonly revision: number } | null,
    watch: (watcher: Watcher) => () => void,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.ended = promise;
    this.#reject = reject;
    const tell = (piece: Piece): void => incoming.piece(piece);
    let isFirst = true;
    // Its link may break by what it is told first.
    incoming.onGone = () => resolve({});
    const stop = watch({
      reset(items, revision) {
        const isSame = isFirst && known !== null && known.revision === revision;
        isFirst = false;
        if (isSame) tell({ same: revision });
        else for (const piece of pieces(items, revision)) tell(piece);
      },
      changed: (changes, revision) => tell({ changes, revision }),
    });
    promise.finally(stop).catch(() => {});
  }

  end(error: Error): void {
    this.#reject(error);
  }
}

export function* pieces(items: readonly Item[], revision: number): Generator<Piece> {
  let part: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    const length = JSON.stringify(item).length;
    if (bytes + length > PIECE_BYTES && part.length > 0) {
      yield { items: part };
      part = [];
      bytes = 0;
    }
    part.push(item);
    bytes += length;
  }
  yield { items: part, revision };
}
