/**
 * Keeps what is known of the runtime's processes. To find them costs a look at every descriptor of the machine, so it is
 * done when there is a reason to: other processes on the GPUs than before, or a process of the runtime's that is gone. What was
 * not found is sought again once a minute, and everything every ten minutes. A machine whose GPUs have other processes all the
 * time is looked at every half a minute, and so is one whose runtime starts again and again.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { GpuReading } from "../health/reading.ts";
import { runtimeProcesses } from "./runtime-processes.ts";
import type { RuntimeProcesses } from "./ties.ts";

const AGAIN_MS = 30_000;
/** After this long without a reason, the next ones are taken at once again. */
const CALM_MS = 60_000;
const UNKNOWN_MS = 60_000;
const KNOWN_MS = 600_000;
/** Looks without a pause, so that a runtime that starts is soon known. */
const IN_A_ROW_MAX = 3;

export class RuntimeTies {
  readonly #port: () => number | undefined;
  readonly #root: string;
  readonly #find: typeof runtimeProcesses;
  #runtime: RuntimeProcesses | undefined;
  /** The processes on the GPUs when it was sought last. */
  #pids = "";
  #soughtAtMs = -Infinity;
  #isSeeking = false;
  /** How often it was sought without a pause. */
  #inARow = 0;

  /** `port`: where it serves; undefined while it serves nowhere. */
  constructor(port: () => number | undefined, root: string, find = runtimeProcesses) {
    this.#port = port;
    this.#root = root;
    this.#find = find;
  }

  get runtime(): RuntimeProcesses | undefined {
    return this.#runtime;
  }

  /** Seeks it, if there is a reason to; answers whether it did. */
  async look(readings: readonly GpuReading[], nowMs: number): Promise<boolean> {
    const pids = readings
      .flatMap(({ traffic }) => traffic?.processes ?? [])
      .map(({ pid }) => pid)
      .sort((a, b) => a - b)
      .join();
    const port = this.#port();
    if (port === undefined || this.#isSeeking || pids === "" || !this.#isDue(pids, nowMs)) return false;
    this.#isSeeking = true;
    this.#pids = pids;
    this.#inARow = nowMs - this.#soughtAtMs < CALM_MS ? this.#inARow + 1 : 1;
    this.#soughtAtMs = nowMs;
    this.#runtime = await this.#find(port, this.#root).catch(() => undefined);
    this.#isSeeking = false;
    return true;
  }

  #isDue(pids: string, nowMs: number): boolean {
    const passedMs = nowMs - this.#soughtAtMs;
    // Its first processes are there before it listens, and more of them come one by one.
    if (passedMs < AGAIN_MS && this.#inARow >= IN_A_ROW_MAX) return false;
    if (pids !== this.#pids || passedMs >= KNOWN_MS) return true;
    if (this.#runtime === undefined) return passedMs >= UNKNOWN_MS;
    return !existsSync(join(this.#root, "proc", String(this.#runtime.listener)));
  }
}
