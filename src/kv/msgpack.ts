/**
 * Reading MessagePack (msgpack.org's specification) value by value, where it lies, as the events of an engine need it:
 * hashes of 64 bits never become numbers of JavaScript, token ids never become objects, and nothing is allocated on the
 * word of a length. After the first fault the reader is `bad`, and all it answers is empty.
 *
 * Limits: `DEPTH_MAX` values within one another are skipped; extension types have no meaning here and are skipped too.
 */

export const KIND = {
  nil: 0,
  boolean: 1,
  integer: 2,
  float: 3,
  text: 4,
  binary: 5,
  array: 6,
  map: 7,
  extension: 8,
  bad: 9,
} as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

export const DEPTH_MAX = 16;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** By the first byte from 0xc0 to 0xdf. */
const KINDS: readonly Kind[] = [
  KIND.nil,
  KIND.bad,
  KIND.boolean,
  KIND.boolean,
  KIND.binary,
  KIND.binary,
  KIND.binary,
  KIND.extension,
  KIND.extension,
  KIND.extension,
  KIND.float,
  KIND.float,
  KIND.integer,
  KIND.integer,
  KIND.integer,
  KIND.integer,
  KIND.integer,
  KIND.integer,
  KIND.integer,
  KIND.integer,
  KIND.extension,
  KIND.extension,
  KIND.extension,
  KIND.extension,
  KIND.extension,
  KIND.text,
  KIND.text,
  KIND.text,
  KIND.array,
  KIND.array,
  KIND.map,
  KIND.map,
];

export class MsgpackReader {
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  bad = false;
  /** Where the text or the binary read last lies. */
  start = 0;
  stop = 0;
  #view: DataView = new DataView(new ArrayBuffer(0));

  read(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
    this.bad = false;
  }

  /** The whole is read, without a fault. */
  get isDone(): boolean {
    return !this.bad && this.at === this.bytes.length;
  }

  /** Of the value that comes next. */
  get kind(): Kind {
    if (this.bad || this.at >= this.bytes.length) return KIND.bad;
    const first = this.bytes[this.at]!;
    if (first < 0x80 || first >= 0xe0) return KIND.integer;
    if (first < 0x90) return KIND.map;
    if (first < 0xa0) return KIND.array;
    return first < 0xc0 ? KIND.text : KINDS[first - 0xc0]!;
  }

  /** Whether a nil comes next, which is then read. */
  nil(): boolean {
    if (this.kind !== KIND.nil) return false;
    this.at += 1;
    return true;
  }

  /** How many values an array holds. */
  array(): number {
    return this.#count(KIND.array, 0x90, 0xdc, 1);
  }

  /** How many pairs a map holds. */
  map(): number {
    return this.#count(KIND.map, 0x80, 0xde, 2);
  }

  /** A whole number within 2^53 of zero. */
  integer(): number {
    if (this.kind !== KIND.integer) return this.fail();
    const first = this.bytes[this.at++]!;
    if (first < 0x80) return first;
    if (first >= 0xe0) return first - 256;
    const size = 1 << (first & 3);
    if (this.at + size > this.bytes.length) return this.fail();
    const at = this.at;
    this.at += size;
    const view = this.#view;
    if (first === 0xcc) return view.getUint8(at);
    if (first === 0xcd) return view.getUint16(at);
    if (first === 0xce) return view.getUint32(at);
    if (first === 0xd0) return view.getInt8(at);
    if (first === 0xd1) return view.getInt16(at);
    if (first === 0xd2) return view.getInt32(at);
    const high = first === 0xcf ? view.getUint32(at) : view.getInt32(at);
    const value = high * 2 ** 32 + view.getUint32(at + 4);
    return Number.isSafeInteger(value) ? value : this.fail();
  }

  /**
   * Numbers below 2^32 in their common spellings, as long as such come and at most `count` of them; answers how many.
   * There are thousands to a batch, so this has no calls in it.
   */
  words(into: Uint32Array, count: number): number {
    const { bytes } = this;
    const end = bytes.length;
    let at = this.at;
    let read = 0;
    for (; read < count && at < end; read += 1) {
      const first = bytes[at]!;
      if (first < 0x80) {
        into[read] = first;
        at += 1;
      } else if (first === 0xcd && at + 3 <= end) {
        into[read] = (bytes[at + 1]! << 8) | bytes[at + 2]!;
        at += 3;
      } else if (first === 0xce && at + 5 <= end) {
        into[read] = wordAt(bytes, at + 1);
        at += 5;
      } else break;
    }
    this.at = at;
    return read;
  }

  /** A text of UTF-8 of at most `max` bytes. */
  text(max: number): string {
    this.#span(KIND.text, max);
    if (this.bad) return "";
    try {
      return utf8.decode(this.bytes.subarray(this.start, this.stop));
    } catch {
      this.fail();
      return "";
    }
  }

  /**
   * What stands for a block, of at most `max` bytes, as a key for maps: bytes as they are, one character each; a number by its 64 bits,
   * big-endian, so that it does not matter how short it was written, nor whether it was signed.
   */
  hash(max: number): string {
    const { kind } = this;
    if (kind === KIND.binary || kind === KIND.text) {
      this.#span(kind, max);
      if (this.bad || this.start === this.stop) return this.#none();
      return charactersOf(this.bytes, this.start, this.stop);
    }
    if (kind !== KIND.integer) return this.#none();
    const first = this.bytes[this.at]!;
    if (first === 0xcf || first === 0xd3) {
      const from = this.at + 1;
      if (from + 8 > this.bytes.length) return this.#none();
      this.at = from + 8;
      return characters(this.#view.getUint32(from), this.#view.getUint32(from + 4));
    }
    const value = this.integer();
    return this.bad ? "" : characters(value < 0 ? 0xffffffff : 0, value >>> 0);
  }

  /** Goes past one value, whatever it is. */
  skip(depth = 0): void {
    const { kind } = this;
    if (depth > DEPTH_MAX) this.fail();
    else if (kind === KIND.array || kind === KIND.map) {
      const values = kind === KIND.array ? this.array() : 2 * this.map();
      for (let left = values; left > 0 && !this.bad; left -= 1) this.skip(depth + 1);
    } else if (kind === KIND.text || kind === KIND.binary) this.#span(kind, Infinity);
    else if (kind === KIND.bad) this.fail();
    else this.#step(this.#fixedBytes(kind));
  }

  fail(): number {
    this.bad = true;
    this.start = 0;
    this.stop = 0;
    return 0;
  }

  #none(): string {
    this.fail();
    return "";
  }

  #step(bytes: number): void {
    if (this.at + bytes > this.bytes.length) this.fail();
    else this.at += bytes;
  }

  /** Of a value without a text or values of its own, its first byte included. */
  #fixedBytes(kind: Kind): number {
    const first = this.bytes[this.at]!;
    if (kind === KIND.integer) return first < 0x80 || first >= 0xe0 ? 1 : 1 + (1 << (first & 3));
    if (kind === KIND.float) return first === 0xca ? 5 : 9;
    if (kind !== KIND.extension) return 1;
    if (first >= 0xd4) return 2 + (1 << (first - 0xd4));
    return this.#lengthAt(1 << (first - 0xc7)) + 2 + (1 << (first - 0xc7));
  }

  /** A length of so many bytes behind the first byte; Infinity when it is cut. */
  #lengthAt(size: number): number {
    const at = this.at + 1;
    if (at + size > this.bytes.length) return Infinity;
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  /** Each value takes a byte at least, so more of them than bytes are left are a lie. */
  #count(kind: Kind, fix: number, wide: number, bytesEach: number): number {
    if (this.kind !== kind) return this.fail();
    const first = this.bytes[this.at]!;
    const size = first < 0xc0 ? 0 : first === wide ? 2 : 4;
    const count = size === 0 ? first - fix : this.#lengthAt(size);
    this.at += 1 + size;
    return count * bytesEach > this.bytes.length - this.at ? this.fail() : count;
  }

  #span(kind: Kind, max: number): void {
    if (this.kind !== kind) {
      this.fail();
      return;
    }
    const first = this.bytes[this.at]!;
    const size = first < 0xc0 ? 0 : 1 << (first - (kind === KIND.text ? 0xd9 : 0xc4));
    const length = size === 0 ? first - 0xa0 : this.#lengthAt(size);
    const from = this.at + 1 + size;
    if (length > max || from + length > this.bytes.length) {
      this.fail();
      return;
    }
    this.start = from;
    this.stop = from + length;
    this.at = this.stop;
  }
}

/** One for each byte; several at a time, which is ten times as fast as to spread them. */
function charactersOf(bytes: Uint8Array, start: number, stop: number): string {
  let text = "";
  let at = start;
  for (; at + 8 <= stop; at += 8) text += characters(wordAt(bytes, at), wordAt(bytes, at + 4));
  for (; at < stop; at += 1) text += String.fromCharCode(bytes[at]!);
  return text;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function characters(high: number, low: number): string {
  return String.fromCharCode(
    high >>> 24,
    (high >>> 16) & 255,
    (high >>> 8) & 255,
    high & 255,
    low >>> 24,
    (low >>> 16) & 255,
    (low >>> 8) & 255,
    low & 255,
  );
}
