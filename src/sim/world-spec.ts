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
   * Where it is given, one router decides for all, as each tells it of what it does, and this is a message's way among
   * them. Clients hear from their own.
   */
  readonly deskMs?: number;
  /** That one is another one by prompt: named by its block of that number, or its last. */
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
