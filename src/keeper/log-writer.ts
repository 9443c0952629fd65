/**
 * The log of a runtime: what it writes goes to files of a limited size and number, whole, in order. The current one is
 * `runtime-000007.log`, with a link `runtime.log` to it for people; older ones are compressed to `.log.zst`, the oldest
 * removed. Files are numbered rather than renamed, so that nothing is in between when a process is killed.
 *
 * Whoever writes never waits: what the disk does not take in time (8 MiB), or does not take at all since it is full, is
 * counted and let go, and a line in the log says how much is missing there. The last lines are kept in memory as well.
 */
import { createReadStream, createWriteStream, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createZstdCompress } from "node:zlib";
import { LastLines } from "./last-lines.ts";

export interface LogLimits {
  readonly sizeBytesMax: number;
  readonly filesMax: number;
}

const WAITING_BYTES_MAX = 8 * 1024 * 1024;
const WRITE_BYTES_MAX = 1024 * 1024;
/** A file may be longer than it should by this, so that no line is cut. */
const LINE_BYTES_MAX = 64 * 1024;
const NEWLINE = 10;
const SLOW = "the disk was too slow";
const FILE = /^runtime-(\d{6,15})\.log(\.zst|\.zst\.part)?$/;
export const LOG_LINK = "runtime.log";

export class LogWriter {
  readonly #directory: string;
  readonly #limits: LogLimits;
  readonly #lost: (why: string) => void;
  readonly lines = new LastLines();
  #file: FileHandle | undefined;
  #number = 0;
  #size = 0;
  #endsLine = true;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  /** Of the chunk that is being written. */
  #taken = 0;
  #missing = 0;
  #missingWhy = "";
  #isTold = false;
  #compressing: Promise<void> = Promise.resolve();

  /** `lost` is told why when it begins to lose something. Throws where the directory can't be made or read. */
  constructor(directory: string, limits: LogLimits, lost: (why: string) => void) {
    this.#directory = directory;
    this.#limits = limits;
    this.#lost = lost;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const { number, name, kind } of logFiles(directory)) {
      if (kind === ".zst.part") rmSync(join(directory, name), { force: true });
      // One that is compressed is written to no more.
      this.#number = Math.max(this.#number, kind === ".zst" ? number + 1 : number);
    }
    this.#number = Math.max(1, this.#number);
  }

  /** Keeps a copy of nothing: the chunk is not to be changed afterwards. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.lines.push(chunk);
    this.#enqueue(chunk);
  }

  /** A line of the keeper's own, on a line of its own. */
  note(text: string): void {
    this.#enqueue(new TextEncoder().encode(`${this.lines.endsLine ? "" : "\n"}${noteLine(text)}`));
  }

  #enqueue(chunk: Uint8Array): void {
    if (this.#waitingBytes + chunk.length > WAITING_BYTES_MAX) {
      this.#miss(chunk.length, SLOW);
      return;
    }
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    this.#writing ??= this.#write();
  }

  /** Until all that was pushed is written or lost, and older files are compressed. */
  async end(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    await this.#drop();
    await this.#compressing;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const chunk = this.#next();
      this.#taken = 0;
      try {
        await this.#writeMissing();
        await this.#put(chunk);
      } catch (error) {
        this.#miss(chunk.length - this.#taken, whyNot(error));
        if (!isNoRoom(error)) await this.#drop();
      }
    }
    this.#writing = undefined;
  }

  /** As much as is written at once. */
  #next(): Uint8Array {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    while (this.#waiting.length > 0 && (bytes === 0 || bytes + this.#waiting[0]!.length <= WRITE_BYTES_MAX)) {
      const part = this.#waiting.shift()!;
      parts.push(part);
      bytes += part.length;
    }
    this.#waitingBytes -= bytes;
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  /** Says in the log itself what is missing there, once it can be said. */
  async #writeMissing(): Promise<void> {
    const [missing, why] = [this.#missing, this.#missingWhy];
    if (missing === 0) return;
    const line = noteLine(`${missing} bytes of output are missing here: ${why}`);
    try {
      await this.#put(new TextEncoder().encode(`${this.#endsLine ? "" : "\n"}${line}`));
    } finally {
      // A part of this line is none of the chunk's.
      this.#taken = 0;
    }
    this.#missing -= missing;
    this.#isTold = false;
  }

  async #put(chunk: Uint8Array): Promise<void> {
    let from = 0;
    while (from < chunk.length) {
      const file = this.#file ?? (await this.#open());
      const room = this.#limits.sizeBytesMax - this.#size;
      // To the end of the line that crosses the limit.
      const cut = chunk.length - from <= room ? -1 : chunk.indexOf(NEWLINE, from + Math.max(0, room - 1));
      const isCut = cut >= 0 && cut - from < room + LINE_BYTES_MAX;
      const end = isCut ? cut + 1 : Math.min(chunk.length, from + Math.max(0, room) + LINE_BYTES_MAX);
      await this.#putWhole(file, chunk.subarray(from, end));
      from = end;
      const isOver = this.#size >= this.#limits.sizeBytesMax + LINE_BYTES_MAX;
      if (isOver || (this.#size >= this.#limits.sizeBytesMax && this.#endsLine)) await this.#rotate();
    }
  }

  async #putWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
      if (bytesWritten <= 0) throw new Error("the disk took nothing");
      at += bytesWritten;
      this.#size += bytesWritten;
      this.#taken += bytesWritten;
      this.#endsLine = bytes[at - 1] === NEWLINE;
    }
  }

  async #open(): Promise<FileHandle> {
    const name = logName(this.#number);
    // Never cut: what a keeper before this one wrote stays.
    const file = await open(join(this.#directory, name), "a", 0o600);
    this.#file = file;
    this.#size = (await file.stat()).size;
    this.#link(name);
    this.#tidy();
    return file;
  }

  /** The next file is begun whatever becomes of this one: its descriptor is gone also where its close fails. */
  async #rotate(): Promise<void> {
    const [file, number] = [this.#file, this.#number];
    this.#file = undefined;
    this.#number += 1;
    try {
      await file?.close();
    } catch (error) {
      // A network's file system tells so late of what it could not keep.
      const why = whyNot(error);
      this.#lost(why);
      this.note(`the end of ${logName(number)} may be missing: ${why}`);
    }
  }

  /** The next write opens it anew: a descriptor that has failed once may do so for good, as one that is stale. */
  async #drop(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => {});
  }

  #link(name: string): void {
    const draft = join(this.#directory, `.${LOG_LINK}.${process.pid}`);
    try {
      rmSync(draft, { force: true });
      symlinkSync(name, draft);
      renameSync(draft, join(this.#directory, LOG_LINK));
    } catch {
      // The log itself is under its number.
    }
  }

  /** The number up to which files are removed. */
  get #removed(): number {
    return this.#number - this.#limits.filesMax;
  }

  /** Removes what is too many, and compresses the rest, one file after the other. */
  #tidy(): void {
    const current = this.#number;
    for (const { number, name, kind } of logFiles(this.#directory)) {
      const path = join(this.#directory, name);
      if (number <= this.#removed) rmSync(path, { force: true });
      else if (number < current && kind === "") {
        this.#compressing = this.#compressing.then(() => compress(path, () => number > this.#removed));
      }
    }
  }

  #miss(bytes: number, why: string): void {
    this.#missing += bytes;
    this.#missingWhy = why;
    if (this.#isTold) return;
    this.#isTold = true;
    this.#lost(why);
  }
}

/** Its numbers are never compared with those of another time zone. */
function noteLine(text: string): string {
  return `[infermesh ${new Date().toISOString()}: ${text}]\n`;
}

function logName(number: number): string {
  return `runtime-${String(number).padStart(6, "0")}.log`;
}

/** The files of a log, in no order. */
export function logFiles(directory: string): { number: number; name: string; kind: string }[] {
  return readdirSync(directory).flatMap((name) => {
    const [, digits, kind = ""] = FILE.exec(name) ?? [];
    return digits === undefined ? [] : [{ number: Number(digits), name, kind }];
  });
}

/** Leaves the file as it is where that fails: it is tried again with the next one. */
async function compress(path: string, isWanted: () => boolean): Promise<void> {
  const draft = `${path}.zst.part`;
  if (!isWanted()) return;
  try {
    await pipeline(createReadStream(path), createZstdCompress(), createWriteStream(draft, { mode: 0o600 }));
    if (isWanted()) await rename(draft, `${path}.zst`);
    else await rm(draft, { force: true });
    await rm(path, { force: true });
  } catch {
    await rm(draft, { force: true }).catch(() => {});
  }
}

/** The file itself is well. */
function isNoRoom(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === "ENOSPC" || code === "EDQUOT";
}

function whyNot(error: unknown): string {
  const { code } = error as { code?: unknown };
  if (code === "ENOSPC") return "the disk was full";
  if (code === "EDQUOT") return "the quota of the disk was used up";
  return (error as Error).message;
}
