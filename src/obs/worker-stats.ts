/**
 * What the data-plane workers count, in shared memory: each worker has a region that only it writes, by plain stores,
 * so that counting costs no message and no atomic; the main thread adds the regions up when someone asks.
 *
 * A worker that dies leaves its region as it is and its successor goes on in it, so counts never go back. Models and
 * rows are counted by their number in the score table; when a number is given to another model or target, the main
 * thread clears what the former one counted (nobody counts under a number that is not in use). A read may miss what
 * is being written at that moment; the next one has it.
 */

import { assert } from "../base/assert.ts";
import {
  type HistogramReading,
  DECISION_MICROSECONDS,
  DURATION_SECONDS,
  FIRST_TOKEN_SECONDS,
  TOKEN_GAP_SECONDS,
  cumulative,
} from "./buckets.ts";
import { COUNT } from "./worker-counts.ts";
import {
  CODES,
  DECISIONS,
  DURATIONS,
  FIRST_TOKENS,
  FIXED,
  LATE_WAITS,
  PER_MODEL,
  PER_ROW,
  PICK_REASONS,
  TOKENS,
  TOKEN_GAPS,
  UPSTREAM_ERROR_KINDS,
  WorkerCounters,
  add,
  layoutOf,
} from "./worker-counters.ts";
import type { Layout, WorkerStatsLimits } from "./worker-counters.ts";

const HEAD = 4;
const MAGIC = 0x1f5747;

export class WorkerStats {
  readonly buffer: SharedArrayBuffer;
  readonly workersMax: number;
  readonly modelsMax: number;
  readonly targetsMax: number;
  readonly #layout: Layout;
  readonly #regions: readonly Float64Array[];
  /** What models counted whose number was given away; only the main thread's copy holds any. */
  readonly #retired = new Float64Array(CODES.length);

  private constructor(buffer: SharedArrayBuffer) {
    const [magic, workersMax = 0, modelsMax = 0, targetsMax = 0] = new Float64Array(buffer, 0, HEAD);
    assert(magic === MAGIC, "this buffer holds no worker statistics");
    this.buffer = buffer;
    this.workersMax = workersMax;
    this.modelsMax = modelsMax;
    this.targetsMax = targetsMax;
    this.#layout = layoutOf(this);
    const { region } = this.#layout;
    this.#regions = Array.from(
      { length: workersMax },
      (_, index) => new Float64Array(buffer, (HEAD + index * region) * 8, region),
    );
  }

  static create(limits: WorkerStatsLimits): WorkerStats {
    const { region } = layoutOf(limits);
    const buffer = new SharedArrayBuffer((HEAD + limits.workersMax * region) * 8);
    new Float64Array(buffer, 0, HEAD).set([MAGIC, limits.workersMax, limits.modelsMax, limits.targetsMax]);
    return new WorkerStats(buffer);
  }

  static attach(buffer: SharedArrayBuffer): WorkerStats {
    return new WorkerStats(buffer);
  }

  forWorker(index: number): WorkerCounters {
    const region = this.#regions[index];
    assert(region !== undefined, `there is no place for worker ${index}`);
    return new WorkerCounters(region, this.#layout);
  }

  /** Before a row of the score table is given to another target. */
  resetRow(row: number): void {
    const start = this.#layout.rows + row * PER_ROW;
    for (const region of this.#regions) region.fill(0, start, start + PER_ROW);
  }

  /** Before a model's number is given to another model; its requests stay in the totals. */
  resetModel(model: number): void {
    const start = modelStart(model);
    for (let code = 0; code < CODES.length; code += 1) add(this.#retired, code, this.#sum(start + code));
    for (const region of this.#regions) region.fill(0, start, start + PER_MODEL);
  }

  /** Requests of one model (-1: of none) by status, without the statuses that never came. */
  requests(model: number): ReadonlyMap<string, number> {
    const start = modelStart(model);
    return countsByName(CODES, (code) => this.#sum(start + code));
  }

  /** All requests by status, those of forgotten models too. */
  requestsByCode(): ReadonlyMap<string, number> {
    const all = Float64Array.from(this.#retired);
    for (const region of this.#regions) {
      for (let at = FIXED; at < this.#layout.rows; at += PER_MODEL) {
        for (let code = 0; code < CODES.length; code += 1) add(all, code, region[at + code] ?? 0);
      }
    }
    return countsByName(CODES, (code) => all[code] ?? 0);
  }

  /** In seconds. */
  durations(model: number): HistogramReading {
    return this.#histogram(modelStart(model) + DURATIONS, DURATION_SECONDS);
  }

  /** In seconds. */
  firstTokens(model: number): HistogramReading {
    return this.#histogram(modelStart(model) + FIRST_TOKENS, FIRST_TOKEN_SECONDS);
  }

  /** In seconds. */
  tokenGaps(model: number): HistogramReading {
    return this.#histogram(modelStart(model) + TOKEN_GAPS, TOKEN_GAP_SECONDS);
  }

  tokens(model: number): { readonly prompt: number; readonly completion: number } {
    const at = modelStart(model) + TOKENS;
    return { prompt: this.#sum(at), completion: this.#sum(at + 1) };
  }

  /** In microseconds. */
  decisions(): HistogramReading {
    return this.#histogram(DECISIONS, DECISION_MICROSECONDS);
  }

  /** In seconds. */
  lateWaits(): HistogramReading {
    return this.#histogram(LATE_WAITS, FIRST_TOKEN_SECONDS);
  }

  picks(row: number): ReadonlyMap<string, number> {
    const start = this.#layout.rows + row * PER_ROW;
    return countsByName(PICK_REASONS, (reason) => this.#sum(start + reason));
  }

  upstreamErrors(row: number): ReadonlyMap<string, number> {
    const start = this.#layout.rows + row * PER_ROW + PICK_REASONS.length;
    return countsByName(UPSTREAM_ERROR_KINDS, (kind) => this.#sum(start + kind));
  }

  /** What all workers have counted, or have now. */
  count(what: keyof typeof COUNT): number {
    return this.#sum(COUNT[what]);
  }

  retries(): number {
    return this.count("retries");
  }

  hedges(): number {
    return this.count("hedges");
  }

  /** Client connections that are open now. */
  connectionsOpen(): number {
    return this.count("connections");
  }

  connectionsTotal(): number {
    return this.count("connectionsTotal");
  }

  bytes(): { readonly in: number; readonly out: number } {
    return { in: this.count("bytesIn"), out: this.count("bytesOut") };
  }

  #sum(at: number): number {
    return this.#regions.reduce((sum, region) => sum + (region[at] ?? 0), 0);
  }

  #histogram(at: number, bounds: readonly number[]): HistogramReading {
    const counts = Array.from({ length: bounds.length + 1 }, (_, bucket) => this.#sum(at + bucket));
    return cumulative(bounds, counts, this.#sum(at + bounds.length + 1));
  }
}

function modelStart(model: number): number {
  return FIXED + (model + 1) * PER_MODEL;
}

function countsByName(names: readonly string[], count: (index: number) => number): ReadonlyMap<string, number> {
  return new Map(names.map((name, index): [string, number] => [name, count(index)]).filter(([, n]) => n > 0));
}
