/**
 * The labels between a sample's braces, as positions in its line. A value becomes text when it is asked for; short ones
 * that were asked for lately are found again without making another text, since the same few come with every scrape.
 *
 * Limits: 64 labels of one sample.
 */
import { BACKSLASH, FNV_BASIS, FNV_PRIME, HT, QUOTE, SP } from "./octets.ts";

export const LABELS_MAX = 64;

/** Positions of one label: its name's and its value's first byte and the one behind the last. */
const STRIDE = 4;
const COMMA = 44;
const EQUALS = 61;
const OPEN = 123;
const CLOSE = 125;
const LOWER_N = 110;

const TEXTS = 512;
const TEXT_BYTES_MAX = 96;
const decoder = new TextDecoder();
const texts: (string | undefined)[] = Array.from({ length: TEXTS });

export class LabelSet {
  /** How many there are. */
  count = 0;
  /** A name in quotes that stands before the labels: its first byte and the one behind its last; 0 where none does. */
  nameStart = 0;
  nameEnd = 0;
  #source: Uint8Array = new Uint8Array(0);
  readonly #at = new Int32Array(LABELS_MAX * STRIDE);

  clear(): void {
    this.count = 0;
    this.nameStart = 0;
    this.nameEnd = 0;
  }

  nameAt(index: number): string {
    return unquoted(this.#source, this.#at[index * STRIDE]!, this.#at[index * STRIDE + 1]!);
  }

  valueAt(index: number): string {
    return unquoted(this.#source, this.#at[index * STRIDE + 2]!, this.#at[index * STRIDE + 3]!);
  }

  /** The value of a label; undefined where it is not there. */
  get(name: string): string | undefined {
    for (let i = 0; i < this.count; i++) {
      if (isText(this.#source, this.#at[i * STRIDE]!, this.#at[i * STRIDE + 1]!, name)) return this.valueAt(i);
    }
    return undefined;
  }

  /**
   * A whole number below 2^53 that is the same for the same labels in the same order, the one called `without` aside: by
   * which a series is found again, without making a text of its labels.
   */
  key(without: string): number {
    let low = FNV_BASIS;
    let high = 0;
    for (let i = 0; i < this.count; i++) {
      const start = this.#at[i * STRIDE]!;
      if (isText(this.#source, start, this.#at[i * STRIDE + 1]!, without)) continue;
      const end = this.#at[i * STRIDE + 3]!;
      for (let k = start; k < end; k++) {
        low = Math.imul(low ^ this.#source[k]!, FNV_PRIME);
        high = (Math.imul(high, 31) + this.#source[k]!) | 0;
      }
      // Between two labels, where no byte of a text stands.
      low = Math.imul(low ^ 0x100, FNV_PRIME);
    }
    return (high >>> 11) * 2 ** 32 + (low >>> 0);
  }

  /** Reads from the opening brace on; answers the position behind the closing one, or -1 where it is malformed. */
  read(source: Uint8Array, start: number, end: number, mayHaveName: boolean): number {
    this.clear();
    this.#source = source;
    if (source[start] !== OPEN) return -1;
    let i = blanks(source, start + 1, end);
    if (mayHaveName && i < end && source[i] === QUOTE) {
      const close = quoteEnd(source, i, end);
      if (close < 0) return -1;
      const next = blanks(source, close + 1, end);
      if (source[next] !== EQUALS || next >= end) {
        this.nameStart = i + 1;
        this.nameEnd = close;
        i = this.#behindItem(source, next, end);
        if (i < 0) return -1;
      }
    }
    while (i < end && source[i] !== CLOSE) {
      i = this.#label(source, i, end);
      if (i < 0) return -1;
    }
    return i < end ? i + 1 : -1;
  }

  /** One label and the comma behind it, if there is one. */
  #label(source: Uint8Array, start: number, end: number): number {
    if (this.count >= LABELS_MAX) return -1;
    const isQuoted = source[start] === QUOTE;
    const nameStart = isQuoted ? start + 1 : start;
    const nameEnd = isQuoted ? quoteEnd(source, start, end) : labelEnd(source, start, end);
    if (nameEnd <= nameStart) return -1;
    let i = blanks(source, isQuoted ? nameEnd + 1 : nameEnd, end);
    if (i >= end || source[i] !== EQUALS) return -1;
    i = blanks(source, i + 1, end);
    if (i >= end || source[i] !== QUOTE) return -1;
    const close = quoteEnd(source, i, end);
    if (close < 0 || this.#has(source, nameStart, nameEnd)) return -1;
    const at = this.count * STRIDE;
    this.#at[at] = nameStart;
    this.#at[at + 1] = nameEnd;
    this.#at[at + 2] = i + 1;
    this.#at[at + 3] = close;
    this.count++;
    return this.#behindItem(source, blanks(source, close + 1, end), end);
  }

  /** Behind a comma, or at the closing brace. */
  #behindItem(source: Uint8Array, at: number, end: number): number {
    if (at >= end) return -1;
    if (source[at] === COMMA) return blanks(source, at + 1, end);
    return source[at] === CLOSE ? at : -1;
  }

  #has(source: Uint8Array, start: number, end: number): boolean {
    for (let i = 0; i < this.count; i++) {
      const from = this.#at[i * STRIDE]!;
      if (this.#at[i * STRIDE + 1]! - from !== end - start) continue;
      let k = 0;
      while (k < end - start && source[from + k] === source[start + k]) k++;
      if (k === end - start) return true;
    }
    return false;
  }
}

/** The first byte that is neither a space nor a tab. */
export function blanks(source: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && (source[i] === SP || source[i] === HT)) i++;
  return i;
}

/** The closing quote of the one at `start`, or -1. */
export function quoteEnd(source: Uint8Array, start: number, end: number): number {
  for (let i = start + 1; i < end; i++) {
    const byte = source[i];
    if (byte === QUOTE) return i;
    if (byte === BACKSLASH) i++;
  }
  return -1;
}

/** Behind the last byte of a name without quotes; `start` where none begins there. */
function labelEnd(source: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && isNameByte(source[i]!, i > start)) i++;
  return i;
}

/** Letters and underscores, and behind the first of them digits. */
function isNameByte(byte: number, isInside: boolean): boolean {
  const letter = byte | 32;
  if ((letter >= 97 && letter <= 122) || byte === 95) return true;
  return isInside && byte >= 48 && byte <= 57;
}

/** What stands between two quotes: `\\`, `\"` and `\n` are escapes, another backslash stands for itself. */
export function unquoted(source: Uint8Array, start: number, end: number): string {
  let hash = FNV_BASIS;
  let isPlain = end - start <= TEXT_BYTES_MAX;
  for (let i = start; i < end && isPlain; i++) {
    const byte = source[i]!;
    if (byte === BACKSLASH || byte >= 128) isPlain = false;
    hash = Math.imul(hash ^ byte, FNV_PRIME);
  }
  if (!isPlain) return unescaped(source, start, end);
  const place = (hash >>> 0) % TEXTS;
  const known = texts[place];
  if (known !== undefined && isText(source, start, end, known)) return known;
  return (texts[place] = decoder.decode(source.subarray(start, end)));
}

function unescaped(source: Uint8Array, start: number, end: number): string {
  if (source.subarray(start, end).indexOf(BACKSLASH) < 0) return decoder.decode(source.subarray(start, end));
  const bytes = new Uint8Array(end - start);
  let length = 0;
  for (let i = start; i < end; i++) {
    const next = source[i + 1];
    if (source[i] === BACKSLASH && i + 1 < end && (next === BACKSLASH || next === QUOTE || next === LOWER_N)) {
      bytes[length++] = next === LOWER_N ? 10 : next;
      i++;
    } else bytes[length++] = source[i]!;
  }
  return decoder.decode(bytes.subarray(0, length));
}

/** Whether the bytes are this text, as far as both are ASCII. */
function isText(source: Uint8Array, start: number, end: number, text: string): boolean {
  if (text.length !== end - start) return false;
  for (let i = 0; i < text.length; i++) if (source[start + i] !== text.charCodeAt(i)) return false;
  return true;
}
