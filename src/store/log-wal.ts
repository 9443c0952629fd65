/**
 * SQLite's write-ahead log, read as a file (https://www.sqlite.org/walformat.html). SQLite itself takes all frames up to
 * the first whose checksum is wrong, and says nothing about what it leaves out; here that is looked at, and the database
 * is put together in memory without a lock or a change to any file.
 *
 * A transaction's frames follow one another and the last of them carries the size of the database. The next transaction
 * is written only after the one before is synchronised (`synchronous=FULL`), so a crash can damage one transaction at
 * most, the last: damage that has a later transaction behind it was done to what had been durable. Frames of an earlier
 * use of the file have other salts.
 */
import { MeshError } from "../base/errors.ts";

const HEADER_BYTES = 32;
const FRAME_BYTES = 24;
const MAGIC = 0x377f0682;
const PAGE_MIN = 512;
const PAGE_MAX = 65_536;
/** Of the database's header: file format for writing and reading, 2 with a write-ahead log, 1 without. */
const FORMAT_AT = 18;

export interface Leftover {
  /** Frames of the present use of the file that no committed transaction holds. */
  readonly frames: number;
  readonly bytes: number;
  /** A transaction follows on the one that is damaged: what is damaged had been durable. */
  readonly wasDurable: boolean;
}

export interface Wal {
  readonly pageBytes: number;
  /** Frames up to the end of the last transaction that is whole. */
  readonly frames: number;
  /** Page numbers, and where their newest committed content lies in the file. */
  readonly pages: ReadonlyMap<number, number>;
  /** Of the database, in pages; 0: no transaction. */
  readonly databasePages: number;
  readonly leftover: Leftover | null;
  /** The header is damaged, or none of SQLite's, and something follows on it. */
  readonly unreadable: boolean;
}

const NOTHING: Wal = {
  pageBytes: 0,
  frames: 0,
  pages: new Map(),
  databasePages: 0,
  leftover: null,
  unreadable: false,
};

/** SQLite's checksum of bytes[start, end), a multiple of 8, from two sums on. */
export function walSums(
  view: DataView,
  start: number,
  end: number,
  littleEndian: boolean,
  from: readonly [number, number],
): [number, number] {
  let [first, second] = from;
  for (let at = start; at < end; at += 8) {
    first = (first + view.getUint32(at, littleEndian) + second) >>> 0;
    second = (second + view.getUint32(at + 4, littleEndian) + first) >>> 0;
  }
  return [first, second];
}

/** Reads the file from its beginning to its end. */
export function readWal(wal: Uint8Array): Wal {
  if (wal.length <= HEADER_BYTES) return NOTHING;
  const view = new DataView(wal.buffer, wal.byteOffset, wal.length);
  const magic = view.getUint32(0);
  const pageBytes = view.getUint32(8);
  const littleEndian = magic === MAGIC;
  // Allocated, and not yet used.
  if (magic === 0 && isBlank(wal)) return NOTHING;
  const sums = walSums(view, 0, HEADER_BYTES - 8, littleEndian, [0, 0]);
  const known = littleEndian || magic === MAGIC + 1;
  const isPage = pageBytes >= PAGE_MIN && pageBytes <= PAGE_MAX && (pageBytes & (pageBytes - 1)) === 0;
  if (!known || !isPage || sums[0] !== view.getUint32(24) || sums[1] !== view.getUint32(28)) {
    return { ...NOTHING, unreadable: true };
  }

  const frameBytes = FRAME_BYTES + pageBytes;
  const isOurs = (at: number): boolean =>
    view.getUint32(at + 8) === view.getUint32(16) && view.getUint32(at + 12) === view.getUint32(20);
  const pages = new Map<number, number>();
  const uncommitted = new Map<number, number>();
  let frames = 0;
  let databasePages = 0;
  let at = HEADER_BYTES;
  for (let last = sums, frame = 1; at + frameBytes <= wal.length && isOurs(at); at += frameBytes, frame += 1) {
    const afterHead = walSums(view, at, at + 8, littleEndian, last);
    last = walSums(view, at + FRAME_BYTES, at + frameBytes, littleEndian, afterHead);
    const page = view.getUint32(at);
    if (last[0] !== view.getUint32(at + 16) || last[1] !== view.getUint32(at + 20) || page === 0) break;
    uncommitted.set(page, at + FRAME_BYTES);
    const size = view.getUint32(at + 4);
    if (size === 0) continue;
    for (const [number, where] of uncommitted) pages.set(number, where);
    uncommitted.clear();
    frames = frame;
    databasePages = size;
  }
  const end = HEADER_BYTES + frames * frameBytes;
  return {
    pageBytes,
    frames,
    pages,
    databasePages,
    leftover: leftoverOf(view, end, frameBytes, isOurs),
    unreadable: false,
  };
}

function isBlank(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] !== 0) return false;
  return true;
}

/** What of the present use of the file lies behind its last whole transaction. */
function leftoverOf(view: DataView, end: number, frameBytes: number, isOurs: (at: number) => boolean): Leftover | null {
  let frames = 0;
  let stop = end;
  let ended = false;
  let wasDurable = false;
  for (let at = end; at + FRAME_BYTES <= view.byteLength; at += frameBytes) {
    if (!isOurs(at)) continue;
    frames += 1;
    stop = Math.min(at + frameBytes, view.byteLength);
    wasDurable ||= ended;
    ended ||= view.getUint32(at + 4) !== 0;
  }
  return frames === 0 ? null : { frames, bytes: stop - end, wasDurable };
}

/**
 * The database as it is with its write-ahead log, in one piece that needs none. Throws a MeshError `store_damaged` when
 * the two don't fit together.
 */
export function mergeWal(database: Uint8Array, wal: Uint8Array, { pageBytes, pages, databasePages }: Wal): Uint8Array {
  const bytes = databasePages === 0 ? database.length : databasePages * pageBytes;
  const image = new Uint8Array(bytes);
  image.set(database.subarray(0, bytes));
  for (const [page, at] of pages) {
    if (page > databasePages) continue;
    image.set(wal.subarray(at, at + pageBytes), (page - 1) * pageBytes);
  }
  if (bytes < PAGE_MIN) throw new MeshError("store_damaged", "the database file is cut off");
  image[FORMAT_AT] = 1;
  image[FORMAT_AT + 1] = 1;
  return image;
}
