/**
 * The lines of a page of metrics as they were: names and labels stay from scrape to scrape, only numbers move. Who has the
 * lines of the page before compares them with those of the next, and reads its numbers, without looking at what the names
 * and labels are. native/follow.c does the same, sixteen bytes at once.
 *
 * A line is kept as its beginning and what is to be done with it:
 *
 *     figure   the beginning up to the number; a number and the line's end follow
 *     skip     the beginning tells that nobody wants it, whatever follows
 *     read     nothing is kept of it: it is to be read as any line
 *
 * Limits: 1 MiB of beginnings, 64 Ki lines. What is beyond is not kept.
 */
import { CR, HT, LF, SP, copyBytes } from "./octets.ts";
import { NumberReader } from "./prometheus-number.ts";

export const LINE = { figure: 0, skip: 1, read: 2 } as const;
export type LineKind = (typeof LINE)[keyof typeof LINE];

/** A line's word: its kind in the low bits, the length of its beginning above. */
const KIND_BITS = 2;
const KIND_MASK = 3;
export const LINES_MAX = 65_536;
export const LINE_TABLE_BYTES_MAX = 2 ** 20;
/** A line that is longer is not skipped: who reads it says so. */
const SKIPPED_BYTES_MAX = 64 * 1024;
/** Lines of one page that are to be read one by one, though the others are followed. */
export const ODD_MAX = 1024;
export const ODD_WORDS = 4;
const HASH = 35;

export class LineTable {
  /** The beginnings, one behind the other. */
  bytes = new Uint8Array(new ArrayBuffer(4096));
  words = new Int32Array(new ArrayBuffer(1024));
  lines = 0;
  length = 0;
  /** Lines whose kind is `figure`. */
  figures = 0;

  /** Whether there is room for one more line, whose beginning is so long. */
  fits(bytes: number): boolean {
    return this.lines < LINES_MAX && this.length + bytes <= LINE_TABLE_BYTES_MAX;
  }

  /** Keeps the beginning of a line, for which there is room. */
  add(source: Uint8Array, start: number, end: number, kind: LineKind): void {
    const length = this.length + end - start;
    if (length > this.bytes.length) {
      const longer = new Uint8Array(new ArrayBuffer(Math.min(LINE_TABLE_BYTES_MAX, Math.max(length, this.length * 2))));
      copyBytes(this.bytes, 0, this.length, longer, 0);
      this.bytes = longer;
    }
    if (this.lines === this.words.length) {
      const longer = new Int32Array(new ArrayBuffer(this.lines * 8));
      longer.set(this.words);
      this.words = longer;
    }
    this.length = copyBytes(source, start, end, this.bytes, this.length);
    this.words[this.lines++] = ((end - start) << KIND_BITS) | kind;
    if (kind === LINE.figure) this.figures++;
  }

  /** Forgets the lines from this one on; what is before them is as `followed` says. */
  cut({ lines, length, figures }: Pick<Followed, "lines" | "length" | "figures">): void {
    this.lines = lines;
    this.length = length;
    this.figures = figures;
  }
}

/** How far a page is as the table says, and what stands there. */
export class Followed {
  /** Lines that were followed, and as far the bytes of the page and of the table's beginnings, and the figures. */
  lines = 0;
  at = 0;
  length = 0;
  figures = 0;
  /** The figures' numbers, in their order; that of an odd line is not set. */
  values = new Float64Array(new ArrayBuffer(2048));
  /** Of each line that is to be read by itself: figures before it, its first byte, its end, its number or -1. */
  readonly odd = new Int32Array(new ArrayBuffer(ODD_MAX * ODD_WORDS * 4));
  odds = 0;

  begin(figures: number): void {
    if (this.values.length < figures) this.values = new Float64Array(new ArrayBuffer(figures * 12));
    this.lines = this.at = this.length = this.figures = this.odds = 0;
  }

  /** False where there is no room for one more. */
  addOdd(start: number, end: number, valueAt: number): boolean {
    if (this.odds >= ODD_MAX) return false;
    const { odd } = this;
    const at = this.odds++ * ODD_WORDS;
    odd[at] = this.figures;
    odd[at + 1] = start;
    odd[at + 2] = end;
    odd[at + 3] = valueAt;
    return true;
  }
}

/** Goes along the lines of the table and of the page [0, end) as far as both agree. */
export type FollowLines = (table: LineTable, page: Uint8Array, end: number, into: Followed) => void;

const number = new NumberReader();

export const followLines: FollowLines = (table, page, end, into) => {
  const { bytes, words, lines } = table;
  into.begin(table.figures);
  let at = 0;
  let kept = 0;
  for (; into.lines < lines; into.lines++) {
    const word = words[into.lines]!;
    const kind = word & KIND_MASK;
    const length = word >>> KIND_BITS;
    if (at + length >= end) break;
    let i = 0;
    while (i < length && bytes[kept + i] === page[at + i]) i++;
    if (i < length) break;
    // What ends the text may not be the end of its line.
    const line = page.indexOf(LF, at + length);
    if (line < 0 || line >= end) break;
    const isPlain = kind === LINE.figure && number.read(page, at + length, page[line - 1] === CR ? line - 1 : line);
    if (isPlain) into.values[into.figures] = number.value;
    else if (kind === LINE.skip ? line - at > SKIPPED_BYTES_MAX : true) {
      // A comment may be the end of all that counts, and is for whoever reads on from here.
      if (kind === LINE.read && page[blanksBehind(page, at, line)] === HASH) break;
      if (!into.addOdd(at, line, kind === LINE.figure ? at + length : -1)) break;
    }
    if (kind === LINE.figure) into.figures++;
    kept += length;
    at = line + 1;
  }
  into.at = at;
  into.length = kept;
};

function blanksBehind(page: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && (page[i] === SP || page[i] === HT)) i++;
  return i;
}
