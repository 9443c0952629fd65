/**
 * The form of a JSON body by which a cache compares it: the same bytes without the blanks between tokens. Members keep
 * their order and numbers their spelling, so two bodies that only might mean the same stay different; a client that
 * repeats a request writes it the same way. With it comes what decides whether an answer may be kept at all.
 *
 * A body in which a deciding field stands twice decides nothing: which one the target takes, parsers disagree about.
 */
import { BLANK, isNumeric, JsonScanner } from "./json-scan.ts";
import { BACKSLASH, QUOTE } from "./octets.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);
const TEMPERATURE = encoder.encode('"temperature"');
const STREAM = encoder.encode('"stream"');
/** How `false` and `null` begin. */
const LETTER_F = 102;
const LETTER_N = 110;

export class CanonicalBody {
  /** The body without blanks, in a buffer of its own. */
  bytes: Uint8Array = NOTHING;
  /** The temperature is given, and zero. */
  isGreedy = false;
  /** A stream is asked for, or may be: only `false`, `null` and silence say that none is. */
  streams = false;
  readonly #scanner = new JsonScanner();

  /** Reads the body [start, end); false when it is no JSON object. */
  read(body: Uint8Array, start: number, end: number): boolean {
    const scanner = this.#scanner;
    this.isGreedy = false;
    this.streams = false;
    this.bytes = NOTHING;
    if (scanner.body(body, start, end) < 0) return false;
    let temperatures = 0;
    for (let index = 0; index < scanner.memberCount; index++) {
      const from = scanner.keyStart(index);
      const to = scanner.keyEnd(index);
      const first = body[scanner.valueStart(index)]!;
      if (isKey(body, from, to, TEMPERATURE)) {
        const text = decoder.decode(body.subarray(scanner.valueStart(index), scanner.valueEnd(index)));
        this.isGreedy = ++temperatures === 1 && isNumeric(first) && Number(text) === 0;
      } else if (isKey(body, from, to, STREAM) && first !== LETTER_F && first !== LETTER_N) {
        this.streams = true;
      }
    }
    this.bytes = compact(body, start, end);
    return true;
  }
}

/** Whether the key [start, end) is `key`; one with escapes in it is compared decoded. */
function isKey(body: Uint8Array, start: number, end: number, key: Uint8Array): boolean {
  let escaped = false;
  let same = end - start === key.length;
  for (let i = start; i < end; i++) {
    if (body[i] === BACKSLASH) escaped = true;
    if (same && body[i] !== key[i - start]) same = false;
  }
  if (!escaped) return same;
  const text = JSON.stringify(JSON.parse(decoder.decode(body.subarray(start, end))));
  return text === decoder.decode(key);
}

/** Without the blanks outside strings; the body is known to be well-formed. */
function compact(body: Uint8Array, start: number, end: number): Uint8Array {
  const out = new Uint8Array(end - start);
  let length = 0;
  let inString = false;
  for (let i = start; i < end; i++) {
    const byte = body[i]!;
    if (!inString && BLANK[byte] === 1) continue;
    out[length++] = byte;
    if (byte === QUOTE) inString = !inString;
    else if (byte === BACKSLASH) out[length++] = body[++i]!;
  }
  return out.slice(0, length);
}
