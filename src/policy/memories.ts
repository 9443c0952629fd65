/**
 * What became of the commands whose keys are remembered: for `KEY_MS_MAX` of the commands' clock, at most `KEYS_MAX` of
 * them, the oldest going first.
 *
 * Their order is kept beside the map: the engine's map leaves a gap for each key that is deleted, and its first key is
 * looked for behind all of them. Asking a full map for its oldest key took 20 us on average, of a write's 600.
 */
import type { Memory } from "./snapshot.ts";

export const KEYS_MAX = 10_000;
export const KEY_MS_MAX = 3_600_000;

/** So many that are forgotten stay in the list before it is cut. */
const GONE_MAX = 1024;

export class Memories {
  readonly #byKey = new Map<string, Memory>();
  /** Oldest first; those before `#first` are forgotten. */
  #inOrder: Memory[] = [];
  #first = 0;

  get(key: string): Memory | undefined {
    return this.#byKey.get(key);
  }

  /** Of a key that is not known, and no older than the newest. */
  add(memory: Memory): void {
    this.#byKey.set(memory.key, memory);
    this.#inOrder.push(memory);
    if (this.#byKey.size > KEYS_MAX) this.#forgetOldest();
  }

  /** Those whose time is over go. */
  forget(nowMs: number): void {
    for (let oldest = this.#inOrder[this.#first]; oldest !== undefined; oldest = this.#inOrder[this.#first]) {
      if (nowMs - oldest.atMs < KEY_MS_MAX) return;
      this.#forgetOldest();
    }
  }

  /** Oldest first. */
  all(): Memory[] {
    return this.#inOrder.slice(this.#first);
  }

  /** These in place of what there is, oldest first. */
  replace(memories: readonly Memory[]): void {
    this.#byKey.clear();
    for (const memory of memories) this.#byKey.set(memory.key, memory);
    this.#inOrder = [...this.#byKey.values()];
    this.#first = 0;
  }

  #forgetOldest(): void {
    const oldest = this.#inOrder[this.#first];
    if (oldest === undefined) return;
    this.#byKey.delete(oldest.key);
    this.#first += 1;
    if (this.#first < GONE_MAX) return;
    this.#inOrder = this.#inOrder.slice(this.#first);
    this.#first = 0;
  }
}
