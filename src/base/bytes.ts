/**
 * Writing and reading what travels in packets: bytes, numbers, texts. The writer trusts its caller; the reader trusts
 * nothing, and after the first fault answers 0 and stays `bad`. Numbers are little-endian or varints (LEB128, below
 * 2^32, one spelling each).
 */

const floats = new Float32Array(1);
const floatBytes = new Uint8Array(floats.buffer);
const HIGH = 2 ** 32;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Writes into one buffer; `limit` is where what is written must end. */
export class ByteWriter {
  buffer: Uint8Array<ArrayBuffer>;
  at = 0;
  limit: number;
  readonly #growing: boolean;

  constructor(capacity: number, growing = false) {
    this.buffer = new Uint8Array(capacity);
    this.limit = capacity;
    this.#growing = growing;
  }

  /** Room for so many more bytes, where the buffer may grow. */
  reserve(bytes: number): void {
    if (!this.#growing || this.at + bytes <= this.buffer.length) return;
    const wider = new Uint8Array(Math.max(this.buffer.length * 2, this.at + bytes));
    wider.set(this.buffer.subarray(0, this.at));
    this.buffer = wider;
    this.limit = wider.length;
  }

  byte(value: number): void {
    this.buffer[this.at++] = value;
  }

  fixed32(value: number): void {
    const { buffer, at } = this;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
    this.at = at + 4;
  }

  /** A whole number below 2^48, as keys are (base/key.ts). */
  fixed48(value: number): void {
    this.fixed32(value % HIGH);
    const high = Math.floor(value / HIGH);
    this.byte(high & 255);
    this.byte(high >>> 8);
  }

  float(value: number): void {
    floats[0] = value;
    for (let index = 0; index < 4; index += 1) this.buffer[this.at++] = floatBytes[index]!;
  }

  varint(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.buffer[this.at++] = (rest & 127) | 128;
      rest = rest >= 2 ** 31 ? Math.floor(rest / 128) : rest >>> 7;
    }
    this.buffer[this.at++] = rest;
  }

  /** Its length, then the bytes. */
  blob(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.copy(bytes);
  }

  /** As a blob of UTF-8, with room made for it. */
  text(text: string): void {
    const bytes = encoder.encode(text);
    this.reserve(bytes.length + 5);
    this.blob(bytes);
  }

  copy(bytes: Uint8Array): void {
    const { length } = bytes;
    const { buffer, at } = this;
    if (length > 32) buffer.set(bytes, at);
    else for (let index = 0; index < length; index += 1) buffer[at + index] = bytes[index]!;
    this.at = at + length;
  }

  /** A copy of what was written. */
  bytes(): Uint8Array {
    return this.buffer.slice(0, this.at);
  }
}

/** Reads one buffer; `bad` once anything was not as it should be, and then every further value is 0. */
export class ByteReader {
  buffer: Uint8Array = new Uint8Array(0);
  at = 0;
  end = 0;
  bad = false;
  /** Where the span read last lies. */
  start = 0;
  stop = 0;

  read(buffer: Uint8Array, at = 0): void {
    this.buffer = buffer;
    this.at = at;
    this.end = buffer.length;
    this.bad = false;
  }

  byte(): number {
    if (this.at >= this.end) return this.fail();
    return this.buffer[this.at++]!;
  }

  fixed32(): number {
    const { buffer, at } = this;
    if (at + 4 > this.end) return this.fail();
    this.at = at + 4;
    return (buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16) | (buffer[at + 3]! << 24)) >>> 0;
  }

  fixed48(): number {
    const low = this.fixed32();
    const high = this.byte() | (this.byte() << 8);
    return this.bad ? 0 : high * HIGH + low;
  }

  float(): number {
    if (this.at + 4 > this.end) return this.fail();
    for (let index = 0; index < 4; index += 1) floatBytes[index] = this.buffer[this.at++]!;
    return floats[0]!;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.at >= this.end) return this.fail();
      const byte = this.buffer[this.at++]!;
      if (shift === 28 && byte > 15) return this.fail();
      value += shift === 28 ? byte * 2 ** 28 : (byte & 127) << shift;
      // One number has one spelling.
      if (byte < 128) return byte === 0 && shift > 0 ? this.fail() : value;
    }
    return this.fail();
  }

  /** A blob of at most `max` bytes, at [start, stop). */
  blob(max: number): void {
    this.span(this.varint(), 0, max);
  }

  /** A text of at most `max` bytes of UTF-8. */
  text(max: number): string {
    this.blob(max);
    if (this.bad) return "";
    try {
      return decoder.decode(this.buffer.subarray(this.start, this.stop));
    } catch {
      this.fail();
      return "";
    }
  }

  span(length: number, min: number, max: number): void {
    this.start = this.at;
    this.stop = this.at + length;
    if (length < min || length > max || this.stop > this.end) this.fail();
    else this.at = this.stop;
  }

  fail(): number {
    this.bad = true;
    this.at = this.end;
    this.start = 0;
    this.stop = 0;
    return 0;
  }
}
