/**
 * A probe's lines on their way to the agent. What the agent does not read stays here, and whoever writes looks first
 * whether there is room: so an agent that is held up costs no memory, however long.
 */

/** Writes what it can and answers how much; throws as write(2) fails. */
export type Write = (bytes: Uint8Array) => number;

const encoder = new TextEncoder();

export class ProbeOutput {
  readonly #write: Write;
  #rest: Uint8Array | null = null;
  /** Nobody reads any more. */
  isOver = false;

  constructor(write: Write) {
    this.#write = write;
  }

  /** What was given is not all written; who goes on giving makes it grow. */
  get isFull(): boolean {
    return this.#rest !== null;
  }

  give(line: string): void {
    if (this.isOver) return;
    const bytes = encoder.encode(line);
    if (this.#rest === null) {
      this.#rest = bytes;
      this.flush();
      return;
    }
    const both = new Uint8Array(this.#rest.length + bytes.length);
    both.set(this.#rest);
    both.set(bytes, this.#rest.length);
    this.#rest = both;
  }

  /** Tries once more to write what is left. */
  flush(): void {
    while (this.#rest !== null) {
      let written: number;
      try {
        written = this.#write(this.#rest);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EAGAIN") return;
        this.isOver = true;
        this.#rest = null;
        return;
      }
      this.#rest = written >= this.#rest.length ? null : this.#rest.subarray(written);
    }
  }
}
