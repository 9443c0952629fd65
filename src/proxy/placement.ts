/**
 * The main thread's side of the score table: gives each pair of target and model a row, keeps the rows' figures fresh,
 * and makes the snapshots by which workers find the target behind a row.
 *
 * A row is taken away in two steps, since workers learn of it by message: first it stops being routable, then, when
 * every worker routes by a snapshot without it (`routed`) and nothing of it is in flight, it is free for another
 * target. A worker can therefore never send a request to the wrong address.
 *
 * A sample counts the requests that ran when it was taken, the router's own among them. The own ones at that moment
 * (`mark`, read as the poll goes out) are kept beside it, so that the table adds only what came and went since.
 *
 * A poll's round trip holds the network's and whatever kept either process busy: tens of milliseconds on a machine that
 * computes, often more than a prefill, and a request would pay that on none of its ways. The shortest of the last few is
 * the network's, and differences of a few milliseconds even between those are chance: taken at their word, they would
 * send all requests of a mesh at rest to one target.
 */
import type { Target } from "../fleet/target.ts";
import { isRoutable, isThrottled } from "../fleet/target.ts";
import { rowValues } from "../score/cost.ts";
import type { CostConfig } from "../score/cost.ts";
import { TableWriter } from "../score/table-writer.ts";
import type { ScoreTable } from "../score/table.ts";
import type { RouteModel, RouteRow, RouteSnapshot } from "./protocol.ts";

interface Place {
  readonly target: string;
  readonly model: string;
  readonly row: number;
  readonly route: RouteRow;
  /** The snapshot that tells workers of it; until all of them route by it, the row is not routable. */
  readonly since: number;
  /** The router's own load at the moment of the newest sample. */
  baselineRequests: number;
  baselineTokens: number;
  /** Round trips of the last polls, newest last. */
  rttsMs: number[];
}

/** Polls whose shortest round trip counts: a path that became longer is believed after 40 s at the usual interval. */
const RTTS_KEPT = 8;
/** Ways that differ by less count as equal. */
const RTT_GRAIN_MS = 5;

interface ModelEntry {
  readonly route: RouteModel;
  rows: number;
  /** Since when no target serves it; while it is still listed, its requests are answered 503 rather than 404. */
  emptySinceMs: number;
}

/** How long a model that nobody serves any more is remembered: its nodes may be restarting. */
const MODEL_GRACE_MS = 60_000;

/** What a target had in flight from this router when its poll went out. */
export type LoadMark = ReadonlyMap<string, { readonly requests: number; readonly tokens: number }>;

/** Counts by row and by model, which begin anew when the number is given to another. */
interface Resettable {
  resetRow(row: number): void;
  resetModel(model: number): void;
}

/** A target by its id; undefined when it left. */
type Find = (id: string) => Target | undefined;

export class Placement {
  readonly #table: ScoreTable;
  readonly #writer: TableWriter;
  readonly #stats: Resettable;
  readonly #config: CostConfig;
  /** By target, then by model. */
  readonly #places = new Map<string, Map<string, Place>>();
  readonly #models = new Map<string, ModelEntry>();
  /** Rows, and models, that wait until every worker routes by `version` or later. */
  #leavingRows: { readonly row: number; readonly version: number }[] = [];
  #leavingModels: { readonly model: number; readonly version: number }[] = [];
  #version = 0;
  /** The newest version that every worker routes by. */
  #routed = -1;
  /** Targets with a model that found no room in the table. */
  readonly #homeless = new Set<string>();

  constructor(table: ScoreTable, stats: Resettable, config: CostConfig) {
    this.#table = table;
    this.#stats = stats;
    this.#writer = new TableWriter(table);
    this.#config = config;
  }

  /** Targets that have no row for some model, since the table is full. */
  get homeless(): number {
    return this.#homeless.size;
  }

  /** The places in use, for metrics and listings. */
  *places(): Iterable<{
    readonly target: string;
    readonly model: string;
    readonly row: number;
    readonly modelId: number;
  }> {
    for (const place of this.#all()) {
      yield { target: place.target, model: place.model, row: place.row, modelId: place.route.model };
    }
  }

  models(): readonly RouteModel[] {
    return [...this.#models.values()].map(({ route }) => route);
  }

  /**
   * Brings the rows of these targets in line with what they are now. Answers a snapshot when workers must learn of it.
   */
  sync(ids: Iterable<string>, find: Find, nowMs: number, unixSeconds: number): RouteSnapshot | null {
    let changed = false;
    for (const id of new Set([...ids, ...this.#homeless])) {
      const target = find(id);
      for (const place of this.#places.get(id)?.values() ?? []) {
        const stays =
          target?.models.includes(place.model) === true &&
          target.host === place.route.host &&
          target.port === place.route.port;
        if (stays) continue;
        this.#leave(place, nowMs);
        changed = true;
      }
      this.#homeless.delete(id);
      if (target === undefined) continue;
      for (const model of target.models) {
        if (this.#place(id, model) !== undefined) continue;
        if (this.#join(target, model, unixSeconds)) changed = true;
        else this.#homeless.add(id);
      }
      this.refresh([target], nowMs);
    }
    return changed ? this.#next() : null;
  }

  /** Forgets models that nobody has served for a while; answers a snapshot when there were such. */
  expireModels(nowMs: number): RouteSnapshot | null {
    let changed = false;
    for (const [name, { route, rows, emptySinceMs }] of this.#models) {
      if (rows > 0 || nowMs - emptySinceMs < MODEL_GRACE_MS) continue;
      this.#models.delete(name);
      this.#leavingModels.push({ model: route.id, version: this.#version + 1 });
      changed = true;
    }
    return changed ? this.#next() : null;
  }

  #next(): RouteSnapshot {
    this.#version++;
    return this.snapshot();
  }

  snapshot(): RouteSnapshot {
    return {
      version: this.#version,
      models: this.models(),
      rows: [...this.#all()].map(({ route }) => route),
    };
  }

  /** Writes every row anew: samples age, and an aged sample is worth less. */
  refresh(targets: readonly Target[], nowMs: number): void {
    for (const target of targets) {
      for (const model of target.models) {
        const place = this.#place(target.id, model);
        if (place !== undefined) this.#write(place, target, nowMs);
      }
    }
  }

  /** What this router has in flight at a target now: read it as a poll goes out, and give it back with the sample. */
  mark(target: Target): LoadMark {
    const load = new Map<string, { requests: number; tokens: number }>();
    for (const model of target.models) {
      const place = this.#place(target.id, model);
      if (place === undefined) continue;
      load.set(model, { requests: this.#table.inFlight(place.row), tokens: this.#table.inFlightTokens(place.row) });
    }
    return load;
  }

  /** A sample came: from now on only what changes beyond `mark` is added to it. */
  sampled(target: Target, mark: LoadMark, nowMs: number): void {
    for (const [model, load] of mark) {
      const place = this.#place(target.id, model);
      if (place === undefined) continue;
      place.baselineRequests = load.requests;
      place.baselineTokens = load.tokens;
      if (target.rttMs !== undefined) place.rttsMs = [...place.rttsMs.slice(1 - RTTS_KEPT), target.rttMs];
      this.#table.clearEject(place.row);
      this.#write(place, target, nowMs);
    }
  }

  /** Every worker routes by `version` or later: new rows may be picked, and rows that left are free once quiet. */
  routed(version: number, targets: readonly Target[], nowMs: number): void {
    if (version <= this.#routed) return;
    this.#routed = version;
    this.refresh(targets, nowMs);
    this.#leavingRows = this.#leavingRows.filter(({ row, version: left }) => {
      if (left > version) return true;
      this.#writer.removeRow(row);
      return false;
    });
    this.#leavingModels = this.#leavingModels.filter(({ model, version: left }) => {
      if (left > version) return true;
      this.#writer.removeModel(model);
      return false;
    });
  }

  /** Requests and prompt tokens in flight from this router to a target. */
  load(target: Target): { requests: number; tokens: number } {
    let requests = 0;
    let tokens = 0;
    for (const { requests: r, tokens: t } of this.mark(target).values()) {
      requests += r;
      tokens += t;
    }
    return { requests, tokens };
  }

  #place(target: string, model: string): Place | undefined {
    return this.#places.get(target)?.get(model);
  }

  *#all(): Iterable<Place> {
    for (const places of this.#places.values()) yield* places.values();
  }

  #join(target: Target, model: string, unixSeconds: number): boolean {
    let entry = this.#models.get(model);
    if (entry === undefined) {
      const id = this.#writer.addModel();
      if (id < 0) return false;
      this.#stats.resetModel(id);
      entry = { route: { id, name: model, created: unixSeconds }, rows: 0, emptySinceMs: 0 };
      this.#models.set(model, entry);
    }
    const row = this.#writer.addRow(entry.route.id);
    if (row < 0) return false;
    this.#stats.resetRow(row);
    entry.rows++;
    const route = { row, model: entry.route.id, node: target.id, host: target.host, port: target.port };
    const since = this.#version + 1;
    const load = { baselineRequests: 0, baselineTokens: 0, rttsMs: [] };
    const places = this.#places.get(target.id) ?? new Map<string, Place>();
    places.set(model, { target: target.id, model, row, route, since, ...load });
    this.#places.set(target.id, places);
    return true;
  }

  #leave(place: Place, nowMs: number): void {
    const places = this.#places.get(place.target);
    places?.delete(place.model);
    if (places?.size === 0) this.#places.delete(place.target);
    this.#writer.write(place.row, rowValues(null, UNROUTABLE, this.#config));
    this.#leavingRows.push({ row: place.row, version: this.#version + 1 });
    const entry = this.#models.get(place.model);
    if (entry !== undefined && --entry.rows === 0) entry.emptySinceMs = nowMs;
  }

  #write(place: Place, target: Target, nowMs: number): void {
    const sample = target.lastSample?.models.find(({ model }) => model === place.model) ?? null;
    this.#writer.write(
      place.row,
      rowValues(
        sample,
        {
          weight: target.weight,
          rttMs: wayMs(place.rttsMs.length > 0 ? place.rttsMs : [target.rttMs ?? 0]),
          ready: isRoutable(target) && place.since <= this.#routed,
          degraded: target.failuresInRow > 0 || isThrottled(target),
          ageMs: target.sampledAtMs === undefined ? 0 : nowMs - target.sampledAtMs,
          baselineRequests: place.baselineRequests,
          baselineTokens: place.baselineTokens,
        },
        this.#config,
      ),
    );
  }
}

const UNROUTABLE = {
  weight: 1,
  rttMs: 0,
  ready: false,
  degraded: false,
  ageMs: 0,
  baselineRequests: 0,
  baselineTokens: 0,
} as const;
/** The network's part of these round trips. */
function wayMs(rttsMs: readonly number[]): number {
  return Math.floor(Math.min(...rttsMs) / RTT_GRAIN_MS) * RTT_GRAIN_MS;
}
