/**
 * The files of a control node's store as one thing: put away, or taken back, whole, whenever the process is killed.
 *
 * There are several files, and a log that lacks one of them is refused as damaged. So what is to become of them is
 * written beside them first (`PATH-fate`), and a start that finds that word carries it out before it looks at the store.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { MARK_SUFFIX, MarkFile } from "./log-mark.ts";

const FATE_SUFFIX = "-fate";
const SUFFIXES = ["", "-wal", "-shm", MARK_SUFFIX];
const REMOVED = "removed";

export class StoreFiles {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get exist(): boolean {
    return existsSync(this.path);
  }

  /** Where the store of a member that was taken out lies; "" where there is none. Such a node stands by. */
  get removed(): string {
    const start = `${basename(this.path)}.${REMOVED}-`;
    const folder = dirname(this.path);
    if (!existsSync(folder)) return "";
    const found = readdirSync(folder).find((name) => name.startsWith(start) && !name.endsWith(MARK_SUFFIX));
    return found === undefined ? "" : join(folder, found);
  }

  /** What is made from here on is nothing until `keep`: a start that comes before removes it. */
  doubt(): void {
    this.#decide("");
  }

  keep(): void {
    rmSync(this.path + FATE_SUFFIX, { force: true });
    this.#synchronise();
  }

  /** The log must be closed. */
  delete(): void {
    this.#decide("");
    this.settle();
  }

  /** Under another name, all of them alike: they are one log. The log must be closed. */
  putAside(why: string): void {
    this.#decide(`${basename(this.path)}.${why}-${Date.now()}`);
    this.settle();
  }

  /** Carries out what was decided, if anything was. Throws a MeshError `conflict` while another process has the store. */
  settle(): void {
    const fate = this.path + FATE_SUFFIX;
    if (!existsSync(fate)) return;
    const mark = this.path + MARK_SUFFIX;
    const lock = existsSync(mark) ? MarkFile.hold(mark) : null;
    try {
      this.#carryOut(fate);
    } finally {
      lock?.close();
    }
  }

  #carryOut(fate: string): void {
    const name = readFileSync(fate, "utf8").trim();
    for (const suffix of SUFFIXES) {
      const file = this.path + suffix;
      if (!existsSync(file)) continue;
      if (name === "") rmSync(file, { force: true });
      else renameSync(file, join(dirname(this.path), basename(name) + suffix));
    }
    this.keep();
  }

  #decide(name: string): void {
    const fate = this.path + FATE_SUFFIX;
    writeFileSync(`${fate}.new`, name, { mode: 0o600 });
    synchronise(`${fate}.new`);
    renameSync(`${fate}.new`, fate);
    this.#synchronise();
  }

  #synchronise(): void {
    synchronise(dirname(this.path));
  }
}

/** Flushes a file, or a folder, whose names are its content. */
export function synchronise(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
