/** What a router tells of its targets: what happened to each, which models they serve, and how their GPUs are. */
import type { FleetEvent } from "./fleet/event.ts";
import type { Target } from "./fleet/target.ts";
import { fleetNews, GpuNews, ModelNews, type Tell } from "./news.ts";
import type { Log } from "./obs/log.ts";
import type { GpuSample } from "./score/sample.ts";

export interface TargetNewsOptions {
  readonly target: (id: string) => Target | undefined;
  /** Those of a node. */
  readonly of: (node: string) => readonly Target[];
  readonly tell: Tell;
  readonly log: Log;
}

export class TargetNews {
  readonly #options: TargetNewsOptions;
  /** The nodes of targets that events told of. */
  readonly #nodes = new Map<string, string>();
  readonly #models: ModelNews;
  readonly #gpus: GpuNews;

  constructor(options: TargetNewsOptions) {
    this.#options = options;
    this.#models = new ModelNews(options.tell);
    this.#gpus = new GpuNews(options.tell);
  }

  happened(events: readonly FleetEvent[]): void {
    const { log, tell } = this.#options;
    for (const event of events) {
      const { kind, id, cause } = event;
      tell(fleetNews(event, this.#nodeOf(id)));
      if (kind === "removed" || kind === "left") this.#gone(id);
      const loud = kind === "unhealthy" || kind === "removed" || kind === "refused";
      log[loud ? "warn" : "info"](`target ${kind}`, { target: id, cause });
    }
  }

  models(targets: readonly Target[]): void {
    this.#models.look(targets);
  }

  gpus(node: string, gpus: readonly GpuSample[]): void {
    this.#gpus.look(node, gpus);
  }

  /** By the id of a target, which may have left just now. */
  #nodeOf(id: string): string {
    const node = this.#options.target(id)?.node;
    if (node === undefined) return this.#nodes.get(id) ?? id;
    this.#nodes.set(id, node);
    return node;
  }

  /** A node whose last target is gone. */
  #gone(id: string): void {
    const node = this.#nodeOf(id);
    this.#nodes.delete(id);
    if (this.#options.of(node).length === 0) this.#gpus.forget(node);
  }
}
