/**
 * A file of seeds: one a line, # comments, blank lines. It is looked at every two seconds, since it may be written after
 * the node has started, and replaced by a rename or by the swap of a symbolic link above it (a Kubernetes config map),
 * of which watching a file tells nothing. A look is one stat; the file is read when that shows a difference.
 *
 * What is wrong is told once until it changes: that the file can't be read (the seeds that it had stay), and lines that
 * are no seeds (the rest is used). Limit: `FILE_BYTES_MAX`.
 */
import { readFile, stat } from "node:fs/promises";
import { shown } from "../base/shown.ts";
import { parseSeed, SEED_EXPECTED, seedHint, type Seed } from "./seed.ts";
import { codeOf } from "../net/crash.ts";

const POLL_MS = 2000;
const FILE_BYTES_MAX = 2 ** 20;

export interface SeedFileOptions {
  readonly path: string;
  /** The seeds are others now. */
  readonly onChange: () => void;
  readonly onWarning: (message: string) => void;
  /** Another pace in tests. */
  readonly pollMs?: number;
}

export class SeedFile {
  readonly #options: SeedFileOptions;
  #seeds: readonly Seed[] = [];
  #fault = "";
  #mark = "";
  #text: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(options: SeedFileOptions) {
    this.#options = options;
  }

  /** As the file last named them. */
  get seeds(): readonly Seed[] {
    return this.#seeds;
  }

  /** Why the file can't be read, in short; "" when it can. */
  get fault(): string {
    return this.#fault;
  }

  /** Looks at the file now, and from then on every two seconds. */
  async start(): Promise<void> {
    await this.look();
    if (!this.#stopped) this.#timer = setTimeout(() => void this.start(), this.#options.pollMs ?? POLL_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Never rejects. */
  async look(): Promise<void> {
    const { path, onWarning } = this.#options;
    try {
      const text = await this.#read(path);
      this.#fault = "";
      if (text === undefined || text === this.#text || this.#stopped) return;
      this.#text = text;
      this.#take(text);
    } catch (error) {
      const fault =
        codeOf(error) === "ENOENT" ? "no such file" : error instanceof Error ? error.message : String(error);
      // A broken file that is whole again must be read, whatever its dates.
      this.#mark = "";
      if (fault === this.#fault || this.#stopped) return;
      this.#fault = fault;
      onWarning(`can't read the seeds file ${path}: ${fault}; trying on`);
    }
  }

  /** The text; undefined when nothing shows that it has changed. */
  async #read(path: string): Promise<string | undefined> {
    const file = await stat(path);
    const { ino, dev, size, mtimeMs, ctimeMs } = file;
    const mark = [ino, dev, size, mtimeMs, ctimeMs].join(" ");
    if (mark === this.#mark) return undefined;
    if (!file.isFile()) throw new Error("it is no file");
    if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes, at most ${FILE_BYTES_MAX} are read`);
    const text = await readFile(path, "utf8");
    this.#mark = mark;
    return text;
  }

  #take(text: string): void {
    const { path, onChange, onWarning } = this.#options;
    const seeds: Seed[] = [];
    const faults: string[] = [];
    for (const [index, line] of text
      .replace(/^\uFEFF/, "")
      .split(/\r?\n/)
      .entries()) {
      const written = line.replace(/#.*$/, "").trim();
      if (written === "") continue;
      const seed = parseSeed(written);
      if (seed !== undefined) seeds.push(seed);
      else faults.push(faultOf(index + 1, written));
    }
    if (faults.length > 0) {
      const more = faults.length === 1 ? "" : `; ${faults.length - 1} more of its lines are wrong`;
      onWarning(`the seeds file ${path}, ${faults[0]}${more}; the rest is used`);
    }
    this.#seeds = seeds;
    onChange();
  }
}

function faultOf(line: number, written: string): string {
  const hint = seedHint(written);
  return `line ${line}: found ${shown(written)}; expected ${SEED_EXPECTED}${hint === "" ? "" : `; ${hint}`}`;
}
