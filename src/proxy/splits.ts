/**
 * Which revision of a model gets a request whose policy splits them: drawn by shares. A revision is chosen of targets of
 * its own, with a queue of its own; where none of them can take anything, requests go to the others. What fails at a
 * revision is tried again at the rest.
 */
import { COLUMN, rowWord } from "../score/layout.ts";
import type { ScoreTable } from "../score/table.ts";
import type { RouteSnapshot } from "./protocol.ts";

/** Which rows a number has, and which numbers revisions have, as the routes know it. */
interface Routes {
  rowsOf(model: number): readonly number[];
  revisions(model: number): ReadonlyMap<string, number>;
}

const REVISION = "@";

/** The pool of a revision's targets; "": it is no revision. No part of requests is called like that. */
export function revisionPool(revision: string): string {
  return revision === "" ? "" : `${REVISION}${revision}`;
}

export function isRevisionPool(pool: string): boolean {
  return pool.startsWith(REVISION);
}

/** By the number of the model itself, the numbers of its revisions. */
export function revisionsOf({ models }: Pick<RouteSnapshot, "models">): Map<number, Map<string, number>> {
  const found = new Map<number, Map<string, number>>();
  for (const { id, name, protocol, pool = "" } of models) {
    if (!isRevisionPool(pool)) continue;
    const whole = models.find((one) => one.name === name && one.protocol === protocol && one.pool === undefined);
    if (whole === undefined) continue;
    const ids = found.get(whole.id) ?? new Map<string, number>();
    found.set(whole.id, ids.set(pool.slice(REVISION.length), id));
  }
  return found;
}

/** Shares of requests by revision. */
export type Split = Readonly<Record<string, number>>;

/** The number under which the request's targets are; `draw` is 0 to 1. */
export function drawRevision(
  table: ScoreTable,
  routes: Routes,
  model: number,
  split: Split,
  nowDeciseconds: number,
  draw: number,
): number {
  const ids = routes.revisions(model);
  let left = draw;
  let drawn = model;
  for (const [revision, share] of Object.entries(split)) {
    left -= share;
    if (left >= 0) continue;
    drawn = ids.get(revision) ?? model;
    break;
  }
  const isOpen = (one: number): boolean =>
    routes.rowsOf(one).some((row) => isRoutable(table, row) && !table.isEjected(row, nowDeciseconds));
  if (isOpen(drawn)) return drawn;
  // Those that get nothing but copies are no way out.
  const others = [model, ...Object.keys(split).map((revision) => ids.get(revision) ?? model)];
  return others.find(isOpen) ?? drawn;
}

function isRoutable({ floats, blocksWord }: ScoreTable, row: number): boolean {
  return floats[blocksWord + rowWord(row) + COLUMN.capacity]! > 0;
}
