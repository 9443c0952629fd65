/** The log's parts, each by itself. */
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { ENTRY_KINDS } from "../../src/raft/entry.ts";
import { createLog, openDatabase } from "../../src/store/log-database.ts";
import { holderOf, MarkFile, readMark } from "../../src/store/log-mark.ts";
import { packBatch, packEntries, unpackBatch } from "../../src/store/log-message.ts";
import { chained, decodeSnapshotHead, encodeSnapshotHead, type Record } from "../../src/store/log-record.ts";
import { Replay } from "../../src/store/log-replay.ts";
import { mergeWal, readWal } from "../../src/store/log-wal.ts";
import { CONFIGURATION, FRAME, IDENTITY, removeAll, somewhere, WAL_HEADER } from "./log-bed.ts";

afterEach(removeAll);

describe("a batch on its way to the log's thread", () => {
  test("is the same when it arrives, also as a clone", () => {
    const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
    const entry = fc.record({
      index: whole,
      term: whole,
      kind: fc.constantFrom(...ENTRY_KINDS),
      data: fc.uint8Array({ maxLength: 300 }),
    });
    const hardState = fc.option(fc.record({ term: whole, votedFor: whole, commitIndex: whole }), { nil: undefined });
    fc.assert(
      fc.property(whole, fc.array(entry, { maxLength: 5 }), hardState, (number, entries, state) => {
        const packed = packBatch(number, entries, state);
        const { heads, data } = packEntries(entries);
        const sent = { kind: "write", number, heads, data, ...(state === undefined ? {} : { hardState: state }) };
        for (const each of [packed, structuredClone(packed)]) {
          const arrived = unpackBatch(each);
          expect({ ...arrived, heads: [...arrived.heads], data: [...arrived.data] }).toEqual({
            ...sent,
            heads: [...heads],
            data: [...data],
          } as never);
        }
      }),
    );
  });
});

describe("SQLite's write-ahead log", () => {
  test("read as a file, and cut anywhere, holds what SQLite finds in it", () => {
    const step = fc.record({ rows: fc.integer({ min: 1, max: 40 }), bytes: fc.integer({ min: 0, max: 9000 }) });
    const run = (steps: readonly { rows: number; bytes: number }[], share: number): void => {
      const path = somewhere();
      const database = new Database(path);
      database.run("PRAGMA journal_mode = WAL");
      database.run("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)");
      for (const { rows, bytes } of steps) {
        database.transaction(() => {
          for (let row = 0; row < rows; row += 1) {
            database.run("INSERT INTO t (data) VALUES (zeroblob(?))", [Math.floor(bytes / rows)]);
          }
          if (bytes % 3 === 0) database.run("DELETE FROM t WHERE id % 5 = 0");
        })();
      }
      const wal = readFileSync(`${path}-wal`);
      const cut = wal.subarray(0, Math.floor(wal.length * share));
      const scan = readWal(cut);
      const merged = Database.deserialize(mergeWal(readFileSync(path), cut, scan), true);
      const copy = somewhere();
      writeFileSync(copy, readFileSync(path));
      writeFileSync(`${copy}-wal`, cut);
      const opened = new Database(copy);
      const all = (of: Database): unknown => [
        of.query("SELECT count(*) FROM sqlite_schema").get(),
        of.query("SELECT 1 FROM sqlite_schema WHERE name = 't'").get() && of.query("SELECT * FROM t").all(),
        of.query("PRAGMA integrity_check").get(),
      ];
      expect(all(merged)).toEqual(all(opened));
      for (const each of [merged, opened, database]) each.close();
    };
    const shares = fc.oneof(fc.constant(1), fc.double({ min: 0.3, max: 1, noNaN: true }));
    fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), shares, run), { numRuns: 60 });
  });

  test("tells damage before a later transaction from a torn last one", () => {
    const path = somewhere();
    createLog(path, "0".repeat(32), IDENTITY);
    const { database, insert } = openDatabase(path);
    const data = new Uint8Array(100);
    for (let sequence = 1; sequence <= 4; sequence += 1) insert.run(sequence, "noop", sequence, 1, data, data);
    const wal = new Uint8Array(readFileSync(`${path}-wal`));
    expect(readWal(wal)).toMatchObject({ frames: 4, leftover: null, unreadable: false });
    const frame = (number: number): number => WAL_HEADER + (number - 1) * FRAME;
    const damaged = (at: number): ReturnType<typeof readWal> => {
      const copy = new Uint8Array(wal);
      copy[at]! ^= 1;
      return readWal(copy);
    };
    expect(damaged(frame(3) + 500)).toMatchObject({ frames: 2, leftover: { frames: 2, wasDurable: true } });
    expect(damaged(frame(4) + 500)).toMatchObject({ frames: 3, leftover: { frames: 1, wasDurable: false } });
    expect(damaged(frame(4) + 8)).toMatchObject({ frames: 3, leftover: null });
    expect(damaged(16)).toMatchObject({ frames: 0, unreadable: true });
    expect(readWal(new Uint8Array(100_000))).toMatchObject({ frames: 0, unreadable: false });
    insert.finalize();
    database.close();
  });

  test("is synchronised in each commit, and locked", () => {
    const path = somewhere();
    createLog(path, "0".repeat(32), IDENTITY);
    const { database } = openDatabase(path);
    const pragma = (name: string): unknown => Object.values(database.query(`PRAGMA ${name}`).get()!)[0];
    expect(pragma("synchronous")).toBe(2);
    expect(pragma("journal_mode")).toBe("wal");
    expect(pragma("locking_mode")).toBe("exclusive");
    database.close();
  });
});

describe("the mark", () => {
  const mark = (sequence: number) => ({ store: "ab".repeat(16), sequence, checksum: BigInt(sequence) << 40n });

  test("is the newest that is whole", () => {
    const path = somewhere();
    const file = MarkFile.hold(path);
    expect(file.found).toEqual({ kind: "none" });
    for (let sequence = 0; sequence <= 5; sequence += 1) file.write(mark(sequence));
    const bytes = new Uint8Array(readFileSync(path));
    expect(readMark(bytes).found).toEqual({ kind: "mark", mark: mark(5) });
    for (let at = 0; at < 128; at += 1) {
      const torn = bytes.slice();
      torn[512 + at]! ^= 32;
      expect(readMark(torn).found).toEqual({ kind: "mark", mark: mark(4) });
      torn[at]! ^= 32;
      expect(readMark(torn).found).toEqual({ kind: "damaged" });
    }
    file.close();
    const again = MarkFile.hold(path);
    again.write(mark(6));
    expect(readMark(readFileSync(path)).found).toEqual({ kind: "mark", mark: mark(6) });
    again.close();
  });

  test("is one holder's at a time, and names it", () => {
    const path = somewhere();
    const file = MarkFile.hold(path);
    expect(holderOf(path)).toBe(process.pid);
    expect(() => MarkFile.hold(path)).toThrow(`in use by process ${process.pid}`);
    file.close();
    expect(holderOf(path)).toBeUndefined();
    MarkFile.hold(path).close();
    expect(() => MarkFile.hold("/nowhere/at/all")).toThrow("can't open the log's mark");
  });
});

describe("records", () => {
  test("each one's checksum covers all of it, and all before", () => {
    const record: Record = { sequence: 5, kind: "command", index: 3, term: 2, data: new Uint8Array([1, 2]) };
    const base = chained(9n, record);
    const others: Record[] = [
      { ...record, sequence: 6 },
      { ...record, kind: "noop" },
      { ...record, index: 4 },
      { ...record, term: 3 },
      { ...record, data: new Uint8Array([1, 3]) },
      { ...record, data: new Uint8Array([1, 2, 0]) },
    ];
    for (const other of others) expect(chained(9n, other)).not.toBe(base);
    expect(chained(10n, record)).not.toBe(base);
    expect(chained(9n, { ...record })).toBe(base);
  });

  test("the head of a snapshot goes there and back", () => {
    const head = { configuration: CONFIGURATION, replaces: true, bytes: 17, checksum: 2n ** 63n + 1n };
    expect(decodeSnapshotHead(encodeSnapshotHead(head))).toEqual(head);
    expect(decodeSnapshotHead(new TextEncoder().encode('{"replaces":true}'))).toBeUndefined();
    expect(decodeSnapshotHead(new Uint8Array([255]))).toBeUndefined();
  });
});

describe("a replay", () => {
  let sequence = 0;
  const step = (kind: Record["kind"], index: number, term = 1, replaces = false) => ({
    sequence: ++sequence,
    kind,
    index,
    term,
    replaces,
  });

  test("refuses what no log holds", () => {
    const replay = new Replay(true);
    expect(replay.take(step("command", 2))).toContain("can't follow");
    for (let index = 1; index <= 5; index += 1) expect(replay.take(step("command", index, 2))).toBeUndefined();
    expect(replay.take(step("command", 6, 1))).toContain("of term 1, after one of term 2");
    expect(replay.take(step("command", 8, 2))).toContain("can't follow");
    expect(replay.take(step("snapshot", 6, 2))).toContain("does not hold");
    expect(replay.take(step("snapshot", 3, 2))).toBeUndefined();
    // What a snapshot sums up is committed, and never changes.
    expect(replay.take(step("command", 3, 3))).toContain("none up to 3 may change");
    expect(replay.take(step("command", 4, 3))).toBeUndefined();
    expect(replay.next).toBe(5);
    expect(replay.fault()).toBeUndefined();
  });

  test("a beginning that is missing needs a snapshot", () => {
    const replay = new Replay(false);
    replay.take(step("command", 7));
    expect(replay.fault()).toContain("entries before 7 are missing");
    replay.take(step("command", 8));
    replay.take(step("snapshot", 7));
    expect(replay.fault()).toBeUndefined();
    replay.take(step("snapshot", 20, 4, true));
    expect([replay.first, replay.next, replay.lastTerm]).toEqual([21, 21, 4]);
  });
});
