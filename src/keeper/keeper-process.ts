/**
 * The keeper: a small process between an agent and its runtime, `infermesh exec-runtime`. It is the runtime's parent, reads
 * what it writes, keeps the log and the record of it, sees how it ends and ends what it left behind. So an agent may go
 * and come while the runtime runs on, with its pipes open, and hears of its end all the same.
 *
 * It tells the agent by lines of JSON on its standard output, and hears of its end by that of its standard input: a keeper
 * that is not detached then ends the runtime. A runtime whose keeper is gone ends too, by the kernel's hand.
 */
import { writeSync } from "node:fs";
import type { RuntimeExit } from "../exec/exit.ts";
import { launch, type Launch } from "./launch.ts";
import { LogWriter } from "./log-writer.ts";
import { adoptOrphans, buryOthers } from "./orphans.ts";
import { openPipe } from "./pipe.ts";
import {
  endDescendants,
  killDescendants,
  oomKillsOf,
  placeOfNumbers,
  type ProcessName,
  signalSession,
  statOf,
} from "./proc.ts";
import { removeRecord, type RuntimeRecord, writeRecord } from "./record.ts";
import { type KeeperSpec, readSpec, SPEC_BYTES_MAX } from "./spec.ts";

export type KeeperMessage =
  | { readonly type: "started"; readonly keeper: ProcessName; readonly runtime: ProcessName; readonly atMs: number }
  | { readonly type: "failed"; readonly why: string }
  | { readonly type: "lost"; readonly why: string }
  | { readonly type: "exited"; readonly exit: RuntimeExit };

const STDOUT = 1;
const EXIT_USAGE = 2;
/** Between SIGTERM and SIGKILL for processes that a runtime has left behind. */
const LEFT_MS = 3000;
/** For killed ones to be gone. */
const KILLED_MS = 2000;
/** A pipe that a process of another session holds open is read for no longer than this. */
const READ_MS = 500;
/** A log on a disk that hangs is waited for no longer than this. */
const WRITE_MS = 5000;

/** Runs until the runtime has ended, and ends the process. */
export async function keeperProcess(args: readonly string[]): Promise<never> {
  if (args.length === 2 && args[0] === "run") return launch(args[1]!);
  // Signals to whole groups and services are the agent's to act upon, or the runtime's own.
  for (const signal of ["SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"]) process.on(signal, () => {});
  const input = process.stdin[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  const spec = args.length === 0 ? readSpec(await firstLine(input)) : undefined;
  if (spec === undefined) {
    process.stderr.write("infermesh exec-runtime: agents start it by themselves, and tell it what to run\n");
    process.exit(EXIT_USAGE);
  }
  try {
    const keeper = new Keeper(spec);
    process.on("SIGTERM", () => keeper.stop());
    await keeper.start();
    if (!spec.isDetached) void untilEnd(input).then(() => keeper.stop());
    await keeper.over;
    process.exit(0);
  } catch (error) {
    const { pid } = process;
    removeRecord(spec.stateDirectory, { pid, start: statOf(pid)?.start ?? "0" });
    say({ type: "failed", why: (error as Error).message });
    process.exit(1);
  }
}

class Keeper {
  readonly #spec: KeeperSpec;
  readonly #log: LogWriter;
  readonly #self: ProcessName = { pid: process.pid, start: statOf(process.pid)?.start ?? "0" };
  readonly #oomKills = oomKillsOf("self");
  #record: RuntimeRecord;
  #reading: Promise<void> = Promise.resolve();
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  over: Promise<void> = Promise.resolve();

  constructor(spec: KeeperSpec) {
    this.#spec = spec;
    const { fingerprint, isDetached, stateDirectory } = spec;
    const limits = { sizeBytesMax: spec.logSizeBytesMax, filesMax: spec.logFilesMax };
    this.#record = {
      place: placeOfNumbers(),
      keeper: this.#self,
      runtime: null,
      fingerprint,
      isDetached,
      startedAtMs: Date.now(),
      exit: null,
    };
    writeRecord(stateDirectory, this.#record);
    this.#log = new LogWriter(stateDirectory, limits, (why) => say({ type: "lost", why }));
  }

  /** Rejects where the program can't be run, or nothing can be kept of it. */
  async start(): Promise<void> {
    adoptOrphans();
    const { words, env, self, workingDirectory, stateDirectory } = this.#spec;
    const how: Launch = { words, names: Object.keys(env), parent: process.pid };
    const [output, status] = [openPipe(), openPipe()];
    let child: ReturnType<typeof Bun.spawn>;
    try {
      child = Bun.spawn([...self, "exec-runtime", "run", JSON.stringify(how)], {
        stdio: ["ignore", output.writeEnd, output.writeEnd, status.writeEnd],
        detached: true,
        cwd: workingDirectory,
        env: { ...env },
      });
    } finally {
      output.closeWriteEnd();
      status.closeWriteEnd();
    }
    const runtime = { pid: child.pid, start: statOf(child.pid)?.start ?? "0" };
    this.#record = { ...this.#record, runtime };
    try {
      writeRecord(stateDirectory, this.#record);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
    // A pipe that breaks has ended; nobody waits for it until the runtime has.
    this.#reading = this.#read(output.chunks()).catch(() => {});
    const why = await new Response(status.chunks()).text();
    if (why !== "") throw new Error(why);
    this.#log.note(`${words[0]} started as process ${runtime.pid}`);
    say({ type: "started", keeper: this.#self, runtime, atMs: this.#record.startedAtMs });
    this.over = this.#follow(child, runtime);
    buryOthers(runtime.pid);
  }

  /** Ends it, in order if it does so in time. */
  stop(): void {
    const { runtime } = this.#record;
    if (runtime === null || this.#stopTimer !== undefined) return;
    signalSession(runtime, "SIGTERM");
    this.#stopTimer = setTimeout(() => killDescendants(this.#self), this.#spec.stopTimeoutMs);
  }

  async #read(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) this.#log.push(chunk);
  }

  async #follow(child: ReturnType<typeof Bun.spawn>, runtime: ProcessName): Promise<void> {
    await child.exited;
    const before = this.#oomKills;
    const now = oomKillsOf("self");
    // What it left behind holds the port, and memory of the GPUs, that the next one needs.
    await endDescendants(Math.min(LEFT_MS, this.#spec.stopTimeoutMs), KILLED_MS);
    await Promise.race([this.#reading, Bun.sleep(READ_MS)]);
    const exit: RuntimeExit = {
      code: child.signalCode === null ? child.exitCode : null,
      signal: child.signalCode === null ? null : String(child.signalCode),
      oomKills: before === undefined || now === undefined ? undefined : now - before,
      lastLines: this.#log.lines.all(),
    };
    this.#log.note(
      `process ${runtime.pid} ended ${exit.signal === null ? `with code ${exit.code}` : `by ${exit.signal}`}`,
    );
    clearTimeout(this.#stopTimer);
    try {
      writeRecord(this.#spec.stateDirectory, { ...this.#record, exit });
    } catch {
      // A full disk: an agent that listens is told below; one to come won't know how it ended.
    }
    await Promise.race([this.#log.end(), Bun.sleep(WRITE_MS)]);
    say({ type: "exited", exit });
  }
}

/** An agent that is gone hears nothing, which is no fault. */
function say(message: KeeperMessage): void {
  try {
    writeSync(STDOUT, `${JSON.stringify(message)}\n`);
  } catch {
    // See above.
  }
}

async function firstLine(input: AsyncIterator<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await input.next();
    if (done === true) break;
    parts.push(value);
    bytes += value.length;
    if (value.includes(10) || bytes > SPEC_BYTES_MAX) break;
  }
  return Buffer.concat(parts).toString("utf8").split("\n", 1)[0] ?? "";
}

async function untilEnd(input: AsyncIterator<Uint8Array>): Promise<void> {
  try {
    while ((await input.next()).done !== true);
  } catch {
    // A pipe that breaks has ended.
  }
}
