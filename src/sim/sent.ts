/** A request of a simulated mesh that a router has sent. */
import type { Computing } from "../flow/target-pace.ts";
import type { Arrival } from "./arrival.ts";
import type { EndEvent } from "./batching.ts";

/** A request that comes to a router, anew or once more. */
export interface Asked {
  readonly id: number;
  readonly arrival: Arrival;
  readonly isRetry: boolean;
}

/** A request on its way or at its node. */
export class Sent {
  readonly id: number;
  readonly arrival: Arrival;
  /** By place among the routers. */
  readonly router: number;
  readonly target: number;
  readonly sentMs: number;
  /** Prompt tokens that the node is expected to compute. */
  readonly freshTokens: number;
  /** Sent before, to a node that failed. */
  readonly isRetry: boolean;
  /** Where requests are bound late: what its target's pace counts. */
  readonly computing: Computing | null;
  /** Prompt tokens that its router sent to the node, up to this one's, and those that others had there. */
  sentTokens = 0;
  othersTokens = 0;
  isDecoding = false;
  /** When its first token was here. */
  firstSeenMs = NaN;
  hasFailed = false;
  /** The same request at another node, of which the one counts that answers first. */
  twin: Sent | null = null;
  /** The other one was first: whatever comes of it is of no matter. */
  isOver = false;
  /** How it ended, when it has at its node. */
  end: EndEvent | null = null;

  constructor(
    { id, arrival, isRetry }: Asked,
    router: number,
    target: number,
    sentMs: number,
    freshTokens: number,
    computing: Computing | null,
  ) {
    this.id = id;
    this.arrival = arrival;
    this.router = router;
    this.target = target;
    this.sentMs = sentMs;
    this.freshTokens = freshTokens;
    this.isRetry = isRetry;
    this.computing = computing;
  }
}
