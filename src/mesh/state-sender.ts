/**
 * An agent's states on their way to every router: looks at the node when it is told that something has changed, and before
 * each regular state; sends what the publisher (signal/) wants sent. What is too long for a datagram is fetched by the
 * routers. Whether the node takes requests is also told to the mesh.
 *
 * An idle node is looked at once an interval and not more often: waking up costs it more than what it then does.
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
/** What moves within a moment, such as several runtimes that are read together, is looked at once. */
const GATHER_MS = 30;
/** What was looked at in this share of the interval, and has not moved since, needs no look before a regular state. */
const FRESH_SHARE = 0.9;
/** Between two words to the mesh. */
const TELL_MESH_MS = 1000;

export class StateSender {
  readonly #options: StateSenderOptions;
  readonly #publisher: Publisher;
  readonly #told = new Set<string>();
  #lookTimer: ReturnType<typeof setTimeout> | undefined;
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;
  #lookedAtMs = -Infinity;
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
    const { node } = this.#options;
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
    if (this.#lookedAtMs === -Infinity) this.look();
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

  /** Figures of the node may be others than before: it is looked at in a moment. As often as anybody likes. */
  moved(): void {
    if (this.#stopped || this.#lookTimer !== undefined) return;
    const { sampleIntervalMs } = this.#options.config;
    const waitMs = Math.max(GATHER_MS, this.#lookedAtMs + sampleIntervalMs - performance.now());
    this.#lookTimer = setTimeout(() => this.look(), Math.ceil(waitMs));
  }

  /** Looks at the node now, for example since it begins to drain. */
  look(): void {
    if (this.#stopped) return;
    clearTimeout(this.#lookTimer);
    this.#lookTimer = undefined;
    this.#lookedAtMs = performance.now();
    const sample = this.#options.sample();
    this.#tellMesh(sample);
    if (this.#publisher.routers > 0) {
      this.#publisher.offer(sample, this.#options.node.membership.coordinate, performance.now());
    }
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
    clearTimeout(this.#lookTimer);
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
    this.#arm(wakeAtMs);
  }

  /** Where there is no router yet, the mesh is told all the same whether the node takes requests. */
  #arm(wakeAtMs: number): void {
    clearTimeout(this.#wakeTimer);
    const atMs = wakeAtMs === Infinity ? this.#lookedAtMs + this.#options.config.intervalMs : wakeAtMs;
    this.#wakeTimer = setTimeout(() => this.#wake(), Math.max(0, Math.ceil(atMs - performance.now())));
  }

  /** A regular state tells what is so now; one that is sent again is what it was. */
  #wake(): void {
    const { intervalMs } = this.#options.config;
    if (performance.now() - this.#lookedAtMs >= intervalMs * FRESH_SHARE) this.look();
    else this.#step();
  }
}
