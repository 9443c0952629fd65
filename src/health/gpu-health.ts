/**
 * From readings and faults to healthy, degraded or quarantined, for each GPU, with the reasons. Which rules there are,
 * what each looks at and how it ends is in docs/gpu-health.md; this file knows which GPUs there are and asks the rules.
 *
 * Readings are all GPUs that there are: one that was there and is so no more is lost. Nothing is judged by figures while
 * the source does not answer; what was found stays for as long as the settings say, and a quarantine until it answers.
 *
 * Limits: 128 GPUs, those that are not there included; of these the one that is gone longest makes room for a new one.
 * Memory does not grow with time: of a storm of faults there is a count for each code.
 */
import type { GpuFault, GpuReading } from "./reading.ts";
import type { HealthConfig } from "./settings.ts";
import type { SourceState } from "./source-state.ts";
import { type HealthReason, type Verdict, isSame } from "./verdict.ts";
import { WatchedGpu } from "./watched-gpu.ts";

export interface VerdictChange {
  readonly uuid: string;
  readonly before: Verdict;
  readonly after: Verdict;
}

const GPUS_MAX = 128;
const WELL: Verdict = { health: "healthy", sinceMs: 0, reasons: [] };

export class GpuHealth {
  readonly #config: HealthConfig;
  readonly #gpus = new Map<string, WatchedGpu>();
  /** What each was at the last take(), of those that may have changed. */
  readonly #before = new Map<string, Verdict>();
  #source: Pick<SourceState, "state" | "message"> = { state: "ok", message: "" };
  #ambiguous: ReadonlySet<string> = new Set();
  /** Names that came twice in the last readings. */
  #twice: ReadonlySet<string> = new Set();
  #driverVersion: string | undefined;

  constructor(config: HealthConfig) {
    this.#config = config;
  }

  /** Each time any reading changed: all GPUs that there are. While the source is not ok they are not believed. */
  look(readings: readonly GpuReading[], nowMs: number): void {
    if (this.#source.state === "ok") this.#list(readings, nowMs);
    this.wake(nowMs);
  }

  #list(readings: readonly GpuReading[], nowMs: number): void {
    const listed = new Set<string>();
    const twice = new Set<string>();
    for (const reading of readings) {
      const { uuid } = reading;
      if (listed.has(uuid)) {
        twice.add(uuid);
        continue;
      }
      listed.add(uuid);
      const gpu = this.#gpu(uuid, nowMs);
      if (gpu === undefined) continue;
      // One that comes back was reset; one that only was not told of for a moment was not.
      const wasGone = !gpu.isListed && gpu.goneMs >= 0;
      if (wasGone && nowMs - gpu.goneMs >= this.#config.gpuLost.holdMs) gpu.reset();
      gpu.isListed = true;
      gpu.read(reading);
    }
    for (const [uuid, gpu] of this.#gpus) {
      if (!gpu.isListed || listed.has(uuid)) continue;
      gpu.isListed = false;
      gpu.goneMs = nowMs;
    }
    this.#twice = twice;
  }

  faults(faults: readonly GpuFault[], nowMs: number): void {
    for (const fault of faults) this.#gpu(fault.uuid, nowMs)?.fault(fault, nowMs);
    this.wake(nowMs);
  }

  /** The source answers, or not. */
  source(state: SourceState, nowMs: number): void {
    this.#source = state;
    this.#ambiguous = new Set(state.ambiguous);
    const version = state.stack?.driverVersion;
    if (version !== undefined) {
      if (this.#driverVersion !== undefined && this.#driverVersion !== version) {
        for (const gpu of this.#gpus.values()) gpu.reset();
      }
      this.#driverVersion = version;
    }
    this.wake(nowMs);
  }

  /** At or after wakeAtMs, though nothing was read. */
  wake(nowMs: number): void {
    for (const [uuid, gpu] of this.#gpus) this.#judge(uuid, gpu, nowMs);
  }

  /**
   * By hand: ends the manual reasons of one GPU, or of all, and those of which nothing is known now, and forgets GPUs
   * that are not there any more; answers whose. Verdicts are as after it at once.
   */
  clear(uuid: string | undefined, nowMs: number): string[] {
    const cleared: string[] = [];
    for (const [name, gpu] of this.#gpus) {
      if (uuid !== undefined && name !== uuid) continue;
      const isGone = this.#isGone(gpu);
      if (gpu.clear() || isGone) cleared.push(name);
      if (isGone) this.#forget(name, gpu);
      else this.#judge(name, gpu, nowMs);
    }
    return cleared;
  }

  /** The reasons that `clear` would leave, unless a rule finds the same anew at once; undefined for a GPU that is not known. */
  foresee(uuid: string): readonly HealthReason[] | "forgotten" | undefined {
    const gpu = this.#gpus.get(uuid);
    if (gpu === undefined) return undefined;
    return this.#isGone(gpu) ? "forgotten" : gpu.left;
  }

  /** Nothing will be known of it any more: its driver is not there, or it is not among those that are. */
  #isGone({ isListed }: WatchedGpu): boolean {
    const { state } = this.#source;
    return state === "absent" || (state === "ok" && !isListed);
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
    const lost: GpuReading[] = [];
    for (const { isListed, reading } of this.#gpus.values()) {
      if (!isListed && reading !== undefined) lost.push(reading);
    }
    return lost;
  }

  #judge(uuid: string, gpu: WatchedGpu, nowMs: number): void {
    const before = gpu.verdict;
    gpu.judge(
      {
        source: this.#source,
        isListed: gpu.isListed,
        wasListed: gpu.isListed || gpu.goneMs >= 0,
        isAmbiguous: this.#ambiguous.has(uuid) || this.#twice.has(uuid),
      },
      nowMs,
    );
    if (gpu.verdict !== before && !this.#before.has(uuid)) this.#before.set(uuid, before);
  }

  #gpu(uuid: string, nowMs: number): WatchedGpu | undefined {
    const known = this.#gpus.get(uuid);
    if (known !== undefined) return known;
    if (this.#gpus.size >= GPUS_MAX && !this.#makeRoom()) return undefined;
    const gpu = new WatchedGpu(this.#config, nowMs);
    this.#gpus.set(uuid, gpu);
    return gpu;
  }

  #makeRoom(): boolean {
    let longest: [string, WatchedGpu] | undefined;
    for (const [uuid, gpu] of this.#gpus) {
      if (!gpu.isListed && (longest === undefined || gpu.goneMs < longest[1].goneMs)) longest = [uuid, gpu];
    }
    if (longest !== undefined) this.#forget(...longest);
    return longest !== undefined;
  }

  #forget(uuid: string, gpu: WatchedGpu): void {
    if (!this.#before.has(uuid)) this.#before.set(uuid, gpu.verdict);
    this.#gpus.delete(uuid);
  }
}
