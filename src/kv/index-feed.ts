/**
 * A node's side: what changed in the index of an engine, as messages for routers.
 *
 *     feed = new IndexFeed(who, prng, blocksMax);
 *     feed.index.apply(event);                     // any number of them
 *     feed.take();                                 // now and then: what changed since, to all who follow
 *     feed.snapshot();                             // to one who asks or is new, after `take` or `pass` in the same turn
 *
 * Changes are told in the sum: a block that came and went between two takes is no news. When the index starts anew a new
 * life begins; its first update says that it begins with nothing, so that whoever follows goes on without a snapshot. When
 * more changed than `CHANGES_MAX` a new life begins too, and whoever follows asks: a snapshot is then cheaper than the
 * changes, and this bounds what is kept while nobody takes.
 */
import { assert } from "../base/assert.ts";
import type { Prng } from "../base/prng.ts";
import { type Block, BlockIndex } from "./block-index.ts";
import { type Head, SLOTS_MAX, writeSnapshot, writeUpdates } from "./wire.ts";

export interface EngineName {
  /** Of the node, below SLOTS_MAX. */
  readonly slot: number;
  /** By its name at the node. */
  readonly runtime: string;
  readonly engine: string;
}

export const CHANGES_MAX = 65_536;
/** Numbers are varints below 2^32; long before that a new life begins. */
const NUMBER_MAX = 2 ** 31;

export class IndexFeed {
  readonly index: BlockIndex;
  /** The engine is heard; while it is not, what is held may be out of date. */
  isHeard = false;
  readonly #who: EngineName;
  #life: number;
  #number = 0;
  /** The media of each block that changed, as they were told last; 0: it was not there. */
  readonly #told = new Map<number, number>();
  #toldPartial = true;
  #toldHeard = true;
  /** The life began with nothing, and nobody was told of it yet. */
  #isFresh = false;

  constructor(who: EngineName, prng: Prng, blocksMax?: number) {
    assert(who.slot < SLOTS_MAX, `slot ${who.slot} does not fit a byte`);
    this.#who = who;
    this.#life = prng.nextU32();
    this.index = new BlockIndex(blocksMax, {
      changed: (key, media) => this.#changed(key, media),
      restarted: () => this.#begin(true),
    });
  }

  get slot(): number {
    return this.#who.slot;
  }

  get life(): number {
    return this.#life;
  }

  /** Of the update that was taken last. */
  get number(): number {
    return this.#number;
  }

  /** What changed since the last time, in messages of about `bytesMax`; nothing when nothing did. */
  take(bytesMax?: number): Uint8Array[] {
    const { isHeard } = this;
    const { isPartial } = this.index;
    const gone: number[] = [];
    const blocks: Block[] = [];
    for (const [key, told] of this.#told) {
      const block = this.index.get(key);
      if (block === undefined) {
        if (told !== 0) gone.push(key);
      } else if (block.media !== told) blocks.push(block);
    }
    this.#told.clear();
    const isToldSo = isPartial === this.#toldPartial && isHeard === this.#toldHeard;
    if (gone.length + blocks.length === 0 && isToldSo) return [];
    this.#toldPartial = isPartial;
    this.#toldHeard = isHeard;
    const head = { ...this.#head(), number: this.#number + 1, isFresh: this.#isFresh };
    const messages = writeUpdates(head, gone, blocks, bytesMax);
    this.#isFresh = false;
    this.#number += messages.length;
    if (this.#number >= NUMBER_MAX) this.#begin(false);
    return messages;
  }

  /** Changes that were not taken yet. */
  get changes(): number {
    return this.#told.size;
  }

  /** Goes on without telling what changed: there is a snapshot instead. */
  pass(): void {
    if (this.#told.size === 0) return;
    this.#told.clear();
    this.#toldPartial = this.index.isPartial;
    this.#toldHeard = this.isHeard;
    this.#isFresh = false;
    this.#number += 1;
  }

  /** All that is held. What changed since the last update must have been taken: this is the state behind that. */
  snapshot(): Uint8Array[] {
    assert(this.#told.size === 0, "take() or pass() comes before snapshot()");
    const { runtime, engine } = this.#who;
    return writeSnapshot(this.#head(), runtime, engine, [...this.index.blocks()]);
  }

  #head(): Head {
    return {
      slot: this.#who.slot,
      life: this.#life,
      number: this.#number,
      isPartial: this.index.isPartial,
      isHeard: this.isHeard,
      isFresh: false,
    };
  }

  #changed(key: number, media: number): void {
    if (this.#told.has(key)) return;
    this.#told.set(key, media);
    if (this.#told.size > CHANGES_MAX) this.#begin(false);
  }

  #begin(isFresh: boolean): void {
    this.#isFresh = isFresh;
    this.#told.clear();
    this.#life = (this.#life + 1) >>> 0;
    this.#number = 0;
    // An update of nothing tells the new life.
    this.#toldPartial = !this.index.isPartial;
  }
}
