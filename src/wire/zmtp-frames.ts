/**
 * Frames of ZMTP 3 (rfc.zeromq.org/spec/37), read from bytes as they come and written whole.
 *
 *     reader.push(buffer, start, end)      bytes came; frames and faults go to the sink
 *
 * A frame is flags, a length (one byte, or eight), a body. Bodies are handed out as copies that belong to the receiver.
 * A body is given room as it comes, so that a length that was only announced costs nothing.
 *
 * Limits: `FRAME_BYTES_MAX` a frame, `COMMAND_BYTES_MAX` a command. After a fault nothing more is read.
 */

export const FRAME_BYTES_MAX = 16 * 1024 * 1024;
export const COMMAND_BYTES_MAX = 4096;

const MORE = 1;
const LONG = 2;
const COMMAND = 4;
const RESERVED = 0xf8;
/** Of a body whose end is not here yet. */
const FIRST_ROOM = 64 * 1024;
const NOTHING = new Uint8Array(0);

export interface ZmtpFrames {
  /** One frame of a message; `isLast`: the message ends with it. */
  frame(body: Uint8Array, isLast: boolean): void;
  command(body: Uint8Array): void;
  /** The bytes are no frames, or too large: what and why. Comes once. */
  fault(reason: string): void;
}

export class FrameReader {
  readonly #sink: ZmtpFrames;
  readonly #head = new Uint8Array(9);
  #have = 0;
  #need = 2;
  #body = NOTHING;
  #filled = 0;
  /** Of the body at hand; -1 between frames. */
  #length = -1;
  #isBad = false;

  constructor(sink: ZmtpFrames) {
    this.#sink = sink;
  }

  /** Bytes that are held for a frame whose end is not here. */
  get heldBytes(): number {
    return this.#body.length;
  }

  /** Stops reading: what comes after is not looked at. */
  stop(): void {
    this.#isBad = true;
    this.#body = NOTHING;
  }

  push(buffer: Uint8Array, start: number, end: number): void {
    let at = start;
    while (!this.#isBad && (at < end || this.#length === 0)) {
      if (this.#length < 0) {
        this.#head[this.#have++] = buffer[at++]!;
        if (this.#have === 1) this.#need = (this.#head[0]! & LONG) === 0 ? 2 : 9;
        if (this.#have === this.#need) this.#begin();
        continue;
      }
      const part = Math.min(this.#length - this.#filled, end - at);
      if (this.#filled === 0 && part === this.#length) {
        this.#end(copyOf(buffer, at, at + part));
      } else {
        this.#keep(buffer, at, part);
        if (this.#filled === this.#length) this.#end(copyOf(this.#body, 0, this.#length));
      }
      at += part;
    }
  }

  #begin(): void {
    const flags = this.#head[0]!;
    const isCommand = (flags & COMMAND) !== 0;
    if ((flags & RESERVED) !== 0)
      return this.#fault(`flags 0x${flags.toString(16)} of a frame are of no known meaning`);
    if (isCommand && (flags & MORE) !== 0) return this.#fault("a command in several frames");
    const length = (flags & LONG) === 0 ? this.#head[1]! : longLength(this.#head);
    const most = isCommand ? COMMAND_BYTES_MAX : FRAME_BYTES_MAX;
    const what = isCommand ? "command" : "frame";
    if (length > most) return this.#fault(`a ${what} of ${length} bytes; at most ${most} are read`);
    this.#length = length;
    this.#filled = 0;
  }

  #keep(buffer: Uint8Array, at: number, part: number): void {
    const needed = this.#filled + part;
    if (this.#body.length < needed) {
      const room = Math.min(this.#length, Math.max(FIRST_ROOM, needed, this.#body.length * 2));
      const wider = new Uint8Array(room);
      wider.set(this.#body.subarray(0, this.#filled));
      this.#body = wider;
    }
    this.#body.set(buffer.subarray(at, at + part), this.#filled);
    this.#filled = needed;
  }

  #end(body: Uint8Array): void {
    const flags = this.#head[0]!;
    this.#have = 0;
    this.#need = 2;
    this.#length = -1;
    this.#filled = 0;
    // Room that one large frame needed is not kept for the small ones after it.
    if (this.#body.length > 0) this.#body = NOTHING;
    if ((flags & COMMAND) === 0) this.#sink.frame(body, (flags & MORE) === 0);
    else this.#sink.command(body);
  }

  #fault(reason: string): void {
    this.stop();
    this.#sink.fault(reason);
  }
}

/** Eight bytes, big-endian; what is beyond 2^53 is rounded, and beyond every limit anyway. */
function longLength(head: Uint8Array): number {
  let length = 0;
  for (let at = 1; at < 9; at += 1) length = length * 256 + head[at]!;
  return length;
}

/** `slice` of a Buffer is a view. */
function copyOf(buffer: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start);
  copy.set(buffer.subarray(start, end));
  return copy;
}

function headBytes(length: number): number {
  return length > 255 ? 9 : 2;
}

function writeFrame(into: Uint8Array, at: number, flags: number, body: Uint8Array): number {
  const { length } = body;
  if (length > 255) {
    into[at] = flags | LONG;
    new DataView(into.buffer, into.byteOffset).setBigUint64(at + 1, BigInt(length));
  } else {
    into[at] = flags;
    into[at + 1] = length;
  }
  into.set(body, at + headBytes(length));
  return at + headBytes(length) + length;
}

/** The frames of one message. */
export function messageBytes(frames: readonly Uint8Array[]): Uint8Array {
  let total = 0;
  for (const { length } of frames) total += headBytes(length) + length;
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const [index, frame] of frames.entries()) {
    at = writeFrame(bytes, at, index < frames.length - 1 ? MORE : 0, frame);
  }
  return bytes;
}

/** A command by its name, with what follows it. */
export function commandBytes(name: string, data: Uint8Array): Uint8Array {
  const body = new Uint8Array(1 + name.length + data.length);
  body[0] = name.length;
  for (let at = 0; at < name.length; at += 1) body[at + 1] = name.charCodeAt(at);
  body.set(data, 1 + name.length);
  const bytes = new Uint8Array(headBytes(body.length) + body.length);
  writeFrame(bytes, 0, COMMAND, body);
  return bytes;
}
