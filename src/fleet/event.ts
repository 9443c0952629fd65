/** What the fleet and its shell tell each other. */
import type { MeshError } from "../base/errors.ts";
import type { Protocol } from "../base/settings-urls.ts";
import type { NodeSample } from "../score/sample.ts";

/** A poll to carry out: `vitals` asks GET /metrics for a sample, `health` asks GET /health, or gRPC's health service, for any sign of life. */
export interface Poll {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly protocol: Protocol;
  readonly kind: "vitals" | "health";
  /** What the target is known to serve, for vitals that do not say. */
  readonly models: readonly string[];
}

export type PollResult =
  | { readonly ok: true; readonly sample: NodeSample | null; readonly rttMs: number }
  | { readonly ok: false; readonly error: string };

export interface FleetEvent {
  readonly kind: "joined" | "left" | "unhealthy" | "healthy" | "removed" | "refused" | "updated";
  readonly id: string;
  /** Why, in words fit for a log line. */
  readonly cause: string;
}

export type RegisterResult =
  | { readonly accepted: true; readonly first: boolean; readonly refused?: never }
  | { readonly accepted?: never; readonly refused: MeshError };

export interface FleetOutput {
  readonly polls: readonly Poll[];
  readonly events: readonly FleetEvent[];
  /** Whether anything that `targets()` shows is new since the last take. */
  readonly changed: boolean;
  /** Which targets changed: ids that joined, went, or read differently now. */
  readonly changedIds: readonly string[];
  /** When `wake` is due next; Infinity when nothing is. */
  readonly wakeAtMs: number;
}
