/**
 * The field section of an HTTP/1.1 head (RFC 9112 section 5), shared by requests and responses: where each line,
 * name and value lies, what the framing fields say, and which lines belong to this hop only (RFC 9110 section 7.6.1).
 *
 * One pass over the bytes, no allocation, resumable at any byte. It is stricter than the RFC wherever two parsers in
 * a row have been known to disagree (request smuggling): CRLF only, no folding, no space before the colon, no control
 * bytes, one Content-Length or one `Transfer-Encoding: chunked` and never both, framing fields not nominated by
 * Connection. There is no recovery: a bad head ends its connection, since where the next message begins is in doubt.
 *
 * Limits: bytes and lines of a head by HeadLimits, 32 options of Connection beyond the usual ones.
 */
import type { ErrorCode } from "../base/errors.ts";
import { LOAD_FIELD, LOAD_FIELD_BINARY } from "./load-fields.ts";
import { ascii, COLON, CR, FIELD, HT, LF, SP, spells, TOKEN } from "./octets.ts";

export interface HeadLimits {
  /** Bytes of a whole head, the blank line included. */
  readonly headBytesMax: number;
  readonly headersMax: number;
  /** Bytes of a request target. */
  readonly targetBytesMax: number;
}

export const HEAD_LIMITS: HeadLimits = { headBytesMax: 32_768, headersMax: 128, targetBytesMax: 8192 };

export const PARSE_MORE = 0;
export const PARSE_DONE = 1;
export const PARSE_BAD = -1;

/** The fields that mean something to a relay. */
export const KIND = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  keepAlive: 5,
  expect: 6,
  upgrade: 7,
  hop: 8,
  contentType: 9,
  requestId: 10,
  authorization: 11,
  model: 12,
  accept: 13,
  node: 14,
  traceparent: 15,
  tracestate: 16,
  /** What a server says of its load (orca.ts). */
  load: 17,
  loadBinary: 18,
} as const;

const KNOWN_NAMES: readonly (readonly [string, number])[] = [
  ["te", KIND.hop],
  ["host", KIND.host],
  ["accept", KIND.accept],
  ["expect", KIND.expect],
  ["upgrade", KIND.upgrade],
  ["trailer", KIND.hop],
  ["connection", KIND.connection],
  ["keep-alive", KIND.keepAlive],
  ["tracestate", KIND.tracestate],
  ["traceparent", KIND.traceparent],
  ["content-type", KIND.contentType],
  ["x-request-id", KIND.requestId],
  ["authorization", KIND.authorization],
  ["content-length", KIND.contentLength],
  ["x-infermesh-node", KIND.node],
  ["proxy-connection", KIND.hop],
  ["transfer-encoding", KIND.transferEncoding],
  ["x-infermesh-model", KIND.model],
  ["proxy-authenticate", KIND.hop],
  ["proxy-authorization", KIND.hop],
  [LOAD_FIELD, KIND.load],
  [LOAD_FIELD_BINARY, KIND.loadBinary],
];

const NAME_LENGTH_MAX = 25;

/** Known names by length times 32 plus the low bits of the first letter: a slot holds one name at most. */
const NAMES: (Uint8Array | undefined)[] = Array.from({ length: (NAME_LENGTH_MAX + 1) * 32 }, () => undefined);
const KINDS = new Uint8Array(NAMES.length);
for (const [name, kind] of KNOWN_NAMES) {
  const slot = name.length * 32 + (name.charCodeAt(0) & 31);
  NAMES[slot] = ascii(name);
  KINDS[slot] = kind;
}

const CLOSE = ascii("close");
const KEEP_ALIVE = ascii("keep-alive");
const UPGRADE = ascii("upgrade");
const TE = ascii("te");
const CHUNKED = ascii("chunked");
const CONTINUE = ascii("100-continue");

const WISH = ascii("x-infermesh-");
/** Framing fields with an underscore, which `spells` sees as DEL: servers that turn names into variables (CGI, WSGI)
 * can't tell them from the real ones. */
const MIMICS = [ascii("content\x7flength"), ascii("transfer\x7fencoding")];

const COMMA = 44;
const X = 120;
const I = 105;
const NOMINATED_MAX = 32;
const LENGTH_DIGITS_MAX = 16;

// Phases of the machine. Those below NAME belong to the start line, which the subclasses read.
export const START = 0;
const NAME = 16;
const SPACE = 17;
const VALUE = 18;
const LINE_END = 19;
const HEAD_END = 20;
const DONE = 21;
const BAD = 22;

/** Which known field is called so, or KIND.other; the name has passed TOKEN. */
function kindOf(buffer: Uint8Array, start: number, length: number): number {
  if (length > NAME_LENGTH_MAX) return KIND.other;
  const slot = length * 32 + (buffer[start]! & 31);
  const name = NAMES[slot];
  return name !== undefined && spells(buffer, start, name) ? KINDS[slot]! : KIND.other;
}

export abstract class FieldSection {
  /** After PARSE_BAD: what to answer with, and why in words. */
  bad: ErrorCode | "" = "";
  badReason = "";
  /** Where the start line begins. */
  start = 0;
  /** One past the blank line. */
  headEnd = 0;
  minorVersion: 0 | 1 = 1;
  /** -1: absent. */
  contentLength = -1;
  chunked = false;
  /** What the message says of its connection; HTTP/1.0 says no unless it asks for it. */
  keepAlive = true;
  expectContinue = false;
  /** An Upgrade field that Connection nominates, as it must be. */
  upgrade = false;
  /** There is a field of this router's own (`x-infermesh-...`) besides the known ones. */
  hasWishes = false;

  lineCount = 0;
  /** Line i is [lineStart, lineEnd) with its CRLF; its name [lineStart, nameEnd); its value [valueStart, valueEnd). */
  readonly lineStart: Int32Array;
  readonly nameEnd: Int32Array;
  readonly valueStart: Int32Array;
  readonly valueEnd: Int32Array;
  readonly lineEnd: Int32Array;
  /** 1: the line is not forwarded. */
  readonly drop: Uint8Array;
  /** A KIND for each line. */
  readonly kind: Uint8Array;
  /** Index of a line, or -1. */
  contentTypeLine = -1;
  contentLengthLine = -1;
  requestIdLine = -1;

  protected readonly limits: HeadLimits;
  protected at = 0;
  protected phase: number = START;
  #begin = -1;
  #connections = 0;
  #upgradeSeen = false;
  #closeSeen = false;
  #keepAliveSeen = false;

  constructor(limits: HeadLimits) {
    this.limits = limits;
    // One more than the limit: the line that breaks it has begun before it is counted.
    const lines = limits.headersMax + 1;
    this.lineStart = new Int32Array(lines);
    this.nameEnd = new Int32Array(lines);
    this.valueStart = new Int32Array(lines);
    this.valueEnd = new Int32Array(lines);
    this.lineEnd = new Int32Array(lines);
    this.drop = new Uint8Array(lines);
    this.kind = new Uint8Array(lines);
  }

  /** Becomes what another one parsed, which has no more lines than this one can hold. */
  protected copyFields(other: FieldSection): void {
    this.start = other.start;
    this.headEnd = other.headEnd;
    this.minorVersion = other.minorVersion;
    this.contentLength = other.contentLength;
    this.chunked = other.chunked;
    this.keepAlive = other.keepAlive;
    this.expectContinue = other.expectContinue;
    this.upgrade = other.upgrade;
    this.hasWishes = other.hasWishes;
    this.lineCount = other.lineCount;
    this.contentTypeLine = other.contentTypeLine;
    this.contentLengthLine = other.contentLengthLine;
    this.requestIdLine = other.requestIdLine;
    for (let line = 0; line < other.lineCount; line++) {
      this.lineStart[line] = other.lineStart[line]!;
      this.nameEnd[line] = other.nameEnd[line]!;
      this.valueStart[line] = other.valueStart[line]!;
      this.valueEnd[line] = other.valueEnd[line]!;
      this.lineEnd[line] = other.lineEnd[line]!;
      this.drop[line] = other.drop[line]!;
      this.kind[line] = other.kind[line]!;
    }
    this.phase = DONE;
  }

  /** Forgets the message: call it before the next one. */
  reset(): void {
    this.bad = "";
    this.badReason = "";
    this.headEnd = 0;
    this.minorVersion = 1;
    this.contentLength = -1;
    this.chunked = false;
    this.keepAlive = true;
    this.expectContinue = false;
    this.upgrade = false;
    this.hasWishes = false;
    this.lineCount = 0;
    this.contentTypeLine = -1;
    this.contentLengthLine = -1;
    this.requestIdLine = -1;
    this.at = 0;
    this.phase = START;
    this.#begin = -1;
    this.#connections = 0;
    this.#upgradeSeen = false;
    this.#closeSeen = false;
    this.#keepAliveSeen = false;
  }

  /**
   * Parses one head in buffer[start, end). After PARSE_MORE call it again with the same start and a larger end; the
   * buffer may be another one that holds the same bytes at the same offsets. No byte is looked at twice.
   */
  parse(buffer: Uint8Array, start: number, end: number): number {
    if (this.phase >= DONE) return this.phase === DONE ? PARSE_DONE : PARSE_BAD;
    if (this.#begin < 0) {
      this.at = start;
      this.#begin = start;
      this.start = start;
    }
    const limit = this.#begin + this.limits.headBytesMax;
    const stop = end < limit ? end : limit;
    let result = PARSE_MORE;
    if (this.phase < NAME) {
      result = this.startLine(buffer, stop);
      if (result !== PARSE_DONE) return result === PARSE_MORE && stop === limit ? this.#tooLarge() : result;
    }
    result = this.#fields(buffer, stop);
    return result === PARSE_MORE && stop === limit ? this.#tooLarge() : result;
  }

  /** Reads the start line and calls `fieldsBegin` at its end. */
  protected abstract startLine(buffer: Uint8Array, stop: number): number;

  /** What a subclass makes of a field; false after `fail`. */
  protected abstract field(kind: number, buffer: Uint8Array, line: number): boolean;

  /** The last word on a head whose lines are all read. */
  protected abstract complete(): number;

  protected fieldsBegin(at: number): number {
    this.at = at;
    this.lineStart[0] = at;
    this.phase = NAME;
    return PARSE_DONE;
  }

  protected fail(code: ErrorCode, reason: string): number {
    this.bad = code;
    this.badReason = reason;
    this.phase = BAD;
    return PARSE_BAD;
  }

  #tooLarge(): number {
    return this.fail("head_too_large", `the head is larger than ${this.limits.headBytesMax} bytes`);
  }

  #fields(buffer: Uint8Array, stop: number): number {
    let phase = this.phase;
    let i = this.at;
    let line = this.lineCount;
    const { lineStart, nameEnd, valueStart, valueEnd, lineEnd } = this;
    for (;;) {
      if (phase === NAME) {
        while (i < stop && TOKEN[buffer[i]!] === 1) i++;
        if (i >= stop) break;
        const byte = buffer[i]!;
        if (byte === COLON && i > lineStart[line]!) {
          if (line === this.limits.headersMax) {
            return this.fail("head_too_large", `the head has more than ${this.limits.headersMax} header lines`);
          }
          nameEnd[line] = i;
          phase = SPACE;
        } else if (byte === CR && i === lineStart[line]!) {
          phase = HEAD_END;
        } else {
          return this.#badName(byte, i === lineStart[line]!);
        }
        i++;
      }
      if (phase === SPACE) {
        while (i < stop && (buffer[i] === SP || buffer[i] === HT)) i++;
        if (i >= stop) break;
        valueStart[line] = i;
        phase = VALUE;
      }
      if (phase === VALUE) {
        while (i < stop && FIELD[buffer[i]!] === 1) i++;
        if (i >= stop) break;
        const byte = buffer[i]!;
        if (byte !== CR) return this.#badControl(byte);
        let last = i;
        while (last > valueStart[line]! && (buffer[last - 1] === SP || buffer[last - 1] === HT)) last--;
        valueEnd[line] = last;
        phase = LINE_END;
        i++;
      }
      if (i >= stop) break;
      if (buffer[i] !== LF) return this.fail("bad_request", "a CR without its LF");
      i++;
      if (phase === HEAD_END) {
        this.phase = phase;
        return this.#finish(buffer, i);
      }
      lineEnd[line] = i;
      if (!this.#line(buffer, line)) return PARSE_BAD;
      line++;
      this.lineCount = line;
      lineStart[line] = i;
      phase = NAME;
    }
    this.phase = phase;
    this.at = i;
    return PARSE_MORE;
  }

  #badName(byte: number, first: boolean): number {
    let reason = "a header name with a byte that no name may have";
    if (byte === LF) reason = "a bare LF";
    else if (byte === CR) reason = "a header line without a colon";
    else if (byte === SP || byte === HT) reason = first ? "a folded header line" : "a space in or after a header name";
    else if (byte === COLON) reason = "an empty header name";
    return this.fail("bad_request", reason);
  }

  #badControl(byte: number): number {
    return this.fail("bad_request", byte === LF ? "a bare LF" : "a control byte in a header value");
  }

  /** Takes note of a whole line. */
  #line(buffer: Uint8Array, line: number): boolean {
    const start = this.lineStart[line]!;
    const kind = kindOf(buffer, start, this.nameEnd[line]! - start);
    this.kind[line] = kind;
    this.drop[line] = 0;
    switch (kind) {
      case KIND.other:
        if ((buffer[start]! | 32) === X && (buffer[start + 2]! | 32) === I && spells(buffer, start, WISH)) {
          this.hasWishes = true;
        }
        for (const mimic of MIMICS) {
          if (this.nameEnd[line]! - start === mimic.length && spells(buffer, start, mimic)) {
            return this.refuse("a framing field with an underscore in its name");
          }
        }
        return true;
      case KIND.contentLength:
        return this.#readLength(buffer, line);
      case KIND.transferEncoding:
        this.drop[line] = 1;
        return this.#readCoding(buffer, line);
      case KIND.connection:
        this.#connections++;
        this.drop[line] = 1;
        return true;
      case KIND.upgrade:
        this.#upgradeSeen = true;
        this.drop[line] = 1;
        return true;
      case KIND.keepAlive:
      case KIND.hop:
        this.drop[line] = 1;
        return true;
      case KIND.requestId:
        // A relay writes its own line, with this value or another.
        this.drop[line] = 1;
        if (this.requestIdLine < 0) this.requestIdLine = line;
        return true;
      case KIND.expect:
        this.drop[line] = 1;
        this.expectContinue = this.valueIs(buffer, line, CONTINUE);
        return true;
      default:
        return this.field(kind, buffer, line);
    }
  }

  protected valueIs(buffer: Uint8Array, line: number, lower: Uint8Array): boolean {
    const start = this.valueStart[line]!;
    return this.valueEnd[line]! - start === lower.length && spells(buffer, start, lower);
  }

  #readLength(buffer: Uint8Array, line: number): boolean {
    const start = this.valueStart[line]!;
    const end = this.valueEnd[line]!;
    if (this.contentLength >= 0) return this.refuse("more than one Content-Length");
    if (end === start || end - start > LENGTH_DIGITS_MAX)
      return this.refuse("a Content-Length that is no plain number");
    let length = 0;
    for (let i = start; i < end; i++) {
      const digit = buffer[i]! - 48;
      if (digit < 0 || digit > 9) return this.refuse("a Content-Length that is no plain number");
      length = length * 10 + digit;
    }
    if (length > Number.MAX_SAFE_INTEGER) return this.refuse("a Content-Length beyond 2^53 - 1");
    this.contentLength = length;
    this.contentLengthLine = line;
    return true;
  }

  #readCoding(buffer: Uint8Array, line: number): boolean {
    if (this.chunked) return this.refuse("more than one Transfer-Encoding");
    if (this.valueIs(buffer, line, CHUNKED)) {
      this.chunked = true;
      return true;
    }
    // Anything else that mentions chunked is a trick (RFC 9112 section 6.1: once, last, without parameters), save a
    // tidy list of other codings that ends with it, which is a real request that nobody here can decode.
    const start = this.valueStart[line]!;
    const end = this.valueEnd[line]!;
    let codings = 0;
    let itemStart = start;
    let chunkedAt = 0;
    for (let i = start; i <= end; i++) {
      if (i < end && buffer[i] !== COMMA) continue;
      let from = itemStart;
      let to = i;
      while (from < to && (buffer[from] === SP || buffer[from] === HT)) from++;
      while (to > from && (buffer[to - 1] === SP || buffer[to - 1] === HT)) to--;
      if (from === to) return this.refuse("a malformed Transfer-Encoding");
      codings++;
      for (let k = from; k < to; k++) if (TOKEN[buffer[k]!] === 0) return this.refuse("a malformed Transfer-Encoding");
      if (to - from === CHUNKED.length && spells(buffer, from, CHUNKED)) {
        if (chunkedAt > 0) return this.refuse("chunked more than once in Transfer-Encoding");
        chunkedAt = codings;
      }
      itemStart = i + 1;
    }
    if (chunkedAt > 0 && chunkedAt < codings) return this.refuse("a Transfer-Encoding that does not end with chunked");
    this.fail("not_supported", "a transfer coding other than chunked");
    return false;
  }

  protected refuse(reason: string): boolean {
    this.fail("bad_request", reason);
    return false;
  }

  #finish(buffer: Uint8Array, headEnd: number): number {
    if (this.#connections > 0 && !this.#readConnection(buffer)) return PARSE_BAD;
    if (this.chunked) {
      if (this.contentLength >= 0) return this.fail("bad_request", "both Content-Length and Transfer-Encoding");
      if (this.minorVersion === 0) return this.fail("bad_request", "Transfer-Encoding in HTTP/1.0");
    }
    this.keepAlive = !this.#closeSeen && (this.minorVersion === 1 || this.#keepAliveSeen);
    this.headEnd = headEnd;
    this.at = headEnd;
    this.phase = DONE;
    return this.complete();
  }

  /** Reads the options of every Connection line, now that the lines which they may nominate are known. */
  #readConnection(buffer: Uint8Array): boolean {
    let nominated = 0;
    for (let line = 0; line < this.lineCount; line++) {
      if (this.kind[line] !== KIND.connection) continue;
      const end = this.valueEnd[line]!;
      let i = this.valueStart[line]!;
      while (i < end) {
        const byte = buffer[i]!;
        if (byte === COMMA || byte === SP || byte === HT) {
          i++;
          continue;
        }
        const start = i;
        while (i < end && TOKEN[buffer[i]!] === 1) i++;
        if (i === start || !endsOption(buffer, i, end)) return this.refuse("a malformed Connection");
        if (this.#isUsual(buffer, start, i - start)) continue;
        if (++nominated > NOMINATED_MAX)
          return this.refuse(`more than ${NOMINATED_MAX} fields nominated by Connection`);
        if (!this.#nominate(buffer, start, i - start)) return false;
      }
    }
    return true;
  }

  #isUsual(buffer: Uint8Array, start: number, length: number): boolean {
    if (length === CLOSE.length && spells(buffer, start, CLOSE)) this.#closeSeen = true;
    else if (length === KEEP_ALIVE.length && spells(buffer, start, KEEP_ALIVE)) this.#keepAliveSeen = true;
    else if (length === UPGRADE.length && spells(buffer, start, UPGRADE)) this.upgrade = this.#upgradeSeen;
    else return length === TE.length && spells(buffer, start, TE);
    return true;
  }

  #nominate(buffer: Uint8Array, start: number, length: number): boolean {
    const kind = kindOf(buffer, start, length);
    // Dropping these would make the next hop see another message than this one (RFC 9110 section 7.6.1).
    if (kind === KIND.contentLength || kind === KIND.host || kind === KIND.transferEncoding) {
      return this.refuse("a framing field or Host nominated by Connection");
    }
    // Who stands in front may have set them: what decides about a request is not for its client to take out.
    if (length > WISH.length && spells(buffer, start, WISH))
      return this.refuse("a field of the mesh nominated by Connection");
    for (let line = 0; line < this.lineCount; line++) {
      const name = this.lineStart[line]!;
      if (this.nameEnd[line]! - name === length && sameName(buffer, name, start, length)) this.drop[line] = 1;
    }
    return true;
  }
}

/** Whether nothing but blanks stands between an option's end and the next comma. */
function endsOption(buffer: Uint8Array, at: number, end: number): boolean {
  let i = at;
  while (i < end && (buffer[i] === SP || buffer[i] === HT)) i++;
  return i === end || buffer[i] === COMMA;
}

/** Both have passed TOKEN: setting bit 5 confuses only `^` with `~`, which costs a line that nobody sends. */
function sameName(buffer: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if ((buffer[a + i]! | 32) !== (buffer[b + i]! | 32)) return false;
  return true;
}
