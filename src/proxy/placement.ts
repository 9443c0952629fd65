/**
 * The main thread's side of the score table: gives each pair of target and model a row, keeps the rows' figures fresh,
 * and makes the snapshots by which workers find the target behind a row.
 *
 * A row is taken away in two steps, since workers learn of it by message: first it stops being routable, then, when
 * every worker routes by a snapshot without it (`routed`) and nothing of it is in flight, it is free for another
 * target. A worker can therefore never send a request to the wrong address.
 *
 * A sample counts the requests that ran when it was taken, those of the routers among them. These at that moment (`mark`,
 * read as the poll goes out or as a streamed sample comes) are kept beside it, so that the table adds only what came and
 * went since: this router's own by its claims, those of the others as they tell of them (`loads`, `loadsChanged`).
 */
import { roleOf } from "../fleet/role.ts";
import { type Find, finder, type Target } from "../fleet/target.ts";
import { type Load, NO_LOAD, placeKey } from "../signal/flights.ts";
import type { CostConfig } from "../score/cost.ts";
import { TableWriter } from "../score/table-writer.ts";
import type { ScoreTable } from "../score/table.ts";
import { LeavingRows } from "./leaving-rows.ts";
import { Eligibility, type PlacementRules } from "./eligibility.ts";
import { poolOf } from "./pairs.ts";
import { inUse, leadsTo, type Place, newPlace, type PlaceInUse, Places, routeTo, withRtt } from "./places.ts";
import { PlaceRows } from "./place-rows.ts";
import { type LoadMark, type Others, PlaceLoads } from "./place-loads.ts";
import type { RowReport } from "./load-reports.ts";
import { kinOf, tellsIfAsked } from "./row-sample.ts";
import type { RouteModel, RouteSnapshot } from "./protocol.ts";
import type { RowLearning } from "./row-learning.ts";
import { type NumberedCounts, ServedModels } from "./served-models.ts";
import { revisionPool } from "./splits.ts";
import { TargetShares } from "./target-shares.ts";
import type { Warmth } from "./warmth.ts";

export class Placement {
  readonly #table: ScoreTable;
  readonly #writer: TableWriter;
  readonly #stats: NumberedCounts;
  readonly #loads: PlaceLoads;
  readonly #rows: PlaceRows;
  readonly #places = new Places();
  readonly #models: ServedModels;
  readonly #eligibility = new Eligibility();
  readonly #leavingRows = new LeavingRows();
  /** It is told who takes requests besides this router; rows are written by that from then on. */
  readonly shares = new TargetShares(() => this.#places.all());
  #version = 0;
  /** Targets with a model that found no room in the table. */
  readonly #homeless = new Set<string>();

  /** Without `warmth` a new target takes its whole share at once; without `learning` rates are what is told of them. */
  constructor(
    table: ScoreTable,
    stats: NumberedCounts,
    config: CostConfig,
    others: Others = () => NO_LOAD,
    warmth: Warmth | null = null,
    learning: RowLearning | null = null,
  ) {
    this.#table = table;
    this.#stats = stats;
    this.#writer = new TableWriter(table);
    this.#models = new ServedModels(this.#writer, (model) => stats.resetModel(model));
    this.#loads = new PlaceLoads(table, others);
    this.#rows = new PlaceRows(this.#writer, config, this.#loads, this.#eligibility, warmth, learning, this.shares);
  }

  /** Targets that have no row for some model, since the table is full. */
  get homeless(): number {
    return this.#homeless.size;
  }

  /** The places in use, for metrics and listings. */
  *places(): Iterable<PlaceInUse> {
    for (const place of this.#places.all()) yield inUse(place, this.#rows.routed);
  }

  models(): readonly RouteModel[] {
    return this.#models.all();
  }

  /**
   * Brings the rows of these targets in line with what they are now. Answers a snapshot when workers must learn of it.
   */
  sync(ids: Iterable<string>, find: Find, nowMs: number, unixSeconds: number): RouteSnapshot | null {
    let changed = false;
    for (const id of new Set([...ids, ...this.#homeless])) {
      const target = find(id);
      for (const place of this.#places.of(id)) {
        const stays = target?.models.includes(place.model) === true && this.#stays(place, target);
        if (stays) {
          changed = this.#reweigh(place, target) || changed;
          continue;
        }
        this.#leave(place, nowMs);
        changed = true;
      }
      this.#homeless.delete(id);
      if (target === undefined) continue;
      for (const model of target.models) {
        if (this.#places.get(id, model) !== undefined) continue;
        if (this.#join(target, model, unixSeconds)) changed = true;
        else this.#homeless.add(id);
      }
      this.refresh([target], nowMs);
    }
    this.review(find, nowMs);
    return changed ? this.#next() : null;
  }

  /** Policies changed: rows are written by them from now on. Answers a snapshot when workers must learn of it. */
  setRules(rules: PlacementRules | null, targets: readonly Target[], nowMs: number): RouteSnapshot | null {
    this.#eligibility.setRules(rules);
    let changed = false;
    for (const target of targets) {
      for (const place of this.#places.of(target.id)) {
        if (this.#stays(place, target)) {
          changed = this.#reweigh(place, target) || changed;
          continue;
        }
        changed = true;
        this.#leave(place, nowMs);
        if (!this.#join(target, place.model, 0)) this.#homeless.add(target.id);
      }
    }
    this.review(finder(targets), nowMs);
    this.refresh(targets, nowMs);
    return changed ? this.#next() : null;
  }

  /** Chooses anew who serves the models that only so many targets may serve. */
  review(find: Find, nowMs: number): void {
    if (!this.#eligibility.isLimiting) return;
    const changed = this.#eligibility.choose(this.#able(find));
    for (const place of changed.size === 0 ? [] : this.#places.all()) {
      const target = changed.has(place.model) ? find(place.target) : undefined;
      if (target !== undefined) this.#rows.write(place, target, nowMs);
    }
  }

  *#able(find: Find): Iterable<[model: string, target: Target]> {
    for (const place of this.#places.all()) {
      const target = find(place.target);
      if (target !== undefined && this.#rows.isReady(place, target)) yield [place.model, target];
    }
  }

  /** The targets that are given requests now, by model. */
  serving(find: Find): Map<string, Target[]> {
    return this.#eligibility.allowed(this.#able(find));
  }

  /** Forgets models that nobody has served for a while; answers a snapshot when there were such. */
  expireModels(nowMs: number): RouteSnapshot | null {
    return this.#models.expire(this.#version + 1, nowMs) ? this.#next() : null;
  }

  #next(): RouteSnapshot {
    this.#version++;
    this.shares.changed();
    return this.snapshot();
  }

  snapshot(): RouteSnapshot {
    return {
      version: this.#version,
      models: this.models(),
      rows: [...this.#places.all()].map(({ route }) => route),
    };
  }

  /** Writes every row anew: samples age, and an aged sample is worth less. */
  refresh(targets: readonly Target[], nowMs: number): void {
    for (const target of targets) {
      for (const model of target.models) {
        const place = this.#places.get(target.id, model);
        if (place !== undefined) this.#rows.write(place, target, nowMs);
      }
    }
  }

  /** What routers have in flight at a target now: read it as a poll goes out, and give it back with the sample. */
  mark(target: Target): LoadMark {
    return this.#loads.mark(this.#places.of(target.id));
  }

  /** Remembers what is in flight now, for samples of now that come later. */
  note(nowMs: number): void {
    this.#loads.note(this.#places.all(), nowMs);
  }

  /** A sample came, over a way of that round trip: from now on only what changes beyond `mark` is added to it. */
  sampled(target: Target, mark: LoadMark, rttMs: number | undefined, nowMs: number): void {
    for (const [model, load] of mark) {
      const place = this.#places.get(target.id, model);
      if (place === undefined) continue;
      place.baseline = this.#loads.baseline(place, target, load, nowMs);
      if (rttMs !== undefined) place.rttsMs = withRtt(place.rttsMs, rttMs);
      this.#rows.write(place, target, nowMs);
    }
  }

  /** Targets told of their load with answers. */
  told(reports: Iterable<RowReport>, find: Find, nowMs: number): void {
    for (const { row, generation, ageMs, requests, tokens, figures } of reports) {
      const place = this.#places.byRow(row);
      const target = place === undefined ? undefined : find(place.target);
      const atMs = nowMs - ageMs;
      if (place === undefined || target === undefined || !this.#isNews(place, generation, atMs)) continue;
      for (const kin of kinOf(place, target, this.#places.of(place.target))) {
        const own = kin === place ? { requests, tokens } : this.#loads.own(kin);
        kin.report = { figures, baseline: this.#loads.all(kin, own), atMs };
        this.#rows.write(kin, target, nowMs);
      }
    }
  }

  /** What another target told that had the row before says nothing, nor what is older than what another worker heard. */
  #isNews({ row, report }: Place, generation: number, atMs: number): boolean {
    return this.#table.generation(row) === generation && atMs >= (report?.atMs ?? -Infinity);
  }

  /** It answered a poll, which ends its ejection; that it tells of itself would not. */
  reached(target: Target): void {
    for (const { row } of this.#places.of(target.id)) this.#table.clearEject(row);
  }

  /** What this router tells the others of. */
  *loads(): Iterable<readonly [key: number, load: Load]> {
    for (const place of this.#places.all()) yield [place.key, this.#loads.own(place)];
  }

  /** Other routers told of their load at these places. */
  loadsChanged(keys: readonly number[], find: Find, nowMs: number): void {
    for (const key of keys) {
      const place = this.#places.byKey(key);
      const target = place === undefined ? undefined : find(place.target);
      if (place !== undefined && target !== undefined) this.#rows.write(place, target, nowMs);
    }
  }

  /** Every worker routes by `version` or later: new rows may be picked, and rows that left are free once quiet. */
  routed(version: number, targets: readonly Target[], nowMs: number): void {
    if (version <= this.#rows.routed) return;
    this.#rows.routed = version;
    this.review(finder(targets), nowMs);
    this.refresh(targets, nowMs);
    for (const row of this.#leavingRows.routed(version)) this.#writer.removeRow(row);
    this.#models.routed(version);
  }

  /** What this router has in flight at a target, over all its models. */
  load(target: Target): Load {
    return this.#loads.sumOfOwn(this.#places.of(target.id));
  }

  /** What the other routers have in flight there. */
  othersLoad(target: Target): Load {
    return this.#loads.sumOfOthers(this.#places.of(target.id));
  }

  #join(target: Target, model: string, unixSeconds: number): boolean {
    const role = roleOf(target);
    const revision = role === null ? this.#eligibility.revision(model, target) : "";
    const pool = role === null ? revisionPool(revision) : poolOf(role);
    const added = this.#models.addRow(target.protocol, model, pool, unixSeconds);
    if (added === null) return false;
    this.#stats.resetRow(added.row, placeKey(target.id, model));
    const weight = this.#eligibility.weight(model, target);
    const tellsLoad = tellsIfAsked(target);
    const route = routeTo(target, role, { ...added, weight, tellsLoad, ...(revision === "" ? {} : { revision }) });
    this.#places.add(newPlace(target.id, model, route, this.#version + 1));
    return true;
  }

  #leave(place: Place, nowMs: number): void {
    this.#places.remove(place);
    this.#rows.close(place);
    this.#leavingRows.add(place.row, this.#version + 1);
    const { protocol, role, revision = "" } = place.route;
    const pool = role === undefined ? revisionPool(revision) : poolOf(role);
    this.#models.dropRow(protocol, place.model, pool, nowMs);
  }

  /** Whether its row still leads where it did, and is of the same revision. */
  #stays({ model, route: { role, revision = "" }, route }: Place, target: Target): boolean {
    return leadsTo(route, target) && (role !== undefined || revision === this.#eligibility.revision(model, target));
  }

  /** Whether workers must learn of another weight, or of what it tells. */
  #reweigh(place: Place, target: Target): boolean {
    const weight = this.#eligibility.weight(place.model, target);
    const tellsLoad = tellsIfAsked(target);
    if (place.route.weight === weight && place.route.tellsLoad === tellsLoad) return false;
    place.route = { ...place.route, weight, tellsLoad };
    return true;
  }
}
