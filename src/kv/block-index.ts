/**
 * The blocks that one engine holds, by its events.
 *
 *     index.apply(event);                    // what the engine tells
 *     index.restart(isComplete);             // what was known is void
 *     index.matched(keys);                   // how much of a prompt is held
 *     index.blocks()                         // all of them, parents first
 *
 * A block is found by the engine's hash when the engine speaks of it, and by its key (block-key.ts) when a router does.
 * It stays while it lies anywhere (`MEDIUM`); being stored again is no news, and what was never stored can't be removed.
 * One whose parent is not known has no key, since nobody knows what precedes it: it is counted (`unrooted`) and left
 * out, as are those without tokens; when one that is known is told of without tokens, it lies at one more place.
 * Engines that keep a cache for each kind of attention are followed by the first whose blocks hold whole prefixes.
 *
 * Two hashes of one key: the later one stands for the block.
 *
 * Limit: `blocksMax`. When it is exceeded a sixteenth leave, the deepest first, among equals the oldest: so what is left
 * are still whole prefixes, and short ones are what most requests share. The index is then partial, as it is when it
 * began in the middle or missed something; only an engine that clears its cache or starts anew makes it whole.
 */
import { blockKey, rootKey } from "./block-key.ts";
import type { KvEvent, RemovedEvent, StoredEvent } from "./event.ts";

export interface Block {
  hash: string;
  readonly key: number;
  /** ROOT or an adapter's for the first. */
  readonly parent: number;
  /** Blocks before it. */
  readonly depth: number;
  readonly tokens: number;
  media: number;
}

export interface IndexStats {
  stored: number;
  removed: number;
  cleared: number;
  /** Blocks left out, since nobody knows what precedes them or what they hold. */
  unrooted: number;
  /** Blocks that left for want of room. */
  evicted: number;
  /** Events of caches that are not followed. */
  otherGroups: number;
  /** Events whose tokens do not go with their hashes. */
  unusable: number;
}

/** Is told of every change of what is held, and by what a block was held before. */
export interface IndexWatcher {
  changed(key: number, mediaBefore: number): void;
  restarted(): void;
}

export interface Match {
  readonly blocks: number;
  readonly tokens: number;
}

export const BLOCKS_MAX_DEFAULT = 131_072;
export const BLOCK_TOKENS_MAX = 65_535;
export const DEPTH_MAX = 1_048_575;

export class BlockIndex {
  readonly stats: IndexStats = {
    stored: 0,
    removed: 0,
    cleared: 0,
    unrooted: 0,
    evicted: 0,
    otherGroups: 0,
    unusable: 0,
  };
  readonly #blocksMax: number;
  readonly #watcher: IndexWatcher | undefined;
  readonly #byHash = new Map<string, Block>();
  readonly #byKey = new Map<number, Block>();
  /** How many blocks have each depth. */
  #depths: number[] = [];
  #group: number | undefined;
  #isPartial = true;

  constructor(blocksMax = BLOCKS_MAX_DEFAULT, watcher?: IndexWatcher) {
    this.#blocksMax = blocksMax;
    this.#watcher = watcher;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** The engine may hold blocks that are not here. */
  get isPartial(): boolean {
    return this.#isPartial;
  }

  apply(event: KvEvent): void {
    if (event.kind === "stored") this.#store(event);
    else if (event.kind === "removed") this.#remove(event);
    else {
      this.stats.cleared += 1;
      this.#empty(true);
    }
  }

  /** Nothing is known any more; `isComplete`: all that the engine holds will be told. */
  restart(isComplete: boolean): void {
    this.#group = undefined;
    this.#empty(isComplete);
  }

  /** Something that the engine told was not understood. */
  missed(): void {
    this.#isPartial = true;
  }

  get(key: number): Block | undefined {
    return this.#byKey.get(key);
  }

  /** How many of these keys, each of the block behind the one before, are held in any of `media`. */
  matched(keys: ArrayLike<number>, media = 15): Match {
    let tokens = 0;
    let blocks = 0;
    for (; blocks < keys.length; blocks += 1) {
      const block = this.#byKey.get(keys[blocks]!);
      if (block === undefined || (block.media & media) === 0) break;
      tokens += block.tokens;
    }
    return { blocks, tokens };
  }

  /** All blocks, each behind its parent where that is here. */
  blocks(): MapIterator<Block> {
    return this.#byKey.values();
  }

  #store(event: StoredEvent): void {
    const { hashes, tokens, blockTokens, medium } = event;
    if (!this.#follows(event.group, event.isWhole)) {
      this.stats.otherGroups += 1;
      return;
    }
    const isTold = tokens.length > 0;
    const isFitting = blockTokens > 0 && Math.ceil(tokens.length / blockTokens) === hashes.length;
    if (isTold && (!isFitting || blockTokens > BLOCK_TOKENS_MAX)) {
      this.stats.unusable += 1;
      this.#isPartial = true;
      return;
    }
    let before: Block | undefined = event.parent === undefined ? undefined : this.#byHash.get(event.parent);
    let isRooted = isTold && (event.parent === undefined || before !== undefined);
    const root = rootKey(event.adapter);
    for (const [at, hash] of hashes.entries()) {
      const known = this.#byHash.get(hash);
      if (known !== undefined) {
        this.#spread(known, medium);
        before = known;
        // What comes behind it has a place again, even if what comes before it had none.
        isRooted = isTold;
      } else if (isRooted) {
        const to = Math.min(tokens.length, (at + 1) * blockTokens);
        const parent = before?.key ?? root;
        const key = blockKey(parent, tokens, at * blockTokens, to, event.extras[at]);
        before = this.#add(
          hash,
          key,
          parent,
          before === undefined ? 0 : before.depth + 1,
          to - at * blockTokens,
          medium,
        );
        isRooted = before !== undefined;
      } else {
        this.stats.unrooted += 1;
        this.#isPartial = true;
      }
    }
    if (this.#byKey.size > this.#blocksMax) this.#evict();
  }

  #remove({ hashes, medium, group }: RemovedEvent): void {
    if (group !== undefined && this.#group !== undefined && group !== this.#group) {
      this.stats.otherGroups += 1;
      return;
    }
    for (const hash of hashes) {
      const block = this.#byHash.get(hash);
      if (block === undefined || (block.media & medium) === 0) continue;
      this.stats.removed += 1;
      const { media } = block;
      block.media &= ~medium;
      if (block.media === 0) this.#drop(block);
      this.#watcher?.changed(block.key, media);
    }
  }

  /** Whether blocks of this group are followed: the first that is heard of and holds whole prefixes. */
  #follows(group: number | undefined, isWhole: boolean): boolean {
    if (!isWhole) return false;
    if (group === undefined) return true;
    this.#group ??= group;
    return this.#group === group;
  }

  #spread(block: Block, medium: number): void {
    if ((block.media & medium) !== 0) return;
    const { media } = block;
    block.media |= medium;
    this.stats.stored += 1;
    this.#watcher?.changed(block.key, media);
  }

  /** undefined where it is too deep. */
  #add(hash: string, key: number, parent: number, depth: number, tokens: number, media: number): Block | undefined {
    if (depth > DEPTH_MAX) {
      this.stats.unrooted += 1;
      this.#isPartial = true;
      return undefined;
    }
    const twin = this.#byKey.get(key);
    if (twin !== undefined) {
      this.#byHash.delete(twin.hash);
      twin.hash = hash;
      this.#byHash.set(hash, twin);
      this.#spread(twin, media);
      return twin;
    }
    const block: Block = { hash, key, parent, depth, tokens, media };
    this.#byHash.set(hash, block);
    this.#byKey.set(key, block);
    while (this.#depths.length <= depth) this.#depths.push(0);
    this.#depths[depth]! += 1;
    this.stats.stored += 1;
    this.#watcher?.changed(key, 0);
    return block;
  }

  #drop(block: Block): void {
    this.#byHash.delete(block.hash);
    this.#byKey.delete(block.key);
    this.#depths[block.depth]! -= 1;
  }

  #evict(): void {
    let leaving = this.#byKey.size - this.#blocksMax + (this.#blocksMax >> 4);
    let least = this.#depths.length;
    let deeper = 0;
    while (least > 0 && deeper + this.#depths[least - 1]! <= leaving) deeper += this.#depths[--least]!;
    // All from depth `least` on leave, and of those right above as many as are still too many.
    let above = leaving - deeper;
    for (const block of this.#byKey.values()) {
      if (leaving === 0) break;
      if (block.depth < least && (block.depth !== least - 1 || above === 0)) continue;
      if (block.depth < least) above -= 1;
      leaving -= 1;
      const { media } = block;
      block.media = 0;
      this.#drop(block);
      this.stats.evicted += 1;
      this.#watcher?.changed(block.key, media);
    }
    while (this.#depths.at(-1) === 0) this.#depths.pop();
    this.#isPartial = true;
  }

  #empty(isComplete: boolean): void {
    this.#byHash.clear();
    this.#byKey.clear();
    this.#depths = [];
    this.#isPartial = !isComplete;
    this.#watcher?.restarted();
  }
}
