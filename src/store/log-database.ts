/** SQLite's side of a log: how its database is made and opened, and the files around it. */
import { Database } from "bun:sqlite";
import { chmodSync, closeSync, fsyncSync, ftruncateSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { createSchema, type Identity } from "./log-schema.ts";
import { synchronise } from "./store-files.ts";

/** Pages in SQLite's write-ahead log before they go into the database. */
export const CHECKPOINT_PAGES = 1000;
/** Where SQLite does it by itself, within a commit. */
const CHECKPOINT_PAGES_MAX = 4 * CHECKPOINT_PAGES;
/** What its file has from the start on: a little more than it is let grow to. */
const WAL_CHUNK_BYTES = 2 ** 20;
const WAL_BYTES = 5 * WAL_CHUNK_BYTES;
/** Its file is not kept longer than that. */
const WAL_BYTES_KEPT = 8 * 2 ** 20;

type Statement = ReturnType<Database["prepare"]>;

export interface Opened {
  readonly database: Database;
  readonly insert: Statement;
  readonly begin: Statement;
  readonly commit: Statement;
}

/** Makes an empty log, whole or not at all. */
export function createLog(path: string, store: string, identity: Identity): void {
  const fresh = `${path}-new`;
  const remove = (): void => {
    for (const file of [fresh, `${fresh}-wal`, `${fresh}-journal`, `${fresh}-shm`]) rmSync(file, { force: true });
  };
  remove();
  try {
    const database = new Database(fresh, { create: true, readwrite: true });
    try {
      configure(database);
      database.transaction(() => createSchema(database, store, identity))();
    } finally {
      // Which empties its write-ahead log into it.
      database.close(true);
    }
    // Policies name keys and tenants. SQLite gives its other files the same mode.
    chmodSync(fresh, 0o600);
    synchronise(fresh);
    // Of a log whose other files somebody has removed: SQLite would take it for this one's.
    rmSync(`${path}-wal`, { force: true });
    renameSync(fresh, path);
    synchronise(dirname(path));
  } finally {
    remove();
  }
}

export function openDatabase(path: string): Opened {
  const database = new Database(path, { readwrite: true });
  try {
    configure(database);
    return {
      database,
      // An empty array is bound as NULL.
      insert: database.prepare("INSERT INTO journal VALUES (?, ?, ?, ?, ifnull(?, x''), ?)"),
      begin: database.prepare("BEGIN IMMEDIATE"),
      commit: database.prepare("COMMIT"),
    };
  } catch (error) {
    database.close();
    throw error;
  }
}

function configure(database: Database): void {
  // Before the first access: then there is no memory shared with others, and no file for it.
  database.run("PRAGMA locking_mode = EXCLUSIVE");
  database.run("PRAGMA journal_mode = WAL");
  database.run("PRAGMA synchronous = FULL");
  database.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES_MAX}`);
  database.run(`PRAGMA journal_size_limit = ${WAL_BYTES_KEPT}`);
  database.run("PRAGMA trusted_schema = OFF");
}

/**
 * Gives SQLite's write-ahead log, which is empty, the blocks that it will fill: a commit that has to allocate some takes
 * four times as long. It is read as an empty one, since it has no header. Where there is no space it does without.
 */
export function allocate(path: string): void {
  const fd = openSync(path, "r+");
  try {
    const zeros = new Uint8Array(WAL_CHUNK_BYTES);
    for (let at = 0; at < WAL_BYTES; at += zeros.length) writeSync(fd, zeros, 0, zeros.length, at);
    fsyncSync(fd);
  } catch {
    ftruncateSync(fd);
  } finally {
    closeSync(fd);
  }
}
