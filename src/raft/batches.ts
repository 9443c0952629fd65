/**
 * What was handed out to be stored, and what has to wait for it. Batches become durable in their order, several may be
 * outstanding; a message that tells of something is held until the batch that stores it is durable.
 */
import { assert } from "../base/assert.ts";
import type { Message } from "./message.ts";

interface Outstanding {
  readonly number: number;
  /** The last index that is durable with it, as long as nothing is cut off meanwhile. */
  lastIndex: number;
  readonly term: number;
}

interface Held {
  readonly after: number;
  readonly message: Message;
}

export class Batches {
  #issued = 0;
  #durable = 0;
  readonly #outstanding: Outstanding[] = [];
  readonly #held: Held[] = [];
  /** Entries up to here are durable. */
  #durableIndex: number;
  #durableTerm: number;

  constructor(durableIndex: number, durableTerm: number) {
    this.#durableIndex = durableIndex;
    this.#durableTerm = durableTerm;
  }

  get durableIndex(): number {
    return this.#durableIndex;
  }

  get durableTerm(): number {
    return this.#durableTerm;
  }

  /** The number of the next batch. */
  get next(): number {
    return this.#issued + 1;
  }

  /** The batch after which all that was handed out so far is durable; 0 when it is. */
  get newest(): number {
    return this.#outstanding.at(-1)?.number ?? 0;
  }

  /** Hands out the next batch; `stores` unless there is nothing in it to store. */
  issue(stores: boolean, lastIndex: number, term: number): number {
    this.#issued += 1;
    if (stores) this.#outstanding.push({ number: this.#issued, lastIndex, term });
    return this.#issued;
  }

  /** Entries from there on are cut off: what is still being stored of them counts for nothing. */
  truncate(index: number): void {
    this.#durableIndex = Math.min(this.#durableIndex, index - 1);
    for (const batch of this.#outstanding) batch.lastIndex = Math.min(batch.lastIndex, index - 1);
  }

  hold(message: Message, after: number): void {
    assert(after >= (this.#held.at(-1)?.after ?? 0), "messages are held in the order of their batches");
    this.#held.push({ after, message });
  }

  /** All batches up to that one are durable: what waited for them. */
  persisted(number: number): Message[] {
    assert(number <= this.#issued, `batch ${number} is durable, but only ${this.#issued} were handed out`);
    this.#durable = Math.max(this.#durable, number);
    while ((this.#outstanding[0]?.number ?? Infinity) <= this.#durable) {
      const { lastIndex, term } = this.#outstanding.shift()!;
      this.#durableIndex = lastIndex;
      this.#durableTerm = term;
    }
    const waiting = this.#held.findIndex(({ after }) => after > this.#durable);
    return this.#held.splice(0, waiting < 0 ? this.#held.length : waiting).map(({ message }) => message);
  }
}
