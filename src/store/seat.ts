/**
 * A control node's part in the consensus, from its log to the links: the core, what drives it, the policies above it, and
 * the ways to the other members.
 *
 * Where members are stands in the log (seats). It may be behind: of a newcomer, which has no log yet, and of those that
 * were restarted elsewhere, which may be all of them. So what the mesh says of a member's node comes first, whoever sends
 * something is answered by its link where no better way is known, and a member tells the others where it is, at its start
 * and while it hears of no leader; they answer whether it is a member still, after a read that the leader confirmed: who
 * lags behind must not send a newcomer away. An address is only a way: who is there shows
 * its store's cluster id, and messages name the members that they are from and for.
 */
import { MeshError } from "../base/errors.ts";
import { Prng } from "../base/prng.ts";
import { parseAddress } from "../base/units.ts";
import { PolicyMachine } from "../policy/machine.ts";
import { isMember, type Member, NOBODY } from "../raft/entry.ts";
import { membersOf } from "../raft/membership.ts";
import { Raft, type Start } from "../raft/raft.ts";
import type { RaftConfig } from "../raft/settings.ts";
import { isRecord } from "../base/field.ts";
import { Body } from "./bodies.ts";
import type { Calls, Incoming } from "./calls.ts";
import { ControlStore } from "./control-store.ts";
import type { DurableLog } from "./log.ts";
import { type Compaction, RaftNode } from "./raft-node.ts";
import type { Ways } from "./ways.ts";

/** A member without a leader asks the others about itself so often. */
const REPORT_MS = 1000;
const ASK_MS = 5000;
/** For the leader to confirm what is answered to a report. */
const CONFIRM_MS = 1000;
/** Senders whose links are kept: more than there can be members. */
const CALLERS_MAX = 64;

export interface SeatOptions {
  readonly raft: RaftConfig;
  readonly log: DurableLog;
  /** What a new log begins with; it was written already. */
  readonly first?: Start;
  readonly ways: Ways;
  /** The mesh's name of this node, and where others reach it. */
  readonly name: string;
  readonly address: () => string;
  /** Where the mesh says that a control node is now; "" where it says nothing. */
  readonly whereIs: (node: string) => string;
  readonly onRemoved: () => void;
  readonly compaction?: Compaction;
  readonly lines: { info(message: string, fields?: object): void; warn(message: string, fields?: object): void };
}

export class Seat {
  readonly store: ControlStore;
  readonly clusterId: string;
  readonly member: Member;
  readonly #options: SeatOptions;
  readonly #node: RaftNode;
  /** The links by which members sent something last. */
  readonly #callers = new Map<Member, Calls>();
  /** Where members say that they are now, before the log says so. */
  readonly #moved = new Map<Member, string>();
  #reporter: ReturnType<typeof setInterval> | undefined;
  #stopped = false;

  constructor(options: SeatOptions) {
    const { log, first, ways, lines, name, address } = options;
    const { identity, hardState, snapshot, entries } = log.contents;
    this.#options = options;
    this.clusterId = identity.clusterId;
    this.member = identity.member;
    const machine = new PolicyMachine();
    if (snapshot !== null) machine.restore(snapshot.data);
    const prng = new Prng(crypto.getRandomValues(new Uint32Array(1))[0] ?? 1);
    const start = first ?? { hardState, snapshot, entries };
    let store: ControlStore | null = null;
    this.#node = new RaftNode({
      raft: new Raft(options.raft, identity.member, start, prng, performance.now()),
      log,
      machine,
      send: (to, bytes) => this.#send(to, bytes),
      ...(options.compaction === undefined ? {} : { compaction: options.compaction }),
      onApplied: (applied) => store?.applied(applied),
      onRestored: () => store?.restored(),
      onAlarm(alarm) {
        if (alarm === null) lines.info("the control node's store can be written again");
        else lines.warn("the control node's store can't be written", { error: alarm.message });
      },
    });
    this.store = store = new ControlStore({
      node: this.#node,
      self: identity.member,
      clusterId: identity.clusterId,
      name,
      address,
      ask: (to, method, body, timeoutMs, onPiece) =>
        ways.ask(to, method, body, { timeoutMs, ...(onPiece === undefined ? {} : { onPiece }) }),
      addressOf: (member) => this.#addressOf(member),
      onRemoved: options.onRemoved,
      log: lines,
    });
  }

  /** Whether it is, or ever was, a member: a log that was made to join has no configuration before that. */
  get isAdmitted(): boolean {
    return this.#node.raft.status().configuration.voters.length > 0;
  }

  /** Whether nothing was ever written. */
  get isEmpty(): boolean {
    return this.revision === 0;
  }

  /** Whether it is the only member, and no change is under way that would make it one of several. */
  get isLone(): boolean {
    const { voters, outgoing, learners } = this.#node.raft.status().configuration;
    return voters.length === 1 && voters[0] === this.member && outgoing.length + learners.length === 0;
  }

  get revision(): number {
    return this.#node.machine.revision;
  }

  /** A message of the consensus; members of another cluster, and who is no member, have no part in it. */
  receive(bytes: Uint8Array, calls: Calls): void {
    if (calls.link.peer.storeId !== this.clusterId) return;
    const from = this.#node.receive(bytes);
    if (from === undefined) return;
    if (!this.#callers.has(from) && this.#callers.size >= CALLERS_MAX) this.#callers.clear();
    this.#callers.set(from, calls);
  }

  /** The link to an address broke. */
  unreachable(address: string): void {
    for (const member of this.#node.machine.seats.keys()) {
      if (this.#addressOf(member) === address) this.#node.unreachable(member);
    }
  }

  /** Begins to tell the others where this member is. */
  appear(): void {
    this.report();
    this.#reporter = setInterval(() => {
      if (this.#node.raft.status().leader === NOBODY) this.report();
    }, REPORT_MS);
  }

  call(incoming: Incoming): Promise<unknown> {
    if (incoming.method === "report") return this.#reported(incoming);
    return this.store.call(incoming);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#reporter);
    await this.store.stop();
  }

  #send(to: Member, bytes: Uint8Array): void {
    const address = this.#addressOf(to);
    if (address !== undefined && this.#options.ways.message(address, bytes)) return;
    const calls = this.#callers.get(to);
    if (calls?.link.isOpen === true) calls.message(bytes);
    else this.#callers.delete(to);
  }

  /** Where a member is: what the mesh says of its node now, what it said itself, what stands in the log. */
  #addressOf(member: Member): string | undefined {
    const seat = this.#node.machine.seats.get(member);
    const told = seat === undefined ? "" : this.#options.whereIs(seat.node);
    return told === "" ? (this.#moved.get(member) ?? seat?.address) : told;
  }

  /** Tells the others where this member is, and hears whether it is one still. */
  report(): void {
    const body = { member: this.member, address: this.#options.address() };
    for (const member of this.#node.machine.seats.keys()) {
      const address = this.#addressOf(member);
      if (member === this.member || address === undefined) continue;
      this.#options.ways.ask(address, "report", body, { timeoutMs: ASK_MS }).then(
        (answer) => {
          if (isRecord(answer) && answer["isMember"] === false && !this.#stopped) this.#options.onRemoved();
        },
        () => {},
      );
    }
  }

  async #reported({ method, body, storeId }: Incoming): Promise<unknown> {
    if (storeId !== this.clusterId) throw new MeshError("forbidden", "report: it is of another control cluster");
    const report = new Body(method, body);
    const [member, address] = [report.whole("member"), report.text("address")];
    if (!isMember(member) || parseAddress(address) === undefined) {
      throw new MeshError("bad_request", "report: a member and its address are expected");
    }
    const seat = this.#node.machine.seats.get(member);
    const takesPart = (): boolean => membersOf(this.#node.raft.status().configuration).has(member);
    if (seat?.address === address) this.#moved.delete(member);
    else if (seat !== undefined || takesPart()) this.#moved.set(member, address);
    if (takesPart()) return { isMember: true };
    // As far as the leader has come, and only by what can't be taken back.
    await this.#node.read(CONFIRM_MS);
    return { isMember: takesPart() || this.#node.isChanging };
  }
}
