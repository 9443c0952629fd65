/**
 * How many replicas a model should have: recommendations for whoever starts and stops them, made from what each replica
 * is at and what it should be at, as Kubernetes' horizontal autoscaler does: wanted = replicas x is / should be.
 *
 * Within a tenth of the target nothing is changed. More are wanted at once; fewer only when for `DOWN_MS` no more were
 * wanted, so that a lull costs no cold start. A model with no replica wants one as soon as anybody waits for it.
 */
import type { ScalingMetric, ScalingSpec } from "./spec.ts";

/** What a model's replicas are at. */
export interface ModelLoad {
  /** That serve now. */
  readonly replicas: number;
  /** Mean over its replicas of how long a new request would wait. */
  readonly queueSeconds: number;
  /** Mean over its replicas, 0 to 1. */
  readonly kvUsage: number;
  /** Under way and waiting, in all of the mesh. */
  readonly runningRequests: number;
}

export interface Recommendation {
  readonly model: string;
  /** That serve now. */
  readonly replicas: number;
  readonly wanted: number;
  /** For people. */
  readonly why: string;
}

const TOLERANCE = 0.1;
export const DOWN_MS = 300_000;
/** The past is kept in so many pieces. */
const PIECES = 20;

/** What it would be by the load of now alone. */
export function wantedReplicas({ minReplicas, maxReplicas, target }: ScalingSpec, load: ModelLoad): number {
  const within = (count: number): number => Math.min(maxReplicas, Math.max(minReplicas, count));
  if (load.replicas === 0) return within(load.runningRequests > 0 ? 1 : 0);
  const ratio = valueOf(target.metric, load) / target.value;
  if (Math.abs(ratio - 1) <= TOLERANCE) return within(load.replicas);
  return within(Math.ceil(load.replicas * ratio));
}

function valueOf(metric: ScalingMetric, { replicas, queueSeconds, kvUsage, runningRequests }: ModelLoad): number {
  if (metric === "queue-seconds") return queueSeconds;
  return metric === "kv-usage" ? kvUsage : runningRequests / replicas;
}

/** The most that was wanted in each piece of the last `DOWN_MS`. */
interface Past {
  piece: number;
  readonly most: number[];
}

export class ScalingAdvice {
  readonly #pasts = new Map<string, Past>();

  recommend(model: string, spec: ScalingSpec, load: ModelLoad, nowMs: number): Recommendation {
    const wantedNow = wantedReplicas(spec, load);
    const most = Math.max(wantedNow, this.#remember(model, wantedNow, load, nowMs));
    const { replicas } = load;
    const isLull = wantedNow < replicas && most > wantedNow;
    const held = Math.min(replicas, most, spec.maxReplicas);
    const wanted = isLull ? Math.max(wantedNow, held) : wantedNow;
    return { model, replicas, wanted, why: whyOf(spec, load, wanted, isLull && wanted > wantedNow) };
  }

  /** Models that have no scaling policy any more. */
  keepOnly(models: { has(model: string): boolean }): void {
    for (const model of this.#pasts.keys()) if (!models.has(model)) this.#pasts.delete(model);
  }

  #remember(model: string, wanted: number, { replicas }: ModelLoad, nowMs: number): number {
    const piece = Math.floor(nowMs / (DOWN_MS / PIECES));
    // Of the time before the first look nothing is known: what runs then was wanted.
    const past = this.#pasts.get(model) ?? { piece, most: Array.from({ length: PIECES + 1 }, () => replicas) };
    this.#pasts.set(model, past);
    const passed = Math.min(piece - past.piece, PIECES + 1);
    for (let each = 1; each <= passed; each += 1) past.most[(piece - passed + each) % (PIECES + 1)] = 0;
    past.piece = Math.max(past.piece, piece);
    const at = past.piece % (PIECES + 1);
    past.most[at] = Math.max(past.most[at] ?? 0, wanted);
    return Math.max(...past.most);
  }
}

function whyOf(spec: ScalingSpec, load: ModelLoad, wanted: number, isLull: boolean): string {
  const { minReplicas, maxReplicas, target } = spec;
  if (load.replicas === 0) {
    if (wanted === 0) return "nobody asks for it";
    return load.runningRequests > 0 ? "requests wait and no replica serves" : `at least ${minReplicas} are to run`;
  }
  const exact = valueOf(target.metric, load);
  const value = Math.round(exact * 100) / 100;
  const measured = `${target.metric} is ${value} a replica, the target is ${target.value}`;
  if (isLull) return `${measured}, but more were needed within the last ${DOWN_MS / 60_000} minutes`;
  if (Math.ceil((load.replicas * exact) / target.value) > maxReplicas) {
    return `${measured}; ${maxReplicas} is the most there may be`;
  }
  return wanted === minReplicas && value < target.value ? `${measured}; ${minReplicas} is the least` : measured;
}
