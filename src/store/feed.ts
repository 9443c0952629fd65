/**
 * What a control node tells a follower: all items in pieces, then changes as they are applied. A follower that names the
 * revision of this very store that it has is spared the items.
 */
import { MeshError } from "../base/errors.ts";
import { type Piece, readPiece } from "./bodies.ts";
import type { Incoming } from "./calls.ts";
import type { Item } from "../policy/item.ts";
import type { Kind } from "../policy/spec.ts";
import type { Listing, Watcher } from "./policy-store.ts";

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

/** All items, as they come in pieces. */
export class Arrival {
  #items: Item[] = [];
  #revision = -1;

  /** The pieces of an attempt that broke are void. */
  begin(): void {
    this.#items = [];
    this.#revision = -1;
  }

  take(value: unknown): void {
    const piece = readPiece(value);
    if (piece === undefined || !("items" in piece)) return;
    this.#items.push(...piece.items);
    this.#revision = piece.revision ?? this.#revision;
  }

  /** Throws a MeshError unless all of it has come. */
  listing(kind?: Kind): Listing {
    if (this.#revision < 0)
      throw new MeshError("upstream_failed", "the control node's list was not complete; try again");
    return { items: this.#items.filter((item) => kind === undefined || item.kind === kind), revision: this.#revision };
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
