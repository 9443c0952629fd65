/**
 * The consensus: Raft as in Ongaro's dissertation (2014), with pre-votes, leaders that step down without a majority
 * (CheckQuorum), reads by ReadIndex, learners, joint configurations that end by themselves, leadership transfer,
 * compaction, snapshots in pieces, appends sent ahead of their answers. DESIGN.md tells what was chosen and why.
 *
 * The core knows no disk, socket or clock. After each event its shell takes what is `ready()`, stores it, sends, applies,
 * and tells `persisted(number)` when it is durable. What tells others of a term, a vote or an entry is held back until
 * that is durable; a leader sends entries while it stores them, and counts itself only afterwards. So several batches
 * may be outstanding and nothing waits that need not.
 *
 * Limits: one change of members at a time, entries up to 1 MiB, entries stay in memory until they are compacted.
 * The times given never run backwards. A member whose store lost what it had acknowledged must not come back under its
 * number: it may have voted, and others may count on its entries.
 */
import { assert, unreachable } from "../base/assert.ts";
import type { Prng } from "../base/prng.ts";
import { Batches } from "./batches.ts";
import { ENTRIES_MAX } from "./codec.ts";
import {
  type Configuration,
  EMPTY_CONFIGURATION,
  encodeConfiguration,
  type Entry,
  type EntryKind,
  type HardState,
  type Member,
  NOBODY,
  type Position,
  type Snapshot,
} from "./entry.ts";
import { Log } from "./log.ts";
import { changed, isJoint, left, type MemberChange, membersOf } from "./membership.ts";
import type {
  AppendReply,
  AppendRequest,
  Message,
  ReadReply,
  ReadRequest,
  SnapshotChunk,
  VoteReply,
  VoteRequest,
} from "./message.ts";
import { Progress, type ProgressState } from "./progress.ts";
import { hasQuorum, quorumValue, tally } from "./quorum.ts";
import { FollowerReads, LeaderReads, type Reader } from "./reads.ts";
import type { ReadOutcome, Ready, Send } from "./ready.ts";
import type { RaftConfig } from "./settings.ts";
import { SnapshotReceiver, SnapshotSender } from "./snapshot-transfer.ts";

export type Role = "follower" | "precandidate" | "candidate" | "leader";

/** What the member's log held when it started. */
export interface Start {
  readonly hardState: HardState;
  readonly snapshot: Snapshot | null;
  /** Without a gap; they may begin before the snapshot's end. */
  readonly entries: readonly Entry[];
}

export interface Refusal {
  readonly refused: "not_leader" | "busy" | "transferring" | "too_large" | "invalid";
  /** Who leads, as far as is known. */
  readonly leader: Member;
  /** For people. */
  readonly reason: string;
}

export interface MemberProgress {
  readonly member: Member;
  readonly state: ProgressState;
  readonly matchIndex: number;
  /** It was heard within the longest election timeout. */
  readonly active: boolean;
  /** Of a snapshot on its way. */
  readonly snapshot?: { readonly receivedBytes: number; readonly totalBytes: number };
}

export interface Status {
  readonly member: Member;
  readonly term: number;
  readonly role: Role;
  readonly leader: Member;
  readonly commitIndex: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Entries up to here are durable at this member. */
  readonly durableIndex: number;
  readonly snapshotIndex: number;
  /** The one in force, whether it is committed or not. */
  readonly configuration: Configuration;
  readonly configurationIndex: number;
  /** To whom leadership is being handed over; NOBODY if it is not. */
  readonly transferringTo: Member;
  /** Of all others, at the leader only. */
  readonly progress: readonly MemberProgress[];
}

const START_OF_LOG: Position = { index: 0, term: 0 };
const NOTHING = new Uint8Array(0);

/** The store that the first members of a new cluster begin with: their configuration, committed. */
export function bootstrap(voters: readonly Member[]): Start {
  const data = encodeConfiguration({ ...EMPTY_CONFIGURATION, voters });
  return {
    hardState: { term: 1, votedFor: NOBODY, commitIndex: 1 },
    snapshot: null,
    entries: [{ index: 1, term: 1, kind: "configuration", data }],
  };
}

export class Raft {
  readonly #config: RaftConfig;
  readonly #self: Member;
  readonly #prng: Prng;
  readonly #log: Log;
  readonly #batches: Batches;
  #nowMs: number;

  #term: number;
  #votedFor: Member;
  #role: Role = "follower";
  #leader: Member = NOBODY;
  #commitIndex: number;

  /** Entries from here on, the snapshot, and a hard state that differs from this one are yet to be handed out. */
  #unsavedFrom: number;
  #unsavedSnapshot: Snapshot | undefined;
  #savedHardState: HardState;
  /** Committed entries up to here were handed out. */
  #handedIndex: number;
  #sends: Send[] = [];
  #outcomes: ReadOutcome[] = [];

  #electionDeadlineMs: number;
  /** Until then it votes for nobody, having heard from a leader; unless that leader asks for it. */
  #loyalUntilMs: number;
  readonly #votes = new Map<Member, boolean>();
  /** The candidate's own vote counts when this batch is durable. */
  #ownVoteAfter = Infinity;
  readonly #receiver = new SnapshotReceiver();
  readonly #forwarded: FollowerReads;

  // Of a leader:
  readonly #progress = new Map<Member, Progress>();
  #heartbeatDueMs = Infinity;
  /** Every heartbeat and every batch of reads begins a round; each message tells the newest. */
  #round = 0;
  /** All have to hear of this one, also those to whom there is nothing else to send. */
  #dueRound = 0;
  /** When each of the newest rounds began, for leases. */
  readonly #roundBeganMs = new Map<number, number>();
  readonly #reads = new LeaderReads();
  /** When followers are told of a newer commit index, if nothing else goes to them before. */
  #noticeDueMs = Infinity;
  #isNoticeDue = false;
  #uncommittedBytes = 0;
  #transferringTo: Member = NOBODY;
  #transferUntilMs = Infinity;
  /** In this term somebody was asked to stand, which no loyalty hinders: leases are no longer certain. */
  #askedToStand = false;

  /** `prng` has to differ at every start. */
  constructor(config: RaftConfig, self: Member, start: Start, prng: Prng, nowMs: number) {
    const { hardState, snapshot, entries } = start;
    this.#config = config;
    this.#self = self;
    this.#prng = prng;
    this.#nowMs = nowMs;
    this.#log = new Log(snapshot, entries);
    this.#term = hardState.term;
    this.#votedFor = hardState.votedFor;
    assert(this.#log.last.term <= this.#term, `the log has term ${this.#log.last.term}, the hard state ${this.#term}`);
    this.#savedHardState = hardState;
    this.#handedIndex = snapshot?.index ?? 0;
    this.#commitIndex = Math.max(Math.min(hardState.commitIndex, this.#log.lastIndex), this.#handedIndex);
    this.#unsavedFrom = this.#log.lastIndex + 1;
    this.#batches = new Batches(this.#log.lastIndex, this.#term);
    this.#forwarded = new FollowerReads(prng);
    // Before it stopped it may have promised loyalty to a leader that counts on it for its lease.
    this.#loyalUntilMs = config.leaseReads ? nowMs + config.electionTimeoutMinMs : -Infinity;
    const { voters, outgoing } = this.#log.configuration;
    // Until its being alone is committed, the leader that is handing over to it may still have a lease.
    const isSettled = !config.leaseReads || this.#log.configurationIndex <= this.#commitIndex;
    const isAlone = isSettled && voters.length === 1 && outgoing.length === 0 && voters[0] === self;
    this.#electionDeadlineMs = isAlone ? nowMs : this.#nextElectionMs();
  }

  // ---- what happens to it ----

  receive(message: Message, nowMs: number): void {
    this.#nowMs = nowMs;
    if (message.to !== this.#self || message.from === this.#self) return;
    if (message.type === "vote") {
      this.#onVote(message);
      return;
    }
    const isFuture = message.type === "vote-reply" && message.pre && message.granted;
    if (message.term > this.#term && !isFuture) this.#follow(message.term, NOBODY);
    if (message.term < this.#term) {
      this.#answerStale(message);
      return;
    }
    switch (message.type) {
      case "vote-reply":
        this.#onVoteReply(message);
        break;
      case "append":
        this.#hear(message.from);
        this.#onAppend(message);
        break;
      case "snapshot":
        this.#hear(message.from);
        this.#onSnapshot(message);
        break;
      case "append-reply":
        this.#onAppendReply(message);
        break;
      case "snapshot-reply": {
        const progress = this.#heardFrom(message.from);
        const sender = progress?.snapshot;
        if (sender !== undefined && sender.snapshot.index === message.at.index)
          sender.received(message.received, nowMs);
        break;
      }
      case "transfer":
        if (this.#role === "follower" && message.from === this.#leader && this.#isPromotable) this.#stand(true);
        break;
      case "read":
        this.#onRead(message);
        break;
      case "read-reply":
        this.#onReadReply(message);
        break;
      default:
        unreachable(message);
    }
  }

  /** Call it at or after `wakeAtMs`. */
  wake(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#role === "leader") {
      if (nowMs >= this.#transferUntilMs) this.#endTransfer();
      if (nowMs >= this.#heartbeatDueMs) this.#beat();
      return;
    }
    for (const id of this.#forwarded.expire(nowMs)) this.#outcomes.push({ id, refused: true });
    if (nowMs >= this.#electionDeadlineMs && this.#isPromotable) this.#sound();
  }

  get wakeAtMs(): number {
    if (this.#role === "leader") return Math.min(this.#heartbeatDueMs, this.#transferUntilMs, this.#noticeDueMs);
    return Math.min(this.#isPromotable ? this.#electionDeadlineMs : Infinity, this.#forwarded.untilMs);
  }

  /** All of them or none; committed when entries with these indexes and terms are handed out. */
  propose(commands: readonly Uint8Array[], nowMs: number): readonly Position[] | Refusal {
    this.#nowMs = nowMs;
    const refusal = this.#hindrance();
    if (refusal !== undefined) return refusal;
    const { entryBytesMax, uncommittedBytesMax } = this.#config;
    const largest = commands.reduce((bytes, { length }) => Math.max(bytes, length), 0);
    if (largest > entryBytesMax) {
      return this.#refusal("too_large", `an entry of ${largest} bytes; at most ${entryBytesMax} are possible`);
    }
    const bytes = commands.reduce((sum, { length }) => sum + length, 0);
    if (this.#uncommittedBytes > 0 && this.#uncommittedBytes + bytes > uncommittedBytesMax) {
      return this.#refusal("busy", `${this.#uncommittedBytes} bytes wait for a majority to store them`);
    }
    return commands.map((command) => this.#appendOwn("command", command));
  }

  /** What became of it comes with a Ready's `reads`. A follower asks its leader. */
  read(id: number, nowMs: number): Refusal | undefined {
    this.#nowMs = nowMs;
    if (this.#role === "leader") {
      if (this.#reads.count >= this.#config.pendingReadsMax) return this.#tooManyReads();
      if (this.#hasLease()) this.#outcomes.push({ id, index: this.#commitIndex });
      else this.#reads.ask({ member: this.#self, id });
      return undefined;
    }
    if (this.#leader === NOBODY) return this.#refusal("not_leader", "no leader is known");
    if (this.#forwarded.count >= this.#config.pendingReadsMax) return this.#tooManyReads();
    const number = this.#forwarded.ask(id, nowMs + this.#config.electionTimeoutMaxMs);
    this.#send({ type: "read", from: this.#self, to: this.#leader, term: this.#term, id: number });
    return undefined;
  }

  /** Changes who takes part; done when no change is under way any more (`status`). */
  changeMembers(changes: readonly MemberChange[], nowMs: number): Position | Refusal {
    this.#nowMs = nowMs;
    const refusal = this.#hindrance();
    if (refusal !== undefined) return refusal;
    const { configuration, configurationIndex } = this.#log;
    if (isJoint(configuration) || configurationIndex > this.#commitIndex) {
      return this.#refusal("busy", "another change of members is under way");
    }
    // Without an entry of its term committed, a leader may not know the newest configuration (Ongaro, 2015).
    if (!this.#hasCommitted) return this.#refusal("busy", "the leader has just begun its term");
    const next = changed(configuration, changes);
    if (typeof next === "string") return this.#refusal("invalid", next);
    return this.#appendConfiguration(next);
  }

  /** Hands leadership over; takes no proposals until that succeeds or the longest election timeout is over. */
  transfer(to: Member, nowMs: number): Refusal | undefined {
    this.#nowMs = nowMs;
    if (this.#transferringTo === to && to !== NOBODY) return undefined;
    const refusal = this.#hindrance();
    if (refusal !== undefined) return refusal;
    if (to === this.#self) return this.#refusal("invalid", `member ${to} leads already`);
    const progress = this.#progress.get(to);
    if (progress === undefined || !this.#log.configuration.voters.includes(to)) {
      return this.#refusal("invalid", `member ${to} is no voter`);
    }
    this.#transferringTo = to;
    this.#transferUntilMs = nowMs + this.#config.electionTimeoutMaxMs;
    this.#handOver();
    return undefined;
  }

  /** The link to that member broke: what was on its way may be lost, and a leader that it led to may be dead. */
  unreachable(member: Member, nowMs: number): void {
    this.#nowMs = nowMs;
    const progress = this.#progress.get(member);
    if (progress?.state === "replicate") progress.probe();
    progress?.snapshot?.retry(nowMs, 0);
    const { leaseReads, heartbeatIntervalMs } = this.#config;
    // A broken link is a guess, which pre-votes make harmless; a lease is a promise.
    if (member !== this.#leader || this.#role !== "follower" || leaseReads) return;
    this.#loyalUntilMs = -Infinity;
    const soonMs = nowMs + heartbeatIntervalMs * (0.5 + this.#prng.next());
    this.#electionDeadlineMs = Math.min(this.#electionDeadlineMs, soonMs);
  }

  /** All batches up to that one are durable; those that had nothing to store need no word. */
  persisted(number: number, nowMs: number): void {
    this.#nowMs = nowMs;
    for (const message of this.#batches.persisted(number)) this.#send(message);
    if (this.#role === "candidate" && number >= this.#ownVoteAfter) {
      this.#ownVoteAfter = Infinity;
      this.#votes.set(this.#self, true);
      this.#count();
    } else if (this.#role === "leader") {
      this.#advanceCommit();
    }
  }

  /**
   * Entries up to the index, whose state `data` is, are needed no more; `status().firstIndex` tells which are kept.
   * The snapshot to store; undefined where there is a newer one or the index was not handed out yet.
   */
  compact(index: number, data: Uint8Array): Snapshot | undefined {
    if (index <= (this.#log.snapshot?.index ?? 0) || index > this.#handedIndex) return undefined;
    const { trailingEntriesMax, trailingBytesMax } = this.#config;
    let keepFrom = this.#log.tailFrom(index, trailingEntriesMax, trailingBytesMax);
    // Who is receiving an older snapshot will go on after it.
    for (const { snapshot } of this.#progress.values()) {
      if (snapshot !== undefined) keepFrom = Math.min(keepFrom, snapshot.snapshot.index + 1);
    }
    return this.#log.compact(index, data, keepFrom);
  }

  /** What is new since the last call. */
  ready(): Ready | null {
    if (this.#role === "leader") this.#flush();
    const { lastIndex } = this.#log;
    const entries = this.#unsavedFrom <= lastIndex ? this.#log.slice(this.#unsavedFrom, lastIndex) : [];
    const snapshot = this.#unsavedSnapshot;
    const stores = this.#isUnsaved;
    const committed =
      this.#handedIndex < this.#commitIndex ? this.#log.slice(this.#handedIndex + 1, this.#commitIndex) : [];
    const sends = this.#sends;
    const reads = this.#outcomes;
    if (!stores && sends.length === 0 && committed.length === 0 && reads.length === 0) return null;
    this.#sends = [];
    this.#outcomes = [];
    const hardState = { term: this.#term, votedFor: this.#votedFor, commitIndex: this.#commitIndex };
    // The commit index alone is a hint, which is not worth a write of its own.
    const isHardStateNew = stores && !isSameHardState(hardState, this.#savedHardState);
    if (isHardStateNew) this.#savedHardState = hardState;
    this.#unsavedFrom = lastIndex + 1;
    this.#unsavedSnapshot = undefined;
    this.#handedIndex = Math.max(this.#handedIndex, this.#commitIndex);
    return {
      number: this.#batches.issue(stores, lastIndex, this.#term),
      ...(snapshot === undefined ? {} : { snapshot }),
      entries,
      ...(isHardStateNew ? { hardState } : {}),
      sends,
      committed,
      reads,
    };
  }

  status(): Status {
    const { firstIndex, lastIndex, configuration, configurationIndex, snapshot } = this.#log;
    return {
      member: this.#self,
      term: this.#term,
      role: this.#role,
      leader: this.#leader,
      commitIndex: this.#commitIndex,
      firstIndex,
      lastIndex,
      durableIndex: this.#batches.durableIndex,
      snapshotIndex: snapshot?.index ?? 0,
      configuration,
      configurationIndex,
      transferringTo: this.#transferringTo,
      progress: [...this.#progress].map(([member, progress]) => ({
        member,
        state: progress.state,
        matchIndex: progress.match,
        active: this.#isActive(progress),
        ...(progress.snapshot === undefined
          ? {}
          : {
              snapshot: {
                receivedBytes: progress.snapshot.acknowledged,
                totalBytes: progress.snapshot.snapshot.data.length,
              },
            }),
      })),
    };
  }

  // ---- elections ----

  get #isPromotable(): boolean {
    return this.#log.mayVote(this.#self, this.#commitIndex);
  }

  #nextElectionMs(): number {
    const { electionTimeoutMinMs: min, electionTimeoutMaxMs: max } = this.#config;
    return this.#nowMs + min + this.#prng.next() * (max - min);
  }

  /** Asks whether it would be elected, which changes nobody's term (dissertation, 9.6). */
  #sound(): void {
    this.#role = "precandidate";
    this.#setLeader(NOBODY);
    this.#electionDeadlineMs = this.#nextElectionMs();
    this.#votes.clear();
    this.#votes.set(this.#self, true);
    for (const to of this.#voters()) this.#send(this.#voteRequest(to, true, false));
    this.#count();
  }

  /** Stands for election in a new term. */
  #stand(transfer: boolean): void {
    this.#term += 1;
    this.#votedFor = this.#self;
    this.#role = "candidate";
    this.#setLeader(NOBODY);
    this.#receiver.drop();
    this.#electionDeadlineMs = this.#nextElectionMs();
    this.#votes.clear();
    // A candidate that forgot its term might count votes for a log that it no longer has.
    this.#ownVoteAfter = this.#batches.next;
    for (const to of this.#voters()) this.#sendWhenDurable(this.#voteRequest(to, false, transfer));
  }

  #voters(): Member[] {
    const { voters, outgoing } = this.#log.configuration;
    return [...new Set([...voters, ...outgoing])].filter((member) => member !== this.#self);
  }

  #voteRequest(to: Member, pre: boolean, transfer: boolean): VoteRequest {
    const term = pre ? this.#term + 1 : this.#term;
    return { type: "vote", from: this.#self, to, term, pre, last: this.#log.last, transfer };
  }

  #onVote(request: VoteRequest): void {
    const { from, term, pre, last } = request;
    const isLoyal = this.#role === "leader" || this.#nowMs < this.#loyalUntilMs;
    if (term > this.#term && isLoyal && !request.transfer) return;
    if (term > this.#term && !pre) this.#follow(term, NOBODY);
    const isFree = pre
      ? term > this.#term
      : term === this.#term && (this.#votedFor === NOBODY || this.#votedFor === from);
    // That it has learned of the term by another message does not end the lease of the leader of the one before.
    const isBound = !pre && isLoyal && !request.transfer && this.#votedFor !== from;
    const granted = !isBound && isFree && this.#log.isNoNewerThan(last);
    const reply: VoteReply = {
      type: "vote-reply",
      from: this.#self,
      to: from,
      // Who hopes for a term learns of a refusal which one it is, so that it catches up.
      term: granted ? term : this.#term,
      pre,
      granted,
    };
    if (granted && !pre) {
      this.#votedFor = from;
      this.#electionDeadlineMs = this.#nextElectionMs();
    }
    if (granted && pre) this.#send(reply);
    else this.#sendWhenDurable(reply);
  }

  #onVoteReply({ from, term, pre, granted }: VoteReply): void {
    const isWanted = pre
      ? this.#role === "precandidate" && term === (granted ? this.#term + 1 : this.#term)
      : this.#role === "candidate";
    if (!isWanted) return;
    this.#votes.set(from, granted);
    if (!pre && !granted) {
      // Where votes are split nobody leads, and waiting out a whole timeout would be for nothing.
      const soonMs = this.#nowMs + this.#config.electionTimeoutMinMs * (0.2 + 0.8 * this.#prng.next());
      this.#electionDeadlineMs = Math.min(this.#electionDeadlineMs, soonMs);
    }
    this.#count();
  }

  #count(): void {
    const result = tally(this.#log.configuration, this.#votes);
    if (result === "open") return;
    if (result === "lost") this.#follow(this.#term, NOBODY);
    else if (this.#role === "precandidate") this.#stand(false);
    else this.#lead();
  }

  /** Follows that leader, or whoever will lead in that term. */
  #follow(term: number, leader: Member): void {
    if (term > this.#term) {
      this.#term = term;
      this.#votedFor = NOBODY;
      this.#receiver.drop();
    }
    if (this.#role === "leader") {
      for (const reader of this.#reads.refuse()) this.#answer(reader, undefined);
      this.#progress.clear();
      this.#roundBeganMs.clear();
      this.#endTransfer();
      this.#noticeDueMs = Infinity;
      this.#electionDeadlineMs = this.#nextElectionMs();
    }
    this.#role = "follower";
    this.#ownVoteAfter = Infinity;
    this.#setLeader(leader);
  }

  #setLeader(leader: Member): void {
    if (leader === this.#leader) return;
    this.#leader = leader;
    for (const id of this.#forwarded.refuse()) this.#outcomes.push({ id, refused: true });
  }

  /** The leader of this term spoke. */
  #hear(leader: Member): void {
    assert(this.#role !== "leader", `members ${leader} and ${this.#self} both lead in term ${this.#term}`);
    this.#follow(this.#term, leader);
    this.#electionDeadlineMs = this.#nextElectionMs();
    this.#loyalUntilMs = this.#nowMs + this.#config.electionTimeoutMinMs;
  }

  /** Who speaks in a term that is over learns that it is. */
  #answerStale({ type, from }: Message): void {
    if (type !== "append" && type !== "snapshot") return;
    this.#sendWhenDurable({ ...this.#appendReply(from, 0, 0), hint: START_OF_LOG });
  }

  // ---- the leader ----

  #lead(): void {
    this.#role = "leader";
    this.#setLeader(this.#self);
    this.#votes.clear();
    this.#askedToStand = false;
    const uncommitted = this.#log.slice(this.#commitIndex + 1, this.#log.lastIndex);
    this.#uncommittedBytes = uncommitted.reduce((bytes, { data }) => bytes + data.length, 0);
    this.#acquaint();
    // What earlier terms left is committed with it.
    this.#appendOwn("noop", NOTHING);
    this.#beginRound();
    this.#dueRound = this.#round;
    this.#heartbeatDueMs = this.#nowMs + this.#config.heartbeatIntervalMs;
  }

  /** Keeps track of all in the configuration, and of those no longer in it until they had time to learn that. */
  #acquaint(): void {
    const members = membersOf(this.#log.configuration);
    members.delete(this.#self);
    for (const member of members) {
      const progress = this.#progress.get(member);
      if (progress === undefined) this.#progress.set(member, new Progress(this.#log.lastIndex + 1, this.#nowMs));
      else progress.departsAtMs = undefined;
    }
    for (const [member, progress] of this.#progress) if (!members.has(member)) progress.departsAtMs ??= Infinity;
  }

  #appendOwn(kind: EntryKind, data: Uint8Array): Position {
    const position = { index: this.#log.lastIndex + 1, term: this.#term };
    this.#log.append([{ ...position, kind, data }]);
    this.#uncommittedBytes += data.length;
    return position;
  }

  #appendConfiguration(configuration: Configuration): Position {
    const position = this.#appendOwn("configuration", encodeConfiguration(configuration));
    this.#acquaint();
    return position;
  }

  #beginRound(): void {
    this.#round += 1;
    if (!this.#config.leaseReads) return;
    this.#roundBeganMs.set(this.#round, this.#nowMs);
    this.#roundBeganMs.delete(this.#round - ROUNDS_KEPT);
  }

  #isActive({ heardMs }: Progress): boolean {
    return this.#nowMs - heardMs <= this.#config.electionTimeoutMaxMs;
  }

  #beat(): void {
    const { configuration } = this.#log;
    const hears = (member: Member): boolean => {
      const progress = this.#progress.get(member);
      return member === this.#self || (progress !== undefined && this.#isActive(progress));
    };
    if (!hasQuorum(configuration, hears)) {
      this.#follow(this.#term, NOBODY);
      return;
    }
    for (const [member, progress] of this.#progress) {
      if (progress.departsAtMs === Infinity && this.#log.configurationIndex <= this.#commitIndex) {
        progress.departsAtMs = this.#nowMs + 2 * this.#config.electionTimeoutMaxMs;
      }
      if ((progress.departsAtMs ?? Infinity) <= this.#nowMs) this.#progress.delete(member);
      else if (this.#isActive(progress)) progress.snapshot?.retry(this.#nowMs, this.#config.electionTimeoutMinMs);
    }
    this.#beginRound();
    this.#dueRound = this.#round;
    this.#heartbeatDueMs = this.#nowMs + this.#config.heartbeatIntervalMs;
  }

  /** Sends all that may leave now. */
  #flush(): void {
    if (this.#reads.hasAsked && this.#hasCommitted) {
      this.#beginRound();
      this.#dueRound = this.#round;
      this.#reads.begin(this.#round, this.#commitIndex);
    }
    this.#isNoticeDue = this.#nowMs >= this.#noticeDueMs;
    if (this.#isNoticeDue) this.#noticeDueMs = Infinity;
    for (const [member, progress] of this.#progress) this.#replicate(member, progress);
    if (this.#reads.count === 0) return;
    for (const { reader, index } of this.#reads.confirmed(this.#confirmedRound())) this.#answer(reader, index);
  }

  #replicate(member: Member, progress: Progress): void {
    const isDue = progress.sentRound < this.#dueRound;
    if (progress.state !== "snapshot" && this.#log.termAt(progress.next - 1) === undefined) {
      this.#beginSnapshot(progress);
    }
    if (progress.state === "snapshot") {
      this.#sendPieces(member, progress);
      // It agrees with what is before everything, and answers with what it has committed.
      if (isDue) this.#sendAppend(member, progress, START_OF_LOG, []);
      return;
    }
    const { appendBytesMax, inflightMessagesMax, inflightBytesMax } = this.#config;
    let hasSent = false;
    if (progress.state === "probe" && !progress.waiting) {
      this.#sendAppend(
        member,
        progress,
        this.#previousOf(progress),
        this.#log.upTo(progress.next, appendBytesMax, ENTRIES_MAX),
      );
      progress.waiting = true;
      hasSent = true;
    }
    while (
      progress.state === "replicate" &&
      progress.next <= this.#log.lastIndex &&
      progress.hasRoom(inflightMessagesMax, inflightBytesMax)
    ) {
      const entries = this.#log.upTo(progress.next, appendBytesMax, ENTRIES_MAX);
      this.#sendAppend(member, progress, this.#previousOf(progress), entries);
      const bytes = entries.reduce((sum, { data }) => sum + data.length, 0);
      progress.sent(progress.next + entries.length - 1, bytes);
      hasSent = true;
    }
    if (hasSent) return;
    const knowable = progress.state === "replicate" ? Math.min(this.#commitIndex, progress.next - 1) : 0;
    if (isDue) this.#sendAppend(member, progress, this.#previousOf(progress), []);
    else if (this.#isNoticeDue && knowable > progress.sentCommit) {
      this.#sendAppend(member, progress, this.#previousOf(progress), [], NO_ROUND);
    }
  }

  #previousOf({ next }: Progress): Position {
    return { index: next - 1, term: this.#log.termAt(next - 1)! };
  }

  #sendAppend(
    to: Member,
    progress: Progress,
    previous: Position,
    entries: readonly Entry[],
    round = this.#round,
  ): void {
    progress.sentRound = this.#round;
    progress.sentCommit = Math.min(this.#commitIndex, previous.index + entries.length);
    this.#send({
      type: "append",
      from: this.#self,
      to,
      term: this.#term,
      previous,
      commitIndex: this.#commitIndex,
      entries,
      round,
    });
  }

  #beginSnapshot(progress: Progress): void {
    const { snapshot } = this.#log;
    assert(snapshot !== null, `no snapshot covers the entries before ${this.#log.firstIndex}`);
    const { snapshotChunkBytes, snapshotWindowBytes } = this.#config;
    progress.become("snapshot");
    progress.snapshot = new SnapshotSender(snapshot, snapshotChunkBytes, snapshotWindowBytes, this.#nowMs);
  }

  #sendPieces(to: Member, { snapshot: sender }: Progress): void {
    if (sender === undefined) return;
    const { index, term, configuration, data } = sender.snapshot;
    for (let piece = sender.next(); piece !== undefined; piece = sender.next()) {
      this.#send({
        type: "snapshot",
        from: this.#self,
        to,
        term: this.#term,
        at: { index, term },
        configuration,
        totalBytes: data.length,
        offset: piece.offset,
        bytes: piece.bytes,
      });
    }
  }

  #heardFrom(member: Member): Progress | undefined {
    const progress = this.#role === "leader" ? this.#progress.get(member) : undefined;
    if (progress !== undefined) progress.heardMs = this.#nowMs;
    return progress;
  }

  #onAppendReply({ from, round, index, hint }: AppendReply): void {
    const progress = this.#heardFrom(from);
    if (progress === undefined || index > this.#log.lastIndex) return;
    // Also a refusal says that it follows.
    progress.confirmedRound = Math.max(progress.confirmedRound, Math.min(round, this.#round));
    if (hint !== undefined) {
      if (round >= progress.refusalsFrom) this.#onRefusal(progress, index, hint);
      return;
    }
    const isNews = progress.matched(index);
    if (progress.state === "snapshot" && this.#log.termAt(progress.match) !== undefined) {
      progress.become("replicate");
      progress.next = progress.match + 1;
    }
    if (!isNews) return;
    this.#advanceCommit();
    // What it has got by now may be committed already.
    if (progress.sentCommit < Math.min(this.#commitIndex, index)) this.#noticeSoon();
    if (from === this.#transferringTo) this.#handOver();
  }

  #onRefusal(progress: Progress, index: number, hint: Position): void {
    // Answers to what was sent before the logs were known to agree, or to another probe, tell nothing new.
    const isStale = progress.state === "probe" ? index !== progress.next - 1 : index <= progress.match;
    if (progress.state === "snapshot" || isStale) return;
    const next = Math.min(index, this.#log.lastAgreement(hint).index + 1);
    if (progress.state === "replicate") {
      // All that is still on its way may be refused as well: going back for each of them would send it over and over.
      this.#beginRound();
      progress.refusalsFrom = this.#round;
    }
    progress.probe();
    progress.next = Math.max(next, progress.match + 1);
  }

  /** Whether it has committed an entry of its term, and so knows all that was committed before. */
  get #hasCommitted(): boolean {
    return this.#log.termAt(this.#commitIndex) === this.#term;
  }

  #advanceCommit(): void {
    const { configuration } = this.#log;
    const reached = quorumValue(configuration, (member) =>
      member === this.#self ? this.#batches.durableIndex : (this.#progress.get(member)?.match ?? 0),
    );
    // An entry of an earlier term is committed only by one of this term above it (Raft paper, figure 8).
    if (reached <= this.#commitIndex || this.#log.termAt(reached) !== this.#term) return;
    for (const { data } of this.#log.slice(this.#commitIndex + 1, reached)) this.#uncommittedBytes -= data.length;
    this.#commitIndex = reached;
    this.#noticeSoon();
    if (this.#log.configurationIndex > reached) return;
    if (isJoint(configuration)) {
      this.#appendConfiguration(left(configuration));
      // The majority that is needed from here on may have stored all of it already.
      this.#advanceCommit();
    } else if (!configuration.voters.includes(this.#self)) {
      this.#retire();
    }
  }

  /** Followers learn of a newer commit index with the next entries, or by themselves before long. */
  #noticeSoon(): void {
    this.#noticeDueMs = Math.min(this.#noticeDueMs, this.#nowMs + this.#config.commitNoticeDelayMs);
  }

  /** It was taken out, or became a learner: the others learn what is committed, and the best of them stands at once. */
  #retire(): void {
    this.#noticeDueMs = this.#nowMs;
    this.#flush();
    let heir: Member = NOBODY;
    let most = -1;
    for (const member of this.#log.configuration.voters) {
      const { match = -1 } = this.#progress.get(member) ?? {};
      if (match > most) [heir, most] = [member, match];
    }
    this.#askToStand(heir);
    this.#follow(this.#term, NOBODY);
  }

  /** Asks the one that is to lead to stand, as soon as it has everything. */
  #handOver(): void {
    if (this.#progress.get(this.#transferringTo)?.match === this.#log.lastIndex) this.#askToStand(this.#transferringTo);
  }

  #askToStand(member: Member): void {
    this.#askedToStand = true;
    this.#send({ type: "transfer", from: this.#self, to: member, term: this.#term });
  }

  #endTransfer(): void {
    this.#transferringTo = NOBODY;
    this.#transferUntilMs = Infinity;
  }

  // ---- the follower ----

  #onAppend({ from, previous, commitIndex, entries, round }: AppendRequest): void {
    // What is committed here agrees with every leader from now on.
    const known = Math.max(this.#commitIndex - previous.index, 0);
    if (known === 0 && !this.#log.has(previous)) {
      const hint = this.#log.lastAgreement(previous);
      this.#sendWhenDurable({ ...this.#appendReply(from, round, previous.index), hint });
      return;
    }
    const firstNew = entries.findIndex((entry, at) => at >= known && !this.#log.has(entry));
    if (firstNew >= 0) this.#store(entries.slice(firstNew));
    const last = Math.max(previous.index + entries.length, this.#commitIndex);
    this.#commitIndex = Math.max(this.#commitIndex, Math.min(commitIndex, last));
    if (round !== NO_ROUND || entries.length > 0) this.#acknowledge(from, round, last);
  }

  /** Appends entries, cutting off what is in their place. */
  #store(entries: readonly Entry[]): void {
    const { index } = entries[0]!;
    if (index <= this.#log.lastIndex) {
      assert(index > this.#commitIndex, `the leader's log differs at ${index}, committed up to ${this.#commitIndex}`);
      this.#log.truncate(index);
      this.#batches.truncate(index);
      this.#unsavedFrom = Math.min(this.#unsavedFrom, index);
    }
    this.#log.append(entries);
  }

  #onSnapshot(chunk: SnapshotChunk): void {
    const { from, at } = chunk;
    if (at.index > this.#commitIndex && this.#log.has(at)) this.#commitIndex = at.index;
    if (at.index <= this.#commitIndex) {
      this.#receiver.drop();
      this.#acknowledge(from, 0, this.#commitIndex);
      return;
    }
    const snapshot = this.#receiver.accept(chunk);
    if (snapshot === undefined) {
      const received = this.#receiver.receivedOf(chunk);
      this.#sendWhenDurable({ type: "snapshot-reply", from: this.#self, to: from, term: this.#term, at, received });
      return;
    }
    this.#log.reset(snapshot);
    this.#batches.truncate(snapshot.index);
    this.#unsavedSnapshot = snapshot;
    this.#unsavedFrom = snapshot.index + 1;
    this.#commitIndex = snapshot.index;
    this.#handedIndex = snapshot.index;
    this.#acknowledge(from, 0, snapshot.index);
  }

  #appendReply(to: Member, round: number, index: number): AppendReply {
    return { type: "append-reply", from: this.#self, to, term: this.#term, round, index };
  }

  /** The log agrees with the leader's up to the index, once that is durable. */
  #acknowledge(to: Member, round: number, index: number): void {
    const reply = this.#appendReply(to, round, index);
    const { durableIndex, durableTerm } = this.#batches;
    if (index <= durableIndex && durableTerm === this.#term) this.#send(reply);
    else this.#sendWhenDurable(reply);
  }

  // ---- reads ----

  #confirmedRound(): number {
    return quorumValue(this.#log.configuration, (member) =>
      member === this.#self ? this.#round : (this.#progress.get(member)?.confirmedRound ?? 0),
    );
  }

  /** Whether nobody else can have been elected yet, since a majority promised. */
  #hasLease(): boolean {
    if (!this.#config.leaseReads || this.#askedToStand || !this.#hasCommitted) return false;
    const beganMs = this.#roundBeganMs.get(this.#confirmedRound());
    return beganMs !== undefined && this.#nowMs < beganMs + this.#config.electionTimeoutMinMs * LEASE_SHARE;
  }

  #onRead({ from, id }: ReadRequest): void {
    const reader: Reader = { member: from, id };
    const isWelcome = this.#role === "leader" && this.#progress.has(from);
    if (!isWelcome || this.#reads.count >= this.#config.pendingReadsMax) this.#answer(reader, undefined);
    else if (this.#hasLease()) this.#answer(reader, this.#commitIndex);
    else this.#reads.ask(reader);
  }

  #onReadReply({ id: number, index }: ReadReply): void {
    const id = this.#forwarded.answered(number);
    if (id !== undefined) this.#outcomes.push(index === undefined ? { id, refused: true } : { id, index });
  }

  #answer({ member, id }: Reader, index: number | undefined): void {
    if (member === this.#self) {
      this.#outcomes.push(index === undefined ? { id, refused: true } : { id, index });
      return;
    }
    const reply: ReadReply = { type: "read-reply", from: this.#self, to: member, term: this.#term, id };
    this.#send(index === undefined ? reply : { ...reply, index });
  }

  #tooManyReads(): Refusal {
    return this.#refusal("busy", `${this.#config.pendingReadsMax} reads wait for the leader's confirmation`);
  }

  // ---- what leaves ----

  /** Why it takes nothing new. */
  #hindrance(): Refusal | undefined {
    if (this.#role !== "leader") return this.#refusal("not_leader", "another member leads, or none does");
    if (this.#transferringTo === NOBODY) return undefined;
    return this.#refusal("transferring", `leadership is being handed over to member ${this.#transferringTo}`);
  }

  #refusal(refused: Refusal["refused"], reason: string): Refusal {
    return { refused, leader: this.#leader, reason };
  }

  get #isUnsaved(): boolean {
    const { term, votedFor } = this.#savedHardState;
    if (this.#unsavedSnapshot !== undefined || this.#unsavedFrom <= this.#log.lastIndex) return true;
    return term !== this.#term || votedFor !== this.#votedFor;
  }

  #send(message: Message): void {
    this.#sends.push({ to: message.to, message });
  }

  /** Sends it when all that is so far is durable. */
  #sendWhenDurable(message: Message): void {
    const after = this.#isUnsaved ? this.#batches.next : this.#batches.newest;
    if (after === 0) this.#send(message);
    else this.#batches.hold(message, after);
  }
}

/** Of news of the commit index alone, which needs no answer: if it is lost, the next heartbeat tells it. */
const NO_ROUND = 0;
/** Rounds whose beginnings are kept: older ones are no lease any more. */
const ROUNDS_KEPT = 1024;
/** Of the shortest election timeout: what is left covers clocks that run at different speeds. */
const LEASE_SHARE = 0.8;

function isSameHardState(one: HardState, other: HardState): boolean {
  return one.term === other.term && one.votedFor === other.votedFor && one.commitIndex === other.commitIndex;
}
