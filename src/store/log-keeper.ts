/**
 * The durable log as its thread has it: opened and looked through, then written in the order in which batches come, all
 * that wait at once. Nobody is told that a batch is durable before it is.
 *
 * A write that fails stays where it is, and those that come after it behind it; it is tried again until it succeeds, so
 * that a disk that was full goes on by itself. When the disk failed in a way that leaves unknown what it holds, the log
 * ends here: the next start looks at it afresh.
 */
import { existsSync } from "node:fs";
import { AssertionError } from "../base/assert.ts";
import { type ErrorCode, MeshError, toMeshError } from "../base/errors.ts";
import { type LogContents, readArchive, readLogFiles } from "./log-archive.ts";
import { inUse, reasonOf } from "./log-damage.ts";
import { createLog } from "./log-database.ts";
import { LogFile } from "./log-file.ts";
import type { Batch, Compaction, FromLog } from "./log-message.ts";
import { MARK_SUFFIX, MarkFile } from "./log-mark.ts";
import { NO_HARD_STATE } from "./log-reader.ts";
import type { Identity } from "./log-schema.ts";

const RETRY_MS = 250;

/** No space, a quota, or a limit on the file's size: SQLite's names, and the kernel's for the mark. */
const FULL = new Set(["SQLITE_FULL", "SQLITE_IOERR_WRITE", "ENOSPC", "EDQUOT", "EFBIG"]);
/** After these it is unknown what the disk holds, or known that it is damaged. */
const LASTING = new Set([
  "SQLITE_IOERR_FSYNC",
  "SQLITE_IOERR_DIR_FSYNC",
  "SQLITE_IOERR_READ",
  "SQLITE_IOERR_SHORT_READ",
  "SQLITE_CORRUPT",
  "SQLITE_NOTADB",
  "EIO",
]);

type Tell = (message: FromLog) => void;

/** The log as its files were found: its name in the mark, and its last record. */
interface Found {
  readonly store: string;
  readonly sequence: number;
}

export class LogKeeper {
  readonly contents: LogContents;
  readonly #path: string;
  readonly #found: Found;
  readonly #file: LogFile;
  readonly #mark: MarkFile;
  readonly #tell: Tell;
  #queue: (Batch | Compaction)[] = [];
  /** Written, and not yet told. */
  #written: readonly (Batch | Compaction)[] = [];
  #retry: ReturnType<typeof setTimeout> | undefined;
  #isStarted = false;
  #failing = "";
  #ended = false;

  private constructor(path: string, found: Found, contents: LogContents, mark: MarkFile, tell: Tell) {
    this.#path = path;
    this.#found = found;
    this.#file = new LogFile(path);
    this.#mark = mark;
    this.#tell = tell;
    this.contents = contents;
  }

  /**
   * Null where there is no log and no identity for one. Throws a MeshError: another process has it, it is damaged, or
   * belongs to somebody else.
   */
  static open(path: string, identity: Identity | undefined, tell: Tell): LogKeeper | null {
    if (identity === undefined && !existsSync(path) && !existsSync(path + MARK_SUFFIX)) return null;
    const mark = MarkFile.hold(path + MARK_SUFFIX);
    try {
      const archive = readArchive(path, readLogFiles(path));
      if (archive === null && identity === undefined) {
        mark.close();
        return null;
      }
      if (archive !== null && identity !== undefined) compare(path, archive.identity, identity);
      const store = archive?.store ?? crypto.randomUUID().replaceAll("-", "");
      const contents = archive ?? create(path, store, identity!);
      const { hardState, snapshot, entries, repaired } = contents;
      const kept = { identity: contents.identity, hardState, snapshot, entries, repaired };
      const keeper = new LogKeeper(path, { store, sequence: archive?.end.sequence ?? 0 }, kept, mark, tell);
      keeper.#begin();
      return keeper;
    } catch (error) {
      mark.close();
      throw error;
    }
  }

  /** Takes a batch; it is written by the next `flush`. */
  put(batch: Batch | Compaction): void {
    this.#queue.push(batch);
  }

  /** Writes all that waits, and tells of it. */
  flush(): void {
    if (this.#failing !== "" || this.#ended) return;
    this.#attempt();
  }

  /** What still waits is tried once more. */
  close(): void {
    clearTimeout(this.#retry);
    if (!this.#ended) this.#attempt();
    this.#ended = true;
    clearTimeout(this.#retry);
    this.#file.close();
    this.#mark.close();
  }

  /** Throws a MeshError when the log can't be had; what else goes wrong is tried again. */
  #begin(): void {
    try {
      this.#start();
    } catch (error) {
      if (codeOf(error) === "SQLITE_BUSY") throw inUse(this.#path, undefined);
      if (error instanceof MeshError || error instanceof AssertionError) throw error;
      this.#failed(error);
    }
  }

  /** Where SQLite stands must be where the files were found to end. */
  #start(): void {
    this.#file.recall();
    if (this.#file.end.sequence !== this.#found.sequence) {
      throw new MeshError("store_damaged", `the log ${this.#path} changed while it was opened; start again`);
    }
    // From here on a log without a mark has lost it.
    this.#writeMark();
    this.#mark.sync();
    this.#isStarted = true;
  }

  #attempt(): void {
    this.#try(() => {
      if (!this.#isStarted) this.#start();
      // Whatever failed: it goes on when SQLite's write-ahead log fits into the database.
      else if (this.#failing !== "") this.#file.recall();
      if (this.#written.length === 0) {
        if (this.#queue.length > 0) this.#file.write(this.#queue);
        this.#written = this.#queue;
        this.#queue = [];
      }
      // The batches are durable even if this fails, but a loss of them would not be seen.
      this.#writeMark();
      const written = this.#written;
      this.#written = [];
      if (this.#failing !== "") {
        this.#failing = "";
        this.#tell({ kind: "recovered" });
      }
      this.#tellDurable(written);
    });
    if (this.#failing === "" && !this.#ended) this.#try(() => this.#file.tidy());
  }

  #tellDurable(written: readonly (Batch | Compaction)[]): void {
    let number = -1;
    for (const batch of written) {
      if (batch.kind === "write") number = batch.number;
    }
    if (number >= 0) this.#tell({ kind: "durable", number });
    for (const batch of written) {
      if (batch.kind === "compact") this.#tell({ kind: "compacted", index: batch.snapshot.index });
    }
  }

  #writeMark(): void {
    this.#mark.write({ store: this.#found.store, ...this.#file.end });
  }

  #try(what: () => void): void {
    try {
      what();
    } catch (error) {
      // A bug: the thread ends, and with it what was not acknowledged.
      if (error instanceof AssertionError) throw error;
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    const code = codeOf(error);
    const lasting = LASTING.has(code) || error instanceof MeshError;
    const [mesh, what] = this.#explain(error, code, lasting);
    this.#ended = lasting;
    if (!lasting) {
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#attempt(), RETRY_MS);
    }
    if (this.#failing === what) return;
    this.#failing = what;
    this.#tell({ kind: "failing", error: { code: mesh, message: what }, lasting });
  }

  #explain(error: unknown, code: string, lasting: boolean): [ErrorCode, string] {
    if (error instanceof MeshError) return [error.code, error.message];
    const what = `${reasonOf(error)}${code === "" ? "" : `, ${code}`}`;
    if (FULL.has(code)) {
      const reason = code === "SQLITE_IOERR_WRITE" ? "no space, a quota or limit, or a disk that fails" : "no space";
      const next = "reads go on, writes wait; free some space, and it goes on by itself";
      return ["store_full", `the log ${this.#path} can't be written: ${reason} (${what}). ${next}`];
    }
    const next = lasting
      ? "look at the disk, then restart; the log is checked at the start"
      : "it is tried again; look at the disk and the file's permissions";
    return [toMeshError(error).code, `the log ${this.#path} can't be written (${what}): ${next}`];
  }
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

function create(path: string, store: string, identity: Identity): LogContents {
  createLog(path, store, identity);
  return { identity, hardState: NO_HARD_STATE, snapshot: null, entries: [], repaired: null };
}

function compare(path: string, found: Identity, wanted: Identity): void {
  if (found.clusterId === wanted.clusterId && found.member === wanted.member) return;
  const name = ({ clusterId, member }: Identity): string => `member ${member} of cluster ${clusterId}`;
  throw new MeshError(
    "config_invalid",
    `the log ${path} is that of ${name(found)}, not of ${name(wanted)}: choose another --id or --data-dir, or delete it if nobody needs it any more`,
  );
}
