/**
 * The blocks of one engine as a router knows them: a number a block, since a router knows those of a whole fleet.
 * Some 50 bytes a block.
 */
import type { Match } from "./block-index.ts";
import { MEDIA_ALL } from "./event.ts";

/** Hears what engines hold, as it becomes known. */
export interface BlockWatcher {
  held(index: RemoteIndex, key: number, depth: number): void;
  gone(index: RemoteIndex, key: number, depth: number): void;
  /** What is known of an engine is another index from now on. */
  replaced(before: RemoteIndex, index: RemoteIndex): void;
  /** The engine has begun anew, or cleared its cache; it may hold something again. */
  emptied(index: RemoteIndex): void;
  /** Nothing is known of it any more. */
  ended(index: RemoteIndex): void;
}

/** Shared by all engines of a receiver. */
export interface RoomForBlocks {
  readonly blocksMax: number;
  readonly blocksTotalMax: number;
  taken: number;
  readonly refused: () => void;
  /** Of engines that are known, not of snapshots that are still coming. */
  readonly watcher?: BlockWatcher | undefined;
}

/** A block's number: media, tokens and depth in 4, 16 and 20 bits. */
const TOKENS = 16;
const DEPTH = 16 * 65_536;

export class RemoteIndex {
  /** By its name at its node. */
  readonly runtime: string;
  readonly engine: string;
  readonly slot: number;
  readonly life: number;
  number = 0;
  /** It follows the node's word without a gap. */
  isCurrent = false;
  /** When it began to be behind, on the receiver's clock; undefined while it is current. */
  behindSinceMs: number | undefined;
  /** Updates that are known to be missing, of this life. */
  behind = 0;
  /** The node hears the engine: else what is told may be out of date, however current it is. */
  isHeard = false;
  /** The node says that it tells all that the engine holds. */
  isTold = false;
  /** A snapshot was here. */
  isKnown = false;
  /** How many tokens a whole block has: what a prompt is cut into for its keys. 0 before the first block. */
  blockTokens = 0;
  readonly #blocks = new Map<number, number>();
  readonly #room: RoomForBlocks;
  #isShort = false;

  constructor(who: { runtime: string; engine: string; slot: number }, life: number, room: RoomForBlocks) {
    this.runtime = who.runtime;
    this.engine = who.engine;
    this.slot = who.slot;
    this.life = life;
    this.#room = room;
  }

  get size(): number {
    return this.#blocks.size;
  }

  /** The engine may hold blocks that are not here. */
  get isPartial(): boolean {
    return !this.isTold || this.#isShort;
  }

  begin(number: number): void {
    this.number = number;
    this.isKnown = true;
  }

  set(key: number, depth: number, tokens: number, media: number): void {
    const room = this.#room;
    if (!this.#blocks.has(key)) {
      if (this.#blocks.size >= room.blocksMax || room.taken >= room.blocksTotalMax) {
        this.#isShort = true;
        room.refused();
        return;
      }
      room.taken += 1;
      if (tokens > this.blockTokens) this.blockTokens = tokens;
    }
    this.#blocks.set(key, depth * DEPTH + tokens * TOKENS + media);
    if (this.isKnown) room.watcher?.held(this, key, depth);
  }

  remove(key: number): void {
    const { watcher } = this.#room;
    const depth = watcher === undefined ? undefined : this.depth(key);
    if (this.#blocks.delete(key)) this.#room.taken -= 1;
    if (depth !== undefined) watcher?.gone(this, key, depth);
  }

  clear(): void {
    this.#room.taken -= this.#blocks.size;
    this.#blocks.clear();
  }

  has(key: number): boolean {
    return this.#blocks.has(key);
  }

  /** Each block with how many come before it; they may change meanwhile. */
  *blocks(): Generator<readonly [key: number, depth: number]> {
    for (const [key, block] of this.#blocks) yield [key, Math.floor(block / DEPTH)];
  }

  /** Where a block lies; 0: nowhere. */
  media(key: number): number {
    return (this.#blocks.get(key) ?? 0) % TOKENS;
  }

  /** How many blocks come before it; undefined where it is not held. */
  depth(key: number): number | undefined {
    const block = this.#blocks.get(key);
    return block === undefined ? undefined : Math.floor(block / DEPTH);
  }

  /** How many of these keys, each of the block behind the one before, are held in any of `media`. */
  matched(keys: ArrayLike<number>, media = MEDIA_ALL): Match {
    let tokens = 0;
    let blocks = 0;
    for (; blocks < keys.length; blocks += 1) {
      const block = this.#blocks.get(keys[blocks]!) ?? 0;
      if (((block % TOKENS) & media) === 0) break;
      tokens += Math.floor(block / TOKENS) % 65_536;
    }
    return { blocks, tokens };
  }
}
