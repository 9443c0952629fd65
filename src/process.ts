/** What every role needs of the operating system's process: signals, a supervisor's pipe, running oneself, thrift. */
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { MeshError } from "./base/errors.ts";
import { formatAddress } from "./base/units.ts";

export interface Stopped {
  /** Resolves with what asked for the end; rejects when `fail` is called. */
  readonly promise: Promise<string>;
  /** Resolves with the first signal that asks for it, whatever asked before. */
  readonly signalled: Promise<string>;
  /** Asks for an end in order. It may be asked for again, and a signal after it is still the first one. */
  ask(what: string): void;
  fail(error: Error): void;
}

/** Signals this close together are one wish: a terminal's Ctrl-C reaches a child both directly and by its parent. */
const SAME_WISH_MS = 500;

/**
 * Waits for SIGTERM or SIGINT; a second one ends the process at once. With INFERMESH_SUPERVISED=1 (set by `dev` for
 * its children) the end of standard input asks for the end too, so that no child outlives a parent that was killed.
 */
export function untilStopped(): Stopped {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // A failure may come before anyone waits for it; whoever awaits the promise later still gets it.
  promise.catch(() => {});
  const signalled = Promise.withResolvers<string>();
  let askedAtMs = Number.POSITIVE_INFINITY;
  const ask = (what: string): void => {
    const nowMs = performance.now();
    if (nowMs - askedAtMs > SAME_WISH_MS && what !== "parent") process.exit(130);
    askedAtMs = Math.min(askedAtMs, nowMs);
    signalled.resolve(what);
    resolve(what);
  };
  // A bug: what it left half-done can't be trusted, so the process ends, with the error's own words.
  process.on("uncaughtException", reject);
  process.on("unhandledRejection", reject);
  process.on("SIGTERM", () => ask("SIGTERM"));
  process.on("SIGINT", () => ask("SIGINT"));
  if (isSupervised()) {
    process.stdin.on("end", () => ask("parent"));
    process.stdin.resume();
  }
  return { promise, signalled: signalled.promise, ask: resolve, fail: reject };
}

/** Whether a parent of ours looks after this process, and ends when it does. */
function isSupervised(): boolean {
  return process.env["INFERMESH_SUPERVISED"] === "1";
}

/** Why no process may go on in the place of this one; "" when one may. */
export function whyNoSuccessor(): string {
  if (isSupervised()) return "who started this process ends when it does";
  if (process.pid === 1) return "this is the first process of its container, which ends when it does";
  return leadsTerminal() ? "this process leads the session of its terminal, which ends when it does" : "";
}

/** Whether it is the one that a shell is otherwise, as by `ssh -t`. Linux tells; elsewhere it is not known, and false. */
function leadsTerminal(): boolean {
  try {
    const stat = readFileSync("/proc/self/stat", "latin1");
    // State, parent, group, session and terminal follow the name, which is in brackets and may hold anything.
    const [, , , session, terminal] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return session === String(process.pid) && terminal !== "0";
  } catch {
    return false;
  }
}

/**
 * SIGHUP calls `reload`; but one that comes because the terminal of this process is gone asks for the end, as it does by
 * default: whoever closes a terminal wants what runs in it to end.
 */
export function onHangup(reload: () => void, end: () => void): void {
  const hadTerminal = hasTerminal();
  process.on("SIGHUP", () => {
    if (hadTerminal && !hasTerminal()) end();
    else reload();
  });
}

function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

/** Keeps this process's id in a file ("" for none), whole at any time; throws a MeshError when that can't be written. */
export function keepPid(file: string): void {
  if (file === "") return;
  const draft = `${file}.${process.pid}`;
  try {
    writeFileSync(draft, `${process.pid}\n`);
    renameSync(draft, file);
  } catch (cause) {
    rmSync(draft, { force: true });
    throw new MeshError("config_invalid", `can't write the pid file ${file}: ${(cause as Error).message}`, { cause });
  }
}

/** Removes the file, unless it holds another process's id by now. */
export function dropPid(file: string): void {
  if (file === "") return;
  try {
    if (readFileSync(file, "utf8").trim() === String(process.pid)) rmSync(file);
  } catch {
    // It is gone, or no longer ours to remove.
  }
}

/** The command that runs this program again: the executable, or Bun with the source in a checkout. */
export function selfCommand(): string[] {
  return isCompiled() ? [process.execPath] : [process.execPath, Bun.main];
}

/** Whether this is the executable rather than its sources. */
export function isCompiled(): boolean {
  return Bun.main.startsWith("/$bunfs/") || Bun.main.startsWith("B:\\~BUN\\");
}

/** Settings of JavaScriptCore and mimalloc, by their variables. */
const THRIFT: Readonly<Record<string, string>> = {
  // Calls of a function, or turns of its loops, before the simple compiler takes it (500), and the optimising one (1000).
  BUN_JSC_thresholdForJITAfterWarmUp: "5000",
  BUN_JSC_thresholdForOptimizeAfterWarmUp: "20000",
  BUN_JSC_thresholdForOptimizeAfterLongWarmUp: "20000",
  BUN_JSC_numberOfGCMarkers: "1",
  // Besides the engine's own collections Bun asks for one each second, as long as anything moves.
  BUN_GC_TIMER_INTERVAL: "10000",
  // Else a thread wakes up again and again, to give back pages that are wanted again a moment later.
  MIMALLOC_PURGE_DELAY: "-1",
};

/**
 * A probe does the same few things every second for months, and in all less than a hundredth of what an agent does: code
 * that is compiled simply and early is cheaper there than the interpreter, and to optimise it never pays.
 */
const STEADY: Readonly<Record<string, string>> = {
  BUN_JSC_thresholdForJITAfterWarmUp: "1000",
  BUN_JSC_thresholdForOptimizeAfterWarmUp: "200000",
  BUN_JSC_thresholdForOptimizeAfterLongWarmUp: "200000",
};

/** What a probe's environment has besides that of this process, but for what the user has set otherwise. */
export function probeEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const isOurs = (name: string): boolean => env[name] === undefined || env[name] === THRIFT[name];
  return Object.fromEntries(Object.entries({ ...THRIFT, ...STEADY }).filter(([name]) => isOurs(name)));
}

/**
 * For a process that shares its machine with others' work, and has little to do itself: its engine compiles only what
 * is hot for good, collects garbage on one thread, and keeps the pages that it has freed. The engine reads such settings
 * from the environment alone, before any line of ours; so the process puts them there, but for those that the user has
 * set, and runs its executable once more in its own place, which keeps its id, its files and its parent. Returns if it
 * runs so already, or can't, or has options of Bun's: a profiler's signal that is on its way would end the new image.
 */
export function beThrifty(env: NodeJS.ProcessEnv): void {
  const isDone = Object.keys(THRIFT).every((name) => env[name] !== undefined);
  if (!isCompiled() || isDone || env["BUN_OPTIONS"] !== undefined) return;
  try {
    process.execve?.(process.execPath, [process.argv0, ...process.argv.slice(2)], { ...THRIFT, ...env });
  } catch {
    // A system that forbids it. The process needs more CPU, no more.
  }
}

/** Where something listens, as it is shown: every address is 0.0.0.0, whatever the socket calls it. */
export function listensAt(host: string, port: number): string {
  return formatAddress({ host: host === "" || host === "::" ? "0.0.0.0" : host, port });
}
