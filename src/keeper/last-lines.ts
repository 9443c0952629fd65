/** The end of a stream of text, as lines fit to be shown: of a limited number and length, without what steers a terminal. */

const LINES_MAX = 20;
const LINE_CHARS_MAX = 300;
const BYTES_MAX = 16 * 1024;
const NEWLINE = 10;
/** Colours and the like, as programs write them to terminals. */
// eslint-disable-next-line no-control-regex
const ESCAPES = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-_])/g;

export class LastLines {
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #endsLine = true;

  /** Whether what came last ended a line. */
  get endsLine(): boolean {
    return this.#endsLine;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#endsLine = chunk.at(-1) === NEWLINE;
    // A copy of the end alone: a part of a chunk would keep all of it.
    const part = chunk.slice(-BYTES_MAX);
    this.#parts.push(part);
    this.#bytes += part.length;
    while (this.#parts.length > 1 && this.#bytes - this.#parts[0]!.length >= BYTES_MAX) {
      this.#bytes -= this.#parts.shift()!.length;
    }
    // Many small chunks are one.
    if (this.#parts.length > 64) {
      const all = Buffer.concat(this.#parts).subarray(-BYTES_MAX);
      this.#parts = [new Uint8Array(all)];
      this.#bytes = all.length;
    }
  }

  /** Oldest first. */
  all(): string[] {
    return linesOf(Buffer.concat(this.#parts).subarray(-BYTES_MAX));
  }
}

/** The last lines of bytes that may begin in the midst of one. */
export function linesOf(bytes: Uint8Array): string[] {
  return new TextDecoder()
    .decode(bytes)
    .split("\n")
    .map(plain)
    .filter((line) => line !== "")
    .slice(-LINES_MAX);
}

function plain(line: string): string {
  // What a carriage return leads back over is not seen either: progress bars.
  const seen = line.replace(/\r+$/, "").split("\r").at(-1) ?? "";
  const text = seen
    .replace(ESCAPES, "")
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029\uFFFD]/gu, " ")
    .trimEnd();
  return text.length > LINE_CHARS_MAX ? `${text.slice(0, LINE_CHARS_MAX - 3)}...` : text;
}
