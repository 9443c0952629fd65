/**
 * What the consensus wants done, in the order in which its shell has to do it: store, send, apply.
 *
 * Batches are numbered from 1 on and stored in that order. `sends` may leave at once: what has to wait for a batch to
 * be durable is held back by the core and comes with a later one, after `persisted(number)`. Committed entries may be
 * applied at once.
 */
import type { Entry, HardState, Member, Snapshot } from "./entry.ts";
import type { Message } from "./message.ts";

export interface Send {
  readonly to: Member;
  readonly message: Message;
}

/** What became of a read that was asked for by `read(id)`. */
export type ReadOutcome =
  /** Answer it from a state machine that has applied `index`. */
  | { readonly id: number; readonly index: number }
  /** The leader changed or could not confirm that it still is one. */
  | { readonly id: number; readonly refused: true };

export interface Ready {
  readonly number: number;
  /** Store first: takes the place of the whole log; the state machine restores from it. */
  readonly snapshot?: Snapshot;
  /** Store then: they take the place of all stored entries from the first one's index on. */
  readonly entries: readonly Entry[];
  readonly hardState?: HardState;
  readonly sends: readonly Send[];
  /** In order, each index once, after the snapshot's. */
  readonly committed: readonly Entry[];
  readonly reads: readonly ReadOutcome[];
}
