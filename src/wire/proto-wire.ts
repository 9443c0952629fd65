/** What protobuf's reader and writer share: the wire types, and which one a field's values have. */
import type { ProtoScalar } from "./proto-schema.ts";

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
export const FIXED32 = 5;
export const VARINT_BYTES_MAX = 10;

export function wireOf(type: ProtoScalar): number {
  switch (type) {
    case "double":
      return FIXED64;
    case "float":
      return FIXED32;
    case "string":
    case "bytes":
    case "message":
      return LENGTH_DELIMITED;
    default:
      return VARINT;
  }
}
