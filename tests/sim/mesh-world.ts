/**
 * Whole meshes on a virtual clock: the real membership core, and a network with seeded loss, delay, duplication and
 * reordering, partitions (also one-way), members that crash, restart, take leave, or are blocked for a while.
 * The same seed gives the same bytes: `hash` is over all traffic.
 *
 * Two ways of being blocked, as Lifeguard's anomalies: "process" (nothing runs: SIGSTOP, a starved CPU) and "io"
 * (timers run, but nothing comes in or goes out until it is over). What comes in meanwhile waits, up to a socket
 * buffer's worth.
 */
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { SwimEvent } from "../../src/swim/event.ts";
import { Names } from "../../src/swim/lexicon.ts";
import { FULL_RULES, type SwimConfig, type SwimRules, swimSettings } from "../../src/swim/settings.ts";
import { Swim } from "../../src/swim/swim.ts";
import { Calendar } from "./mesh-queue.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly config?: Partial<SwimConfig>;
  readonly rules?: SwimRules;
  /** Of each datagram, 0..1. */
  readonly loss?: number;
  readonly duplication?: number;
  /** Delays are delayMs plus an exponential time of mean jitterMs. */
  readonly delayMs?: number;
  readonly jitterMs?: number;
}

export type Stall = "process" | "io";

/** One member, and what the world holds for it. */
export class Node {
  readonly index: number;
  readonly id: string;
  address: string;
  swim: Swim;
  up = true;
  wakeAtMs = Infinity;
  /** The earliest wake in the calendar. */
  scheduledAtMs = Infinity;
  stall: Stall | undefined;
  /** What waits for the end of the stall. */
  inbox: { readonly from: number; readonly packet: Uint8Array }[] = [];
  outbox: { readonly to: number; readonly packet: Uint8Array }[] = [];
  /** Each start has its number, so that what was meant for the one before is dropped. */
  life = 0;

  constructor(index: number, id: string, address: string, swim: Swim) {
    this.index = index;
    this.id = id;
    this.address = address;
    this.swim = swim;
  }
}

interface Stream {
  readonly client: number;
  readonly clientLife: number;
  readonly server: number;
  readonly order: number;
  readonly deadlineMs: number;
}

const WAKE = 0;
const PACKET = 1;
const STREAM_ASK = 2;
const STREAM_END = 3;
const RESUME = 4;
const ACT = 5;

const START_MS = 1_000_000;
/** Packets that wait at a blocked member; a usual receive buffer holds some 200. */
const INBOX_MAX = 1024;
const TCP_RETRANSMIT_MS = 200;
/** More happenings at one instant are a loop. */
const AT_ONCE_MAX = 1_000_000;

export class MeshWorld {
  readonly nodes: Node[] = [];
  readonly config: SwimConfig;
  readonly seed: number;
  nowMs = START_MS;
  packets = 0;
  bytes = 0;
  lost = 0;
  streams = 0;
  streamBytes = 0;
  hash = 0;
  onEvent: (node: Node, event: SwimEvent) => void = () => {};
  onPacket: ((from: Node, to: Node | undefined, packet: Uint8Array) => void) | undefined;
  readonly #prng: Prng;
  readonly #calendar = new Calendar();
  readonly #names = new Names();
  readonly #rules: SwimRules;
  readonly #loss: number;
  readonly #duplication: number;
  readonly #delayMs: number;
  readonly #jitterMs: number;
  readonly #byAddress = new Map<string, number>();
  readonly #streams = new Map<number, Stream>();
  readonly #acts: (() => void)[] = [];
  #streamSeq = 0;
  #atOnce = 0;
  /** By node: its side; traffic from side a to side b is cut when `cuts` says so. */
  #sides: Uint8Array;
  #cuts: ReadonlySet<number> = new Set();

  constructor(options: WorldOptions) {
    this.seed = options.seed;
    this.#prng = new Prng(options.seed);
    this.config = { ...defaultsOf(swimSettings), ...options.config };
    this.#rules = options.rules ?? FULL_RULES;
    this.#loss = options.loss ?? 0;
    this.#duplication = options.duplication ?? 0;
    this.#delayMs = options.delayMs ?? 0.2;
    this.#jitterMs = options.jitterMs ?? 0.3;
    this.#sides = new Uint8Array(options.nodes);
    for (let index = 0; index < options.nodes; index += 1) this.add();
  }

  /** A node more; it knows nobody yet. */
  add(id = `agent-${String(this.nodes.length).padStart(4, "0")}`): Node {
    const index = this.nodes.length;
    const address = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}:7946`;
    const node = new Node(index, id, address, this.#start(id, address, index + 1));
    this.nodes.push(node);
    this.#byAddress.set(address, index);
    if (index >= this.#sides.length) {
      const wider = new Uint8Array(index * 2 + 1);
      wider.set(this.#sides);
      this.#sides = wider;
    }
    return node;
  }

  #start(id: string, address: string, identity: number): Swim {
    const incarnation = Math.floor(this.nowMs / 1000);
    const meta = new Uint8Array(48).fill(identity & 255);
    const self = { cluster: "simulated", id, address, identity, incarnation, meta };
    return new Swim(this.config, self, new Prng(this.#prng.nextU32()), this.nowMs, this.#names, this.#rules);
  }

  /** Everybody learns of everybody without traffic, as if the mesh had been there for long. */
  acquaint(): void {
    const [first] = this.nodes;
    if (first === undefined) return;
    const orders = this.nodes.slice(1).map((node) => {
      node.swim.join([first.address], this.nowMs);
      const order = node.swim.take().streams[0]!;
      first.swim.answer(order.frame, this.nowMs);
      return order;
    });
    const state = orders.length === 0 ? undefined : first.swim.answer(orders[0]!.frame, this.nowMs);
    for (const [index, order] of orders.entries()) {
      const node = this.nodes[index + 1]!;
      node.swim.streamed(order.id, state, this.nowMs);
      this.#drain(node);
    }
    this.#drain(first);
  }

  join(node: Node, through: Node): void {
    node.swim.join([through.address], this.nowMs);
    this.#drain(node);
  }

  crash(node: Node): void {
    node.up = false;
    node.life += 1;
    node.inbox = [];
    node.outbox = [];
    node.stall = undefined;
    node.wakeAtMs = Infinity;
  }

  /** The same node starts again, perhaps elsewhere, and joins through another. */
  restart(node: Node, through: Node, address = node.address): void {
    if (node.up) this.crash(node);
    node.up = true;
    if (address !== node.address) {
      this.#byAddress.delete(node.address);
      this.#byAddress.set(address, node.index);
      node.address = address;
    }
    node.scheduledAtMs = Infinity;
    node.swim = this.#start(node.id, address, node.index + 1);
    this.join(node, through);
  }

  leave(node: Node): void {
    node.swim.leave(this.nowMs);
    this.#drain(node);
  }

  setMeta(node: Node, meta: Uint8Array): void {
    node.swim.setProfile({ meta }, this.nowMs);
    this.#drain(node);
  }

  /** Blocks a node until then. */
  stall(node: Node, kind: Stall, untilMs: number): void {
    if (!node.up || node.stall !== undefined) return;
    node.stall = kind;
    this.#calendar.add(untilMs, { kind: RESUME, node: node.index, other: node.life, bytes: undefined });
  }

  /** Cuts traffic between nodes of different sides; only from the first to the others where `oneWay`. */
  partition(sideOf: (node: Node) => number, oneWay = false): void {
    for (const node of this.nodes) this.#sides[node.index] = sideOf(node);
    const cuts = new Set<number>();
    for (let from = 0; from < 8; from += 1) {
      for (let to = 0; to < 8; to += 1) if (from !== to && (!oneWay || from === 0)) cuts.add(from * 8 + to);
    }
    this.#cuts = cuts;
  }

  heal(): void {
    this.#cuts = new Set();
  }

  /** Something to do at a time of the run. */
  at(atMs: number, act: () => void): void {
    this.#acts.push(act);
    this.#calendar.add(atMs, { kind: ACT, node: 0, other: this.#acts.length - 1, bytes: undefined });
  }

  runFor(ms: number): void {
    const untilMs = this.nowMs + ms;
    const calendar = this.#calendar;
    for (let nextAtMs = calendar.nextAtMs; nextAtMs <= untilMs; nextAtMs = calendar.nextAtMs) {
      if (nextAtMs > this.nowMs) this.#atOnce = 0;
      else if ((this.#atOnce += 1) > AT_ONCE_MAX) throw new Error(`time stands still: SEED=${this.seed}`);
      this.nowMs = Math.max(this.nowMs, nextAtMs);
      const { kind, node, other, bytes } = calendar.pop();
      if (kind === WAKE) this.#wake(this.nodes[node]!);
      else if (kind === PACKET) this.#deliver(this.nodes[node]!, other, bytes!);
      else if (kind === STREAM_ASK) this.#streamAsk(other, bytes!);
      else if (kind === STREAM_END) this.#streamEnd(other, bytes);
      else if (kind === RESUME) this.#resume(this.nodes[node]!, other);
      else this.#acts[other]!();
    }
    this.nowMs = untilMs;
  }

  #wake(node: Node): void {
    if (!node.up) return;
    if (node.scheduledAtMs <= this.nowMs) node.scheduledAtMs = Infinity;
    if (node.stall === "process") return;
    if (node.wakeAtMs <= this.nowMs) {
      node.swim.wake(this.nowMs);
      this.#drain(node);
    } else this.#schedule(node);
  }

  #schedule(node: Node): void {
    if (node.wakeAtMs >= node.scheduledAtMs || node.wakeAtMs === Infinity) return;
    node.scheduledAtMs = node.wakeAtMs;
    this.#calendar.add(node.wakeAtMs, { kind: WAKE, node: node.index, other: 0, bytes: undefined });
  }

  #deliver(node: Node, from: number, packet: Uint8Array): void {
    if (!node.up) return;
    if (node.stall !== undefined) {
      if (node.inbox.length < INBOX_MAX) node.inbox.push({ from, packet });
      return;
    }
    node.swim.receive(this.nodes[from]!.address, packet, this.nowMs);
    this.#drain(node);
  }

  #resume(node: Node, life: number): void {
    if (node.life !== life || node.stall === undefined) return;
    node.stall = undefined;
    const { inbox, outbox } = node;
    node.inbox = [];
    node.outbox = [];
    for (const { to, packet } of outbox) this.#transmit(node, to, packet);
    if (node.wakeAtMs <= this.nowMs) {
      node.swim.wake(this.nowMs);
      this.#drain(node);
    }
    for (const { from, packet } of inbox) this.#deliver(node, from, packet);
  }

  /** Carries out what the node wants done. */
  #drain(node: Node): void {
    const { sends, streams, events, wakeAtMs } = node.swim.take();
    for (const { to, packet } of sends) {
      const target = this.#byAddress.get(to) ?? -1;
      if (node.stall === undefined) this.#transmit(node, target, packet);
      else node.outbox.push({ to: target, packet });
    }
    for (const { id, to, frame, timeoutMs } of streams) {
      this.#openStream(node, this.#byAddress.get(to) ?? -1, id, frame, timeoutMs);
    }
    for (const event of events) this.onEvent(node, event);
    node.wakeAtMs = wakeAtMs;
    this.#schedule(node);
  }

  #isCut(from: number, to: number): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(this.#sides[from]! * 8 + this.#sides[to]!);
  }

  #transmit(node: Node, to: number, packet: Uint8Array): void {
    this.packets += 1;
    this.bytes += packet.length;
    // A packet's checksum stands for its bytes.
    const sum = packet[4]! | (packet[5]! << 8) | (packet[6]! << 16) | (packet[7]! << 24);
    let hash = Math.imul(this.hash ^ sum, 0x9e3779b1);
    hash = Math.imul((hash ^ (hash >>> 15)) + node.index * 65_537 + to, 0x85ebca6b);
    this.hash = Math.imul(hash ^ (hash >>> 13) ^ Math.floor(this.nowMs * 1000), 0xc2b2ae35) >>> 0;
    this.onPacket?.(node, this.nodes[to], packet);
    if (to < 0) return;
    const prng = this.#prng;
    if (this.#isCut(node.index, to) || (this.#loss > 0 && prng.next() < this.#loss)) {
      this.lost += 1;
      return;
    }
    this.#send(node.index, to, packet);
    if (this.#duplication > 0 && prng.next() < this.#duplication) this.#send(node.index, to, packet);
  }

  #send(from: number, to: number, packet: Uint8Array): void {
    this.#calendar.add(this.nowMs + this.#tripMs(), { kind: PACKET, node: to, other: from, bytes: packet });
  }

  #tripMs(): number {
    return this.#delayMs + this.#prng.exponential(this.#jitterMs);
  }

  #openStream(node: Node, server: number, order: number, frame: Uint8Array, timeoutMs: number): void {
    this.streams += 1;
    this.streamBytes += frame.length;
    const id = this.#streamSeq++;
    const deadlineMs = this.nowMs + timeoutMs;
    this.#streams.set(id, { client: node.index, clientLife: node.life, server, order, deadlineMs });
    if (server < 0 || this.#isCut(node.index, server) || this.#isCut(server, node.index) || !this.nodes[server]!.up) {
      this.#calendar.add(deadlineMs, { kind: STREAM_END, node: 0, other: id, bytes: undefined });
      return;
    }
    // The handshake, then the question; a lost segment is sent again.
    let tripMs = 3 * this.#tripMs();
    for (let leg = 0; leg < 3; leg += 1) if (this.#prng.next() < this.#loss) tripMs += TCP_RETRANSMIT_MS;
    this.#calendar.add(this.nowMs + tripMs, { kind: STREAM_ASK, node: 0, other: id, bytes: frame });
  }

  #streamAsk(id: number, frame: Uint8Array): void {
    const stream = this.#streams.get(id)!;
    const server = this.nodes[stream.server]!;
    const isCut = this.#isCut(stream.client, stream.server) || this.#isCut(stream.server, stream.client);
    if (this.nowMs >= stream.deadlineMs || !server.up || isCut) {
      const endMs = Math.max(this.nowMs, stream.deadlineMs);
      this.#calendar.add(endMs, { kind: STREAM_END, node: 0, other: id, bytes: undefined });
      return;
    }
    if (server.stall !== undefined || this.nodes[stream.client]!.stall === "io") {
      this.#calendar.add(this.nowMs + 50, { kind: STREAM_ASK, node: 0, other: id, bytes: frame });
      return;
    }
    const answer = server.swim.answer(frame, this.nowMs);
    this.#drain(server);
    this.streamBytes += answer?.length ?? 0;
    this.#calendar.add(this.nowMs + this.#tripMs(), { kind: STREAM_END, node: 0, other: id, bytes: answer });
  }

  #streamEnd(id: number, answer: Uint8Array | undefined): void {
    const stream = this.#streams.get(id)!;
    const client = this.nodes[stream.client]!;
    if (client.stall !== undefined) {
      this.#calendar.add(this.nowMs + 50, { kind: STREAM_END, node: 0, other: id, bytes: answer });
      return;
    }
    this.#streams.delete(id);
    if (!client.up || client.life !== stream.clientLife) return;
    client.swim.streamed(stream.order, answer, this.nowMs);
    this.#drain(client);
  }
}
