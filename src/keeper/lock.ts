/**
 * Who looks after the runtime of a directory: one agent at a time, by a lock that the kernel drops when its holder ends,
 * however that comes.
 */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../base/errors.ts";
import { openLibc } from "../net/libc.ts";

const LOCK_EXCLUSIVE_NOW = 2 | 4;

export class StateLock {
  #fd: number;

  /** Throws where the directory can't be written, or another process has it. */
  constructor(directory: string) {
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      this.#fd = openSync(join(directory, "lock"), "a", 0o600);
    } catch (cause) {
      const why = `can't keep the runtime's record in ${directory}: ${(cause as Error).message}`;
      throw new MeshError("config_invalid", why, { cause, param: "dataDir" });
    }
    if (openLibc()?.flock(this.#fd, LOCK_EXCLUSIVE_NOW) === 0) return;
    closeSync(this.#fd);
    throw new MeshError(
      "config_invalid",
      `another agent looks after the runtime of ${directory}: give this one another --id or --data-dir, or stop that one`,
    );
  }

  release(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}
