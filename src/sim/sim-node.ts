/** A node of a simulated mesh, and what befalls it. */
import { Batcher, type BatchingConfig, type BatchingStats } from "./batching.ts";
import { NO_ENTRY } from "./event-queue.ts";
import type { CacheWatch } from "./kv-cache.ts";
import type { Sent } from "./sent.ts";

/** Something that happens to a node. `slow`: its steps take that many times as long, 1 is its own pace. */
export type Incident = { readonly node: number; readonly atMs: number } & (
  | { readonly kind: "slow"; readonly factor: number }
  | { readonly kind: "down" | "up" }
);

export class SimNode {
  readonly place: number;
  readonly config: BatchingConfig;
  engine: Batcher;
  /** Requests that are there. */
  readonly here = new Set<Sent>();
  isDown = false;
  pace = 1;
  /** When it is to be looked at again, and the entry that says so. */
  wakeAtMs = Infinity;
  entry = NO_ENTRY;
  readonly #caches: CacheWatch | null;
  /** Of its engines before the present one. */
  #busyMs = 0;
  #preemptions = 0;

  /** `caches` hears of the content of its engines' caches, the present one's. */
  constructor(place: number, config: BatchingConfig, caches: CacheWatch | null) {
    this.place = place;
    this.config = config;
    this.#caches = caches;
    this.engine = new Batcher(config, caches);
  }

  /** Its engine is gone with all that it held. */
  replace(nowMs: number): void {
    const { busyMs, preemptions } = this.engine.stats(nowMs);
    this.#busyMs += busyMs;
    this.#preemptions += preemptions;
    this.engine.cache.lose();
    this.engine = new Batcher(this.config, this.#caches);
    this.engine.setPace(this.pace, nowMs);
    this.here.clear();
  }

  stats(nowMs: number): BatchingStats {
    const stats = this.engine.stats(nowMs);
    return {
      ...stats,
      busyMs: stats.busyMs + this.#busyMs,
      preemptions: stats.preemptions + this.#preemptions,
    };
  }
}
