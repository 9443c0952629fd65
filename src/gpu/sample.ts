/** A reading and what the rules make of it, as routers are told: the GPU, then each of its MIG slices. */
import type { GpuReading } from "../health/reading.ts";
import type { Verdict } from "../health/verdict.ts";
import type { GpuSample } from "../score/sample.ts";

/** What is said of a GPU's health. The reason keeps the words of its beginning, so that figures in it make no news. */
export interface HealthWords {
  readonly health: GpuSample["health"];
  readonly healthReason: string | undefined;
  /** Unix time. */
  readonly healthSinceMs: number | undefined;
  /** Tells one reason from another. */
  readonly key: string;
}

export function healthWords(
  verdict: Verdict,
  before: HealthWords | undefined,
  unixOf: (atMs: number) => number,
): HealthWords {
  const [worst] = verdict.reasons;
  const why = worst === undefined ? "" : ` ${worst.rule} ${worst.severity} ${worst.sinceMs}`;
  const key = `${verdict.health} ${verdict.sinceMs}${why}`;
  if (before?.key === key) return before;
  const { health, sinceMs } = verdict;
  return { health, healthReason: worst?.text, healthSinceMs: Math.round(unixOf(sinceMs)), key };
}

/** `isFresh`: its figures are of now; else only what it is and how it is. */
export function gpuSamples(
  { uuid, identity, load = {} }: GpuReading,
  isFresh: boolean,
  { health, healthReason, healthSinceMs }: HealthWords,
  { models, runtimes }: Pick<GpuSample, "models" | "runtimes">,
): GpuSample[] {
  const now = isFresh ? load : {};
  const { index, name } = identity;
  const condition = { health, healthReason, healthSinceMs, models, runtimes };
  const whole: GpuSample = {
    index,
    uuid,
    name,
    migProfile: undefined,
    utilization: now.utilization ?? now.activity?.graphics,
    memoryUsedBytes: now.memoryUsedBytes,
    memoryTotalBytes: identity.memoryTotalBytes,
    powerWatts: now.powerWatts ?? now.powerWattsMean,
    powerLimitWatts: load.powerLimitWatts ?? identity.powerLimitWattsMax,
    temperatureCelsius: now.temperatureCelsius,
    // An idle card is below its clocks for nothing else than that.
    throttleReasons: (now.throttleReasons ?? []).filter((reason) => reason !== "idle"),
    ...condition,
  };
  const slices = (load.slices ?? []).map((slice): GpuSample => {
    const figures = isFresh ? slice : undefined;
    return {
      index,
      uuid: slice.uuid,
      name,
      migProfile: slice.profile,
      utilization: figures?.activity?.graphics ?? figures?.activity?.sm,
      memoryUsedBytes: figures?.memoryUsedBytes,
      memoryTotalBytes: slice.memoryTotalBytes,
      powerWatts: undefined,
      powerLimitWatts: undefined,
      temperatureCelsius: undefined,
      throttleReasons: [],
      ...condition,
    };
  });
  return [whole, ...slices];
}
