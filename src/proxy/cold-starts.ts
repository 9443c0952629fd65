/**
 * Targets where a model would have to be loaded before it answers, and what that adds to their cost: the time that it
 * takes. So a warm target is chosen unless all of them are behind by more than that.
 *
 * Few shall be woken, since each load fills memory and may drive other models out. Of a model's cold targets the one that
 * loads it soonest is the next, and costs that time; the others cost `coldStartSpread` times theirs, and so do all as long
 * as one is being loaded. Among equals the lowest key is the next, which all routers have alike: a burst that comes before
 * anybody knows of the first request's load goes to one target from all of them.
 *
 * One that has requests is being loaded, whether or not its node has told so yet: from then on it costs what is left.
 */
import type { Target } from "../fleet/target.ts";
import type { CostConfig } from "../score/cost.ts";
import type { ModelSample } from "../score/sample.ts";
import type { Place } from "./places.ts";

/** A load that takes longer than it should goes on for a while: for this share of what it took so far. */
const OVERDUE_SHARE = 0.1;

export interface ColdPlace {
  readonly place: Place;
  readonly target: Target;
}

interface Cold extends ColdPlace {
  /** As its node tells. */
  loadSeconds: number;
  /** Since when it has requests; undefined while it has none. */
  busySinceMs: number | undefined;
  /** Its node says that it is being loaded, or its requests do. */
  isWaking: boolean;
}

interface ColdModel {
  readonly places: Map<number, Cold>;
  waking: number;
  /** The row that is to be loaded first; undefined while one is being loaded. */
  next: number | undefined;
}

export class ColdStarts {
  readonly #config: Pick<CostConfig, "coldStartSpread">;
  readonly #models = new Map<number, ColdModel>();
  /** To be written anew, since they are the next now, or no more. */
  #moved: Cold[] = [];

  constructor(config: Pick<CostConfig, "coldStartSpread">) {
    this.#config = config;
  }

  /** The row is about to be written: what loading the model there adds to its cost. `sample` is null where it is not used. */
  seconds(at: ColdPlace, sample: ModelSample | null, requests: () => number, nowMs: number): number {
    const { place } = at;
    if (sample?.loadSeconds === undefined || sample.state === "loaded") {
      this.forget(place);
      return 0;
    }
    const model = this.#model(place.route.model);
    const before = model.places.get(place.row);
    const busySinceMs = requests() > 0 ? (before?.busySinceMs ?? nowMs) : undefined;
    const isWaking = busySinceMs !== undefined || sample.state === "loading" || sample.state === "warming";
    const cold: Cold = { ...at, loadSeconds: sample.loadSeconds, busySinceMs, isWaking };
    model.places.set(place.row, cold);
    model.waking += Number(isWaking) - Number(before?.isWaking ?? false);
    this.#renext(model, cold, before);
    if (!isWaking) return cold.loadSeconds * (model.next === place.row ? 1 : this.#config.coldStartSpread);
    // A node that tells of the load counts what is left itself.
    if (sample.state !== "available" && sample.state !== "failed") return cold.loadSeconds;
    const tookSeconds = (nowMs - (busySinceMs ?? nowMs)) / 1000;
    return Math.max(cold.loadSeconds - tookSeconds, tookSeconds * OVERDUE_SHARE);
  }

  /** It is warm, out of use or gone. */
  forget({ row, route }: Pick<Place, "row" | "route">): void {
    const model = this.#models.get(route.model);
    const before = model?.places.get(row);
    if (model === undefined || before === undefined) return;
    model.places.delete(row);
    model.waking -= Number(before.isWaking);
    if (model.places.size === 0) this.#models.delete(route.model);
    else this.#renext(model, undefined, before);
  }

  /** Rows whose cost is another one because of what was written since the last call. */
  moved(): readonly ColdPlace[] {
    if (this.#moved.length === 0) return NONE;
    const moved = this.#moved;
    this.#moved = [];
    return moved.filter(({ place }) => this.#models.get(place.route.model)?.places.has(place.row));
  }

  #model(id: number): ColdModel {
    const known = this.#models.get(id);
    if (known !== undefined) return known;
    const model: ColdModel = { places: new Map(), waking: 0, next: undefined };
    this.#models.set(id, model);
    return model;
  }

  /** One row is now as `cold` says, and was as `before` says: mostly the next stays, and nobody else need be looked at. */
  #renext(model: ColdModel, cold: Cold | undefined, before: Cold | undefined): void {
    const held = model.next === undefined ? undefined : model.places.get(model.next);
    let next: Cold | undefined;
    if (model.waking > 0) next = undefined;
    else if (held !== undefined && held !== cold && (cold === undefined || isSooner(held, cold))) next = held;
    else if (held !== undefined && held !== cold) next = cold;
    else if (cold !== undefined && held === cold && before !== undefined && cold.loadSeconds <= before.loadSeconds)
      next = cold;
    else next = soonest(model.places.values());
    if (next === held && next?.place.row === model.next) return;
    const own = cold?.place.row;
    for (const one of [held, next]) if (one !== undefined && one.place.row !== own) this.#moved.push(one);
    model.next = next?.place.row;
  }
}

const NONE: readonly ColdPlace[] = [];

function soonest(places: Iterable<Cold>): Cold | undefined {
  let first: Cold | undefined;
  for (const one of places) if (first === undefined || isSooner(one, first)) first = one;
  return first;
}

function isSooner(a: Cold, b: Cold): boolean {
  return a.loadSeconds < b.loadSeconds || (a.loadSeconds === b.loadSeconds && a.place.key < b.place.key);
}
