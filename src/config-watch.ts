/**
 * Watches the configuration file, which editors write in place or replace by a rename, and Kubernetes replaces by the
 * swap of a symbolic link above it: watching a file tells nothing of the latter, so it is looked at twice a second, by
 * one stat. A change is told when the next look finds it at rest, so that a file that is being written is not read half.
 *
 * A file that is away changes nothing: it is told once, and a file that is there again is read.
 */
import { stat } from "node:fs/promises";

const LOOK_MS = 500;

export interface ConfigWatchOptions {
  readonly path: string;
  /** The file is another one now, and at rest. */
  readonly onChange: () => void;
  readonly onWarning: (message: string) => void;
  /** Another pace in tests. */
  readonly lookMs?: number;
}

export class ConfigWatch {
  readonly #options: ConfigWatchOptions;
  /** The file as it was last told of, and as the last look found it. */
  #told: string | undefined;
  #seen = "";
  #isAway = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(options: ConfigWatchOptions) {
    this.#options = options;
  }

  /** Takes the file as it is for known, and looks at it from then on. */
  async start(): Promise<void> {
    await this.#look();
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.start(), this.#options.lookMs ?? LOOK_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { path, onChange, onWarning } = this.#options;
    const mark = await markOf(path);
    if (this.#stopped) return;
    if (mark instanceof Error) {
      if (!this.#isAway)
        onWarning(`the configuration file can't be looked at, and what it said stays: ${mark.message}`);
      this.#isAway = true;
      return;
    }
    this.#isAway = false;
    this.#told ??= mark;
    const isAtRest = mark === this.#seen;
    this.#seen = mark;
    if (!isAtRest || mark === this.#told) return;
    this.#told = mark;
    onChange();
  }
}

/** What tells one state of a file from another. */
async function markOf(path: string): Promise<string | Error> {
  try {
    const { ino, dev, size, mtimeMs, ctimeMs } = await stat(path);
    return [ino, dev, size, mtimeMs, ctimeMs].join(" ");
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
