/**
 * What members tell one another. Every message names its sender, its receiver and its sender's term; a receiver drops
 * what is not for it. `codec.ts` has the bytes.
 */
import type { Configuration, Entry, Member, Position } from "./entry.ts";

interface Head {
  readonly from: Member;
  readonly to: Member;
  /** The sender's term; of pre-votes the one that it would stand in. */
  readonly term: number;
}

/** A candidate asks for a vote; with `pre`, whether it would get one. */
export interface VoteRequest extends Head {
  readonly type: "vote";
  readonly pre: boolean;
  readonly last: Position;
  /** The leader asked it to stand: voters need not wait until they miss the leader. */
  readonly transfer: boolean;
}

export interface VoteReply extends Head {
  readonly type: "vote-reply";
  readonly pre: boolean;
  readonly granted: boolean;
}

/** Entries after `previous`; with none it is a heartbeat. */
export interface AppendRequest extends Head {
  readonly type: "append";
  readonly previous: Position;
  readonly commitIndex: number;
  readonly entries: readonly Entry[];
  /** The leader's newest round: the reply repeats it. 0 with no entries: no reply is needed unless the logs differ. */
  readonly round: number;
}

export interface AppendReply extends Head {
  readonly type: "append-reply";
  readonly round: number;
  /** The last index that is known to agree; of a refusal the `previous.index` that was refused. */
  readonly index: number;
  /** Of a refusal: where to try next. */
  readonly hint?: Position;
}

/** A piece of a snapshot. */
export interface SnapshotChunk extends Head {
  readonly type: "snapshot";
  readonly at: Position;
  readonly configuration: Configuration;
  readonly totalBytes: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** How many bytes of that snapshot are there without a gap. */
export interface SnapshotReply extends Head {
  readonly type: "snapshot-reply";
  readonly at: Position;
  readonly received: number;
}

/** The leader asks for an election at once. */
export interface TransferRequest extends Head {
  readonly type: "transfer";
}

/** A follower asks its leader from where on a read is safe. */
export interface ReadRequest extends Head {
  readonly type: "read";
  readonly id: number;
}

export interface ReadReply extends Head {
  readonly type: "read-reply";
  readonly id: number;
  /** Undefined: refused. */
  readonly index?: number;
}

export type Message =
  | VoteRequest
  | VoteReply
  | AppendRequest
  | AppendReply
  | SnapshotChunk
  | SnapshotReply
  | TransferRequest
  | ReadRequest
  | ReadReply;
