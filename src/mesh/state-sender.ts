/**
 * An agent's states on their way to every router: looks at the node again and again, and sends what the publisher
 * (signal/) wants sent; what is too long for a datagram is fetched by the routers. Whether the node takes requests is also
 * told to the mesh.
 */
import type { NodeSample } from "../score/sample.ts";
import { Publisher } from "../signal/publisher.ts";
import type { SignalConfig } from "../signal/settings.ts";
import { bundle, LONG, MESSAGE, open } from "../signal/wire.ts";
import { CHANNEL } from "./envelope.ts";
import type { MeshNode } from "./node-membership.ts";

export interface StateSenderOptions {
  readonly node: MeshNode;
  readonly config: SignalConfig;
  readonly id: string;
  /** Larger at each start. */
  readonly incarnation: number;
  /** As the mesh was told at the start. */
  readonly isReady: boolean;
  sample(): NodeSample;
}

/** IP and UDP. */
const HEADER_BYTES = 28;
/** Between two words to the mesh. */
const TELL_MESH_MS = 1000;

export class StateSender {
  readonly #options: StateSenderOptions;
  readonly #publisher: Publisher;
  readonly #told = new Set<string>();
  #lookTimer: ReturnType<typeof setInterval> | undefined;
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  #condition: { readonly healthy: boolean; readonly draining: boolean };
  #toldMeshAtMs = -Infinity;
  #messages = 0;
  #bytes = 0;

  constructor(options: StateSenderOptions) {
    const { config, id, incarnation, node } = options;
    this.#options = options;
    this.#condition = { healthy: options.isReady, draining: false };
    const overhead = HEADER_BYTES + node.transport.overheadBytes;
    this.#publisher = new Publisher(config, { id, incarnation }, node.prng, overhead);
  }

  start(): void {
    const { node, config } = this.#options;
    node.transport.listen(CHANNEL.state, {
      onPacket: (from, packet) => {
        if (open(packet)?.kind !== MESSAGE.ask) return;
        this.#publisher.asked(from);
        this.#step();
      },
      onRequest: (_from, packet) =>
        open(packet)?.kind === MESSAGE.ask ? bundle(this.#publisher.newest(performance.now())) : undefined,
    });
    this.membersChanged();
    this.#lookTimer = setInterval(() => this.look(), config.sampleIntervalMs);
  }

  /** Routers came or went. */
  membersChanged(): void {
    const present = new Set(this.#options.node.roster.routers());
    for (const address of this.#told) {
      if (present.has(address)) continue;
      this.#told.delete(address);
      this.#publisher.removeRouter(address);
    }
    let isNew = false;
    for (const address of present) {
      if (this.#told.has(address) || !this.#publisher.addRouter(address)) continue;
      this.#told.add(address);
      isNew = true;
    }
    if (isNew) this.look();
  }

  /** Looks at the node now, for example since it begins to drain. */
  look(): void {
    if (this.#stopped) return;
    const sample = this.#options.sample();
    this.#tellMesh(sample);
    if (this.#publisher.routers === 0) return;
    this.#publisher.offer(sample, this.#options.node.membership.coordinate, performance.now());
    this.#step();
  }

  /** For routers to come, which route by what the mesh tells before they have a state. */
  #tellMesh({ ready: healthy, draining }: NodeSample): void {
    const nowMs = performance.now();
    const isNews = healthy !== this.#condition.healthy || draining !== this.#condition.draining;
    // All members pass it on: one that comes and goes is told now and then.
    if (!isNews || (!draining && nowMs - this.#toldMeshAtMs < TELL_MESH_MS)) return;
    this.#toldMeshAtMs = nowMs;
    this.#condition = { healthy, draining };
    this.#options.node.tell(this.#condition);
  }

  stats(): { readonly routers: number; readonly messages: number; readonly bytes: number } {
    return { routers: this.#publisher.routers, messages: this.#messages, bytes: this.#bytes };
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#lookTimer);
    clearTimeout(this.#wakeTimer);
  }

  #step(): void {
    if (this.#stopped) return;
    const { transport } = this.#options.node;
    const { sends, wakeAtMs } = this.#publisher.take(performance.now());
    for (const { to, packet } of sends) {
      this.#messages += 1;
      this.#bytes += packet.length;
      // A router fetches over TCP what is too long, since it then knows by the address that it asks whose word it is.
      transport.send(to, packet.length <= transport.payloadBytesMax ? packet : LONG, CHANNEL.state);
    }
    clearTimeout(this.#wakeTimer);
    if (wakeAtMs === Infinity) return;
    this.#wakeTimer = setTimeout(() => this.#step(), Math.max(0, Math.ceil(wakeAtMs - performance.now())));
  }
}
