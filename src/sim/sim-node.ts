/** What stands in the queue of events of a simulated mesh: moments, routers that are to look at what they hold, nodes. */
import type { HeapItem } from "../base/heap.ts";
import { Batcher, type BatchingStats } from "./batching.ts";
import type { Sent } from "./sim-router.ts";

export type Happens = (nowMs: number) => void;

/** Something that happens to a node. `slow`: its steps take that many times as long, 1 is its own pace. */
export type Incident = { readonly node: number; readonly atMs: number } & (
  | { readonly kind: "slow"; readonly factor: number }
  | { readonly kind: "down" | "up" }
);

export class Happening implements HeapItem {
  heapIndex = -1;
  heapKey: number;
  readonly happens: Happens;

  constructor(atMs: number, happens: Happens) {
    this.heapKey = atMs;
    this.happens = happens;
  }
}

/** A router that is to look at what it holds. */
export class Alarm implements HeapItem {
  heapIndex = -1;
  heapKey = Infinity;
  readonly happens: Happens;

  constructor(happens: Happens) {
    this.happens = happens;
  }
}

export class SimNode implements HeapItem {
  heapIndex = -1;
  heapKey = Infinity;
  readonly happens: Happens;
  readonly place: number;
  /** All of the nodes', by place. */
  readonly #engines: Batcher[];
  /** Requests that are there. */
  readonly here = new Set<Sent>();
  isDown = false;
  pace = 1;
  /** Of its engines before the present one. */
  #busyMs = 0;
  #preemptions = 0;

  constructor(place: number, engines: Batcher[], happens: (node: SimNode, nowMs: number) => void) {
    this.place = place;
    this.#engines = engines;
    this.happens = (nowMs) => happens(this, nowMs);
  }

  get engine(): Batcher {
    return this.#engines[this.place]!;
  }

  /** Its engine is gone with all that it held. */
  replace(nowMs: number): void {
    const { busyMs, preemptions } = this.engine.stats(nowMs);
    this.#busyMs += busyMs;
    this.#preemptions += preemptions;
    this.#engines[this.place] = new Batcher(this.engine.config);
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
