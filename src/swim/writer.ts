/** Writes frames: headers, numbers, names that are spelt out once. wire.ts tells the format. */
import { ByteWriter } from "../base/bytes.ts";
import { type ClusterMark, HEADER_BYTES, PROTOCOL_VERSION, SHARED_NAMES_MAX } from "./wire.ts";

/** Writes one frame after another into one buffer. */
export class Writer extends ByteWriter {
  /** Handles of the names spelt out in this frame. */
  readonly #names = new Int32Array(SHARED_NAMES_MAX);
  #nameCount = 0;

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
    const sum = mark.checksum(buffer, HEADER_BYTES, at, mark.seed);
    buffer[4] = sum;
    buffer[5] = sum >>> 8;
    buffer[6] = sum >>> 16;
    buffer[7] = sum >>> 24;
    return this.bytes();
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
    this.copy(bytes);
  }

  /** How many names are shared so far; `undo` takes those after it back, with the bytes that spelt them. */
  get nameCount(): number {
    return this.#nameCount;
  }

  /** Undoes what was written after `at`. */
  undo(at: number, nameCount: number): void {
    this.at = at;
    this.#nameCount = nameCount;
  }
}
