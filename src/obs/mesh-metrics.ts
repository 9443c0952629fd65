/** The mesh's metrics: membership as this node sees it, and its gossip port. */
import type { Exposition, Metric } from "./exposition.ts";
import { GOSSIP_METRICS, MESH_METRICS } from "./metric-names.ts";

type Counts = Readonly<Record<string, number>>;

/** What they read of a node's membership and transport. */
export interface MeshFigures {
  readonly members: readonly { readonly status: string; readonly rttMs: number | undefined }[];
  readonly health: number;
  readonly incarnation: number;
  readonly events: Counts;
  readonly news: number;
  readonly drops: Counts;
  readonly transport: {
    readonly packetsIn: number;
    readonly bytesIn: number;
    readonly packetsOut: number;
    readonly bytesOut: number;
    readonly dropped: Counts;
    readonly unsent: Counts;
    readonly unreachable: number;
    readonly requests: number;
    readonly requestsFailed: number;
    readonly requestsServed: number;
    readonly cut: Counts;
    readonly waiting: number;
    readonly senders: number;
    readonly connections: number;
  };
}

const STATUSES = ["alive", "suspect", "failed", "left"];

/** `read` is asked once for each scrape; before the node has joined it knows nothing. */
export function addMeshMetrics(to: Exposition, read: () => MeshFigures | undefined): void {
  const now = to.once(read);
  const one = (metric: Metric<never>, value: (of: MeshFigures) => number | undefined) =>
    to.addOne(metric, () => {
      const figures = now();
      return figures === undefined ? undefined : value(figures);
    });
  const each = <L extends string>(metric: Metric<L>, label: L, counts: (of: MeshFigures) => Counts) =>
    to.add(metric, () => {
      const figures = now();
      const found = figures === undefined ? [] : Object.entries(counts(figures));
      return found.map(([name, count]) => [{ [label]: kebab(name) } as Record<L, string>, count] as const);
    });

  each(MESH_METRICS.members, "status", ({ members }) => byStatus(members));
  one(MESH_METRICS.health, ({ health }) => health);
  one(MESH_METRICS.incarnation, ({ incarnation }) => incarnation);
  each(MESH_METRICS.events, "kind", ({ events }) => events);
  const trips = to.once(() => roundTrips(now()?.members ?? []));
  one(MESH_METRICS.rttMedian, () => trips()[trips().length >> 1]);
  one(MESH_METRICS.rttMax, () => trips().at(-1));
  one(MESH_METRICS.news, ({ news }) => news);
  each(MESH_METRICS.drops, "reason", ({ drops }) => drops);

  one(GOSSIP_METRICS.packetsIn, ({ transport }) => transport.packetsIn);
  one(GOSSIP_METRICS.bytesIn, ({ transport }) => transport.bytesIn);
  one(GOSSIP_METRICS.packetsOut, ({ transport }) => transport.packetsOut);
  one(GOSSIP_METRICS.bytesOut, ({ transport }) => transport.bytesOut);
  each(GOSSIP_METRICS.dropped, "reason", ({ transport }) => transport.dropped);
  each(GOSSIP_METRICS.unsent, "reason", ({ transport }) => transport.unsent);
  one(GOSSIP_METRICS.unreachable, ({ transport }) => transport.unreachable);
  one(GOSSIP_METRICS.requests, ({ transport }) => transport.requests);
  one(GOSSIP_METRICS.failed, ({ transport }) => transport.requestsFailed);
  one(GOSSIP_METRICS.served, ({ transport }) => transport.requestsServed);
  each(GOSSIP_METRICS.cut, "reason", ({ transport }) => transport.cut);
  one(GOSSIP_METRICS.waiting, ({ transport }) => transport.waiting);
  one(GOSSIP_METRICS.senders, ({ transport }) => transport.senders);
  one(GOSSIP_METRICS.connections, ({ transport }) => transport.connections);
}

/** Every status has its line, also that of nobody. */
function byStatus(members: MeshFigures["members"]): Counts {
  const counts = Object.fromEntries(STATUSES.map((status) => [status, 0]));
  for (const { status } of members) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Each member's round trip in seconds, ascending. */
function roundTrips(members: MeshFigures["members"]): Float64Array {
  const known = members.flatMap(({ rttMs }) => (rttMs === undefined ? [] : [rttMs / 1000]));
  return Float64Array.from(known).sort();
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
