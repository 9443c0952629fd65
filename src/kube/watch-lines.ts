/**
 * The events of a watch out of its bytes: JSON values, one a line, however the bytes are cut. A last line without an end
 * is none: whoever sent it was cut off.
 *
 * Limit: `LINE_BYTES_MAX` a line. There is no recovery: what is bad ends its watch.
 */

export const LINE_BYTES_MAX = 4 * 1024 * 1024;

const NEWLINE = 10;

export class WatchLines {
  readonly #decoder = new TextDecoder();
  readonly #bytesMax: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  constructor(bytesMax = LINE_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** The values of the lines that have ended, undefined for one that is no JSON; "too_long" ends it all. */
  push(bytes: Uint8Array): readonly unknown[] | "too_long" {
    const values: unknown[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      if (!this.#keep(bytes.subarray(start, end))) return "too_long";
      start = end + 1;
      const line = this.#line();
      if (line.trim() !== "") values.push(valueOf(line));
    }
    return this.#keep(bytes.slice(start)) ? values : "too_long";
  }

  #keep(bytes: Uint8Array): boolean {
    if (bytes.length > 0) this.#parts.push(bytes);
    this.#length += bytes.length;
    return this.#length <= this.#bytesMax;
  }

  #line(): string {
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#length = 0;
    return this.#decoder.decode(whole);
  }
}

function valueOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
