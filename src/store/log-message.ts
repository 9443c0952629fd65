/** What the log's thread and the thread that uses the log tell one another. */
import type { ErrorCode } from "../base/errors.ts";
import type { HardState, Snapshot } from "../raft/entry.ts";
import type { LogContents } from "./log-archive.ts";
import type { Identity } from "./log-schema.ts";

export interface OpenLog {
  readonly kind: "open";
  readonly path: string;
  readonly identity: Identity | undefined;
}

/**
 * What a Ready wants stored. Entries travel as two buffers that change hands, since a clone of each one's bytes would
 * copy the whole buffer that they may be a part of.
 */
export interface Batch {
  readonly kind: "write";
  readonly number: number;
  readonly snapshot?: Snapshot;
  /** Four of each entry: index, term, kind (its place in ENTRY_KINDS), length of its data. */
  readonly heads: Float64Array<ArrayBuffer>;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly hardState?: HardState;
}

export interface Compaction {
  readonly kind: "compact";
  readonly snapshot: Snapshot;
  /** Entries from this index on are kept. */
  readonly keepFrom: number;
}

export type ToLog = OpenLog | Batch | Compaction | { readonly kind: "close" };

/** An error, as it travels between threads. */
export interface Told {
  readonly code: ErrorCode;
  readonly message: string;
}

export type FromLog =
  | { readonly kind: "opened"; readonly contents: LogContents | null }
  | { readonly kind: "refused"; readonly error: Told }
  /** All batches up to that number are durable. */
  | { readonly kind: "durable"; readonly number: number }
  | { readonly kind: "compacted"; readonly index: number }
  | { readonly kind: "failing"; readonly error: Told; readonly lasting: boolean }
  | { readonly kind: "recovered" }
  | { readonly kind: "closed" };
