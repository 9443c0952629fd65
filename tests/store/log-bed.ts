/** A log in a folder of its own, driven in this thread, and what it has to hold. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Entry, EntryKind, HardState, Snapshot } from "../../src/raft/entry.ts";
import { type LogContents, type LogFiles, readArchive, readLogFiles } from "../../src/store/log-archive.ts";
import type { LogBatch } from "../../src/store/log.ts";
import { packEntries } from "../../src/store/log-message.ts";
import { LogKeeper } from "../../src/store/log-keeper.ts";
import type { Batch, Compaction, FromLog } from "../../src/store/log-message.ts";
import { NO_HARD_STATE } from "../../src/store/log-reader.ts";

export const IDENTITY = { clusterId: "0123456789abcdef0123456789abcdef", member: 77 };
export const LOG_THREAD = new URL("../../src/store/log-worker.ts", import.meta.url);
export const CONFIGURATION = { voters: [77, 78], outgoing: [], learners: [79], learnersNext: [] };

export const WAL_HEADER = 32;
export const FRAME = 4096 + 24;

/** In memory where that can be had: these tests are of what is written, not of when. */
const FAST = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const folders: string[] = [];

export function somewhere(under = FAST): string {
  const folder = mkdtempSync(join(under, "infermesh-log-"));
  folders.push(folder);
  return join(folder, "control.sqlite");
}

export function removeAll(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export function entry(index: number, term = 1, size = 40, kind: EntryKind = "command"): Entry {
  const text = `entry ${index} of term ${term} `;
  return { index, term, kind, data: new TextEncoder().encode(text.padEnd(size, ".").slice(0, size)) };
}

export function snapshotAt(index: number, term = 1, size = 100): Snapshot {
  return { index, term, configuration: CONFIGURATION, data: new Uint8Array(size).fill(index) };
}

export function packed({ number, entries, snapshot, hardState }: LogBatch): Batch {
  return {
    kind: "write",
    number,
    ...packEntries(entries),
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(hardState === undefined ? {} : { hardState }),
  };
}

/** What a log must hold. */
export class Model {
  hardState: HardState = NO_HARD_STATE;
  snapshot: Snapshot | null = null;
  entries: Entry[] = [];

  get first(): number {
    return this.entries[0]?.index ?? (this.snapshot?.index ?? 0) + 1;
  }

  get next(): number {
    return this.first + this.entries.length;
  }

  write({ entries, snapshot, hardState }: LogBatch): void {
    if (snapshot !== undefined) {
      this.snapshot = snapshot;
      this.entries = [];
    }
    const [first] = entries;
    if (first !== undefined) this.entries = [...this.entries.filter(({ index }) => index < first.index), ...entries];
    if (hardState !== undefined) this.hardState = hardState;
  }

  compact({ snapshot, keepFrom }: Omit<Compaction, "kind">): void {
    this.snapshot = snapshot;
    this.entries = this.entries.filter(({ index }) => index >= keepFrom);
  }

  static of({ hardState, snapshot, entries }: LogContents): Model {
    const model = new Model();
    Object.assign(model, { hardState, snapshot, entries });
    return model;
  }

  copy(): Pick<LogContents, "hardState" | "snapshot" | "entries"> {
    return { hardState: this.hardState, snapshot: this.snapshot, entries: this.entries };
  }
}

export class Bed {
  readonly path: string;
  readonly told: FromLog[] = [];
  keeper: LogKeeper;

  constructor(path = somewhere()) {
    this.path = path;
    this.keeper = this.open();
  }

  open(): LogKeeper {
    const keeper = LogKeeper.open(this.path, IDENTITY, (message) => void this.told.push(message));
    if (keeper === null) throw new Error("no log was made");
    return keeper;
  }

  write(batch: LogBatch): void {
    this.keeper.put(packed(batch));
    this.keeper.flush();
  }

  compact(snapshot: Snapshot, keepFrom: number): void {
    this.keeper.put({ kind: "compact", snapshot, keepFrom });
    this.keeper.flush();
  }

  reopen(): LogContents {
    this.keeper.close();
    this.keeper = this.open();
    return this.keeper.contents;
  }

  /** The files as they are now: what a crash at this moment would leave; without what is allocated and not yet used. */
  files(): LogFiles {
    const { database, wal, mark } = readLogFiles(this.path);
    if (wal === undefined) return { database, mark, wal };
    let end = wal.length;
    while (end > 0 && wal[end - 1] === 0) end -= 1;
    const frames = Math.ceil(Math.max(0, end - WAL_HEADER) / FRAME);
    return { database, mark, wal: wal.subarray(0, end === 0 ? 0 : WAL_HEADER + frames * FRAME) };
  }
}

/** What a log of these files holds; throws as the log would. */
export function held(files: LogFiles): LogContents | null {
  return readArchive("log", files);
}

/** The same through real files, opened as a member does it. */
export function heldBySqlite(files: LogFiles, allocated = 0): LogContents {
  const path = somewhere();
  const { database, wal, mark } = files;
  if (database !== undefined) writeFileSync(path, database);
  if (wal !== undefined) writeFileSync(`${path}-wal`, Buffer.concat([wal, new Uint8Array(allocated)]));
  if (mark !== undefined) writeFileSync(`${path}-mark`, mark);
  const told: FromLog[] = [];
  const keeper = LogKeeper.open(path, IDENTITY, (message) => void told.push(message));
  if (keeper === null) throw new Error("no log was made");
  // That it is where it was found to be is compared when it is opened.
  keeper.close();
  const failing = told.find((message) => message.kind === "failing");
  if (failing !== undefined) throw new Error(failing.error.message);
  rmSync(join(path, ".."), { recursive: true, force: true });
  return keeper.contents;
}
