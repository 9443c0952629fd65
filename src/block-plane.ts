/**
 * An agent's view of its runtimes' KV caches: hears the events of those that are said to tell of them, and tells the mesh's
 * routers. What happens to them is told as events of the runtime; how they are stands in /status and the metrics.
 */
import type { BlockSendingConfig } from "./kv/settings.ts";
import { BlockSender } from "./mesh/block-sender.ts";
import type { MeshNode } from "./mesh/node-membership.ts";
import type { Tell } from "./news.ts";
import type { SentBlockFigures } from "./obs/block-metrics.ts";
import type { Log } from "./obs/log.ts";
import type { KvEngineStatus } from "./telemetry/kv-engine.ts";
import { KvEvents, type KvEventsPlace } from "./telemetry/kv-events.ts";

/** A runtime that tells of its KV cache. */
export interface ToldRuntime {
  readonly name: string;
  readonly kvEvents: KvEventsPlace;
}

export interface BlockPlaneOptions {
  readonly node: string;
  readonly runtimes: readonly ToldRuntime[];
  readonly config: BlockSendingConfig;
  readonly tell: Tell;
  readonly log: Log;
}

interface Heard {
  readonly runtime: string;
  readonly events: KvEvents;
}

interface EngineStatus extends KvEngineStatus {
  readonly runtime: string;
}

export class BlockPlane {
  readonly #options: BlockPlaneOptions;
  readonly #heard: readonly Heard[];
  #sender: BlockSender | null = null;

  /** Throws `config_invalid` where an endpoint is none, or there is no room for all ranks. */
  constructor(options: BlockPlaneOptions) {
    this.#options = options;
    const heard: Heard[] = [];
    let slot = 0;
    try {
      for (const { name, kvEvents } of options.runtimes) {
        heard.push({ runtime: name, events: this.#hear(name, kvEvents, slot) });
        slot += kvEvents.ranks;
      }
    } catch (error) {
      for (const { events } of heard) events.stop();
      throw error;
    }
    this.#heard = heard;
  }

  /** Routers are told from now on. */
  begin(node: MeshNode): void {
    if (this.#heard.length === 0) return;
    this.#sender = new BlockSender({ node, config: this.#options.config });
    for (const { events } of this.#heard) for (const { feed } of events.engines) this.#sender.add(feed);
  }

  membersChanged(): void {
    this.#sender?.membersChanged();
  }

  /** As /status shows it. */
  shown(): object[] {
    return this.#engines().map(({ isSubscribed: subscribed, isPartial, ...figures }) => {
      return { ...figures, subscribed, whole: !isPartial };
    });
  }

  /** undefined where no runtime tells of its cache. */
  figures(): SentBlockFigures | undefined {
    const sent = this.#sender?.stats();
    return sent === undefined ? undefined : { ...sent, engines: this.#engines() };
  }

  stop(): void {
    this.#sender?.stop();
    for (const { events } of this.#heard) events.stop();
  }

  #engines(): EngineStatus[] {
    return this.#heard.flatMap(({ runtime, events }) => events.status().map((status) => ({ runtime, ...status })));
  }

  #hear(runtime: string, place: KvEventsPlace, slot: number): KvEvents {
    const { node, config, tell, log } = this.#options;
    const [seed = 1] = crypto.getRandomValues(new Uint32Array(1));
    const options = {
      ...place,
      runtime,
      slot,
      blocksMax: config.blocksMax,
      seed,
      tell: (engine: string, { kind, cause }: { readonly kind: string; readonly cause: string }) =>
        tell({ type: `runtime.kv-${kind}`, id: runtime, cause, labels: { node, runtime, engine } }),
    };
    return new KvEvents(options, log.with({ runtime }));
  }
}
