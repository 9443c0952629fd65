/**
 * Heads from HTTP/2 to HTTP/1.1 and back (RFC 9113 section 8.2.2 and 8.3). What goes one way has passed the checks of
 * header-block.ts: no field can end a line, frame a body or belong to one hop. What goes the other way loses the fields
 * that do.
 */
import { KIND } from "../wire/fields.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { FIELD_KIND, fieldOf, type HeaderField, LITERAL_OVERHEAD_BYTES, writePrefixed } from "../wire/header-field.ts";
import { HEAD_LIMITS, ResponseHead } from "../wire/http1.ts";

const SPACE = Buffer.from(" ");
const VERSION_HOST = Buffer.from(" HTTP/1.1\r\nhost: ");
const CRLF = Buffer.from("\r\n");
const SEPARATOR = Buffer.from(": ");
const COOKIE = Buffer.from("cookie: ");
const NEXT_COOKIE = Buffer.from("; ");
const CHUNKED = Buffer.from("transfer-encoding: chunked\r\n");
const LAST_CHUNK = Buffer.from("0\r\n");
const NO_HOST = Buffer.from("infermesh");

/** A request's head as HTTP/1.1; `isChunked`: it has a body that goes on in chunks, whatever length was told. */
export function requestHead(block: HeaderBlock, isChunked: boolean): Buffer {
  const { method, path, authority, host } = block;
  const target = path ?? authority;
  const name = authority ?? host;
  const parts: Uint8Array[] = [
    ...(method === null ? [] : [valueOf(method)]),
    SPACE,
    ...(target === null ? [] : [valueOf(target)]),
    VERSION_HOST,
    name === null || name.valueLength === 0 ? NO_HOST : valueOf(name),
    CRLF,
  ];
  const cookies: Uint8Array[] = [];
  for (const field of block.fields) {
    const { kind, isPseudo } = field.name;
    if (isPseudo || kind === FIELD_KIND.host || kind === FIELD_KIND.te) continue;
    if (isChunked && kind === FIELD_KIND.contentLength) continue;
    // Cookies may come in crumbs, which HTTP/1.1 takes as one field (RFC 9113 section 8.2.3).
    if (kind === FIELD_KIND.cookie) cookies.push(cookies.length === 0 ? COOKIE : NEXT_COOKIE, valueOf(field));
    else parts.push(field.name.bytes, SEPARATOR, valueOf(field), CRLF);
  }
  if (cookies.length > 0) parts.push(...cookies, CRLF);
  if (isChunked) parts.push(CHUNKED);
  parts.push(CRLF);
  return Buffer.concat(parts);
}

/** A piece of a body as a chunk, and behind it what ends the body, if it ends. */
export function chunked(piece: Buffer, end: Buffer): Buffer {
  if (piece.length === 0) return end;
  return Buffer.concat([Buffer.from(piece.length.toString(16)), CRLF, piece, CRLF, end]);
}

/** The end of a chunked body with these trailers. */
export function lastChunk(fields: readonly HeaderField[]): Buffer {
  const lines = fields.flatMap((field) => [field.name.bytes, SEPARATOR, valueOf(field), CRLF]);
  return Buffer.concat([LAST_CHUNK, ...lines, CRLF]);
}

function valueOf(field: HeaderField): Uint8Array {
  return field.source.subarray(field.valueStart);
}

/** The head of an answer, parsed out of `buffer`, as encoded fields. */
export function answerFields(buffer: Buffer, head: ResponseHead): Uint8Array {
  const status = fieldOf(":status", String(head.status)).encoded;
  const out = Buffer.allocUnsafe(status.length + head.headEnd + (head.lineCount + 1) * LITERAL_OVERHEAD_BYTES);
  out.set(status);
  let at = status.length;
  for (let line = 0; line < head.lineCount; line++) {
    if (isOfHop(head.kind[line] ?? KIND.other)) continue;
    const start = head.lineStart[line] ?? 0;
    const nameEnd = head.nameEnd[line] ?? 0;
    const valueStart = head.valueStart[line] ?? 0;
    const valueEnd = head.valueEnd[line] ?? 0;
    out[at++] = 0;
    at = writePrefixed(out, at, nameEnd - start, 7, 0);
    for (let i = start; i < nameEnd; i++) out[at++] = lower(buffer[i] ?? 0);
    at = writePrefixed(out, at, valueEnd - valueStart, 7, 0);
    at += buffer.copy(out, at, valueStart, valueEnd);
  }
  return out.subarray(0, at);
}

const localHead = new ResponseHead(HEAD_LIMITS);

/** A whole answer of our own (replies.ts) for HTTP/2: its encoded fields, and where its body begins. */
export function localAnswer(answer: Buffer): { readonly fields: Uint8Array; readonly bodyAt: number } {
  localHead.reset();
  localHead.parse(answer, 0, answer.length);
  return { fields: answerFields(answer, localHead), bodyAt: localHead.headEnd };
}

function lower(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte | 32 : byte;
}

function isOfHop(kind: number): boolean {
  return (
    kind === KIND.connection ||
    kind === KIND.keepAlive ||
    kind === KIND.transferEncoding ||
    kind === KIND.upgrade ||
    kind === KIND.hop
  );
}
