/**
 * The old process's side of an upgrade: it checks the executable, starts it on its own sockets, hands over to it, and
 * takes everything back when that fails. What is handed over, and how a router falls silent and comes back, is told by
 * the role; the protocol is net/handover.ts's.
 *
 * An executable that somebody names must belong to this user or to root and be nobody else's to write, and it must say
 * that it is infermesh: whoever reaches the control port must not have this user run whatever he likes.
 */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { MeshError } from "./base/errors.ts";
import { type HandedSockets, Successor } from "./net/handover.ts";
import type { Log } from "./obs/log.ts";

export interface UpgradeOptions {
  /** The command that this process was started by: an executable and its arguments. */
  readonly command: readonly string[];
  readonly timeoutMs: number;
  readonly log: Log;
  /** Resolves when the role is to end: the attempt ends then. */
  readonly stopped: Promise<string>;
  /** Descriptors of the sockets, for the successor. */
  readonly sockets: () => Readonly<Record<string, HandedSockets>>;
  /** Is no longer the node: nothing is sent and nobody accepted by its main thread any more. What the new one must know. */
  readonly surrender: () => object;
  /** Is the node again. */
  readonly resume: () => Promise<void>;
}

export interface Upgraded {
  readonly pid: number;
  readonly version: string;
}

const VERSION_MS = 10_000;
/** While neither process is the node. It takes some ten milliseconds; after a second or two the mesh begins to miss it. */
const SILENT_MS = 5000;
const OTHERS_MAY_WRITE = 0o022;
/** Whoever may write to its folder can put another file in its place; but not to one like /tmp. */
const ALL_MAY_WRITE = 0o002;
const STICKY = 0o1000;
const VERSION = /^infermesh (?<version>\S+)/;

/** Hands over to a new process; rejects with a MeshError when it did not come to that, and all is as it was. */
export async function upgrade(executable: string, options: UpgradeOptions): Promise<Upgraded> {
  const { log, timeoutMs } = options;
  const command = executable === "" ? options.command : [executable, ...options.command.slice(1)];
  if (executable !== "") expectTrusted(executable);
  const version = await versionOf(command);
  const successor = new Successor({ command, sockets: options.sockets(), env: process.env });
  log.info("an upgrade has begun", { pid: successor.pid, executable: command[0], version });
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => {});
  const within = (limitMs: number): ReturnType<typeof setTimeout> =>
    setTimeout(
      () => late.reject(new MeshError("internal", `the new process was not ready within ${limitMs} ms`)),
      limitMs,
    );
  let timer = within(timeoutMs);
  void options.stopped.then(() => late.reject(new MeshError("draining", "the old process is to end")), late.reject);
  let surrendered = false;
  try {
    await Promise.race([successor.prepared, late.promise]);
    clearTimeout(timer);
    timer = within(Math.min(timeoutMs, SILENT_MS));
    surrendered = true;
    successor.give(options.surrender());
    await Promise.race([successor.ready, late.promise]);
    return { pid: successor.pid, version };
  } catch (error) {
    await successor.kill();
    if (surrendered) await options.resume();
    const why = error instanceof Error ? error.message : String(error);
    log.error("the upgrade failed, and this process goes on", { pid: successor.pid, error: why });
    throw new MeshError("conflict", `the upgrade failed, and this process goes on: ${why}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

function expectTrusted(path: string): void {
  const refuse = (why: string): never => {
    throw new MeshError("bad_request", `${path} is not run: ${why}`, { param: "executable" });
  };
  if (!path.startsWith("/")) refuse("give a path from the root");
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined || !file.isFile()) return refuse("there is no such file");
  if (file.uid !== 0 && file.uid !== process.geteuid?.()) refuse("it belongs to another user");
  if ((file.mode & OTHERS_MAY_WRITE) !== 0) refuse("others may write to it");
  const { mode } = statSync(dirname(path));
  if ((mode & ALL_MAY_WRITE) !== 0 && (mode & STICKY) === 0) refuse("everybody may write to its folder");
}

/** What the executable says that it is. */
async function versionOf(command: readonly string[]): Promise<string> {
  const [executable = "", second = ""] = command;
  const asked = second.endsWith(".ts") ? [executable, second, "--version"] : [executable, "--version"];
  let said = "";
  try {
    const child = Bun.spawn(asked, { stdin: "ignore", stdout: "pipe", stderr: "ignore", timeout: VERSION_MS });
    said = await new Response(child.stdout).text();
  } catch (cause) {
    throw new MeshError("bad_request", `can't run ${executable}: ${(cause as Error).message}`, { cause });
  }
  const version = VERSION.exec(said)?.groups?.["version"];
  if (version === undefined) throw new MeshError("bad_request", `${executable} does not say that it is infermesh`);
  return version;
}
