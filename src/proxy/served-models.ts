/**
 * The models that targets serve, with their numbers in the score table: how many rows each has, and what becomes of its
 * number when nobody serves it any more.
 */
import type { Protocol } from "../base/settings-urls.ts";
import type { TableWriter } from "../score/table-writer.ts";
import type { RouteModel } from "./protocol.ts";

interface Served {
  readonly route: RouteModel;
  /** Of the model itself those of all pools. */
  rows: number;
  /** Since when no target serves it; while it is still listed, its requests are answered 503 rather than 404. */
  emptySinceMs: number;
}

/** Counts by row and by model, which begin anew when the number is given to another. */
export interface NumberedCounts {
  /** `key`: of the place that it leads to now (signal/flights.ts). */
  resetRow(row: number, key: number): void;
  resetModel(model: number): void;
}

/** How long a model that nobody serves any more is remembered: its nodes may be restarting. */
const GRACE_MS = 60_000;

export class ServedModels {
  readonly #writer: TableWriter;
  readonly #reset: (model: number) => void;
  /** By `keyOf`: targets of two protocols never serve the same request. */
  readonly #models = new Map<string, Served>();
  /** Numbers that wait until every worker routes by `version` or later. */
  #leaving: { readonly model: number; readonly version: number }[] = [];

  /** `reset` is told of a number before it is given to a model. */
  constructor(writer: TableWriter, reset: (model: number) => void) {
    this.#writer = writer;
    this.#reset = reset;
  }

  all(): readonly RouteModel[] {
    return [...this.#models.values()].map(({ route }) => route);
  }

  /** A new row of the model, in a pool ("": none); or null where the table has no room for either. */
  addRow(
    protocol: Protocol,
    name: string,
    pool: string,
    unixSeconds: number,
  ): { readonly model: number; readonly row: number } | null {
    // A model whose targets are all in pools is one all the same: it has a name, and its requests wait under one number.
    const whole = this.#find(protocol, name, "", unixSeconds);
    const served = pool === "" ? whole : this.#find(protocol, name, pool, unixSeconds);
    const row = whole === null || served === null ? -1 : this.#writer.addRow(served.route.id);
    for (const one of new Set([whole, served])) if (one !== null && row >= 0) one.rows++;
    return row < 0 || served === null ? null : { model: served.route.id, row };
  }

  /** One that is new has no row yet, and is forgotten like one that lost its last. */
  #find(protocol: Protocol, name: string, pool: string, unixSeconds: number): Served | null {
    const key = keyOf(protocol, name, pool);
    const known = this.#models.get(key);
    if (known !== undefined) return known;
    const id = this.#writer.addModel();
    if (id < 0) return null;
    this.#reset(id);
    const route = { id, name, protocol, created: unixSeconds, ...(pool === "" ? {} : { pool }) };
    const served = { route, rows: 0, emptySinceMs: 0 };
    this.#models.set(key, served);
    return served;
  }

  /** A row of the model leaves. */
  dropRow(protocol: Protocol, name: string, pool: string, nowMs: number): void {
    for (const one of new Set(["", pool])) {
      const served = this.#models.get(keyOf(protocol, name, one));
      if (served !== undefined && --served.rows === 0) served.emptySinceMs = nowMs;
    }
  }

  /** Forgets models that nobody has served for a while, from snapshot `version` on; whether there were such. */
  expire(version: number, nowMs: number): boolean {
    let changed = false;
    for (const [key, { route, rows, emptySinceMs }] of this.#models) {
      if (rows > 0 || nowMs - emptySinceMs < GRACE_MS) continue;
      this.#models.delete(key);
      this.#leaving.push({ model: route.id, version });
      changed = true;
    }
    return changed;
  }

  /** Every worker routes by `version` or later: numbers that left before are free. */
  routed(version: number): void {
    this.#leaving = this.#leaving.filter(({ model, version: left }) => {
      if (left > version) return true;
      this.#writer.removeModel(model);
      return false;
    });
  }
}

function keyOf(protocol: Protocol, model: string, pool: string): string {
  return `${protocol} ${pool} ${model}`;
}
