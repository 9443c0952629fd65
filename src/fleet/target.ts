/** One place that requests can go to, as the fleet knows it. */
import type { Protocol } from "../base/settings-urls.ts";
import type { NodeSample } from "../score/sample.ts";

/** `unknown` has never answered a poll; it is routable all the same, so that a new node serves at once. */
export type TargetState = "unknown" | "healthy" | "unhealthy" | "draining";

/** Whether it may be sent to, as far as the one who tells of it knows. */
export type Condition = "ready" | "unready" | "draining";

/** Who told us of the target. */
export type TargetSource = "static" | "registered" | "gossip" | "k8s";

export interface Target {
  /** Of a node with several endpoints NODE/ENDPOINT, else the node's. */
  readonly id: string;
  /** To which policies, labels and samples belong. */
  readonly node: string;
  /** Its name among the node's; "" where it has none. */
  readonly endpoint: string;
  /** Where inference requests go; an IPv6 host comes without brackets. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly protocol: Protocol;
  readonly source: TargetSource;
  readonly models: readonly string[];
  /** Relative capacity, 1 is usual. */
  readonly weight: number;
  readonly zone: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly incarnation: number;
  /** Vitals of a registered target are on this port of the same host; undefined for a static one. */
  readonly metricsPort: number | undefined;
  readonly state: TargetState;
  readonly failuresInRow: number;
  /** Why the last poll failed; empty when it did not. */
  readonly lastError: string;
  /** The newest sample, kept through failures: its age tells how much it is worth. */
  readonly lastSample: NodeSample | undefined;
  readonly sampledAtMs: number | undefined;
  /** Round trip of the last poll that was answered. */
  readonly rttMs: number | undefined;
  /** When it joined, or when it last announced itself. */
  readonly registeredAtMs: number;
  /** Its newest sample came by itself rather than by a poll. */
  readonly streamed: boolean;
  /** What was announced of it, for as long as there is no sample; of a discovered one what its register says, always. */
  readonly condition: Condition;
}

/** Whether requests may go there now. */
export function isRoutable(target: Target): boolean {
  if (target.state === "unhealthy" || target.state === "draining") return false;
  if (target.source === "k8s" && target.condition !== "ready") return false;
  return target.lastSample?.ready ?? target.condition === "ready";
}

/**
 * Whether one of its GPUs is not well; of a node that does not judge that, whether one holds its clocks down. Those on which
 * only other models or runtimes are, are none of its.
 */
export function hasUnwellGpu({ lastSample, models: served }: Target): boolean {
  const [own, ...others] = lastSample?.runtimes ?? [];
  const isOwn = (runtimes: readonly string[] | undefined): boolean =>
    runtimes === undefined || own === undefined || others.length > 0 || runtimes.includes(own.name);
  const gpus = (lastSample?.gpus ?? []).filter(
    ({ models, runtimes }) =>
      models.length === 0 || (isOwn(runtimes) && models.some((model) => served.includes(model))),
  );
  return gpus.some(({ health, throttleReasons }) =>
    health === undefined ? throttleReasons.length > 0 : health !== "healthy",
  );
}

/** Of each node that target which knows it best: what is told of nodes is told of each once. */
export function onePerNode(targets: readonly Target[]): readonly Target[] {
  const best = new Map<string, Target>();
  for (const target of targets) {
    const known = best.get(target.node);
    const isNewer = (target.sampledAtMs ?? -Infinity) > (known?.sampledAtMs ?? -Infinity);
    if (known === undefined || isNewer || (isRoutable(target) && !isRoutable(known))) best.set(target.node, target);
  }
  return [...best.values()];
}

/** A target by its id; undefined when it left. */
export type Find = (id: string) => Target | undefined;

export function finder(targets: readonly Target[]): Find {
  const byId = new Map(targets.map((target) => [target.id, target]));
  return (id) => byId.get(id);
}
