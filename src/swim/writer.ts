/** Writes frames: headers, numbers, names that are spelt out once. wire.ts tells the format. */
import { type ClusterMark, HEADER_BYTES, murmur3, PROTOCOL_VERSION, SHARED_NAMES_MAX } from "./wire.ts";

const floats = new Float32Array(1);
const floatBytes = new Uint8Array(floats.buffer);

/** Writes one frame after another into one buffer; `limit` is where the present one must end. */
export class Writer {
  buffer: Uint8Array<ArrayBuffer>;
  at = 0;
  limit: number;
  readonly #growing: boolean;
  /** Handles of the names spelt out in this frame. */
  readonly #names = new Int32Array(SHARED_NAMES_MAX);
  #nameCount = 0;

  constructor(capacity: number, growing = false) {
    this.buffer = new Uint8Array(capacity);
    this.limit = capacity;
    this.#growing = growing;
  }

  begin(kind: number, mark: ClusterMark): void {
    const { buffer } = this;
    buffer[0] = kind;
    buffer[1] = PROTOCOL_VERSION;
    buffer[2] = mark.tag;
    buffer[3] = mark.tag >>> 8;
    this.at = HEADER_BYTES;
    this.#nameCount = 0;
  }

  /** The finished frame, a copy. */
  finish(mark: ClusterMark): Uint8Array {
    const { buffer, at } = this;
    const sum = murmur3(buffer, HEADER_BYTES, at, mark.seed);
    buffer[4] = sum;
    buffer[5] = sum >>> 8;
    buffer[6] = sum >>> 16;
    buffer[7] = sum >>> 24;
    return buffer.slice(0, at);
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

  blob(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.#copy(bytes);
  }

  /** An id, spelt out at its first use in this frame. */
  name(handle: number, bytes: Uint8Array): void {
    const names = this.#names;
    const count = this.#nameCount;
    for (let index = 0; index < count; index += 1) {
      if (names[index] === handle) {
        this.byte((index << 1) | 1);
        return;
      }
    }
    if (count < SHARED_NAMES_MAX) {
      names[count] = handle;
      this.#nameCount = count + 1;
    }
    this.varint(bytes.length << 1);
    this.#copy(bytes);
  }

  /** How many names are shared so far; `forget` takes those after it back, with the bytes that spelt them. */
  get nameCount(): number {
    return this.#nameCount;
  }

  /** Undoes what was written after `at`. */
  undo(at: number, nameCount: number): void {
    this.at = at;
    this.#nameCount = nameCount;
  }

  #copy(bytes: Uint8Array): void {
    const { length } = bytes;
    const { buffer, at } = this;
    if (length > 32) buffer.set(bytes, at);
    else for (let index = 0; index < length; index += 1) buffer[at + index] = bytes[index]!;
    this.at = at + length;
  }
}
