/** A request that a simulated router holds until it binds it. */
import type { Home, LateWaiter } from "../flow/late-room.ts";
import type { Arrival } from "./arrival.ts";
import type { Asked } from "./sent.ts";

export class Held implements LateWaiter, Asked {
  readonly id: number;
  readonly arrival: Arrival;
  readonly isRetry: boolean;
  readonly priority = 0;
  readonly wantedMs = Infinity;
  homes: readonly Home[] = [];
  homesMs = 0;
  leastTokens = 0;
  slackMs = 0;

  constructor(id: number, arrival: Arrival, isRetry: boolean) {
    this.id = id;
    this.arrival = arrival;
    this.isRetry = isRetry;
  }

  get promptTokens(): number {
    return this.arrival.promptTokens;
  }

  get cameMs(): number {
    return this.arrival.atMs;
  }
}
