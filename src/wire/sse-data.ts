/**
 * Server-sent events (WHATWG HTML section 9.2), as far as their data: the data lines of an event, joined by newlines, told
 * when its empty line comes. Names, ids, retries and comments are left out; lines end with LF or CRLF.
 *
 * Limits: an event's lines have up to 64 KiB together. Of a larger one nothing is told, and the next one is read again.
 */
import { CR, LF } from "./octets.ts";

export const EVENT_BYTES_MAX = 65_536;
const FIELD = "data:";

const decoder = new TextDecoder();

export class SseData {
  /** The lines of the event so far, the last of them perhaps in part. */
  #bytes = new Uint8Array(1024);
  #length = 0;
  #lineStart = 0;
  #isTooLarge = false;

  push(piece: Uint8Array, take: (data: string) => void): void {
    for (let start = 0; start < piece.length;) {
      const newline = piece.indexOf(LF, start);
      const end = newline < 0 ? piece.length : newline + 1;
      this.#keep(piece.subarray(start, end));
      start = end;
      if (newline >= 0) this.#endLine(take);
    }
  }

  #keep(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (length > EVENT_BYTES_MAX) {
      // How its line ends still shows when the event does.
      this.#isTooLarge = true;
      this.#length = 0;
      this.#lineStart = -1;
      return;
    }
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(length, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(part, this.#length);
    this.#length = length;
  }

  #endLine(take: (data: string) => void): void {
    if (this.#lineStart >= 0 && this.#isEmpty(this.#lineStart, this.#length)) {
      const data = this.#isTooLarge ? undefined : this.#data();
      this.#length = this.#lineStart = 0;
      this.#isTooLarge = false;
      if (data !== undefined) take(data);
      return;
    }
    // Of an event that is too large only the line that ends it matters.
    if (this.#isTooLarge) this.#length = 0;
    this.#lineStart = this.#length;
  }

  #isEmpty(start: number, end: number): boolean {
    const length = end - start;
    return length === 1 || (length === 2 && this.#bytes[start] === CR);
  }

  /** Undefined for an event without any. */
  #data(): string | undefined {
    const lines = decoder.decode(this.#bytes.subarray(0, this.#lineStart)).split("\n");
    const data = lines.filter((line) => line.startsWith(FIELD)).map((line) => valueOf(line.slice(FIELD.length)));
    return data.length === 0 ? undefined : data.join("\n");
  }
}

/** One space before it, and the return that ends it, are none of it. */
function valueOf(rest: string): string {
  const value = rest.endsWith("\r") ? rest.slice(0, -1) : rest;
  return value.startsWith(" ") ? value.slice(1) : value;
}
