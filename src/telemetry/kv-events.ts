/**
 * The KV cache events of a runtime: one engine for each of its data-parallel ranks, whose sockets listen on ports one
 * after the other, from those of the endpoints on.
 */
import { MeshError } from "../base/errors.ts";
import { Prng } from "../base/prng.ts";
import { SLOTS_MAX } from "../kv/wire.ts";
import type { Log } from "../obs/log.ts";
import { KvEngine, type KvEngineEvent, type KvEngineStatus } from "./kv-engine.ts";
import { endpointPlace } from "./zmq-endpoint.ts";

/** Where a runtime tells of its KV cache. */
export interface KvEventsPlace {
  /** Where rank 0 publishes: vLLM's `endpoint`. */
  readonly endpoint: string;
  /** Where rank 0 replays: vLLM's `replay_endpoint`. Without one (""), a gap and a lost connection void the index. */
  readonly replayEndpoint: string;
  /** What topics begin with; "" for all. */
  readonly topic: string;
  /** Data-parallel ranks. */
  readonly ranks: number;
}

export interface KvEventsOptions extends Partial<KvEventsPlace> {
  readonly endpoint: string;
  /** Whose engines they are: its name at this node. */
  readonly runtime: string;
  /** Of the node, for the first rank; the others follow. Default 0. */
  readonly slot?: number;
  /** Blocks an engine; default BLOCKS_MAX_DEFAULT of ../kv/block-index.ts. */
  readonly blocksMax?: number;
  readonly seed: number;
  /** What happens to one of the engines. */
  readonly tell?: (engine: string, event: KvEngineEvent) => void;
}

const TOPIC_BYTES_MAX = 1024;

export class KvEvents {
  readonly engines: readonly KvEngine[];

  /** Throws `config_invalid` where an endpoint is none, or there is no room for the ranks. */
  constructor(options: KvEventsOptions, log: Log) {
    const { runtime, endpoint, replayEndpoint = "", topic = "", ranks = 1, slot = 0, blocksMax, tell } = options;
    if (!Number.isInteger(ranks) || ranks < 1 || slot + ranks > SLOTS_MAX) {
      throw new MeshError("config_invalid", `${ranks} ranks from slot ${slot} on; a node has room for ${SLOTS_MAX}`);
    }
    const topicBytes = new TextEncoder().encode(topic);
    if (topicBytes.length > TOPIC_BYTES_MAX) {
      throw new MeshError("config_invalid", `a topic of ${topicBytes.length} bytes; at most ${TOPIC_BYTES_MAX}`);
    }
    const prng = new Prng(options.seed);
    // All places first: an endpoint that is none leaves nothing running.
    const places = Array.from({ length: ranks }, (_, rank) => ({
      events: endpointPlace(endpoint, rank),
      replay: replayEndpoint === "" ? undefined : endpointPlace(replayEndpoint, rank),
    }));
    this.engines = places.map(({ events, replay }, rank) => {
      const engine = events.host.startsWith("/") ? endpoint : `${events.host}:${events.port}`;
      const who = { slot: slot + rank, runtime, engine };
      return new KvEngine(
        {
          who,
          events,
          replay,
          topic: topicBytes,
          ...(blocksMax === undefined ? {} : { blocksMax }),
          tell: (event) => tell?.(engine, event),
        },
        prng,
        log,
      );
    });
  }

  stop(): void {
    for (const engine of this.engines) engine.stop();
  }

  status(): KvEngineStatus[] {
    return this.engines.map((engine) => engine.status());
  }
}
