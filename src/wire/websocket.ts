/**
 * WebSocket frames (RFC 6455 section 5.2), scanned as a relay passes them on: where one ends, so that a close frame may
 * be put between two when one side breaks, and how many messages went by.
 *
 * Only headers are read, at most 14 bytes of each frame; payloads are skipped, or given to whoever wants them, masked as
 * they are. One scanner for each direction. Nothing is refused: what is no WebSocket (another protocol after the upgrade) or breaks the framing rules
 * is the two ends' own affair, and makes the scanner `lost`, which says that no boundary is known any more.
 *
 * Limit: a payload of 2^53 - 1 bytes.
 */

/** What a frame is; the rest are reserved. */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** RFC 6455 section 7.4.1, and 1012, 1013 of the registry. */
export const CLOSE_CODE = { goingAway: 1001, violation: 1008, internalError: 1011, serviceRestart: 1012 } as const;

/** Is told of frames as they are scanned. */
export interface FrameSink {
  /** `isPacked`: an extension's bit is set, so that the payload is not what it looks like. */
  frameBegins(opcode: number, isPacked: boolean, mask: Uint8Array | null): void;
  /** Bytes of the payload of the frame that began last. */
  payload(bytes: Uint8Array, start: number, end: number): void;
}

const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const CONTROL_BYTES_MAX = 125;
const RESERVED_BITS = 0x70;

export class FrameScanner {
  /** Whole data messages since the start. */
  messages = 0;
  /** A close frame went by: the rest is the end's formality. */
  closed = false;
  /** The bytes are no WebSocket frames. */
  lost = false;
  readonly #header = new Uint8Array(14);
  #have = 0;
  #need = 2;
  #left = 0;
  readonly #sink: FrameSink | null;

  constructor(sink: FrameSink | null = null) {
    this.#sink = sink;
  }

  /** Whether the bytes so far end with a whole frame. */
  get atBoundary(): boolean {
    return !this.lost && this.#have === 0 && this.#left === 0;
  }

  push(buffer: Uint8Array, start: number, end: number): void {
    let i = start;
    while (i < end && !this.lost) {
      if (this.#left > 0) {
        const skip = Math.min(this.#left, end - i);
        this.#sink?.payload(buffer, i, i + skip);
        this.#left -= skip;
        i += skip;
        continue;
      }
      this.#header[this.#have++] = buffer[i++]!;
      if (this.#have === 2) this.#need = headerBytes(this.#header[1]!);
      if (this.#have === this.#need) this.#begin();
    }
  }

  /** The header is whole. */
  #begin(): void {
    const first = this.#header[0]!;
    const opcode = first & 15;
    const isFinal = first >= 0x80;
    const length = this.#length();
    // Extensions may use the reserved bits (permessage-deflate does); reserved opcodes are in nobody's use.
    const isKnown = opcode <= OPCODE.binary || (opcode >= OPCODE.close && opcode <= OPCODE.pong);
    const isControl = opcode >= OPCODE.close;
    if (
      !isKnown ||
      length < 0 ||
      (isControl && (!isFinal || length > CONTROL_BYTES_MAX || (first & RESERVED_BITS) > 0))
    ) {
      this.lost = true;
      return;
    }
    if (opcode === OPCODE.close) this.closed = true;
    if (!isControl && isFinal) this.messages++;
    if (this.#sink !== null) {
      const isMasked = this.#header[1]! >= MASKED;
      const mask = isMasked ? this.#header.slice(this.#need - 4, this.#need) : null;
      this.#sink.frameBegins(opcode, (first & RESERVED_BITS) > 0, mask);
    }
    this.#left = length;
    this.#have = 0;
    this.#need = 2;
  }

  /** The payload's length, or -1 beyond 2^53 - 1. */
  #length(): number {
    const header = this.#header;
    const short = header[1]! & 127;
    if (short < LENGTH_16) return short;
    let length = 0;
    for (let i = 2; i < (short === LENGTH_16 ? 4 : 10); i++) length = length * 256 + header[i]!;
    return length <= Number.MAX_SAFE_INTEGER ? length : -1;
  }
}

function headerBytes(second: number): number {
  const short = second & 127;
  return 2 + (short === LENGTH_16 ? 2 : short === LENGTH_64 ? 8 : 0) + (second >= MASKED ? 4 : 0);
}

/**
 * A close frame with a code and a reason of at most 123 bytes of ASCII. Towards a server it must be masked; a mask of
 * zeros is a mask, and hides nothing that needs hiding here.
 */
export function closeFrame(code: number, reason: string, masked: boolean): Uint8Array {
  const at = masked ? 6 : 2;
  const frame = new Uint8Array(at + 2 + reason.length);
  frame[0] = MASKED | OPCODE.close;
  frame[1] = (masked ? MASKED : 0) | (2 + reason.length);
  frame[at] = code >> 8;
  frame[at + 1] = code & 255;
  for (let i = 0; i < reason.length; i++) frame[at + 2 + i] = reason.charCodeAt(i) & 127;
  return frame;
}
