/**
 * The id of a gRPC call, as metadata of its request and of its answer's head. It stands behind the fields that are the
 * same in every call, as a literal that nobody indexes: those are still copied in one piece (grpc-heads.ts).
 */
import type { HeaderBlock } from "../wire/header-block.ts";
import { FieldName, type HeaderField, LITERAL_OVERHEAD_BYTES, writeLiteral } from "../wire/header-field.ts";
import { ascii, copyBytes } from "../wire/octets.ts";
import { ID_BYTES, ID_BYTES_MAX, isUsableId, nextId, writeId } from "./request-id.ts";

/** The client's own field, or the number of an id that was made here. */
export type CallId = HeaderField | number;

const NAME = new FieldName(ascii("x-request-id"));
/** The longest that the field gets. */
const FIELD_BYTES_MAX = NAME.bytes.length + ID_BYTES_MAX + LITERAL_OVERHEAD_BYTES;
/** The field of an id that is made here, up to its value. */
const START = (() => {
  const bytes = new Uint8Array(FIELD_BYTES_MAX);
  return bytes.slice(0, writeLiteral(bytes, 0, NAME, ID_BYTES));
})();

export function callId({ requestId }: HeaderBlock): CallId {
  if (requestId === null || !isUsableId(requestId.source, requestId.valueStart, requestId.source.length))
    return nextId();
  return requestId;
}

/** Writes the whole field; answers the position behind it. */
export function writeIdField(id: CallId, target: Uint8Array, at: number): number {
  if (typeof id === "number") return writeId(id, target, copyBytes(START, 0, START.length, target, at));
  return copyBytes(id.encoded, 0, id.encoded.length, target, at);
}

/** The field by itself, for answers of our own. */
export function idField(id: CallId): Uint8Array {
  const bytes = new Uint8Array(FIELD_BYTES_MAX);
  return bytes.subarray(0, writeIdField(id, bytes, 0));
}

export function idText(id: CallId): string {
  if (typeof id !== "number") return id.text;
  const bytes = Buffer.alloc(ID_BYTES);
  return bytes.toString("latin1", 0, writeId(id, bytes, 0));
}
