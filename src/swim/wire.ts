/**
 * What packets and state blobs are made of. A frame is
 *
 *     magic, version, cluster (2 bytes), checksum (4 bytes), body
 *
 * where `cluster` is a hash of the cluster's name, and `checksum` is Murmur3 of the body, seeded with the name and the
 * version: a frame of another mesh, of another version, cut short or with a bit flipped is dropped whole, before
 * anything in it is looked at. That is protection against accidents; against forgery the shell encrypts frames.
 *
 * Body of a datagram: messages, one after the other, until its end. Numbers are varints (LEB128, below 2^32) unless
 * said otherwise. A name is `length << 1` and its bytes, or `index << 1 | 1` for the index-th name spelt out in this
 * frame (the first 32 of them), so that a name costs its length once a packet.
 *
 *     ping     seq, hash of the target's id (4 bytes)
 *     ack      seq, flags; with flag 1 a coordinate (11 float32)
 *     nack     seq
 *     askPing  seq, target                       "probe it for me, answer with this seq"
 *     witness  name, incarnation                 "I suspect it; see for yourself"
 *     alive    name, incarnation, identity (4 bytes), versions (2 bytes), address, metadata
 *     again    name, incarnation, profile        alive as before; its profile (the rest) is that of `profile`
 *     suspect  name, incarnation, count, accusers
 *     dead     name, incarnation, count, accusers
 *     left     name, incarnation
 *
 * Limits: ids and addresses are printable ASCII without spaces, 1..128 and 1..262 bytes; metadata up to 512 bytes;
 * 8 accusers; 256 messages a packet; incarnations below 2^32 - 2^16.
 */
import { hashBytes } from "./lexicon.ts";

export const PROTOCOL_VERSION = 1;
/** The oldest version that this one understands. */
export const PROTOCOL_VERSION_MIN = 1;

export const FRAME = { datagram: 0xb7, stream: 0xb8 } as const;
export const HEADER_BYTES = 8;
export const ID_BYTES_MAX = 128;
export const ADDRESS_BYTES_MAX = 262;
export const META_BYTES_MAX = 512;
export const ACCUSERS_MAX = 8;
export const MESSAGES_MAX = 256;
/** The room above is kept for refuting the highest claim. */
export const INCARNATION_MAX = 0xffff_0000;
export const SHARED_NAMES_MAX = 32;
/** 8 dimensions, height, error, adjustment. */
export const COORDINATE_FLOATS = 11;

export const MESSAGE = {
  ping: 1,
  ack: 2,
  nack: 3,
  askPing: 4,
  witness: 5,
  alive: 6,
  again: 7,
  suspect: 8,
  dead: 9,
  left: 10,
} as const;

/** What a cluster's name stands for in frames. */
export interface ClusterMark {
  readonly tag: number;
  readonly seed: number;
}

export function clusterMark(name: string): ClusterMark {
  const bytes = new TextEncoder().encode(`infermesh\0${name}`);
  const hash = hashBytes(bytes, 0, bytes.length);
  return { tag: (hash ^ (hash >>> 16)) & 0xffff, seed: murmur3(bytes, 0, bytes.length, PROTOCOL_VERSION) };
}

/** MurmurHash3, 32 bits (Austin Appleby, public domain), signed. */
export function murmur3(buffer: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed | 0;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word = buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16) | (buffer[at + 3]! << 24);
    let mixed = Math.imul(word, 0xcc9e2d51);
    mixed = Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
    hash ^= mixed;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  if (at < end) {
    let word = 0;
    for (let index = end - 1; index >= at; index -= 1) word = (word << 8) | buffer[index]!;
    word = Math.imul(word, 0xcc9e2d51);
    hash ^= Math.imul((word << 15) | (word >>> 17), 0x1b873593);
  }
  hash ^= end - start;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

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

  get room(): number {
    return this.limit - this.at;
  }

  get empty(): boolean {
    return this.at === HEADER_BYTES;
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

/** Why a frame was not taken. */
export type FrameFault = "malformed" | "other cluster" | "other version";

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
