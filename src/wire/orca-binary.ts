/**
 * The binary form of a load report (orca.ts): base64 (RFC 4648, either alphabet, padded or not, as gRPC's binary metadata
 * may be), and in it the message xds.data.orca.v3.OrcaLoadReport, of which only names and numbers are read.
 *
 * It comes from servers, so every length is checked; what is not known of the message is passed over by its wire type.
 */
import { ascii } from "./octets.ts";
import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, VARINT_BYTES_MAX } from "./proto-wire.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const DIGITS = new Int8Array(256).fill(-1);
for (let digit = 0; digit < ALPHABET.length; digit++) DIGITS[ALPHABET.charCodeAt(digit)] = digit;
DIGITS["-".charCodeAt(0)] = 62;
DIGITS["_".charCodeAt(0)] = 63;
const PADDING = 61;

/** What the fields of the message with these numbers are called; the others are none of a row's. */
const APPLICATION_UTILIZATION = 9;
const APPLICATION_UTILIZATION_NAME = ascii("application_utilization");
/** Maps from names to numbers: `utilization` and `named_metrics`. */
const UTILIZATION = 5;
const NAMED_METRICS = 8;

/** Decodes into memory of its own. */
export class Base64Reader {
  readonly bytes: Uint8Array;

  /** For texts of at most so many bytes. */
  constructor(textBytesMax: number) {
    this.bytes = new Uint8Array(Math.ceil(textBytesMax / 4) * 3);
  }

  /** Decodes text [start, end) to the beginning of `bytes`; answers how many that are, or -1. */
  read(text: Uint8Array, start: number, end: number): number {
    let stop = end;
    while (stop > start && end - stop < 2 && text[stop - 1] === PADDING) stop--;
    if ((stop - start) % 4 === 1 || (stop < end && (end - start) % 4 !== 0)) return -1;
    let bits = 0;
    let count = 0;
    let to = 0;
    for (let i = start; i < stop; i++) {
      const digit = DIGITS[text[i]!]!;
      if (digit < 0) return -1;
      bits = ((bits << 6) | digit) & 0xffff;
      count += 6;
      if (count < 8) continue;
      count -= 8;
      this.bytes[to++] = bits >>> count;
    }
    return to;
  }
}

/** Tells a name, bytes [from, to), and its number; false refuses the message. */
export type TakeNumber = (bytes: Uint8Array, from: number, to: number, value: number) => boolean;

/** Reads bytes [0, length); false: they are no such message, or one with more than `itemsMax` fields. */
export function isOrcaMessage(bytes: Uint8Array, length: number, itemsMax: number, take: TakeNumber): boolean {
  let items = 0;
  for (let at = 0; at < length;) {
    if (++items > itemsMax) return false;
    at = readTag(bytes, at, length);
    if (at < 0) return false;
    const number = tag >>> 3;
    const wire = tag & 7;
    const value = at;
    at = skip(bytes, at, length, wire);
    if (at < 0 || number === 0) return false;
    if (number === APPLICATION_UTILIZATION) {
      const name = APPLICATION_UTILIZATION_NAME;
      if (wire !== FIXED64 || !take(name, 0, name.length, doubleAt(bytes, value))) return false;
    } else if (number === NAMED_METRICS || number === UTILIZATION) {
      if (wire !== LENGTH_DELIMITED || !readEntry(bytes, contentAt, at, take)) return false;
    }
  }
  return true;
}

/** An entry of a map: its name is field 1, its number field 2. */
function readEntry(bytes: Uint8Array, start: number, end: number, take: TakeNumber): boolean {
  let from = start;
  let to = start;
  let value = 0;
  for (let at = start; at < end;) {
    at = readTag(bytes, at, end);
    if (at < 0) return false;
    const number = tag >>> 3;
    const wire = tag & 7;
    const content = at;
    at = skip(bytes, at, end, wire);
    if (at < 0) return false;
    if (number === 1) {
      if (wire !== LENGTH_DELIMITED) return false;
      from = contentAt;
      to = at;
    } else if (number === 2) {
      if (wire !== FIXED64) return false;
      value = doubleAt(bytes, content);
    }
  }
  return to > from && take(bytes, from, to, value);
}

/** The tag read last, and where the content of the length-delimited field skipped last begins. */
let tag = 0;
let contentAt = 0;
/** The varint read last, as far as 32 bits hold it. */
let varint = 0;

function readTag(bytes: Uint8Array, start: number, end: number): number {
  const at = readVarint(bytes, start, end);
  tag = varint;
  return at;
}

/** One past the varint at `start`, or -1. Bits beyond the 31st must be nought where its value matters. */
function readVarint(bytes: Uint8Array, start: number, end: number): number {
  varint = 0;
  for (let count = 0; count < VARINT_BYTES_MAX; count++) {
    if (start + count >= end) return -1;
    const byte = bytes[start + count]!;
    // What is larger than a report may be is larger than what is here, whatever it is.
    if (count < 4) varint |= (byte & 127) << (7 * count);
    else if ((byte & 127) !== 0) varint = 0x7fff_ffff;
    if (byte < 128) return start + count + 1;
  }
  return -1;
}

/** One past a field's value, or -1. */
function skip(bytes: Uint8Array, start: number, end: number, wire: number): number {
  let at = start;
  switch (wire) {
    case VARINT:
      return readVarint(bytes, start, end);
    case FIXED64:
      at += 8;
      break;
    case FIXED32:
      at += 4;
      break;
    case LENGTH_DELIMITED:
      at = readVarint(bytes, start, end);
      if (at < 0) return -1;
      contentAt = at;
      at += varint;
      break;
    default:
      return -1;
  }
  return at > end ? -1 : at;
}

const view = new DataView(new ArrayBuffer(8));

function doubleAt(bytes: Uint8Array, start: number): number {
  for (let i = 0; i < 8; i++) view.setUint8(i, bytes[start + i]!);
  return view.getFloat64(0, true);
}
