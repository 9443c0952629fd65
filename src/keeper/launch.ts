/**
 * The last step before a runtime: a process that becomes it. Only a process can say of itself that it ends with its
 * parent, and that signals which the engine ignores mean again what they mean by default; then it runs the program in its
 * own place, with its number, its group and its pipes. The keeper has a pipe to it that closes when the program runs, and
 * tells why when it can't be run.
 */
import { writeSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import { openLibc } from "../net/libc.ts";

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
const SIGPIPE = 13;
const SIGXFSZ = 25;
const STATUS = 3;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** As shells say it. */
const EXIT_NOT_RUN = 126;

export interface Launch {
  /** The path of the program, then its arguments. */
  readonly words: readonly string[];
  /** Names of the variables that are the runtime's. */
  readonly names: readonly string[];
  /** The keeper's number. */
  readonly parent: number;
}

export function launch(text: string): never {
  const { words, names, parent } = JSON.parse(text) as Launch;
  const [program = ""] = words;
  const libc = openLibc();
  // A keeper that has none starts no process.
  if (libc === null) throw new MeshError("internal", "no libc could be opened");
  libc.fcntl(STATUS, F_SETFD, FD_CLOEXEC);
  libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // It went before it could be asked for.
  if (process.ppid !== parent) process.exit(EXIT_NOT_RUN);
  libc.signal(SIGPIPE, null);
  libc.signal(SIGXFSZ, null);
  const env = Object.fromEntries(names.map((name) => [name, process.env[name] ?? ""]));
  let why = "this system can't run a program in the place of another one";
  try {
    process.execve?.(program, [...words], env);
  } catch (error) {
    why = (error as Error).message;
  }
  writeSync(STATUS, `${program} can't be run: ${why}`);
  process.exit(EXIT_NOT_RUN);
}
