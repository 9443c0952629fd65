/**
 * Which figures of a sample travel again and again, in which order: that order is the protocol. A column may be added at
 * the end of a list, and none may go: a receiver leaves out what it does not know, and takes for unknown what an older
 * sender does not have. What hardly ever changes (names, sizes) is in the description (description.ts).
 *
 * `grain` is how many steps a code must be from what receivers hold to be sent at all; `push` how far the figure must
 * be from it to be sent at once rather than with the next regular state.
 */
import type { GpuSample, NodeSample } from "../score/sample.ts";
import { decode, encode, MEBI, type Quantity } from "./quantity.ts";

/** The greater of the two counts: so much of the figure's own unit, or this share of what receivers hold. */
interface Push {
  readonly least: number;
  readonly share: number;
  /** Whatever it costs. */
  readonly vital?: boolean;
}

export interface Column<Part> {
  readonly quantity: Quantity;
  readonly unit: number;
  readonly grain: number;
  /** Undefined: it waits. */
  readonly push: Push | undefined;
  readonly of: (part: Part) => number | undefined;
}

/** Any change of it is news. */
export const AT_ONCE: Push = { least: 1, share: 0, vital: true };

export function figure<Part>(
  quantity: Quantity,
  of: (part: Part) => number | undefined,
  more: { readonly unit?: number; readonly grain?: number; readonly push?: Push } = {},
): Column<Part> {
  return { quantity, of, unit: more.unit ?? 1, grain: more.grain ?? 1, push: more.push };
}

const READY = 1;
const DRAINING = 2;

export const NODE_COLUMNS: readonly Column<NodeSample>[] = [
  figure("count", ({ ready, draining }) => (ready ? READY : 0) | (draining ? DRAINING : 0), { push: AT_ONCE }),
  figure("count", ({ requestsInProgress }) => requestsInProgress),
  figure("count", ({ failedResponses }) => failedResponses),
  figure("count", ({ connectedPeers }) => connectedPeers),
  figure("count", ({ backoffRequests }) => backoffRequests),
  figure("share", ({ cpuUsage }) => cpuUsage, { grain: 5 }),
  figure("share", ({ memoryUsage }) => memoryUsage, { grain: 5 }),
];

/** What a GPU's column needs beyond the GPU: the words for throttle reasons are in the description. */
export interface WordedGpu {
  readonly gpu: GpuSample;
  /** A bit for each reason, by its place among the description's reasons. */
  readonly reasons: number;
  /** The place of its health's reason among the description's words; undefined without one. */
  readonly reason: number | undefined;
  /** Those of the description's models that run on it, by `modelsMask`. */
  readonly models: number;
}

/** No model, all of them, or a bit for each from the second bit on: of the first 29, since a count has 31 bits. */
const ALL_MODELS = 1;
const MASKED_MODELS_MAX = 29;

interface Placed {
  readonly model: string;
  /** "": of the node's only runtime. */
  readonly runtime: string;
}

/** Of models of the same name in several runtimes, those of the runtimes that are `on` it, where that is told. */
export function modelsMask(
  models: readonly Placed[],
  on: { readonly models: readonly string[]; readonly runtimes?: readonly string[] | undefined },
): number {
  const isOn = ({ model, runtime }: Placed): boolean =>
    on.models.includes(model) && (runtime === "" || on.runtimes?.includes(runtime) !== false);
  if (on.models.length === 0 || models.length === 0) return 0;
  if (models.every(isOn)) return ALL_MODELS;
  let mask = 0;
  for (const [place, model] of models.slice(0, MASKED_MODELS_MAX).entries()) {
    if (isOn(model)) mask |= 2 << place;
  }
  return mask;
}

/** The runtimes are told where each model says which one is its own. */
export function masked(models: readonly Placed[], mask: number): Pick<GpuSample, "models" | "runtimes"> {
  const isOn = (place: number): boolean => place < MASKED_MODELS_MAX && ((mask >>> (place + 1)) & 1) === 1;
  const on = models.filter((_, place) => mask === ALL_MODELS || isOn(place));
  const names = [...new Set(on.map(({ model }) => model))];
  const isTold = on.length > 0 && on.every(({ runtime }) => runtime !== "");
  return isTold ? { models: names, runtimes: [...new Set(on.map(({ runtime }) => runtime))] } : { models: names };
}

/** The clock of `healthSinceMs` travels in whole seconds since the start of 2024, so that it fits into a count; never a later one. */
const SINCE_ZERO_MS = 1_704_067_200_000;

function sinceSeconds(sinceMs: number | undefined): number | undefined {
  return sinceMs === undefined ? undefined : Math.floor((sinceMs - SINCE_ZERO_MS) / 1000);
}

export function sinceMsOf(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : SINCE_ZERO_MS + seconds * 1000;
}

export const HEALTH = [undefined, "healthy", "degraded", "quarantined"] as const;

export const GPU_COLUMNS: readonly Column<WordedGpu>[] = [
  figure("share", ({ gpu }) => gpu.utilization, { grain: 5 }),
  figure("size", ({ gpu }) => gpu.memoryUsedBytes, { unit: MEBI, grain: 2 }),
  figure("size", ({ gpu }) => gpu.powerWatts, { grain: 8 }),
  figure("degrees", ({ gpu }) => gpu.temperatureCelsius, { grain: 2 }),
  figure("count", ({ reasons }) => reasons, { push: AT_ONCE }),
  figure("count", ({ gpu }) => HEALTH.indexOf(gpu.health), { push: AT_ONCE }),
  figure("count", ({ reason }) => reason),
  figure("count", ({ gpu }) => sinceSeconds(gpu.healthSinceMs)),
  figure("count", ({ models }) => models),
];

export function codeOf<Part>(column: Column<Part>, part: Part): number {
  return encode(column.quantity, column.of(part), column.unit);
}

export function valueOf<Part>(column: Column<Part>, code: number): number | undefined {
  return decode(column.quantity, code, column.unit);
}

/** How much news it is to receivers that hold one code that it is another: of load, or of whether the node is well. */
export type Pressure = "none" | "load" | "vital";

export function pressureOf<Part>(column: Column<Part>, held: number, code: number): Pressure {
  const { push } = column;
  if (push === undefined || held === code) return "none";
  const kind = push.vital === true ? "vital" : "load";
  if (held === 0 || code === 0) return kind;
  const before = valueOf(column, held) ?? 0;
  const change = Math.abs((valueOf(column, code) ?? 0) - before);
  return change >= Math.max(push.least, push.share * before) ? kind : "none";
}

/** A node's flags in words. */
export function flagsOf(value: number | undefined): { ready: boolean; draining: boolean } {
  const flags = value ?? 0;
  return { ready: (flags & READY) !== 0, draining: (flags & DRAINING) !== 0 };
}
