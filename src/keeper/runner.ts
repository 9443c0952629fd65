/**
 * Runs a runtime as `Run` decides: it is started by a keeper, asked whether it is ready, signalled, and taken over from
 * an agent that is gone. Nothing in here waits for it.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Prng } from "../base/prng.ts";
import { exitWords } from "../exec/exit.ts";
import { Run, type RunEvent, type RunState } from "../exec/run.ts";
import type { ExecConfig } from "../exec/settings.ts";
import { findLeft, type Kept, startKept } from "./kept.ts";
import { LogTail } from "./log-tail.ts";
import { findProgram } from "./program.ts";
import type { KeeperSpec } from "./spec.ts";

export interface RunnerOptions {
  readonly config: ExecConfig;
  /** The command's words: the program's name, then its arguments. */
  readonly words: readonly string[];
  /** All of its environment; asked for at each start, since GPUs may be assigned anew. */
  readonly env: () => Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly stateDirectory: string;
  readonly self: readonly string[];
  /** "" when it is ready, else why not. */
  readonly askReady: () => Promise<string>;
  readonly happened: (event: RunEvent) => void;
  /** The state is another one. */
  readonly changed: () => void;
  readonly seed: number;
}

export interface RunnerStatus {
  readonly state: RunState;
  readonly message: string;
  /** ISO 8601, as all times. */
  readonly since: string;
  readonly program: string;
  readonly pid: number | null;
  readonly startedAt: string | null;
  readonly restarts: number;
  readonly detached: boolean;
  readonly lastExit: { readonly at: string; readonly how: string } | null;
}

/** With what the runtime writes, which may be for few to see. */
export interface RunnerDetail extends Omit<RunnerStatus, "lastExit"> {
  readonly lastExit: { readonly at: string; readonly how: string; readonly lastLines: readonly string[] } | null;
  readonly log: string;
  readonly lastLines: readonly string[];
}

/** For metrics. */
export interface RunnerFigures {
  readonly state: RunState;
  readonly restarts: number;
  readonly exits: ReadonlyMap<string, number>;
  readonly readySeconds: number | undefined;
}

export class Runner {
  readonly #options: RunnerOptions;
  readonly #run: Run;
  readonly #tail: LogTail;
  #kept: Kept | undefined;
  /** Sent before there was anybody to get it. */
  #wanted: "SIGTERM" | "SIGKILL" | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #told: RunState = "stopped";
  #isLeft = false;
  #down: (() => void)[] = [];

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#run = new Run(options.config, new Prng(options.seed));
    this.#tail = new LogTail(options.stateDirectory);
  }

  get isReady(): boolean {
    return this.#run.state === "ready";
  }

  get status(): RunnerStatus {
    const { state, message, sinceMs, pid, restarts, lastExit } = this.#run;
    return {
      state,
      message,
      since: isoOf(sinceMs),
      program: this.#options.words[0] ?? "",
      pid: pid === 0 ? null : pid,
      startedAt: this.#kept === undefined ? null : new Date(this.#kept.startedAtMs).toISOString(),
      restarts,
      detached: this.#options.config.detach,
      lastExit: lastExit === undefined ? null : { at: isoOf(lastExit.atMs), how: lastExit.words },
    };
  }

  get figures(): RunnerFigures {
    const { state, restarts, exits, tookMs } = this.#run;
    return { state, restarts, exits, readySeconds: tookMs === undefined ? undefined : tookMs / 1000 };
  }

  get detail(): RunnerDetail {
    const { status } = this;
    const { lastLines = [] } = this.#run.lastExit?.exit ?? {};
    const lastExit = status.lastExit === null ? null : { ...status.lastExit, lastLines };
    return { ...status, lastExit, log: this.#tail.path, lastLines: this.#tail.lines };
  }

  /** Takes over what an agent before this one has left, or starts it. */
  async start(): Promise<void> {
    const left = await findLeft(this.#options.stateDirectory);
    const nowMs = performance.now();
    if (left.kind === "running") {
      const { record, kept } = left;
      this.#run.adopted(kept.pid, nowMs);
      this.#hold(kept);
      if (!record.isDetached) this.#run.restart("it belongs to an agent that is gone", nowMs);
      else if (record.fingerprint !== this.#fingerprint()) {
        this.#run.restart("it runs with another command or environment than is wanted now", nowMs);
      }
    } else {
      if (left.kind === "ended" && left.record.runtime !== null) {
        const { exit, runtime } = left.record;
        const how = exit === null ? "it ended with its keeper, nobody saw how" : exitWords(exit, false);
        this.#options.happened({ kind: "exited", cause: `while there was no agent: ${how}`, pid: runtime.pid });
      }
      this.#run.start(nowMs);
    }
    this.#step();
  }

  /** By hand, also out of a crash loop. */
  startAgain(): void {
    this.#run.start(performance.now());
    this.#step();
  }

  restart(): void {
    this.#run.restart("asked to start anew", performance.now());
    this.#step();
  }

  /** Ends it; resolves when it is gone. */
  stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#down.push(resolve);
    this.#run.stop(performance.now());
    this.#step();
    return promise;
  }

  /** Lets go of it: it runs on. */
  leave(): void {
    this.#isLeft = true;
    this.#kept?.leave();
    clearTimeout(this.#timer);
  }

  /** Lets what was decided happen. */
  #step(): void {
    if (this.#isLeft) return;
    clearTimeout(this.#timer);
    for (;;) {
      const { actions, events, wakeAtMs } = this.#run.take();
      for (const event of events) this.#options.happened(event);
      for (const action of actions) {
        if (action === "spawn") void this.#spawn();
        else if (action === "check") void this.#check();
        else this.#signal(action === "term" ? "SIGTERM" : "SIGKILL");
      }
      if (actions.length > 0) continue;
      if (wakeAtMs !== Infinity) this.#wakeAt(wakeAtMs);
      break;
    }
    if (!this.#run.isAlive) for (const resolve of this.#down.splice(0)) resolve();
    if (this.#told === this.#run.state) return;
    this.#told = this.#run.state;
    this.#options.changed();
  }

  #wakeAt(atMs: number): void {
    const wake = (): void => {
      this.#run.wake(performance.now());
      this.#step();
    };
    // A timer holds no more than 2^31 milliseconds; one that wakes too early sleeps again.
    const delayMs = Math.min(2 ** 31 - 1, Math.max(0, Math.ceil(atMs - performance.now())));
    this.#timer = setTimeout(wake, delayMs);
    this.#timer.unref();
  }

  #signal(signal: "SIGTERM" | "SIGKILL"): void {
    if (this.#kept === undefined) this.#wanted = signal;
    else this.#kept.signal(signal);
  }

  async #spawn(): Promise<void> {
    this.#wanted = undefined;
    try {
      const kept = await startKept(this.#spec(), (why) => this.#lost(why));
      this.#run.spawned(kept.pid, performance.now());
      this.#hold(kept);
      if (this.#wanted !== undefined) kept.signal(this.#wanted);
    } catch (error) {
      this.#run.notSpawned((error as Error).message, performance.now());
    }
    this.#step();
  }

  #hold(kept: Kept): void {
    this.#kept = kept;
    void kept.exited.then((exit) => {
      if (this.#kept !== kept || this.#isLeft) return;
      this.#kept = undefined;
      this.#run.exited(exit, performance.now());
      this.#step();
    });
  }

  async #check(): Promise<void> {
    const { pid } = this.#run;
    const answer = await this.#options.askReady().catch((error: unknown) => String(error));
    // An answer about a process that is gone is none about the next one.
    if (this.#run.pid !== pid) return;
    this.#run.checked(answer, performance.now());
    this.#step();
  }

  #lost(why: string): void {
    this.#options.happened({ kind: "log-lost", cause: `its log loses output: ${why}`, pid: this.#run.pid });
  }

  /** Throws where there is no such program. */
  #spec(): KeeperSpec {
    const { config, words, workingDirectory, stateDirectory, self } = this.#options;
    const env = this.#options.env();
    const program = findProgram(words[0] ?? "", env, workingDirectory);
    if ("fault" in program) throw new Error(program.fault);
    const { stopTimeoutMs, logSizeBytesMax, logFilesMax, detach } = config;
    return {
      words: [program.path, ...words.slice(1)],
      env,
      workingDirectory,
      stateDirectory,
      fingerprint: this.#fingerprint(),
      isDetached: detach,
      stopTimeoutMs,
      logSizeBytesMax,
      logFilesMax,
      self,
    };
  }

  /** Of all that makes it what it is. */
  #fingerprint(): string {
    const { words, workingDirectory, config } = this.#options;
    const given = Object.entries(config.env).sort(([a], [b]) => (a < b ? -1 : 1));
    // What is inherited is not in it: a restart out of another shell is no other command.
    const whole = JSON.stringify([words, workingDirectory, config.gpus, given]);
    return createHash("sha256").update(whole).digest("hex");
  }
}

export function stateDirectoryOf(dataDir: string, id: string): string {
  return join(dataDir, id, "exec");
}

function isoOf(atMs: number): string {
  return new Date(Date.now() - (performance.now() - atMs)).toISOString();
}
