/**
 * One frame of a stream: its length (4 bytes, big-endian), then as many bytes. A reader takes one frame, in whatever
 * pieces it comes, and refuses what is too short, too long, or followed by more. Memory grows with what has come, never
 * with what was announced.
 */

export const LENGTH_BYTES = 4;
const ROOM_MIN = 4096;

export type FrameState = "more" | "done" | "bad";

export class FrameReader {
  readonly #bytesMin: number;
  readonly #bytesMax: number;
  readonly #prefix = new Uint8Array(LENGTH_BYTES);
  #prefixed = 0;
  #length = -1;
  #buffer = new Uint8Array(0);
  #filled = 0;

  constructor(bytesMin: number, bytesMax: number) {
    this.#bytesMin = bytesMin;
    this.#bytesMax = bytesMax;
  }

  /** What has come of the frame so far. */
  get frame(): Uint8Array {
    return this.#buffer.subarray(0, this.#filled);
  }

  /** Memory held. */
  get room(): number {
    return this.#buffer.length;
  }

  push(chunk: Uint8Array): FrameState {
    let at = 0;
    while (this.#prefixed < LENGTH_BYTES && at < chunk.length) this.#prefix[this.#prefixed++] = chunk[at++]!;
    if (this.#prefixed < LENGTH_BYTES) return "more";
    if (this.#length < 0) {
      this.#length = new DataView(this.#prefix.buffer).getUint32(0);
      if (this.#length < this.#bytesMin || this.#length > this.#bytesMax) return "bad";
    }
    const rest = chunk.length - at;
    if (this.#filled + rest > this.#length) return "bad";
    this.#makeRoom(this.#filled + rest);
    this.#buffer.set(at === 0 ? chunk : chunk.subarray(at), this.#filled);
    this.#filled += rest;
    return this.#filled === this.#length ? "done" : "more";
  }

  #makeRoom(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    const wider = new Uint8Array(Math.min(this.#length, Math.max(bytes, this.#buffer.length * 2, ROOM_MIN)));
    wider.set(this.frame);
    this.#buffer = wider;
  }
}

/** The bytes of one frame on the wire. */
export function framed(packet: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES + packet.length);
  new DataView(bytes.buffer).setUint32(0, packet.length);
  bytes.set(packet, LENGTH_BYTES);
  return bytes;
}
