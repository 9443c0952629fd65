/** What the log's thread and the thread that uses the log tell one another. */
import type { ErrorCode } from "../base/errors.ts";
import { type Entry, ENTRY_KINDS, type HardState, type Snapshot } from "../raft/entry.ts";
import type { LogContents } from "./log-archive.ts";
import type { Identity } from "./log-schema.ts";

const KIND_CODES = new Map(ENTRY_KINDS.map((kind, code) => [kind, code]));
const ENTRY_NUMBERS = 4;

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

/**
 * A batch without a snapshot, as it travels: numbers, then the entries' data, in one buffer, since a clone of one small
 * buffer costs both threads half of what a clone of an object with buffers that change hands does.
 */
export type PackedBatch = Uint8Array<ArrayBuffer>;

/** Number, whether there is a hard state, its three numbers; then four of each entry. */
const HEAD_NUMBERS = 6;
const NUMBER_BYTES = Float64Array.BYTES_PER_ELEMENT;

export function packBatch(number: number, entries: readonly Entry[], hardState: HardState | undefined): PackedBatch {
  const dataAt = (HEAD_NUMBERS + entries.length * ENTRY_NUMBERS) * NUMBER_BYTES;
  const packed = new Uint8Array(dataAt + entries.reduce((sum, { data }) => sum + data.length, 0));
  const numbers = new Float64Array(packed.buffer, 0, dataAt / NUMBER_BYTES);
  numbers[0] = number;
  numbers[1] = entries.length;
  if (hardState !== undefined) {
    numbers[2] = 1;
    numbers[3] = hardState.term;
    numbers[4] = hardState.votedFor;
    numbers[5] = hardState.commitIndex;
  }
  packInto(entries, numbers.subarray(HEAD_NUMBERS), packed.subarray(dataAt));
  return packed;
}

export function unpackBatch(packed: PackedBatch): Batch {
  const head = new Float64Array(packed.buffer, 0, HEAD_NUMBERS);
  const count = head[1]!;
  const heads = new Float64Array(packed.buffer, HEAD_NUMBERS * NUMBER_BYTES, count * ENTRY_NUMBERS);
  const data = packed.subarray(heads.byteOffset + heads.byteLength);
  const batch = { kind: "write", number: head[0]!, heads, data } as const;
  if (head[2] === 0) return batch;
  return { ...batch, hardState: { term: head[3]!, votedFor: head[4]!, commitIndex: head[5]! } };
}

/** For a batch that travels as it is. */
export function packEntries(entries: readonly Entry[]): Pick<Batch, "heads" | "data"> {
  const heads = new Float64Array(entries.length * ENTRY_NUMBERS);
  const data = new Uint8Array(entries.reduce((sum, entry) => sum + entry.data.length, 0));
  packInto(entries, heads, data);
  return { heads, data };
}

function packInto(entries: readonly Entry[], heads: Float64Array, data: Uint8Array): void {
  let at = 0;
  let headAt = 0;
  for (const entry of entries) {
    heads[headAt++] = entry.index;
    heads[headAt++] = entry.term;
    heads[headAt++] = KIND_CODES.get(entry.kind) ?? -1;
    heads[headAt++] = entry.data.length;
    data.set(entry.data, at);
    at += entry.data.length;
  }
}

export interface Compaction {
  readonly kind: "compact";
  readonly snapshot: Snapshot;
  /** Entries from this index on are kept. */
  readonly keepFrom: number;
}

export type ToLog = OpenLog | PackedBatch | Batch | Compaction | { readonly kind: "close" };

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
