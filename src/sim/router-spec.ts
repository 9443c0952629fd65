/** How a simulated router decides, and what it takes nodes for. */
import type { LateConfig } from "../flow/late-settings.ts";
import type { Strategy } from "../score/view.ts";

export interface RouterSpec {
  /** Chooses as a request comes; a configuration holds it back and binds it late. */
  readonly strategy: ((seed: number) => Strategy) | LateConfig;
  /** What it takes the nodes' prefill rate for at first, as a multiple of what that is; 1. */
  readonly assumedRate?: number;
  /** Whether it learns better from first tokens; true. */
  readonly learns?: boolean;
  /** By when a first token is wanted; never. */
  readonly patienceMs?: number;
  /** Longest time between two tokens that is wanted; any. */
  readonly gapMs?: number;
  /** Of each node, what it costs by the hour; nobody says. */
  readonly prices?: readonly number[];
  /** Of each node, for what it can do beside the others; 1. */
  readonly weights?: readonly number[];
  /** How old what it knows of others' load at the nodes may be; 200. */
  readonly toldMs?: number;
  /** How many there are, it among them; 1. */
  readonly routers?: number;
  /** What it goes by: all that caches hold, as they tell at once; or what was sent there, as it believes. */
  readonly knows?: "caches" | "routed";
}

export function isLateConfig(strategy: Strategy | LateConfig): strategy is LateConfig {
  return !("choose" in strategy);
}
