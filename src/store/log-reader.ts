/** A database's log, every record with its checksum. */
import type { Database } from "bun:sqlite";
import { MeshError } from "../base/errors.ts";
import { type Entry, type HardState, type Snapshot, NOBODY } from "../raft/entry.ts";
import { damaged, notOurs } from "./log-damage.ts";
import {
  chained,
  checksumFrom,
  checksumOf,
  decodeHardState,
  decodeSnapshotHead,
  isEntryKind,
  type Record,
  type SnapshotHead,
} from "./log-record.ts";
import { Replay } from "./log-replay.ts";
import {
  APPLICATION_ID,
  FORMAT,
  type Identity,
  type JournalRow,
  type Link,
  recordOf,
  storeChecksum,
} from "./log-schema.ts";
import type { StoreRow } from "./log-schema.ts";

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
  /** `store_damaged`: what is here is what comes before the damage, and can't be gone on with. */
  readonly fault: MeshError | null;
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
  const contents = new Contents(start, marked);
  const rows = database.query<JournalRow, []>("SELECT * FROM journal ORDER BY sequence");
  const read = database.query<{ data: Uint8Array }, [number]>("SELECT data FROM snapshot WHERE sequence = ?");
  let fault = contents.read(rows.iterate());
  const good = fault === undefined ? "" : `The records up to ${contents.end.sequence} are right`;
  const snapshot = contents.snapshot((at) => read.get(at)?.data);
  if (snapshot === undefined) fault ??= "its snapshot does not match its checksum";
  return {
    identity,
    format,
    store: store.store,
    base: start,
    end: contents.end,
    hardState: contents.hardState,
    snapshot: snapshot ?? null,
    entries: contents.entries,
    marked: contents.marked,
    fault: fault === undefined ? null : damaged(path, fault, good),
  };
}

/** Keeps what the records hold, beside a replay that says what of it counts. */
class Contents {
  readonly entries: Entry[] = [];
  hardState = NO_HARD_STATE;
  /** The last record that is right. */
  end: Link;
  /** The checksum at that sequence number. */
  marked: bigint | undefined;
  readonly #mark: number;
  readonly #replay: Replay;
  #head: SnapshotHead | undefined;

  constructor(start: Link, mark: number) {
    this.end = start;
    this.marked = start.sequence === mark ? start.checksum : undefined;
    this.#mark = mark;
    this.#replay = new Replay(start.sequence === 0);
  }

  /** Takes records up to the first that is wrong, and says what is. */
  read(rows: Iterable<JournalRow>): string | undefined {
    for (const row of rows) {
      const record = recordOf(row);
      if (row.sequence !== this.end.sequence + 1) return `record ${this.end.sequence + 1} is missing`;
      const checksum = record && chained(this.end.checksum, record);
      if (record === undefined || checksum === undefined || checksum !== checksumFrom(row.checksum)) {
        return `record ${row.sequence} does not match its checksum`;
      }
      const fault = this.#take(record);
      if (fault !== undefined) return `record ${row.sequence}: ${fault}`;
      this.end = { sequence: row.sequence, checksum };
      if (row.sequence === this.#mark) this.marked = checksum;
    }
    return this.#replay.fault();
  }

  #take(record: Record): string | undefined {
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
