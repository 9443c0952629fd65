/**
 * What a place's row is made of: the newest whole sample of its target, and what the target told of itself since with an
 * answer (score/load-report.ts), if that is newer.
 *
 * A target that tells of itself in no other way is heard of only while requests go there. What it told then counts for
 * `staleAfterMs`, and after that nothing is known of it again: its silence means that nothing was sent, and must not make
 * it dearer.
 */
import { hasUnwellGpu, isRoutable, type Target } from "../fleet/target.ts";
import type { CostConfig, RowContext } from "../score/cost.ts";
import { type LoadReport, tellsLoad, withReport } from "../score/load-report.ts";
import { type SideFigures, stepOf } from "../score/row-sides.ts";
import { type ModelSample, takesRequests } from "../score/sample.ts";
import type { Load } from "../signal/flights.ts";
import { type Place, wayMs } from "./places.ts";

/** Runtimes that tell of their load in answers over HTTP to requests that ask for it. */
const TELLING: readonly string[] = ["vllm", "triton"];

export interface RowSample {
  readonly sample: ModelSample | null;
  readonly context: Omit<RowContext, "ready">;
  readonly sides: Omit<SideFigures, "isAway" | "atOnceSeconds">;
}

/** The label by which an operator says what a node costs by the hour. */
const PRICE_LABEL = "price";
const PRICE_MAX = 1e6;

export function rowSample(place: Place, target: Target, others: Load, nowMs: number, config: CostConfig): RowSample {
  const own = sampleOf(target, place.model);
  const report = newest(place, target, own, nowMs, config);
  const { sample, baseline } =
    report === null
      ? { sample: own, baseline: place.baseline }
      : withReport(place.model, own, place.baseline, report, config.slots);
  const sampledAtMs = report !== null && tellsLoad(report) ? report.atMs : loadAtMs(target, own);
  const context = {
    weight: place.route.weight,
    rttMs: wayMs(place.rttsMs.length > 0 ? place.rttsMs : [target.rttMs ?? 0]),
    degraded: target.failuresInRow > 0 || hasUnwellGpu(target),
    ageMs: sampledAtMs === undefined ? 0 : nowMs - sampledAtMs,
    streamed: target.streamed,
    baselineRequests: baseline.requests,
    baselineTokens: baseline.tokens,
    othersRequests: others.requests,
    othersTokens: others.tokens,
  };
  return { sample, context, sides: sidesOf(sample, target) };
}

/** What strategies go by that the scan does not. */
function sidesOf(sample: ModelSample | null, { labels }: Target): Omit<SideFigures, "isAway" | "atOnceSeconds"> {
  const price = Number(labels[PRICE_LABEL] ?? "");
  return {
    waiting: Math.max(0, sample?.waitingRequests ?? 0) || 0,
    kvUsage: Math.min(1, Math.max(0, sample?.kvUsage ?? 0)) || 0,
    pricePerHour: price > 0 && price <= PRICE_MAX ? price : 0,
    ...stepOf(sample),
  };
}

/** When what the sample of a target's model tells of its load was so. */
export function loadAtMs({ sampledAtMs }: Target, sample: ModelSample | null): number | undefined {
  return sampledAtMs === undefined ? undefined : sampledAtMs - (sample?.figuresAgeMs ?? 0);
}

export function sampleOf({ lastSample }: Target, name: string): ModelSample | null {
  return lastSample?.models.find(({ model }) => model === name) ?? null;
}

/** The place's report while it is worth more than the sample. */
function newest(
  { report }: Place,
  target: Target,
  sample: ModelSample | null,
  nowMs: number,
  { staleAfterMs }: CostConfig,
): LoadReport | null {
  if (report === null || report.atMs < (loadAtMs(target, sample) ?? -Infinity)) return null;
  return sample === null && nowMs - report.atMs > staleAfterMs ? null : report;
}

/** The places of these, all of one target, that share a batch and a KV cache with `place`: a base model and its adapters. */
export function* kinOf(place: Place, target: Target, places: Iterable<Place>): Iterable<Place> {
  const base = baseOf(target, place.model);
  for (const one of places) if (one === place || baseOf(target, one.model) === base) yield one;
}

function baseOf(target: Target, model: string): string {
  return sampleOf(target, model)?.parent ?? model;
}

/** Whether it tells of its load, if a request asks for that. */
export function tellsIfAsked({ protocol, lastSample }: Target): boolean {
  return protocol === "http" && lastSample?.runtimes.some(({ kind }) => TELLING.includes(kind)) === true;
}

/** Whether the target serves the place's model, and may be sent to. */
export function isServed({ model }: Pick<Place, "model">, target: Target): boolean {
  const told = target.lastSample?.models ?? [];
  // One that tells of its models serves those that it says are loaded, or loads as they are asked for.
  return isRoutable(target) && (told.length === 0 || told.some((one) => one.model === model && takesRequests(one)));
}
