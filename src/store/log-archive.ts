/**
 * A log as its files hold it: what it contains, whether every checksum is right, and whether anything that was
 * acknowledged is missing. Nothing is locked and nothing is changed, so that a log that is refused stays as it was found.
 */
import { Database } from "bun:sqlite";
import { readFileSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import { damaged, reasonOf } from "./log-damage.ts";
import { type Mark, MARK_SUFFIX, type MarkFound, readMark } from "./log-mark.ts";
import { type Journal, readJournal } from "./log-reader.ts";
import { mergeWal, readWal, type Wal } from "./log-wal.ts";

/** What was cut off at the log's end: it had never been acknowledged. */
export interface Repair {
  readonly frames: number;
  readonly bytes: number;
}

export interface Archive extends Journal {
  readonly mark: Mark | null;
  /** The log ended in a write that a crash had cut short; it had not been acknowledged, and was cut off. */
  readonly repaired: Repair | null;
}

/** What whoever goes on with a log has to know. */
export type LogContents = Pick<Archive, "identity" | "hardState" | "snapshot" | "entries" | "repaired">;

/** The three files of a log; undefined: there is none of that name. */
export interface LogFiles {
  readonly database: Uint8Array | undefined;
  readonly wal: Uint8Array | undefined;
  readonly mark: Uint8Array | undefined;
}

export function readLogFiles(path: string): LogFiles {
  // The mark first: a log that is written meanwhile is ahead of it, never behind.
  const mark = readIfThere(path + MARK_SUFFIX);
  const wal = readIfThere(`${path}-wal`);
  return { mark, wal, database: readIfThere(path) };
}

/** The log that the files hold; null: none was ever completed there. Throws a MeshError `store_damaged`. */
export function readArchive(path: string, files: LogFiles): Archive | null {
  const archive = examine(path, files);
  if (archive !== null && archive.fault !== null) throw archive.fault;
  return archive;
}

/** The same; of a damaged one what can be read. */
export function examine(path: string, files: LogFiles): Archive | null {
  const found: MarkFound = files.mark === undefined ? { kind: "none" } : readMark(files.mark).found;
  const mark = found.kind === "mark" ? found.mark : null;
  const { database = new Uint8Array(0), wal = new Uint8Array(0) } = files;
  if (database.length === 0) {
    if (found.kind === "none") return null;
    throw damaged(path, "the database file is missing or empty, though its mark is there");
  }
  const scan = readWal(wal);
  const journal = openedInMemory(path, () => mergeWal(database, wal, scan), mark?.sequence ?? 0);
  const { leftover } = scan;
  const repaired = leftover && { frames: leftover.frames, bytes: leftover.bytes };
  const fault = journal.fault ?? walFault(path, scan) ?? markFault(path, journal, found);
  return { ...journal, mark, repaired, fault };
}

/** SQLite would leave out all of it without a word, and so much for what is known to be right. */
function walFault(path: string, { unreadable, leftover, frames }: Wal): MeshError | null {
  if (unreadable) return damaged(path, "the header of its write-ahead log is damaged");
  if (leftover?.wasDurable !== true) return null;
  return damaged(path, `a transaction within its write-ahead log is damaged, after frame ${frames}`);
}

function openedInMemory(path: string, image: () => Uint8Array, marked: number): Journal {
  let opened: Database | undefined;
  try {
    opened = Database.deserialize(image(), true);
    return readJournal(path, opened, marked);
  } catch (error) {
    if (error instanceof MeshError) throw error;
    throw damaged(path, `SQLite can't read it (${reasonOf(error)})`, "", error);
  } finally {
    opened?.close();
  }
}

/** Whether a record that was acknowledged is missing, or another one. */
function markFault(path: string, { store, base, end, marked }: Journal, found: MarkFound): MeshError | null {
  if (found.kind === "damaged") return damaged(path, `its mark ${path}${MARK_SUFFIX} can't be read`);
  if (found.kind === "none") {
    // It is written before the first acknowledgement.
    if (end.sequence === 0) return null;
    return damaged(path, `its mark ${path}${MARK_SUFFIX} is missing, by which a loss would be seen`);
  }
  const { mark } = found;
  if (mark.store !== store) return damaged(path, "its mark belongs to another log");
  if (mark.sequence > end.sequence) {
    const what = `${mark.sequence - end.sequence} records that had been acknowledged are missing`;
    return damaged(path, what, `It ends at record ${end.sequence}, and had been durable up to ${mark.sequence}`);
  }
  // Records before the base were dropped by a later one, which is durable by itself.
  if (mark.sequence < base.sequence || mark.checksum === marked) return null;
  return damaged(path, `record ${mark.sequence} is not the one that had been acknowledged`);
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new MeshError("config_invalid", `can't read ${path}: ${reasonOf(cause)}`, { cause });
  }
}
