/**
 * HTTP/1.1 heads (RFC 9112 sections 3 and 4): the request line and the status line, on top of the field section that
 * fields.ts reads. A RequestHead or ResponseHead is one reusable parse result: it holds numbers that point into the
 * caller's buffer and allocates nothing per message, because a head is parsed twice in every relayed request.
 *
 * Limits by HeadLimits; at most two empty lines are skipped before a request line (RFC 9112 section 2.2). After
 * PARSE_BAD the connection is answered and closed: there is no way to tell where the next message begins.
 */
import { FieldSection, KIND, PARSE_BAD, PARSE_DONE, PARSE_MORE, START } from "./fields.ts";
import type { ErrorCode } from "../base/errors.ts";
import { ascii, AUTHORITY, CR, FIELD, HT, LF, SEMICOLON, SP, spells, TARGET, TOKEN } from "./octets.ts";

export { HEAD_LIMITS, PARSE_BAD, PARSE_DONE, PARSE_MORE } from "./fields.ts";

export const METHOD = { OTHER: 0, GET: 1, HEAD: 2, POST: 3, PUT: 4, DELETE: 5, OPTIONS: 6, PATCH: 7 } as const;

const METHOD_BYTES_MAX = 32;
const EMPTY_LINES_MAX = 2;
const NAMED_METHODS: readonly (readonly [Uint8Array, number])[] = [
  [ascii("POST"), METHOD.POST],
  [ascii("GET"), METHOD.GET],
  [ascii("HEAD"), METHOD.HEAD],
  [ascii("PUT"), METHOD.PUT],
  [ascii("DELETE"), METHOD.DELETE],
  [ascii("OPTIONS"), METHOD.OPTIONS],
  [ascii("PATCH"), METHOD.PATCH],
];
const CONNECT = ascii("CONNECT");
const VERSION = ascii("HTTP/");
const HTTP = ascii("http://");
const HTTPS = ascii("https://");
const EVENT_STREAM = ascii("text/event-stream");

const SLASH = 47;
const ASTERISK = 42;
const HASH = 35;

const METHOD_PHASE = 1;
const TARGET_PHASE = 2;
const VERSION_PHASE = 3;
const EMPTY_LINE_PHASE = 4;
const REASON_PHASE = 1;
const STATUS_END_PHASE = 2;
const AFTER_CR = -1;
/** `HTTP/1.1 200` */
const STATUS_BYTES = 12;

/** Methods are case-sensitive (RFC 9110 section 9.1). */
function isExactly(buffer: Uint8Array, start: number, end: number, bytes: Uint8Array): boolean {
  if (end - start !== bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) if (buffer[start + i] !== bytes[i]!) return false;
  return true;
}

export class RequestHead extends FieldSection {
  /** A METHOD. */
  method: number = METHOD.OTHER;
  methodStart = 0;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  /** Index of a line, or -1. */
  authorizationLine = -1;
  modelLine = -1;
  acceptLine = -1;
  hostLine = -1;
  /** The first of its kind; a relay that records a span drops it and writes its own. */
  traceparentLine = -1;
  tracestateLine = -1;
  /** More than one traceparent: none of them can be believed. */
  traceparentTwice = false;
  #emptyLines = 0;

  override reset(): void {
    super.reset();
    this.method = METHOD.OTHER;
    this.methodStart = 0;
    this.methodEnd = 0;
    this.targetStart = 0;
    this.targetEnd = 0;
    this.authorizationLine = -1;
    this.modelLine = -1;
    this.acceptLine = -1;
    this.hostLine = -1;
    this.traceparentLine = -1;
    this.tracestateLine = -1;
    this.traceparentTwice = false;
    this.#emptyLines = 0;
  }

  /** Becomes what another one parsed, which has no more lines than this one can hold. */
  copyFrom(other: RequestHead): void {
    this.copyFields(other);
    this.method = other.method;
    this.methodStart = other.methodStart;
    this.methodEnd = other.methodEnd;
    this.targetStart = other.targetStart;
    this.targetEnd = other.targetEnd;
    this.authorizationLine = other.authorizationLine;
    this.modelLine = other.modelLine;
    this.acceptLine = other.acceptLine;
    this.hostLine = other.hostLine;
    this.traceparentLine = other.traceparentLine;
    this.tracestateLine = other.tracestateLine;
    this.traceparentTwice = other.traceparentTwice;
  }

  protected override startLine(buffer: Uint8Array, stop: number): number {
    let i = this.at;
    while (this.phase === START || this.phase === EMPTY_LINE_PHASE) {
      if (i >= stop) return this.#more(i);
      const byte = buffer[i]!;
      if (this.phase === EMPTY_LINE_PHASE) {
        if (byte !== LF) return this.fail("bad_request", "a CR without its LF");
        i++;
        this.phase = START;
      } else if (byte === CR) {
        if (++this.#emptyLines > EMPTY_LINES_MAX) return this.fail("bad_request", "empty lines before a request");
        i++;
        this.phase = EMPTY_LINE_PHASE;
      } else {
        this.methodStart = i;
        this.phase = METHOD_PHASE;
      }
    }
    if (this.phase === METHOD_PHASE) {
      const cap = this.methodStart + METHOD_BYTES_MAX;
      while (i < stop && i <= cap && TOKEN[buffer[i]!] === 1) i++;
      if (i > cap) return this.fail("bad_request", `a method of more than ${METHOD_BYTES_MAX} bytes`);
      if (i >= stop) return this.#more(i);
      if (buffer[i] !== SP || i === this.methodStart) return this.#badLine(buffer[i]!, "a malformed method");
      this.methodEnd = i;
      if (!this.#readMethod(buffer)) return PARSE_BAD;
      i++;
      this.targetStart = i;
      this.phase = TARGET_PHASE;
    }
    if (this.phase === TARGET_PHASE) {
      const cap = this.targetStart + this.limits.targetBytesMax;
      while (i < stop && i <= cap && TARGET[buffer[i]!] === 1) i++;
      if (i > cap) {
        return this.fail("uri_too_long", `the request target is longer than ${this.limits.targetBytesMax} bytes`);
      }
      if (i >= stop) return this.#more(i);
      if (buffer[i] !== SP) {
        return this.#badLine(
          buffer[i]!,
          buffer[i] === HASH ? "a fragment in the request target" : "a malformed request line",
        );
      }
      this.targetEnd = i;
      if (!this.#checkTarget(buffer)) return PARSE_BAD;
      i++;
      this.at = i;
      this.phase = VERSION_PHASE;
    }
    return this.#readVersion(buffer, stop);
  }

  #more(at: number): number {
    this.at = at;
    return PARSE_MORE;
  }

  #badLine(byte: number, reason: string): number {
    let why = reason;
    if (byte === LF) why = "a bare LF";
    else if (byte === CR) why = "a request line that ends too soon";
    else if (byte < SP || byte === 127) why = "a control byte in the request line";
    return this.fail("bad_request", why);
  }

  #readMethod(buffer: Uint8Array): boolean {
    for (let i = 0; i < NAMED_METHODS.length; i++) {
      const named = NAMED_METHODS[i]!;
      if (isExactly(buffer, this.methodStart, this.methodEnd, named[0])) {
        this.method = named[1];
        return true;
      }
    }
    if (isExactly(buffer, this.methodStart, this.methodEnd, CONNECT)) {
      this.fail("not_supported", "CONNECT: this is no tunnel");
      return false;
    }
    return true;
  }

  /** RFC 9112 section 3.2: origin form, absolute form, and `*` for OPTIONS only. */
  #checkTarget(buffer: Uint8Array): boolean {
    const start = this.targetStart;
    const length = this.targetEnd - start;
    if (length === 0) return this.refuse("an empty request target");
    const first = buffer[start]!;
    if (first === SLASH) return true;
    if (first === ASTERISK && length === 1 && this.method === METHOD.OPTIONS) return true;
    const scheme = length > HTTP.length && spells(buffer, start, HTTP) ? HTTP.length : HTTPS.length;
    if (scheme === HTTPS.length && !(length > HTTPS.length && spells(buffer, start, HTTPS))) {
      return this.refuse("a request target that is neither a path nor an http address");
    }
    if (AUTHORITY[buffer[start + scheme]!] === 0) return this.refuse("an http address without a host");
    return true;
  }

  /** `HTTP/1.x CRLF`, compared byte by byte since it may come so. */
  #readVersion(buffer: Uint8Array, stop: number): number {
    let i = this.at;
    const base = this.targetEnd + 1;
    while (i < stop) {
      const byte = buffer[i]!;
      const offset = i - base;
      i++;
      if (offset < 5) {
        if (byte !== VERSION[offset]!) return this.#badLine(byte, "a malformed request line");
      } else if (offset === 5 || offset === 7) {
        if (byte < 48 || byte > 57) return this.#badLine(byte, "a malformed HTTP version");
        if (offset === 5 ? byte !== 49 : byte > 49)
          return this.fail("version_not_supported", "an HTTP version other than 1.0 and 1.1");
        if (offset === 7) this.minorVersion = byte === 49 ? 1 : 0;
      } else if (offset === 6) {
        if (byte !== 46) return this.#badLine(byte, "a malformed HTTP version");
      } else if (offset === 8) {
        if (byte !== CR) return this.#badLine(byte, "bytes after the HTTP version");
      } else {
        if (byte !== LF) return this.fail("bad_request", "a CR without its LF");
        return this.fieldsBegin(i);
      }
    }
    return this.#more(i);
  }

  protected override field(kind: number, buffer: Uint8Array, line: number): boolean {
    switch (kind) {
      case KIND.host:
        if (this.hostLine >= 0) return this.refuse("more than one Host");
        this.hostLine = line;
        for (let i = this.valueStart[line]!; i < this.valueEnd[line]!; i++) {
          if (AUTHORITY[buffer[i]!] === 0) return this.refuse("a malformed Host");
        }
        return true;
      case KIND.contentType:
        // Two of them would let two readers see two kinds of body.
        if (this.contentTypeLine >= 0) return this.refuse("more than one Content-Type");
        this.contentTypeLine = line;
        return true;
      case KIND.authorization:
        if (this.authorizationLine >= 0) return this.refuse("more than one Authorization");
        this.authorizationLine = line;
        return true;
      case KIND.model:
        if (this.modelLine >= 0) return this.refuse("more than one x-infermesh-model");
        this.modelLine = line;
        return true;
      case KIND.accept:
        if (this.acceptLine < 0) this.acceptLine = line;
        return true;
      case KIND.traceparent:
        if (this.traceparentLine < 0) this.traceparentLine = line;
        else this.traceparentTwice = true;
        return true;
      case KIND.tracestate:
        if (this.tracestateLine < 0) this.tracestateLine = line;
        return true;
      default:
        return true;
    }
  }

  protected override complete(): number {
    if (this.hostLine < 0 && this.minorVersion === 1) return this.fail("bad_request", "no Host");
    if (this.minorVersion === 0) this.expectContinue = false;
    return PARSE_DONE;
  }
}

export class ResponseHead extends FieldSection {
  status = 0;
  /** The content type is text/event-stream. */
  eventStream = false;
  /** The line by which the server tells of its load, or -1; and how many such lines there are. */
  loadLine = -1;
  loadLines = 0;
  /** Bytes of the status line read so far. */
  #offset = 0;

  override reset(): void {
    super.reset();
    this.#offset = 0;
    this.status = 0;
    this.eventStream = false;
    this.loadLine = -1;
    this.loadLines = 0;
  }

  /** Whether the answer to `method` ends with its head (RFC 9112 section 6.3). */
  bodyless(method: number): boolean {
    return method === METHOD.HEAD || this.status < 200 || this.status === 204 || this.status === 304;
  }

  /** Whatever is wrong with an answer, it is the upstream's fault. */
  protected override fail(_code: ErrorCode, reason: string): number {
    return super.fail("upstream_failed", reason);
  }

  /** `HTTP/1.x SP 3DIGIT [SP reason] CRLF`; the space before an absent reason is often left out. */
  protected override startLine(buffer: Uint8Array, stop: number): number {
    let i = this.at;
    while (i < stop && this.phase === START) {
      if (this.#offset === STATUS_BYTES) {
        this.phase = buffer[i] === SP ? REASON_PHASE : STATUS_END_PHASE;
        break;
      }
      if (!this.#readStatus(buffer[i]!, this.#offset++)) return PARSE_BAD;
      i++;
    }
    if (this.phase === REASON_PHASE) {
      while (i < stop && FIELD[buffer[i]!] === 1) i++;
      if (i < stop) this.phase = STATUS_END_PHASE;
    }
    if (this.phase === STATUS_END_PHASE && i < stop && this.#offset !== AFTER_CR) {
      if (buffer[i] !== CR) return this.fail("bad_request", "a malformed status line");
      this.#offset = AFTER_CR;
      i++;
    }
    this.at = i;
    if (i >= stop) return PARSE_MORE;
    if (buffer[i] !== LF) return this.fail("bad_request", "a CR without its LF");
    return this.fieldsBegin(i + 1);
  }

  #readStatus(byte: number, offset: number): boolean {
    if (offset < VERSION.length) {
      if (byte !== VERSION[offset]!) return this.refuse("no HTTP answer");
    } else if (offset < 8) {
      const wrong = offset === 5 ? byte !== 49 : offset === 6 ? byte !== 46 : byte !== 48 && byte !== 49;
      if (wrong) return this.refuse("an HTTP version other than 1.0 and 1.1");
      if (offset === 7) this.minorVersion = byte === 49 ? 1 : 0;
    } else if (offset === 8) {
      if (byte !== SP) return this.refuse("a malformed status line");
    } else {
      const digit = byte - 48;
      if (digit < 0 || digit > 9 || (offset === 9 && (digit < 1 || digit > 5)))
        return this.refuse("a malformed status");
      this.status = this.status * 10 + digit;
    }
    return true;
  }

  protected override field(kind: number, buffer: Uint8Array, line: number): boolean {
    if (kind === KIND.contentType && this.contentTypeLine < 0) {
      this.contentTypeLine = line;
      this.eventStream = this.#isEventStream(buffer, line);
    } else if (kind === KIND.node) {
      // Only this mesh says which node served.
      this.drop[line] = 1;
    } else if (kind === KIND.load || kind === KIND.loadBinary) {
      // How busy it is, it tells us: clients need not know.
      this.drop[line] = 1;
      this.loadLine = line;
      this.loadLines++;
    }
    return true;
  }

  #isEventStream(buffer: Uint8Array, line: number): boolean {
    const start = this.valueStart[line]!;
    const end = start + EVENT_STREAM.length;
    if (end > this.valueEnd[line]! || !spells(buffer, start, EVENT_STREAM)) return false;
    if (end === this.valueEnd[line]!) return true;
    const next = buffer[end]!;
    return next === SEMICOLON || next === SP || next === HT;
  }

  protected override complete(): number {
    // RFC 9110 section 8.6: no length on these; a client that believed one would wait for a body that never comes.
    if (this.contentLength >= 0 && (this.status < 200 || this.status === 204)) {
      for (let line = 0; line < this.lineCount; line++) if (this.kind[line] === KIND.contentLength) this.drop[line] = 1;
    }
    return PARSE_DONE;
  }
}
