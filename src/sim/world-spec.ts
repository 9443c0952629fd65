/** What a simulated mesh consists of, and what comes to it. */
import type { Arrival } from "./arrival.ts";
import type { BatchingConfig } from "./batching.ts";
import type { Incident, SimNode } from "./sim-node.ts";
import type { RouterSpec } from "./router-spec.ts";
import type { SimRouter } from "./sim-router.ts";

export interface WorldSpec {
  readonly arrivals: readonly Arrival[];
  readonly nodes: readonly BatchingConfig[];
  readonly routers: number;
  readonly router: RouterSpec;
  readonly seed: number;
  /** One way, between a router and a node; a client is at its router. */
  readonly networkMs: number | ((router: number, node: number) => number);
  /** What each way takes longer, on average (exponential); 0. */
  readonly jitterMs?: number;
  readonly sampleEveryMs: number;
  /** From a sample's moment to the routers. */
  readonly sampleDelayMs: number;
  /** Part of the samples that a router never gets; none. */
  readonly sampleLoss?: number;
  /**
   * Where it is given, routers that bind late let one of them decide for all (sim-desk.ts), and this is a message's way
   * among them.
   */
  readonly deskMs?: number;
  /**
   * Another design: requests go to the router that their prompt is owned by, named by its block of that number, or its
   * last, so far away; clients hear from their own.
   */
  readonly ownerBlock?: number;
  /** How routers that know what they sent tell each other of it: how often, how late, all of a prompt or what is new. */
  readonly prefixNews?: { readonly everyMs: number; readonly delayMs: number; readonly isWhole: boolean };
  readonly incidents?: readonly Incident[];
  /** A request is good that has its first token by then, and the others no further apart on average. */
  readonly ttftMs: number;
  readonly itlMs: number;
  /** Called as each sample is taken. */
  readonly watch?: (nowMs: number, nodes: readonly SimNode[], routers: readonly SimRouter[]) => void;
}
