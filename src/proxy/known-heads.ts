/**
 * Heads that were parsed before: a client's requests on one connection have the same head as a rule, but for the digits
 * of their length. Such a head is compared in place of being parsed, which costs a tenth of it.
 *
 * A few heads are remembered for a whole worker; a connection remembers which of them was its last. What is remembered
 * is only ever used for the very same bytes (the digits of Content-Length aside, which are read anew), so that it means
 * what parsing them would have meant. A head that is replaced by another one while connections still point to it simply
 * does not fit them any more.
 *
 * Limits: 64 heads of 4,096 bytes; only heads at the beginning of what was read, in one piece.
 */
import { HEAD_LIMITS, METHOD, RequestHead } from "../wire/http1.ts";

const HEADS_MAX = 64;
const HEAD_BYTES_MAX = 4096;
const LINES_MAX = 64;

export class KnownHead {
  /** The parsed head, with offsets from the beginning of what was read; valid after `fits`. */
  readonly head = new RequestHead({ ...HEAD_LIMITS, headersMax: LINES_MAX });
  readonly #bytes = Buffer.allocUnsafeSlow(HEAD_BYTES_MAX);
  readonly #drop = new Uint8Array(LINES_MAX);
  #length = 0;
  /** Where the digits of its Content-Length are; equal where it has none. */
  #digitsStart = 0;
  #digitsEnd = 0;

  /** Whether bytes [0, end) of the buffer begin with this head. */
  fits(buffer: Buffer, end: number): boolean {
    const length = this.#length;
    if (length === 0 || end < length) return false;
    const bytes = this.#bytes;
    const from = this.#digitsStart;
    const to = this.#digitsEnd;
    if (buffer.compare(bytes, 0, from, 0, from) !== 0 || buffer.compare(bytes, to, length, to, length) !== 0)
      return false;
    if (from < to && !this.#readLength(buffer, from, to)) return false;
    // Whoever handled the last one may have marked lines as not to be forwarded.
    const { head } = this;
    for (let line = 0; line < head.lineCount; line++) head.drop[line] = this.#drop[line]!;
    return true;
  }

  #readLength(buffer: Buffer, from: number, to: number): boolean {
    let length = 0;
    for (let i = from; i < to; i++) {
      const digit = buffer[i]! - 48;
      if (digit < 0 || digit > 9) return false;
      length = length * 10 + digit;
    }
    if (length > Number.MAX_SAFE_INTEGER) return false;
    this.head.contentLength = length;
    return true;
  }

  /** Remembers a head that was parsed out of the beginning of the buffer. */
  learn(buffer: Buffer, head: RequestHead): void {
    this.head.copyFrom(head);
    this.#length = head.headEnd;
    buffer.copy(this.#bytes, 0, 0, head.headEnd);
    for (let line = 0; line < head.lineCount; line++) this.#drop[line] = head.drop[line]!;
    const line = head.contentLengthLine;
    this.#digitsStart = line < 0 ? head.headEnd : (head.valueStart[line] ?? 0);
    this.#digitsEnd = line < 0 ? head.headEnd : (head.valueEnd[line] ?? 0);
  }
}

export class KnownHeads {
  readonly #heads: KnownHead[] = [];
  #next = 0;

  /** The one that was learnt from the same bytes, or now; null for a head that is not worth it. Before its drops change. */
  of(buffer: Buffer, head: RequestHead): KnownHead | null {
    if (head.headEnd > HEAD_BYTES_MAX || head.lineCount > LINES_MAX || head.method === METHOD.OTHER) return null;
    for (const known of this.#heads) if (known.fits(buffer, head.headEnd)) return known;
    let known = this.#heads[this.#next];
    if (known === undefined) {
      known = new KnownHead();
      this.#heads.push(known);
    }
    this.#next = (this.#next + 1) % HEADS_MAX;
    known.learn(buffer, head);
    return known;
  }
}
