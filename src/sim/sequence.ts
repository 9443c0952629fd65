/** One request inside the engine, and the lists that hold them: waiting and running, each in order, O(1) to leave. */

import type { HeapItem } from "../base/heap.ts";

/** What the engine is asked to do. Lengths are known before: texts are the caller's matter. */
export interface SimRequest {
  /** Chosen by the caller, unique among those not ended. */
  readonly id: number;
  readonly promptTokens: number;
  /** Tokens that will be generated; 0 for work without generation (embeddings). */
  readonly outputTokens: number;
  /** Chained hashes of the prompt's full blocks (see `chainHash`); fewer or none: the rest is never shared. */
  readonly hashes: readonly number[];
  /** The hash of a full block beyond the prompt's, by its index; undefined: what is generated is never shared. */
  readonly outputHash?: (block: number) => number;
  /** Tell of every token; else only of the first one. */
  readonly stream: boolean;
}

/** finished: all tokens made. too_long: could never fit the KV cache. queue_full: too many are waiting. */
export type SimEnd = "finished" | "cancelled" | "too_long" | "queue_full";

export const WAITING = 0;
export const PREFILLING = 1;
export const DECODING = 2;
export const ENDED = 3;
export type SequenceState = typeof WAITING | typeof PREFILLING | typeof DECODING | typeof ENDED;

export class Sequence implements HeapItem {
  readonly request: SimRequest;
  readonly submittedAtMs: number;
  state: SequenceState = WAITING;
  /** Named blocks that it uses, first to last. */
  blocks: number[] = [];
  /** Blocks up to this index were named, or found to be named already. */
  namedTo = 0;
  /** Tokens of prompt and text whose keys and values are in the cache; while decoding: when decoding began. */
  computed = 0;
  /** Tokens generated; while decoding: when decoding began. */
  generated = 0;
  /** The engine's step count when decoding began: all decoding sequences advance together, none is touched. */
  joinedAtStep = 0;
  /** The step count at which the last token is made. */
  heapKey = 0;
  heapIndex = -1;
  cachedTokens = 0;
  preemptions = 0;
  admittedAtMs = -1;
  firstTokenAtMs = -1;
  previous: Sequence | null = null;
  next: Sequence | null = null;

  constructor(request: SimRequest, submittedAtMs: number) {
    this.request = request;
    this.submittedAtMs = submittedAtMs;
  }

  /** Tokens that must be in the cache before the next one can be generated. */
  get prefillTokens(): number {
    return this.request.promptTokens + this.generated;
  }

  /** The hash of a full block by its index, or -1. */
  hashAt(block: number): number {
    const { hashes, outputHash } = this.request;
    if (block < hashes.length) return hashes[block] as number;
    return outputHash === undefined ? -1 : outputHash(block);
  }
}

/** A doubly linked list through the sequences themselves; each is in one list at a time. */
export class SequenceList {
  head: Sequence | null = null;
  tail: Sequence | null = null;
  size = 0;

  pushBack(sequence: Sequence): void {
    sequence.previous = this.tail;
    sequence.next = null;
    if (this.tail === null) this.head = sequence;
    else this.tail.next = sequence;
    this.tail = sequence;
    this.size += 1;
  }

  pushFront(sequence: Sequence): void {
    sequence.previous = null;
    sequence.next = this.head;
    if (this.head === null) this.tail = sequence;
    else this.head.previous = sequence;
    this.head = sequence;
    this.size += 1;
  }

  remove(sequence: Sequence): void {
    const { previous, next } = sequence;
    if (previous === null) this.head = next;
    else previous.next = next;
    if (next === null) this.tail = previous;
    else next.previous = previous;
    sequence.previous = null;
    sequence.next = null;
    this.size -= 1;
  }
}
