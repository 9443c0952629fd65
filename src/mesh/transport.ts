/**
 * How members of the mesh talk: datagrams over UDP, and requests with one answer each over TCP, both on one port, both
 * in the envelope that keeps strangers and other meshes out. Who listens on a channel gets what is sent on it; what is
 * in a packet is its sender's and receiver's business. `from` is where it came from, which says nothing about who sent
 * it. News of members go before states, so that load can't make members look dead.
 *
 * Datagrams may be lost, doubled by the network (a sealed one is opened once), or come in another order; they leave at
 * a pace (pacer.ts). A request ends in an answer or in one MeshError, within its time.
 *
 * What does not open is dropped and counted by its reason, and never causes a byte in return. Limits: settings.ts.
 */
import type { MeshError } from "../base/errors.ts";
import { formatAddress } from "../base/units.ts";
import { Addresses, type Endpoint, type Lookup } from "./addresses.ts";
import { type Channel, CHANNEL, channelOf, type DropReason, Envelope, KIND, type Kind } from "./envelope.ts";
import { PLAIN_HEADER_BYTES, SEALED_BYTES } from "./envelope.ts";
import type { Keyring } from "./keyring.ts";
import { Listeners } from "./listeners.ts";
import { Notices } from "./notices.ts";
import { type Outcome, Pacer } from "./pacer.ts";
import { ReplayTable } from "./replay.ts";
import type { TransportLimits } from "./settings.ts";
import { type Listener, Requests } from "./requests.ts";
import { adoptBoth, bindBoth, type SocketDescriptors, type SocketsOptions } from "./sockets.ts";
import type { TcpServer } from "./tcp-server.ts";
import { TcpClient, type TcpClientOptions } from "./tcp-client.ts";
import { TransportStats } from "./transport-stats.ts";
import { codeOf } from "../net/crash.ts";
import { type Udp } from "./udp.ts";

export interface TransportOptions {
  /** An IP address or name of this machine; "" for every address. */
  readonly host: string;
  /** For UDP and TCP; 0 for any that is free for both. */
  readonly port: number;
  /** Sockets of a predecessor of this process, to take instead. */
  readonly inherited?: SocketDescriptors | undefined;
  readonly cluster: string;
  readonly keyring: Keyring;
  readonly limits: TransportLimits;
  /** Something is wrong with this machine or its network; told once for each kind of fault in 10 s. */
  readonly onError: (error: MeshError) => void;
  /** Something that the operator should know. */
  readonly onWarning: (message: string) => void;
  /** Replaces DNS in tests. */
  readonly lookup?: Lookup;
  /** Replaces the wall clock in tests: seconds since 1970. */
  readonly nowSeconds?: () => number;
}

/** Datagrams to names that are being resolved. */
const UNRESOLVED_MAX = 256;
const UNRESOLVED_MS = 5000;

interface Datagram {
  readonly to: Endpoint;
  readonly payload: Uint8Array;
  readonly channel: Channel;
}

/** Binds both ports; rejects with a MeshError that says what to do. */
export async function openTransport(options: TransportOptions): Promise<Transport> {
  const transport = new Transport(options);
  await transport.open();
  const { host, port } = transport;
  if (options.keyring.primary === undefined && host !== "::1" && !host.startsWith("127.")) {
    options.onWarning(
      `gossip on ${formatAddress({ host, port })} is not encrypted: whoever reaches it can join the mesh; set --gossip-key-file`,
    );
  }
  return transport;
}

export class Transport {
  readonly #options: TransportOptions;
  readonly #stats = new TransportStats();
  readonly #frames: TcpClientOptions;
  readonly #envelope: Envelope;
  readonly #replays: ReplayTable;
  readonly #pacer: Pacer<Datagram>;
  readonly #client: TcpClient;
  readonly #notices: Notices;
  readonly #listeners = new Listeners();
  #addresses!: Addresses;
  #udp!: Udp;
  #server!: TcpServer;
  #requests!: Requests;
  #unresolved = 0;
  #stopped = false;

  constructor(options: TransportOptions) {
    const { limits, cluster, keyring, onError, onWarning } = options;
    const windowSeconds = Math.ceil(limits.replayWindowMs / 1000);
    this.#options = options;
    this.#frames = {
      frameBytesMin: PLAIN_HEADER_BYTES,
      frameBytesMax: limits.frameBytesMax + SEALED_BYTES,
      connectionsMax: limits.connectionsMax,
    };
    this.#replays = new ReplayTable({ windowSeconds, sessionsMax: limits.sendersMax });
    this.#envelope = new Envelope({
      cluster,
      keyring,
      replays: this.#replays,
      windowSeconds,
      bytesMax: limits.frameBytesMax,
      nowSeconds: options.nowSeconds ?? (() => Math.floor(Date.now() / 1000)),
    });
    this.#notices = new Notices({ envelope: this.#envelope, windowSeconds, onError, onWarning });
    this.#pacer = new Pacer({
      burst: limits.sendBurst,
      queueMax: limits.sendQueueMax,
      send: (datagram) => this.#emit(datagram),
    });
    this.#client = new TcpClient(this.#frames);
  }

  async open(): Promise<void> {
    const { host, port, inherited, limits, lookup } = this.#options;
    const how: SocketsOptions = {
      udp: {
        receiveBufferBytes: limits.receiveBufferBytes,
        handlers: {
          onDatagram: (bytes, fromHost, fromPort) => this.#receive(bytes, fromHost, fromPort),
          onDrain: () => this.#pacer.pump(),
          onUnreachable: () => void this.#stats.unreachable++,
          onFailure: (error) => this.#notices.fault(codeOf(error), error),
        },
      },
      tcp: {
        ...this.#frames,
        timeoutMs: limits.requestTimeoutMs,
        promising: (fromHost, beginning) => {
          const fault = this.#envelope.faultOf(KIND.request, beginning);
          // Whether its sender is a member whose clock is wrong shows at its end.
          if (fault === "clock" && this.#notices.wantsClocks) return true;
          if (fault !== "") this.#drop(fault, KIND.request, fromHost, beginning);
          return fault === "";
        },
        onFrame: (fromHost, fromPort, packet) => {
          const from = formatAddress({ host: fromHost, port: fromPort });
          // A connection may come before both sockets are bound, and there is nobody yet to answer it.
          return this.#requests?.serve(from, packet) ?? Promise.resolve(undefined);
        },
        onCut: (reason) => void this.#stats.cut[reason]++,
      },
    };
    const bound = await (inherited === undefined ? bindBoth(host, port, how) : adoptBoth(inherited, how));
    this.#udp = bound.udp;
    this.#server = bound.tcp;
    this.#addresses = new Addresses(bound.families, lookup === undefined ? {} : { lookup });
    this.#requests = new Requests({
      envelope: this.#envelope,
      client: this.#client,
      addresses: this.#addresses,
      stats: this.#stats,
      frameBytesMax: limits.frameBytesMax,
      listener: (channel, payload) => this.#listeners.of(channel, payload),
      onDrop: (reason, from, packet) => this.#drop(reason, KIND.request, from, packet),
      onError: (error) => this.#notices.fault("request", error),
    });
  }

  /**
   * From now on, what comes on the channel is the listener's; what nobody listens to is dropped. With `firsts`, what begins
   * with one of these bytes: there are four channels, and more than four who talk.
   */
  listen(channel: Channel, listener: Listener, firsts?: readonly number[]): void {
    this.#listeners.set(channel, listener, firsts);
  }

  /** The IP address bound; "::" or "0.0.0.0" for every one. */
  get host(): string {
    return this.#udp.host;
  }

  get port(): number {
    return this.#server.port;
  }

  /** More descriptors of both sockets, for the caller to close. */
  descriptors(): SocketDescriptors {
    return { udp: this.#udp.descriptor(), tcp: this.#server.descriptor() };
  }

  /** What the envelope adds to a payload. */
  get overheadBytes(): number {
    return this.#envelope.overhead;
  }

  /** The longest payload of a datagram. */
  get payloadBytesMax(): number {
    return this.#options.limits.datagramBytesMax - this.#envelope.overhead;
  }

  /** The longest request or answer. */
  get frameBytesMax(): number {
    return this.#options.limits.frameBytesMax;
  }

  /**
   * Sends a datagram to "host:port", now or when its turn comes: those of states go after all others. The bytes are kept
   * until then and must not change. False when it is dropped at once; true does not mean that it arrives.
   */
  send(to: string, payload: Uint8Array, channel: Channel = CHANNEL.membership): boolean {
    if (this.#stopped) return false;
    if (payload.length > this.payloadBytesMax) {
      this.#stats.unsent.oversized++;
      return false;
    }
    const found = this.#addresses.find(to);
    if (found === "later") return this.#sendLater(to, payload, channel);
    if (found === "bad") {
      this.#stats.unsent.noAddress++;
      return false;
    }
    return this.#enqueue({ to: found, payload, channel });
  }

  /** The answer of whoever listens at "host:port". Rejects with a MeshError: nobody there, no answer in time, garbage. */
  request(
    to: string,
    payload: Uint8Array,
    timeoutMs: number,
    channel: Channel = CHANNEL.membership,
  ): Promise<Uint8Array> {
    return this.#requests.ask(to, payload, timeoutMs, channel);
  }

  stats(): TransportStats {
    const stats = this.#stats;
    stats.waiting = this.#pacer.waiting;
    stats.senders = this.#replays.size;
    stats.connections = this.#server.connections + this.#client.connections;
    return structuredClone(stats);
  }

  /** Closes everything; what waits is dropped, and requests under way are rejected. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#notices.stop();
    this.#pacer.clear();
    this.#requests.stop();
    this.#server.stop();
    this.#udp.close();
  }

  #sendLater(to: string, payload: Uint8Array, channel: Channel): boolean {
    if (this.#unresolved >= UNRESOLVED_MAX) {
      this.#stats.unsent.queueFull++;
      return false;
    }
    this.#unresolved++;
    void this.#addresses.resolve(to, UNRESOLVED_MS).then((found) => {
      this.#unresolved--;
      if (this.#stopped) return;
      if (found === "bad") this.#stats.unsent.noAddress++;
      else this.#enqueue({ to: found, payload, channel });
    });
    return true;
  }

  #enqueue(datagram: Datagram): boolean {
    const taken = this.#pacer.push(datagram, datagram.channel === CHANNEL.state ? "bulk" : "urgent");
    if (!taken) this.#stats.unsent.queueFull++;
    return taken;
  }

  /** Seals at the last moment, so that counters leave in order and with the key of now. */
  #emit({ to, payload, channel }: Datagram): Outcome {
    const packet = this.#envelope.seal(KIND.datagram, payload, undefined, channel);
    const outcome = this.#udp.send(packet, to.host, to.port);
    if (outcome === "failed") this.#stats.unsent.failed++;
    if (outcome !== "sent") return outcome;
    this.#stats.packetsOut++;
    this.#stats.bytesOut += packet.length;
    return outcome;
  }

  #receive(packet: Uint8Array, host: string, port: number): void {
    this.#stats.packetsIn++;
    this.#stats.bytesIn += packet.length;
    if (this.#stopped) return;
    const payload =
      packet.length > this.#options.limits.datagramBytesMax ? "oversized" : this.#envelope.open(KIND.datagram, packet);
    if (typeof payload !== "string") {
      this.#listeners.of(channelOf(packet), payload)?.onPacket?.(formatAddress({ host, port }), payload);
    } else this.#drop(payload, KIND.datagram, formatAddress({ host, port }), packet);
  }

  #drop(reason: DropReason, kind: Kind, from: string, packet: Uint8Array): void {
    this.#stats.dropped[reason]++;
    if (reason === "clock") this.#notices.clock(kind, from, packet);
    else if (reason === "key") this.#notices.strangeKey(from, packet);
    else if (reason === "version") this.#notices.strangeVersion(from, packet);
  }
}
