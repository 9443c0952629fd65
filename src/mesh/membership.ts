/**
 * A member of the mesh: the SWIM core (swim/) over the transport's datagrams and requests, driven by real time.
 *
 * The loop is the house's: an input, a step of the core, then what it wants done. Whom to ask for the mesh, and when, is
 * discovery.ts's; a node that is replaced asks nobody any more.
 *
 * The address that is announced must be the one that this node's packets come from (own-address.ts).
 */
import type { Prng } from "../base/prng.ts";
import { formatAddress } from "../base/units.ts";
import type { JoinResult, Member, StreamOrder, SwimDrops, SwimEvent, SwimEventKind } from "../swim/event.ts";
import { SWIM_EVENT_KINDS } from "../swim/event.ts";
import type { SwimConfig } from "../swim/settings.ts";
import { Swim } from "../swim/swim.ts";
import { nativeChecksum } from "./checksum.ts";
import { Discovery } from "./discovery.ts";
import { CHANNEL } from "./envelope.ts";
import { isOwnAddress } from "./own-address.ts";
import type { Resolver } from "./seed-names.ts";
import type { TransportStats } from "./transport-stats.ts";
import type { Transport } from "./transport.ts";

export interface MembershipOptions {
  /** The --gossip host; "" for every address. */
  readonly host: string;
  /** The host that others reach this node by; "" for `host`, which then is one. */
  readonly advertise: string;
  readonly cluster: string;
  readonly swim: SwimConfig;
  readonly id: string;
  /** 32 bits that stay with the node over restarts; 0: none. */
  readonly identity: number;
  /** Larger at each start. */
  readonly incarnation: number;
  readonly meta: Uint8Array;
  /** Seeds as --join takes them. */
  readonly join: readonly string[];
  /** A file of more; "" or left out for none. */
  readonly joinFile?: string;
  /** Stands for DNS in tests. */
  readonly resolver?: Resolver;
  /** Says nothing of seeds that do not answer. */
  readonly quiet?: boolean;
  readonly prng: Prng;
  onEvent(event: SwimEvent): void;
  onWarning(message: string): void;
  /** News that is no warning. */
  onInfo?(message: string): void;
}

/** What a node knows of its mesh and counts since its start. */
export interface MembershipFigures {
  /** This node first. */
  readonly members: readonly Member[];
  /** 0 is good; probes are slower by as many times. */
  readonly health: number;
  readonly incarnation: number;
  readonly events: Readonly<Record<SwimEventKind, number>>;
  /** Pieces of news that are still being passed on. */
  readonly news: number;
  readonly drops: Readonly<SwimDrops>;
  readonly transport: TransportStats;
}

export class Membership {
  readonly address: string;
  readonly #options: MembershipOptions;
  readonly #transport: Transport;
  readonly #swim: Swim;
  readonly #events = Object.fromEntries(SWIM_EVENT_KINDS.map((kind) => [kind, 0])) as Record<SwimEventKind, number>;
  readonly #discovery: Discovery;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer goes off; Infinity while there is none. */
  #timerAtMs = Infinity;
  /** Why the mesh did not take this node in, the last time. */
  #refusal = "";
  #stopped = false;
  #left: (() => void) | null = null;

  constructor(options: MembershipOptions, transport: Transport) {
    this.#options = options;
    this.#transport = transport;
    const { host, advertise, join, joinFile = "", resolver, prng } = options;
    const { port } = transport;
    this.address = formatAddress({ host: advertise === "" ? host : advertise, port });
    this.#discovery = new Discovery({
      join,
      joinFile,
      ...(resolver === undefined ? {} : { resolver }),
      prng,
      host: transport.host,
      isOwn: (address) => isOwnAddress(address, host, port, this.address),
      ask: (addresses) => this.#step((now) => this.#swim.join(addresses, now)),
      onWarning: (message) => {
        if (options.quiet !== true) options.onWarning(message);
      },
      onInfo: (message) => {
        if (options.quiet !== true) options.onInfo?.(message);
      },
    });
    const { cluster, id, identity, incarnation, meta } = options;
    const config = {
      ...options.swim,
      packetBytesMax: Math.min(options.swim.packetBytesMax, transport.payloadBytesMax),
    };
    const self = { cluster, id, address: this.address, identity, incarnation, meta, checksum: nativeChecksum };
    this.#swim = new Swim(config, self, options.prng, nowMs());
  }

  /** Begins to look for the mesh. */
  start(): void {
    this.#transport.listen(CHANNEL.membership, {
      onPacket: (from, packet) => this.#step((now) => this.#swim.receive(from, packet, now)),
      onRequest: (_from, frame) => this.#asked(frame),
    });
    this.#step(() => {});
    this.#discovery.start();
  }

  /** This node's. */
  get id(): string {
    return this.#options.id;
  }

  /** This node's, over restarts; 0 for none. */
  get identity(): number {
    return this.#options.identity;
  }

  /** Living members, this one included. */
  get size(): number {
    return this.#swim.size;
  }

  members(): Member[] {
    return this.#swim.members();
  }

  member(id: string): Member | undefined {
    return this.#swim.member(id);
  }

  /** Estimated round trip between two members in milliseconds; undefined while it can't be told. */
  distance(a: string, b: string): number | undefined {
    return this.#swim.whereabouts.distance(a, b);
  }

  /** This node's network coordinate. */
  get coordinate(): Float64Array {
    return this.#swim.whereabouts.own;
  }

  /** A member told where it is. */
  place(id: string, coordinate: Float32Array): void {
    this.#swim.whereabouts.place(id, coordinate);
  }

  figures(): MembershipFigures {
    const { health, incarnation, news, drops } = this.#swim;
    const members = this.members();
    return { members, health, incarnation, news, drops, events: this.#events, transport: this.#transport.stats() };
  }

  /** Tells the mesh of new metadata. */
  setMeta(meta: Uint8Array): void {
    this.#step((now) => this.#swim.setProfile({ meta }, now));
  }

  /** Takes leave; resolves when the mesh has been told, or after `timeoutMs`. */
  async leave(timeoutMs: number): Promise<void> {
    this.#discovery.stop();
    if (this.#swim.size > 1) {
      const told = new Promise<void>((resolve) => {
        this.#left = resolve;
      });
      this.#step((now) => this.#swim.leave(now));
      await Promise.race([told, Bun.sleep(timeoutMs)]);
    }
    this.stop();
  }

  /** Falls silent, as a crash would. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#discovery.stop();
  }

  #asked(frame: Uint8Array): Uint8Array | undefined {
    let answer: Uint8Array | undefined;
    this.#step((now) => {
      answer = this.#swim.answer(frame, now);
    });
    return answer;
  }

  /** One input, then everything that the core wants done for it. */
  #step(input: (nowMs: number) => void): void {
    if (this.#stopped) return;
    input(nowMs());
    const { sends, streams, events, wakeAtMs } = this.#swim.take();
    for (const { to, packet } of sends) this.#transport.send(to, packet);
    for (const order of streams) {
      this.#transport.request(order.to, order.frame, order.timeoutMs).then(
        (answer) => this.#streamed(order, answer, ""),
        (error: unknown) => this.#streamed(order, undefined, error instanceof Error ? error.message : String(error)),
      );
    }
    this.#arm(wakeAtMs);
    for (const event of events) this.#told(event);
  }

  /** Most inputs leave it alone when the core is due next, and a timer costs as much as a small packet. */
  #arm(wakeAtMs: number): void {
    if (wakeAtMs === this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = wakeAtMs;
    if (wakeAtMs === Infinity) return;
    const wake = (): void => {
      this.#timerAtMs = Infinity;
      this.#step((now) => this.#swim.wake(now));
    };
    this.#timer = setTimeout(wake, Math.max(0, Math.ceil(wakeAtMs - nowMs())));
  }

  #streamed({ id, to }: StreamOrder, answer: Uint8Array | undefined, why: string): void {
    let result: JoinResult | undefined;
    this.#step((now) => {
      result = this.#swim.streamed(id, answer, now);
    });
    if (result === "refused") this.#discovery.ended(to, result, this.#refusal);
    else if (result === "malformed") this.#discovery.ended(to, result, "its answer is not understood");
    else if (result !== undefined) this.#discovery.ended(to, result, why);
  }

  #told(event: SwimEvent): void {
    this.#events[event.kind] += 1;
    if (event.id === this.#options.id) {
      if (event.kind === "left") this.#left?.();
      // One that is refused tries on: the node that has its id may be dead and not yet known to be.
      if (event.kind === "refused") this.#refusal = event.cause;
      if (event.kind === "replaced") this.#discovery.stop();
    }
    this.#discovery.told(event);
    this.#options.onEvent(event);
  }
}

function nowMs(): number {
  return performance.now();
}
