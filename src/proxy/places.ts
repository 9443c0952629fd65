/**
 * Where the rows of the score table lead: a place is one target for one model, with what its row is made of besides the
 * target's sample.
 *
 * A poll's round trip holds the network's and whatever kept either process busy: tens of milliseconds on a machine that
 * computes, often more than a prefill, and a request would pay that on none of its ways. The shortest of the last few is
 * the network's, and differences of a few milliseconds even between those are chance: taken at their word, they would
 * send all requests of a mesh at rest to one target.
 */
import { roleOf, type SplitRole } from "../fleet/role.ts";
import type { Target } from "../fleet/target.ts";
import type { LoadReport } from "../score/load-report.ts";
import { type Load, NO_LOAD, placeKey } from "../signal/flights.ts";
import type { RouteRow } from "./protocol.ts";

export interface Place {
  readonly target: string;
  readonly model: string;
  readonly row: number;
  /** Replaced when its weight changes; where it leads stays. */
  route: RouteRow;
  /** The snapshot that tells workers of it; until all of them route by it, the row is not routable. */
  readonly since: number;
  /** By which routers speak of it to each other. */
  readonly key: number;
  /** The routers' load at the moment of the newest sample. */
  baseline: Load;
  /** What was in flight there at the last notes (place-loads.ts), requests and tokens of each; null: nobody needs it. */
  past: Float64Array | null;
  /** What it told of itself last with an answer; null where that is nothing, or of no use any more. */
  report: LoadReport | null;
  /** Round trips of the last polls, newest last. */
  rttsMs: number[];
  /** A part of what its row costs: the model has to be loaded there first. */
  loadSeconds: number;
}

/** Polls whose shortest round trip counts: a path that became longer is believed after 40 s at the usual interval. */
const RTTS_KEPT = 8;
/** Ways that differ by less count as equal. */
const RTT_GRAIN_MS = 5;

/** A place for metrics, listings and explanations. */
export type PlaceInUse = Pick<Place, "target" | "model" | "row" | "loadSeconds"> & {
  readonly modelId: number;
  readonly weight: number;
  readonly revision: string;
  /** Every worker routes by a snapshot that has it. */
  readonly isRouted: boolean;
};

/** `routed`: the snapshot that every worker routes by. */
export function inUse({ target, model, row, route, since, loadSeconds }: Place, routed: number): PlaceInUse {
  const { model: modelId, weight, revision = "" } = route;
  return { target, model, row, loadSeconds, modelId, weight, revision, isRouted: since <= routed };
}

/** A place of which nothing is known yet; `since` tells workers of it. */
export function newPlace(target: string, model: string, route: RouteRow, since: number): Place {
  const { row } = route;
  const key = placeKey(target, model);
  const unknown = { baseline: NO_LOAD, past: null, report: null, loadSeconds: 0 };
  return { target, model, row, route, since, key, ...unknown, rttsMs: [] };
}

/** All places, by target and model, and by the key that routers use. */
export class Places {
  readonly #byTarget = new Map<string, Map<string, Place>>();
  readonly #byKey = new Map<number, Place>();
  readonly #byRow = new Map<number, Place>();

  get(target: string, model: string): Place | undefined {
    return this.#byTarget.get(target)?.get(model);
  }

  byKey(key: number): Place | undefined {
    return this.#byKey.get(key);
  }

  byRow(row: number): Place | undefined {
    return this.#byRow.get(row);
  }

  /** Those of one target; they may be removed meanwhile. */
  of(target: string): Iterable<Place> {
    return this.#byTarget.get(target)?.values() ?? [];
  }

  *all(): Iterable<Place> {
    for (const places of this.#byTarget.values()) yield* places.values();
  }

  add(place: Place): void {
    const places = this.#byTarget.get(place.target) ?? new Map<string, Place>();
    places.set(place.model, place);
    this.#byTarget.set(place.target, places);
    this.#byKey.set(place.key, place);
    this.#byRow.set(place.row, place);
  }

  remove(place: Place): void {
    const places = this.#byTarget.get(place.target);
    places?.delete(place.model);
    if (places?.size === 0) this.#byTarget.delete(place.target);
    if (this.#byKey.get(place.key) === place) this.#byKey.delete(place.key);
    if (this.#byRow.get(place.row) === place) this.#byRow.delete(place.row);
  }
}

type Led = Pick<Target, "id" | "host" | "port" | "tls" | "protocol" | "labels" | "endpoint">;

/** How workers find the target of a row. */
export function routeTo(
  target: Led,
  role: SplitRole | null,
  of: Pick<RouteRow, "row" | "model" | "weight" | "tellsLoad" | "revision">,
): RouteRow {
  const { id: node, host, port, tls, protocol } = target;
  return { ...of, protocol, node, host, port, tls, ...(role === null ? {} : { role }) };
}

/** Whether the route still leads to where the target is, and to the part that it computes. */
export function leadsTo(route: RouteRow, target: Led): boolean {
  const { host, port, tls, protocol } = target;
  const role = roleOf(target);
  const isSame =
    role?.transfer === route.role?.transfer &&
    role?.part === route.role?.part &&
    role?.bootstrapPort === route.role?.bootstrapPort;
  return isSame && host === route.host && port === route.port && tls === route.tls && protocol === route.protocol;
}

/** The last round trips, with one more. */
export function withRtt(rttsMs: readonly number[], rttMs: number): number[] {
  return [...rttsMs.slice(1 - RTTS_KEPT), rttMs];
}

/** The network's part of these round trips. */
export function wayMs(rttsMs: readonly number[]): number {
  return Math.floor(Math.min(...rttsMs) / RTT_GRAIN_MS) * RTT_GRAIN_MS;
}
