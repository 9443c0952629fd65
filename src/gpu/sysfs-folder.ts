/**
 * A folder of the kernel's files of one card. What is not there, may not be read or has no figure now is undefined. A look
 * counts what the driver failed at: a card that fell off the bus still has its files, and they answer with errors.
 */
import { closeSync, existsSync, openSync, readSync, readdirSync } from "node:fs";
import { hexOf, wholeOf } from "./kernel-text.ts";

const FILE_BYTES_MAX = 64 * 1024;
/** The card does not answer. EBUSY and EPERM are of one that is being reset, or sleeps. */
const FAILURES = new Set(["EIO", "ENODEV", "ENXIO", "ETIME", "ETIMEDOUT", "EREMOTEIO"]);

const buffer = new Uint8Array(FILE_BYTES_MAX);
const utf8 = new TextDecoder("utf-8");

/** What became of the reads of one look. */
export class LookCount {
  answers = 0;
  failures = 0;

  begin(): void {
    this.answers = 0;
    this.failures = 0;
  }

  /** Most of what was asked failed. */
  get isLost(): boolean {
    return this.failures > this.answers;
  }
}

export class KernelFolder {
  readonly path: string;
  readonly #count: LookCount;

  constructor(path: string, count = new LookCount()) {
    this.path = path;
    this.#count = count;
  }

  in(name: string): KernelFolder {
    return new KernelFolder(`${this.path}/${name}`, this.#count);
  }

  has(name: string): boolean {
    return existsSync(`${this.path}/${name}`);
  }

  /** Names in it that fit, in the order of the numbers in them. */
  names(pattern: RegExp): string[] {
    try {
      const names = readdirSync(this.path).filter((name) => pattern.test(name));
      return names.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    } catch {
      return [];
    }
  }

  /** A copy of what is in a file, up to 64 KiB. */
  bytes(name: string): Uint8Array | undefined {
    const length = this.#fill(name);
    return length === undefined ? undefined : buffer.slice(0, length);
  }

  /** Undefined for an empty one too. */
  text(name: string): string | undefined {
    const length = this.#fill(name);
    if (length === undefined) return undefined;
    const text = utf8.decode(buffer.subarray(0, length)).trim();
    return text === "" ? undefined : text;
  }

  whole(name: string): number | undefined {
    return wholeOf(this.text(name));
  }

  /** The same of what can't be below nothing, in parts of a unit: 1e6 for what is written in millionths. */
  amount(name: string, parts = 1): number | undefined {
    const value = this.whole(name);
    return value === undefined || value < 0 ? undefined : value / parts;
  }

  hex(name: string): string | undefined {
    return hexOf(this.text(name));
  }

  #fill(name: string): number | undefined {
    let file: number | undefined;
    try {
      file = openSync(`${this.path}/${name}`, "r");
      let length = 0;
      while (length < FILE_BYTES_MAX) {
        const read = readSync(file, buffer, length, FILE_BYTES_MAX - length, null);
        if (read === 0) break;
        length += read;
      }
      this.#count.answers += 1;
      return length;
    } catch (error) {
      if (FAILURES.has((error as NodeJS.ErrnoException).code ?? "")) this.#count.failures += 1;
      return undefined;
    } finally {
      if (file !== undefined) closeSync(file);
    }
  }
}
