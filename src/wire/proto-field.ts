/**
 * Finds one string of a protobuf message without knowing the rest of it: the first field of this number, which is
 * passed over to by the wire types alone. Resumable: a message that is still arriving is read on where it ended.
 *
 * Limits: varints of ten bytes, lengths below 2^31. What is no protobuf is "bad"; groups, which nobody writes any
 * more, are too.
 */

export type ProtoResult = "found" | "absent" | "more" | "bad";

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;
const VARINT_BYTES_MAX = 10;

export class ProtoField {
  /** The string, once found: bytes [start, end). */
  start = 0;
  end = 0;
  readonly #number: number;
  #at: number;
  #value = 0;

  /** Looks for field `number` of the message that begins at `at`. */
  constructor(number: number, at: number) {
    this.#number = number;
    this.#at = at;
  }

  /** Reads on in the message, which is here up to `end` and ends at `messageEnd`. */
  read(bytes: Uint8Array, end: number, messageEnd: number): ProtoResult {
    while (this.#at < messageEnd) {
      let at = this.#varint(bytes, this.#at, end);
      if (at < 0) return this.#short(at, end, messageEnd);
      const number = Math.floor(this.#value / 8);
      const type = this.#value % 8;
      switch (type) {
        case VARINT:
          at = this.#varint(bytes, at, end);
          if (at < 0) return this.#short(at, end, messageEnd);
          break;
        case FIXED64:
          at += 8;
          break;
        case FIXED32:
          at += 4;
          break;
        case LENGTH_DELIMITED: {
          at = this.#varint(bytes, at, end);
          if (at < 0) return this.#short(at, end, messageEnd);
          const stop = at + this.#value;
          if (stop > messageEnd) return "bad";
          if (number === this.#number) {
            if (stop > end) return "more";
            this.start = at;
            this.end = stop;
            return "found";
          }
          at = stop;
          break;
        }
        default:
          return "bad";
      }
      if (number === 0 || at > messageEnd) return "bad";
      this.#at = at;
      if (at > end) return "more";
    }
    return "absent";
  }

  #short(at: number, end: number, messageEnd: number): ProtoResult {
    return at === BAD || end >= messageEnd ? "bad" : "more";
  }

  /** Reads a varint into `#value`; answers the position behind it, SHORT or BAD. */
  #varint(bytes: Uint8Array, start: number, end: number): number {
    let value = 0;
    let factor = 1;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      value += (byte & 127) * factor;
      factor *= 128;
      if (byte < 128) {
        this.#value = value;
        return at + 1;
      }
      if (at - start + 1 >= VARINT_BYTES_MAX) return BAD;
    }
    return SHORT;
  }
}

const SHORT = -1;
const BAD = -2;
