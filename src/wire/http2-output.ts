/**
 * What an HTTP/2 connection has to send: one buffer into which frames are written as they arise, and which the shell
 * writes to the socket once a turn. Buffers of the usual size are shared by all connections of a thread, so that an
 * idle connection holds none.
 */
import { FLAG, FRAME, FRAME_HEAD_BYTES } from "./http2-frames.ts";
import { copyBytes } from "./octets.ts";

const BUFFER_BYTES = 65_536;
const FREE_BUFFERS_MAX = 64;
const NOTHING = new Uint8Array(0);
const free: Uint8Array[] = [];

export class FrameOutput {
  /** Bytes [start, end) wait to be sent. */
  bytes: Uint8Array = NOTHING;
  start = 0;
  end = 0;

  /** Bytes that wait. */
  get pending(): number {
    return this.end - this.start;
  }

  /** The socket took so many bytes. */
  sent(bytes: number): void {
    this.start += bytes;
    if (this.start === this.end) this.clear();
  }

  /** Forgets what waits. */
  clear(): void {
    if (this.bytes.length === BUFFER_BYTES && free.length < FREE_BUFFERS_MAX) free.push(this.bytes);
    this.bytes = NOTHING;
    this.start = 0;
    this.end = 0;
  }

  /** Makes room for so many more bytes. */
  reserve(more: number): void {
    if (this.end + more <= this.bytes.length) return;
    const { pending } = this;
    const need = pending + more;
    let target = this.bytes;
    if (need <= BUFFER_BYTES) {
      if (target.length < BUFFER_BYTES) target = free.pop() ?? new Uint8Array(BUFFER_BYTES);
    } else if (need > target.length) {
      target = new Uint8Array(2 ** Math.ceil(Math.log2(need)));
    }
    if (target === this.bytes) {
      target.copyWithin(0, this.start, this.end);
    } else {
      target.set(this.bytes.subarray(this.start, this.end));
      const { bytes } = this;
      if (bytes.length === BUFFER_BYTES && free.length < FREE_BUFFERS_MAX) free.push(bytes);
      this.bytes = target;
    }
    this.start = 0;
    this.end = pending;
  }

  /** Writes the head of a frame whose payload follows; there must be room for both. */
  head(length: number, type: number, flags: number, streamId: number): void {
    const { bytes, end } = this;
    bytes[end] = length >>> 16;
    bytes[end + 1] = length >>> 8;
    bytes[end + 2] = length;
    bytes[end + 3] = type;
    bytes[end + 4] = flags;
    bytes[end + 5] = streamId >>> 24;
    bytes[end + 6] = streamId >>> 16;
    bytes[end + 7] = streamId >>> 8;
    bytes[end + 8] = streamId;
    this.end = end + FRAME_HEAD_BYTES;
  }

  uint16(value: number): void {
    this.bytes[this.end++] = value >>> 8;
    this.bytes[this.end++] = value;
  }

  uint32(value: number): void {
    this.uint16(value >>> 16);
    this.uint16(value & 0xffff);
  }

  /** Copies bytes [from, to); there must be room for them. */
  copy(source: Uint8Array, from: number, to: number): void {
    this.end = copyBytes(source, from, to, this.bytes, this.end);
  }

  /** A frame of one number: WINDOW_UPDATE, RST_STREAM. */
  word(type: number, streamId: number, value: number): void {
    this.reserve(FRAME_HEAD_BYTES + 4);
    this.head(4, type, 0, streamId);
    this.uint32(value);
  }

  /** SETTINGS, or their acknowledgement where there are none. */
  settings(settings: readonly (readonly [which: number, value: number])[] | null): void {
    const length = (settings?.length ?? 0) * 6;
    this.reserve(FRAME_HEAD_BYTES + length);
    this.head(length, FRAME.settings, settings === null ? FLAG.ack : 0, 0);
    for (const [which, value] of settings ?? []) {
      this.uint16(which);
      this.uint32(value);
    }
  }

  /** PING with the eight bytes at `at`. */
  ping(bytes: Uint8Array, at: number, flags: number): void {
    this.reserve(FRAME_HEAD_BYTES + 8);
    this.head(8, FRAME.ping, flags, 0);
    this.copy(bytes, at, at + 8);
  }

  goAway(lastStreamId: number, code: number, reason: string): void {
    this.reserve(FRAME_HEAD_BYTES + 8 + reason.length);
    this.head(8 + reason.length, FRAME.goAway, 0, 0);
    this.uint32(lastStreamId);
    this.uint32(code);
    for (let i = 0; i < reason.length; i++) this.bytes[this.end++] = reason.charCodeAt(i);
  }
}
