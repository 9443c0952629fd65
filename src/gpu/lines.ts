/**
 * A stream of bytes cut into lines, each of a limited length: what a probe process writes. A line that is longer is
 * reported once, and nothing is kept of it or of what comes after: whoever writes such a thing is not to be understood.
 */
const NEWLINE = 10;

export class Lines {
  readonly #bytesMax: number;
  readonly #decoder = new TextDecoder();
  /** Of the line that has not ended yet. */
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #isOver = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The lines that end in it, without their ends; "too long" when one is beyond the limit. */
  push(chunk: Uint8Array): readonly string[] | "too long" {
    if (this.#isOver) return "too long";
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      if (this.#bytes + end - from > this.#bytesMax) return this.#end();
      lines.push(this.#line(chunk.subarray(from, end)));
      from = end + 1;
    }
    if (from < chunk.length) {
      // A copy: the rest of a chunk would keep all of it.
      const rest = chunk.slice(from);
      this.#bytes += rest.length;
      if (this.#bytes > this.#bytesMax) return this.#end();
      this.#parts.push(rest);
    }
    return lines;
  }

  #line(last: Uint8Array): string {
    if (this.#parts.length === 0) return this.#decoder.decode(last);
    const bytes = new Uint8Array(this.#bytes + last.length);
    let at = 0;
    for (const part of [...this.#parts, last]) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#bytes = 0;
    return this.#decoder.decode(bytes);
  }

  #end(): "too long" {
    this.#isOver = true;
    this.#parts = [];
    this.#bytes = 0;
    return "too long";
  }
}
