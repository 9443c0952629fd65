/**
 * Where the prompt lies in a protobuf message of which no schema is known: the longest of its fields, and of that the
 * longest again, until that is text or no message. So it is found wherever APIs of inference have it (a string, one of
 * repeated messages, a tensor's bytes with their length before them), and begins with the same bytes in the next request
 * of a conversation, whatever lengths stand before it.
 *
 * A message may be cut short: then what is here of its last field counts. Limits: 16 levels, of each the first
 * 1,000 fields, varints of ten bytes, no groups. What is no protobuf has none.
 */
import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, VARINT_BYTES_MAX } from "./proto-wire.ts";

const DEPTH_MAX = 16;
const FIELDS_MAX = 1000;
/** So many bytes of what may be text are looked at. */
const LOOKED_AT = 64;

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The prompt in the message of bytes [start, end); null: there is none. */
export function promptIn(bytes: Uint8Array, start: number, end: number): Span | null {
  let found: Span | null = null;
  let span: Span = { start, end };
  for (let depth = 0; depth < DEPTH_MAX; depth += 1) {
    const longest = longestField(bytes, span.start, span.end);
    if (longest === null) break;
    found = longest;
    if (isText(bytes, longest.start, longest.end)) break;
    span = longest;
  }
  return found === null ? null : withoutLength(bytes, found);
}

/** The longest field of a message; null: it has none, or is no message. */
function longestField(bytes: Uint8Array, start: number, end: number): Span | null {
  let longest: Span | null = null;
  for (let at = start, fields = 0; at < end && fields < FIELDS_MAX; fields += 1) {
    const tag = varint(bytes, at, end);
    if (tag === null || tag.value < 8) return null;
    at = tag.end;
    switch (tag.value % 8) {
      case VARINT: {
        const value = varint(bytes, at, end);
        if (value === null) return null;
        at = value.end;
        break;
      }
      case FIXED64:
        at += 8;
        break;
      case FIXED32:
        at += 4;
        break;
      case LENGTH_DELIMITED: {
        const length = varint(bytes, at, end);
        if (length === null) return null;
        const field = { start: length.end, end: Math.min(end, length.end + length.value) };
        if (longest === null || field.end - field.start > longest.end - longest.start) longest = field;
        at = length.end + length.value;
        break;
      }
      default:
        return null;
    }
  }
  return longest !== null && longest.end > longest.start ? longest : null;
}

function varint(
  bytes: Uint8Array,
  start: number,
  end: number,
): { readonly value: number; readonly end: number } | null {
  let value = 0;
  let factor = 1;
  for (let at = start; at < end && at < start + VARINT_BYTES_MAX; at += 1) {
    const byte = bytes[at]!;
    value += (byte & 127) * factor;
    if (byte < 128) return { value, end: at + 1 };
    factor *= 128;
  }
  return null;
}

/** Whether it begins as UTF-8 without control characters, which a message's tags and lengths hardly do. */
function isText(bytes: Uint8Array, start: number, end: number): boolean {
  const stop = Math.min(end, start + LOOKED_AT);
  for (let at = start; at < stop;) {
    const byte = bytes[at]!;
    const more = byte < 0x80 ? 0 : byte >= 0xf0 && byte < 0xf5 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc2 ? 1 : -1;
    const isControl = (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13) || byte === 0x7f;
    if (more < 0 || byte >= 0xf5 || isControl) return false;
    for (let next = 1; next <= more; next += 1) {
      if (at + next < end && (bytes[at + next]! & 0xc0) !== 0x80) return false;
    }
    at += 1 + more;
  }
  return true;
}

/** Tensors of texts have four bytes of length before each (KServe's raw contents). */
function withoutLength(bytes: Uint8Array, { start, end }: Span): Span {
  if (end - start < 8 || isText(bytes, start, start + 4)) return { start, end };
  const length = bytes[start]! + bytes[start + 1]! * 256 + bytes[start + 2]! * 65_536 + bytes[start + 3]! * 16_777_216;
  return length > 0 && isText(bytes, start + 4, end)
    ? { start: start + 4, end: Math.min(end, start + 4 + length) }
    : { start, end };
}
