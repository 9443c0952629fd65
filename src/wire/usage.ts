/**
 * The token counts that an answer ends with, found from its end without parsing it: `"usage":{...}` of OpenAI's APIs
 * (prompt_tokens, completion_tokens, of the former cached_tokens) and Anthropic's (input_tokens, output_tokens,
 * cache_read_input_tokens), and `eval_count` of Ollama's.
 *
 * Only the last REACH bytes are looked at, backwards in steps as long as the word, so that a request pays a tenth of a
 * microsecond. What looks like a count inside a text would have to stand behind the real one to be taken for it, where
 * no API puts text. Nothing can be bad: what is not found is not told.
 */
import { ascii, COLON, QUOTE, SP } from "./octets.ts";

/** Usage stands last, or before a few flags; details of it may take some hundred bytes. */
const REACH = 768;
const DIGITS_MAX = 9;
const USAGE = ascii('usage"');
const EVAL = ascii('eval_count"');
/** Whether a byte is one of `usage"` or `eval_count"`: a step may go over what is not. */
const IN_WORDS = new Uint8Array(256);
for (const byte of [...USAGE, ...EVAL]) IN_WORDS[byte] = 1;
const STEP = USAGE.length;
const OPEN = 123;

const PROMPT = 1;
const COMPLETION = 2;
const CACHED = 4;
const ALL = PROMPT | COMPLETION | CACHED;
const NAMES: readonly (readonly [name: string, what: number])[] = [
  ["prompt_tokens", PROMPT],
  ["completion_tokens", COMPLETION],
  ["cached_tokens", CACHED],
  ["input_tokens", PROMPT],
  ["output_tokens", COMPLETION],
  ["cache_read_input_tokens", CACHED],
  ["prompt_eval_count", PROMPT],
  ["eval_count", COMPLETION],
];
const NAME_BYTES_MAX = Math.max(...NAMES.map(([name]) => name.length));
/** By how many bytes they have: most of what stands between two quotes is compared with none or few. */
const BY_LENGTH = Array.from({ length: NAME_BYTES_MAX + 1 }, (_, length) =>
  NAMES.filter(([name]) => name.length === length).map(([name, what]) => ({ name: ascii(name), what })),
);

export class Usage {
  promptTokens = 0;
  completionTokens = 0;
  /** Of the prompt, as were in a cache; -1: not told. */
  cachedTokens = -1;

  reset(): void {
    this.cachedTokens = -1;
    this.promptTokens = 0;
    this.completionTokens = 0;
  }

  /** Reads the counts at the end of [start, end); false when there are none. */
  read(buffer: Uint8Array, start: number, end: number): boolean {
    const from = wordBefore(buffer, Math.max(start, end - REACH), end);
    if (from < 0) return false;
    let found = 0;
    // Each quote may end a name that began behind the one before it.
    let begin = end;
    for (let at = quoteIn(buffer, from, end); at < end && found < ALL; at = quoteIn(buffer, begin, end)) {
      const what = nameIn(buffer, begin, at);
      begin = at + 1;
      const count = what === 0 ? -1 : countAt(buffer, begin, end);
      if (count < 0) continue;
      if (what === PROMPT) this.promptTokens = count;
      else if (what === COMPLETION) this.completionTokens = count;
      else this.cachedTokens = count;
      found |= what;
    }
    return found > 0;
  }
}

/** Where the counts begin: at `"usage":{`, or at the first of Ollama's; -1 where they don't. */
function wordBefore(buffer: Uint8Array, start: number, end: number): number {
  for (let i = end - STEP; i > start;) {
    if (IN_WORDS[buffer[i]!] === 0) {
      i -= STEP;
      continue;
    }
    if (buffer[i - 1] === QUOTE) {
      if (stands(buffer, i, USAGE) && isObject(buffer, i + USAGE.length, end)) return i - 1;
      // The one of the prompt stands before it.
      if (stands(buffer, i, EVAL)) return Math.max(start, i - 128);
    }
    i--;
  }
  return -1;
}

/** Where the next quote is, or `end`. A loop that changes nothing runs twice as fast. */
function quoteIn(buffer: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && buffer[at] !== QUOTE) at++;
  return at;
}

/** Which count is called what bytes [start, end) are; 0: none. */
function nameIn(buffer: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length < 0 || length > NAME_BYTES_MAX) return 0;
  const names = BY_LENGTH[length]!;
  for (let i = 0; i < names.length; i++) if (stands(buffer, start, names[i]!.name)) return names[i]!.what;
  return 0;
}

/** Names in JSON have their case. */
function stands(buffer: Uint8Array, at: number, bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (buffer[at + i] !== bytes[i]!) return false;
  return true;
}

function isObject(buffer: Uint8Array, start: number, end: number): boolean {
  let i = start;
  while (i < end && (buffer[i] === COLON || buffer[i] === SP)) i++;
  return buffer[i] === OPEN;
}

/** The number behind a name and its colon, or -1. */
function countAt(buffer: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && (buffer[i] === COLON || buffer[i] === SP)) i++;
  let count = 0;
  const first = i;
  for (; i < end && i - first < DIGITS_MAX; i++) {
    const digit = buffer[i]! - 48;
    if (digit < 0 || digit > 9) break;
    count = count * 10 + digit;
  }
  return i > first ? count : -1;
}
