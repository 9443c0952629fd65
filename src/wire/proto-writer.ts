/**
 * Writes protobuf's binary form of messages that a table describes (proto-schema.ts); proto-reader.ts reads it. What is
 * absent, null or its field's default is left out. The writer trusts its caller.
 */
import { ByteWriter } from "../base/bytes.ts";
import { defaultOf, type Message, type MessageType, type SchemaField } from "./proto-schema.ts";
import { LENGTH_DELIMITED, VARINT_BYTES_MAX, wireOf } from "./proto-wire.ts";

const encoder = new TextEncoder();
const scratch = new DataView(new ArrayBuffer(8));

export function encodeMessage(type: MessageType, message: object): Uint8Array {
  const out = new ByteWriter(512, true);
  writeMessage(out, type, message as Message);
  return out.bytes();
}

function writeMessage(out: ByteWriter, type: MessageType, message: Message): void {
  for (const field of type.fields) {
    const value = message[field.json];
    if (value === undefined || value === null) continue;
    if (field.label === "map") {
      for (const [key, one] of Object.entries(value)) writeEntry(out, field, key, one);
    } else if (field.label === "repeated") {
      writeList(out, field, value as readonly unknown[]);
    } else if (field.hasPresence || !isDefault(field, value)) {
      writeTag(out, field.number, wireOf(field.type));
      writeValue(out, field, value);
    }
  }
}

function writeList(out: ByteWriter, field: SchemaField, values: readonly unknown[]): void {
  if (values.length === 0) return;
  if (wireOf(field.type) === LENGTH_DELIMITED) {
    for (const value of values) {
      writeTag(out, field.number, LENGTH_DELIMITED);
      writeValue(out, field, value);
    }
    return;
  }
  const packed = new ByteWriter(values.length * 8, true);
  for (const value of values) writeValue(packed, field, value);
  writeTag(out, field.number, LENGTH_DELIMITED);
  writeBytes(out, packed.bytes());
}

function writeEntry(out: ByteWriter, field: SchemaField, key: string, value: unknown): void {
  const entry = new ByteWriter(64, true);
  writeTag(entry, 1, LENGTH_DELIMITED);
  writeBytes(entry, encoder.encode(key));
  writeTag(entry, 2, wireOf(field.type));
  writeValue(entry, field, value);
  writeTag(out, field.number, LENGTH_DELIMITED);
  writeBytes(out, entry.bytes());
}

function isDefault(field: SchemaField, value: unknown): boolean {
  if (field.type === "bytes") return (value as Uint8Array).length === 0;
  if (field.type === "enum") return enumNumber(field, value) === 0;
  return value === defaultOf(field) && !Object.is(value, -0);
}

function writeValue(out: ByteWriter, field: SchemaField, value: unknown): void {
  switch (field.type) {
    case "double":
      scratch.setFloat64(0, Number(value), true);
      writeScratch(out, 8);
      break;
    case "float":
      scratch.setFloat32(0, Number(value), true);
      writeScratch(out, 4);
      break;
    case "string":
      writeBytes(out, encoder.encode(String(value)));
      break;
    case "bytes":
      writeBytes(out, value as Uint8Array);
      break;
    case "message":
      writeInner(out, field.message!, value as Message);
      break;
    case "bool":
      writeVarint(out, value === true ? 1 : 0);
      break;
    case "enum":
      writeVarint(out, enumNumber(field, value));
      break;
    default:
      writeVarint(out, Math.trunc(Number(value)));
  }
}

/** Behind its length, for which most need one byte: those that need more move on by what is missing. */
function writeInner(out: ByteWriter, type: MessageType, message: Message): void {
  const lengthAt = out.at;
  out.reserve(1);
  out.byte(0);
  writeMessage(out, type, message);
  const length = out.at - lengthAt - 1;
  let more = 0;
  for (let rest = length; rest > 127; rest = Math.floor(rest / 128)) more += 1;
  out.reserve(more);
  const end = out.at + more;
  if (more > 0) out.buffer.copyWithin(lengthAt + 1 + more, lengthAt + 1, out.at);
  out.at = lengthAt;
  out.varint(length);
  out.at = end;
}

function enumNumber(field: SchemaField, value: unknown): number {
  return typeof value === "number" ? value : (field.enumeration?.byName.get(String(value)) ?? 0);
}

function writeTag(out: ByteWriter, number: number, wire: number): void {
  writeVarint(out, number * 8 + wire);
}

function writeVarint(out: ByteWriter, value: number): void {
  out.reserve(VARINT_BYTES_MAX);
  if (value >= 0) {
    out.varint(value);
    return;
  }
  // Negative ones are written as 64 bits.
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 127n) {
    out.byte(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  out.byte(Number(rest));
}

function writeBytes(out: ByteWriter, bytes: Uint8Array): void {
  out.reserve(bytes.length + VARINT_BYTES_MAX);
  out.blob(bytes);
}

function writeScratch(out: ByteWriter, bytes: number): void {
  out.reserve(bytes);
  for (let at = 0; at < bytes; at++) out.byte(scratch.getUint8(at));
}
