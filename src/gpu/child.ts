/** A probe process as its parent holds it. */
import type { Exit } from "./probe-life.ts";

export interface Child {
  readonly pid: number;
  /** Its standard output; ends with it. */
  readonly output: AsyncIterable<Uint8Array>;
  kill(signal: "SIGTERM" | "SIGKILL"): void;
  readonly exited: Promise<Exit>;
}

/** Throws where no process can be started. `env` is put over this process's own. */
export type Spawn = (command: readonly string[], env?: Readonly<Record<string, string>>) => Child;

/** Of its last words. */
const ERROR_BYTES_MAX = 4096;
const LAST_WORDS_CHARS_MAX = 300;
/** Its own pipe may be held open by what it left behind. */
const ERROR_WAIT_MS = 200;

export const spawnChild: Spawn = (command, env = {}) => {
  // Its standard input is ours to close: the end of it is the child's.
  const child = Bun.spawn([...command], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...env },
  });
  child.unref();
  const lastWords = lastWordsOf(child.stderr);
  const exited = child.exited.then(async (): Promise<Exit> => {
    await Promise.race([lastWords.over, Bun.sleep(ERROR_WAIT_MS)]);
    return {
      code: child.exitCode,
      signal: child.signalCode === null ? null : String(child.signalCode),
      lastWords: lastWords.text(),
    };
  });
  return { pid: child.pid, output: child.stdout, kill: (signal) => child.kill(signal), exited };
};

/** How the runtime begins what it says of a crash; an address for reports to its makers ends that. */
const CRASH = /^panic\([^)]*\): /;

/** The last line that was written, of the last 4 KiB; of a crash in a driver's library, what crashed. */
export function lastWordsOf(stream: AsyncIterable<Uint8Array>): { readonly over: Promise<void>; text(): string } {
  let tail = new Uint8Array(0);
  const over = (async () => {
    try {
      for await (const chunk of stream) {
        const both = new Uint8Array(tail.length + chunk.length);
        both.set(tail);
        both.set(chunk, tail.length);
        tail = both.slice(-ERROR_BYTES_MAX);
      }
    } catch {
      // What came until then is what there is.
    }
  })();
  return {
    over,
    text() {
      const lines = new TextDecoder().decode(tail).split("\n");
      const said = lines
        .map((line) => line.replaceAll(/[\p{Cc}\p{Cf}\uFFFD]/gu, "").trim())
        .filter((line) => line !== "");
      const crash = said.findLast((line) => CRASH.test(line))?.replace(CRASH, "");
      return (crash ?? said.at(-1) ?? "").slice(0, LAST_WORDS_CHARS_MAX);
    },
  };
}
