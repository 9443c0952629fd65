/**
 * An agent's view of its runtimes' KV caches: hears the events of those that are said to publish them, and of those whose
 * API says so, and tells the mesh's routers. What happens to them is told as events of the runtime; how they are stands in
 * /status and the metrics.
 */
import { MeshError } from "./base/errors.ts";
import type { BlockSendingConfig } from "./kv/settings.ts";
import { SLOTS_MAX } from "./kv/wire.ts";
import { BlockSender } from "./mesh/block-sender.ts";
import type { MeshNode } from "./mesh/node-membership.ts";
import { isLoopback } from "./net/ip.ts";
import type { Tell } from "./news.ts";
import type { SentBlockFigures } from "./obs/block-metrics.ts";
import type { Log } from "./obs/log.ts";
import type { KvEngineEvent, KvEngineStatus } from "./telemetry/kv-engine.ts";
import { KvEvents, type KvEventsPlace } from "./telemetry/kv-events.ts";
import type { Runtime } from "./telemetry/runtime.ts";
import { endpointPlace, isEverywhere, placedAt } from "./telemetry/zmq-endpoint.ts";

/** A runtime that is said to publish its events. */
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
  readonly place: KvEventsPlace;
  readonly slot: number;
  readonly events: KvEvents;
}

interface EngineStatus extends KvEngineStatus {
  readonly runtime: string;
}

type Looked = Pick<Runtime, "name" | "reading" | "endpoints">;

/** What a runtime's API tells changes when it starts again at the soonest. */
const LOOK_MS = 2000;

export class BlockPlane {
  readonly #options: BlockPlaneOptions;
  /** By the names of their runtimes. */
  readonly #heard = new Map<string, Heard>();
  readonly #named = new Set<string>();
  /** What the others told, whether it can be heard or not. */
  readonly #told = new Map<string, KvEventsPlace>();
  #node: MeshNode | null = null;
  #sender: BlockSender | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Throws `config_invalid` where an endpoint is none, or there is no room for all ranks. */
  constructor(options: BlockPlaneOptions) {
    this.#options = options;
    try {
      for (const { name, kvEvents } of options.runtimes) {
        this.#named.add(name);
        this.#hear(name, kvEvents);
      }
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Looks at what runtimes tell from now on, where that is wanted. */
  watch(runtimes: () => readonly Looked[]): void {
    if (this.#options.config.find) this.#timer ??= setInterval(() => this.look(runtimes()), LOOK_MS);
  }

  /** Routers are told from now on. */
  begin(node: MeshNode): void {
    this.#node = node;
    for (const { events } of this.#heard.values()) this.#send(events);
  }

  membersChanged(): void {
    this.#sender?.membersChanged();
  }

  /** Hears those whose API tells where; lets those go that are gone, or publish elsewhere now. */
  look(runtimes: readonly Looked[]): void {
    for (const name of this.#told.keys()) {
      if (!runtimes.some((runtime) => runtime.name === name)) this.#forget(name);
    }
    for (const { name, reading, endpoints } of runtimes) {
      const told = reading?.kvEvents;
      if (told === undefined || this.#named.has(name)) continue;
      if (Bun.deepEquals(this.#told.get(name), told)) continue;
      this.#forget(name);
      this.#told.set(name, told);
      try {
        const place = placeOf(told, endpoints[0]?.host ?? "");
        this.#send(this.#hear(name, place));
        this.#options.log.info("a runtime tells where its KV cache events are", { runtime: name, ...place });
      } catch (error) {
        this.#options.log.warn("KV cache events can't be heard", { runtime: name, error: String(error) });
      }
    }
  }

  /** As /status shows it. */
  shown(): object[] {
    return this.#engines().map(({ isSubscribed: subscribed, isPartial, ...figures }) => {
      return { ...figures, subscribed, whole: !isPartial };
    });
  }

  /** undefined where no runtime told of its cache. */
  figures(): SentBlockFigures | undefined {
    const sent = this.#sender?.stats();
    return sent === undefined ? undefined : { ...sent, engines: this.#engines() };
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#sender?.stop();
    for (const { events } of this.#heard.values()) events.stop();
  }

  #engines(): EngineStatus[] {
    return [...this.#heard].flatMap(([runtime, { events }]) =>
      events.status().map((status) => ({ runtime, ...status })),
    );
  }

  #send(events: KvEvents): void {
    if (this.#node === null) return;
    this.#sender ??= new BlockSender({ node: this.#node, config: this.#options.config });
    for (const { feed } of events.engines) this.#sender.add(feed);
  }

  #forget(name: string): void {
    const heard = this.#heard.get(name);
    this.#told.delete(name);
    if (heard === undefined) return;
    this.#heard.delete(name);
    for (const { feed } of heard.events.engines) this.#sender?.remove(feed);
    heard.events.stop();
  }

  #hear(runtime: string, place: KvEventsPlace): KvEvents {
    const { node, config, tell, log } = this.#options;
    const [seed = 1] = crypto.getRandomValues(new Uint32Array(1));
    const slot = this.#freeSlot(place.ranks);
    const options = {
      ...place,
      runtime,
      slot,
      blocksMax: config.blocksMax,
      seed,
      tell: (engine: string, { kind, cause }: KvEngineEvent) =>
        tell({ type: `runtime.kv-${kind}`, id: runtime, cause, labels: { node, runtime, engine } }),
    };
    const events = new KvEvents(options, log.with({ runtime }));
    this.#heard.set(runtime, { place, slot, events });
    return events;
  }

  /** The first of so many in a row; what is beyond the last one is refused by whoever uses it. */
  #freeSlot(ranks: number): number {
    const taken = [...this.#heard.values()].map(({ slot, place }) => [slot, slot + place.ranks] as const);
    for (let slot = 0; slot < SLOTS_MAX; slot += 1) {
      if (taken.every(([from, to]) => slot + ranks <= from || slot >= to)) return slot;
    }
    return SLOTS_MAX;
  }
}

/**
 * What a runtime on another machine calls every address is that machine's. What a runtime tells has no say in where else
 * connections go: anybody may listen at a usual port.
 */
function placeOf(told: KvEventsPlace, host: string): KvEventsPlace {
  const isHere = host === "" || host.startsWith("/") || host === "localhost" || isLoopback(host);
  const placed = (endpoint: string): string => {
    if (isEverywhere(endpoint)) return isHere ? endpoint : placedAt(endpoint, host);
    const { host: at } = endpointPlace(endpoint, 0);
    const isBeside = at === host || (isHere && (at.startsWith("/") || at === "localhost" || isLoopback(at)));
    if (isBeside) return endpoint;
    throw new MeshError(
      "config_invalid",
      `${endpoint} is not where the runtime is; name it by kvEvents if it is right`,
    );
  };
  const { endpoint, replayEndpoint } = told;
  return { ...told, endpoint: placed(endpoint), replayEndpoint: replayEndpoint && placed(replayEndpoint) };
}
