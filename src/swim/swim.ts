/**
 * Membership by SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2018): who is in the mesh,
 * and who has failed. DESIGN.md tells what goes beyond the papers and what it is worth.
 *
 *     const swim = new Swim(config, { cluster, id, address, identity, incarnation, meta }, prng, nowMs);
 *     swim.join(["10.0.0.1:7946"], nowMs);            // orders an exchange with each
 *     swim.receive(from, packet, nowMs);              // a datagram came
 *     swim.wake(nowMs);                               // at or after wakeAtMs
 *     const { sends, streams, events, wakeAtMs } = swim.take();   // after every call above or below
 *
 * The shell sends each of `sends`, and carries each of `streams` out over TCP (connect, write `frame`, read one frame,
 * close), telling the end of it by `streamed(order.id, answer or undefined, nowMs)`. For a frame that it receives on a
 * connection that it accepted, it writes what `answer(frame, nowMs)` returns (undefined: it just closes). Frames of
 * datagrams and streams both begin with a header that names cluster and version; the shell encrypts them as a whole.
 *
 * `setProfile({ meta, address }, nowMs)` tells the mesh of new metadata or a new address; `leave(nowMs)` takes leave, and
 * the event `left` with one's own id says that it is told. `members()`, `member(id)`, `distance(a, b)` look.
 *
 * Identity. `id` is the name. `identity` is a number that a node keeps as long as it is the same node (on its disk, or
 * handed over at an upgrade); `incarnation` is larger at each start, say the seconds since 1970. Two claims to one id
 * are the same node, and the higher incarnation is its present, if identity or address is the same. Else they are in
 * conflict: the one that was there first stays while it answers, the newcomer is refused, both hear of it.
 *
 * Addresses are what packets come from: a packet whose sender is not a member's address gets no more than a bare
 * answer to its ping, and nothing that it says is believed. So a node must announce the address that it sends from.
 *
 * Limits: members, rumours, packet size by config; accusers, metadata and names by wire.ts. Recovery: a lost update is
 * made good by push/pull; a wrong death by its victim's refutation; a partition by trying failed members again.
 */
import { assert } from "../base/assert.ts";
import { Heap } from "../base/heap.ts";
import type { Prng } from "../base/prng.ts";
import { Acquaintances } from "./acquaintance.ts";
import { type Coordinate, coordinateDistance, Vivaldi } from "./coordinate.ts";
import type { JoinResult, Member, StreamOrder, SwimEvent, SwimEventKind, SwimOutput } from "./event.ts";
import { PURPOSE, Records, readWords, REFUSAL, STREAM, writeRecord } from "./exchange.ts";
import { Inbox } from "./inbox.ts";
import { Names } from "./lexicon.ts";
import { Members, STATUS, STATUS_WORDS } from "./members.ts";
import { Outbox } from "./outbox.ts";
import { NOBODY, Rumours } from "./rumours.ts";
import { FULL_RULES, type SwimConfig, type SwimRules } from "./settings.ts";
import { PROBE, Probe, Suspicion, type Timer } from "./timer.ts";
import { ACCUSERS_MAX, clusterMark, type ClusterMark, FRAME, MESSAGE, Reader, Writer } from "./wire.ts";
import { META_BYTES_MAX, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN } from "./wire.ts";

/** This node, as it starts. */
export interface SwimSelf {
  readonly cluster: string;
  readonly id: string;
  /** "host:port", as others see our packets come from. */
  readonly address: string;
  /** 32 bits that stay with the node; 0: it has none, and only its address tells it from others. */
  readonly identity: number;
  readonly incarnation: number;
  /** Up to 512 bytes. */
  readonly meta: Uint8Array;
}

/** Packets and frames that were dropped, by reason. */
export interface SwimDrops {
  malformed: number;
  otherCluster: number;
  otherVersion: number;
  /** Claims of senders that are no members. */
  strangers: number;
}

/** A stream under way. */
interface Order {
  readonly kind: "ping" | "digest" | "state";
  readonly to: string;
  /** Of a ping: its probe. */
  readonly seq: number;
}

/** Packets are read by one inbox: a packet is done with before the next one is looked at. */
const inbox = new Inbox();
const reader = new Reader();
const stateWriter = new Writer(65_536, true);

const WITNESS_PROBES_MAX = 32;
const RELAYS_MAX = 256;
/** A death that we are only told of is believed when so many members accuse. */
const DEATH_ACCUSERS = 3;
const RECONNECTS_A_TICK = 8;
/** After a failed member answered, the others are tried fast for this long. */
const HEALING_MS = 15_000;

export class Swim {
  readonly drops: SwimDrops = { malformed: 0, otherCluster: 0, otherVersion: 0, strangers: 0 };
  readonly #config: SwimConfig;
  readonly #rules: SwimRules;
  readonly #prng: Prng;
  readonly #names: Names;
  readonly #members: Members;
  readonly #outbox: Outbox;
  readonly #rumours: Rumours;
  readonly #mark: ClusterMark;
  readonly #vivaldi: Vivaldi;
  readonly #acquaintances = new Acquaintances();
  readonly #timers = new Heap<Timer>();
  readonly #suspicions = new Map<number, Suspicion>();
  /** Pings under way by their number, and by target those whose end has consequences. */
  readonly #probes = new Map<number, Probe>();
  readonly #probing = new Map<number, Probe>();
  readonly #orders = new Map<number, Order>();
  /** When a failed member was last told of it, or a conflict reported. */
  readonly #toldAtMs = new Map<number, number>();
  readonly #self: number;
  #selfAddress: string;
  #streams: StreamOrder[] = [];
  #events: SwimEvent[] = [];
  #seq: number;
  #orderSeq = 0;
  #relays = 0;
  #witnessing = 0;
  /** Local health: 0 is good. */
  #awareness = 0;
  /** The core's clock stands still while this member is not run; it is behind the shell's by this much. */
  #pausedMs = 0;
  #nowMs: number;
  #wakeAtMs: number;
  /** The same on the core's clock. */
  #dueAtMs = -Infinity;
  #nextProbeAtMs: number;
  #nextGossipAtMs = Infinity;
  #nextPushPullAtMs: number;
  #nextReconnectAtMs: number;
  #healUntilMs = -Infinity;
  #healCursor = 0;
  /** When push/pull was last brought forward. */
  #hurriedAtMs = -Infinity;
  /** When any packet came last. */
  #heardAtMs: number;
  #phase: "starting" | "running" | "leaving" | "left" | "replaced" = "starting";
  #leaveBy = Infinity;
  /** The packet at hand accuses this node. */
  #wasAccused = false;
  #transmitFor = -1;
  #transmitLimit = 0;

  constructor(
    config: SwimConfig,
    self: SwimSelf,
    prng: Prng,
    nowMs: number,
    names: Names = new Names(),
    rules: SwimRules = FULL_RULES,
  ) {
    assert(self.meta.length <= META_BYTES_MAX, "metadata has at most 512 bytes");
    assert(/^[!-~]{1,128}$/.test(self.id), `an id is 1 to 128 printable characters, got "${self.id}"`);
    assert(/^[!-~]{1,262}$/.test(self.address), `an address is host:port, got "${self.address}"`);
    this.#config = config;
    this.#rules = rules;
    this.#prng = prng;
    this.#names = names;
    this.#members = new Members(names);
    this.#mark = clusterMark(self.cluster);
    this.#outbox = new Outbox(this.#members, this.#mark, config.packetBytesMax);
    this.#rumours = new Rumours(config.rumoursMax);
    this.#vivaldi = new Vivaldi(prng);
    this.#seq = prng.nextU32() >>> 1;
    this.#nowMs = nowMs;
    this.#wakeAtMs = nowMs;
    this.#heardAtMs = nowMs;
    // Members that start together must not act together.
    this.#nextProbeAtMs = nowMs + prng.next() * config.probeIntervalMs;
    this.#nextPushPullAtMs = nowMs + prng.next() * config.pushPullIntervalMs;
    this.#nextReconnectAtMs = nowMs + prng.next() * config.reconnectIntervalMs;
    const members = this.#members;
    const id = names.ids.holdText(self.id);
    const meta = names.metas.hold(self.meta, 0, self.meta.length);
    members.add(id, names.addresses.holdText(self.address), meta);
    members.addSelf(id, self.incarnation, this.#tenths());
    members.identity[id] = self.identity >>> 0;
    members.versions[id] = (PROTOCOL_VERSION_MIN << 8) | PROTOCOL_VERSION;
    this.#self = id;
    this.#selfAddress = self.address;
  }

  // ---- what the shell says

  /** A datagram came. */
  receive(from: string, packet: Uint8Array, nowMs: number): void {
    this.#clock(nowMs);
    if (this.#phase === "replaced") return;
    const fault = inbox.read(packet, this.#mark, this.#names.ids);
    if (fault !== undefined) {
      this.#drop(fault);
      return;
    }
    const sender = this.#members.tenant(this.#names.addresses.findText(from));
    this.#heardAtMs = this.#nowMs;
    this.#wasAccused = false;
    let pings = 0;
    for (let at = 0; at < inbox.count; at += 1) {
      if (inbox.kind[at] === MESSAGE.ping) pings += 1;
      else if (inbox.kind[at] === MESSAGE.ack) this.#acked(at, sender);
      else if (inbox.kind[at] === MESSAGE.nack) this.#nacked(inbox.number[at]!);
      else if (sender < 0 || sender === this.#self) this.drops.strangers += 1;
      else this.#claimed(at, from);
    }
    // Pings come last, so that an answer carries what the packet's claims gave rise to.
    if (pings > 0) {
      const hash = this.#names.ids.hash(this.#self) >>> 0;
      for (let at = 0; at < inbox.count; at += 1) {
        if (inbox.kind[at] !== MESSAGE.ping || inbox.second[at] !== hash) continue;
        this.#answerPing(from, sender, inbox.number[at]!);
        // One answer a packet: many pings in one would make more bytes of few.
        break;
      }
    }
    if (sender >= 0 && this.#members.status[sender] === STATUS.failed) this.#tellFailed(sender);
  }

  /** Time has passed. */
  wake(nowMs: number): void {
    this.#clock(nowMs);
    if (this.#phase === "replaced" || this.#phase === "left") return;
    const now = this.#nowMs;
    for (let timer = this.#timers.peek(); timer !== undefined && timer.heapKey <= now; timer = this.#timers.peek()) {
      this.#timers.pop();
      if (timer instanceof Suspicion) this.#ranOut(timer);
      else this.#unanswered(timer);
    }
    if (this.#nextGossipAtMs <= now) this.#gossip();
    if (this.#phase === "leaving") {
      if (now >= this.#leaveBy || this.#rumours.get(this.#self) === undefined) this.#leaveTold();
      return;
    }
    if (this.#nextProbeAtMs <= now) {
      this.#nextProbeAtMs = Math.max(now, this.#nextProbeAtMs) + this.#config.probeIntervalMs * this.#slowness();
      this.#probeNext();
    }
    if (this.#nextPushPullAtMs <= now) this.#pushPull();
    if (this.#nextReconnectAtMs <= now) this.#reconnect();
  }

  /** What to do since the last take. */
  take(): SwimOutput {
    const { sends } = this.#outbox;
    const streams = this.#streams;
    const events = this.#events;
    if (sends.length > 0) this.#outbox.sends = [];
    if (streams.length > 0) this.#streams = [];
    if (events.length > 0) this.#events = [];
    if (this.#rumours.size > 0 && this.#nextGossipAtMs === Infinity) {
      this.#nextGossipAtMs = this.#nowMs + this.#prng.next() * this.#config.gossipIntervalMs;
    }
    const timerAtMs = this.#timers.peek()?.heapKey ?? Infinity;
    let dueAtMs = Math.min(timerAtMs, this.#nextGossipAtMs);
    if (this.#phase === "starting" || this.#phase === "running") {
      dueAtMs = Math.min(dueAtMs, this.#nextProbeAtMs, this.#nextPushPullAtMs, this.#nextReconnectAtMs);
    } else dueAtMs = this.#phase === "leaving" ? Math.min(dueAtMs, this.#leaveBy) : Infinity;
    this.#dueAtMs = dueAtMs;
    this.#wakeAtMs = dueAtMs + this.#pausedMs;
    return { sends, streams, events, wakeAtMs: this.#wakeAtMs };
  }

  /** Orders an exchange with each address; how each ended is told by `streamed`. */
  join(addresses: readonly string[], nowMs: number): void {
    this.#clock(nowMs);
    for (const address of addresses) if (address !== this.#selfAddress) this.#orderState(address, PURPOSE.join);
  }

  /** An order's stream ended: with an answer, or undefined. Undefined for orders that were only a probe. */
  streamed(id: number, answer: Uint8Array | undefined, nowMs: number): JoinResult | undefined {
    this.#clock(nowMs);
    const order = this.#orders.get(id);
    if (order === undefined) return undefined;
    this.#orders.delete(id);
    if (answer === undefined) return order.kind === "ping" ? undefined : "unreachable";
    const fault = reader.open(answer, FRAME.stream, this.#mark);
    if (fault !== undefined) {
      this.#drop(fault);
      return "malformed";
    }
    const kind = reader.byte();
    if (order.kind === "ping") {
      if (kind === STREAM.pong) this.#streamPonged(order.seq);
      return undefined;
    }
    if (kind === STREAM.same || kind === STREAM.done) return "joined";
    if (kind === STREAM.refused) return this.#wasRefused();
    if (kind !== STREAM.state) return "malformed";
    reader.byte();
    const digest = reader.fixed32();
    const records = new Records(reader);
    if (!records.check()) {
      this.drops.malformed += 1;
      return "malformed";
    }
    const wasStarting = this.#phase === "starting";
    this.#mergeRecords(records, wasStarting);
    if (wasStarting) this.#started();
    // Who was asked by digest alone does not know our side yet.
    if (order.kind === "digest" && this.#members.digest !== digest) this.#orderState(order.to, PURPOSE.push);
    return "joined";
  }

  /** The answer to a frame on a connection that the shell accepted; undefined: none. */
  answer(frame: Uint8Array, nowMs: number): Uint8Array | undefined {
    this.#clock(nowMs);
    if (this.#phase === "replaced" || this.#phase === "left") return undefined;
    const fault = reader.open(frame, FRAME.stream, this.#mark);
    if (fault !== undefined) {
      this.#drop(fault);
      return undefined;
    }
    const kind = reader.byte();
    if (kind === STREAM.ping) {
      const isMe = reader.fixed32() === this.#names.ids.hash(this.#self) >>> 0;
      return isMe && !reader.bad ? this.#shortFrame(STREAM.pong) : undefined;
    }
    if (kind === STREAM.digest) {
      const digest = reader.fixed32();
      if (reader.bad) return undefined;
      return digest === this.#members.digest ? this.#shortFrame(STREAM.same) : this.#stateFrame(PURPOSE.answer);
    }
    if (kind !== STREAM.state) return undefined;
    const purpose = reader.byte();
    reader.fixed32();
    const records = new Records(reader);
    if (!records.check()) {
      this.drops.malformed += 1;
      return undefined;
    }
    const refusal = this.#refusal(records);
    if (refusal !== undefined) return refusal;
    this.#heardAtMs = this.#nowMs;
    this.#mergeRecords(records, false);
    return purpose === PURPOSE.push ? this.#shortFrame(STREAM.done) : this.#stateFrame(PURPOSE.answer);
  }

  /** New metadata (up to 512 bytes), or a new address. */
  setProfile(profile: { readonly meta?: Uint8Array; readonly address?: string }, nowMs: number): void {
    this.#clock(nowMs);
    const members = this.#members;
    const { meta, address } = profile;
    if (meta !== undefined) {
      assert(meta.length <= META_BYTES_MAX, "metadata has at most 512 bytes");
      const before = members.meta[this.#self]!;
      members.meta[this.#self] = this.#names.metas.hold(meta, 0, meta.length);
      this.#names.metas.release(before);
    }
    if (address !== undefined) {
      members.setAddress(this.#self, this.#names.addresses.holdText(address));
      this.#selfAddress = address;
    }
    this.#raiseSelf(members.incarnation[this.#self]!);
    members.profile[this.#self] = members.incarnation[this.#self]!;
    this.#spread(this.#self, MESSAGE.alive);
  }

  /** Takes leave: gossips it, then reports the event `left` with this node's id. */
  leave(nowMs: number): void {
    this.#clock(nowMs);
    if (this.#phase !== "starting" && this.#phase !== "running") return;
    this.#phase = "leaving";
    this.#leaveBy = this.#nowMs + this.#config.gossipIntervalMs * 20;
    this.#spread(this.#self, MESSAGE.left);
    for (const suspicion of this.#suspicions.values()) this.#timers.remove(suspicion);
    this.#suspicions.clear();
  }

  // ---- what the shell asks

  get id(): string {
    return this.#names.ids.text(this.#self);
  }

  get incarnation(): number {
    return this.#members.incarnation[this.#self]!;
  }

  /** 0 is good; probes are slower by this many times their pace. */
  get health(): number {
    return this.#awareness;
  }

  /** Members present (alive or suspect), this node among them. */
  get size(): number {
    return this.#members.presentCount + 1;
  }

  /** The same number in nodes that agree about who is there, at which incarnation. */
  get digest(): number {
    return this.#members.digest;
  }

  member(id: string): Member | undefined {
    const handle = this.#names.ids.findText(id);
    return this.#members.known(handle) ? this.#view(handle) : undefined;
  }

  /** Without building a view: the status of one member, "none" when it is not known. */
  status(id: string): (typeof STATUS_WORDS)[number] {
    const handle = this.#names.ids.findText(id);
    return this.#members.known(handle) ? STATUS_WORDS[this.#members.status[handle]!]! : "none";
  }

  /** All members, this node first. */
  members(): Member[] {
    const members = this.#members;
    const views = [this.#view(this.#self)];
    for (let index = 0; index < members.presentCount; index += 1) views.push(this.#view(members.presentAt(index)));
    for (const id of members.lost) views.push(this.#view(id));
    return views;
  }

  /** The round trip to expect between two members, in milliseconds; undefined where a coordinate is missing. */
  distance(a: string, b: string): number | undefined {
    const from = this.#coordinate(this.#names.ids.findText(a));
    const to = this.#coordinate(this.#names.ids.findText(b));
    return from === undefined || to === undefined ? undefined : coordinateDistance(from, to);
  }

  #coordinate(id: number): Coordinate | undefined {
    return id === this.#self ? this.#vivaldi.own : this.#acquaintances.coordinate(id);
  }

  #view(id: number): Member {
    const members = this.#members;
    const versions = members.versions[id]!;
    const answeredAtMs = this.#acquaintances.answeredAtMs(id);
    return {
      id: this.#names.ids.text(id),
      address: this.#names.addresses.text(members.address[id]!),
      status: STATUS_WORDS[members.status[id]!] as Member["status"],
      incarnation: members.incarnation[id]!,
      sinceMs: members.since[id]! * 100 + this.#pausedMs,
      versions: [versions >>> 8, versions & 255],
      meta: this.#names.metas.bytes(members.meta[id]!),
      rttMs: this.#acquaintances.rttMs(id),
      answeredAtMs: answeredAtMs === undefined ? undefined : answeredAtMs + this.#pausedMs,
    };
  }

  // ---- time

  /** Late inputs never turn the clock back. A member that was not run when it should have been stops its clock. */
  #clock(nowMs: number): void {
    const lateMs = nowMs - this.#wakeAtMs;
    if (this.#rules.selfDoubt && lateMs > this.#config.probeTimeoutMs / 2) {
      this.#pausedMs += lateMs;
      this.#wakeAtMs = nowMs;
      this.#ail(Math.ceil(lateMs / this.#config.probeIntervalMs));
    }
    // What is due at wakeAtMs is due then, however the two clocks' difference was rounded.
    if (nowMs >= this.#wakeAtMs && lateMs < 1) this.#nowMs = Math.max(this.#nowMs, this.#dueAtMs);
    this.#nowMs = Math.max(this.#nowMs, nowMs - this.#pausedMs);
  }

  #tenths(): number {
    return Math.max(0, Math.floor(this.#nowMs / 100)) % 2 ** 32;
  }

  #slowness(): number {
    return this.#rules.localHealth ? this.#awareness + 1 : 1;
  }

  #ail(by: number): void {
    if (!this.#rules.localHealth) return;
    this.#awareness = Math.min(this.#config.awarenessMax - 1, Math.max(0, this.#awareness + by));
  }

  #wait(timer: Timer, untilMs: number): void {
    this.#timers.remove(timer);
    timer.heapKey = untilMs;
    this.#timers.push(timer);
  }

  #drop(fault: "malformed" | "other cluster" | "other version"): void {
    if (fault === "malformed") this.drops.malformed += 1;
    else if (fault === "other cluster") this.drops.otherCluster += 1;
    else this.drops.otherVersion += 1;
  }

  #event(kind: SwimEventKind, id: number, cause: string): void {
    this.#events.push({
      kind,
      id: this.#names.ids.text(id),
      address: this.#names.addresses.text(this.#members.address[id]!),
      incarnation: this.#members.incarnation[id]!,
      cause,
    });
  }

  #addressOf(id: number): string {
    return this.#names.addresses.text(this.#members.address[id]!);
  }

  #idOf(id: number): string {
    return this.#names.ids.text(id);
  }

  // ---- probing

  #probeNext(): void {
    const target = this.#members.nextInRound(this.#prng);
    if (target >= 0 && !this.#probing.has(target)) this.#probe(PROBE.own, target);
  }

  #probe(kind: number, target: number): void {
    const probe = new Probe(kind, this.#nextSeq(), target, this.#nowMs);
    this.#probes.set(probe.seq, probe);
    this.#probing.set(target, probe);
    if (kind === PROBE.witness) this.#witnessing += 1;
    this.#ping(probe);
    this.#wait(probe, this.#nowMs + this.#config.probeTimeoutMs * this.#slowness());
  }

  #nextSeq(): number {
    this.#seq = this.#seq >= 0xffff_fff0 ? 1 : this.#seq + 1;
    return this.#seq;
  }

  #ping(probe: Probe): void {
    const { target, seq } = probe;
    const members = this.#members;
    this.#outbox.begin();
    this.#outbox.ping(seq, target);
    if (this.#rules.buddy || probe.kind === PROBE.reconnect) this.#accuse(target);
    if (members.status[target] !== STATUS.failed) this.#outboxFill();
    this.#outbox.send(this.#addressOf(target));
  }

  /** Puts what we hold against the member into the packet that goes to it. */
  #accuse(target: number): void {
    const status = this.#members.status[target]!;
    const kind = status === STATUS.suspect ? MESSAGE.suspect : status === STATUS.failed ? MESSAGE.dead : 0;
    if (kind === 0) return;
    const accusers = this.#suspicions.get(target)?.accusers ?? [this.#self];
    this.#outbox.claim(kind, target, this.#members.incarnation[target]!, accusers.slice(0, ACCUSERS_MAX));
  }

  #outboxFill(): number {
    return this.#rumours.size === 0 ? 0 : this.#rumours.fill(this.#outbox.rumour, this.#transmits());
  }

  /** How often each rumour is sent: more often in larger meshes. */
  #transmits(): number {
    const { size } = this;
    if (size !== this.#transmitFor) {
      this.#transmitFor = size;
      this.#transmitLimit = Math.ceil(this.#config.retransmitMult * Math.ceil(Math.log10(size + 1)));
    }
    return this.#transmitLimit;
  }

  #answerPing(from: string, sender: number, seq: number): void {
    this.#outbox.begin();
    const isMember = sender >= 0 && sender !== this.#self;
    this.#outbox.ack(seq, isMember ? this.#vivaldi.own : undefined);
    if (isMember) {
      if (this.#rules.buddy && this.#members.status[sender] === STATUS.suspect) this.#accuse(sender);
      // Who accuses us of something long refuted has missed the refutation.
      if (this.#wasAccused) this.#outbox.again(this.#self);
      this.#outboxFill();
    }
    this.#outbox.send(from);
  }

  #acked(at: number, sender: number): void {
    const probe = this.#probes.get(inbox.number[at]!);
    if (probe === undefined) return;
    if (probe.kind === PROBE.relay) {
      if (sender !== probe.target) return;
      this.#endProbe(probe);
      this.#outbox.begin();
      this.#outbox.ack(probe.originSeq, undefined);
      this.#outbox.send(probe.origin);
      return;
    }
    this.#endProbe(probe);
    if (sender === probe.target) {
      if (inbox.hasCoordinate[at] === 1) this.#measured(probe);
      if (this.#members.status[sender] === STATUS.failed) this.#failedAnswered(sender);
    }
    if (probe.kind === PROBE.own) this.#ail(-1);
  }

  #measured(probe: Probe): void {
    const rttMs = this.#nowMs - probe.sentAtMs;
    const medianMs = this.#acquaintances.observe(probe.target, rttMs, this.#nowMs);
    this.#acquaintances.place(probe.target, inbox.coordinate);
    this.#vivaldi.observe(inbox.coordinate, medianMs);
  }

  #nacked(seq: number): void {
    const probe = this.#probes.get(seq);
    if (probe !== undefined && probe.indirect) probe.nacks += 1;
  }

  #streamPonged(seq: number): void {
    const probe = this.#probes.get(seq);
    if (probe !== undefined) this.#endProbe(probe);
  }

  #endProbe(probe: Probe): void {
    this.#timers.remove(probe);
    this.#probes.delete(probe.seq);
    if (probe.kind === PROBE.relay) this.#relays -= 1;
    else if (this.#probing.get(probe.target) === probe) this.#probing.delete(probe.target);
    if (probe.kind === PROBE.witness) this.#witnessing -= 1;
  }

  /** A probe's time is over: the direct answer's, or all of it. */
  #unanswered(probe: Probe): void {
    if (probe.kind === PROBE.relay) {
      this.#endProbe(probe);
      if (!this.#rules.localHealth) return;
      this.#outbox.begin();
      this.#outbox.nack(probe.originSeq);
      this.#outbox.send(probe.origin);
      return;
    }
    if (probe.kind === PROBE.reconnect || !this.#members.present(probe.target)) {
      this.#endProbe(probe);
      return;
    }
    if (!probe.indirect) {
      this.#askOthers(probe);
      return;
    }
    this.#endProbe(probe);
    if (probe.kind === PROBE.own) {
      const missing = probe.nacksExpected - probe.nacks;
      this.#ail(probe.nacksExpected > 0 ? Math.max(0, missing) : 1);
    }
    this.#suspectMyself(probe);
  }

  #askOthers(probe: Probe): void {
    const config = this.#config;
    const { target } = probe;
    probe.indirect = true;
    probe.nacksExpected = this.#drawOthers(config.indirectChecks, target);
    for (let index = 0; index < probe.nacksExpected; index += 1) {
      this.#outbox.begin();
      this.#outbox.askPing(probe.seq, target);
      this.#outbox.send(this.#addressOf(this.#drawn[index]!));
    }
    const frame = this.#pingFrame(target);
    this.#order("ping", this.#addressOf(target), frame, probe.seq);
    const restMs = Math.max(config.probeIntervalMs - config.probeTimeoutMs, config.probeTimeoutMs);
    this.#wait(probe, this.#nowMs + restMs * this.#slowness());
  }

  readonly #drawn: number[] = [];

  /** Draws up to `count` different members that are thought alive, besides `except`, into #drawn. */
  #drawOthers(count: number, except: number): number {
    const members = this.#members;
    const drawn = this.#drawn;
    drawn.length = 0;
    // Enough tries to find all that there are in a small mesh, and few in one where most are suspect.
    for (let tries = count * 4; tries > 0 && drawn.length < count && members.presentCount > 0; tries -= 1) {
      const one = members.anyPresent(this.#prng);
      if (one !== except && members.status[one] === STATUS.alive && !drawn.includes(one)) drawn.push(one);
    }
    return drawn.length;
  }

  /** Another member asks for a probe. */
  #relay(at: number, from: string): void {
    const target = inbox.id[at]!;
    if (target === this.#self || !this.#members.known(target) || this.#relays >= RELAYS_MAX) return;
    const probe = new Probe(PROBE.relay, this.#nextSeq(), target, this.#nowMs, from, inbox.number[at]!);
    this.#probes.set(probe.seq, probe);
    this.#relays += 1;
    this.#ping(probe);
    // A nack must be back before the asker gives up.
    this.#wait(probe, this.#nowMs + this.#config.probeTimeoutMs * 0.8);
  }

  /** An accuser asks us to see for ourselves. */
  #witness(at: number): void {
    const target = inbox.id[at]!;
    if (target === this.#self || !this.#members.present(target)) return;
    if (inbox.number[at]! < this.#members.incarnation[target]!) return;
    if (this.#witnessing >= WITNESS_PROBES_MAX || this.#probing.has(target)) return;
    this.#probe(PROBE.witness, target);
  }

  // ---- suspicion

  /** Our own probe failed. */
  #suspectMyself(probe: Probe): void {
    const member = probe.target;
    const members = this.#members;
    const incarnation = members.incarnation[member]!;
    const isNew = members.status[member] === STATUS.alive;
    this.#addSuspicion(member, incarnation, [this.#self], "no answer to our probe, nor to those of others");
    if (!isNew || probe.kind !== PROBE.own || !this.#rules.dynamicSuspicion) return;
    const count = this.#drawOthers(this.#config.witnesses, member);
    for (let index = 0; index < count; index += 1) {
      this.#outbox.begin();
      this.#outbox.witness(member);
      this.#outbox.send(this.#addressOf(this.#drawn[index]!));
    }
  }

  /** Starts or confirms a suspicion, and spreads what is new in it. */
  #addSuspicion(member: number, incarnation: number, accusers: readonly number[], cause: string): boolean {
    const members = this.#members;
    let suspicion = this.#suspicions.get(member);
    const isNew = suspicion === undefined;
    if (suspicion === undefined) {
      suspicion = this.#suspicion(member);
      this.#suspicions.set(member, suspicion);
      members.set(member, STATUS.suspect, incarnation, this.#tenths(), this.#prng);
      this.#event("suspect", member, cause);
    } else if (incarnation > members.incarnation[member]!) {
      members.set(member, STATUS.suspect, incarnation, this.#tenths(), this.#prng);
    }
    let isNews = isNew;
    for (const accuser of accusers) if (suspicion.accuse(accuser)) isNews = true;
    if (!isNews) return false;
    this.#wait(suspicion, suspicion.deadlineMs);
    // A confirmation is news of less weight: who misses it waits longer, no more.
    const sent = isNew ? 0 : this.#transmits() >> 1;
    this.#rumours.put(member, MESSAGE.suspect, incarnation, suspicion.accusers.slice(0, ACCUSERS_MAX), sent);
    return true;
  }

  #suspicion(member: number): Suspicion {
    const config = this.#config;
    if (!this.#rules.dynamicSuspicion) {
      const fixed = this.#rules.fixedSuspicionMs;
      return new Suspicion(member, this.#nowMs, fixed, fixed, 0);
    }
    const scale = Math.max(2, Math.log10(Math.max(1, this.size)));
    const minMs = config.suspicionMult * scale * config.probeIntervalMs;
    return new Suspicion(member, this.#nowMs, minMs, minMs * config.suspicionMaxMult, this.#confirmationsWanted());
  }

  /** None where there are not enough members besides the suspect and the accuser. */
  #confirmationsWanted(): number {
    return this.size - 2 < this.#config.confirmations ? 0 : this.#config.confirmations;
  }

  #endSuspicion(member: number): void {
    const suspicion = this.#suspicions.get(member);
    if (suspicion === undefined) return;
    this.#suspicions.delete(member);
    this.#timers.remove(suspicion);
  }

  /** A suspicion was not refuted in time. */
  #ranOut(suspicion: Suspicion): void {
    if (this.#isAlone() && this.#nowMs < suspicion.startedAtMs + 3 * suspicion.maxMs) {
      this.#wait(suspicion, this.#nowMs + this.#config.probeIntervalMs);
      return;
    }
    const { member, accusers } = suspicion;
    const seconds = ((this.#nowMs - suspicion.startedAtMs) / 1000).toFixed(1);
    this.#fail(member, this.#members.incarnation[member]!, accusers, `suspected for ${seconds} s and did not refute`);
  }

  /** We hear nobody, though there should be others than the suspect: the fault may be ours. */
  #isAlone(): boolean {
    if (!this.#rules.selfDoubt || this.#members.presentCount < 2) return false;
    return this.#nowMs - this.#heardAtMs > this.#config.probeIntervalMs * 2;
  }

  #fail(member: number, incarnation: number, accusers: readonly number[], cause: string): void {
    const told = accusers.length === 0 ? [this.#self] : accusers.slice(0, ACCUSERS_MAX);
    this.#endSuspicion(member);
    this.#members.set(member, STATUS.failed, incarnation, this.#tenths(), this.#prng);
    this.#rumours.put(member, MESSAGE.dead, incarnation, told);
    this.#event("failed", member, cause);
  }

  // ---- claims

  #claimed(at: number, from: string): void {
    const kind = inbox.kind[at]!;
    if (kind === MESSAGE.askPing) this.#relay(at, from);
    else if (kind === MESSAGE.witness) this.#witness(at);
    else if (kind === MESSAGE.alive) this.#alive(at);
    else if (kind === MESSAGE.again) this.#again(at);
    else if (kind === MESSAGE.left) this.#departed(inbox.id[at]!, inbox.number[at]!);
    else this.#accused(at, kind);
  }

  /** News that we are spreading ourselves came back: others have it. */
  #heardAgain(member: number, kind: number, incarnation: number): void {
    const rumour = this.#rumours.get(member);
    if (rumour === undefined || rumour.kind !== kind || rumour.incarnation !== incarnation) return;
    const accusation = kind === MESSAGE.suspect || kind === MESSAGE.dead;
    // Only of failures, which every member finds for itself in the end: other news must reach everybody by gossip.
    if (this.#rules.damping && accusation) this.#rumours.count(rumour, this.#transmits());
  }

  #spread(member: number, kind: number, accusers: readonly number[] = NOBODY): void {
    const members = this.#members;
    const incarnation = members.incarnation[member]!;
    const before = this.#rumours.get(member);
    // A refutation must not hide a profile that is still on its way.
    const whole = kind === MESSAGE.again && before?.kind === MESSAGE.alive;
    this.#rumours.put(member, whole ? MESSAGE.alive : kind, incarnation, accusers);
  }

  #accused(at: number, kind: number): void {
    const member = inbox.id[at]!;
    const incarnation = inbox.number[at]!;
    if (member === this.#self) {
      if (this.#phase !== "leaving" && incarnation >= this.incarnation) this.#refute(incarnation);
      this.#wasAccused = true;
      return;
    }
    if (!this.#members.present(member) || incarnation < this.#members.incarnation[member]!) {
      if (this.#members.known(member)) this.#heardAgain(member, kind, incarnation);
      return;
    }
    const accusers: number[] = [];
    for (let index = 0; index < inbox.accuserCount[at]!; index += 1) {
      const accuser = inbox.accusers[at * ACCUSERS_MAX + index]!;
      // Only members can accuse; the accused cannot.
      if (accuser >= 0 && accuser !== member && this.#members.known(accuser)) accusers.push(accuser);
    }
    const by = accusers[0];
    if (by === undefined) return;
    if (kind === MESSAGE.dead && this.#isProven(member, accusers)) {
      this.#fail(member, incarnation, accusers, `declared failed, accused by ${this.#idOf(by)}`);
      return;
    }
    const isNews = this.#addSuspicion(member, incarnation, accusers, `accused by ${this.#idOf(by)}`);
    if (!isNews) this.#heardAgain(member, MESSAGE.suspect, incarnation);
  }

  /** Whether a death that we were told of needs no more evidence. */
  #isProven(member: number, accusers: readonly number[]): boolean {
    if (!this.#rules.evidence) return true;
    const wanted = Math.min(DEATH_ACCUSERS, this.#confirmationsWanted() + 1);
    let distinct = accusers.length;
    const suspicion = this.#suspicions.get(member);
    if (suspicion !== undefined) for (const one of suspicion.accusers) if (!accusers.includes(one)) distinct += 1;
    return distinct >= wanted;
  }

  #refute(claimed: number): void {
    if (this.#phase === "replaced") return;
    this.#raiseSelf(claimed);
    this.#ail(1);
    this.#spread(this.#self, this.#phase === "leaving" ? MESSAGE.left : MESSAGE.again);
  }

  #raiseSelf(above: number): void {
    const next = Math.min(0xffff_ffff, Math.max(this.incarnation, above) + 1);
    this.#members.raiseSelf(this.#self, next);
  }

  #departed(member: number, incarnation: number): void {
    if (member === this.#self) {
      if (this.#phase !== "leaving" && incarnation >= this.incarnation) this.#refute(incarnation);
      return;
    }
    const members = this.#members;
    if (!members.known(member) || incarnation < members.incarnation[member]!) return;
    if (members.status[member] === STATUS.left) {
      this.#heardAgain(member, MESSAGE.left, incarnation);
      return;
    }
    this.#endSuspicion(member);
    members.set(member, STATUS.left, incarnation, this.#tenths(), this.#prng);
    this.#spread(member, MESSAGE.left);
    this.#event("left", member, "took leave");
  }

  /** A refutation: alive as before, at a higher incarnation. */
  #again(at: number): void {
    const member = inbox.id[at]!;
    const incarnation = inbox.number[at]!;
    const members = this.#members;
    if (member === this.#self) {
      if (incarnation > this.incarnation) this.#refute(incarnation);
      return;
    }
    if (!members.known(member)) return;
    if (incarnation <= members.incarnation[member]!) {
      this.#heardAgain(member, MESSAGE.again, incarnation);
      return;
    }
    // One that took leave comes back by a whole announcement only.
    if (members.status[member] === STATUS.left) return;
    const knownProfile = members.profile[member]! >= inbox.second[at]!;
    if (knownProfile) members.profile[member] = incarnation;
    this.#revive(member, incarnation, "refuted");
    if (knownProfile) this.#spread(member, MESSAGE.again);
  }

  #revive(member: number, incarnation: number, cause: string): void {
    const before = this.#members.status[member]!;
    this.#endSuspicion(member);
    this.#members.set(member, STATUS.alive, incarnation, this.#tenths(), this.#prng);
    if (before === STATUS.failed) this.#soonPushPull();
    if (before === STATUS.suspect || before === STATUS.failed) this.#event("alive-again", member, cause);
    else if (before === STATUS.left) this.#event("joined", member, "back after taking leave");
  }

  #alive(at: number): void {
    this.#applyProfile(
      inbox.buffer,
      inbox.id[at]!,
      inbox.idStart[at]!,
      inbox.idEnd[at]!,
      inbox.number[at]!,
      inbox.number[at]!,
      inbox.second[at]!,
      inbox.versions[at]!,
      inbox.addressStart[at]!,
      inbox.addressEnd[at]!,
      inbox.metaStart[at]!,
      inbox.metaEnd[at]!,
      true,
    );
  }

  /**
   * What is said of a member's incarnation and profile, by gossip or in a state: `profile` is the incarnation at which
   * address, identity and metadata are known to be right.
   */
  #applyProfile(
    buffer: Uint8Array,
    known: number,
    idStart: number,
    idEnd: number,
    incarnation: number,
    profile: number,
    identity: number,
    versions: number,
    addressStart: number,
    addressEnd: number,
    metaStart: number,
    metaEnd: number,
    spread: boolean,
  ): void {
    const { names } = this.#members;
    const members = this.#members;
    const isKnown = members.known(known);
    if (isKnown && incarnation <= members.incarnation[known]! && profile <= members.profile[known]!) {
      this.#heardAgain(known, MESSAGE.alive, incarnation);
      return;
    }
    if (versions >>> 8 > PROTOCOL_VERSION || (versions & 255) < PROTOCOL_VERSION_MIN) return;
    if (!isKnown) {
      if (members.count + 1 >= this.#config.membersMax) return;
      const id = names.ids.hold(buffer, idStart, idEnd);
      names.ids.text(id);
      const address = names.addresses.hold(buffer, addressStart, addressEnd);
      names.addresses.text(address);
      members.add(id, address, names.metas.hold(buffer, metaStart, metaEnd));
      members.identity[id] = identity;
      members.versions[id] = versions;
      members.profile[id] = profile;
      members.set(id, STATUS.alive, incarnation, this.#tenths(), this.#prng);
      if (spread) this.#spread(id, MESSAGE.alive);
      this.#event("joined", id, "announced itself");
      return;
    }
    const address = names.addresses.find(buffer, addressStart, addressEnd);
    const isMoved = address !== members.address[known];
    if (isMoved && this.#isOther(known, identity) && (members.present(known) || known === this.#self)) {
      this.#conflict(known, incarnation, new TextDecoder().decode(buffer.subarray(addressStart, addressEnd)));
      return;
    }
    if (known === this.#self) {
      this.#aboutMyself(incarnation, isMoved);
      return;
    }
    let changed = "";
    if (profile > members.profile[known]!) {
      changed = this.#adoptProfile(known, buffer, address, addressStart, addressEnd, metaStart, metaEnd);
      members.profile[known] = profile;
      members.identity[known] = identity;
      members.versions[known] = versions;
    }
    const before = members.status[known]!;
    if (incarnation > members.incarnation[known]!) this.#revive(known, incarnation, "announced itself again");
    if (spread && members.present(known)) this.#spread(known, MESSAGE.alive);
    if (changed !== "" && before !== STATUS.left) this.#event("updated", known, changed);
  }

  /** What changed, in words; "" for nothing. */
  #adoptProfile(
    id: number,
    buffer: Uint8Array,
    address: number,
    addressStart: number,
    addressEnd: number,
    metaStart: number,
    metaEnd: number,
  ): string {
    const { names } = this.#members;
    const members = this.#members;
    const changes: string[] = [];
    if (address !== members.address[id]) {
      const held = names.addresses.hold(buffer, addressStart, addressEnd);
      changes.push(`moved from ${names.addresses.text(members.address[id]!)} to ${names.addresses.text(held)}`);
      members.setAddress(id, held);
      this.#acquaintances.forget(id);
    }
    const meta = names.metas.hold(buffer, metaStart, metaEnd);
    const before = members.meta[id]!;
    if (meta !== before) changes.push("new metadata");
    members.meta[id] = meta;
    names.metas.release(before);
    return changes.join(", ");
  }

  #isOther(id: number, identity: number): boolean {
    return identity === 0 || identity !== this.#members.identity[id];
  }

  /** Somebody told us of us, at a higher incarnation. */
  #aboutMyself(incarnation: number, isMoved: boolean): void {
    if (incarnation < this.incarnation) return;
    if (!isMoved || this.#phase === "starting") {
      // An earlier life of ours: we are its present.
      this.#raiseSelf(incarnation);
      this.#members.profile[this.#self] = this.incarnation;
      if (this.#phase !== "leaving") this.#spread(this.#self, MESSAGE.alive);
      return;
    }
    if (incarnation === this.incarnation) return;
    this.#phase = "replaced";
    this.#event("replaced", this.#self, "another process has taken over this node's identity");
  }

  #conflict(id: number, incarnation: number, address: string): void {
    const told = this.#toldAtMs.get(id) ?? -Infinity;
    if (this.#nowMs - told < this.#config.probeIntervalMs * 10) return;
    this.#toldAtMs.set(id, this.#nowMs);
    this.#event("conflict", id, `${address} claims the id of the node at ${this.#addressOf(id)}`);
    if (id === this.#self) {
      if (incarnation >= this.incarnation) {
        this.#raiseSelf(incarnation);
        this.#spread(this.#self, MESSAGE.alive);
      }
      return;
    }
    // If the first one is gone, the newcomer may have its name soon.
    if (!this.#probing.has(id)) this.#probe(PROBE.witness, id);
  }

  // ---- gossip, exchanges, reconnecting

  #gossip(): void {
    this.#nextGossipAtMs = Infinity;
    const members = this.#members;
    const people = members.presentCount + members.lost.length;
    const chosen = this.#drawn;
    chosen.length = 0;
    for (let tries = this.#config.gossipNodes * 3; tries > 0 && people > 0; tries -= 1) {
      if (chosen.length >= this.#config.gossipNodes) break;
      const one = this.#gossipTarget(people);
      if (one >= 0 && !chosen.includes(one)) chosen.push(one);
    }
    for (let index = 0; index < chosen.length && this.#rumours.size > 0; index += 1) {
      this.#outbox.begin();
      if (this.#outboxFill() > 0) this.#outbox.send(this.#addressOf(chosen[index]!));
    }
    if (this.#rumours.size > 0) this.#nextGossipAtMs = this.#nowMs + this.#config.gossipIntervalMs;
  }

  /** Anyone present, or recently failed. */
  #gossipTarget(people: number): number {
    const members = this.#members;
    const index = this.#prng.int(people);
    if (index < members.presentCount) return members.presentAt(index);
    const lost = members.lost[index - members.presentCount]!;
    if (members.status[lost] !== STATUS.failed) return -1;
    return this.#nowMs / 100 - members.since[lost]! < this.#config.gossipToTheDeadMs / 100 ? lost : -1;
  }

  #order(kind: Order["kind"], to: string, frame: Uint8Array, seq: number): void {
    this.#orderSeq += 1;
    this.#orders.set(this.#orderSeq, { kind, to, seq });
    const { probeIntervalMs, streamTimeoutMs } = this.#config;
    const timeoutMs = kind === "ping" ? Math.min(probeIntervalMs * this.#slowness(), streamTimeoutMs) : streamTimeoutMs;
    this.#streams.push({ id: this.#orderSeq, to, frame, timeoutMs });
  }

  #orderState(to: string, purpose: number): void {
    this.#order("state", to, this.#stateFrame(purpose), 0);
  }

  #shortFrame(kind: number): Uint8Array {
    stateWriter.begin(FRAME.stream, this.#mark);
    stateWriter.byte(kind);
    return stateWriter.finish(this.#mark);
  }

  #pingFrame(target: number): Uint8Array {
    stateWriter.begin(FRAME.stream, this.#mark);
    stateWriter.byte(STREAM.ping);
    stateWriter.fixed32(this.#names.ids.hash(target));
    return stateWriter.finish(this.#mark);
  }

  /** Everybody we know, this node first. */
  #stateFrame(purpose: number): Uint8Array {
    const members = this.#members;
    const writer = stateWriter;
    writer.begin(FRAME.stream, this.#mark);
    writer.byte(STREAM.state);
    writer.byte(purpose);
    writer.fixed32(members.digest);
    writer.varint(members.count + 1);
    writeRecord(writer, members, this.#self);
    for (let index = 0; index < members.presentCount; index += 1) {
      writeRecord(writer, members, members.presentAt(index));
    }
    for (const id of members.lost) writeRecord(writer, members, id);
    return writer.finish(this.#mark);
  }

  #pushPull(): void {
    const members = this.#members;
    const factor = this.size > 32 ? Math.ceil(Math.log2(this.size) - 5) + 1 : 1;
    this.#nextPushPullAtMs = this.#nowMs + this.#config.pushPullIntervalMs * factor * (0.9 + 0.2 * this.#prng.next());
    if (members.presentCount === 0) return;
    const partner = members.anyPresent(this.#prng);
    stateWriter.begin(FRAME.stream, this.#mark);
    stateWriter.byte(STREAM.digest);
    stateWriter.fixed32(members.digest);
    this.#order("digest", this.#addressOf(partner), stateWriter.finish(this.#mark), 0);
  }

  /** Someone is back while others are not: a partition may be over, and much news on its way, of which some is lost. */
  #soonPushPull(): void {
    if (this.#members.lost.length === 0 || this.#nowMs < this.#hurriedAtMs + HEALING_MS) return;
    this.#hurriedAtMs = this.#nowMs;
    const soonMs = this.#nowMs + HEALING_MS * (0.4 + 0.6 * this.#prng.next());
    this.#nextPushPullAtMs = Math.min(this.#nextPushPullAtMs, soonMs);
  }

  #started(): void {
    this.#phase = "running";
    this.#spread(this.#self, MESSAGE.alive);
  }

  #wasRefused(): JoinResult {
    reader.byte();
    const words = readWords(reader);
    if (reader.bad) return "malformed";
    this.#event("refused", this.#self, words);
    return "refused";
  }

  #refusal(records: Records): Uint8Array | undefined {
    // The sender's own record comes first.
    const start = reader.at;
    records.next();
    reader.at = start;
    const { buffer } = reader;
    const known = this.#names.ids.find(buffer, records.idStart, records.idEnd);
    const versions = records.versions;
    if (versions >>> 8 > PROTOCOL_VERSION || (versions & 255) < PROTOCOL_VERSION_MIN) {
      return this.#refuse(REFUSAL.version, `this mesh speaks version ${PROTOCOL_VERSION}`);
    }
    const isPresent = known === this.#self || this.#members.present(known);
    if (!isPresent) {
      const isFull = !this.#members.known(known) && this.#members.count + 1 >= this.#config.membersMax;
      return isFull ? this.#refuse(REFUSAL.full, `the mesh has ${this.#config.membersMax} members`) : undefined;
    }
    const address = this.#names.addresses.find(buffer, records.addressStart, records.addressEnd);
    if (address === this.#members.address[known] || !this.#isOther(known, records.identity)) return undefined;
    const newcomer = new TextDecoder().decode(buffer.subarray(records.addressStart, records.addressEnd));
    this.#conflict(known, 0, newcomer);
    const incumbent = this.#addressOf(known);
    return this.#refuse(REFUSAL.conflict, `the id ${this.#idOf(known)} belongs to the node at ${incumbent}`);
  }

  #refuse(code: number, words: string): Uint8Array {
    stateWriter.begin(FRAME.stream, this.#mark);
    stateWriter.byte(STREAM.refused);
    stateWriter.byte(code);
    stateWriter.blob(new TextEncoder().encode(words));
    return stateWriter.finish(this.#mark);
  }

  /** Takes in another member's state. What it holds for dead is not believed: whom we hold for alive is asked. */
  #mergeRecords(records: Records, isFirst: boolean): void {
    const members = this.#members;
    const { buffer } = reader;
    for (let index = 0; index < records.count; index += 1) {
      records.next();
      const { status, incarnation, identity, versions } = records;
      const known = this.#names.ids.find(buffer, records.idStart, records.idEnd);
      const isMine = known === this.#self;
      if (status === STATUS.left) {
        if (members.known(known)) this.#departed(known, incarnation);
        continue;
      }
      if (status === STATUS.failed && !isMine) {
        if (members.present(known) && incarnation >= members.incarnation[known]!) this.#doubt(known);
        continue;
      }
      if (status === STATUS.failed || (status === STATUS.suspect && isMine)) {
        if (incarnation >= this.incarnation) this.#refute(incarnation);
        continue;
      }
      this.#applyProfile(
        buffer,
        known,
        records.idStart,
        records.idEnd,
        incarnation,
        records.profile,
        identity,
        versions,
        records.addressStart,
        records.addressEnd,
        records.metaStart,
        records.metaEnd,
        !isFirst,
      );
    }
  }

  /** Others hold the member for dead: it is probed, and told of it by the probe if it lives. */
  #doubt(member: number): void {
    if (this.#doubted.includes(member) || this.#doubted.length >= this.#config.rumoursMax) return;
    this.#doubted.push(member);
    this.#nextReconnectAtMs = Math.min(this.#nextReconnectAtMs, this.#nowMs + this.#config.gossipIntervalMs);
  }

  readonly #doubted: number[] = [];

  /** Tries failed members again, looks into doubts, and forgets members whose time is over. */
  #reconnect(): void {
    const members = this.#members;
    const healing = this.#nowMs < this.#healUntilMs;
    const busy = healing || this.#doubted.length > 0;
    const pauseMs = busy ? this.#config.gossipIntervalMs : this.#config.reconnectIntervalMs;
    this.#nextReconnectAtMs = this.#nowMs + pauseMs * (0.9 + 0.2 * this.#prng.next());
    this.#forgetOld();
    for (let count = 0; count < RECONNECTS_A_TICK; count += 1) {
      const member = this.#doubted.pop();
      if (member === undefined) break;
      if (members.present(member) && !this.#probing.has(member)) this.#probe(PROBE.witness, member);
    }
    const lost = members.lost.length;
    if (lost === 0) return;
    if (healing) {
      for (let count = Math.min(RECONNECTS_A_TICK, lost); count > 0; count -= 1) {
        this.#healCursor = (this.#healCursor + 1) % lost;
        this.#tryFailed(members.lost[this.#healCursor]!);
      }
      return;
    }
    // The mesh as a whole tries each failed member once an interval, however many members it has.
    if (this.#prng.next() * (members.presentCount + 1) < lost) this.#tryFailed(members.lost[this.#prng.int(lost)]!);
  }

  #tryFailed(member: number): void {
    if (this.#members.status[member] !== STATUS.failed || this.#probing.has(member)) return;
    this.#probe(PROBE.reconnect, member);
  }

  #forgetOld(): void {
    const members = this.#members;
    const oldest = this.#nowMs / 100 - this.#config.forgetAfterMs / 100;
    for (let index = members.lost.length - 1; index >= 0; index -= 1) {
      const member = members.lost[index]!;
      if (members.since[member]! > oldest) continue;
      this.#rumours.drop(member);
      this.#acquaintances.forget(member);
      this.#toldAtMs.delete(member);
      members.remove(member);
    }
  }

  /** A failed member answered: a partition may be over. */
  #failedAnswered(member: number): void {
    const isFirst = this.#nowMs >= this.#healUntilMs;
    this.#healUntilMs = this.#nowMs + HEALING_MS;
    this.#nextReconnectAtMs = Math.min(this.#nextReconnectAtMs, this.#nowMs + this.#config.gossipIntervalMs);
    if (isFirst) this.#orderState(this.#addressOf(member), PURPOSE.sync);
  }

  /** A failed member speaks: it must learn what we hold, so that it refutes. */
  #tellFailed(member: number): void {
    const told = this.#toldAtMs.get(member) ?? -Infinity;
    if (this.#nowMs - told < this.#config.probeIntervalMs) return;
    this.#toldAtMs.set(member, this.#nowMs);
    this.#tryFailed(member);
  }

  #leaveTold(): void {
    this.#phase = "left";
    this.#event("left", this.#self, "the mesh was told");
  }
}
