/** An agent's runtime as a process of its own: what starts it, what it sees, and what is told of it. */
import { existsSync } from "node:fs";
import { MeshError } from "./base/errors.ts";
import { runtimeEnvironment } from "./exec/environment.ts";
import { type GpuAssignment, gpuAssignment, gpuEnvironment, type GpuVendor } from "./exec/gpus.ts";
import type { RunEvent } from "./exec/run.ts";
import { type ExecConfig, readyCheck } from "./exec/settings.ts";
import { commandWords } from "./exec/words.ts";
import { StateLock } from "./keeper/lock.ts";
import { placeOfNumbers } from "./keeper/proc.ts";
import { findProgram } from "./keeper/program.ts";
import { askReady } from "./keeper/ready.ts";
import { Runner, type RunnerDetail, type RunnerFigures, type RunnerStatus, stateDirectoryOf } from "./keeper/runner.ts";
import type { Tell } from "./news.ts";
import type { Log } from "./obs/log.ts";
import { selfCommand } from "./process.ts";

export interface ExecPlaneOptions {
  readonly config: ExecConfig;
  readonly id: string;
  readonly dataDir: string;
  readonly tell: Tell;
  /** Whether it is ready is other than before. */
  readonly changed: () => void;
  /** The agent ends: what is started now nobody would end. */
  readonly isStopping: () => boolean;
  readonly log: Log;
  /** The GPUs that it may use, asked at each start; by default as the configuration says. */
  readonly gpus?: () => GpuAssignment;
  /** What tells that it is ready, by default as the configuration says: "" for ready, else why not. */
  readonly askReady?: () => Promise<string>;
  /** Where numbers of processes count; "" for unknown. */
  readonly place?: string;
}

export interface ExecPlane {
  readonly isReady: boolean;
  /** Fit for everybody to see. */
  readonly summary: RunnerStatus;
  readonly figures: RunnerFigures;
  /** With the last lines of its log, which may say more than is for everybody. */
  readonly status: RunnerDetail;
  /** Takes over a runtime that an agent before this one has left, or starts one. */
  begin(): Promise<void>;
  /** What is asked for by hand; throws a MeshError where this agent is not there for it yet, or no more. */
  start(): void;
  restart(): void;
  stop(): void;
  /** The agent ends: so does the runtime, unless it is detached. */
  end(): Promise<void>;
}

const LINES_LOGGED = 5;
/** For what is left of a runtime after SIGKILL. */
const STUCK_MS = 10_000;
const WARNED = ["failing", "exited", "crash-looping", "stuck", "log-lost"];

/** Null where no command is given; begins nothing yet. Throws a MeshError for what can't be run. */
export function openExecPlane(options: ExecPlaneOptions): ExecPlane | null {
  const { config, id, dataDir, log } = options;
  if (config.command === "") return null;
  if (process.platform !== "linux") throw new MeshError("config_invalid", "--exec needs Linux: its sessions and /proc");
  const read = commandWords(config.command);
  if ("fault" in read) throw new MeshError("config_invalid", `--exec: ${read.fault}`);
  const { words } = read;
  if (config.detach && (options.place ?? placeOfNumbers()) === "") {
    throw new MeshError(
      "config_invalid",
      "--exec-detach needs /proc/sys/kernel/random/boot_id, /proc/self/ns/pid and a /proc of this container's own processes, or the next agent would not know the runtime again: leave it out, or run the agent where they are",
    );
  }
  const workingDirectory = config.directory || process.cwd();
  if (!existsSync(workingDirectory)) {
    throw new MeshError(
      "config_invalid",
      `--exec-directory ${workingDirectory} is not there: make it, or name another one`,
    );
  }
  const gpus = options.gpus ?? (() => gpuAssignment(config.gpus) ?? "all");
  const env = (): Record<string, string> =>
    runtimeEnvironment(process.env, config.inherit, gpuEnvironment(gpus(), vendorHere()), config.env);
  const program = findProgram(words[0] ?? "", env(), workingDirectory);
  if ("fault" in program) {
    throw new MeshError("config_invalid", `--exec: ${program.fault}; install it, or name the program by its path`);
  }
  const stateDirectory = stateDirectoryOf(dataDir, id);
  const lock = new StateLock(stateDirectory);
  const check = readyCheck(config.ready) ?? "none";
  const configured = (): Promise<string> =>
    check === "none" ? Promise.resolve("") : askReady(check, config.checkTimeoutMs);
  const runner = new Runner({
    config,
    words,
    env,
    workingDirectory,
    stateDirectory,
    self: selfCommand(),
    askReady: options.askReady ?? configured,
    happened: (event) => tellOf(event, options),
    changed: options.changed,
    seed: crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
  });
  let phase: "begins" | "runs" | "is over" = "begins";
  const mayStop = (): void => {
    if (phase === "is over") {
      throw new MeshError("draining", "this agent is stopping and looks after no runtime any more");
    }
    if (phase === "runs") return;
    const why = "this agent is starting and looks whether a runtime was left to it: ask again in a moment";
    throw new MeshError("starting", why, { retryAfterSeconds: 1 });
  };
  const mayStart = (): void => {
    if (phase === "is over" || options.isStopping()) {
      const why = "this agent is stopping and starts no runtime any more: ask the one that comes after it";
      throw new MeshError("draining", why);
    }
    mayStop();
  };
  return {
    async begin() {
      await runner.start();
      phase = "runs";
    },
    get isReady() {
      return runner.isReady;
    },
    get summary() {
      return runner.status;
    },
    get figures() {
      return runner.figures;
    },
    get status() {
      return runner.detail;
    },
    start() {
      mayStart();
      runner.startAgain();
    },
    restart() {
      mayStart();
      runner.restart();
    },
    stop() {
      mayStop();
      void runner.stop();
    },
    async end() {
      phase = "is over";
      const { pid } = runner.status;
      if (config.detach && pid !== null) log.info("the runtime runs on; the next agent takes it over", { pid, id });
      if (config.detach) runner.leave();
      // One that waits in the kernel is left to it.
      else await Promise.race([runner.stop(), Bun.sleep(config.stopTimeoutMs + STUCK_MS)]);
      lock.release();
    },
  };
}

function tellOf({ kind, cause, pid, lastLines = [] }: RunEvent, { id, tell, log }: ExecPlaneOptions): void {
  const labels: Record<string, string> = pid === 0 ? { node: id } : { node: id, pid: String(pid) };
  tell({ type: `runtime.${kind}`, id, cause, labels });
  // Events are for everybody who reaches the metrics port; what a program writes is not.
  const last = lastLines.length === 0 ? {} : { lastLines: lastLines.slice(-LINES_LOGGED) };
  const fields = pid === 0 ? { cause } : { cause, pid, ...last };
  if (WARNED.includes(kind)) log.warn(`the runtime: ${kind}`, fields);
  else log.info(`the runtime: ${kind}`, fields);
}

/** Whose variables name GPUs on this machine. */
function vendorHere(): GpuVendor {
  return existsSync("/dev/kfd") && !existsSync("/dev/nvidiactl") ? "amd" : "nvidia";
}
