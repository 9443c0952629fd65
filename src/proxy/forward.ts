/** Writes the head that goes to the target: the client's, without what belongs to its own hop (RFC 9110 section 7.6). */
import type { Span } from "../obs/spans.ts";
import type { RequestHead } from "../wire/http1.ts";
import { KIND } from "../wire/fields.ts";
import { METHOD } from "../wire/http1.ts";
import { writeTraceparent } from "../wire/trace-context.ts";
import type { Exchange } from "./exchange.ts";

const HTTP11 = Buffer.from(" HTTP/1.1\r\n");
const HOST_NAME = Buffer.from("host: ");
const HOST = Buffer.from("host: infermesh\r\n");
const CHUNKED = Buffer.from("transfer-encoding: chunked\r\n");
const TRACEPARENT = Buffer.from("traceparent: ");
const UPGRADE = Buffer.from("connection: upgrade\r\n");
const CRLF = Buffer.from("\r\n");
const HEX = Buffer.from("0123456789abcdef");
const ID_BYTES = 16;
const ID_BYTES_MAX = 128;
/** How much of a path a span tells. */
const SPAN_PATH_BYTES_MAX = 256;
/** Room for what is added besides the lines that tell of the client: host, id, trace, coding. */
const EXTRA_BYTES = 512;
const CR = 13;
const LF = 10;
const SLASH = 47;
const QUESTION = 63;
const PERCENT = 37;
const BACKSLASH = 92;
const DOT = 46;

/** The high half of every id that this worker makes; the low half counts, scrambled so that ids don't look alike. */
const idSeed = (Math.random() * 0x1_0000_0000) >>> 0;
let idCount = (Math.random() * 0x1_0000_0000) >>> 0;

/**
 * Writes the rewritten head into the exchange's held buffer and notes what the exchange needs of it. `ownLines` are
 * the lines that tell the target of the client, and the beginning of the line of the request's id.
 * Answers where the path begins in `buffer`, or -1 when there is no memory for the request.
 */
export function forwardHead(exchange: Exchange, buffer: Buffer, head: RequestHead, ownLines: Buffer): number {
  exchange.isHead = head.method === METHOD.HEAD;
  exchange.minorVersion = head.minorVersion;
  exchange.keepAlive = head.keepAlive;
  exchange.contentLength = head.chunked ? -1 : Math.max(0, head.contentLength);
  if (!exchange.reserve(head.headEnd - head.methodStart + ownLines.length + EXTRA_BYTES)) {
    // An answer names the request all the same; a held buffer always has room for that.
    exchange.idEnd = writeId(buffer, head, exchange.held, 0);
    return -1;
  }
  const held = exchange.held;
  const path = pathStart(buffer, head.targetStart, head.targetEnd);
  // The authority of a target in absolute form stands for the Host (RFC 9112 section 3.2.2).
  const isAbsolute = path > head.targetStart;
  if (isAbsolute && head.hostLine >= 0) head.drop[head.hostLine] = 1;
  let at = 0;
  let from = -1;
  if (head.minorVersion === 1 && path === head.targetStart && buffer[path] === SLASH) {
    // The request line goes on as it is, in one piece with the lines behind it.
    from = head.methodStart;
    exchange.pathAt = path - head.methodStart;
  } else {
    at = writeRequestLine(exchange, buffer, head, path);
  }
  for (let line = 0; line < head.lineCount; line++) {
    if (head.drop[line] === 0) {
      if (from < 0) from = head.lineStart[line] ?? 0;
    } else if (from >= 0) {
      at += buffer.copy(held, at, from, head.lineStart[line]);
      from = -1;
    }
  }
  if (from >= 0) at += buffer.copy(held, at, from, head.headEnd - 2);
  if (isAbsolute) at = writeHost(buffer, head.targetStart, path, held, at);
  else if (head.hostLine < 0) at += HOST.copy(held, at);
  if (head.chunked) at += CHUNKED.copy(held, at);
  exchange.isUpgrade = head.upgrade && asksToSwitch(buffer, head);
  if (exchange.isUpgrade) at = writeUpgrade(buffer, head, held, at);
  if (exchange.span !== null) {
    exchange.span.path = spanPath(buffer, path, head.targetEnd);
    at = writeTrace(exchange.span, held, at);
  }
  at += ownLines.copy(held, at);
  exchange.idStart = at;
  at = writeId(buffer, head, held, at);
  exchange.idEnd = at;
  held[at++] = CR;
  held[at++] = LF;
  held[at++] = CR;
  held[at++] = LF;
  exchange.heldEnd = at;
  exchange.bodyAt = at;
  return path;
}

function writeRequestLine(exchange: Exchange, buffer: Buffer, head: RequestHead, path: number): number {
  const { held } = exchange;
  let at = buffer.copy(held, 0, head.methodStart, head.methodEnd + 1);
  if (buffer[path] !== SLASH || path >= head.targetEnd) held[at++] = SLASH;
  exchange.pathAt = at;
  at += buffer.copy(held, at, path, head.targetEnd);
  return at + HTTP11.copy(held, at);
}

function writeHost(buffer: Buffer, start: number, end: number, held: Buffer, at: number): number {
  const authority = buffer.indexOf("://", start, "latin1") + 3;
  let to = at + HOST_NAME.copy(held, at);
  to += buffer.copy(held, to, authority, end);
  return to + CRLF.copy(held, to);
}

/**
 * Whether the client asks for a protocol that its connection may be switched to. Another version of HTTP is none, nor is
 * TLS: its requests would pass through the tunnel unread. Such a wish is ignored (RFC 9110 section 7.8).
 */
function asksToSwitch(buffer: Buffer, head: RequestHead): boolean {
  if (head.method !== METHOD.GET || head.chunked || head.contentLength > 0) return false;
  for (let line = 0; line < head.lineCount; line++) {
    if (head.kind[line] !== KIND.upgrade) continue;
    if (/(?:^|[\s,])(?:h2|http|tls)/i.test(buffer.toString("latin1", head.valueStart[line], head.valueEnd[line]))) {
      return false;
    }
  }
  return true;
}

/** Asks the target for the protocol that the client asks for: these lines belong to one hop, so they are written anew. */
function writeUpgrade(buffer: Buffer, head: RequestHead, held: Buffer, start: number): number {
  let at = start + UPGRADE.copy(held, start);
  for (let line = 0; line < head.lineCount; line++) {
    if (head.kind[line] === KIND.upgrade) at += buffer.copy(held, at, head.lineStart[line], head.lineEnd[line]);
  }
  return at;
}

/** Names the request's span to the target, so that its own spans hang below. */
function writeTrace(span: Span, held: Buffer, start: number): number {
  const at = writeTraceparent(span, held, start + TRACEPARENT.copy(held, start));
  return at + CRLF.copy(held, at);
}

/** A path without its query, and not endless. */
function spanPath(buffer: Buffer, start: number, end: number): string {
  const stop = Math.min(end, start + SPAN_PATH_BYTES_MAX);
  let at = start;
  while (at < stop && buffer[at] !== QUESTION) at++;
  return at === start ? "/" : buffer.toString("latin1", start, at);
}

/** The id that answers a request which was refused before it became an exchange. */
export function requestIdOf(buffer: Buffer, head: RequestHead | null): string {
  const id = Buffer.alloc(ID_BYTES_MAX);
  return id.toString("latin1", 0, head === null ? newId(id, 0) : writeId(buffer, head, id, 0));
}

/**
 * Whether a path stays where it seems to be: no segment `.` or `..`, also behind escapes, and no backslash. A target
 * that resolves them would otherwise be reached outside `/v1/`.
 */
export function staysPut(buffer: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = buffer[i] ?? 0;
    if (byte === QUESTION) return true;
    const doubtful = byte === PERCENT || byte === BACKSLASH || (byte === DOT && buffer[i - 1] === SLASH);
    if (doubtful) return !hasDots(buffer.toString("latin1", start, end));
  }
  return true;
}

function hasDots(target: string): boolean {
  const path = target
    .replace(/\?.*$/s, "")
    .replace(/%2e/gi, ".")
    .replace(/%2f|%5c|\\/gi, "/");
  return path.split("/").some((segment) => segment === "." || segment === "..");
}

/**
 * Where the path begins: at once in origin form, behind the authority in absolute form (RFC 9112 section 3.2.2); where
 * an authority has no path, the query or the target's end.
 */
function pathStart(buffer: Buffer, start: number, end: number): number {
  if (buffer[start] === SLASH) return start;
  const scheme = buffer.indexOf("://", start, "latin1");
  if (scheme < 0 || scheme >= end) return start;
  let at = scheme + 3;
  while (at < end && buffer[at] !== SLASH && buffer[at] !== QUESTION) at++;
  return at;
}

/** The client's own id where it sent a usable one, else a new one of 16 hexadecimal digits. */
function writeId(buffer: Buffer, head: RequestHead, held: Buffer, at: number): number {
  if (head.requestIdLine >= 0) {
    const start = head.valueStart[head.requestIdLine] ?? 0;
    const end = head.valueEnd[head.requestIdLine] ?? 0;
    if (end > start && end - start <= ID_BYTES_MAX && isVisible(buffer, start, end)) {
      return at + buffer.copy(held, at, start, end);
    }
  }
  return newId(held, at);
}

function newId(held: Buffer, at: number): number {
  idCount = (idCount + 1) >>> 0;
  let high = idSeed;
  let low = Math.imul(idCount, 0x9e3779b1) >>> 0;
  for (let i = 7; i >= 0; i--) {
    held[at + i] = HEX[high & 15] ?? 48;
    held[at + 8 + i] = HEX[low & 15] ?? 48;
    high >>>= 4;
    low >>>= 4;
  }
  return at + ID_BYTES;
}

function isVisible(buffer: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = buffer[i] ?? 0;
    if (byte < 33 || byte > 126) return false;
  }
  return true;
}
