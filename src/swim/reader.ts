/** Reads frames, and trusts nothing in them. wire.ts tells the format. */
import { ByteReader } from "../base/bytes.ts";
import type { SwimDrops } from "./event.ts";
import {
  ADDRESS_BYTES_MAX,
  type ClusterMark,
  type FrameFault,
  HEADER_BYTES,
  ID_BYTES_MAX,
  INCARNATION_MAX,
  PROTOCOL_VERSION,
  PROTOCOL_VERSION_MIN,
  SHARED_NAMES_MAX,
} from "./wire.ts";

/** Reads a frame. */
export class Reader extends ByteReader {
  readonly #nameStarts = new Int32Array(SHARED_NAMES_MAX);
  readonly #nameEnds = new Int32Array(SHARED_NAMES_MAX);
  #nameCount = 0;

  /** Checks the header; undefined when the body may be read. */
  open(buffer: Uint8Array, kind: number, mark: ClusterMark): FrameFault | undefined {
    if (buffer.length < HEADER_BYTES || buffer[0] !== kind) return "malformed";
    if (buffer[1]! < PROTOCOL_VERSION_MIN || buffer[1]! > PROTOCOL_VERSION) return "other version";
    if ((buffer[2]! | (buffer[3]! << 8)) !== mark.tag) return "other cluster";
    const sum = buffer[4]! | (buffer[5]! << 8) | (buffer[6]! << 16) | (buffer[7]! << 24);
    if (mark.checksum(buffer, HEADER_BYTES, buffer.length, mark.seed) !== sum) return "malformed";
    this.read(buffer, HEADER_BYTES);
    this.#nameCount = 0;
    return undefined;
  }

  incarnation(): number {
    const value = this.varint();
    return value < INCARNATION_MAX ? value : this.fail();
  }

  address(): void {
    this.span(this.varint(), 1, ADDRESS_BYTES_MAX);
    this.#printable();
  }

  /** An id that is always spelt out. */
  id(): void {
    this.span(this.varint(), 1, ID_BYTES_MAX);
    this.#printable();
  }

  name(): void {
    const head = this.varint();
    if ((head & 1) === 1) {
      const index = head >>> 1;
      if (index >= this.#nameCount) {
        this.fail();
        return;
      }
      this.start = this.#nameStarts[index]!;
      this.stop = this.#nameEnds[index]!;
      return;
    }
    this.span(head / 2, 1, ID_BYTES_MAX);
    this.#printable();
    if (this.bad || this.#nameCount >= SHARED_NAMES_MAX) return;
    this.#nameStarts[this.#nameCount] = this.start;
    this.#nameEnds[this.#nameCount] = this.stop;
    this.#nameCount += 1;
  }

  #printable(): void {
    if (this.bad) return;
    for (let at = this.start; at < this.stop; at += 1) {
      const byte = this.buffer[at]!;
      if (byte < 0x21 || byte > 0x7e) {
        this.fail();
        return;
      }
    }
  }
}

export function countDrop(drops: SwimDrops, fault: FrameFault): void {
  if (fault === "malformed") drops.malformed += 1;
  else if (fault === "other cluster") drops.otherCluster += 1;
  else drops.otherVersion += 1;
}
