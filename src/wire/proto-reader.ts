/**
 * Reads protobuf's binary form (protobuf.dev, "Encoding") of messages that a table describes (proto-schema.ts).
 *
 * What is read comes from anybody: every length is checked against what is there, texts must be UTF-8, nesting ends at
 * 32 levels, and any fault refuses the whole message with words that say where. Fields that are not known are skipped,
 * so that newer clients may speak to older servers. Groups, which nobody writes any more, are refused.
 */
import { defaultOf, type Message, type MessageType, type SchemaField } from "./proto-schema.ts";
import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT, VARINT_BYTES_MAX, wireOf } from "./proto-wire.ts";

const DEPTH_MAX = 32;
const WORD = 2 ** 32;
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Why bytes are no such message. */
class ProtoFault extends Error {}

export function decodeMessage(type: MessageType, bytes: Uint8Array): { message: Message } | { bad: string } {
  try {
    const reader = new Reader(bytes);
    const message = type.empty();
    reader.message(type, message, bytes.length, 0);
    return { message };
  } catch (error) {
    if (error instanceof ProtoFault) return { bad: `${type.name}: ${error.message}` };
    throw error;
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  /** The two halves of the varint read last. */
  #low = 0;
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  message(type: MessageType, message: Message, end: number, depth: number): void {
    if (depth > DEPTH_MAX) throw new ProtoFault(`nested more than ${DEPTH_MAX} levels deep`);
    while (this.#at < end) {
      this.#varint(end);
      const tag = this.#low;
      const number = tag >>> 3;
      if (number === 0 || this.#high !== 0) throw new ProtoFault("a field without a number");
      const field = type.byNumber.get(number);
      if (field === undefined) this.#skip(tag & 7, end);
      else this.#field(type, field, tag & 7, message, end, depth);
    }
  }

  #field(type: MessageType, field: SchemaField, wire: number, message: Message, end: number, depth: number): void {
    if (field.label === "map") {
      this.#entry(field, wire, message[field.json] as Message, end, depth);
      return;
    }
    if (field.label === "repeated") {
      const list = message[field.json] as unknown[];
      if (wire === LENGTH_DELIMITED && wireOf(field.type) !== LENGTH_DELIMITED) {
        const stop = this.#length(field, end);
        while (this.#at < stop) list.push(this.#value(field, wireOf(field.type), undefined, stop, depth));
      } else {
        list.push(this.#value(field, wire, undefined, end, depth));
      }
      return;
    }
    message[field.json] = this.#value(field, wire, message[field.json], end, depth);
    // Of a oneof's members the last one counts.
    for (const rival of type.rivals.get(field.json) ?? []) delete message[rival];
  }

  #entry(field: SchemaField, wire: number, map: Message, end: number, depth: number): void {
    if (wire !== LENGTH_DELIMITED) throw new ProtoFault(`${field.name} is of another type`);
    const stop = this.#length(field, end);
    let key: unknown = "";
    let value: unknown = field.message === null ? defaultOf(field) : field.message.empty();
    while (this.#at < stop) {
      this.#varint(stop);
      const tag = this.#low;
      if (tag >>> 3 === 1)
        key = this.#value({ ...field, type: field.key ?? "string" }, tag & 7, undefined, stop, depth);
      else if (tag >>> 3 === 2) value = this.#value(field, tag & 7, value, stop, depth);
      else this.#skip(tag & 7, stop);
    }
    map[String(key)] = value;
  }

  #value(field: SchemaField, wire: number, before: unknown, end: number, depth: number): unknown {
    if (wire !== wireOf(field.type)) throw new ProtoFault(`${field.name} is of another type`);
    switch (field.type) {
      case "double":
        return this.#view.getFloat64(this.#take(8, end), true);
      case "float":
        return this.#view.getFloat32(this.#take(4, end), true);
      case "string": {
        const stop = this.#length(field, end);
        const start = this.#at;
        this.#at = stop;
        try {
          return decoder.decode(this.#bytes.subarray(start, stop));
        } catch {
          throw new ProtoFault(`${field.name} is not UTF-8`);
        }
      }
      case "bytes": {
        const stop = this.#length(field, end);
        const start = this.#at;
        this.#at = stop;
        return this.#bytes.slice(start, stop);
      }
      case "message": {
        const stop = this.#length(field, end);
        const type = field.message!;
        // One that comes in parts is put together.
        const message = (before as Message | undefined) ?? type.empty();
        this.message(type, message, stop, depth + 1);
        return message;
      }
      default:
        this.#varint(end);
        return this.#integer(field);
    }
  }

  #integer(field: SchemaField): unknown {
    const low = this.#low;
    const high = this.#high;
    switch (field.type) {
      case "bool":
        return low !== 0 || high !== 0;
      case "uint32":
        return low;
      case "int32":
        return low | 0;
      case "enum":
        return field.enumeration?.byNumber.get(low | 0) ?? low | 0;
      default: {
        const value = (field.type === "int64" ? high | 0 : high) * WORD + low;
        if (Number.isSafeInteger(value)) return value;
        throw new ProtoFault(`${field.name} is beyond 2^53, more than is counted here`);
      }
    }
  }

  /** Reads a varint into its two halves. */
  #varint(end: number): void {
    let low = 0;
    let high = 0;
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      if (this.#at >= end) throw new ProtoFault("it ends in the middle of a field");
      const byte = this.#bytes[this.#at++]!;
      const bits = byte & 127;
      if (count < 4) low += bits * 2 ** (7 * count);
      else if (count === 4) {
        low += (bits & 15) * 2 ** 28;
        high = bits >>> 4;
      } else if (count < 9) high += bits * 2 ** (7 * count - 32);
      else high += (bits & 1) * 2 ** 31;
      if (byte < 128) {
        this.#low = low;
        this.#high = high;
        return;
      }
    }
    throw new ProtoFault("a number of more than 10 bytes");
  }

  /** Reads a length; answers where what it is of ends. */
  #length(field: SchemaField | null, end: number): number {
    this.#varint(end);
    const stop = this.#at + this.#low;
    if (this.#high !== 0 || stop > end) {
      throw new ProtoFault(`${field === null ? "a field" : field.name} is longer than the message`);
    }
    return stop;
  }

  #take(bytes: number, end: number): number {
    const at = this.#at;
    if (at + bytes > end) throw new ProtoFault("it ends in the middle of a field");
    this.#at = at + bytes;
    return at;
  }

  #skip(wire: number, end: number): void {
    switch (wire) {
      case VARINT:
        this.#varint(end);
        break;
      case FIXED64:
        this.#take(8, end);
        break;
      case FIXED32:
        this.#take(4, end);
        break;
      case LENGTH_DELIMITED:
        this.#at = this.#length(null, end);
        break;
      default:
        throw new ProtoFault(`a field of the wire type ${wire}, which is not known`);
    }
  }
}
