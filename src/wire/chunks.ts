/**
 * The chunked transfer coding (RFC 9112 section 7.1), scanned but not copied: where the data lies in each push, where
 * the last whole chunk ends, and where the message ends. Split anywhere; a push allocates nothing unless it holds more
 * chunks than any before it.
 *
 * Strict where parsers have disagreed: CRLF only, no blanks around a size, no control bytes in extensions or trailers.
 * A trailer may not hold fields of framing, routing or authentication (trailer-names.ts).
 *
 * Limits: 16 digits and 2^53 - 1 for a size, 256 bytes of extension a chunk, 8192 bytes of trailer section. A bad byte
 * ends the stream for good: the framing after it is unknown.
 */
import { COLON, CR, FIELD, FNV_BASIS, hexDigit, LF, SEMICOLON, TOKEN } from "./octets.ts";
import { isForbiddenHash, trailerHash } from "./trailer-names.ts";

const SIZE_DIGITS_MAX = 16;
const EXTENSION_BYTES_MAX = 256;
const TRAILER_BYTES_MAX = 8192;

/** What `push` answers when it does not answer a position. */
export const CHUNKS_MORE = -1;
export const CHUNKS_BAD = -2;

const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER = 6;
const TRAILER_NAME = 7;
const TRAILER_VALUE = 8;
const TRAILER_LF = 9;
const LAST_LF = 10;
const ENDED = 11;
const BAD = 12;

export class ChunkScanner {
  /** Data of the last push: pairs [start, end) in its buffer. */
  spans: Int32Array = new Int32Array(32);
  spanCount = 0;
  /** Whether the last push ended between two chunks, or at the message's end. */
  atBoundary = true;
  /** One past the last chunk that the last push completed, or its start. */
  boundary = 0;
  /** Data bytes since the reset. */
  bodyBytes = 0;
  #state = SIZE;
  #size = 0;
  /** Digits of the size, then bytes of the extension; bytes of the trailer section. */
  #count = 0;
  /** The hash of the trailer's name so far. */
  #name = FNV_BASIS;

  reset(): void {
    this.spanCount = 0;
    this.atBoundary = true;
    this.boundary = 0;
    this.bodyBytes = 0;
    this.#state = SIZE;
    this.#size = 0;
    this.#count = 0;
    this.#name = FNV_BASIS;
  }

  /** Takes [start, end): one past the end of the message, or CHUNKS_MORE (-1), or CHUNKS_BAD (-2). */
  push(buffer: Uint8Array, start: number, end: number): number {
    this.spanCount = 0;
    this.boundary = start;
    let state = this.#state;
    let size = this.#size;
    let count = this.#count;
    let i = start;
    while (i < end && state < ENDED) {
      if (state === DATA) {
        const take = Math.min(size, end - i);
        this.#span(i, i + take);
        i += take;
        size -= take;
        if (size > 0) break;
        state = DATA_CR;
        continue;
      }
      const byte = buffer[i++]!;
      switch (state) {
        case SIZE: {
          const digit = hexDigit(byte);
          if (digit >= 0) {
            size = size * 16 + digit;
            state = ++count > SIZE_DIGITS_MAX || size > Number.MAX_SAFE_INTEGER ? BAD : SIZE;
          } else if (count > 0 && byte === CR) {
            state = SIZE_LF;
          } else {
            state = count > 0 && byte === SEMICOLON ? EXTENSION : BAD;
            count = 0;
          }
          break;
        }
        case EXTENSION:
          if (byte === CR) state = SIZE_LF;
          else if (FIELD[byte] === 0 || ++count > EXTENSION_BYTES_MAX) state = BAD;
          break;
        case SIZE_LF:
          count = 0;
          state = byte !== LF ? BAD : size === 0 ? TRAILER : DATA;
          break;
        case DATA_CR:
          state = byte === CR ? DATA_LF : BAD;
          break;
        case DATA_LF:
          state = byte === LF ? SIZE : BAD;
          this.boundary = i;
          break;
        case LAST_LF:
          state = byte === LF ? ENDED : BAD;
          break;
        default:
          if (++count > TRAILER_BYTES_MAX) state = BAD;
          else if (state === TRAILER_NAME && byte === COLON && isForbiddenHash(this.#name)) state = BAD;
          else state = nextInTrailer(state, byte);
          if (state === TRAILER) this.#name = FNV_BASIS;
          else if (state === TRAILER_NAME) this.#name = trailerHash(this.#name, byte);
          break;
      }
    }
    if (state === ENDED && this.#state !== ENDED) this.boundary = i;
    this.#state = state;
    this.#size = size;
    this.#count = count;
    this.atBoundary = state === ENDED || (state === SIZE && count === 0);
    if (state === BAD) return CHUNKS_BAD;
    return state === ENDED ? i : CHUNKS_MORE;
  }

  #span(start: number, end: number): void {
    const at = this.spanCount * 2;
    if (at === this.spans.length) {
      const grown = new Int32Array(at * 2);
      grown.set(this.spans);
      this.spans = grown;
    }
    this.spans[at] = start;
    this.spans[at + 1] = end;
    this.spanCount++;
    this.bodyBytes += end - start;
  }
}

/** The trailer section: field lines up to an empty one. */
function nextInTrailer(state: number, byte: number): number {
  switch (state) {
    case TRAILER:
      if (byte === CR) return LAST_LF;
      return TOKEN[byte] === 1 ? TRAILER_NAME : BAD;
    case TRAILER_NAME:
      if (byte === COLON) return TRAILER_VALUE;
      return TOKEN[byte] === 1 ? TRAILER_NAME : BAD;
    case TRAILER_VALUE:
      if (byte === CR) return TRAILER_LF;
      return FIELD[byte] === 1 ? TRAILER_VALUE : BAD;
    default:
      return byte === LF ? TRAILER : BAD;
  }
}
