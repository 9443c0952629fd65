/**
 * A stream of frames between control nodes: for each its length (4 bytes, big-endian), then as many bytes.
 *
 * A reader takes them in whatever pieces they come. Memory grows with what has come, never with what was announced; a
 * frame that is empty or longer than the limit ends the stream.
 */
const LENGTH_BYTES = 4;
const ROOM_MIN = 4096;

/** Longest frame: a batch of entries or a piece of a snapshot takes far less. */
export const FRAME_BYTES_MAX = 8 * 2 ** 20;

export class FrameReader {
  #bytesMax: number;
  readonly #onFrame: (frame: Uint8Array) => void;
  #buffer = new Uint8Array(ROOM_MIN);
  #filled = 0;
  #bad = false;

  /** Frames are handed over as views that hold until `onFrame` returns. */
  constructor(onFrame: (frame: Uint8Array) => void, bytesMax = FRAME_BYTES_MAX) {
    this.#onFrame = onFrame;
    this.#bytesMax = bytesMax;
  }

  /** Longer frames, or only shorter ones, from the next one on. */
  limit(bytesMax: number): void {
    this.#bytesMax = bytesMax;
  }

  /** False once a frame was refused; nothing is read from then on. */
  push(chunk: Uint8Array): boolean {
    if (this.#bad) return false;
    this.#makeRoom(this.#filled + chunk.length);
    this.#buffer.set(chunk, this.#filled);
    this.#filled += chunk.length;
    let at = 0;
    while (this.#filled - at >= LENGTH_BYTES) {
      const length = whole32(this.#buffer, at);
      if (length === 0 || length > this.#bytesMax) {
        this.#bad = true;
        return false;
      }
      const end = at + LENGTH_BYTES + length;
      if (end > this.#filled) break;
      this.#onFrame(this.#buffer.subarray(at + LENGTH_BYTES, end));
      at = end;
    }
    this.#buffer.copyWithin(0, at, this.#filled);
    this.#filled -= at;
    return true;
  }

  #makeRoom(bytes: number): void {
    if (bytes <= this.#buffer.length) {
      // After a long frame the room of a long frame is given back.
      if (this.#filled > 0 || this.#buffer.length <= 64 * ROOM_MIN || bytes > ROOM_MIN) return;
      this.#buffer = new Uint8Array(ROOM_MIN);
      return;
    }
    const wider = new Uint8Array(Math.max(bytes, this.#buffer.length * 2));
    wider.set(this.#buffer.subarray(0, this.#filled));
    this.#buffer = wider;
  }
}

/** The bytes of one frame, made of its parts. */
export function framed(...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(LENGTH_BYTES + length);
  putWhole32(bytes, 0, length);
  let at = LENGTH_BYTES;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Big-endian. A view by which to read four bytes costs more than these. */
export function whole32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export function putWhole32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
