/** A database's log, every record with its checksum. */
import type { Database } from "bun:sqlite";
import { MeshError } from "../base/errors.ts";
import { type Entry, type HardState, type Snapshot, NOBODY } from "../raft/entry.ts";
import { damaged, notOurs } from "./damage.ts";
import {
  chained,
  checksumFrom,
  checksumOf,
  decodeHardState,
  decodeSnapshotHead,
  isEntryKind,
  type Record,
  type SnapshotHead,
} from "./record.ts";
import { Replay } from "./replay.ts";
import {
  APPLICATION_ID,
  FORMAT,
  type Identity,
  type JournalRow,
  type Link,
  recordOf,
  storeChecksum,
} from "./schema.ts";
import type { StoreRow } from "./schema.ts";

export const NO_HARD_STATE: HardState = { term: 0, votedFor: NOBODY, commitIndex: 0 };

export interface Journal {
  readonly identity: Identity;
  readonly store: string;
  readonly format: number;
  readonly hardState: HardState;
  readonly snapshot: Snapshot | null;
  /** After the snapshot, and some of those that it sums up. */
  readonly entries: readonly Entry[];
  /** The link before the first record, that of the last one, and the checksum of the one that was asked for. */
  readonly base: Link;
  readonly end: Link;
  readonly marked: bigint | undefined;
}

/** Throws a MeshError `store_damaged`, or `config_invalid` for what is no log of ours. */
export function readJournal(path: string, database: Database, marked: number): Journal {
  const tables = database
    .query<{ n: number }, []>("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'store'")
    .get();
  const pragma = (name: string): unknown => Object.values(database.query(`PRAGMA ${name}`).get() ?? {})[0];
  if (tables?.n !== 1 || pragma("application_id") !== APPLICATION_ID) throw notOurs(path);
  const format = pragma("user_version");
  if (format !== FORMAT) {
    const what = `the log ${path} has format ${String(format)}, and this version knows ${FORMAT}`;
    throw new MeshError("config_invalid", `${what}: use the version of infermesh that wrote it`);
  }
  const structure = pragma("quick_check");
  if (structure !== "ok") throw damaged(path, `SQLite finds its structure damaged (${String(structure)})`);
  const store = database.query<StoreRow, []>("SELECT * FROM store").get();
  const base = checksumFrom(store?.base);
  if (store === null || base === undefined || checksumFrom(store.checksum) !== storeChecksum(store)) {
    throw damaged(path, "the record of its identity is damaged");
  }
  const identity = { clusterId: store.cluster, member: store.member };

  const start: Link = { sequence: store.base_sequence, checksum: base };
  let found = start.sequence === marked ? base : undefined;
  const replay = new Replay(start.sequence === 0);
  const contents = new Contents(replay);
  let { sequence, checksum } = start;
  const rows = database.query<JournalRow, []>("SELECT * FROM journal ORDER BY sequence");
  for (const row of rows.iterate()) {
    const record = recordOf(row);
    const good = `The records up to ${sequence} are right`;
    if (row.sequence !== sequence + 1) throw damaged(path, `record ${sequence + 1} is missing`, good);
    if (record !== undefined) checksum = chained(checksum, record);
    if (record === undefined || checksum !== checksumFrom(row.checksum)) {
      throw damaged(path, `record ${row.sequence} does not match its checksum`, good);
    }
    sequence = row.sequence;
    if (sequence === marked) found = checksum;
    const fault = contents.take(record);
    if (fault !== undefined) throw damaged(path, `record ${sequence}: ${fault}`, good);
  }
  const fault = replay.fault();
  if (fault !== undefined) throw damaged(path, fault);
  const read = database.query<{ data: Uint8Array }, [number]>("SELECT data FROM snapshot WHERE sequence = ?");
  const snapshot = contents.snapshot((at) => read.get(at)?.data);
  if (snapshot === undefined) throw damaged(path, "its snapshot does not match its checksum");
  return {
    identity,
    format,
    store: store.store,
    base: start,
    end: { sequence, checksum },
    hardState: contents.hardState,
    snapshot,
    entries: contents.entries,
    marked: found,
  };
}

/** Keeps what the records hold, beside a replay that says what of it counts. */
class Contents {
  readonly entries: Entry[] = [];
  hardState = NO_HARD_STATE;
  readonly #replay: Replay;
  #head: SnapshotHead | undefined;

  constructor(replay: Replay) {
    this.#replay = replay;
  }

  take(record: Record): string | undefined {
    const { kind, index, term, data } = record;
    if (isEntryKind(kind)) {
      const fault = this.#replay.take(record);
      if (fault !== undefined) return fault;
      this.entries.length = this.#replay.sequences.length - 1;
      this.entries.push({ index, term, kind, data });
      return undefined;
    }
    if (kind === "snapshot") {
      const head = decodeSnapshotHead(data);
      if (head === undefined) return "it is no snapshot";
      this.#head = head;
      if (head.replaces) this.entries.length = 0;
      return this.#replay.take({ ...record, replaces: head.replaces });
    }
    const hardState = decodeHardState(record);
    if (hardState === undefined) return "it is no hard state";
    this.hardState = hardState;
    return this.#replay.take(record);
  }

  /** Null without one; undefined when its data are not those that were stored. */
  snapshot(read: (sequence: number) => Uint8Array | undefined): Snapshot | null | undefined {
    const place = this.#replay.snapshot;
    if (place === undefined || this.#head === undefined) return null;
    const data = read(place.sequence);
    const { bytes, checksum, configuration } = this.#head;
    if (data === undefined || data.length !== bytes || checksumOf(data) !== checksum) return undefined;
    return { index: place.index, term: place.term, configuration, data };
  }
}
