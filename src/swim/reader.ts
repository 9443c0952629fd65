/** Reads frames, and trusts nothing in them. wire.ts tells the format. */
import {
  ADDRESS_BYTES_MAX,
  type ClusterMark,
  type FrameFault,
  HEADER_BYTES,
  ID_BYTES_MAX,
  INCARNATION_MAX,
  murmur3,
  PROTOCOL_VERSION,
  PROTOCOL_VERSION_MIN,
  SHARED_NAMES_MAX,
} from "./wire.ts";

import type { SwimDrops } from "./event.ts";

const floats = new Float32Array(1);
const floatBytes = new Uint8Array(floats.buffer);

/** Reads a frame; `bad` once anything was not as it should be, and then every further value is 0. */
export class Reader {
  buffer: Uint8Array = new Uint8Array(0);
  at = 0;
  end = 0;
  bad = false;
  /** Where the text or blob read last lies. */
  start = 0;
  stop = 0;
  readonly #nameStarts = new Int32Array(SHARED_NAMES_MAX);
  readonly #nameEnds = new Int32Array(SHARED_NAMES_MAX);
  #nameCount = 0;

  /** Checks the header; undefined when the body may be read. */
  open(buffer: Uint8Array, kind: number, mark: ClusterMark): FrameFault | undefined {
    if (buffer.length < HEADER_BYTES || buffer[0] !== kind) return "malformed";
    if (buffer[1]! < PROTOCOL_VERSION_MIN || buffer[1]! > PROTOCOL_VERSION) return "other version";
    if ((buffer[2]! | (buffer[3]! << 8)) !== mark.tag) return "other cluster";
    const sum = buffer[4]! | (buffer[5]! << 8) | (buffer[6]! << 16) | (buffer[7]! << 24);
    if (murmur3(buffer, HEADER_BYTES, buffer.length, mark.seed) !== sum) return "malformed";
    this.buffer = buffer;
    this.at = HEADER_BYTES;
    this.end = buffer.length;
    this.bad = false;
    this.#nameCount = 0;
    return undefined;
  }

  byte(): number {
    if (this.at >= this.end) return this.#fail();
    return this.buffer[this.at++]!;
  }

  fixed32(): number {
    const { buffer, at } = this;
    if (at + 4 > this.end) return this.#fail();
    this.at = at + 4;
    return (buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16) | (buffer[at + 3]! << 24)) >>> 0;
  }

  float(): number {
    if (this.at + 4 > this.end) return this.#fail();
    for (let index = 0; index < 4; index += 1) floatBytes[index] = this.buffer[this.at++]!;
    return floats[0]!;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.at >= this.end) return this.#fail();
      const byte = this.buffer[this.at++]!;
      if (shift === 28 && byte > 15) return this.#fail();
      value += shift === 28 ? byte * 2 ** 28 : (byte & 127) << shift;
      // One number has one spelling.
      if (byte < 128) return byte === 0 && shift > 0 ? this.#fail() : value;
    }
    return this.#fail();
  }

  incarnation(): number {
    const value = this.varint();
    return value < INCARNATION_MAX ? value : this.#fail();
  }

  /** A blob of at most `max` bytes, at [start, stop). */
  blob(max: number): void {
    this.#span(this.varint(), 0, max);
  }

  address(): void {
    this.#span(this.varint(), 1, ADDRESS_BYTES_MAX);
    this.#printable();
  }

  /** An id that is always spelt out. */
  text(): void {
    this.#span(this.varint(), 1, ID_BYTES_MAX);
    this.#printable();
  }

  name(): void {
    const head = this.varint();
    if ((head & 1) === 1) {
      const index = head >>> 1;
      if (index >= this.#nameCount) {
        this.#fail();
        return;
      }
      this.start = this.#nameStarts[index]!;
      this.stop = this.#nameEnds[index]!;
      return;
    }
    this.#span(head / 2, 1, ID_BYTES_MAX);
    this.#printable();
    if (this.bad || this.#nameCount >= SHARED_NAMES_MAX) return;
    this.#nameStarts[this.#nameCount] = this.start;
    this.#nameEnds[this.#nameCount] = this.stop;
    this.#nameCount += 1;
  }

  #span(length: number, min: number, max: number): void {
    this.start = this.at;
    this.stop = this.at + length;
    if (length < min || length > max || this.stop > this.end) this.#fail();
    else this.at = this.stop;
  }

  #printable(): void {
    if (this.bad) return;
    for (let at = this.start; at < this.stop; at += 1) {
      const byte = this.buffer[at]!;
      if (byte < 0x21 || byte > 0x7e) {
        this.#fail();
        return;
      }
    }
  }

  #fail(): number {
    this.bad = true;
    this.at = this.end;
    this.start = 0;
    this.stop = 0;
    return 0;
  }
}

export function countDrop(drops: SwimDrops, fault: FrameFault): void {
  if (fault === "malformed") drops.malformed += 1;
  else if (fault === "other cluster") drops.otherCluster += 1;
  else drops.otherVersion += 1;
}
