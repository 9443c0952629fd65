/**
 * The heads that a gRPC call is relayed with: the sender's fields, without those of the mesh and the hop, and with our
 * own. A head that comes again (the same block, hpack.ts) is written once and copied from then on; what differs from
 * call to call (what is left of its time, its id, its span) is written behind it.
 */
import type { Span } from "../obs/spans.ts";
import { formatTimeout } from "../wire/grpc-timeout.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { copyBytes, copyOf } from "../wire/octets.ts";
import { FIELD_KIND, FieldName, LITERAL_OVERHEAD_BYTES, writeLiteral } from "../wire/header-field.ts";
import { hasDropped, KEYS_BYTES_MAX, type ModelKeys } from "../wire/upstream-keys.ts";
import type { Forwarding } from "./forwarding.ts";
import { type CallId, writeIdField } from "./grpc-id.ts";
import { isTraced, passesState, writeTrace } from "./grpc-trace.ts";

/** Longest list that a connection takes, and what is added. */
const SCRATCH_BYTES = 65_536 + 2048 + KEYS_BYTES_MAX;
const TIMEOUT = new FieldName(Buffer.from("grpc-timeout"));

/** Where heads are written: bytes [0, answered position), good until the next one. */
export const headBytes: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** A block that was written once; the next time it is kept, since it is likely to come often. */
const ONCE = Symbol("once");

/**
 * Only this mesh says which node served and which call it is, what is left of the time is said anew, and a length would
 * not be true of a call that ends with a status of our own.
 */
function isOurs(kind: number): boolean {
  switch (kind) {
    case FIELD_KIND.node:
    case FIELD_KIND.requestId:
    case FIELD_KIND.grpcTimeout:
    case FIELD_KIND.contentLength:
      return true;
    default:
      return false;
  }
}

function writeFields(block: HeaderBlock): number {
  const { note } = block;
  if (note instanceof Uint8Array) {
    headBytes.set(note);
    return note.length;
  }
  const end = block.write(headBytes, 0, isOurs);
  block.note = note === ONCE ? copyOf(headBytes, 0, end) : ONCE;
  return end;
}

function isOursOrLoad(kind: number): boolean {
  return kind === FIELD_KIND.load || kind === FIELD_KIND.loadBinary || isOurs(kind);
}

/** The fields of an answer, without what it says of its target's load unless that is passed on. */
function writeAnswered(block: HeaderBlock, passesLoad: boolean): number {
  // A load that was told is seldom told again, so such a block is not worth keeping.
  if (block.load === null) return writeFields(block);
  return block.write(headBytes, 0, passesLoad ? isOurs : isOursOrLoad);
}

/**
 * Without what the settings keep from targets, and what a span takes the place of; a block that was kept is of no use
 * for either.
 */
function writeKept(block: HeaderBlock, forwarding: Forwarding, span: Span | null, keys: ModelKeys | null): number {
  const hasState = span === null || passesState(block, span);
  let at = 0;
  for (const { name, encoded } of block.fields) {
    if (isOurs(name.kind) || !forwarding.keeps(name) || keys?.dropped.has(name.text) === true) continue;
    if (span !== null && name.kind === FIELD_KIND.traceparent) continue;
    if (!hasState && name.kind === FIELD_KIND.tracestate) continue;
    at = copyBytes(encoded, 0, encoded.length, headBytes, at);
  }
  return at;
}

/**
 * The head of a request of this id with so many milliseconds left (Infinity: any), the encoded fields that tell of the
 * client, its span, where one is recorded, and the keys that the target is shown; answers its end.
 */
export function writeRequestHead(
  block: HeaderBlock,
  id: CallId,
  leftMs: number,
  forwarded: Uint8Array,
  forwarding: Forwarding,
  span: Span | null,
  keys: ModelKeys | null,
): number {
  const isClean = keys === null || !hasDropped(block, keys);
  const isPlain = forwarding.isFixed && isClean && (span === null || !isTraced(block));
  let at = isPlain ? writeFields(block) : writeKept(block, forwarding, span, keys);
  if (keys !== null) {
    headBytes.set(keys.fields, at);
    at += keys.fields.length;
  }
  if (leftMs !== Number.POSITIVE_INFINITY) {
    const text = formatTimeout(leftMs);
    at = writeLiteral(headBytes, at, TIMEOUT, text.length);
    for (let i = 0; i < text.length; i++) headBytes[at++] = text.charCodeAt(i);
  }
  if (span !== null) at = writeTrace(span, headBytes, at);
  headBytes.set(forwarded, at);
  return writeIdField(id, headBytes, at + forwarded.length);
}

/** What a request's head counts for at most beyond its own list, against the limit of its target. */
export const REQUEST_EXTRA_BYTES: number = 384 + LITERAL_OVERHEAD_BYTES;

/** The head of an answer to the call of this id, with the field that names its node; answers its end. */
export function writeAnswerHead(block: HeaderBlock, id: CallId, nodeField: Uint8Array, passesLoad: boolean): number {
  const at = writeAnswered(block, passesLoad);
  headBytes.set(nodeField, at);
  return writeIdField(id, headBytes, at + nodeField.length);
}

export function writeTrailers(block: HeaderBlock, passesLoad: boolean): number {
  return writeAnswered(block, passesLoad);
}
