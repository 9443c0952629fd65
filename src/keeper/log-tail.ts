/** The last lines of a log that a keeper writes, read when they are asked for, and not twice when nothing was added. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { linesOf } from "./last-lines.ts";
import { LOG_LINK } from "./log-writer.ts";

const BYTES_MAX = 16 * 1024;

export class LogTail {
  readonly path: string;
  #mark = "";
  #lines: readonly string[] = [];

  constructor(directory: string) {
    this.path = join(directory, LOG_LINK);
  }

  /** Oldest first; none where there is no log. */
  get lines(): readonly string[] {
    try {
      const fd = openSync(this.path, "r");
      try {
        this.#look(fd);
      } finally {
        closeSync(fd);
      }
    } catch {
      this.#lines = [];
      this.#mark = "";
    }
    return this.#lines;
  }

  #look(fd: number): void {
    const { ino, size } = fstatSync(fd);
    const mark = `${ino} ${size}`;
    if (mark === this.#mark) return;
    const bytes = new Uint8Array(Math.min(size, BYTES_MAX));
    const count = readSync(fd, bytes, 0, bytes.length, Math.max(0, size - bytes.length));
    this.#lines = linesOf(bytes.subarray(0, count));
    this.#mark = mark;
  }
}
