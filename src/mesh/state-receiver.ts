/**
 * A router's ear on the state channel: samples of nodes, and loads of the other routers; and its mouth, by which it tells
 * them of its own load. Only members are heard, each about itself.
 *
 * A message over UDP is known by the address that it comes from. One over TCP comes from any port: it must come from the
 * host of the member that it names.
 */
import { parseAddress } from "../base/units.ts";
import { FlightTeller, type Load, type PeerFlights } from "../signal/flights.ts";
import type { SignalConfig } from "../signal/settings.ts";
import { type Report, Subscriber, type SubscriberStats } from "../signal/subscriber.ts";
import { ASK, MESSAGE, open, readSnapshot } from "../signal/wire.ts";
import type { SwimEvent } from "../swim/event.ts";
import { CHANNEL } from "./envelope.ts";
import type { MeshNode } from "./node-membership.ts";

export interface StateReceiverOptions {
  readonly node: MeshNode;
  readonly config: SignalConfig;
  /** Where the loads of the other routers are kept. */
  readonly flights: PeerFlights;
  /** This router's load at each place now. */
  readonly loads: () => Iterable<readonly [key: number, load: Load]>;
  readonly onReport: (report: Report) => void;
  /** The load of other routers changed at these places. */
  readonly onLoads: (keys: readonly number[]) => void;
}

const RECEIVED = Uint8Array.of(1);

export class StateReceiver {
  readonly #options: StateReceiverOptions;
  readonly #subscriber = new Subscriber();
  readonly #teller: FlightTeller;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Messages of senders that are no members, or that speak for another. */
  #strangers = 0;

  constructor(options: StateReceiverOptions) {
    this.#options = options;
    this.#teller = new FlightTeller(options.node.transport.payloadBytesMax);
  }

  start(): void {
    const { node, config } = this.#options;
    node.transport.listen(CHANNEL.state, {
      onPacket: (from, packet) => this.#heard(from, packet),
      onRequest: (from, packet) => this.#asked(from, packet),
    });
    this.#timer = setInterval(() => this.#tell(), config.flightIntervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A member went: what it said is worth nothing any more. */
  told({ kind, address }: SwimEvent): void {
    if (kind !== "failed" && kind !== "left") return;
    this.#subscriber.forget(address);
    this.#changed(this.#options.flights.forget(address));
  }

  stats(): SubscriberStats & { readonly strangers: number; readonly sources: number; readonly peers: number } {
    const { stats, size } = this.#subscriber;
    return { ...stats, strangers: this.#strangers, sources: size, peers: this.#options.flights.peers };
  }

  #heard(from: string, packet: Uint8Array): void {
    const id = this.#options.node.roster.idAt(from);
    if (id === undefined) this.#strangers += 1;
    else if (packet[0] === MESSAGE.flights) {
      this.#changed(this.#options.flights.receive(from, packet, performance.now()));
    } else this.#state(from, id, packet);
  }

  #asked(from: string, packet: Uint8Array): Uint8Array | undefined {
    const { roster } = this.#options.node;
    const id = open(packet)?.kind === MESSAGE.snapshot ? readSnapshot()?.id : undefined;
    const address = id === undefined ? undefined : roster.addressOf(id);
    if (id === undefined || address === undefined || parseAddress(address)?.host !== parseAddress(from)?.host) {
      this.#strangers += 1;
      return undefined;
    }
    this.#state(address, id, packet);
    return RECEIVED;
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
    const routers = node.roster.routers();
    const packets = this.#teller.tell(loads(), nowMs);
    for (const to of routers) for (const packet of packets) node.transport.send(to, packet, CHANNEL.state);
    this.#changed(flights.expire(nowMs));
  }

  #changed(keys: readonly number[]): void {
    if (keys.length > 0) this.#options.onLoads(keys);
  }
}
