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
  bucketOf,
  cumulative,
} from "./buckets.ts";

export const PICK_REASONS = ["best", "tie", "retry", "ejected-fallback"] as const;
export type PickReason = (typeof PICK_REASONS)[number];

export const UPSTREAM_ERROR_KINDS = ["connect", "timeout", "reset", "bad-response", "truncated"] as const;
export type UpstreamErrorKind = (typeof UPSTREAM_ERROR_KINDS)[number];

/** Statuses counted by themselves; any other counts under its class. */
const CODES = [
  ..."200 201 202 204 206 301 302 304 307 400 401 403 404 405 408 409 411 413 414 415 422 429 431".split(" "),
  ..."499 500 501 502 503 504 505 1xx 2xx 3xx 4xx 5xx other".split(" "),
];

/** From a status to its place in CODES. */
const CODE_OF = Uint8Array.from({ length: 600 }, (_, status) => {
  const own = CODES.indexOf(String(status));
  const ofClass = CODES.indexOf(`${Math.floor(status / 100)}xx`);
  return own >= 0 ? own : ofClass >= 0 ? ofClass : CODES.length - 1;
});

// Places in a worker's region, in float64s.
const CONNECTIONS = 0;
const CONNECTIONS_TOTAL = 1;
const RETRIES = 2;
const BYTES_IN = 3;
const BYTES_OUT = 4;
const HEDGES = 5;
const DECISIONS = 6;
const FIXED = DECISIONS + DECISION_MICROSECONDS.length + 2;

// Places in a model's part: counts by code, then two histograms (buckets, +Inf, sum).
const DURATIONS = CODES.length;
const FIRST_TOKENS = DURATIONS + DURATION_SECONDS.length + 2;
const PER_MODEL = FIRST_TOKENS + FIRST_TOKEN_SECONDS.length + 2;

const PER_ROW = PICK_REASONS.length + UPSTREAM_ERROR_KINDS.length;

const HEAD = 4;
const MAGIC = 0x1f5747;

export interface WorkerStatsLimits {
  readonly workersMax: number;
  readonly modelsMax: number;
  readonly targetsMax: number;
}

interface Layout extends WorkerStatsLimits {
  /** Where a worker's rows begin in its region. */
  readonly rows: number;
  /** Length of a region. */
  readonly region: number;
}

function layoutOf({ workersMax, modelsMax, targetsMax }: WorkerStatsLimits): Layout {
  // Part 0 is for requests of no model: refused before their model was known.
  const rows = FIXED + (modelsMax + 1) * PER_MODEL;
  return { workersMax, modelsMax, targetsMax, rows, region: rows + targetsMax * PER_ROW };
}

/** One worker's pen. Model -1 stands for none; a number beyond the limits is counted under none, or not at all. */
export class WorkerCounters {
  readonly #values: Float64Array;
  readonly #layout: Layout;

  constructor(values: Float64Array, layout: Layout) {
    this.#values = values;
    this.#layout = layout;
  }

  /** A request was answered (or given up: 499). */
  request(model: number, status: number, durationMs: number): void {
    const values = this.#values;
    const at = this.#model(model);
    const code = at + (status >= 0 && status < 600 ? (CODE_OF[status | 0] ?? CODES.length - 1) : CODES.length - 1);
    values[code] = (values[code] ?? 0) + 1;
    observe(values, at + DURATIONS, DURATION_SECONDS, durationMs / 1000);
  }

  /** The first byte of an answer's body went out. */
  firstToken(model: number, ttftMs: number): void {
    observe(this.#values, this.#model(model) + FIRST_TOKENS, FIRST_TOKEN_SECONDS, ttftMs / 1000);
  }

  pick(row: number, reason: PickReason): void {
    this.#countRow(row, PICK_REASONS.indexOf(reason));
  }

  upstreamError(row: number, kind: UpstreamErrorKind): void {
    this.#countRow(row, PICK_REASONS.length + UPSTREAM_ERROR_KINDS.indexOf(kind));
  }

  /** A request was sent again, to another target. */
  retry(): void {
    add(this.#values, RETRIES, 1);
  }

  /** A request was sent a second time since its first token was late. */
  hedge(): void {
    add(this.#values, HEDGES, 1);
  }

  /** How long it took to choose a target. */
  decision(microseconds: number): void {
    observe(this.#values, DECISIONS, DECISION_MICROSECONDS, microseconds);
  }

  /** A client's connection opened (1) or closed (-1). */
  connections(delta: number): void {
    add(this.#values, CONNECTIONS, delta);
    if (delta > 0) add(this.#values, CONNECTIONS_TOTAL, delta);
  }

  /** Bytes from clients and to clients. */
  bytes(inward: number, outward: number): void {
    add(this.#values, BYTES_IN, inward);
    add(this.#values, BYTES_OUT, outward);
  }

  /** What a dead worker held is gone: its open connections. Called by the main thread before the successor starts. */
  clearGauges(): void {
    this.#values[CONNECTIONS] = 0;
  }

  #model(model: number): number {
    const known = model >= 0 && model < this.#layout.modelsMax;
    return FIXED + (known ? model + 1 : 0) * PER_MODEL;
  }

  #countRow(row: number, which: number): void {
    if (row < 0 || row >= this.#layout.targetsMax || which < 0) return;
    add(this.#values, this.#layout.rows + row * PER_ROW + which, 1);
  }
}

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

  /** In microseconds. */
  decisions(): HistogramReading {
    return this.#histogram(DECISIONS, DECISION_MICROSECONDS);
  }

  picks(row: number): ReadonlyMap<string, number> {
    const start = this.#layout.rows + row * PER_ROW;
    return countsByName(PICK_REASONS, (reason) => this.#sum(start + reason));
  }

  upstreamErrors(row: number): ReadonlyMap<string, number> {
    const start = this.#layout.rows + row * PER_ROW + PICK_REASONS.length;
    return countsByName(UPSTREAM_ERROR_KINDS, (kind) => this.#sum(start + kind));
  }

  retries(): number {
    return this.#sum(RETRIES);
  }

  hedges(): number {
    return this.#sum(HEDGES);
  }

  /** Client connections that are open now. */
  connectionsOpen(): number {
    return this.#sum(CONNECTIONS);
  }

  connectionsTotal(): number {
    return this.#sum(CONNECTIONS_TOTAL);
  }

  bytes(): { readonly in: number; readonly out: number } {
    return { in: this.#sum(BYTES_IN), out: this.#sum(BYTES_OUT) };
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

function add(values: Float64Array, at: number, amount: number): void {
  values[at] = (values[at] ?? 0) + amount;
}

function observe(values: Float64Array, at: number, bounds: readonly number[], value: number): void {
  // A clock that stepped back, or a start that was never noted, must not spoil the sum for good.
  const seen = value > 0 ? value : 0;
  add(values, at + bucketOf(bounds, seen), 1);
  add(values, at + bounds.length + 1, seen);
}

function countsByName(names: readonly string[], count: (index: number) => number): ReadonlyMap<string, number> {
  return new Map(names.map((name, index): [string, number] => [name, count(index)]).filter(([, n]) => n > 0));
}
