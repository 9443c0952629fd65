/**
 * The models that targets serve, with their numbers in the score table: how many rows each has, and what becomes of its
 * number when nobody serves it any more.
 */
import type { TableWriter } from "../score/table-writer.ts";
import type { RouteModel } from "./protocol.ts";

interface Served {
  readonly route: RouteModel;
  rows: number;
  /** Since when no target serves it; while it is still listed, its requests are answered 503 rather than 404. */
  emptySinceMs: number;
}

/** Counts by row and by model, which begin anew when the number is given to another. */
export interface NumberedCounts {
  resetRow(row: number): void;
  resetModel(model: number): void;
}

/** How long a model that nobody serves any more is remembered: its nodes may be restarting. */
const GRACE_MS = 60_000;

export class ServedModels {
  readonly #writer: TableWriter;
  readonly #reset: (model: number) => void;
  /** By `keyOf`: targets of two protocols, or of two revisions, are never chosen of at once. */
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

  /**
   * A new row of the model's revision; or null where the table has no room for either. The model itself is there as well,
   * by which it is looked up, though none of its targets may serve it.
   */
  addRow(
    { protocol, name, revision }: Pick<RouteModel, "protocol" | "name" | "revision">,
    unixSeconds: number,
  ): { readonly model: number; readonly row: number } | null {
    const whole = this.#served({ protocol, name, revision: "" }, unixSeconds);
    const served = whole === null ? null : this.#served({ protocol, name, revision }, unixSeconds);
    if (whole === null || served === null) return null;
    const row = this.#writer.addRow(served.route.id);
    if (row < 0) return null;
    served.rows++;
    if (served !== whole) whole.rows++;
    return { model: served.route.id, row };
  }

  #served(of: Pick<RouteModel, "protocol" | "name" | "revision">, unixSeconds: number): Served | null {
    const key = keyOf(of);
    const known = this.#models.get(key);
    if (known !== undefined) return known;
    const id = this.#writer.addModel();
    if (id < 0) return null;
    this.#reset(id);
    const served = { route: { id, ...of, created: unixSeconds }, rows: 0, emptySinceMs: 0 };
    this.#models.set(key, served);
    return served;
  }

  /** A row of the model's revision leaves. */
  dropRow({ protocol, name, revision }: Pick<RouteModel, "protocol" | "name" | "revision">, nowMs: number): void {
    for (const one of new Set([revision, ""])) {
      const served = this.#models.get(keyOf({ protocol, name, revision: one }));
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

function keyOf({ protocol, name, revision }: Pick<RouteModel, "protocol" | "name" | "revision">): string {
  return `${protocol} ${revision} ${name}`;
}
