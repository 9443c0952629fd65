/**
 * One field of an HTTP/2 header block (RFC 9113 section 8.2): its name and value as bytes, what is wrong with it, and
 * the same field as it is sent on.
 *
 * A field that a peer has put into its dynamic table is one object for as long as it stays there, so what is found out
 * about it once (its kind, its faults, what a reader made of its value) costs nothing when it comes again. It is sent
 * on as a literal without indexing, or as an index into the static table, so that no state of the other connection's
 * table ever matters; a field that its sender wanted never to be indexed stays so (RFC 7541 section 7.1.3).
 */
import { STATIC_ENTRIES } from "./hpack-tables.ts";
import { LOAD_FIELD, LOAD_FIELD_BINARY } from "./load-fields.ts";
import { ascii, COLON, copyBytes, FIELD, HT, SP, TOKEN } from "./octets.ts";

/** The fields that mean something to HTTP/2 or to a relay. */
export const FIELD_KIND = {
  other: 0,
  method: 1,
  scheme: 2,
  authority: 3,
  path: 4,
  status: 5,
  /** A pseudo-header field that nobody knows. */
  strangePseudo: 6,
  contentLength: 7,
  contentType: 8,
  te: 9,
  host: 10,
  cookie: 11,
  /** Belongs to one HTTP/1.1 connection; has no place in HTTP/2. */
  connection: 12,
  model: 13,
  node: 14,
  requestId: 15,
  grpcTimeout: 16,
  grpcStatus: 17,
  expect: 18,
  /** What a client asks of the router itself. */
  wish: 19,
  traceparent: 20,
  tracestate: 21,
  trailer: 22,
  /** What a server says of its load (orca.ts). */
  load: 23,
  loadBinary: 24,
} as const;

const KINDS = new Map<string, number>([
  [":method", FIELD_KIND.method],
  [":scheme", FIELD_KIND.scheme],
  [":authority", FIELD_KIND.authority],
  [":path", FIELD_KIND.path],
  [":status", FIELD_KIND.status],
  ["content-length", FIELD_KIND.contentLength],
  ["content-type", FIELD_KIND.contentType],
  ["te", FIELD_KIND.te],
  ["host", FIELD_KIND.host],
  ["cookie", FIELD_KIND.cookie],
  ["connection", FIELD_KIND.connection],
  ["proxy-connection", FIELD_KIND.connection],
  ["keep-alive", FIELD_KIND.connection],
  ["transfer-encoding", FIELD_KIND.connection],
  ["upgrade", FIELD_KIND.connection],
  ["http2-settings", FIELD_KIND.connection],
  ["x-infermesh-model", FIELD_KIND.model],
  ["x-infermesh-node", FIELD_KIND.node],
  ["x-request-id", FIELD_KIND.requestId],
  ["grpc-timeout", FIELD_KIND.grpcTimeout],
  ["grpc-status", FIELD_KIND.grpcStatus],
  ["expect", FIELD_KIND.expect],
  ["traceparent", FIELD_KIND.traceparent],
  ["tracestate", FIELD_KIND.tracestate],
  ["trailer", FIELD_KIND.trailer],
  [LOAD_FIELD, FIELD_KIND.load],
  [LOAD_FIELD_BINARY, FIELD_KIND.loadBinary],
  ...["priority", "slo", "retry", "timeout", "tenant"].map((wish) => [`x-infermesh-${wish}`, FIELD_KIND.wish] as const),
]);
const KNOWN_NAME_BYTES_MAX = 25;

const INDEXED = 0x80;
const NEVER_INDEXED = 0x10;
const decoder = new TextDecoder();

/** A field's name; entries of the tables share theirs. */
export class FieldName {
  readonly bytes: Uint8Array;
  readonly kind: number;
  readonly isPseudo: boolean;
  /** Why no field may be called so, or "". */
  readonly fault: string;
  /** Its place in the static table, or 0. */
  readonly index: number;

  constructor(bytes: Uint8Array, index = 0) {
    this.bytes = bytes;
    this.index = index;
    this.isPseudo = bytes[0] === COLON;
    const known = bytes.length <= KNOWN_NAME_BYTES_MAX ? KINDS.get(decoder.decode(bytes)) : undefined;
    this.kind = known ?? (this.isPseudo ? FIELD_KIND.strangePseudo : FIELD_KIND.other);
    this.fault = nameFault(bytes, this.isPseudo ? 1 : 0);
  }

  get text(): string {
    return decoder.decode(this.bytes);
  }
}

export class HeaderField {
  readonly name: FieldName;
  /** The field as it is sent on. */
  readonly encoded: Uint8Array;
  /** The value is bytes [valueStart, source.length) of it. */
  readonly source: Uint8Array;
  readonly valueStart: number;
  /** Why a message with this field is malformed, or "". */
  readonly fault: string;
  /** What a reader made of the value; a field that comes again need not be read again. */
  note: unknown = undefined;

  constructor(name: FieldName, encoded: Uint8Array, source: Uint8Array, valueStart: number) {
    this.name = name;
    this.encoded = encoded;
    this.source = source;
    this.valueStart = valueStart;
    this.fault = name.fault === "" ? valueFault(source, valueStart) : name.fault;
  }

  get kind(): number {
    return this.name.kind;
  }

  get valueLength(): number {
    return this.source.length - this.valueStart;
  }

  /** What it counts for in a table or a list (RFC 7541 section 4.1). */
  get size(): number {
    return this.name.bytes.length + this.valueLength + FIELD_OVERHEAD_BYTES;
  }

  /** The value as text; bytes beyond ASCII are read as UTF-8. */
  get text(): string {
    return decoder.decode(this.source.subarray(this.valueStart));
  }

  /** Whether the value is `other`, byte for byte. */
  valueIs(other: Uint8Array): boolean {
    const { source, valueStart } = this;
    return source.length - valueStart === other.length && startsAt(source, valueStart, other);
  }

  /** Whether the value begins with `other`, byte for byte. */
  valueBegins(other: Uint8Array): boolean {
    return this.valueLength >= other.length && startsAt(this.source, this.valueStart, other);
  }
}

/** What an entry counts for beside its bytes (RFC 7541 section 4.1). */
const FIELD_OVERHEAD_BYTES = 32;

function startsAt(source: Uint8Array, at: number, other: Uint8Array): boolean {
  for (let i = 0; i < other.length; i++) if (source[at + i] !== other[i]) return false;
  return true;
}

/** RFC 9113 section 8.2.1, in the stricter reading of RFC 9110: a token, in lower case. */
function nameFault(bytes: Uint8Array, start: number): string {
  if (bytes.length === start) return "an empty field name";
  for (let i = start; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte >= 65 && byte <= 90) return "a field name with an upper-case letter";
    if (TOKEN[byte] === 0) return "a field name with a byte that no name may have";
  }
  return "";
}

/** What goes on into HTTP/1.1 must not end a line there. */
function valueFault(source: Uint8Array, start: number): string {
  const end = source.length;
  for (let i = start; i < end; i++) if (FIELD[source[i]!] === 0) return "a control byte in a field value";
  if (end > start && (isBlank(source[start]!) || isBlank(source[end - 1]!))) return "a blank around a field value";
  return "";
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === HT;
}

/** Writes an integer with an n-bit prefix (RFC 7541 section 5.1); answers the position behind it. */
export function writePrefixed(
  target: Uint8Array,
  at: number,
  value: number,
  prefixBits: number,
  first: number,
): number {
  const max = (1 << prefixBits) - 1;
  let to = at;
  if (value < max) {
    target[to++] = first | value;
    return to;
  }
  target[to++] = first | max;
  let rest = value - max;
  while (rest > 127) {
    target[to++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  target[to++] = rest;
  return to;
}

/** Most bytes that a prefixed integer below 2^31 takes. */
const PREFIXED_BYTES_MAX = 6;

/** The most that `writeLiteral` writes beside the bytes of name and value. */
export const LITERAL_OVERHEAD_BYTES = 2 * PREFIXED_BYTES_MAX + 1;

/** Writes the head of a literal without indexing: its name, and the length of a value that has to follow. */
export function writeLiteral(
  target: Uint8Array,
  at: number,
  name: FieldName,
  valueLength: number,
  neverIndexed = false,
): number {
  const first = neverIndexed ? NEVER_INDEXED : 0;
  let to = at;
  if (name.index > 0) {
    to = writePrefixed(target, to, name.index, 4, first);
  } else {
    target[to++] = first;
    to = writePrefixed(target, to, name.bytes.length, 7, 0);
    target.set(name.bytes, to);
    to += name.bytes.length;
  }
  return writePrefixed(target, to, valueLength, 7, 0);
}

/** The static table: entry i at [i - 1]. */
export const STATIC_FIELDS: readonly HeaderField[] = staticFields();

/** Names that the static table has, by their text. */
const STATIC_NAMES = new Map<string, FieldName>(
  STATIC_FIELDS.toReversed().map(({ name }) => [decoder.decode(name.bytes), name] as const),
);

function staticFields(): HeaderField[] {
  const names = new Map<string, FieldName>();
  return STATIC_ENTRIES.map(([text, value], at) => {
    const name = names.get(text) ?? new FieldName(ascii(text), at + 1);
    names.set(text, name);
    return new HeaderField(name, Uint8Array.of(INDEXED | (at + 1)), ascii(value), 0);
  });
}

/** A field of our own, as it is sent: by its index where the static table has it whole. */
export function fieldOf(name: string, value: string | Uint8Array): HeaderField {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  const known = STATIC_NAMES.get(name);
  if (known !== undefined) {
    const same = STATIC_FIELDS.find((field) => field.name === known && bytes.length > 0 && field.valueIs(bytes));
    if (same !== undefined) return same;
  }
  return literalField(known ?? new FieldName(ascii(name)), bytes, 0, bytes.length);
}

/** A literal field whose value is bytes [start, end). */
export function literalField(
  name: FieldName,
  bytes: Uint8Array,
  start: number,
  end: number,
  neverIndexed = false,
): HeaderField {
  const room = (name.index > 0 ? 0 : name.bytes.length) + end - start + LITERAL_OVERHEAD_BYTES;
  const scratch = room <= SCRATCH.length ? SCRATCH : new Uint8Array(room);
  const valueAt = writeLiteral(scratch, 0, name, end - start, neverIndexed);
  const encoded = scratch.slice(0, copyBytes(bytes, start, end, scratch, valueAt));
  return new HeaderField(name, encoded, encoded, valueAt);
}

const SCRATCH = new Uint8Array(4096);
