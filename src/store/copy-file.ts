/**
 * The file in which a node that is no control node keeps its copy of the policies: one JSON text, written whole beside
 * the old one and put in its place, at most once a second. What can't be read is as good as none: the copy is told anew.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { isRecord } from "../base/field.ts";
import type { Item } from "../policy/item.ts";
import { isItem } from "./bodies.ts";
import { codeOf } from "../net/crash.ts";

const PAUSE_MS = 1000;
const VERSION = 1;

export interface KeptCopy {
  readonly cluster: string;
  readonly items: readonly Item[];
  readonly revision: number;
}

export class CopyFile {
  readonly #path: string;
  readonly #onFault: (why: string) => void;
  #waiting: KeptCopy | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fault = "";

  /** "": nowhere. */
  constructor(path: string, onFault: (why: string) => void) {
    this.#path = path;
    this.#onFault = onFault;
  }

  read(): KeptCopy | undefined {
    if (this.#path === "") return undefined;
    try {
      const kept: unknown = JSON.parse(readFileSync(this.#path, "utf8"));
      if (!isRecord(kept) || kept["version"] !== VERSION) throw new Error("not a copy of this version");
      const { cluster, items, revision } = kept;
      const isWhole = typeof cluster === "string" && Number.isSafeInteger(revision) && Array.isArray(items);
      if (!isWhole || !items.every(isItem)) throw new Error("not a copy");
      return { cluster, items, revision: revision as number };
    } catch (error) {
      if (codeOf(error) !== "ENOENT") this.#tell(`${this.#path}: ${(error as Error).message}`);
      return undefined;
    }
  }

  write(copy: KeptCopy): void {
    if (this.#path === "") return;
    this.#waiting = copy;
    this.#timer ??= setTimeout(() => this.flush(), PAUSE_MS);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const copy = this.#waiting;
    this.#waiting = null;
    if (copy === null) return;
    const beside = `${this.#path}.new`;
    try {
      const fd = openSync(beside, "w", 0o600);
      try {
        // The whole of it, or it throws: `writeSync` may write a part where space is scarce.
        writeFileSync(fd, JSON.stringify({ version: VERSION, ...copy }));
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(beside, this.#path);
      this.#fault = "";
    } catch (error) {
      this.#tell(`${this.#path}: ${(error as Error).message}`);
    }
  }

  #tell(why: string): void {
    if (why === this.#fault) return;
    this.#fault = why;
    this.#onFault(why);
  }
}
