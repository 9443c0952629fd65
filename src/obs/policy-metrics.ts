/** The metrics of policies in a router: what is in force, what they refused, and how shares of quotas are renewed. */
import type { Exposition } from "./exposition.ts";
import { POLICY_METRICS } from "./metric-names.ts";
import type { WorkerStats } from "./worker-stats.ts";

export interface PolicyFigures {
  /** Of the store, as far as this router has heard; undefined before it has. */
  readonly revision: number | undefined;
  /** Policies by kind. */
  readonly items: ReadonlyMap<string, number>;
  /** Requests that quotas refused, by the quota's name. */
  readonly overQuota: ReadonlyMap<string, number>;
  readonly leases: { readonly answered: number; readonly failed: number; readonly grants: number };
  /** Since the store last answered; undefined while no quota is spent. */
  readonly leaseAgeSeconds: number | undefined;
  /** By model. */
  readonly scaling: Iterable<{ readonly model: string; readonly replicas: number; readonly wanted: number }>;
}

/** `read` knows nothing where no store is watched. */
export function addPolicyMetrics(to: Exposition, stats: WorkerStats, read: () => PolicyFigures | undefined): void {
  const now = to.once(read);
  to.addOne(POLICY_METRICS.revision, () => now()?.revision);
  to.add(POLICY_METRICS.items, () => byName("kind", now()?.items));
  to.addOne(POLICY_METRICS.denied, () => stats.count("denied"));
  to.add(POLICY_METRICS.overQuota, () => byName("quota", now()?.overQuota));
  to.addOne(POLICY_METRICS.lateFirstTokens, () => stats.count("lateFirstTokens"));
  to.add(POLICY_METRICS.leases, () => {
    const leases = now()?.leases;
    if (leases === undefined) return [];
    return [[{ result: "answered" }, leases.answered] as const, [{ result: "failed" }, leases.failed] as const];
  });
  to.addOne(POLICY_METRICS.grants, () => now()?.leases.grants);
  to.addOne(POLICY_METRICS.leaseAge, () => now()?.leaseAgeSeconds);
  const scaling = () => [...(now()?.scaling ?? [])];
  to.add(POLICY_METRICS.replicas, () => scaling().map(({ model, replicas }) => [{ model }, replicas] as const));
  to.add(POLICY_METRICS.replicasWanted, () => scaling().map(({ model, wanted }) => [{ model }, wanted] as const));
}

function byName<L extends string>(
  label: L,
  counts: ReadonlyMap<string, number> = new Map(),
): (readonly [Readonly<Record<L, string>>, number])[] {
  return [...counts].map(([name, count]) => [{ [label]: name } as Record<L, string>, count] as const);
}
