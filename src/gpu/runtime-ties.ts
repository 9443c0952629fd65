/**
 * Keeps what is known of the runtime's processes. To find them costs a look at every descriptor of the machine, so it is
 * done when there is a reason to: other processes on the GPUs than before, or a process of the runtime's that is gone. What was
 * not found is sought again once a minute, and everything every ten minutes.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { GpuReading } from "../health/reading.ts";
import { runtimeProcesses } from "./runtime-processes.ts";
import type { RuntimeProcesses } from "./ties.ts";

const UNKNOWN_MS = 60_000;
const KNOWN_MS = 600_000;

export class RuntimeTies {
  readonly #port: number;
  readonly #root: string;
  readonly #find: typeof runtimeProcesses;
  #runtime: RuntimeProcesses | undefined;
  /** The processes on the GPUs when it was sought last. */
  #pids = "";
  #soughtAtMs = -Infinity;
  #isSeeking = false;

  constructor(port: number, root: string, find = runtimeProcesses) {
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
    if (this.#isSeeking || pids === "" || !this.#isDue(pids, nowMs)) return false;
    this.#isSeeking = true;
    this.#pids = pids;
    this.#soughtAtMs = nowMs;
    this.#runtime = await this.#find(this.#port, this.#root).catch(() => undefined);
    this.#isSeeking = false;
    return true;
  }

  #isDue(pids: string, nowMs: number): boolean {
    const passedMs = nowMs - this.#soughtAtMs;
    if (pids !== this.#pids || passedMs >= KNOWN_MS) return true;
    if (this.#runtime === undefined) return passedMs >= UNKNOWN_MS;
    return !existsSync(join(this.#root, "proc", String(this.#runtime.listener)));
  }
}
