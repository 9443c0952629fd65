/**
 * What the agent decides of its runtime's process, from what it hears of it: when it is started, when it counts as ready,
 * when it hangs, when it is ended, whether and when it comes again. It touches no process and no clock:
 *
 *     const run = new Run(config, prng);
 *     run.start(nowMs);                                   // or run.adopted(pid, isReady, nowMs)
 *     run.spawned(pid, nowMs); run.notSpawned(why, nowMs); run.checked(answer, nowMs); run.exited(exit, nowMs);
 *     run.stop(nowMs); run.restart(nowMs);                // what people ask for
 *     const { actions, events, wakeAtMs } = run.take();   // after each of these, and run.wake(nowMs) at wakeAtMs
 *
 *     stopped --start--> starting --check--> ready <--checks--> failing
 *                           |                  |                   |
 *                           +------deadline, stop, hung------------+--> stopping --exited--+
 *                           +-------------------exited-------------+-----------------------+
 *                                                                  v
 *                    backoff (a pause), crash-looping (a long one), stopped (asked for, or the policy says so)
 *
 * There is never a second process before the first has ended: it holds the port and the memory of the GPUs. One that can't
 * be ended, since it waits in the kernel, is waited for. Only ends that nobody asked for count as failures. The pause
 * before the next start doubles with each and begins anew when one was ready for a while; many within a window are a
 * crash loop, which is left by hand or after a long pause, with the count of the window begun anew.
 */
import type { Prng } from "../base/prng.ts";
import { formatDuration } from "../base/units.ts";
import { type ExitReason, exitReason, exitWords, type RuntimeExit } from "./exit.ts";
import type { ExecConfig } from "./settings.ts";

export type RunState = "stopped" | "starting" | "ready" | "failing" | "backoff" | "crash-looping" | "stopping";

export type RunConfig = Pick<
  ExecConfig,
  | "readyTimeoutMs"
  | "checkIntervalMs"
  | "failuresMax"
  | "failingMaxMs"
  | "restart"
  | "pauseMinMs"
  | "pauseMaxMs"
  | "wellMs"
  | "crashesMax"
  | "crashWindowMs"
  | "crashPauseMs"
  | "stopTimeoutMs"
>;

/** To be done by the shell, in this order. A check is answered by `checked`, once. */
export type RunAction = "spawn" | "check" | "term" | "kill";

export interface RunEvent {
  readonly kind:
    | "started"
    | "adopted"
    | "ready"
    | "failing"
    | "exited"
    | "crash-looping"
    | "stopped"
    | "stuck"
    | "log-lost";
  readonly cause: string;
  /** Of the process that it is about; 0 for none. */
  readonly pid: number;
  /** Of one that exited: the end of what it wrote. */
  readonly lastLines?: readonly string[];
}

/** "" for ready, or why it is not. */
export type CheckAnswer = string;

/** A killed process that is still there after this waits in the kernel. */
const KILL_MS = 5000;
/** Who wakes up this late was held up itself, and asks once more before it calls anyone late. */
const LATE_MS = 1000;
const GRACE_MS = 10_000;
/** A pause is shorter or longer by up to this part. */
const JITTER = 0.25;

/** What is to be when the process has ended. */
type Then = "restart" | "stop" | "fail";

export class Run {
  readonly #config: RunConfig;
  readonly #prng: Prng;
  #state: RunState = "stopped";
  #message = "it was not started yet";
  #sinceMs = 0;
  #actions: RunAction[] = [];
  #events: RunEvent[] = [];
  #pid = 0;
  /** Of this process, so that an answer about the one before it can be told apart. */
  #isChecking = false;
  #checkAtMs = Infinity;
  /** Of the state: when starting is over, a failing one hangs, an ending one is killed, a pause is over. */
  #atMs = Infinity;
  #isKilled = false;
  #then: Then = "fail";
  /** Why it is ended by us; "" while it is not. */
  #endedFor = "";
  #checksFailed = 0;
  #readySinceMs = Infinity;
  #wasReady = false;
  /** Failures since it was well. */
  #failures = 0;
  #crashesAtMs: number[] = [];
  #restarts = 0;
  readonly #exits = new Map<ExitReason, number>();
  #tookMs: number | undefined;
  #lastExit: { readonly words: string; readonly atMs: number; readonly exit: RuntimeExit } | undefined;

  constructor(config: RunConfig, prng: Prng) {
    this.#config = config;
    this.#prng = prng;
  }

  get state(): RunState {
    return this.#state;
  }

  /** In words: why it is so. */
  get message(): string {
    return this.#message;
  }

  /** Since when, on the clock of nowMs. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** 0 while there is none. */
  get pid(): number {
    return this.#pid;
  }

  /** Times that it was started after the first. */
  get restarts(): number {
    return this.#restarts;
  }

  /** How often it ended, by why. */
  get exits(): ReadonlyMap<ExitReason, number> {
    return this.#exits;
  }

  /** From its last start that led to it until it was ready. */
  get tookMs(): number | undefined {
    return this.#tookMs;
  }

  get lastExit(): { readonly words: string; readonly atMs: number; readonly exit: RuntimeExit } | undefined {
    return this.#lastExit;
  }

  /** Whether a process is there, as far as is known. */
  get isAlive(): boolean {
    return ["starting", "ready", "failing", "stopping"].includes(this.#state);
  }

  /** Starts it if nothing is there; one that pauses is started at once. */
  start(nowMs: number): void {
    if (this.#state === "stopping") this.#then = "restart";
    if (this.isAlive) return;
    if (this.#state === "crash-looping" || this.#state === "stopped") this.#forgive();
    this.#spawn(nowMs);
  }

  /** One that an agent before this one had started. */
  adopted(pid: number, nowMs: number): void {
    if (this.isAlive) return;
    this.#begin(nowMs);
    this.#pid = pid;
    this.#tell("adopted", `process ${pid} runs on under this agent`);
    this.#checkAtMs = nowMs;
  }

  spawned(pid: number, nowMs: number): void {
    if (!this.isAlive || this.#pid !== 0) return;
    this.#pid = pid;
    const again = this.#restarts === 0 ? "" : `, start ${this.#restarts + 1}`;
    this.#tell("started", `process ${pid}${again}`);
    if (this.#state === "starting") this.#checkAtMs = nowMs;
  }

  /** No process could be started. */
  notSpawned(why: string, nowMs: number): void {
    if (!this.isAlive || this.#pid !== 0) return;
    const exit: RuntimeExit = { code: null, signal: null, lastLines: [] };
    this.#ended(exit, `it can't be started: ${why}`, nowMs);
  }

  checked(answer: CheckAnswer, nowMs: number): void {
    if (!this.#isChecking) return;
    this.#isChecking = false;
    if (this.#state !== "starting" && this.#state !== "ready" && this.#state !== "failing") return;
    this.#checkAtMs = nowMs + this.#config.checkIntervalMs;
    if (answer === "") this.#passed(nowMs);
    else this.#failed(answer, nowMs);
  }

  exited(exit: RuntimeExit, nowMs: number): void {
    if (!this.isAlive) return;
    const isAsked = this.#endedFor !== "";
    const words = exitWords(exit, isAsked && this.#isKilled);
    this.#ended(exit, isAsked ? `${this.#endedFor}: ${words}` : words, nowMs);
  }

  /** Ends it for good. */
  stop(nowMs: number): void {
    this.#then = "stop";
    if (this.isAlive) {
      if (this.#state !== "stopping") this.#end("asked to stop", "stop", nowMs);
      else this.#message = "asked to stop";
    } else if (this.#state !== "stopped") {
      this.#enter("stopped", "asked to stop", nowMs);
      this.#tell("stopped", "asked to stop");
    }
  }

  /** Ends it and starts it again at once; starts it when there is none. */
  restart(why: string, nowMs: number): void {
    if (!this.isAlive) this.start(nowMs);
    else if (this.#state === "stopping") this.#then = "restart";
    else this.#end(why, "restart", nowMs);
  }

  /** At or after wakeAtMs. */
  wake(nowMs: number): void {
    if (nowMs >= this.#checkAtMs && !this.#isChecking) {
      this.#checkAtMs = Infinity;
      this.#isChecking = true;
      this.#actions.push("check");
    }
    if (nowMs < this.#atMs) return;
    if (nowMs - this.#atMs > LATE_MS && (this.#state === "starting" || this.#state === "failing")) {
      this.#atMs = nowMs + GRACE_MS;
      return;
    }
    this.#atMs = Infinity;
    if (this.#state === "backoff") this.#spawn(nowMs);
    else if (this.#state === "crash-looping") this.start(nowMs);
    else if (this.#state === "starting") {
      this.#end(`it was not ready within ${formatDuration(this.#config.readyTimeoutMs)}`, "fail", nowMs);
    } else if (this.#state === "failing") {
      this.#end(`it was not well for ${formatDuration(this.#config.failingMaxMs)} (${this.#message})`, "fail", nowMs);
    } else if (this.#state === "stopping" && !this.#isKilled) this.#kill(nowMs);
    else if (this.#state === "stopping") {
      this.#message = `${this.#endedFor}; process ${this.#pid} waits in the kernel and can't be ended: the machine may need a reboot`;
      this.#tell("stuck", this.#message);
    }
  }

  take(): { readonly actions: readonly RunAction[]; readonly events: readonly RunEvent[]; readonly wakeAtMs: number } {
    const [actions, events] = [this.#actions, this.#events];
    this.#actions = [];
    this.#events = [];
    return { actions, events, wakeAtMs: Math.min(this.#atMs, this.#checkAtMs) };
  }

  #spawn(nowMs: number): void {
    if (this.#lastExit !== undefined) this.#restarts += 1;
    this.#begin(nowMs);
    this.#actions.push("spawn");
  }

  #begin(nowMs: number): void {
    this.#pid = 0;
    this.#endedFor = "";
    this.#then = "fail";
    this.#isKilled = false;
    this.#isChecking = false;
    this.#checksFailed = 0;
    this.#readySinceMs = Infinity;
    this.#wasReady = false;
    this.#enter("starting", "it is not ready yet", nowMs);
    this.#atMs = nowMs + this.#config.readyTimeoutMs;
  }

  #passed(nowMs: number): void {
    this.#checksFailed = 0;
    if (this.#readySinceMs === Infinity) this.#readySinceMs = nowMs;
    if (nowMs - this.#readySinceMs >= this.#config.wellMs) this.#failures = 0;
    if (this.#state === "ready") return;
    const tookMs = nowMs - this.#sinceMs;
    const cause = this.#wasReady ? `well again after ${shortly(tookMs)}` : `after ${shortly(tookMs)}`;
    if (!this.#wasReady) this.#tookMs = tookMs;
    this.#wasReady = true;
    this.#enter("ready", "", nowMs);
    this.#tell("ready", cause);
  }

  #failed(why: string, nowMs: number): void {
    this.#readySinceMs = Infinity;
    this.#checksFailed += 1;
    if (this.#state === "starting") this.#message = `it is not ready yet: ${why}`;
    else if (this.#state === "failing") this.#message = why;
    else if (this.#checksFailed >= this.#config.failuresMax) {
      this.#enter("failing", why, nowMs);
      if (this.#config.failingMaxMs > 0) this.#atMs = nowMs + this.#config.failingMaxMs;
      this.#tell("failing", `${this.#checksFailed} checks failed in a row: ${why}`);
    }
  }

  #end(why: string, then: Then, nowMs: number): void {
    this.#endedFor = why;
    this.#then = then;
    this.#enter("stopping", why, nowMs);
    this.#checkAtMs = Infinity;
    if (this.#config.stopTimeoutMs === 0) this.#kill(nowMs);
    else {
      this.#atMs = nowMs + this.#config.stopTimeoutMs;
      this.#actions.push("term");
    }
  }

  #kill(nowMs: number): void {
    this.#isKilled = true;
    this.#atMs = nowMs + KILL_MS;
    this.#actions.push("kill");
  }

  /** The process is gone. */
  #ended(exit: RuntimeExit, words: string, nowMs: number): void {
    const pid = this.#pid;
    this.#lastExit = { words, atMs: nowMs, exit };
    const reason = this.#reasonOf(exit);
    this.#exits.set(reason, (this.#exits.get(reason) ?? 0) + 1);
    this.#checkAtMs = Infinity;
    this.#isChecking = false;
    const isFailure = this.#then === "fail";
    const policy = this.#config.restart;
    if (!isFailure && this.#then === "stop") {
      this.#goDown(words, pid, nowMs);
    } else if (!isFailure) {
      this.#tell("exited", `${words}; started again at once`, pid);
      this.#spawn(nowMs);
    } else if (policy === "never" || (policy === "on-failure" && exit.code === 0 && this.#endedFor === "")) {
      this.#goDown(`${words}; not started again, since exec.restart is ${policy}`, pid, nowMs);
    } else this.#pause(words, pid, nowMs);
  }

  #reasonOf(exit: RuntimeExit): ExitReason {
    if (this.#endedFor !== "") return this.#then === "fail" ? "unwell" : "asked";
    return this.#pid === 0 ? "not_started" : exitReason(exit);
  }

  #goDown(words: string, pid: number, nowMs: number): void {
    this.#pid = 0;
    this.#enter("stopped", words, nowMs);
    this.#tell("exited", words, pid);
    this.#tell("stopped", words);
  }

  #pause(words: string, pid: number, nowMs: number): void {
    const { crashesMax, crashWindowMs, crashPauseMs, pauseMinMs, pauseMaxMs } = this.#config;
    this.#pid = 0;
    this.#crashesAtMs = this.#crashesAtMs.filter((atMs) => nowMs - atMs < crashWindowMs);
    this.#crashesAtMs.push(nowMs);
    if (this.#crashesAtMs.length >= crashesMax) {
      const later = crashPauseMs === 0 ? "it stays down" : `it stays down for ${formatDuration(crashPauseMs)}`;
      const often = `${this.#crashesAtMs.length} failures within ${formatDuration(crashWindowMs)}`;
      this.#tell("exited", words, pid);
      this.#enter("crash-looping", `${often}, the last one: ${words}; ${later}, or until it is told to start`, nowMs);
      this.#tell("crash-looping", this.#message);
      if (crashPauseMs > 0) this.#atMs = nowMs + crashPauseMs;
      return;
    }
    // Beyond 30 doublings any pause is at its longest.
    const wholeMs = Math.min(pauseMaxMs, pauseMinMs * 2 ** Math.min(this.#failures, 30));
    const pauseMs = Math.round(wholeMs * (1 - JITTER + 2 * JITTER * this.#prng.next()));
    this.#failures += 1;
    this.#enter("backoff", `${words}; started again after a pause of ${shortly(pauseMs)}`, nowMs);
    this.#atMs = nowMs + pauseMs;
    this.#tell("exited", this.#message, pid);
  }

  /** What was is no reason any more to wait. */
  #forgive(): void {
    this.#failures = 0;
    this.#crashesAtMs = [];
  }

  #enter(state: RunState, message: string, nowMs: number): void {
    this.#state = state;
    this.#message = message;
    this.#sinceMs = nowMs;
    this.#atMs = Infinity;
  }

  #tell(kind: RunEvent["kind"], cause: string, pid = this.#pid): void {
    const { lastLines } = this.#lastExit?.exit ?? {};
    this.#events.push(
      kind === "exited" && lastLines !== undefined ? { kind, cause, pid, lastLines } : { kind, cause, pid },
    );
  }
}

function shortly(ms: number): string {
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`;
}
