/**
 * Finds what routing needs in a JSON body (RFC 8259) without parsing it: the top-level "model" and "stream", and how
 * many bytes the prompt has. Pushed in any pieces; strings are skipped by native search, so that a body costs its
 * punctuation rather than its bytes.
 *
 * The body must be one object whose top level is exact (keys, colons, values, commas); what is nested needs only
 * balanced brackets and closed strings, since the target parses it anyway. Keys are compared decoded: "mod\u0065l" is
 * the model for the target's parser, so it is here. A second "model" is told (`duplicateModel`), never chosen from: most
 * parsers take the last, some the first. So is a "Model" beside it, which parsers in Go take for the same; one that stands
 * alone is told as well (`isUnclear`).
 *
 * Limits: 512 bytes of model, 512 levels. A bad body stays bad until `reset`.
 */
import { BodyReader, MODEL_BYTES_MAX } from "./body-reader.ts";
import type { BodyResult } from "./body-reader.ts";
import { PromptParts } from "./prompt-parts.ts";
import { ascii, BACKSLASH, COLON, hexDigit, QUOTE, spells } from "./octets.ts";

const DEPTH_MAX = 512;
/** How far a string's end is looked for byte by byte before the native search is called. */
const NEAR_BYTES = 16;

const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const OPEN_ARRAY = 91;
const CLOSE_ARRAY = 93;
const COMMA = 44;

// Where the scan stands. BLANK-separated places first, then the insides of tokens.
const BODY_START = 0;
const FIRST_KEY = 1;
const NEXT_KEY = 2;
const AFTER_KEY = 3;
const BEFORE_VALUE = 4;
const AFTER_VALUE = 5;
const BODY_END = 6;
const IN_KEY = 7;
const IN_STRING = 8;
const IN_LITERAL = 9;
const IN_NUMBER = 10;
const IN_NESTED = 11;
const IN_NESTED_STRING = 12;
const IN_MODEL = 13;
const BAD = 14;

// Which key the current value belongs to.
const KEY_OTHER = 0;
const KEY_MODEL = 1;
const KEY_STREAM = 2;
/** And above: a part of the prompt (prompt-parts.ts). */
const KEY_PART = 3;

const BLANK = new Uint8Array(256);
for (const byte of [9, 10, 13, 32]) BLANK[byte] = 1;

/** What a byte means inside nested structures, outside strings. */
const PLAIN = 0;
const NESTED_QUOTE = 1;
const NESTED_OPEN = 2;
const NESTED_CLOSE = 3;
const NESTED_BAD = 4;
const NESTED = new Uint8Array(256);
NESTED.fill(NESTED_BAD, 0, 32);
NESTED.fill(NESTED_BAD, 127);
for (const byte of [9, 10, 13]) NESTED[byte] = PLAIN;
NESTED[QUOTE] = NESTED_QUOTE;
NESTED[OPEN_OBJECT] = NESTED_OPEN;
NESTED[OPEN_ARRAY] = NESTED_OPEN;
NESTED[CLOSE_OBJECT] = NESTED_CLOSE;
NESTED[CLOSE_ARRAY] = NESTED_CLOSE;

/** Bytes of a string that stand for themselves: no quote, no backslash, no control byte. */
const SIMPLE = new Uint8Array(256).fill(1, 32);
SIMPLE[QUOTE] = 0;
SIMPLE[BACKSLASH] = 0;

/** Bytes of a string that is skipped: all but those two. */
const PASSIVE = new Uint8Array(256).fill(1);
PASSIVE[QUOTE] = 0;
PASSIVE[BACKSLASH] = 0;

/** A backslash and its letter, to the byte that they stand for; `u` is not among them. */
const ESCAPES = new Uint8Array(256);
for (const [letter, byte] of ['""', "\\\\", "//", "b\b", "f\f", "n\n", "r\r", "t\t"]) {
  ESCAPES[(letter ?? "").charCodeAt(0)] = (byte ?? "").charCodeAt(0);
}

const LITERALS = ["true", "false", "null"] as const;

// Where a number stands in its grammar; those that may end one are listed in numberMayEnd.
const N_MINUS = 1;
const N_ZERO = 2;
const N_INTEGER = 3;
const N_POINT = 4;
const N_FRACTION = 5;
const N_E = 6;
const N_E_SIGN = 7;
const N_EXPONENT = 8;

const KEY_BYTES_MAX = 16;
const MODEL_KEY = ascii("model");
const TOOL_KEYS = ["tools", "functions"];
const SYSTEM_KEYS = ["system", "instructions"];
const TEXT_KEYS = ["messages", "prompt", "input", "inputs", "contents", "input_ids", "prompt_token_ids"];
const PART_KEYS = [TOOL_KEYS, SYSTEM_KEYS, TEXT_KEYS];
const NAMED_KEYS: readonly (readonly [string, number])[] = [
  ["model", KEY_MODEL],
  ["stream", KEY_STREAM],
  ...PART_KEYS.flatMap((keys, part) => keys.map((key) => [key, KEY_PART + part] as const)),
];
/** By how many bytes they have: most keys of a body are compared with none or few. */
const KEYS = Array.from({ length: KEY_BYTES_MAX + 1 }, (_, length) =>
  NAMED_KEYS.filter(([name]) => name.length === length).map(([name, key]) => ({ name: ascii(name), key })),
);

/** `promptBytes` are those of the prompt's parts: tools, a system prompt, messages, prompt or input. */
export class BodyFields extends BodyReader {
  /** The body's first byte; -1 before it came. */
  first = -1;
  readonly parts = new PromptParts();
  #state = BODY_START;
  #key = KEY_OTHER;
  /** Bytes pushed before the current push, less its start: adds to a position to count from the body's begin. */
  #base = 0;
  #pushed = 0;
  #valueAt = 0;
  #depth = 0;
  readonly #stack = new Uint8Array(DEPTH_MAX);
  /** A skipped string stopped behind an odd number of backslashes. */
  #escaped = false;
  #literal: string = LITERALS[0];
  /** How much of a literal has been seen, or a place in a number. */
  #place = 0;

  // A string that is being decoded: a key or the model.
  readonly #keyBytes = new Uint8Array(KEY_BYTES_MAX);
  #length = 0;
  /** 0: not in an escape; 1: behind its backslash; 5..2: as many hexadecimal digits, plus one, are to come. */
  #escape = 0;
  #unit = 0;
  #high = 0;
  #unpaired = false;
  /** There was a key that differs from "model" in nothing but letter case. */
  #hasLikeness = false;

  override reset(): void {
    super.reset();
    this.first = -1;
    this.parts.reset();
    this.#state = BODY_START;
    this.#key = KEY_OTHER;
    this.#pushed = 0;
    this.#depth = 0;
    this.#escaped = false;
    this.#escape = 0;
    this.#high = 0;
    this.#hasLikeness = false;
  }

  override finish(): BodyResult {
    if (this.#state === BODY_END) return "done";
    if (this.#state === BAD) return "bad";
    return this.#bad(this.#state === BODY_START ? "the body is empty" : "the body ends in the middle of its JSON");
  }

  override push(buffer: Uint8Array, start: number, end: number): BodyResult {
    if (this.#pushed === 0 && start < end) this.first = buffer[start]!;
    this.#base = this.#pushed - start;
    this.#pushed += end - start;
    let i = start;
    while (i < end) {
      if (this.#state <= BODY_END) {
        const byte = buffer[i]!;
        i++;
        if (BLANK[byte] === 0 && !this.#punctuation(byte, i - 1)) return "bad";
        // Most keys and models come whole and without escapes.
        if (this.#state === IN_KEY) i = this.#wholeKey(buffer, i, end);
        else if (this.#state === IN_MODEL) i = this.#wholeModel(buffer, i, end);
        if (i < 0) return "bad";
        continue;
      }
      const state = this.#state;
      switch (state) {
        case IN_STRING:
          i = this.#skipString(buffer, i, end);
          if (i < 0) return "more";
          this.#endValue(i);
          break;
        case IN_NESTED:
          i = this.#nested(buffer, i, end);
          break;
        case IN_NESTED_STRING:
          i = this.#skipString(buffer, i, end);
          if (i < 0) return "more";
          this.#state = IN_NESTED;
          break;
        case IN_MODEL:
          i = this.#decode(buffer, i, end, this.modelBytes);
          if (i >= 0 && this.#state === AFTER_KEY && !this.#endModel()) i = -1;
          break;
        case IN_KEY:
          i = this.#decode(buffer, i, end, this.#keyBytes);
          if (i >= 0 && this.#state === AFTER_KEY) this.#beginKeyed(this.#keyBytes, 0, this.#length);
          break;
        case IN_LITERAL:
          i = this.#scalar(buffer, i, end);
          break;
        case IN_NUMBER:
          i = this.#number(buffer, i, end);
          break;
        default:
          return "bad";
      }
      if (i < 0) return "bad";
    }
    return this.#state === BODY_END ? "done" : "more";
  }

  #bad(reason: string): "bad" {
    this.#state = BAD;
    this.reason = reason;
    return "bad";
  }

  /** A byte between tokens of the top level. */
  #punctuation(byte: number, at: number): boolean {
    switch (this.#state) {
      case BODY_START:
        if (byte !== OPEN_OBJECT) {
          this.#bad(byte === 0xef ? "the body begins with a byte order mark" : "the body is no JSON object");
          return false;
        }
        this.#state = FIRST_KEY;
        return true;
      case FIRST_KEY:
      case NEXT_KEY:
        if (byte === QUOTE) {
          this.#state = IN_KEY;
          this.#length = 0;
          return true;
        }
        if (byte !== CLOSE_OBJECT || this.#state === NEXT_KEY) return this.#unexpected(at, "a key");
        this.#state = BODY_END;
        return true;
      case AFTER_KEY:
        if (byte !== COLON) return this.#unexpected(at, "a colon");
        this.#state = BEFORE_VALUE;
        return true;
      case BEFORE_VALUE:
        return this.#beginValue(byte, at);
      case AFTER_VALUE:
        if (byte === COMMA) this.#state = NEXT_KEY;
        else if (byte === CLOSE_OBJECT) this.#state = BODY_END;
        else return this.#unexpected(at, "a comma or the end of the object");
        return true;
      default:
        return this.#unexpected(at, "nothing after the object");
    }
  }

  #unexpected(at: number, expected: string): false {
    this.#bad(`invalid JSON at byte ${this.#base + at}: expected ${expected}`);
    return false;
  }

  #beginValue(byte: number, at: number): boolean {
    this.#valueAt = this.#base + at;
    if (this.#key >= KEY_PART) this.parts.begin(this.#key - KEY_PART, this.#valueAt);
    if (this.#key === KEY_MODEL) {
      if (byte !== QUOTE) {
        this.#bad("model must be a string");
        return false;
      }
      this.#state = IN_MODEL;
      this.#length = 0;
      this.#unpaired = false;
      return true;
    }
    // Of several the last one counts, as in JSON.parse.
    if (this.#key === KEY_STREAM) this.stream = false;
    if (byte === QUOTE) {
      this.#state = IN_STRING;
      return true;
    }
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      this.#state = IN_NESTED;
      this.#stack[0] = byte + 2;
      this.#depth = 1;
      return true;
    }
    if (byte === 116 || byte === 102 || byte === 110) {
      this.#literal = byte === 116 ? "true" : byte === 102 ? "false" : "null";
      this.#place = 1;
      this.#state = IN_LITERAL;
      return true;
    }
    this.#place = nextInNumber(0, byte);
    if (this.#place < 0) return this.#unexpected(at, "a value");
    this.#state = IN_NUMBER;
    return true;
  }

  /** A value ends before `at`. */
  #endValue(at: number): void {
    if (this.#key >= KEY_PART) {
      this.promptBytes += this.#base + at - this.#valueAt;
      this.parts.end(this.#key - KEY_PART, this.#base + at);
    }
    this.#state = AFTER_VALUE;
  }

  /**
   * One past the string's closing quote, or -1 when it does not end here. Keys, roles and text full of escapes are
   * read byte by byte, which costs less than a native search; the search leaps over what is longer.
   */
  #skipString(buffer: Uint8Array, start: number, end: number): number {
    let from = start;
    if (this.#escaped) {
      this.#escaped = false;
      from++;
    }
    for (;;) {
      const near = from + NEAR_BYTES < end ? from + NEAR_BYTES : end;
      while (from < near) {
        const byte = buffer[from++]!;
        if (PASSIVE[byte] === 1) continue;
        if (byte === QUOTE) return from;
        // A backslash and what it escapes.
        from++;
      }
      if (from >= end) {
        this.#escaped = from > end;
        return -1;
      }
      const quote = buffer.indexOf(QUOTE, from);
      const stop = quote < 0 || quote >= end ? end : quote;
      let slash = stop;
      while (slash > from && buffer[slash - 1] === BACKSLASH) slash--;
      const odd = ((stop - slash) & 1) === 1;
      if (stop === end) {
        this.#escaped = odd;
        return -1;
      }
      if (!odd) return quote + 1;
      from = quote + 1;
    }
  }

  #nested(buffer: Uint8Array, start: number, end: number): number {
    let i = start;
    for (;;) {
      while (i < end && NESTED[buffer[i]!] === PLAIN) i++;
      if (i >= end) return i;
      const byte = buffer[i++]!;
      switch (NESTED[byte]) {
        case NESTED_QUOTE:
          i = this.#skipString(buffer, i, end);
          if (i < 0) {
            this.#state = IN_NESTED_STRING;
            return end;
          }
          break;
        case NESTED_OPEN:
          if (this.#depth === DEPTH_MAX) return this.#badAt(`the JSON is nested deeper than ${DEPTH_MAX} levels`);
          this.#stack[this.#depth++] = byte + 2;
          break;
        case NESTED_CLOSE:
          // The closing bracket's code is its opening one's plus 2, for both kinds.
          if (this.#stack[--this.#depth] !== byte) return this.#badAt("the JSON has brackets that don't match");
          if (this.#depth === 0) {
            this.#endValue(i);
            return i;
          }
          break;
        default:
          this.#unexpected(i - 1, "a value");
          return -1;
      }
    }
  }

  #badAt(reason: string): number {
    this.#bad(reason);
    return -1;
  }

  #scalar(buffer: Uint8Array, start: number, end: number): number {
    let i = start;
    while (i < end && this.#place < this.#literal.length) {
      if (buffer[i] !== this.#literal.charCodeAt(this.#place++)) {
        this.#unexpected(i, "true, false or null");
        return -1;
      }
      i++;
    }
    if (this.#place === this.#literal.length) {
      if (this.#key === KEY_STREAM) this.stream = this.#literal === "true";
      this.#endValue(i);
    }
    return i;
  }

  #number(buffer: Uint8Array, start: number, end: number): number {
    let i = start;
    while (i < end) {
      const byte = buffer[i]!;
      if (BLANK[byte] === 1 || byte === COMMA || byte === CLOSE_OBJECT) {
        if (!numberMayEnd(this.#place)) break;
        this.#endValue(i);
        return i;
      }
      const next = nextInNumber(this.#place, byte);
      if (next < 0) break;
      this.#place = next;
      i++;
    }
    if (i === end) return i;
    this.#unexpected(i, "a number");
    return -1;
  }

  // ---- keys and the model

  #wholeKey(buffer: Uint8Array, start: number, end: number): number {
    let i = start;
    while (i < end && SIMPLE[buffer[i]!] === 1) i++;
    if (i < end && buffer[i] === QUOTE) {
      this.#beginKeyed(buffer, start, i - start);
      return i + 1;
    }
    return start;
  }

  #beginKeyed(buffer: Uint8Array, start: number, length: number): void {
    this.#state = AFTER_KEY;
    this.#key = KEY_OTHER;
    if (length > KEY_BYTES_MAX) return;
    const keys = KEYS[length]!;
    for (let k = 0; k < keys.length; k++) {
      const { name, key } = keys[k]!;
      let same = 0;
      while (same < length && buffer[start + same] === name[same]) same++;
      if (same === length) this.#key = key;
    }
    if (length === MODEL_KEY.length && (this.#key === KEY_MODEL || spells(buffer, start, MODEL_KEY))) {
      this.#modelKey(this.#key === KEY_MODEL);
    }
  }

  /** A key is called "model", letter case aside or not. */
  #modelKey(isExact: boolean): void {
    if (this.hasModel || (isExact && this.#hasLikeness)) this.duplicateModel = true;
    if (this.hasModel) this.#key = KEY_OTHER;
    if (!isExact) this.#hasLikeness = true;
    this.isUnclear = this.#hasLikeness;
  }

  #wholeModel(buffer: Uint8Array, start: number, end: number): number {
    let i = start;
    const bytes = this.modelBytes;
    const cap = Math.min(end, start + MODEL_BYTES_MAX);
    while (i < cap && SIMPLE[buffer[i]!] === 1) {
      bytes[i - start] = buffer[i]!;
      i++;
    }
    if (i === end || buffer[i] !== QUOTE) return start;
    this.modelStart = start;
    this.modelEnd = i;
    this.#length = i - start;
    return this.#endModel() ? i + 1 : -1;
  }

  #endModel(): boolean {
    const reason = this.#unpaired ? "model is not well-formed Unicode" : this.takeModel(this.#length);
    if (reason !== "") this.#bad(reason);
    else this.#state = AFTER_VALUE;
    return reason === "";
  }

  /**
   * Decodes a string into `out`, as far as it fits, and counts its bytes; at its closing quote the state becomes
   * AFTER_KEY. Answers where it stopped, or -1 after `bad`.
   */
  #decode(buffer: Uint8Array, start: number, end: number, out: Uint8Array): number {
    let i = start;
    while (i < end) {
      const byte = buffer[i++]!;
      if (this.#escape > 0) {
        if (!this.#unescape(byte, out)) return this.#badAt("a string with an invalid escape");
      } else if (byte === BACKSLASH) {
        this.#escape = 1;
      } else {
        if (this.#high !== 0) this.#lone(out);
        if (byte === QUOTE) {
          this.#state = AFTER_KEY;
          return i;
        }
        if (byte < 32) return this.#badAt("a string with a raw control character");
        this.#emit(byte, out);
      }
      if (this.#length > MODEL_BYTES_MAX && this.#state === IN_MODEL) {
        return this.#badAt(`model is longer than ${MODEL_BYTES_MAX} bytes`);
      }
    }
    return i;
  }

  #emit(byte: number, out: Uint8Array): void {
    if (this.#length < out.length) out[this.#length] = byte;
    this.#length++;
  }

  /** A surrogate without its other half: what no UTF-8 has stands for it, so that it equals nothing. */
  #lone(out: Uint8Array): void {
    this.#high = 0;
    this.#unpaired = true;
    this.#emit(0xff, out);
  }

  #unescape(byte: number, out: Uint8Array): boolean {
    if (this.#escape === 1) {
      if (byte === 117) {
        this.#escape = 5;
        this.#unit = 0;
        return true;
      }
      this.#escape = 0;
      if (this.#high !== 0) this.#lone(out);
      const plain = ESCAPES[byte]!;
      this.#emit(plain, out);
      return plain !== 0;
    }
    const digit = hexDigit(byte);
    if (digit < 0) return false;
    this.#unit = this.#unit * 16 + digit;
    if (--this.#escape > 1) return true;
    this.#escape = 0;
    this.#emitUnit(this.#unit, out);
    return true;
  }

  /** A UTF-16 unit from \uXXXX, as UTF-8. */
  #emitUnit(unit: number, out: Uint8Array): void {
    if (unit >= 0xdc00 && unit <= 0xdfff) {
      if (this.#high === 0) {
        this.#lone(out);
        return;
      }
      const point = 0x10000 + ((this.#high - 0xd800) << 10) + (unit - 0xdc00);
      this.#high = 0;
      this.#emit(0xf0 | (point >> 18), out);
      this.#emit(0x80 | ((point >> 12) & 63), out);
      this.#emit(0x80 | ((point >> 6) & 63), out);
      this.#emit(0x80 | (point & 63), out);
      return;
    }
    if (this.#high !== 0) this.#lone(out);
    if (unit >= 0xd800 && unit <= 0xdbff) {
      this.#high = unit;
    } else if (unit < 0x80) {
      this.#emit(unit, out);
    } else {
      if (unit < 0x800) {
        this.#emit(0xc0 | (unit >> 6), out);
      } else {
        this.#emit(0xe0 | (unit >> 12), out);
        this.#emit(0x80 | ((unit >> 6) & 63), out);
      }
      this.#emit(0x80 | (unit & 63), out);
    }
  }
}

function numberMayEnd(place: number): boolean {
  return place === N_ZERO || place === N_INTEGER || place === N_FRACTION || place === N_EXPONENT;
}

/** The grammar of RFC 8259 section 6: the place after `byte`, or -1. */
function nextInNumber(place: number, byte: number): number {
  const digit = byte >= 48 && byte <= 57;
  switch (place) {
    case 0:
      if (byte === 45) return N_MINUS;
      return digit ? (byte === 48 ? N_ZERO : N_INTEGER) : -1;
    case N_MINUS:
      return digit ? (byte === 48 ? N_ZERO : N_INTEGER) : -1;
    case N_INTEGER:
    case N_ZERO:
      if (digit) return place === N_INTEGER ? N_INTEGER : -1;
      if (byte === 46) return N_POINT;
      return (byte | 32) === 101 ? N_E : -1;
    case N_POINT:
      return digit ? N_FRACTION : -1;
    case N_FRACTION:
      if (digit) return N_FRACTION;
      return (byte | 32) === 101 ? N_E : -1;
    case N_E:
      if (byte === 43 || byte === 45) return N_E_SIGN;
      return digit ? N_EXPONENT : -1;
    default:
      return digit ? N_EXPONENT : -1;
  }
}
