/**
 * What the parsers of this room share: byte classes as tables of 256 flags, and comparisons that allocate nothing.
 *
 * One table lookup per byte costs about a nanosecond; it is the price of looking at every byte of a head, which the
 * smuggling cases make worth paying.
 */

export const HT = 9;
export const LF = 10;
export const CR = 13;
export const SP = 32;
export const QUOTE = 34;
export const DASH = 45;
export const COLON = 58;
export const SEMICOLON = 59;
export const BACKSLASH = 92;

/** The offset basis of 32-bit FNV-1a; the hash of nothing. */
export const FNV_BASIS = 0x811c9dc5;
export const FNV_PRIME = 0x01000193;

function classOf(...ranges: readonly (string | readonly [number, number])[]): Uint8Array {
  const flags = new Uint8Array(256);
  for (const range of ranges) {
    if (typeof range === "string") for (let i = 0; i < range.length; i++) flags[range.charCodeAt(i)] = 1;
    else flags.fill(1, range[0], range[1] + 1);
  }
  return flags;
}

/** RFC 9110 section 5.6.2: what a method or a field name is made of. */
export const TOKEN = classOf("!#$%&'*+-.^_`|~", [48, 57], [65, 90], [97, 122]);
/** RFC 9110 section 5.5: field content, which is all but control bytes; HTAB is the one that is allowed. */
export const FIELD = classOf([HT, HT], [SP, 126], [128, 255]);
/** A request target: visible ASCII without `#`, since a fragment never travels. */
export const TARGET = classOf([33, 34], [36, 126]);
/** RFC 3986 section 3.2: host and port, without user information. */
export const AUTHORITY = classOf("!$%&'()*+-.:;=[]_~", [48, 57], [65, 90], [97, 122]);

/** Lower-case ASCII letters and dashes, as bytes to compare field names and values with. */
export function ascii(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/**
 * Whether the bytes at `at` spell `lower` (made of lower-case letters, digits and `-/.`), letter case aside.
 * Setting bit 5 maps `A`..`Z` to `a`..`z`. It maps control bytes to digits and dashes too, so the caller must know
 * that there are none: what is compared has passed TOKEN or FIELD.
 */
export function spells(buffer: Uint8Array, at: number, lower: Uint8Array): boolean {
  for (let i = 0; i < lower.length; i++) {
    if ((buffer[at + i]! | 32) !== lower[i]!) return false;
  }
  return true;
}

/** A buffer of a platform that copies a part of itself without making a view of it first, at a third of the cost. */
interface SelfCopying {
  copy?(target: Uint8Array, at: number, from: number, to: number): number;
}

/** Up to here a loop copies as fast as any call. */
const SHORT_BYTES = 24;

/** Copies bytes [from, to) to `at` in the target; answers the position behind them. */
export function copyBytes(
  source: Uint8Array & SelfCopying,
  from: number,
  to: number,
  target: Uint8Array,
  at: number,
): number {
  const length = to - from;
  if (length <= SHORT_BYTES) for (let i = 0; i < length; i++) target[at + i] = source[from + i]!;
  else if (source.copy !== undefined) source.copy(target, at, from, to);
  else target.set(source.length === length ? source : source.subarray(from, to), at);
  return at + length;
}

/** A copy of bytes [from, to). `slice` would do for a Uint8Array, but makes a mere view of a platform's own buffer. */
export function copyOf(source: Uint8Array, from: number, to: number): Uint8Array {
  const copy = new Uint8Array(to - from);
  copyBytes(source, from, to, copy, 0);
  return copy;
}

/** The value of a hexadecimal digit, or -1. */
export function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** Whether bytes [0, length) are well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing cut off. */
export function isUtf8(bytes: Uint8Array, length: number): boolean {
  let i = 0;
  while (i < length) {
    const lead = bytes[i++]!;
    if (lead < 0x80) continue;
    if (lead < 0xc2 || lead > 0xf4) return false;
    const more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (i + more > length) return false;
    const second = bytes[i]!;
    const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return false;
    for (let k = 1; k < more; k++) if ((bytes[i + k]! & 0xc0) !== 0x80) return false;
    i += more;
  }
  return true;
}

/** Bytes [start, end) as Latin-1 text, a character a byte. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}
