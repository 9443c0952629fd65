/**
 * gRPC's framing of messages (gRPC over HTTP/2, "Length-Prefixed-Message"): a byte that says whether a message is
 * compressed, four bytes of length, the message. Followed but not touched: what it is for is a limit on sizes, and
 * the first message, which may name its model.
 */

export const MESSAGE_HEAD_BYTES = 5;
const encoder = new TextEncoder();

export class GrpcFraming {
  /** Messages that have begun. */
  messages = 0;
  /** The length of the message that came last. */
  length = 0;
  readonly #bytesMax: number;
  #headAt = 0;
  #head = 0;
  #left = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Follows bytes [start, end); false once a message is larger than allowed. */
  push(bytes: Uint8Array, start: number, end: number): boolean {
    let at = start;
    while (at < end) {
      if (this.#left > 0) {
        const take = Math.min(this.#left, end - at);
        this.#left -= take;
        at += take;
        continue;
      }
      const byte = bytes[at++]!;
      // The first byte says whether the message is compressed.
      this.#head = this.#headAt === 0 ? 0 : this.#head * 256 + byte;
      this.#headAt++;
      if (this.#headAt < MESSAGE_HEAD_BYTES) continue;
      this.#headAt = 0;
      this.#left = this.#head;
      this.length = this.#head;
      this.messages++;
      if (this.length > this.#bytesMax) return false;
    }
    return true;
  }
}

/** Whether bytes [start, end) are whole messages within the limit, which needs nobody to remember anything. */
export function areWhole(bytes: Uint8Array, start: number, end: number, bytesMax: number): boolean {
  let at = start;
  while (at < end) {
    const length = messageLength(bytes, at, end);
    if (length < 0 || length > bytesMax) return false;
    at += MESSAGE_HEAD_BYTES + length;
  }
  return at === end;
}

/** The length that the message at the start of [start, end) tells, or -1 when its head is not all there. */
export function messageLength(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < MESSAGE_HEAD_BYTES) return -1;
  return bytes[start + 1]! * 0x100_0000 + ((bytes[start + 2]! << 16) | (bytes[start + 3]! << 8) | bytes[start + 4]!);
}

/** As a status message travels: RFC 3986's escapes of what is not printable ASCII, and of the percent sign. */
export function percentEncoded(text: string): string {
  let out = "";
  for (const byte of encoder.encode(text)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    out += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out.trim();
}
