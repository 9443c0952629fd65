/**
 * An agent's states on their way to every router: looks at the node again and again, and sends what the publisher
 * (signal/) wants sent, long messages over TCP. Whether the node is ready is also told to the mesh.
 */
import type { NodeSample } from "../score/sample.ts";
import { Publisher } from "../signal/publisher.ts";
import type { SignalConfig } from "../signal/settings.ts";
import { open, MESSAGE } from "../signal/wire.ts";
import { CHANNEL } from "./envelope.ts";
import type { MeshNode } from "./node-membership.ts";

export interface StateSenderOptions {
  readonly node: MeshNode;
  readonly config: SignalConfig;
  readonly id: string;
  readonly incarnation: number;
  /** As the mesh was told at the start. */
  readonly isReady: boolean;
  sample(): NodeSample;
}

/** IP and UDP. */
const HEADER_BYTES = 28;
const REQUEST_TIMEOUT_MS = 3000;

export class StateSender {
  readonly #options: StateSenderOptions;
  readonly #publisher: Publisher;
  readonly #told = new Set<string>();
  #lookTimer: ReturnType<typeof setInterval> | undefined;
  #wakeTimer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  #isReady: boolean;
  #messages = 0;
  #bytes = 0;

  constructor(options: StateSenderOptions) {
    const { config, id, incarnation, node } = options;
    this.#options = options;
    this.#isReady = options.isReady;
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
      if (this.#told.has(address)) continue;
      this.#told.add(address);
      this.#publisher.addRouter(address);
      isNew = true;
    }
    if (isNew) this.look();
  }

  /** Looks at the node now, for example since it begins to drain. */
  look(): void {
    if (this.#stopped) return;
    const sample = this.#options.sample();
    if (sample.ready !== this.#isReady && !sample.draining) {
      // For routers to come, which route by what the mesh tells before they have a state.
      this.#isReady = sample.ready;
      this.#options.node.setHealthy(sample.ready);
    }
    if (this.#publisher.routers === 0) return;
    this.#publisher.offer(sample, this.#options.node.membership.coordinate, performance.now());
    this.#step();
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
      if (packet.length <= transport.payloadBytesMax) transport.send(to, packet, CHANNEL.state);
      // One that does not get there is asked for again.
      else void transport.request(to, packet, REQUEST_TIMEOUT_MS, CHANNEL.state).catch(() => {});
    }
    clearTimeout(this.#wakeTimer);
    if (wakeAtMs === Infinity) return;
    this.#wakeTimer = setTimeout(() => this.#step(), Math.max(0, Math.ceil(wakeAtMs - performance.now())));
  }
}
