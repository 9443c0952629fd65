/**
 * What the agent decides of its probe process, from what is heard of it: when one is started, when it counts as hung,
 * when it is ended and when the next one comes. It touches no process and no clock:
 *
 *     const life = new ProbeLife(config);
 *     life.start(nowMs);
 *     life.spawned(pid, nowMs); life.heard(message, nowMs); life.babbled(why, nowMs); life.exited(how, nowMs);
 *     const { actions, wakeAtMs } = life.take();      // after each of these, and life.wake(nowMs) at wakeAtMs
 *
 *     pause --spawn--> running --silent, babble, stop--> ending --2 s--> killed
 *       ^                 |                                 |               |
 *       +-----------------+---------------exited------------+---------------+
 *
 * While it opens its library it may be silent for six times as long before it is ended; it counts as unresponsive all the
 * same. There is never a second process before the first has ended: one that hangs in the kernel can't be killed, and a second
 * one would hang beside it. A process that ended by itself is followed by another after a pause, which doubles up to a
 * limit and begins anew once a process was well for a minute. A process that asks for a fresh one (its library is of
 * another driver by now) gets it after the shortest pause, unless it does so again and again.
 */
import type { GpuStack } from "../health/reading.ts";
import type { SourceState } from "../health/source-state.ts";
import type { ProbeMessage } from "./probe-wire.ts";

/** The exit code by which a probe asks for another process in its place. */
export const EXIT_FRESH = 75;

/** Between SIGTERM and SIGKILL. */
const TERM_MS = 2000;
/**
 * So many times longer may it be silent while it opens its library: that wakes up every GPU, which takes a second and more for
 * each where no daemon keeps them awake. To end it in the midst of that would only begin it anew.
 */
const OPENING_FACTOR = 6;
/** A killed process that is still there after this waits in the kernel. */
const KILL_MS = 2000;
/** A process that was well for this long was well. */
const WELL_MS = 60_000;
/** Who wakes up this late was held up itself, and reads what was said meanwhile before it calls anyone silent. */
const LATE_MS = 1000;

export interface LifeConfig {
  readonly silentMaxMs: number;
  readonly restartPauseMinMs: number;
  readonly restartPauseMaxMs: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  /** The last line that it wrote on standard error; "" for none. */
  readonly lastWords: string;
}

/** To be done by the shell, in this order. */
export type LifeAction = "spawn" | "term" | "kill";

export interface LifeState {
  readonly state: SourceState["state"];
  readonly message: string;
  /** Since when, on the clock of nowMs. */
  readonly atMs: number;
  readonly stack: GpuStack | undefined;
}

type Phase = "new" | "pause" | "running" | "ending" | "killed" | "stopped";

export class ProbeLife {
  readonly #config: LifeConfig;
  #phase: Phase = "new";
  #isStopping = false;
  #actions: LifeAction[] = [];
  /** Of the phase: when to spawn, when it was silent for too long, when to kill, when a killed one is stuck. */
  #atMs = Infinity;
  #pid = 0;
  /** Its library is open, as far as it said. */
  #isOpen = false;
  /** It was told that it takes long. */
  #isLate = false;
  #failures = 0;
  #wellSinceMs = Infinity;
  /** Why it was ended by us; "" when it was not. */
  #endedFor = "";
  #state: LifeState = { state: "starting", message: "", atMs: 0, stack: undefined };

  constructor(config: LifeConfig) {
    this.#config = config;
  }

  get state(): LifeState {
    return this.#state;
  }

  /** Whether a process is there, as far as is known. */
  get isAlive(): boolean {
    return this.#phase === "running" || this.#phase === "ending" || this.#phase === "killed";
  }

  /** It was stopped, and its process is gone. */
  get isOver(): boolean {
    return this.#phase === "stopped";
  }

  start(nowMs: number): void {
    if (this.#phase !== "new") return;
    this.#tell("starting", "the first reading is on its way", nowMs);
    this.#enter("pause", nowMs);
    this.wake(nowMs);
  }

  spawned(pid: number): void {
    this.#pid = pid;
  }

  /** No process could be started. */
  notSpawned(why: string, nowMs: number): void {
    if (!this.isAlive) return;
    this.#tell("broken", `the probe process can't be started: ${why}`, nowMs);
    this.#pauseAfterFailure(nowMs);
  }

  /** It said something that can be understood. What one says that is being ended counts no more. */
  heard(message: ProbeMessage, nowMs: number): void {
    if (this.#phase !== "running") return;
    this.#atMs = nowMs + this.#config.silentMaxMs;
    this.#isLate = false;
    if (message.type === "open") {
      this.#isOpen = true;
      this.#state = { ...this.#state, stack: message.stack };
    }
    if (message.type === "trouble") {
      this.#isOpen = false;
      this.#wellSinceMs = Infinity;
      this.#tell(message.trouble, message.message, nowMs);
    }
    if (message.type !== "reading") return;
    if (this.#wellSinceMs === Infinity) this.#wellSinceMs = nowMs;
    if (nowMs - this.#wellSinceMs >= WELL_MS) this.#failures = 0;
    // What a look at all GPUs found to be unreadable stays told until the next of these.
    const { isRoll, note } = message;
    this.#tell("ok", isRoll || this.#state.state !== "ok" ? (note ?? "") : this.#state.message, nowMs);
  }

  /** It wrote what is no message. */
  babbled(why: string, nowMs: number): void {
    if (this.#phase !== "running") return;
    this.#tell("broken", `the probe process ${this.#pid} was ended: ${why}`, nowMs);
    this.#end(why, nowMs);
  }

  exited(exit: Exit, nowMs: number): void {
    if (!this.isAlive) return;
    // Code 0: somebody else asked it to end, as who stops a whole service does.
    const isFresh = (exit.code === EXIT_FRESH || exit.code === 0) && this.#endedFor === "";
    if (this.#isStopping) {
      this.#enter("stopped", Infinity);
      return;
    }
    if (this.#endedFor === "" && !isFresh) this.#tell("broken", howItEnded(exit), nowMs);
    if (isFresh && this.#failures === 0) {
      // Once: if the next one asks as well, it is a failure like any other.
      this.#failures = 1;
      this.#enter("pause", nowMs + this.#config.restartPauseMinMs);
    } else {
      this.#pauseAfterFailure(nowMs);
    }
  }

  stop(nowMs: number): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    if (this.#phase === "running") this.#end("stopped", nowMs);
    else if (!this.isAlive) this.#enter("stopped", Infinity);
  }

  /** At or after wakeAtMs. */
  wake(nowMs: number): void {
    if (nowMs < this.#atMs) return;
    if (this.#phase === "pause") {
      this.#endedFor = "";
      this.#wellSinceMs = Infinity;
      this.#pid = 0;
      this.#isOpen = false;
      this.#isLate = false;
      this.#enter("running", nowMs + this.#config.silentMaxMs);
      this.#actions.push("spawn");
    } else if (this.#phase === "running") {
      if (nowMs - this.#atMs > LATE_MS) {
        this.#atMs = nowMs + LATE_MS;
        return;
      }
      this.#silent(nowMs);
    } else if (this.#phase === "ending") {
      this.#enter("killed", nowMs + KILL_MS);
      this.#actions.push("kill");
    } else if (this.#phase === "killed") {
      this.#atMs = Infinity;
      const { state } = this.#state;
      const stuck = `its probe process ${this.#pid} waits in the kernel and can't be ended; there will be no other one until it has: the machine may need a reboot`;
      this.#tell(state === "ok" || state === "starting" ? "unresponsive" : state, stuck, nowMs);
    }
  }

  take(): { readonly actions: readonly LifeAction[]; readonly wakeAtMs: number } {
    const actions = this.#actions;
    this.#actions = [];
    return { actions, wakeAtMs: this.#atMs };
  }

  #silent(nowMs: number): void {
    const { silentMaxMs } = this.#config;
    const inSeconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;
    if (!this.#isOpen && !this.#isLate) {
      this.#isLate = true;
      this.#atMs = nowMs + silentMaxMs * (OPENING_FACTOR - 1);
      const why = `its probe process ${this.#pid} has been opening the driver's library for ${inSeconds(silentMaxMs)}`;
      this.#tell("unresponsive", why, nowMs);
      return;
    }
    const silentMs = silentMaxMs * (this.#isLate ? OPENING_FACTOR : 1);
    const why = `its probe process ${this.#pid} told nothing for ${inSeconds(silentMs)} and is ended`;
    this.#tell("unresponsive", why, nowMs);
    this.#end(why, nowMs);
  }

  #end(why: string, nowMs: number): void {
    this.#endedFor = why;
    this.#enter("ending", nowMs + TERM_MS);
    this.#actions.push("term");
  }

  #pauseAfterFailure(nowMs: number): void {
    if (this.#isStopping) {
      this.#enter("stopped", Infinity);
      return;
    }
    const { restartPauseMinMs, restartPauseMaxMs } = this.#config;
    const pauseMs = Math.min(restartPauseMaxMs, restartPauseMinMs * 2 ** Math.min(30, this.#failures));
    this.#failures += 1;
    this.#enter("pause", nowMs + pauseMs);
  }

  #enter(phase: Phase, atMs: number): void {
    this.#phase = phase;
    this.#atMs = atMs;
  }

  #tell(state: SourceState["state"], message: string, nowMs: number): void {
    const before = this.#state;
    if (before.state === state && before.message === message) return;
    const isNew = before.state !== state || state === "starting";
    this.#state = { ...before, state, message, atMs: isNew ? nowMs : before.atMs };
  }
}

function howItEnded({ code, signal, lastWords }: Exit): string {
  const how = signal === null ? `with code ${code}` : `by ${signal}`;
  return `the probe process ended ${how}${lastWords === "" ? "" : `: ${lastWords}`}`;
}
