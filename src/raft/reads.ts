/**
 * Linearizable reads without an entry in the log (dissertation, 6.4). The leader notes its commit index and waits until
 * a majority has confirmed, in a round that began later, that it still is the leader. A leader that has committed
 * nothing in its term does not know its commit index yet: reads wait. Followers ask their leader.
 */
import type { Prng } from "../base/prng.ts";
import type { Member } from "./entry.ts";

/** Who asked, by which number. */
export interface Reader {
  readonly member: Member;
  readonly id: number;
}

interface Waiting {
  readonly reader: Reader;
  readonly index: number;
  readonly round: number;
}

/** Reads at the leader. */
export class LeaderReads {
  /** Not yet in a round. */
  #asked: Reader[] = [];
  #waiting: Waiting[] = [];

  get count(): number {
    return this.#asked.length + this.#waiting.length;
  }

  get hasAsked(): boolean {
    return this.#asked.length > 0;
  }

  ask(reader: Reader): void {
    this.#asked.push(reader);
  }

  /** All that were asked wait for that round, which begins after this. */
  begin(round: number, index: number): void {
    for (const reader of this.#asked) this.#waiting.push({ reader, index, round });
    this.#asked = [];
  }

  /** Those whose round, or a later one, was confirmed. */
  confirmed(round: number): Waiting[] {
    let count = 0;
    while (count < this.#waiting.length && this.#waiting[count]!.round <= round) count += 1;
    return count === 0 ? [] : this.#waiting.splice(0, count);
  }

  /** All that wait: it leads no more. */
  refuse(): Reader[] {
    const readers = [...this.#waiting.map(({ reader }) => reader), ...this.#asked];
    this.#asked = [];
    this.#waiting = [];
    return readers;
  }
}

interface Forwarded {
  readonly id: number;
  readonly untilMs: number;
}

/** Reads that a follower asked its leader for. */
export class FollowerReads {
  readonly #pending = new Map<number, Forwarded>();
  #number: number;

  /** Numbers start anywhere, so that an answer to a question of an earlier life answers none of this one. */
  constructor(prng: Prng) {
    this.#number = prng.nextU32() * 2 ** 20;
  }

  get count(): number {
    return this.#pending.size;
  }

  /** When the oldest expires. */
  get untilMs(): number {
    for (const { untilMs } of this.#pending.values()) return untilMs;
    return Infinity;
  }

  /** The number to ask the leader by. */
  ask(id: number, untilMs: number): number {
    this.#number += 1;
    this.#pending.set(this.#number, { id, untilMs });
    return this.#number;
  }

  /** The read that the leader's answer belongs to, once. */
  answered(number: number): number | undefined {
    const forwarded = this.#pending.get(number);
    this.#pending.delete(number);
    return forwarded?.id;
  }

  /** Those that waited long enough. */
  expire(nowMs: number): number[] {
    const ids: number[] = [];
    for (const [number, { id, untilMs }] of this.#pending) {
      if (untilMs > nowMs) break;
      this.#pending.delete(number);
      ids.push(id);
    }
    return ids;
  }

  /** All that wait: the leader changed. */
  refuse(): number[] {
    const ids = [...this.#pending.values()].map(({ id }) => id);
    this.#pending.clear();
    return ids;
  }
}
