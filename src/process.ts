/** What every role needs of the operating system's process: signals, a supervisor's pipe, and how to run oneself. */
import { formatAddress } from "./base/units.ts";

export interface Stopped {
  /** Resolves with what asked for the end; rejects when `fail` is called. */
  readonly promise: Promise<string>;
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
  let askedAtMs = Number.POSITIVE_INFINITY;
  const ask = (what: string): void => {
    const nowMs = performance.now();
    if (nowMs - askedAtMs > SAME_WISH_MS && what !== "parent") process.exit(130);
    askedAtMs = Math.min(askedAtMs, nowMs);
    resolve(what);
  };
  // A bug: what it left half-done can't be trusted, so the process ends, with the error's own words.
  process.on("uncaughtException", reject);
  process.on("unhandledRejection", reject);
  process.on("SIGTERM", () => ask("SIGTERM"));
  process.on("SIGINT", () => ask("SIGINT"));
  if (process.env["INFERMESH_SUPERVISED"] === "1") {
    process.stdin.on("end", () => ask("parent"));
    process.stdin.resume();
  }
  return { promise, ask: resolve, fail: reject };
}

/** The command that runs this program again: the executable, or Bun with the source in a checkout. */
export function selfCommand(): string[] {
  const compiled = Bun.main.startsWith("/$bunfs/") || Bun.main.startsWith("B:\\~BUN\\");
  return compiled ? [process.execPath] : [process.execPath, Bun.main];
}

/** Where something listens, as it is shown: every address is 0.0.0.0, whatever the socket calls it. */
export function listensAt(host: string, port: number): string {
  return formatAddress({ host: host === "" || host === "::" ? "0.0.0.0" : host, port });
}
