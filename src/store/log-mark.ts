/**
 * The high-water mark beside a log, `PATH-mark`: how far the log is known to be durable. It is written after each
 * commit and before anybody is told of it, so a log that ends before its mark has lost what was acknowledged. The file
 * is also the lock by which one process at a time has the log, and names the holder.
 *
 * The mark is not synchronised in each commit, which would double its cost: the kernel keeps it when the process is
 * killed, and `SYNC_MS` bounds what a power failure takes back. An older mark is true as well, it only proves less.
 *
 * Two slots are written in turn, each within a sector, so that a torn write leaves the other one.
 */
import { closeSync, fdatasync, fdatasyncSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import { errnoReader, openLibc } from "../net/libc.ts";
import { ERRNO } from "../net/linux.ts";
import { inUse, reasonOf } from "./log-damage.ts";
import { checksumOf, checksumText } from "./log-record.ts";

export interface Mark {
  /** Which store it belongs to. */
  readonly store: string;
  /** Of the last record that is durable; 0: none yet. */
  readonly sequence: number;
  readonly checksum: bigint;
}

/** What a mark's file says. */
export type MarkFound =
  | { readonly kind: "mark"; readonly mark: Mark }
  /** No mark was ever written. */
  | { readonly kind: "none" }
  | { readonly kind: "damaged" };

export const MARK_SUFFIX = "-mark";
/** How long after a commit the mark is synchronised at the latest. */
const SYNC_MS = 1000;

const SLOT_BYTES = 128;
const SLOTS_AT = [0, 512];
const HOLDER_AT = 1024;
const HOLDER_BYTES = 32;
const FILE_BYTES = HOLDER_AT + HOLDER_BYTES;
const MAGIC = "infermesh-log-mark 1";
const LOCK_EXCLUSIVE_NOW = 2 | 4;
const UNLOCK = 8;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The file, held by this process. */
export class MarkFile {
  readonly found: MarkFound;
  readonly #fd: number;
  readonly #slot = new Uint8Array(SLOT_BYTES);
  #turn: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  private constructor(fd: number) {
    this.#fd = fd;
    const bytes = new Uint8Array(FILE_BYTES);
    readSync(fd, bytes, 0, FILE_BYTES, 0);
    const { found, newest } = readMark(bytes);
    this.found = found;
    this.#turn = newest === 0 ? 1 : 0;
  }

  /** Opens or creates the file and locks it. Throws a MeshError that names the holder when another process has it. */
  static hold(path: string): MarkFile {
    const fd = openOrCreate(path);
    try {
      if (isLocked(fd)) throw inUse(path.slice(0, -MARK_SUFFIX.length), holderOf(path));
      const file = new MarkFile(fd);
      const holder = encoder.encode(`pid ${process.pid}`.padEnd(HOLDER_BYTES - 1) + "\n");
      writeSync(fd, holder, 0, HOLDER_BYTES, HOLDER_AT);
      return file;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** All before must be durable. */
  write(mark: Mark): void {
    encodeSlot(mark, this.#slot);
    writeSync(this.#fd, this.#slot, 0, SLOT_BYTES, SLOTS_AT[this.#turn]);
    this.#turn = 1 - this.#turn;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      // On a thread of the pool: no commit waits for it. That it failed shows at the next commit.
      if (!this.#closed) fdatasync(this.#fd, () => {});
    }, SYNC_MS);
  }

  sync(): void {
    fdatasyncSync(this.#fd);
  }

  /** Releases the lock. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    writeSync(this.#fd, new Uint8Array(HOLDER_BYTES).fill(0x20), 0, HOLDER_BYTES, HOLDER_AT);
    try {
      this.sync();
    } finally {
      openLibc()?.flock(this.#fd, UNLOCK);
      closeSync(this.#fd);
    }
  }
}

/** What the bytes of a mark's file say, and which slot it stands in. */
export function readMark(bytes: Uint8Array): { readonly found: MarkFound; readonly newest: number } {
  const slots = SLOTS_AT.map((at) => decodeSlot(bytes.subarray(at, at + SLOT_BYTES)));
  const [first, second] = slots;
  const newest = (second?.sequence ?? -1) >= (first?.sequence ?? -1) && second !== undefined ? 1 : 0;
  const mark = slots[newest];
  if (mark !== undefined) return { found: { kind: "mark", mark }, newest };
  const isBlank = SLOTS_AT.every((at) => bytes.subarray(at, at + SLOT_BYTES).every((byte) => byte === 0));
  return { found: { kind: isBlank ? "none" : "damaged" }, newest: 1 };
}

/** Which process holds the log of that mark, by the file; undefined: nobody says so. */
export function holderOf(path: string): number | undefined {
  try {
    const text = decoder.decode(readFileSync(path).subarray(HOLDER_AT, HOLDER_AT + HOLDER_BYTES));
    const pid = Number(/^pid (\d+)/.exec(text)?.[1]);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Locks the file, or tells that somebody else has. Where a file system has no locks, SQLite's own have to do. */
function isLocked(fd: number): boolean {
  const libc = openLibc();
  if (libc === null) return false;
  const errno = errnoReader(libc);
  return libc.flock(fd, LOCK_EXCLUSIVE_NOW) !== 0 && errno() === ERRNO.EAGAIN;
}

function openOrCreate(path: string): number {
  try {
    return openSync(path, "r+");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw unopened(path, error);
  }
  try {
    const fd = openSync(path, "w+", 0o600);
    // The blocks are there before they are needed: later writes need no space.
    writeSync(fd, new Uint8Array(FILE_BYTES));
    fdatasyncSync(fd);
    return fd;
  } catch (error) {
    throw unopened(path, error);
  }
}

function unopened(path: string, cause: unknown): MeshError {
  const code = (cause as NodeJS.ErrnoException).code;
  const full = code === "ENOSPC" || code === "EDQUOT";
  return new MeshError(
    full ? "store_full" : "config_invalid",
    `can't open the log's mark ${path}: ${reasonOf(cause)}`,
    { cause },
  );
}

function encodeSlot({ store, sequence, checksum }: Mark, slot: Uint8Array): void {
  const text = `${MAGIC} ${store} ${String(sequence).padStart(16, "0")} ${checksumText(checksum)} `;
  const { written } = encoder.encodeInto(text, slot);
  const seal = checksumText(checksumOf(slot.subarray(0, written)));
  slot.fill(0x20, encoder.encodeInto(seal, slot.subarray(written)).written + written);
  slot[SLOT_BYTES - 1] = 0x0a;
}

function decodeSlot(slot: Uint8Array): Mark | undefined {
  const text = decoder.decode(slot);
  const match = /^(infermesh-log-mark 1 ([0-9a-f]{32}) (\d{16}) ([0-9a-f]{16}) )([0-9a-f]{16}) +\n$/.exec(text);
  if (match === null) return undefined;
  const [, body = "", store = "", sequence, checksum, seal] = match;
  if (checksumText(checksumOf(encoder.encode(body))) !== seal) return undefined;
  return { store, sequence: Number(sequence), checksum: BigInt(`0x${checksum}`) };
}
