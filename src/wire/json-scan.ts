/**
 * A strict reader of JSON that lies whole in memory (RFC 8259): says where the members of an object lie, decodes
 * nothing, and takes nothing that another parser might read differently: no byte order mark, no control bytes or
 * malformed escapes in strings, no ill-formed UTF-8, no comments, no commas too many. It is for bodies that are edited
 * or compared; json-field.ts finds the model in those that are only passed on, in pieces and with less.
 *
 * Limit: 512 levels. After -1, `position` and `reason` tell the sender what is wrong with the body; a scanner may be
 * used again for any other.
 */
import { BACKSLASH, COLON, hexDigit, isUtf8, QUOTE } from "./octets.ts";

const DEPTH_MAX = 512;
export const COMMA = 44;
export const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
export const OPEN_ARRAY = 91;
export const CLOSE_ARRAY = 93;

const MINUS = 45;
const PLUS = 43;
const POINT = 46;
const ZERO = 48;
const NINE = 57;
const CAPITAL_E = 69;
const LETTER_E = 101;
const LETTER_U = 117;

/** RFC 8259 section 2: space, tab, line feed, carriage return. */
export const BLANK = new Uint8Array(256);
for (const byte of [9, 10, 13, 32]) BLANK[byte] = 1;

/** Bytes of a string that stand for themselves: no quote, no backslash, no control byte. */
const SIMPLE = new Uint8Array(256).fill(1, 32);
SIMPLE[QUOTE] = 0;
SIMPLE[BACKSLASH] = 0;

/** What may follow a backslash, `u` apart. */
const ESCAPED = new Uint8Array(256);
for (const letter of '"\\/bfnrt') ESCAPED[letter.charCodeAt(0)] = 1;

const NOTHING = new Uint8Array(0);
const LITERALS = ["true", "false", "null"] as const;
/** Where a member's four positions lie from its first. */
const KEY_END = 1;
const VALUE_START = 2;
const VALUE_END = 3;

export class JsonScanner {
  /** Members of the object read last, four positions each: see the getters. */
  #spans = new Int32Array(64);
  memberCount = 0;
  /** After -1: where it went wrong, from the start of what was given, and why. */
  position = 0;
  reason = "";
  #buffer: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;
  readonly #closers = new Uint8Array(DEPTH_MAX);

  /** The key of member `index` lies at [keyStart, keyEnd), with its quotes. */
  keyStart(index: number): number {
    return this.#spans[index * 4]!;
  }

  keyEnd(index: number): number {
    return this.#spans[index * 4 + KEY_END]!;
  }

  valueStart(index: number): number {
    return this.#spans[index * 4 + VALUE_START]!;
  }

  valueEnd(index: number): number {
    return this.#spans[index * 4 + VALUE_END]!;
  }

  /** Reads a body [start, end) that is one object; answers where its brace stands, or -1. */
  body(buffer: Uint8Array, start: number, end: number): number {
    this.#begin(buffer, start, end);
    const open = this.blank(start);
    if (open === end) return this.#fail(open, "the body is empty");
    if (buffer[open] !== OPEN_OBJECT) {
      return this.#fail(open, buffer[open] === 0xef ? "a byte order mark" : "expected an object");
    }
    const close = this.#members(open);
    if (close < 0) return -1;
    const last = this.blank(close);
    return last === end ? open : this.#fail(last, "expected nothing after the object");
  }

  /** Reads the object that begins at `open` in a buffer that ends at `end`; answers one past it, or -1. */
  object(buffer: Uint8Array, open: number, end: number): number {
    this.#begin(buffer, open, end);
    return this.#members(open);
  }

  /** Lets go of the buffer read last; positions stay. */
  release(): void {
    this.#buffer = NOTHING;
  }

  /** One past the value at `start`, or -1. */
  value(start: number): number {
    let at = start;
    let depth = 0;
    for (;;) {
      const byte = this.#byte(at);
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        if (depth === DEPTH_MAX) return this.#fail(at, `nested deeper than ${DEPTH_MAX} levels`);
        // The closing bracket's code is its opening one's plus 2, for both kinds.
        const closer = byte + 2;
        at = this.blank(at + 1);
        if (this.#byte(at) !== closer) {
          this.#closers[depth++] = closer;
          if (byte === OPEN_OBJECT) at = this.#key(at);
          if (at < 0) return -1;
          continue;
        }
        at++;
      } else {
        at = this.#scalar(at, byte);
        if (at < 0) return -1;
      }
      for (;;) {
        if (depth === 0) return at;
        const closer = this.#closers[depth - 1]!;
        at = this.blank(at);
        if (this.#byte(at) === COMMA) {
          at = this.blank(at + 1);
          if (closer === CLOSE_OBJECT) at = this.#key(at);
          if (at < 0) return -1;
          break;
        }
        if (this.#byte(at) !== closer) {
          return this.#fail(at, `expected a comma or the end of the ${closer === CLOSE_OBJECT ? "object" : "array"}`);
        }
        depth--;
        at++;
      }
    }
  }

  /** The first byte from `at` on that is no blank. */
  blank(at: number): number {
    let i = at;
    while (i < this.#end && BLANK[this.#buffer[i]!] === 1) i++;
    return i;
  }

  #begin(buffer: Uint8Array, start: number, end: number): void {
    this.#buffer = buffer;
    this.#start = start;
    this.#end = end;
    this.memberCount = 0;
    this.position = 0;
    this.reason = "";
  }

  #fail(at: number, why: string): -1 {
    this.position = at - this.#start;
    this.reason = `invalid JSON at byte ${this.position}: ${at < this.#end ? why : `${why}, and there it ends`}`;
    return -1;
  }

  #byte(at: number): number {
    return at < this.#end ? this.#buffer[at]! : -1;
  }

  /** The members of the object that begins at `open`; one past its end, or -1. */
  #members(open: number): number {
    this.memberCount = 0;
    let at = this.blank(open + 1);
    if (this.#byte(at) === CLOSE_OBJECT) return at + 1;
    for (;;) {
      const keyStart = at;
      const keyEnd = this.#string(at, "a key");
      if (keyEnd < 0) return -1;
      const valueStart = this.#colon(keyEnd);
      if (valueStart < 0) return -1;
      const valueEnd = this.value(valueStart);
      if (valueEnd < 0) return -1;
      this.#keep(keyStart, keyEnd, valueStart, valueEnd);
      at = this.blank(valueEnd);
      const next = this.#byte(at);
      if (next === CLOSE_OBJECT) return at + 1;
      if (next !== COMMA) return this.#fail(at, "expected a comma or the end of the object");
      at = this.blank(at + 1);
    }
  }

  #keep(keyStart: number, keyEnd: number, valueStart: number, valueEnd: number): void {
    const at = this.memberCount++ * 4;
    if (at === this.#spans.length) {
      const grown = new Int32Array(at * 2);
      grown.set(this.#spans);
      this.#spans = grown;
    }
    this.#spans[at] = keyStart;
    this.#spans[at + KEY_END] = keyEnd;
    this.#spans[at + VALUE_START] = valueStart;
    this.#spans[at + VALUE_END] = valueEnd;
  }

  /** A key and its colon; where the value begins, or -1. */
  #key(at: number): number {
    const end = this.#string(at, "a key");
    return end < 0 ? -1 : this.#colon(end);
  }

  #colon(at: number): number {
    const colon = this.blank(at);
    return this.#byte(colon) === COLON ? this.blank(colon + 1) : this.#fail(colon, "expected a colon");
  }

  #scalar(at: number, byte: number): number {
    if (byte === QUOTE) return this.#string(at, "a value");
    if (isNumeric(byte)) return this.#number(at);
    for (const literal of LITERALS) {
      if (byte !== literal.charCodeAt(0)) continue;
      for (let i = 1; i < literal.length; i++) {
        if (this.#byte(at + i) !== literal.charCodeAt(i)) return this.#fail(at + i, `expected ${literal}`);
      }
      return at + literal.length;
    }
    return this.#fail(at, "expected a value");
  }

  /** One past the closing quote of the string at `start`, or -1. */
  #string(start: number, what: string): number {
    if (this.#byte(start) !== QUOTE) return this.#fail(start, `expected ${what}`);
    const buffer = this.#buffer;
    const end = this.#end;
    let at = start + 1;
    let seen = 0;
    for (;;) {
      while (at < end && SIMPLE[buffer[at]!] === 1) seen |= buffer[at++]!;
      const byte = this.#byte(at);
      if (byte === QUOTE) break;
      if (byte !== BACKSLASH) {
        return this.#fail(at, byte < 0 ? "expected the end of a string" : "a raw control character in a string");
      }
      at = this.#escape(at + 1);
      if (at < 0) return -1;
    }
    if (seen > 127 && !isUtf8(buffer.subarray(start, at), at - start)) {
      return this.#fail(start, "a string that is not well-formed UTF-8");
    }
    return at + 1;
  }

  #escape(at: number): number {
    const byte = this.#byte(at);
    if (byte !== LETTER_U) return byte >= 0 && ESCAPED[byte] === 1 ? at + 1 : this.#fail(at, "an invalid escape");
    for (let i = 1; i <= 4; i++) {
      if (hexDigit(this.#byte(at + i)) < 0) return this.#fail(at + i, "expected a hexadecimal digit");
    }
    return at + 5;
  }

  /** RFC 8259 section 6. */
  #number(start: number): number {
    let at = this.#byte(start) === MINUS ? start + 1 : start;
    const first = at;
    at = this.#digits(at);
    if (at < 0) return -1;
    if (this.#byte(first) === ZERO && at > first + 1) return this.#fail(first + 1, "a number with a zero in front");
    if (this.#byte(at) === POINT) at = this.#digits(at + 1);
    if (at >= 0 && (this.#byte(at) === LETTER_E || this.#byte(at) === CAPITAL_E)) {
      const sign = this.#byte(at + 1);
      at = this.#digits(sign === PLUS || sign === MINUS ? at + 2 : at + 1);
    }
    return at;
  }

  #digits(start: number): number {
    let at = start;
    while (this.#byte(at) >= ZERO && this.#byte(at) <= NINE) at++;
    return at > start ? at : this.#fail(start, "expected a digit");
  }
}

/** Whether a value that begins with `byte` is a number. */
export function isNumeric(byte: number): boolean {
  return byte === MINUS || (byte >= ZERO && byte <= NINE);
}

/** Whether [start, end) holds just these bytes. */
export function isSame(body: Uint8Array, start: number, end: number, bytes: Uint8Array): boolean {
  if (end - start !== bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) if (body[start + i] !== bytes[i]) return false;
  return true;
}
