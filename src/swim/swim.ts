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
 * the event `left` with one's own id says that it is told. `members()`, `member(id)` and `whereabouts` look.
 *
 * Identity. `id` is the name. `identity` is a number that a node keeps as long as it is the same node (on its disk, or
 * handed over at an upgrade); `incarnation` is larger at each start, say the seconds since 1970. Two claims to one id
 * are the same node, and the higher incarnation is its present, if identity or address is the same. Else they are in
 * conflict: the one that was there first stays while it answers, the newcomer is refused, both hear of it.
 *
 * Addresses are what packets come from: a packet whose sender is not a member's address gets no more than a bare
 * answer to its ping, and nothing that it says is believed. So a node must announce the address that it sends from.
 *
 * Limits: by config and wire.ts. Recovery: a lost update is made good by push/pull, a wrong death by its victim's
 * refutation, a partition by trying failed members again.
 */
import { assert } from "../base/assert.ts";
import { Heap } from "../base/heap.ts";
import type { Prng } from "../base/prng.ts";
import type { JoinResult, Member, SwimDrops, SwimEvent, SwimEventKind, SwimOutput, SwimSelf } from "./event.ts";
import { Announcement, addressIn } from "./announcement.ts";
import { Awareness } from "./awareness.ts";
import { Comparison } from "./comparison.ts";
import { Healing } from "./healing.ts";
import { PURPOSE, Records, readRefusal, REFUSAL, STREAM } from "./exchange.ts";
import { Inbox } from "./inbox.ts";
import { Names } from "./lexicon.ts";
import { Members, STATUS, STATUS_WORDS } from "./members.ts";
import { Outbox } from "./outbox.ts";
import { NOBODY, Rumour, Rumours } from "./rumours.ts";
import { FULL_RULES, type SwimConfig, type SwimRules } from "./settings.ts";
import { Streams } from "./streams.ts";
import { newSuspicion, PROBE, Probe, Suspicion, type Timer } from "./timer.ts";
import { countDrop, Reader } from "./reader.ts";
import { ACCUSERS_MAX, clusterMark, type ClusterMark, FRAME, MESSAGE } from "./wire.ts";
import { META_BYTES_MAX, OUR_VERSIONS, PROTOCOL_VERSION, speaks } from "./wire.ts";
import { Whereabouts } from "./whereabouts.ts";

/** One for all: a packet is done with before the next one is looked at. */
const inbox = new Inbox();
const reader = new Reader();

const WITNESS_PROBES_MAX = 32;
/** Pieces of news at once that make a crowd of newcomers. */
const CROWD = 16;
const RELAYS_MAX = 256;
/** A death that we are only told of is believed when so many members accuse. */
const DEATH_ACCUSERS = 3;

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
  readonly #time: Awareness;
  readonly #healing: Healing;
  readonly #comparison: Comparison;
  /** Where members are, and how far from each other. */
  readonly whereabouts: Whereabouts;
  readonly #heard = new Announcement();
  readonly #timers = new Heap<Timer>();
  readonly #suspicions = new Map<number, Suspicion>();
  /** Pings under way by their number, and by target those whose end has consequences. */
  readonly #probes = new Map<number, Probe>();
  readonly #probing = new Map<number, Probe>();
  /** Those drawn by chance last. */
  readonly #drawn: number[] = [];
  readonly #self: number;
  #selfAddress: string;
  readonly #streams: Streams;
  #events: SwimEvent[] = [];
  #seq: number;
  #relays = 0;
  #witnessing = 0;
  #nextProbeAtMs: number;
  #nextGossipAtMs = Infinity;
  #nextReconnectAtMs: number;
  /** When any packet came last. */
  #heardAtMs: number;
  #phase: "starting" | "running" | "leaving" | "left" | "replaced" = "starting";
  #leaveBy = Infinity;
  /** The packet at hand accuses this node. */
  #wasAccused = false;

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
    this.#mark = clusterMark(self.cluster, self.checksum);
    this.#outbox = new Outbox(this.#members, this.#mark, config.packetBytesMax);
    this.#rumours = new Rumours(config.rumoursMax, config.retransmitMult);
    this.#seq = prng.nextU32() >>> 1;
    this.#heardAtMs = nowMs;
    this.#time = new Awareness(config, rules, nowMs);
    this.#comparison = new Comparison(config, prng, nowMs);
    // Members that start together must not act together.
    this.#nextProbeAtMs = nowMs + prng.next() * config.probeIntervalMs;
    this.#nextReconnectAtMs = nowMs + prng.next() * config.reconnectIntervalMs;
    const members = this.#members;
    const id = names.ids.holdText(self.id);
    const meta = names.metas.hold(self.meta, 0, self.meta.length);
    members.add(id, names.addresses.holdText(self.address), meta);
    members.addSelf(id, self.incarnation, this.#time.tenths);
    members.identity[id] = self.identity >>> 0;
    members.versions[id] = OUR_VERSIONS;
    this.#self = id;
    this.whereabouts = new Whereabouts(names, id, prng);
    this.#healing = new Healing(members, config, prng, (kind, member) => {
      if (!this.#probing.has(member)) this.#probe(kind, member);
    });
    this.#streams = new Streams(members, id, this.#mark, config.streamTimeoutMs);
    this.#selfAddress = self.address;
  }

  // ---- what the shell says

  /** A datagram came. */
  receive(from: string, packet: Uint8Array, nowMs: number): void {
    this.#time.advance(nowMs);
    if (this.#phase === "replaced") return;
    const fault = inbox.read(packet, this.#mark, this.#names.ids);
    if (fault !== undefined) {
      countDrop(this.drops, fault);
      return;
    }
    const sender = this.#members.tenant(this.#names.addresses.findText(from));
    this.#heardAtMs = this.#time.nowMs;
    this.#wasAccused = false;
    let pings = 0;
    for (let at = 0; at < inbox.count; at += 1) {
      if (inbox.kind[at] === MESSAGE.ping) pings += 1;
      else if (inbox.kind[at] === MESSAGE.ack) this.#acked(at, sender);
      else if (inbox.kind[at] === MESSAGE.nack) this.#nacked(inbox.number[at]!);
      else if (sender < 0 || sender === this.#self) {
        this.drops.strangers += 1;
        this.#comparison.stranger(this.#time.nowMs);
      } else this.#claimed(at, from);
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
    if (sender >= 0 && this.#members.status[sender] === STATUS.failed) {
      this.#healing.tell(sender, this.#time.nowMs);
    }
  }

  /** Time has passed. */
  wake(nowMs: number): void {
    this.#time.advance(nowMs);
    if (this.#phase === "replaced" || this.#phase === "left") return;
    const now = this.#time.nowMs;
    for (let timer = this.#timers.peek(); timer !== undefined && timer.heapKey <= now; timer = this.#timers.peek()) {
      this.#timers.pop();
      if (timer instanceof Suspicion) this.#ranOut(timer);
      else this.#unanswered(timer);
    }
    if (this.#nextGossipAtMs <= now) this.#gossip();
    if (this.#phase === "leaving") {
      if (now < this.#leaveBy && this.#rumours.get(this.#self) !== undefined) return;
      this.#phase = "left";
      this.#event("left", this.#self, "the mesh was told");
      return;
    }
    if (this.#nextProbeAtMs <= now) {
      this.#nextProbeAtMs = Math.max(now, this.#nextProbeAtMs) + this.#config.probeIntervalMs * this.#time.slowness;
      this.#probeNext();
    }
    if (this.#comparison.dueAtMs <= now) this.#pushPull();
    if (this.#nextReconnectAtMs <= now) {
      this.#nextReconnectAtMs = this.#healing.wake(now);
      this.#forgetOld();
    }
  }

  /** What to do since the last take. */
  take(): SwimOutput {
    const { sends } = this.#outbox;
    const streams = this.#streams.take();
    const events = this.#events;
    if (sends.length > 0) this.#outbox.sends = [];
    if (events.length > 0) this.#events = [];
    if (this.#rumours.size > 0 && this.#nextGossipAtMs === Infinity) {
      this.#nextGossipAtMs = this.#time.nowMs + this.#prng.next() * this.#config.gossipIntervalMs;
    }
    const timerAtMs = this.#timers.peek()?.heapKey ?? Infinity;
    let dueAtMs = Math.min(timerAtMs, this.#nextGossipAtMs);
    if (this.#phase === "starting" || this.#phase === "running") {
      dueAtMs = Math.min(dueAtMs, this.#nextProbeAtMs, this.#comparison.dueAtMs, this.#nextReconnectAtMs);
    } else dueAtMs = this.#phase === "leaving" ? Math.min(dueAtMs, this.#leaveBy) : Infinity;
    return { sends, streams, events, wakeAtMs: this.#time.plan(dueAtMs) };
  }

  /** Orders an exchange with each address; how each ended is told by `streamed`. */
  join(addresses: readonly string[], nowMs: number): void {
    this.#time.advance(nowMs);
    for (const address of addresses) if (address !== this.#selfAddress) this.#streams.orderState(address, PURPOSE.join);
  }

  /** An order's stream ended: with an answer, or undefined. Undefined for orders that were only a probe. */
  streamed(id: number, answer: Uint8Array | undefined, nowMs: number): JoinResult | undefined {
    this.#time.advance(nowMs);
    const order = this.#streams.end(id);
    if (order === undefined) return undefined;
    if (answer === undefined) return order.kind === "ping" ? undefined : "unreachable";
    const fault = reader.open(answer, FRAME.stream, this.#mark);
    if (fault !== undefined) {
      countDrop(this.drops, fault);
      return "malformed";
    }
    const kind = reader.byte();
    if (order.kind === "ping") {
      const probe = this.#probes.get(order.seq);
      if (kind === STREAM.pong && probe !== undefined) this.#endProbe(probe);
      return undefined;
    }
    if (kind === STREAM.same) this.#comparison.agreed();
    if (kind === STREAM.same || kind === STREAM.done) return "joined";
    if (kind === STREAM.refused) {
      this.#event("refused", this.#self, readRefusal(reader));
      return "refused";
    }
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
    if (wasStarting) {
      this.#phase = "running";
      this.#spread(this.#self, MESSAGE.alive);
      this.#comparison.soon(this.#time.nowMs);
    } else if (order.kind === "digest") {
      // They differed: once more, later each time, until they agree.
      this.#comparison.differed(this.#time.nowMs);
    }
    // One asked by digest alone does not know our side yet, nor one that held an earlier life of ours.
    if (this.#members.digest !== digest) this.#streams.orderState(order.to, PURPOSE.push);
    return "joined";
  }

  /** The answer to a frame on a connection that the shell accepted; undefined: none. */
  answer(frame: Uint8Array, nowMs: number): Uint8Array | undefined {
    this.#time.advance(nowMs);
    if (this.#phase === "replaced" || this.#phase === "left") return undefined;
    const fault = reader.open(frame, FRAME.stream, this.#mark);
    if (fault !== undefined) {
      countDrop(this.drops, fault);
      return undefined;
    }
    const kind = reader.byte();
    if (kind === STREAM.ping) {
      const isMe = reader.fixed32() === this.#names.ids.hash(this.#self) >>> 0;
      return isMe && !reader.bad ? this.#streams.short(STREAM.pong) : undefined;
    }
    if (kind === STREAM.digest) {
      const digest = reader.fixed32();
      if (reader.bad) return undefined;
      return digest === this.#members.digest ? this.#streams.short(STREAM.same) : this.#streams.state(PURPOSE.answer);
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
    this.#heardAtMs = this.#time.nowMs;
    this.#mergeRecords(records, false);
    return purpose === PURPOSE.push ? this.#streams.short(STREAM.done) : this.#streams.state(PURPOSE.answer);
  }

  /** New metadata (up to 512 bytes), or a new address. */
  setProfile(profile: { readonly meta?: Uint8Array; readonly address?: string }, nowMs: number): void {
    this.#time.advance(nowMs);
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
    this.#time.advance(nowMs);
    if (this.#phase !== "starting" && this.#phase !== "running") return;
    this.#phase = "leaving";
    this.#leaveBy = this.#time.nowMs + this.#config.gossipIntervalMs * 20;
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

  /** 0 is good; probes are slower by this. */
  get health(): number {
    return this.#time.awareness;
  }

  /** Members present (alive or suspect), this node among them. */
  get size(): number {
    return this.#members.presentCount + 1;
  }

  /** Pieces of news that are still being passed on. */
  get news(): number {
    return this.#rumours.size;
  }

  /** The same number in nodes that agree about who is there, at which incarnation. */
  get digest(): number {
    return this.#members.digest;
  }

  member(id: string): Member | undefined {
    const handle = this.#names.ids.findText(id);
    return this.#members.known(handle) ? this.#roster(handle) : undefined;
  }

  /** Without building a view: the status of one member, "none" when it is not known. */
  status(id: string): (typeof STATUS_WORDS)[number] {
    const handle = this.#names.ids.findText(id);
    return this.#members.known(handle) ? STATUS_WORDS[this.#members.status[handle]!]! : "none";
  }

  /** All members, this node first. */
  members(): Member[] {
    const ids = [this.#self, ...this.#members.presentIds(), ...this.#members.lost];
    return ids.map((id) => this.#roster(id));
  }

  #roster(id: number): Member {
    return this.#members.view(id, this.whereabouts.acquaintances, this.#time.pausedMs);
  }

  // ---- small things

  #wait(timer: Timer, untilMs: number): void {
    this.#timers.remove(timer);
    timer.heapKey = untilMs;
    this.#timers.push(timer);
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
    const probe = new Probe(kind, this.#nextSeq(), target, this.#time.nowMs);
    this.#probes.set(probe.seq, probe);
    this.#probing.set(target, probe);
    if (kind === PROBE.witness) this.#witnessing += 1;
    this.#ping(probe);
    this.#wait(probe, this.#time.nowMs + this.#config.probeTimeoutMs * this.#time.slowness);
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
    return this.#rumours.size === 0 ? 0 : this.#rumours.fill(this.#outbox.rumour, this.#rumours.limit(this.size));
  }

  #answerPing(from: string, sender: number, seq: number): void {
    this.#outbox.begin();
    const isMember = sender >= 0 && sender !== this.#self;
    this.#outbox.ack(seq, isMember ? this.whereabouts.own : undefined);
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
    if (probe.kind === PROBE.own) this.#time.ail(-1);
  }

  #measured(probe: Probe): void {
    const rttMs = this.#time.nowMs - probe.sentAtMs;
    this.whereabouts.measured(probe.target, inbox.coordinate, rttMs, this.#time.nowMs);
    if (this.#rumours.size === 0) this.#comparison.probed(inbox.digest === this.#members.digest, this.#time.nowMs);
  }

  #nacked(seq: number): void {
    const probe = this.#probes.get(seq);
    if (probe?.indirect === true) probe.nacks += 1;
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
      this.#time.ail(probe.nacksExpected > 0 ? Math.max(0, missing) : 1);
    }
    this.#suspectMyself(probe);
  }

  #askOthers(probe: Probe): void {
    const { target } = probe;
    const config = this.#config;
    probe.indirect = true;
    probe.nacksExpected = this.#members.drawAlive(config.indirectChecks, target, this.#drawn, this.#prng);
    for (let index = 0; index < probe.nacksExpected; index += 1) {
      this.#outbox.begin();
      this.#outbox.askPing(probe.seq, target);
      this.#outbox.send(this.#addressOf(this.#drawn[index]!));
    }
    this.#streams.orderPing(target, probe.seq, config.probeIntervalMs * this.#time.slowness);
    const restMs = Math.max(config.probeIntervalMs - config.probeTimeoutMs, config.probeTimeoutMs);
    this.#wait(probe, this.#time.nowMs + restMs * this.#time.slowness);
  }

  /** Another member asks for a probe. */
  #relay(at: number, from: string): void {
    const target = inbox.id[at]!;
    if (target === this.#self || !this.#members.known(target) || this.#relays >= RELAYS_MAX) return;
    const probe = new Probe(PROBE.relay, this.#nextSeq(), target, this.#time.nowMs, from, inbox.number[at]);
    this.#probes.set(probe.seq, probe);
    this.#relays += 1;
    this.#ping(probe);
    // A nack must be back before the asker gives up.
    this.#wait(probe, this.#time.nowMs + this.#config.probeTimeoutMs * 0.8);
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
    const count = this.#members.drawAlive(this.#config.witnesses, member, this.#drawn, this.#prng);
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
      const wanted = this.#confirmationsWanted();
      suspicion = newSuspicion(member, this.#time.nowMs, this.size, wanted, this.#config, this.#rules);
      this.#suspicions.set(member, suspicion);
      members.set(member, STATUS.suspect, incarnation, this.#time.tenths, this.#prng);
      this.#event("suspect", member, cause);
    } else if (incarnation > members.incarnation[member]!) {
      members.set(member, STATUS.suspect, incarnation, this.#time.tenths, this.#prng);
    }
    let isNews = isNew;
    for (const accuser of accusers) if (suspicion.accuse(accuser)) isNews = true;
    if (!isNews) return false;
    this.#wait(suspicion, suspicion.deadlineMs);
    // A confirmation is news of less weight: who misses it waits longer, no more.
    const sent = isNew ? 0 : this.#rumours.limit(this.size) >> 1;
    this.#rumours.put(member, MESSAGE.suspect, incarnation, suspicion.accusers.slice(0, ACCUSERS_MAX), sent);
    return true;
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
    if (this.#isAlone() && this.#time.nowMs < suspicion.startedAtMs + 3 * suspicion.maxMs) {
      this.#wait(suspicion, this.#time.nowMs + this.#config.probeIntervalMs);
      return;
    }
    const { member, accusers } = suspicion;
    const seconds = ((this.#time.nowMs - suspicion.startedAtMs) / 1000).toFixed(1);
    this.#fail(member, this.#members.incarnation[member]!, accusers, `suspected for ${seconds} s and did not refute`);
  }

  /** We hear nobody, though there should be others than the suspect: the fault may be ours. */
  #isAlone(): boolean {
    if (!this.#rules.selfDoubt || this.#members.presentCount < 2) return false;
    return this.#time.nowMs - this.#heardAtMs > this.#config.probeIntervalMs * 2;
  }

  #fail(member: number, incarnation: number, accusers: readonly number[], cause: string): void {
    const told = accusers.length === 0 ? [this.#self] : accusers.slice(0, ACCUSERS_MAX);
    this.#endSuspicion(member);
    this.#members.set(member, STATUS.failed, incarnation, this.#time.tenths, this.#prng);
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
    // Of suspicions, and of newcomers while there are many, whom comparing finds too. The news that ends a suspicion, like
    // all other news, must reach everybody by gossip.
    const isCrowd = kind === MESSAGE.alive && this.#rumours.size > CROWD;
    if (!this.#rules.damping || (kind !== MESSAGE.suspect && !isCrowd)) return;
    this.#rumours.count(rumour, this.#rumours.limit(this.size));
  }

  #spread(member: number, kind: number, profile = this.#members.profile[member]!): void {
    const members = this.#members;
    const incarnation = members.incarnation[member]!;
    const before = this.#rumours.get(member);
    // A refutation must not hide a profile that is still on its way.
    const whole = kind === MESSAGE.again && before?.kind === MESSAGE.alive;
    this.#rumours.put(member, whole ? MESSAGE.alive : kind, incarnation, NOBODY).profile = profile;
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
    const [by] = accusers;
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
    this.#time.ail(1);
    if (this.#phase !== "starting") {
      this.#spread(this.#self, this.#phase === "leaving" ? MESSAGE.left : MESSAGE.again);
      return;
    }
    // It is about an earlier life of ours, whose profile others may hold.
    this.#members.profile[this.#self] = this.incarnation;
    this.#spread(this.#self, MESSAGE.alive);
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
    members.set(member, STATUS.left, incarnation, this.#time.tenths, this.#prng);
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
    this.#revive(member, incarnation, "refuted");
    // Who has an older profile can't vouch for it.
    const profile = inbox.second[at]!;
    if (members.profile[member]! >= profile) this.#spread(member, MESSAGE.again, profile);
  }

  #revive(member: number, incarnation: number, cause: string): void {
    const before = this.#members.status[member]!;
    this.#endSuspicion(member);
    this.#members.set(member, STATUS.alive, incarnation, this.#time.tenths, this.#prng);
    if (before === STATUS.failed) {
      this.#comparison.by(this.#healing.hurry(this.#time.nowMs));
    }
    if (before === STATUS.suspect || before === STATUS.failed) this.#event("alive-again", member, cause);
    else if (before === STATUS.left) this.#event("joined", member, "back after taking leave");
  }

  #alive(at: number): void {
    inbox.announcement(at, this.#heard);
    this.#announced(this.#heard, true);
  }

  /**
   * What is said of a member's incarnation and profile, by gossip or in a state: `profile` is the incarnation at which
   * address, identity and metadata are known to be right.
   */
  #announced(heard: Announcement, spread: boolean): void {
    const { buffer, id: known, incarnation, profile, identity, versions } = heard;
    const { names } = this.#members;
    const members = this.#members;
    const isKnown = members.known(known);
    const isOld = isKnown && incarnation <= members.incarnation[known]! && profile <= members.profile[known]!;
    // Most of what is told in a crowd.
    if (isOld && known !== this.#self) {
      this.#heardAgain(known, MESSAGE.alive, incarnation);
      return;
    }
    const address = names.addresses.find(buffer, heard.addressStart, heard.addressEnd);
    const isMoved = isKnown && address !== members.address[known];
    // A life that began in the same second, elsewhere, has the same incarnation as ours.
    const isTwin = known === this.#self && isMoved && this.#phase === "starting" && incarnation === this.incarnation;
    if (isOld && !isTwin) {
      this.#heardAgain(known, MESSAGE.alive, incarnation);
      return;
    }
    if (!speaks(versions)) return;
    if (!isKnown) {
      if (members.count + 1 >= this.#config.membersMax) return;
      const id = names.ids.hold(buffer, heard.idStart, heard.idEnd);
      names.ids.text(id);
      const held = names.addresses.hold(buffer, heard.addressStart, heard.addressEnd);
      names.addresses.text(held);
      members.add(id, held, names.metas.hold(buffer, heard.metaStart, heard.metaEnd));
      members.identity[id] = identity;
      members.versions[id] = versions;
      members.profile[id] = profile;
      members.set(id, STATUS.alive, incarnation, this.#time.tenths, this.#prng);
      if (spread) this.#spread(id, MESSAGE.alive);
      this.#event("joined", id, "announced itself");
      return;
    }
    if (isMoved && members.isOther(known, identity) && (members.present(known) || known === this.#self)) {
      this.#conflict(known, incarnation, addressIn(heard));
      return;
    }
    if (known === this.#self) {
      this.#aboutMyself(incarnation, isMoved);
      return;
    }
    let changed = "";
    if (profile > members.profile[known]!) {
      const from = this.#addressOf(known);
      if (isMoved) this.whereabouts.acquaintances.forget(known);
      changed = members.adopt(known, heard);
      if (isMoved && heard !== this.#heard) this.#tellPredecessor(known, from);
    }
    const before = members.status[known]!;
    if (incarnation > members.incarnation[known]!) this.#revive(known, incarnation, "announced itself again");
    if (spread && members.present(known)) this.#spread(known, MESSAGE.alive);
    // What is new of one that is gone is no news: it may be older than its end.
    if (changed !== "" && before !== STATUS.left && members.present(known)) this.#event("updated", known, changed);
  }

  /** If anyone is left at a member's old address, it learns that its identity was taken over. */
  #tellPredecessor(member: number, address: string): void {
    const rumour = new Rumour(member, MESSAGE.alive, this.#members.profile[member]!, NOBODY);
    this.#outbox.begin();
    this.#outbox.rumour(rumour);
    this.#outbox.send(address);
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
    if (!this.#healing.mayTell(id, this.#time.nowMs, this.#config.probeIntervalMs * 10)) return;
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
    const recent = (this.#time.nowMs - this.#config.gossipToTheDeadMs) / 100;
    const chosen = this.#drawn;
    chosen.length = 0;
    for (let tries = this.#config.gossipNodes * 3; tries > 0 && people > 0; tries -= 1) {
      if (chosen.length >= this.#config.gossipNodes) break;
      const one = members.anyToGossipTo(this.#prng, recent);
      if (one >= 0 && !chosen.includes(one)) chosen.push(one);
    }
    for (let index = 0; index < chosen.length && this.#rumours.size > 0; index += 1) {
      this.#outbox.begin();
      if (this.#outboxFill() > 0) this.#outbox.send(this.#addressOf(chosen[index]!));
    }
    if (this.#rumours.size > 0) this.#nextGossipAtMs = this.#time.nowMs + this.#config.gossipIntervalMs;
  }

  #pushPull(): void {
    const members = this.#members;
    if (this.#comparison.waits(this.#rumours.size > 0, this.#time.nowMs)) return;
    this.#comparison.begin(this.#time.nowMs, this.size);
    if (members.presentCount === 0) return;
    this.#streams.orderDigest(members.anyPresent(this.#prng));
  }

  #refusal(records: Records): Uint8Array | undefined {
    // The sender's own record comes first.
    const start = reader.at;
    records.next();
    reader.at = start;
    const { buffer } = reader;
    const known = this.#names.ids.find(buffer, records.idStart, records.idEnd);
    if (!speaks(records.versions)) {
      return this.#streams.refuse(REFUSAL.version, `this mesh speaks version ${PROTOCOL_VERSION}`);
    }
    const isPresent = known === this.#self || this.#members.present(known);
    if (!isPresent) {
      const isFull = !this.#members.known(known) && this.#members.count + 1 >= this.#config.membersMax;
      return isFull ? this.#streams.refuse(REFUSAL.full, `the mesh has ${this.#config.membersMax} members`) : undefined;
    }
    const address = this.#names.addresses.find(buffer, records.addressStart, records.addressEnd);
    if (address === this.#members.address[known] || !this.#members.isOther(known, records.identity)) return undefined;
    const newcomer = addressIn(records);
    this.#conflict(known, 0, newcomer);
    const incumbent = this.#addressOf(known);
    return this.#streams.refuse(REFUSAL.conflict, `the id ${this.#idOf(known)} belongs to the node at ${incumbent}`);
  }

  /** Takes in another member's state. What it holds for dead is not believed: whom we hold for alive is asked. */
  #mergeRecords(records: Records, isFirst: boolean): void {
    const members = this.#members;
    const { buffer } = reader;
    for (let index = 0; index < records.count; index += 1) {
      records.next();
      const { status, incarnation } = records;
      const known = this.#names.ids.find(buffer, records.idStart, records.idEnd);
      records.id = known;
      const isMine = known === this.#self;
      if (status === STATUS.left) {
        if (members.known(known)) this.#departed(known, incarnation);
        continue;
      }
      if (status === STATUS.failed && !isMine) {
        if (members.present(known) && incarnation >= members.incarnation[known]!) {
          this.#healing.doubt(known);
          this.#reconnectSoon();
        }
        continue;
      }
      if (status === STATUS.failed || (status === STATUS.suspect && isMine)) {
        if (incarnation >= this.incarnation) this.#refute(incarnation);
        continue;
      }
      this.#announced(records, !isFirst);
    }
  }

  #forgetOld(): void {
    for (const member of this.#members.lostBefore((this.#time.nowMs - this.#config.forgetAfterMs) / 100)) {
      this.#rumours.drop(member);
      this.whereabouts.acquaintances.forget(member);
      this.#healing.forget(member);
      this.#members.remove(member);
    }
  }

  #failedAnswered(member: number): void {
    this.#reconnectSoon();
    if (this.#healing.answered(this.#time.nowMs)) this.#streams.orderState(this.#addressOf(member), PURPOSE.sync);
  }

  #reconnectSoon(): void {
    const soonMs = this.#time.nowMs + this.#config.gossipIntervalMs;
    this.#nextReconnectAtMs = Math.min(this.#nextReconnectAtMs, soonMs);
  }
}
