/** What a router looks after by the clock: rows of the score table, what its policies come to, and the load that is noted. */
import type { MeshNode } from "./mesh/node-membership.ts";
import type { Log } from "./obs/log.ts";
import type { Policies } from "./policies.ts";
import type { Crew } from "./proxy/crew.ts";
import { LOADS_NOTED_EVERY_MS } from "./proxy/place-loads.ts";
import type { Placement } from "./proxy/placement.ts";
import type { PrefixRows } from "./proxy/prefix-rows.ts";
import type { RowLearning } from "./proxy/row-learning.ts";
import type { ScoreTable } from "./score/table.ts";
import type { Targets } from "./targets.ts";

/** Rows are written anew this often, since samples age; and lost claims are looked for. */
const UPKEEP_MS = 500;

export interface UpkeepOptions {
  readonly placement: Placement;
  readonly learning: RowLearning;
  readonly targets: Targets;
  readonly policies: Policies;
  readonly table: ScoreTable;
  readonly prefixes: PrefixRows | null;
  readonly crew: Crew;
  /** Null outside of a mesh. */
  readonly node: () => MeshNode | null;
  readonly log: Log;
}

/** Answers how to stop it. */
export function beginUpkeep(options: UpkeepOptions): () => void {
  const { placement, learning, targets, policies, table, prefixes, crew, log } = options;
  const nowMs = (): number => performance.now();
  const upkeep = setInterval(() => {
    learning.renew(Date.now());
    const node = options.node();
    if (node !== null) placement.shares.setRouters(node.membership.id, node.roster.routersById().keys());
    placement.refresh(targets.all(), nowMs());
    prefixes?.refresh(placement.places(), (id) => targets.get(id), placement.models());
    policies.upkeep(nowMs());
    const routes = placement.expireModels(nowMs());
    if (routes !== null) crew.setRoutes(routes);
    const repaired = table.reconcile();
    if (repaired > 0) log.warn("in-flight counts were repaired", { rows: repaired });
  }, UPKEEP_MS);
  const notes = setInterval(() => {
    placement.note(nowMs());
    learning.take();
  }, LOADS_NOTED_EVERY_MS);
  return () => {
    for (const timer of [upkeep, notes]) clearInterval(timer);
  };
}
