/**
 * The newest of each group of each GPU. A look that brings identities tells which GPUs there are: one that is missing
 * in it was taken out, and a new one was put in. Two GPUs under one name can't be told apart: the first of them stays,
 * and the name is remembered as a fault of the source.
 */
import type { GpuReading, GpuUpdate } from "./reading.ts";
import { GPUS_MAX } from "./shape.ts";

export class GpuReadings {
  #byUuid = new Map<string, GpuReading>();
  /** Made when it is asked for. */
  #all: readonly GpuReading[] | undefined;
  #ambiguous: readonly string[] = [];

  /** In the order of their indices. */
  get all(): readonly GpuReading[] {
    this.#all ??= [...this.#byUuid.values()].sort((a, b) => a.identity.index - b.identity.index);
    return this.#all;
  }

  /** Names that more than one GPU had in the last look at identities. */
  get ambiguous(): readonly string[] {
    return this.#ambiguous;
  }

  /** `isRoll`: the look is at all GPUs that there are. */
  take(updates: readonly GpuUpdate[], isRoll: boolean): void {
    const next = isRoll ? new Map<string, GpuReading>() : this.#byUuid;
    const twice: string[] = [];
    for (const update of updates) {
      if (isRoll && next.has(update.uuid)) {
        twice.push(update.uuid);
        continue;
      }
      const before = this.#byUuid.get(update.uuid);
      const identity = update.identity ?? before?.identity;
      // One that nobody introduced: its figures wait for the next look at identities.
      if (identity === undefined || (!next.has(update.uuid) && next.size >= GPUS_MAX)) continue;
      next.set(update.uuid, { ...before, ...update, identity });
    }
    this.#byUuid = next;
    this.#all = undefined;
    if (isRoll) this.#ambiguous = twice;
  }

  clear(): void {
    this.#byUuid.clear();
    this.#all = undefined;
    this.#ambiguous = [];
  }
}
