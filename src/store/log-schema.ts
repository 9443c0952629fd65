/** How a log lies in its database: the tables, and the row that says whose it is and where the journal begins. */
import type { Database } from "bun:sqlite";
import { checksumBytes, checksumFrom, checksumOf, checksumText, RECORD_KINDS, type Record } from "./log-record.ts";
import type { RecordKind } from "./log-record.ts";
import type { Member } from "../raft/entry.ts";

/** Whose log it is. */
export interface Identity {
  /** 32 hexadecimal digits. */
  readonly clusterId: string;
  readonly member: Member;
}

/** A record's place in the chain. */
export interface Link {
  readonly sequence: number;
  readonly checksum: bigint;
}

/** `application_id`: this database is a log of infermesh's ("IMLG"). */
export const APPLICATION_ID = 0x494d4c47;
/** `user_version`. */
export const FORMAT = 1;

export interface StoreRow {
  /** Made at random, and in the mark too: the two belong together. */
  readonly store: string;
  readonly cluster: string;
  readonly member: number;
  /** The link before the journal's first record. */
  readonly base_sequence: number;
  readonly base: Uint8Array;
  readonly checksum: Uint8Array;
}

export interface JournalRow {
  readonly sequence: number;
  readonly kind: string;
  /** An entry's or snapshot's index; a hard state's commit index. */
  readonly position: number;
  readonly term: number;
  readonly data: Uint8Array;
  readonly checksum: Uint8Array;
}

/** In an empty database. */
export function createSchema(database: Database, store: string, { clusterId, member }: Identity): void {
  database.run(`PRAGMA application_id = ${APPLICATION_ID}`);
  database.run(`PRAGMA user_version = ${FORMAT}`);
  database.run(
    "CREATE TABLE store (store TEXT NOT NULL, cluster TEXT NOT NULL, member INTEGER NOT NULL, base_sequence INTEGER NOT NULL, base BLOB NOT NULL, checksum BLOB NOT NULL)",
  );
  database.run(
    "CREATE TABLE journal (sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, position INTEGER NOT NULL, term INTEGER NOT NULL, data BLOB NOT NULL, checksum BLOB NOT NULL)",
  );
  // Beside the journal, since only the latest is of use, and it may be large.
  database.run("CREATE TABLE snapshot (sequence INTEGER PRIMARY KEY, data BLOB NOT NULL)");
  const row = { store, cluster: clusterId, member, base_sequence: 0, base: checksumBytes(0n) };
  database.run("INSERT INTO store VALUES (?, ?, ?, ?, ?, ?)", [
    row.store,
    row.cluster,
    row.member,
    row.base_sequence,
    row.base,
    checksumBytes(storeChecksum(row)),
  ]);
}

/** What the row of the identity is sealed with. */
export function storeChecksum(row: Omit<StoreRow, "checksum">): bigint {
  const base = checksumFrom(row.base);
  const said = [row.store, row.cluster, row.member, row.base_sequence, base === undefined ? "" : checksumText(base)];
  return checksumOf(new TextEncoder().encode(JSON.stringify(said)));
}

/** Undefined for a row that is none. */
export function recordOf({ sequence, kind, position, term, data }: JournalRow): Record | undefined {
  const known = RECORD_KINDS.find((name): name is RecordKind => name === kind);
  const isWhole = Number.isSafeInteger(position) && Number.isSafeInteger(term) && data instanceof Uint8Array;
  return known !== undefined && isWhole ? { sequence, kind: known, index: position, term, data } : undefined;
}
