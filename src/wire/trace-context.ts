/**
 * W3C Trace Context (levels 1 and 2): reads and writes `traceparent`, counts the members of `tracestate`, makes ids of
 * random words that the caller brings, and decides which new traces are sampled.
 *
 * `traceparent` is `VERSION-TRACE-PARENT-FLAGS` in lower-case hexadecimal. Version 00 has these four parts and no
 * more; a later one may go on after another dash, and is read as if it were 00; ff is none. An id of zeros alone says
 * that there is none. Of the flags two are known: sampled, and random (level 2), which tells that the trace's id was
 * drawn by chance; others are cleared, as both levels ask. What can't be read is no error: the receiver begins a trace
 * of its own, and does not pass `tracestate` on, since that belongs to the trace that could not be read.
 *
 * Ids are kept as 32-bit numbers, so that neither reading nor writing allocates. Limits: 32 members of tracestate
 * (the most that a list may have); its bytes are bounded by those of the head.
 */
import { DASH, HT, SP } from "./octets.ts";

/** Somebody before this one records the trace. */
export const SAMPLED = 1;
/** The trace's id is random, at least in its last 56 bits. */
export const RANDOM = 2;

/** Bytes of a `traceparent` of version 00. */
export const TRACEPARENT_BYTES = 55;
export const TRACESTATE_MEMBERS_MAX = 32;

const COMMA = 44;
const VERSION_MAX = 0xfe;
const TRACE_AT = 3;
const SPAN_AT = 36;
const FLAGS_AT = 53;
const TWO_POW_32 = 2 ** 32;
const TWO_POW_56 = 2 ** 56;

/** A place in a trace: its 128-bit id, the 64-bit id of a span in it, and the flags. */
export interface TracePlace {
  trace0: number;
  trace1: number;
  trace2: number;
  trace3: number;
  span0: number;
  span1: number;
  flags: number;
}

/** A reusable parse result: the trace and the span that a request came from. */
export class TraceParent implements TracePlace {
  trace0 = 0;
  trace1 = 0;
  trace2 = 0;
  trace3 = 0;
  span0 = 0;
  span1 = 0;
  flags = 0;

  /** Reads the value at buffer[start, end); false when it is none, and what was held before is lost. */
  read(buffer: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (length < TRACEPARENT_BYTES) return false;
    const version = hex(buffer, start, 2);
    if (version < 0 || version > VERSION_MAX) return false;
    if (length > TRACEPARENT_BYTES && (version === 0 || buffer[start + TRACEPARENT_BYTES] !== DASH)) return false;
    const dashed =
      buffer[start + TRACE_AT - 1] === DASH &&
      buffer[start + SPAN_AT - 1] === DASH &&
      buffer[start + FLAGS_AT - 1] === DASH;
    if (!dashed) return false;
    this.trace0 = hex(buffer, start + TRACE_AT, 8);
    this.trace1 = hex(buffer, start + TRACE_AT + 8, 8);
    this.trace2 = hex(buffer, start + TRACE_AT + 16, 8);
    this.trace3 = hex(buffer, start + TRACE_AT + 24, 8);
    this.span0 = hex(buffer, start + SPAN_AT, 8);
    this.span1 = hex(buffer, start + SPAN_AT + 8, 8);
    const flags = hex(buffer, start + FLAGS_AT, 2);
    if (this.trace0 < 0 || this.trace1 < 0 || this.trace2 < 0 || this.trace3 < 0) return false;
    if (this.span0 < 0 || this.span1 < 0 || flags < 0) return false;
    this.flags = flags & (SAMPLED | RANDOM);
    return (
      (this.trace0 !== 0 || this.trace1 !== 0 || this.trace2 !== 0 || this.trace3 !== 0) &&
      (this.span0 !== 0 || this.span1 !== 0)
    );
  }
}

/** Writes the value, of version 00, at buffer[at...); answers the position behind it. */
export function writeTraceparent(place: Readonly<TracePlace>, buffer: Uint8Array, at: number): number {
  writeHex(buffer, at, 0, 2);
  buffer[at + TRACE_AT - 1] = DASH;
  writeHex(buffer, at + TRACE_AT, place.trace0, 8);
  writeHex(buffer, at + TRACE_AT + 8, place.trace1, 8);
  writeHex(buffer, at + TRACE_AT + 16, place.trace2, 8);
  writeHex(buffer, at + TRACE_AT + 24, place.trace3, 8);
  buffer[at + SPAN_AT - 1] = DASH;
  writeHex(buffer, at + SPAN_AT, place.span0, 8);
  writeHex(buffer, at + SPAN_AT + 8, place.span1, 8);
  buffer[at + FLAGS_AT - 1] = DASH;
  writeHex(buffer, at + FLAGS_AT, place.flags, 2);
  return at + TRACEPARENT_BYTES;
}

/** Gives `place` a trace of its own, out of four random words; it is not sampled until someone says so. */
export function newTrace(place: TracePlace, word0: number, word1: number, word2: number, word3: number): void {
  place.trace0 = word0 >>> 0;
  place.trace1 = word1 >>> 0;
  place.trace2 = word2 >>> 0;
  place.trace3 = word3 >>> 0;
  place.flags = RANDOM;
  // An id of zeros is none.
  if (place.trace0 === 0 && place.trace1 === 0 && place.trace2 === 0 && place.trace3 === 0) place.trace3 = 1;
}

/** Gives `place` a span's id out of two random words. */
export function newSpanId(place: TracePlace, word0: number, word1: number): void {
  place.span0 = word0 >>> 0;
  place.span1 = word0 === 0 && word1 === 0 ? 1 : word1 >>> 0;
}

/**
 * Whether a trace with a random id is among the share `ratio` (0 to 1) that is sampled. The last 56 bits of the id
 * decide, as in OpenTelemetry's consistent sampling, so that whoever else samples at the same ratio takes the same ones.
 */
export function isSampled({ trace2, trace3 }: Readonly<TracePlace>, ratio: number): boolean {
  return (trace2 & 0xff_ffff) * TWO_POW_32 + trace3 >= (1 - ratio) * TWO_POW_56;
}

/** How many members the `tracestate` value in buffer[start, end) lists; empty ones don't count. */
export function stateMembers(buffer: Uint8Array, start: number, end: number): number {
  let members = 0;
  let empty = true;
  for (let i = start; i < end; i++) {
    const byte = buffer[i]!;
    if (byte === COMMA) empty = true;
    else if (empty && byte !== SP && byte !== HT) {
      empty = false;
      members++;
    }
  }
  return members;
}

/** The number that `digits` lower-case hexadecimal digits spell, or -1. */
function hex(buffer: Uint8Array, at: number, digits: number): number {
  let value = 0;
  for (let i = at; i < at + digits; i++) {
    const byte = buffer[i]!;
    let digit = byte - 48;
    if (digit > 9) digit = byte >= 97 && byte <= 102 ? byte - 87 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

function writeHex(buffer: Uint8Array, at: number, value: number, digits: number): void {
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const digit = rest & 15;
    buffer[i] = digit < 10 ? 48 + digit : 87 + digit;
    rest >>>= 4;
  }
}
