/**
 * What the log's journal is made of: records, each under a sequence number, never changed and never out of order. What
 * they mean together is what a `Replay` of them holds: a later entry of an index takes the place of the earlier one and
 * of all after it, a later hard state that of the earlier.
 *
 * A record's checksum is chained: it starts from the checksum of the record before. So it covers all that was written up
 * to it, and a record that is missing, doubled, old or in another's place is found like one that was damaged.
 */
import {
  type Configuration,
  ENTRY_KINDS,
  type HardState,
  type Position,
  decodeConfiguration,
  encodeConfiguration,
  isMember,
  NOBODY,
} from "../raft/entry.ts";
import { isRecord } from "../base/field.ts";

/** Entries by their own kind; a hard state; the head of a snapshot, whose data lie elsewhere. */
export const RECORD_KINDS = [...ENTRY_KINDS, "hard-state", "snapshot"] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

export interface Record extends Position {
  /** From 1 on, without a gap. */
  readonly sequence: number;
  readonly kind: RecordKind;
  readonly data: Uint8Array;
}

/** What a snapshot's record says besides its position. */
export interface SnapshotHead {
  readonly configuration: Configuration;
  /** It came from a leader: nothing before it counts. Else it sums up entries of this log. */
  readonly replaces: boolean;
  readonly bytes: number;
  /** Of the data. */
  readonly checksum: bigint;
}

/** Before the first record. */
export const NO_CHECKSUM = 0n;
export const CHECKSUM_BYTES = 8;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const CODES: ReadonlyMap<RecordKind, number> = new Map(RECORD_KINDS.map((kind, code) => [kind, code]));

const head = new Uint8Array(new ArrayBuffer(32));
const headView = new DataView(head.buffer);

/** The checksum of a record that follows one with the checksum `previous`. */
export function chained(previous: bigint, { sequence, kind, index, term, data }: Record): bigint {
  headView.setFloat64(0, sequence);
  headView.setFloat64(8, index);
  headView.setFloat64(16, term);
  headView.setUint32(24, CODES.get(kind) ?? 255);
  headView.setUint32(28, data.length);
  return checksumOf(data, checksumOf(head, previous));
}

export function checksumOf(bytes: Uint8Array, seed = NO_CHECKSUM): bigint {
  return Bun.hash.xxHash64(bytes, seed);
}

export function checksumBytes(checksum: bigint): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(CHECKSUM_BYTES));
  new DataView(bytes.buffer).setBigUint64(0, checksum);
  return bytes;
}

/** Undefined for what is none. */
export function checksumFrom(bytes: unknown): bigint | undefined {
  if (!(bytes instanceof Uint8Array) || bytes.length !== CHECKSUM_BYTES) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, CHECKSUM_BYTES).getBigUint64(0);
}

export function checksumText(checksum: bigint): string {
  return checksum.toString(16).padStart(2 * CHECKSUM_BYTES, "0");
}

export function isEntryKind(kind: RecordKind): kind is (typeof ENTRY_KINDS)[number] {
  return kind !== "hard-state" && kind !== "snapshot";
}

/** The data of a hard state's record, whose position is the term and the commit index. */
export function encodeVote({ votedFor }: HardState): Uint8Array {
  return encoder.encode(JSON.stringify({ votedFor }));
}

export function decodeHardState({ index, term, data }: Record): HardState | undefined {
  const votedFor = parse(data)?.["votedFor"];
  if (votedFor !== NOBODY && !isMember(votedFor)) return undefined;
  return { term, votedFor, commitIndex: index };
}

export function encodeSnapshotHead({ configuration, replaces, bytes, checksum }: SnapshotHead): Uint8Array {
  const members: unknown = JSON.parse(decoder.decode(encodeConfiguration(configuration)));
  return encoder.encode(JSON.stringify({ replaces, bytes, checksum: checksumText(checksum), configuration: members }));
}

export function decodeSnapshotHead(data: Uint8Array): SnapshotHead | undefined {
  const told = parse(data);
  if (told === undefined) return undefined;
  const { replaces, bytes, checksum } = told;
  const configuration = decodeConfiguration(encoder.encode(JSON.stringify(told["configuration"] ?? null)));
  if (configuration === undefined || typeof replaces !== "boolean" || !Number.isSafeInteger(bytes)) return undefined;
  if (typeof checksum !== "string" || !/^[0-9a-f]{16}$/.test(checksum)) return undefined;
  return { configuration, replaces, bytes: bytes as number, checksum: BigInt(`0x${checksum}`) };
}

function parse(data: Uint8Array): { readonly [name: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(data));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
