/** Files: SQLite with a write-ahead log, as control nodes keep theirs; and what the kernel tells of a folder's changes. */
import { Database } from "bun:sqlite";
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, statSync, watch, writeSync } from "node:fs";
import { join } from "node:path";
import { type Part, type Place, folderOf, must, mustEqual, refusalOf } from "./part.ts";

const ROWS = 1000;

/** A reader goes on while a writer writes, a second writer is refused meanwhile, and all is there when it is opened again. */
async function sqlite(place: Place): Promise<string> {
  const path = join(folderOf(place), "trial.sqlite");
  const writer = new Database(path, { create: true });
  const mode = writer.query("pragma journal_mode = wal").get();
  mustEqual("the kind of journal", mode, { journal_mode: "wal" });
  writer.run("create table entries (id integer primary key, bytes blob not null)");
  const other = new Database(path, { readwrite: true });
  const count = (): unknown => other.query("select count(*) as n from entries").get();
  writer.run("begin immediate");
  for (let id = 1; id <= ROWS; id++) writer.run("insert into entries values (?, randomblob(100))", [id]);
  mustEqual("what a reader sees of what is being written", count(), { n: 0 });
  const insertTwice = async (): Promise<unknown> => other.run("insert into entries values (0, x'00')");
  mustEqual("how a second writer is refused", await refusalOf("it", insertTwice), "SQLITE_BUSY");
  writer.run("commit");
  mustEqual("what a reader sees then", count(), { n: ROWS });
  must(existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > ROWS * 100, "there is no write-ahead log");
  for (const one of [other, writer]) one.close(true);
  must(!existsSync(`${path}-wal`), "the write-ahead log is left when all are closed");
  const again = new Database(path, { readonly: true });
  mustEqual("the check of what was kept", again.query("pragma integrity_check").get(), { integrity_check: "ok" });
  const kept = again.query("select count(*) as n, sum(length(bytes)) as size from entries").get();
  mustEqual("what was kept", kept, { n: ROWS, size: ROWS * 100 });
  again.close(true);
  return `${ROWS} rows through a write-ahead log, read meanwhile, and again from the file`;
}

/** As configurations are replaced: written beside, and renamed. */
async function watching(place: Place): Promise<string> {
  const folder = join(folderOf(place), "watched");
  mkdirSync(folder);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const told = new Set<string>();
  const watcher = watch(folder, (_event, name) => {
    told.add(String(name));
    if (told.has("draft") && told.has("whole")) resolve();
  });
  watcher.on("error", reject);
  try {
    const file = openSync(join(folder, "draft"), "w", 0o600);
    writeSync(file, "new");
    fsyncSync(file);
    closeSync(file);
    renameSync(join(folder, "draft"), join(folder, "whole"));
    await promise;
  } finally {
    watcher.close();
  }
  return "a file that was written, and renamed, was told of";
}

export const STORAGE_PARTS: readonly Part[] = [
  { name: "sqlite", run: sqlite },
  { name: "watch", run: watching },
];
