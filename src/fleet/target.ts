/** One place that requests can go to, as the fleet knows it. */
import type { Protocol } from "../base/settings-urls.ts";
import type { NodeSample } from "../score/sample.ts";

/** `unknown` has never answered a poll; it is routable all the same, so that a new node serves at once. */
export type TargetState = "unknown" | "healthy" | "unhealthy" | "draining";

/** Whether it may be sent to, as far as the one who tells of it knows. */
export type Condition = "ready" | "unready" | "draining";

/** Who told us of the target. */
export type TargetSource = "static" | "registered" | "gossip";

export interface Target {
  readonly id: string;
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
  /** What was announced of it, for as long as there is no sample. */
  readonly condition: Condition;
}

/** Whether requests may go there now. */
export function isRoutable(target: Target): boolean {
  if (target.state === "unhealthy" || target.state === "draining") return false;
  return target.lastSample?.ready ?? target.condition === "ready";
}

/** Whether one of its GPUs is not well; of a node that does not judge that, whether one holds its clocks down. */
export function hasUnwellGpu(target: Target): boolean {
  const gpus = target.lastSample?.gpus ?? [];
  return gpus.some(({ health, throttleReasons }) =>
    health === undefined ? throttleReasons.length > 0 : health !== "healthy",
  );
}
