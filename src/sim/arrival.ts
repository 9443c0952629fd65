/** What clients ask of a simulated mesh, and when. */

export interface Arrival {
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Chained hashes of the prompt's full blocks, as long as they may be shared; fewer or none: the rest never is. */
  readonly hashes: readonly number[];
}

/** The same traffic, `speed` times as fast. */
export function faster(arrivals: readonly Arrival[], speed: number): Arrival[] {
  return arrivals.map((arrival) => ({ ...arrival, atMs: arrival.atMs / speed }));
}
