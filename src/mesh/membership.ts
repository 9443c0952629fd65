/**
 * A member of the mesh: the SWIM core (swim/) over the transport's datagrams and requests, driven by real time.
 *
 * The loop is the house's: an input, a step of the core, then what it wants done. While the node knows of no other
 * living member it asks its seeds again, with growing and jittered pauses, and says so once; names among them are
 * resolved anew each time. A node that is replaced stops trying.
 *
 * The address that is announced must be the one that this node's packets come from: the bound one, or where every
 * address is bound, `advertise` or the machine's first address that fits the seeds.
 */
import { networkInterfaces } from "node:os";
import type { Prng } from "../base/prng.ts";
import { formatAddress, parseAddress } from "../base/units.ts";
import { type Member, SWIM_EVENT_KINDS, type SwimDrops, type SwimEvent, type SwimEventKind } from "../swim/event.ts";
import type { SwimConfig } from "../swim/settings.ts";
import { Swim } from "../swim/swim.ts";
import { CHANNEL } from "./envelope.ts";
import type { TransportStats } from "./transport-stats.ts";
import type { Transport } from "./transport.ts";

export interface MembershipOptions {
  /** The --gossip host; "" for every address. */
  readonly host: string;
  /** The host that others reach this node by; "" to find out. */
  readonly advertise: string;
  readonly cluster: string;
  readonly swim: SwimConfig;
  readonly id: string;
  /** 32 bits that stay with the node over restarts; 0: none. */
  readonly identity: number;
  /** Larger at each start. */
  readonly incarnation: number;
  readonly meta: Uint8Array;
  /** "host:port" of members to meet. */
  readonly join: readonly string[];
  readonly prng: Prng;
  onEvent(event: SwimEvent): void;
  onWarning(message: string): void;
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

const SEEK_MIN_MS = 500;
const SEEK_MAX_MS = 30_000;

export class Membership {
  readonly address: string;
  readonly #options: MembershipOptions;
  readonly #transport: Transport;
  readonly #swim: Swim;
  readonly #events = Object.fromEntries(SWIM_EVENT_KINDS.map((kind) => [kind, 0])) as Record<SwimEventKind, number>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #seekTimer: ReturnType<typeof setTimeout> | undefined;
  #seekMs = SEEK_MIN_MS;
  #saidLonely = false;
  #stopped = false;
  #left: (() => void) | null = null;

  constructor(options: MembershipOptions, transport: Transport) {
    this.#options = options;
    this.#transport = transport;
    const host = options.advertise === "" ? announcedHost(options.host, options.join) : options.advertise;
    this.address = formatAddress({ host, port: transport.port });
    const { cluster, id, identity, incarnation, meta } = options;
    const config = {
      ...options.swim,
      packetBytesMax: Math.min(options.swim.packetBytesMax, transport.payloadBytesMax),
    };
    const self = { cluster, id, address: this.address, identity, incarnation, meta };
    this.#swim = new Swim(config, self, options.prng, nowMs());
  }

  /** Begins to look for the mesh. */
  start(): void {
    this.#transport.listen(CHANNEL.membership, {
      onPacket: (from, packet) => this.#step((now) => this.#swim.receive(from, packet, now)),
      onRequest: (_from, frame) => this.#asked(frame),
    });
    this.#step(() => {});
    this.#seek();
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

  /** Estimated round trip between two members in milliseconds; undefined while unknown. */
  distance(a: string, b: string): number | undefined {
    return this.#swim.distance(a, b);
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
    clearTimeout(this.#seekTimer);
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
        (answer) => this.#streamed(order.id, answer),
        () => this.#streamed(order.id, undefined),
      );
    }
    clearTimeout(this.#timer);
    if (wakeAtMs !== Number.POSITIVE_INFINITY) {
      const waitMs = Math.max(0, Math.ceil(wakeAtMs - nowMs()));
      this.#timer = setTimeout(() => this.#step((now) => this.#swim.wake(now)), waitMs);
    }
    for (const event of events) this.#told(event);
  }

  #streamed(id: number, answer: Uint8Array | undefined): void {
    this.#step((now) => {
      this.#swim.streamed(id, answer, now);
    });
  }

  #told(event: SwimEvent): void {
    this.#events[event.kind] += 1;
    if (event.id === this.#options.id) {
      if (event.kind === "left") this.#left?.();
      // One that is refused tries on: the node that has its id may be dead and not yet known to be.
      if (event.kind === "replaced") clearTimeout(this.#seekTimer);
    }
    this.#options.onEvent(event);
  }

  /** Asks the seeds while nobody else is known, seldomer and seldomer. */
  #seek(): void {
    const { join, prng } = this.#options;
    if (this.#stopped || join.length === 0) return;
    if (this.#swim.size > 1) {
      this.#seekMs = SEEK_MIN_MS;
      this.#saidLonely = false;
    } else {
      if (this.#seekMs > SEEK_MIN_MS && !this.#saidLonely) {
        this.#saidLonely = true;
        this.#options.onWarning(`no member of the mesh answers at ${join.join(", ")}; trying on`);
      }
      this.#step((now) => this.#swim.join(join, now));
      this.#seekMs = Math.min(SEEK_MAX_MS, this.#seekMs * 2);
    }
    this.#seekTimer = setTimeout(() => this.#seek(), this.#seekMs * (0.5 + prng.next()));
  }
}

function nowMs(): number {
  return performance.now();
}

/** The host to announce: what is bound, or an address of this machine from which the seeds are reached. */
function announcedHost(bound: string, join: readonly string[]): string {
  if (bound !== "" && bound !== "::" && bound !== "0.0.0.0") return bound === "localhost" ? "127.0.0.1" : bound;
  const local = join.length > 0 && join.every((seed) => isLoopback(parseAddress(seed)?.host ?? ""));
  if (local) return "127.0.0.1";
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const outward = all.filter(({ internal }) => !internal);
  const found = outward.find(({ family }) => family === "IPv4") ?? outward[0];
  return found?.address ?? "127.0.0.1";
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
