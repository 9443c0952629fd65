/**
 * A decoded header block, and what RFC 9113 section 8 demands of it as a request, an answer or trailers.
 *
 * The check is made once for a block; one that comes again (hpack.ts) is known already. Malformed messages are told by
 * a reason: their stream ends with PROTOCOL_ERROR, their connection goes on.
 */
import { FIELD_KIND, type HeaderField } from "./header-field.ts";
import { ascii, AUTHORITY, copyBytes, latin1, TARGET, TOKEN } from "./octets.ts";

const TRAILERS = ascii("trailers");
const CONNECT = ascii("CONNECT");
const OPTIONS = ascii("OPTIONS");
const SLASH = 47;
const ASTERISK = 42;
const LENGTH_DIGITS_MAX = 16;

/** What a block is read as. */
export const BLOCK_ROLE = { none: 0, request: 1, answer: 2, trailers: 3 } as const;

export class HeaderBlock {
  readonly fields: HeaderField[] = [];
  /** As RFC 9113 section 6.5.2 counts. */
  size = 0;
  /** The list was longer than allowed; what there is of it is its beginning. */
  tooLarge = false;

  // ---- known once it was read in a role
  method: HeaderField | null = null;
  scheme: HeaderField | null = null;
  authority: HeaderField | null = null;
  path: HeaderField | null = null;
  host: HeaderField | null = null;
  contentType: HeaderField | null = null;
  model: HeaderField | null = null;
  grpcTimeout: HeaderField | null = null;
  grpcStatus: HeaderField | null = null;
  /** The first one, if there are several. */
  requestId: HeaderField | null = null;
  /** By which a server tells of its load, and how many such fields there are. */
  load: HeaderField | null = null;
  loadFields = 0;
  /** There is something that the client asks of the router itself. */
  hasWishes = false;
  /** Trailers are announced. */
  hasTrailers = false;
  status = 0;
  /** -1: none was given. */
  contentLength = -1;
  /** What a relay keeps with a block that comes again and again. */
  note: unknown = undefined;
  #role: number = BLOCK_ROLE.none;
  #fault = "";

  /** Why the block is malformed in this role, or "". */
  fault(role: number): string {
    if (this.#role !== role) {
      if (this.#role !== BLOCK_ROLE.none) this.#forget();
      this.#role = role;
      this.#fault = this.#read(role);
    }
    return this.#fault;
  }

  /** The value of the first field of this name, or null. */
  value(name: string): string | null {
    for (const field of this.fields) if (field.name.text === name) return field.text;
    return null;
  }

  /** The values of all fields of this name, in their order, as Latin-1 text: byte for byte. */
  octets(name: string): string[] {
    const values: string[] = [];
    for (const field of this.fields) {
      if (field.name.text === name) values.push(latin1(field.source, field.valueStart, field.source.length));
    }
    return values;
  }

  /** Whether the field `name` is there more than once. */
  repeats(name: string): boolean {
    return this.fields.filter((field) => field.name.text === name).length > 1;
  }

  /** One block may come as a head first and as trailers later. */
  #forget(): void {
    this.method = null;
    this.scheme = null;
    this.authority = null;
    this.path = null;
    this.host = null;
    this.contentType = null;
    this.model = null;
    this.grpcTimeout = null;
    this.grpcStatus = null;
    this.requestId = null;
    this.load = null;
    this.loadFields = 0;
    this.hasWishes = false;
    this.hasTrailers = false;
    this.status = 0;
    this.contentLength = -1;
    this.note = undefined;
  }

  /** Bytes that `write` takes. */
  encodedLength(skip: (kind: number) => boolean): number {
    let length = 0;
    for (const field of this.fields) if (!skip(field.name.kind)) length += field.encoded.length;
    return length;
  }

  /** Writes the fields as they are sent on, without those whose kind is skipped; answers the position behind. */
  write(target: Uint8Array, at: number, skip: (kind: number) => boolean): number {
    let to = at;
    for (const field of this.fields) {
      if (skip(field.name.kind)) continue;
      to = copyBytes(field.encoded, 0, field.encoded.length, target, to);
    }
    return to;
  }

  #read(role: number): string {
    let pseudoEnded = false;
    for (const field of this.fields) {
      if (field.fault !== "") return field.fault;
      if (!field.name.isPseudo) pseudoEnded = true;
      else if (pseudoEnded) return "a pseudo-header field after a regular one";
      const fault = this.#take(field, role);
      if (fault !== "") return fault;
    }
    if (this.tooLarge || role === BLOCK_ROLE.trailers) return "";
    if (role === BLOCK_ROLE.answer) return this.status === 0 ? "no :status" : "";
    return this.#checkRequest();
  }

  #take(field: HeaderField, role: number): string {
    const { kind } = field.name;
    switch (kind) {
      case FIELD_KIND.other:
        return "";
      case FIELD_KIND.method:
      case FIELD_KIND.scheme:
      case FIELD_KIND.authority:
      case FIELD_KIND.path:
        return role === BLOCK_ROLE.request ? this.#takeTarget(field, kind) : "a request's pseudo-header field";
      case FIELD_KIND.status:
        if (role !== BLOCK_ROLE.answer) return "an answer's pseudo-header field";
        if (this.status !== 0) return "more than one :status";
        this.status = numberOf(field, 3);
        return this.status < 100 || this.status > 599 ? "a malformed :status" : "";
      case FIELD_KIND.strangePseudo:
        return "an unknown pseudo-header field";
      case FIELD_KIND.connection:
        return "a field that belongs to an HTTP/1.1 connection";
      case FIELD_KIND.te:
        return field.valueIs(TRAILERS) ? "" : "a TE other than trailers";
      case FIELD_KIND.contentLength: {
        // In trailers it would say something about a body that is over.
        if (role === BLOCK_ROLE.trailers) return "a Content-Length in trailers";
        if (this.contentLength >= 0) return "more than one Content-Length";
        const length = numberOf(field, LENGTH_DIGITS_MAX);
        if (length < 0 || length > Number.MAX_SAFE_INTEGER) return "a Content-Length that is no plain number";
        this.contentLength = length;
        return "";
      }
      default:
        return this.#takeOnce(field, kind);
    }
  }

  #takeTarget(field: HeaderField, kind: number): string {
    switch (kind) {
      case FIELD_KIND.method:
        if (this.method !== null) return "more than one :method";
        this.method = field;
        return field.valueLength > 0 && consistsOf(field, TOKEN) ? "" : "a malformed :method";
      case FIELD_KIND.scheme:
        if (this.scheme !== null) return "more than one :scheme";
        this.scheme = field;
        return field.valueLength > 0 ? "" : "an empty :scheme";
      case FIELD_KIND.path:
        if (this.path !== null) return "more than one :path";
        this.path = field;
        return field.valueLength > 0 && consistsOf(field, TARGET) ? "" : "a malformed :path";
      default:
        if (this.authority !== null) return "more than one :authority";
        this.authority = field;
        return consistsOf(field, AUTHORITY) ? "" : "a malformed :authority";
    }
  }

  /** Fields of which a second one would let two readers see two messages. */
  #takeOnce(field: HeaderField, kind: number): string {
    switch (kind) {
      case FIELD_KIND.host:
        if (this.host !== null) return "more than one Host";
        this.host = field;
        return consistsOf(field, AUTHORITY) ? "" : "a malformed Host";
      case FIELD_KIND.contentType:
        if (this.contentType !== null) return "more than one Content-Type";
        this.contentType = field;
        return "";
      case FIELD_KIND.model:
        if (this.model !== null) return "more than one x-infermesh-model";
        this.model = field;
        return "";
      case FIELD_KIND.grpcTimeout:
        if (this.grpcTimeout !== null) return "more than one grpc-timeout";
        this.grpcTimeout = field;
        return "";
      case FIELD_KIND.grpcStatus:
        this.grpcStatus ??= field;
        return "";
      case FIELD_KIND.requestId:
        this.requestId ??= field;
        return "";
      case FIELD_KIND.wish:
        this.hasWishes = true;
        return "";
      case FIELD_KIND.load:
      case FIELD_KIND.loadBinary:
        this.load = field;
        this.loadFields++;
        return "";
      case FIELD_KIND.trailer:
        this.hasTrailers = true;
        return "";
      default:
        return "";
    }
  }

  /** RFC 9113 sections 8.3.1 and 8.5. */
  #checkRequest(): string {
    const { method, scheme, path, authority, host } = this;
    if (method === null) return "no :method";
    if (method.valueIs(CONNECT)) {
      if (authority === null || scheme !== null || path !== null) return "a malformed CONNECT";
      return "";
    }
    if (scheme === null) return "no :scheme";
    if (path === null) return "no :path";
    const first = path.source[path.valueStart];
    if (first !== SLASH && !(first === ASTERISK && path.valueLength === 1 && method.valueIs(OPTIONS))) {
      return "a :path that is no path";
    }
    if (authority !== null && host !== null && !host.valueIs(authority.source.subarray(authority.valueStart))) {
      return "a Host other than :authority";
    }
    return "";
  }
}

function consistsOf(field: HeaderField, allowed: Uint8Array): boolean {
  const { source } = field;
  for (let i = field.valueStart; i < source.length; i++) if (allowed[source[i]!] === 0) return false;
  return true;
}

/** A value of decimal digits, or -1. */
export function numberOf(field: HeaderField, digitsMax: number): number {
  const { source, valueStart } = field;
  const end = source.length;
  if (end === valueStart || end - valueStart > digitsMax) return -1;
  let value = 0;
  for (let i = valueStart; i < end; i++) {
    const digit = source[i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
