/**
 * A router's ear on the state channel: samples of nodes, and loads of the other routers; and its mouth, by which it tells
 * them of its own load. Only members are heard, each about itself.
 *
 * Whose word a message is shows by the address that it comes from. What is too long for a datagram is fetched over TCP
 * from that address, once at a time for each node.
 */
import { FlightTeller, type Load, type PeerFlights } from "../signal/flights.ts";
import type { FlightConfig } from "../signal/settings.ts";
import { type Report, Subscriber, type SubscriberStats } from "../signal/subscriber.ts";
import { ASK, MESSAGE, unbundle } from "../signal/wire.ts";
import { CHANNEL } from "./envelope.ts";
import type { MeshNode } from "./node-membership.ts";

export interface StateReceiverOptions {
  readonly node: MeshNode;
  readonly config: FlightConfig;
  /** Where the loads of the other routers are kept. */
  readonly flights: PeerFlights;
  /** This router's load at each place now. */
  readonly loads: () => Iterable<readonly [key: number, load: Load]>;
  readonly onReport: (report: Report) => void;
  /** The load of other routers changed at these places. */
  readonly onLoads: (keys: readonly number[]) => void;
}

const FETCH_TIMEOUT_MS = 3000;
/** Between two messages that are hastened. */
const HASTE_MS = 20;
const FETCHES_MAX = 64;

export class StateReceiver {
  readonly #options: StateReceiverOptions;
  readonly #subscriber = new Subscriber();
  readonly #teller: FlightTeller;
  #timer: ReturnType<typeof setInterval> | undefined;
  #haste: ReturnType<typeof setTimeout> | undefined;
  #toldMs = -Infinity;
  readonly #fetching = new Set<string>();
  /** Messages of senders that are no members, or that speak for another. */
  #strangers = 0;

  constructor(options: StateReceiverOptions) {
    this.#options = options;
    const { transport, prng } = options.node;
    this.#teller = new FlightTeller(transport.payloadBytesMax, prng);
  }

  start(): void {
    const { node, config, flights } = this.#options;
    node.transport.listen(CHANNEL.state, { onPacket: (from, packet) => this.#heard(from, packet) });
    // Nobody is there any more: what came from there is worth nothing.
    node.roster.onVacated = (address) => {
      this.#subscriber.forget(address);
      this.#changed(flights.forget(address));
    };
    this.#timer = setInterval(() => this.#tell(), config.flightIntervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#haste);
  }

  /** Others wait for what has changed of this router's load: they are told as soon as may be. */
  hasten(): void {
    if (this.#haste !== undefined) return;
    const waitMs = Math.max(0, this.#toldMs + HASTE_MS - performance.now());
    this.#haste = setTimeout(() => this.#tell(), waitMs);
  }

  stats(): SubscriberStats & { readonly strangers: number; readonly sources: number; readonly peers: number } {
    const { stats, size } = this.#subscriber;
    return { ...stats, strangers: this.#strangers, sources: size, peers: this.#options.flights.peers };
  }

  #heard(from: string, packet: Uint8Array): void {
    const { roster } = this.#options.node;
    const id = roster.idAt(from);
    const isFlights = packet[0] === MESSAGE.flights;
    if (id === undefined || (isFlights && !roster.isRouter(id))) this.#strangers += 1;
    else if (isFlights) this.#changed(this.#options.flights.receive(from, packet, performance.now()));
    else if (packet[0] === MESSAGE.long) void this.#fetch(from, id);
    else this.#state(from, id, packet);
  }

  async #fetch(from: string, id: string): Promise<void> {
    if (this.#fetching.has(from) || this.#fetching.size >= FETCHES_MAX) return;
    this.#fetching.add(from);
    try {
      const answer = await this.#options.node.transport.request(from, ASK, FETCH_TIMEOUT_MS, CHANNEL.state);
      if (this.#options.node.roster.idAt(from) !== id) return;
      for (const message of unbundle(answer)) this.#state(from, id, message);
    } catch {
      // Its next state says again that it is too long.
    } finally {
      this.#fetching.delete(from);
    }
  }

  #state(from: string, id: string, packet: Uint8Array): void {
    this.#subscriber.receive(from, packet, performance.now());
    const { reports, asks } = this.#subscriber.take();
    for (const report of reports) {
      if (report.id !== id) {
        this.#strangers += 1;
        continue;
      }
      // A router of a large mesh probes each member seldom, and wants to know how far it is.
      if (report.place !== undefined) this.#options.node.membership.place(id, report.place);
      this.#options.onReport(report);
    }
    for (const to of asks) this.#options.node.transport.send(to, ASK, CHANNEL.state);
  }

  #tell(): void {
    const { node, flights, loads } = this.#options;
    const nowMs = performance.now();
    clearTimeout(this.#haste);
    this.#haste = undefined;
    this.#toldMs = nowMs;
    const routers = node.roster.routers();
    const packets = this.#teller.tell(loads(), nowMs);
    for (const to of routers) for (const packet of packets) node.transport.send(to, packet, CHANNEL.state);
    this.#changed(flights.expire(nowMs));
  }

  #changed(keys: readonly number[]): void {
    if (keys.length > 0) this.#options.onLoads(keys);
  }
}
