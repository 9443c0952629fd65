/** Events of a made-up engine, for the tests of this room, and what a plain reading of them says is held. */
import { Prng } from "../../src/base/prng.ts";
import { blockKey, rootKey } from "../../src/kv/block-key.ts";
import { type KvEvent, MEDIUM, type StoredEvent } from "../../src/kv/event.ts";

export const BLOCK_TOKENS = 4;

export function storedEvent(part: Partial<StoredEvent> & Pick<StoredEvent, "hashes">): StoredEvent {
  const tokens = Uint32Array.from({ length: part.hashes.length * BLOCK_TOKENS }, (_, at) => at);
  return {
    kind: "stored",
    parent: undefined,
    adapter: "",
    tokens,
    blockTokens: BLOCK_TOKENS,
    medium: MEDIUM.gpu,
    extras: [],
    group: undefined,
    isWhole: true,
    ...part,
  };
}

export const removedEvent = (hashes: readonly string[], medium: number = MEDIUM.gpu): KvEvent => ({
  kind: "removed",
  hashes,
  medium,
  group: undefined,
});

interface Held {
  readonly key: number;
  readonly parent: number;
  readonly depth: number;
  media: number;
}

/**
 * An engine that stores chains of blocks, extends and removes them. A block's hash is made of the tokens before it, as
 * engines do. `held` is what it holds, by hash, as long as every event was told.
 */
export class Engine {
  readonly held = new Map<string, Held>();
  readonly #prng: Prng;

  constructor(seed: number) {
    this.#prng = new Prng(seed);
  }

  next(): KvEvent {
    const dice = this.#prng.int(100);
    if (dice === 0) {
      this.held.clear();
      return { kind: "cleared" };
    }
    const hashes = [...this.held.keys()];
    if (dice < 30 && hashes.length > 0) return this.#remove(hashes);
    if (dice < 40 && hashes.length > 0) return this.#copy(hashes);
    return this.#store();
  }

  #remove(hashes: readonly string[]): KvEvent {
    const medium = this.#prng.int(4) === 0 ? MEDIUM.cpu : MEDIUM.gpu;
    const gone = Array.from({ length: 1 + this.#prng.int(4) }, () => hashes[this.#prng.int(hashes.length)]!);
    for (const hash of gone) {
      const block = this.held.get(hash);
      if (block === undefined) continue;
      block.media &= ~medium;
      if (block.media === 0) this.held.delete(hash);
    }
    return removedEvent([...gone, "stranger"], medium);
  }

  /** Told without tokens, as offloading does. */
  #copy(hashes: readonly string[]): KvEvent {
    const hash = hashes[this.#prng.int(hashes.length)]!;
    this.held.get(hash)!.media |= MEDIUM.cpu;
    return storedEvent({ hashes: [hash], tokens: new Uint32Array(0), blockTokens: 0, medium: MEDIUM.cpu });
  }

  /** Walks down a tree of prompts as far as it is held, and stores what is missing. */
  #store(): KvEvent {
    const adapter = this.#prng.int(5) === 0 ? "sql" : "";
    let hash = `${adapter}/`;
    let parent = rootKey(adapter);
    let depth = 0;
    let before: string | undefined;
    const hashes: string[] = [];
    const tokens: number[] = [];
    for (let left = 1 + this.#prng.int(8); left > 0; left -= 1) {
      const branch = this.#prng.int(3);
      const own = Array.from({ length: BLOCK_TOKENS }, (_, at) => branch * 100 + at);
      hash += branch;
      const key = blockKey(parent, own, 0, BLOCK_TOKENS);
      if (hashes.length === 0 && this.held.has(hash)) before = hash;
      else {
        hashes.push(hash);
        tokens.push(...own);
        const known = this.held.get(hash);
        if (known === undefined) this.held.set(hash, { key, parent, depth, media: MEDIUM.gpu });
        else known.media |= MEDIUM.gpu;
      }
      parent = key;
      depth += 1;
    }
    return storedEvent({ hashes, parent: before, adapter, tokens: Uint32Array.from(tokens) });
  }
}
