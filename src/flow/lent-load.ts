/**
 * What a desk has at a target in the name of other routers: prompts that it bound for them. Nothing of that is in the
 * desk's own table; it shows there as what others have, once those have told of it, and still does for a while after it
 * is done. So it is left out of what others have as long as they may tell of it, and counts as a request until they do.
 */
import { assert } from "../base/assert.ts";

interface Lent {
  readonly tokens: number;
  readonly sinceMs: number;
}

export class LentLoad {
  /** How long it takes at most until others' word of a change has come. */
  readonly #lagMs: number;
  /** Prompts that have no first token yet. */
  #tokens = 0;
  #prompts = 0;
  /** Bound, and then done, not longer ago than that. */
  readonly #untold: number[] = [];
  readonly #done: Lent[] = [];
  #doneTokens = 0;

  constructor(lagMs: number) {
    this.#lagMs = lagMs;
  }

  /** Prompts of others that are there by this desk's word. */
  get prompts(): number {
    return this.#prompts;
  }

  bound(tokens: number, nowMs: number): void {
    this.#tokens += tokens;
    this.#prompts += 1;
    this.#untold.push(nowMs);
  }

  /** Its first token came, or it ended without. */
  done(tokens: number, nowMs: number): void {
    assert(this.#prompts > 0, "what is done was bound");
    this.#tokens -= tokens;
    this.#prompts -= 1;
    this.#done.push({ tokens, sinceMs: nowMs });
    this.#doneTokens += tokens;
  }

  /** Of tokens that others are said to have there, such as the desk knows nothing of. */
  unknown(tokens: number, nowMs: number): number {
    while (this.#done.length > 0 && nowMs - this.#done[0]!.sinceMs > this.#lagMs) {
      this.#doneTokens -= this.#done.shift()!.tokens;
    }
    return Math.max(0, tokens - this.#tokens - this.#doneTokens);
  }

  /** Requests that are there, and that others may not have told of. */
  untold(nowMs: number): number {
    while (this.#untold.length > 0 && nowMs - this.#untold[0]! > this.#lagMs) this.#untold.shift();
    return this.#untold.length;
  }
}
