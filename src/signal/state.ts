/**
 * A sample as a row of codes: the node's columns, then those of each model, then those of each GPU, in the order of the
 * description. And back.
 */
import type { NodeSample } from "../score/sample.ts";
import { codeOf, type Column, flagsOf, GPU_COLUMNS, HEALTH, masked, modelsMask } from "./columns.ts";
import { NODE_COLUMNS, type Pressure, pressureOf, sinceMsOf, valueOf, type WordedGpu } from "./columns.ts";
import { type Description, figureCount } from "./description.ts";
import { MODEL_COLUMNS, modelsTold, worded } from "./model-columns.ts";

export type Codes = Uint32Array;

/** The codes of a sample that has this description; those of the GPUs are as `before`, where that is given. */
export function codesOf(sample: NodeSample, description: Description, before?: Codes): Codes {
  const codes = new Uint32Array(figureCount(description));
  let at = 0;
  const put = <Part>(columns: readonly Column<Part>[], part: Part): void => {
    for (const column of columns) codes[at++] = codeOf(column, part);
  };
  put(NODE_COLUMNS, sample);
  const models = sample.models.slice(0, description.models.length);
  for (const model of worded(models, description)) put(MODEL_COLUMNS, model);
  if (before !== undefined) {
    codes.set(before.subarray(at), at);
    return codes;
  }
  for (const gpu of sample.gpus.slice(0, description.gpus.length)) {
    let reasons = 0;
    for (const reason of gpu.throttleReasons) {
      const place = description.reasons.indexOf(reason);
      if (place >= 0) reasons |= 1 << place;
    }
    const reason = gpu.healthReason === undefined ? -1 : description.words.indexOf(gpu.healthReason);
    put(GPU_COLUMNS, {
      gpu,
      reasons,
      reason: reason < 0 ? undefined : reason,
      models: modelsMask(models, gpu),
    });
  }
  return codes;
}

/** The column of a figure; for descriptions of this version only, whose columns are ours. */
function columnAt(description: Description, at: number): Column<never> {
  const { nodeColumns, modelColumns, models } = description;
  if (at < nodeColumns) return NODE_COLUMNS[at]!;
  const ofModels = at - nodeColumns;
  const gpusFrom = models.length * modelColumns;
  if (ofModels < gpusFrom) return MODEL_COLUMNS[ofModels % modelColumns]!;
  return GPU_COLUMNS[(ofModels - gpusFrom) % GPU_COLUMNS.length]!;
}

/** Whether a receiver that takes one code for the other is wrong by more than the column's grain. */
export function differs(description: Description, at: number, a: number, b: number): boolean {
  if (a === b) return false;
  return a === 0 || b === 0 || Math.abs(a - b) >= columnAt(description, at).grain;
}

/** How much news these codes are to receivers that hold the others. */
export function pressure(description: Description, held: Codes, codes: Codes): Pressure {
  let found: Pressure = "none";
  for (let at = 0; at < codes.length; at += 1) {
    if (held[at] === codes[at]) continue;
    const kind = pressureOf(columnAt(description, at), held[at]!, codes[at]!);
    if (kind === "vital") return kind;
    if (kind === "load") found = kind;
  }
  return found;
}

/** What the codes say, `elapsedMs` after the description came. Figures that are no figures are unknown. */
export function sampleOf(description: Description, codes: Codes, elapsedMs: number): NodeSample {
  const { nodeColumns, modelColumns, gpuColumns } = description;
  let from = 0;
  let columns = nodeColumns;
  const value = <Part>(known: readonly Column<Part>[], at: number): number | undefined => {
    const column = known[at];
    return column === undefined || at >= columns ? undefined : valueOf(column, codes[from + at] ?? 0);
  };
  const node = (at: number): number | undefined => value<NodeSample>(NODE_COLUMNS, at);
  const counted = (at: number): number => node(at) ?? 0;
  const own = {
    ...flagsOf(node(0)),
    requestsInProgress: counted(1),
    failedResponses: counted(2),
    connectedPeers: counted(3),
    backoffRequests: counted(4),
    cpuUsage: node(5),
    memoryUsage: node(6),
    uptimeSeconds: description.uptimeSeconds + elapsedMs / 1000,
    version: description.version,
  };
  from += nodeColumns;
  const models = modelsTold(description, () => {
    const start = from;
    from += modelColumns;
    return (at) => (at < modelColumns ? valueOf(MODEL_COLUMNS[at]!, codes[start + at] ?? 0) : undefined);
  });
  columns = gpuColumns;
  columns = gpuColumns;
  let busy = 0;
  let known = 0;
  const gpus = description.gpus.map((described) => {
    const gpu = (at: number): number | undefined => value<WordedGpu>(GPU_COLUMNS, at);
    const utilization = gpu(0);
    if (utilization !== undefined) {
      busy += utilization;
      known += 1;
    }
    const reasons = gpu(4) ?? 0;
    const sample = {
      ...described,
      utilization,
      memoryUsedBytes: gpu(1),
      powerWatts: gpu(2),
      temperatureCelsius: gpu(3),
      throttleReasons: description.reasons.filter((_, place) => ((reasons >>> place) & 1) === 1),
      health: HEALTH[gpu(5) ?? 0],
      healthReason: description.words[gpu(6) ?? -1] || undefined,
      healthSinceMs: sinceMsOf(gpu(7)),
      ...masked(models, gpu(8) ?? 0),
    };
    from += gpuColumns;
    return sample;
  });
  return { ...own, runtimes: description.runtimes, models, gpus, gpuUsage: known === 0 ? undefined : busy / known };
}
