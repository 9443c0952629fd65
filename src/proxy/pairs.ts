/** Which pools of a model's targets make up pairs, where prefill and decode are disaggregated (../fleet/role.ts). */
import { KV_TRANSFERS, type KvTransfer, type SplitRole } from "../fleet/role.ts";
import type { RouteSnapshot } from "./protocol.ts";
import { isRevisionPool } from "./splits.ts";

/** Targets of one model between which KV caches go in one way. */
export interface Pair {
  readonly transfer: KvTransfer;
  /** Numbers of the pools in the score table. */
  readonly prefill: number;
  readonly decode: number;
}

/** Those of one model; none where one part is missing. */
export type Pairs = readonly Pair[];

export function poolOf({ transfer, part }: SplitRole): string {
  return `${transfer}.${part}`;
}

/** By the number of the model itself, and none by those of its pools, for each of which some target has a role. */
export function pairsOf({ models }: Pick<RouteSnapshot, "models">): ReadonlyMap<number, Pairs> {
  const pools = new Map<string, Map<string, number>>();
  for (const { id, name, pool } of models) {
    if (pool === undefined || isRevisionPool(pool)) continue;
    const own = pools.get(name) ?? new Map<string, number>();
    pools.set(name, own.set(pool, id));
  }
  const found = new Map<number, Pairs>();
  if (pools.size === 0) return found;
  for (const { id, name, protocol, pool } of models) {
    const own = pool === undefined && protocol === "http" ? pools.get(name) : undefined;
    if (own === undefined) continue;
    const pairs = KV_TRANSFERS.flatMap((transfer): Pair[] => {
      const [prefill, decode] = [own.get(`${transfer}.prefill`), own.get(`${transfer}.decode`)];
      return prefill === undefined || decode === undefined ? [] : [{ transfer, prefill, decode }];
    });
    found.set(id, pairs);
    for (const part of own.values()) found.set(part, []);
  }
  return found;
}
