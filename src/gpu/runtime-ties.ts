/**
 * Keeps what is known of the runtimes' processes. To find them costs a look at every descriptor of the machine, so it is
 * done when there is a reason to: other processes on the GPUs than before, other runtimes, or a runtime's process that is gone. What was
 * not found is sought again once a minute, and everything every ten minutes. A machine whose GPUs have other processes all the
 * time is looked at every half a minute, and so is one whose runtime starts again and again.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { GpuReading } from "../health/reading.ts";
import { runtimeProcesses, type WantedRuntime } from "./runtime-processes.ts";
import type { RuntimeProcesses } from "./ties.ts";

const AGAIN_MS = 30_000;
/** After this long without a reason, the next ones are taken at once again. */
const CALM_MS = 60_000;
const UNKNOWN_MS = 60_000;
const KNOWN_MS = 600_000;
/** Looks without a pause, so that a runtime that starts is soon known. */
const IN_A_ROW_MAX = 3;

const NONE: ReadonlyMap<string, RuntimeProcesses> = new Map();

export class RuntimeTies {
  readonly #wanted: () => readonly WantedRuntime[];
  readonly #root: string;
  readonly #find: typeof runtimeProcesses;
  #found = NONE;
  /** The processes on the GPUs, and the runtimes, when they were sought last. */
  #reason = "";
  #soughtAtMs = -Infinity;
  #isSeeking = false;
  /** How often they were sought without a pause. */
  #inARow = 0;

  constructor(wanted: () => readonly WantedRuntime[], root: string, find = runtimeProcesses) {
    this.#wanted = wanted;
    this.#root = root;
    this.#find = find;
  }

  /** By name; the same object until they are sought again. */
  get found(): ReadonlyMap<string, RuntimeProcesses> {
    return this.#found;
  }

  /** Seeks them, if there is a reason to; answers whether it did. */
  async look(readings: readonly GpuReading[], nowMs: number): Promise<boolean> {
    const pids = readings
      .flatMap(({ traffic }) => traffic?.processes ?? [])
      .map(({ pid }) => pid)
      .sort((a, b) => a - b);
    const wanted = this.#wanted().filter(({ ports, started }) => ports.length > 0 || started !== undefined);
    const reason = JSON.stringify([pids, wanted]);
    if (wanted.length === 0 || this.#isSeeking || pids.length === 0 || !this.#isDue(reason, wanted, nowMs))
      return false;
    this.#isSeeking = true;
    this.#reason = reason;
    this.#inARow = nowMs - this.#soughtAtMs < CALM_MS ? this.#inARow + 1 : 1;
    this.#soughtAtMs = nowMs;
    this.#found = await this.#find(wanted, this.#root).catch(() => NONE);
    this.#isSeeking = false;
    return true;
  }

  #isDue(reason: string, wanted: readonly WantedRuntime[], nowMs: number): boolean {
    const passedMs = nowMs - this.#soughtAtMs;
    // Its first processes are there before it listens, and more of them come one by one.
    if (passedMs < AGAIN_MS && this.#inARow >= IN_A_ROW_MAX) return false;
    if (reason !== this.#reason || passedMs >= KNOWN_MS) return true;
    if (wanted.some(({ name }) => !this.#found.has(name))) return passedMs >= UNKNOWN_MS;
    return [...this.#found.values()].some(({ listener }) => !existsSync(join(this.#root, "proc", String(listener))));
  }
}
