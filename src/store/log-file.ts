/**
 * The log's writer, over SQLite: all that waits becomes one transaction, which is durable when `write` returns. It runs
 * in the log's thread alone (log-worker.ts).
 *
 * After a failure nothing is known of what SQLite still holds: the next write rolls back, empties SQLite's write-ahead
 * log into the database, so that nothing of the failed transaction is taken for one that was damaged, and reads anew
 * where the journal stands. A start is the same. So what fails for want of space goes on when there is some.
 */
import { assert } from "../base/assert.ts";
import { type Entry, ENTRY_KINDS, type HardState, type Snapshot } from "../raft/entry.ts";
import { allocate, CHECKPOINT_PAGES, type Opened, openDatabase } from "./log-database.ts";
import type { Batch, Compaction } from "./log-message.ts";
import { chained, checksumBytes, checksumFrom, checksumOf } from "./log-record.ts";
import { decodeHardState, decodeSnapshotHead, encodeSnapshotHead, encodeVote, type Record } from "./log-record.ts";
import { Replay } from "./log-replay.ts";
import { type JournalRow, type Link, recordOf, storeChecksum, type StoreRow } from "./log-schema.ts";

/** Records that count no more, before all that do are written anew. */
const DEAD_MAX = 50_000;
const PAGE_BYTES = 4096;

export class LogFile {
  readonly #path: string;
  readonly #dead: number;
  #opened: Opened | undefined;
  #stale = true;
  #store: StoreRow | undefined;
  #base: Link = { sequence: 0, checksum: 0n };
  #end: Link = { sequence: 0, checksum: 0n };
  #replay = new Replay(true);
  #hardState: HardState | undefined;
  /** About how many pages SQLite's write-ahead log has. */
  #pages = 0;

  constructor(path: string, deadMax = DEAD_MAX) {
    this.#path = path;
    this.#dead = deadMax;
  }

  /** The last record. */
  get end(): Link {
    return this.#end;
  }

  /** Where the journal stands; throws what SQLite throws. */
  recall(): void {
    const isFirst = this.#opened === undefined;
    const { database } = (this.#opened ??= openDatabase(this.#path));
    if (database.inTransaction) database.run("ROLLBACK");
    const { busy } = database.query<{ busy: number }, []>("PRAGMA wal_checkpoint(TRUNCATE)").get() ?? { busy: 1 };
    assert(busy === 0, "somebody else reads the log");
    this.#pages = 0;
    // Not after a failure: where space is scarce it is others' as well.
    if (isFirst) allocate(`${this.#path}-wal`);
    const store = database.query<StoreRow, []>("SELECT * FROM store").get();
    const base = checksumFrom(store?.base);
    assert(store !== null && base !== undefined, "the log has lost its identity");
    this.#store = store;
    this.#base = { sequence: store.base_sequence, checksum: base };
    this.#end = this.#base;
    this.#replay = new Replay(this.#base.sequence === 0);
    this.#hardState = undefined;
    for (const row of database.query<JournalRow, []>("SELECT * FROM journal ORDER BY sequence").iterate()) {
      const record = recordOf(row);
      const checksum = checksumFrom(row.checksum);
      assert(record !== undefined && checksum !== undefined, `record ${row.sequence} has become unreadable`);
      this.#take(record, checksum);
    }
    this.#stale = false;
  }

  /** Makes all of them durable, in one transaction; or throws, and then none is. */
  write(batches: readonly (Batch | Compaction)[]): void {
    if (this.#stale) this.recall();
    const { database, begin, commit } = this.#opened!;
    this.#stale = true;
    begin.run();
    for (const batch of batches) {
      if (batch.kind === "compact") this.#compact(batch);
      else this.#write(batch);
    }
    if (this.#replay.dead > this.#dead) this.#writeAnew();
    commit.run();
    assert(!database.inTransaction, "SQLite left a transaction open");
    this.#stale = false;
  }

  /** Moves what is in SQLite's write-ahead log into the database when it has grown; for when nobody waits. */
  tidy(): void {
    if (this.#stale || this.#pages < CHECKPOINT_PAGES) return;
    this.#pages = 0;
    this.#opened!.database.query("PRAGMA wal_checkpoint(PASSIVE)").get();
  }

  close(): void {
    if (this.#opened === undefined) return;
    const { database, ...statements } = this.#opened;
    this.#opened = undefined;
    // A database with statements left is closed, and its lock given back, when they are collected.
    for (const statement of Object.values(statements)) statement.finalize();
    database.close(true);
    this.#stale = true;
  }

  #write({ snapshot, heads, data, hardState }: Batch): void {
    if (snapshot !== undefined) this.#putSnapshot(snapshot, true);
    let start = 0;
    for (let at = 0; at < heads.length; at += 4) {
      const [index = 0, term = 0, kind = 0, length = 0] = heads.subarray(at, at + 4);
      this.#append(ENTRY_KINDS[kind]!, index, term, data.subarray(start, start + length));
      start += length;
    }
    if (hardState !== undefined) this.#putHardState(hardState);
  }

  #compact({ snapshot, keepFrom }: Compaction): void {
    const { first = 1, next, sequences } = this.#replay;
    assert(keepFrom <= snapshot.index + 1 && keepFrom <= next, "a compaction would leave a gap");
    this.#putSnapshot(snapshot, false);
    this.#drop(sequences[Math.max(keepFrom, first) - first] ?? this.#replay.snapshot!.sequence);
  }

  #putSnapshot({ index, term, configuration, data }: Snapshot, replaces: boolean): void {
    const { database } = this.#opened!;
    const head = { configuration, replaces, bytes: data.length, checksum: checksumOf(data) };
    this.#append("snapshot", index, term, encodeSnapshotHead(head));
    database.run("DELETE FROM snapshot");
    database.run("INSERT INTO snapshot VALUES (?, ifnull(?, x''))", [this.#end.sequence, data]);
    this.#pages += Math.ceil(data.length / PAGE_BYTES);
    if (replaces) this.#drop(this.#end.sequence);
  }

  #putHardState(hardState: HardState): void {
    this.#append("hard-state", hardState.commitIndex, hardState.term, encodeVote(hardState));
  }

  /** Removes all records before that one; the hard state is kept. */
  #drop(sequence: number): void {
    const { database } = this.#opened!;
    if (this.#hardState !== undefined && this.#replay.hardState < sequence) this.#putHardState(this.#hardState);
    const last = sequence - 1;
    if (last <= this.#base.sequence) return;
    const row = database.query<{ checksum: Uint8Array }, [number]>("SELECT checksum FROM journal WHERE sequence = ?");
    const base = row.get(last)?.checksum;
    const checksum = checksumFrom(base);
    assert(base !== undefined && checksum !== undefined && this.#store !== undefined, "the journal has a gap");
    database.run("DELETE FROM journal WHERE sequence < ?", [sequence]);
    this.#replay.drop(sequence, last - this.#base.sequence);
    this.#base = { sequence: last, checksum };
    const sealed = storeChecksum({ ...this.#store, base_sequence: last, base });
    const values = [last, base, checksumBytes(sealed)];
    database.run("UPDATE store SET base_sequence = ?, base = ?, checksum = ?", values);
    this.#pages += 8;
  }

  /** What counts goes to the journal's end, and all before goes. */
  #writeAnew(): void {
    const { database } = this.#opened!;
    const { sequences, snapshot } = this.#replay;
    const kept: Entry[] = [];
    const read = database.query<JournalRow, [number]>("SELECT * FROM journal WHERE sequence = ?");
    for (const sequence of sequences) kept.push(recordOf(read.get(sequence)!) as Entry);
    const from = this.#end.sequence + 1;
    if (snapshot !== undefined) {
      const head = decodeSnapshotHead(read.get(snapshot.sequence)!.data);
      assert(head !== undefined, "the snapshot has become unreadable");
      // Entries that it sums up can't come after it: they are given up.
      const data = encodeSnapshotHead({ ...head, replaces: true });
      this.#append("snapshot", snapshot.index, snapshot.term, data);
      database.run("UPDATE snapshot SET sequence = ?", [this.#end.sequence]);
    }
    for (const { index, term, kind, data } of kept) {
      if (index > (snapshot?.index ?? 0)) this.#append(kind, index, term, data);
    }
    this.#drop(from);
  }

  #append(kind: Record["kind"], index: number, term: number, data: Uint8Array): void {
    const record: Record = { sequence: this.#end.sequence + 1, kind, index, term, data };
    const checksum = chained(this.#end.checksum, record);
    this.#opened!.insert.run(record.sequence, kind, index, term, data, checksumBytes(checksum));
    this.#take(record, checksum);
    this.#pages += 1 + Math.ceil(data.length / PAGE_BYTES);
  }

  #take(record: Record, checksum: bigint): void {
    const { kind, data, sequence } = record;
    const replaces = kind === "snapshot" && decodeSnapshotHead(data)?.replaces === true;
    const fault = this.#replay.take({ ...record, replaces });
    assert(fault === undefined, `a record does not fit into the log: ${fault}`);
    this.#end = { sequence, checksum };
    if (kind === "hard-state") this.#hardState = decodeHardState(record);
  }
}
