/**
 * What an agent tells a probe process to read, and how often: one JSON text on its command line. It is written and read
 * by the same executable, so what does not fit is a mistake of whoever starts a probe by hand, and is said so.
 */
import { GPU_GROUPS, GPU_VENDORS, type GpuGroup, type GpuVendor } from "../health/reading.ts";
import type { GpuConfig } from "./settings.ts";

export const BACKENDS = ["nvml", "rocm", "sysfs"] as const;
export type BackendName = (typeof BACKENDS)[number];

export interface ProbeSpec {
  /** They are tried in this order; the next one where one can't be opened. */
  readonly backends: readonly BackendName[];
  /** Whose GPUs are read, where a backend knows several. */
  readonly vendors: readonly GpuVendor[];
  readonly intervalsMs: Readonly<Record<GpuGroup, number>>;
  readonly faultIntervalMs: number;
  /** It says that it is alive at least this often. */
  readonly aliveIntervalMs: number;
  /** Where a library lies; "" for the usual places. */
  readonly nvmlLibrary: string;
  readonly rocmLibrary: string;
  /** Where proc and sys are. */
  readonly root: string;
}

const ALIVE_MS = 1000;

export function probeSpec(
  config: GpuConfig,
  which: { readonly backends: readonly BackendName[]; readonly vendors: readonly GpuVendor[] },
): ProbeSpec {
  const { identityIntervalMs, loadIntervalMs, trafficIntervalMs, wearIntervalMs, faultIntervalMs } = config;
  return {
    ...which,
    intervalsMs: {
      identity: identityIntervalMs,
      load: loadIntervalMs,
      traffic: trafficIntervalMs,
      wear: wearIntervalMs,
    },
    faultIntervalMs,
    aliveIntervalMs: Math.min(ALIVE_MS, config.silentMaxMs / 3),
    nvmlLibrary: config.nvmlLibrary,
    rocmLibrary: config.rocmLibrary,
    root: config.root,
  };
}

/** Undefined for what is no such text. */
export function readProbeSpec(written: string): ProbeSpec | undefined {
  let spec: Readonly<Record<string, unknown>>;
  try {
    const parsed: unknown = JSON.parse(written);
    if (typeof parsed !== "object" || parsed === null) return undefined;
    spec = parsed as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
  const { backends, vendors, intervalsMs } = spec;
  const isOf = (words: readonly string[], value: unknown): boolean =>
    Array.isArray(value) && value.length > 0 && value.every((word) => words.includes(word as string));
  const isTime = (value: unknown): boolean => typeof value === "number" && value > 0 && value <= 2 ** 31 - 1;
  const isPath = (value: unknown): boolean => typeof value === "string";
  if (!isOf(BACKENDS, backends) || !isOf(GPU_VENDORS, vendors)) return undefined;
  if (typeof intervalsMs !== "object" || intervalsMs === null) return undefined;
  if (!GPU_GROUPS.every((group) => isTime((intervalsMs as Record<string, unknown>)[group]))) return undefined;
  if (!isTime(spec["faultIntervalMs"]) || !isTime(spec["aliveIntervalMs"])) return undefined;
  if (!["nvmlLibrary", "rocmLibrary", "root"].every((key) => isPath(spec[key]))) return undefined;
  return spec as unknown as ProbeSpec;
}
