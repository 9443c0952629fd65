/**
 * The heads that a gRPC call is relayed with: the sender's fields, without those of the mesh and the hop, and with our
 * own. A head that comes again (the same block, hpack.ts) is written once and copied from then on.
 */
import { formatTimeout } from "../wire/grpc-timeout.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { copyBytes, copyOf } from "../wire/octets.ts";
import type { Forwarding } from "./forwarding.ts";
import { FIELD_KIND, FieldName, LITERAL_OVERHEAD_BYTES, writeLiteral } from "../wire/header-field.ts";

/** Longest list that a connection takes, and what is added. */
const SCRATCH_BYTES = 65_536 + 2048;
const TIMEOUT = new FieldName(Buffer.from("grpc-timeout"));

/** Where heads are written: bytes [0, answered position), good until the next one. */
export const headBytes: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** A block that was written once; the next time it is kept, since it is likely to come often. */
const ONCE = Symbol("once");

/**
 * Only this mesh says which node served, what is left of the time is said anew, and a length would not be true of a
 * call that ends with a status of our own.
 */
function isOurs(kind: number): boolean {
  return kind === FIELD_KIND.node || kind === FIELD_KIND.grpcTimeout || kind === FIELD_KIND.contentLength;
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

/** Without what the settings keep from targets, for which a block that was kept is of no use. */
function writeKept({ fields }: HeaderBlock, forwarding: Forwarding): number {
  let at = 0;
  for (const { name, encoded } of fields) {
    if (!isOurs(name.kind) && forwarding.keeps(name)) at = copyBytes(encoded, 0, encoded.length, headBytes, at);
  }
  return at;
}

/**
 * The head of a request with so many milliseconds left (Infinity: any) and the encoded fields that tell of the client;
 * answers its end.
 */
export function writeRequestHead(
  block: HeaderBlock,
  leftMs: number,
  forwarded: Uint8Array,
  forwarding: Forwarding,
): number {
  let at = forwarding.isFixed ? writeFields(block) : writeKept(block, forwarding);
  if (leftMs !== Number.POSITIVE_INFINITY) {
    const text = formatTimeout(leftMs);
    at = writeLiteral(headBytes, at, TIMEOUT, text.length);
    for (let i = 0; i < text.length; i++) headBytes[at++] = text.charCodeAt(i);
  }
  headBytes.set(forwarded, at);
  return at + forwarded.length;
}

/** What a request's head counts for at most beyond its own list, against the limit of its target. */
export const REQUEST_EXTRA_BYTES: number = 256 + LITERAL_OVERHEAD_BYTES;

/** The head of an answer, with the field that names its node; answers its end. */
export function writeAnswerHead(block: HeaderBlock, nodeField: Uint8Array): number {
  const at = writeFields(block);
  headBytes.set(nodeField, at);
  return at + nodeField.length;
}

export function writeTrailers(block: HeaderBlock): number {
  return writeFields(block);
}
