/**
 * Messages of gRPC as a load generator writes and reads them: framing, and protobuf by the numbers of its fields.
 *
 * Answers come as bytes, split anywhere. Nothing throws: `fault` says what was malformed. Limits: 4 MiB of a message;
 * compressed ones can't be read.
 */
import type { TokenCounts } from "./answer.ts";

const MESSAGE_BYTES_MAX = 4_194_304;
const HEAD_BYTES = 5;
const VARINT_BYTES_MAX = 10;
const encoder = new TextEncoder();

/** What a call of some service is answered, as far as a measurement needs. */
export interface GrpcAnswer extends TokenCounts {
  /** Messages with text so far. */
  readonly texts: number;
  readonly fault: string;
  /** An error that a message holds, in words. */
  readonly error: string;
  /** There was a message, and all that began are whole. */
  readonly isWhole: boolean;
  /** Answers how many messages with text were in it. */
  push(bytes: Uint8Array): number;
}

/** A framed message of these fields. */
export function framed(fields: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(HEAD_BYTES + lengthOf(fields));
  new DataView(out.buffer).setUint32(1, out.length - HEAD_BYTES);
  fill(out, HEAD_BYTES, fields);
  return out;
}

export function numberField(number: number, value: number): Uint8Array {
  return Uint8Array.from([number << 3, ...varint(value)]);
}

export function textField(number: number, text: string): Uint8Array {
  return bytesField(number, [encoder.encode(text)]);
}

/** A message in a message, or bytes. */
export function bytesField(number: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = lengthOf(parts);
  const head = [(number << 3) | 2, ...varint(length)];
  const out = new Uint8Array(head.length + length);
  out.set(head);
  fill(out, head.length, parts);
  return out;
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

function fill(out: Uint8Array, from: number, parts: readonly Uint8Array[]): void {
  let at = from;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  for (; left > 127; left = Math.floor(left / 128)) bytes.push((left % 128) | 128);
  return [...bytes, left];
}

/** The messages of one answer. */
export class Messages {
  count = 0;
  fault = "";
  #kept = new Uint8Array(0);

  get isWhole(): boolean {
    return this.#kept.length === 0 && this.count > 0;
  }

  /** `read` answers false: it is no such message. */
  push(bytes: Uint8Array, read: (message: Uint8Array) => boolean): void {
    if (this.fault !== "") return;
    const all = new Uint8Array(this.#kept.length + bytes.length);
    all.set(this.#kept);
    all.set(bytes, this.#kept.length);
    const view = new DataView(all.buffer);
    let at = 0;
    while (at + HEAD_BYTES <= all.length && this.fault === "") {
      const length = view.getUint32(at + 1);
      if (all[at] !== 0) this.fault = "a compressed message";
      else if (length > MESSAGE_BYTES_MAX) this.fault = "a message of more than 4 MiB";
      else if (at + HEAD_BYTES + length > all.length) break;
      else {
        this.count += 1;
        if (!read(all.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length)))
          this.fault = "a message that is no protobuf";
      }
      at += HEAD_BYTES + length;
    }
    this.#kept = this.fault === "" ? all.slice(at) : new Uint8Array(0);
  }
}

/** What every service's answers have in common: messages, which `read` takes what it knows from. */
export abstract class MessagesAnswer implements GrpcAnswer {
  readonly #messages = new Messages();
  texts = 0;
  promptTokens = -1;
  outputTokens = -1;
  readonly cachedTokens = -1;
  error = "";

  get isWhole(): boolean {
    return this.#messages.isWhole;
  }

  get fault(): string {
    return this.#messages.fault;
  }

  push(bytes: Uint8Array): number {
    const before = this.texts;
    this.#messages.push(bytes, (message) => this.read(message));
    return this.texts - before;
  }

  /** False: it is no such message. */
  protected abstract read(message: Uint8Array): boolean;
}

/** Calls for each field that is a varint or bytes; false: it is no protobuf. */
export function eachField(
  bytes: Uint8Array,
  take: (number: number, value: number, nested: Uint8Array | null) => void,
): boolean {
  let at = 0;
  const next = (): number => {
    const read = varintAt(bytes, at);
    at = read.end;
    return read.value;
  };
  while (at < bytes.length) {
    const tag = next();
    const [number, type] = [Math.floor(tag / 8), tag % 8];
    if (tag < 8) return false;
    if (type === 1) at += 8;
    else if (type === 5) at += 4;
    else if (type === 0 || type === 2) {
      const value = next();
      if (value < 0) return false;
      if (type === 0) take(number, value, null);
      else {
        if (value > bytes.length - at) return false;
        take(number, value, bytes.subarray(at, at + value));
        at += value;
      }
    } else return false;
  }
  return at === bytes.length;
}

/** A list of numbers that lie one behind another; undefined: it is none. */
export function packed(bytes: Uint8Array): number[] | undefined {
  const all: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const { value, end } = varintAt(bytes, at);
    if (value < 0) return undefined;
    all.push(value);
    at = end;
  }
  return all;
}

/** -1: it is none. */
function varintAt(bytes: Uint8Array, from: number): { readonly value: number; readonly end: number } {
  let [value, scale, at] = [0, 1, from];
  for (let count = 0; count < VARINT_BYTES_MAX && at < bytes.length; count += 1) {
    const byte = bytes[at]!;
    at += 1;
    value += (byte & 127) * scale;
    if (byte < 128) return { value, end: at };
    scale *= 128;
  }
  return { value: -1, end: at };
}
