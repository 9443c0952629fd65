/**
 * From readings and faults to healthy, degraded or quarantined, for each GPU, with the reasons. Which rules there are,
 * what each looks at and how it ends is in docs/gpu-health.md; this file knows which GPUs there are and asks the rules.
 *
 * Readings are all GPUs that there are: one that was there and is so no more is lost. Nothing is judged by figures while
 * the source does not answer; what was found stays for as long as the settings say. Limits: 128 GPUs, lost ones
 * included; of the lost ones beyond that the longest lost is forgotten.
 */
import type { GpuFault, GpuReading } from "./reading.ts";
import type { HealthConfig } from "./settings.ts";
import type { SourceState } from "./source-state.ts";
import { type Verdict, isSame } from "./verdict.ts";
import { WatchedGpu } from "./watched-gpu.ts";

export interface VerdictChange {
  readonly uuid: string;
  readonly before: Verdict;
  readonly after: Verdict;
}

const WELL: Verdict = { health: "healthy", sinceMs: 0, reasons: [] };

export class GpuHealth {
  readonly #config: HealthConfig;
  readonly #gpus = new Map<string, WatchedGpu>();
  /** What each was at the last take(), of those that may have changed. */
  readonly #before = new Map<string, Verdict>();
  #state: SourceState["state"] = "ok";

  constructor(config: HealthConfig) {
    this.#config = config;
  }

  /** Each time any reading changed: all GPUs that there are. */
  look(readings: readonly GpuReading[], nowMs: number): void {
    for (const reading of readings) this.#gpu(reading.uuid, nowMs).read(reading);
    this.wake(nowMs);
  }

  faults(_faults: readonly GpuFault[], nowMs: number): void {
    this.wake(nowMs);
  }

  /** The source answers, or not. */
  source(state: SourceState, nowMs: number): void {
    this.#state = state.state;
    this.wake(nowMs);
  }

  /** At or after wakeAtMs, though nothing was read. */
  wake(nowMs: number): void {
    const isBlind = this.#state !== "ok";
    for (const [uuid, gpu] of this.#gpus) {
      const before = gpu.verdict;
      gpu.judge(isBlind, nowMs);
      if (!this.#before.has(uuid)) this.#before.set(uuid, before);
    }
  }

  /** By hand: ends the manual reasons of one GPU, or of all; answers whose. */
  clear(uuid: string | undefined, nowMs: number): string[] {
    const cleared: string[] = [];
    for (const [name, gpu] of this.#gpus) {
      if (uuid !== undefined && name !== uuid) continue;
      const before = gpu.verdict;
      if (!gpu.clear(nowMs)) continue;
      cleared.push(name);
      if (!this.#before.has(name)) this.#before.set(name, before);
    }
    return cleared;
  }

  /** What changed since the last call: the health or the reasons, not a figure alone. */
  take(): { readonly changes: readonly VerdictChange[]; readonly wakeAtMs: number } {
    const changes: VerdictChange[] = [];
    for (const [uuid, before] of this.#before) {
      const after = this.verdict(uuid);
      if (!isSame(before, after)) changes.push({ uuid, before, after });
    }
    this.#before.clear();
    let wakeAtMs = Infinity;
    for (const gpu of this.#gpus.values()) wakeAtMs = Math.min(wakeAtMs, gpu.wakeAtMs);
    return { changes, wakeAtMs };
  }

  /** Of one that is not known: healthy. */
  verdict(uuid: string): Verdict {
    return this.#gpus.get(uuid)?.verdict ?? WELL;
  }

  /** The last reading of each GPU that was there and is so no more. */
  get lost(): readonly GpuReading[] {
    return [];
  }

  #gpu(uuid: string, nowMs: number): WatchedGpu {
    const known = this.#gpus.get(uuid);
    if (known !== undefined) return known;
    const gpu = new WatchedGpu(this.#config, nowMs);
    this.#gpus.set(uuid, gpu);
    return gpu;
  }
}
