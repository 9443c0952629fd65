/** A simulated member: the core, a disk, a clock, a state machine, and those who wait for it. */
import { Prng } from "../../src/base/prng.ts";
import type { Entry, Member, Position } from "../../src/raft/entry.ts";
import type { Message } from "../../src/raft/message.ts";
import type { Raft, Start } from "../../src/raft/raft.ts";
import type { Ready } from "../../src/raft/ready.ts";
import { Disk, StoredLog } from "./disk.ts";
import { Machine } from "./machine.ts";
import { must, type Oracle } from "./oracle.ts";
import type { Scenario } from "./scenario.ts";

/** Something that a client asked for; called once, with the index that it was done at or without if it was refused. */
export interface Ask {
  readonly committedAtCall: number;
  done(index: number | undefined, machine: Machine): void;
}

/** What is around a member. */
export interface Surroundings {
  readonly seed: number;
  readonly core: Core;
  readonly scenario: Scenario;
  readonly oracle: Oracle;
  readonly nowMs: number;
  readonly isFaulty: boolean;
  after(ms: number, run: () => void): void;
  seat(member: Member): Seat;
  send(message: Message): void;
  /** Kills it as soon as it has done what it is doing. */
  kill(seat: Seat): void;
  /** An entry is in somebody's log; is committed. */
  sees(entry: Entry): void;
  commits(entry: Entry): void;
}

/** What is simulated: the core, or a mutant of it. */
export interface Core {
  readonly Raft: typeof Raft;
}

const READIES_MAX = 100;

export class Seat {
  readonly member: Member;
  readonly disk: Disk;
  raft: Raft | undefined;
  /** The disk is lost: it never comes back. */
  lost = false;
  paused = false;
  /** All that was handed out to be stored, durable or not. */
  log: StoredLog;
  machine = new Machine();
  applied = 0;
  readonly #world: Surroundings;
  readonly #prng: Prng;
  #rate = 1;
  #offsetMs = 0;
  #wakeAtMs = Infinity;
  #life = 0;
  #inbox: Message[] = [];
  #compactedAt = 0;
  /** Writes by the index that they were given, reads by number, reads that wait until their index is applied. */
  readonly #writes = new Map<number, { readonly term: number; readonly ask: Ask }>();
  readonly #reads = new Map<number, Ask>();
  #lateReads: { readonly index: number; readonly ask: Ask }[] = [];
  #readNumber = 0;

  constructor(world: Surroundings, member: Member, start: Start) {
    this.#world = world;
    this.member = member;
    this.#prng = new Prng(world.seed * 64 + member);
    this.log = new StoredLog(start);
    const { diskMs } = world.scenario;
    this.disk = new Disk(start, {
      nowMs: () => world.nowMs,
      after: (ms, run) => world.after(ms, run),
      latencyMs: () => this.#prng.exponential(diskMs),
      done: (number) => this.#step((raft, nowMs) => raft.persisted(number, nowMs)),
    });
    this.boot();
  }

  get isUp(): boolean {
    return this.raft !== undefined;
  }

  /** The member's own clock. */
  get #nowMs(): number {
    return this.#world.nowMs * this.#rate + this.#offsetMs;
  }

  boot(): void {
    if (this.lost || this.isUp) return;
    const { skew, config } = this.#world.scenario;
    this.#rate = 1 + skew * (2 * this.#prng.next() - 1);
    this.#offsetMs = this.#prng.int(1000);
    this.paused = false;
    this.#inbox = [];
    this.log = new StoredLog(this.disk.durable);
    this.machine = new Machine();
    this.applied = 0;
    const { snapshot, hardState, entries } = this.log;
    if (snapshot !== null) this.#restore(snapshot.index, snapshot.data);
    this.#compactedAt = this.applied;
    const start = { hardState, snapshot, entries: [...entries] };
    const prng = new Prng(this.#prng.nextU32());
    this.raft = new this.#world.core.Raft(config, this.member, start, prng, this.#nowMs);
    this.#drain();
  }

  #restore(index: number, data: Uint8Array): void {
    this.machine.restore(data);
    this.applied = index;
    this.#world.oracle.reached(this.member, index, this.machine.digest);
  }

  /** kill -9: what is not durable is gone, clients never learn what became of their requests. */
  crash(): void {
    if (!this.isUp) return;
    this.raft = undefined;
    this.#life += 1;
    this.#wakeAtMs = Infinity;
    this.disk.crash(this.#prng);
    this.#writes.clear();
    this.#reads.clear();
    this.#lateReads = [];
    this.#inbox = [];
  }

  /** A flip in a durable record, found when the store is opened. */
  lose(): void {
    this.crash();
    this.lost = true;
  }

  /** The process stops for a while; its clock does not. */
  pause(ms: number): void {
    if (!this.isUp || this.paused) return;
    this.paused = true;
    const life = this.#life;
    this.#world.after(ms, () => {
      if (life === this.#life) this.resume();
    });
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    const inbox = this.#inbox;
    this.#inbox = [];
    this.#step((raft, nowMs) => raft.wake(nowMs));
    for (const message of inbox) this.receive(message);
  }

  receive(message: Message): void {
    if (this.paused) {
      if (this.#inbox.length < 200) this.#inbox.push(message);
      return;
    }
    this.#step((raft, nowMs) => raft.receive(message, nowMs));
  }

  unreachable(member: Member): void {
    if (!this.paused) this.#step((raft, nowMs) => raft.unreachable(member, nowMs));
  }

  /** Calls the core and does what it then wants done. */
  call<T>(what: (raft: Raft, nowMs: number) => T): T | undefined {
    if (this.raft === undefined || this.paused) return undefined;
    const result = what(this.raft, this.#nowMs);
    this.#drain();
    return result;
  }

  #step(what: (raft: Raft, nowMs: number) => void): void {
    if (this.raft === undefined) return;
    what(this.raft, this.#nowMs);
    this.#drain();
  }

  get isLeading(): boolean {
    return this.raft?.status().role === "leader";
  }

  write(commands: readonly Uint8Array[], asks: readonly Ask[]): void {
    const positions = this.call((raft, nowMs) => {
      const result = raft.propose(commands, nowMs);
      if (!("refused" in result)) result.forEach((position, at) => this.#await(position, asks[at]!));
      return result;
    });
    if (positions === undefined || "refused" in positions) for (const ask of asks) ask.done(undefined, this.machine);
  }

  #await({ index, term }: Position, ask: Ask): void {
    this.#writes.set(index, { term, ask });
  }

  read(ask: Ask): void {
    this.#readNumber += 1;
    const number = this.#readNumber;
    const refusal = this.call((raft, nowMs) => {
      const result = raft.read(number, nowMs);
      if (result === undefined) this.#reads.set(number, ask);
      return result ?? "asked";
    });
    if (refusal !== "asked") ask.done(undefined, this.machine);
  }

  #drain(): void {
    const { raft } = this;
    if (raft === undefined) return;
    for (let round = 0; ; round += 1) {
      must(round < READIES_MAX, () => `liveness: ${this.member} is always ready for more`);
      const ready = raft.ready();
      if (ready === null) break;
      this.#handle(raft, ready);
    }
    this.#compact(raft);
    this.#schedule(raft);
  }

  #handle(raft: Raft, ready: Ready): void {
    const { oracle, scenario } = this.#world;
    const { snapshot, entries, hardState, sends, committed, reads } = ready;
    let changeAt = 0;
    if (snapshot !== undefined) {
      oracle.restores(this.member, snapshot, this.applied);
      this.#restore(snapshot.index, snapshot.data);
      this.#compactedAt = snapshot.index;
    }
    if (snapshot !== undefined || entries.length > 0 || hardState !== undefined) {
      const isCut = entries.length > 0 && entries[0]!.index <= this.log.lastIndex;
      this.log.apply(ready);
      let previousTerm = this.log.termAt((entries[0]?.index ?? 1) - 1);
      for (const entry of entries) {
        const isNew = oracle.stored(this.member, entry, previousTerm);
        if (isNew && entry.kind === "configuration") changeAt = entry.index;
        previousTerm = entry.term;
        this.#world.sees(entry);
      }
      if (isCut || entries.some(({ kind }) => kind === "configuration")) {
        oracle.obeys(this.member, raft.status().configurationIndex, this.log);
      }
      this.disk.write(ready);
      if (scenario.killAtWrite > 0 && this.#world.isFaulty && this.#prng.next() < scenario.killAtWrite) {
        this.#world.kill(this);
      }
    }
    for (const { message } of sends) {
      if (message.type === "append") oracle.leads(this.member, message.term, this.log);
      else oracle.sends(message, this.disk.durable);
      this.#world.send(message);
    }
    const known = oracle.committed.length;
    for (const entry of committed) this.#apply(raft, entry);
    if (changeAt > 0) oracle.changes(this.member, changeAt, this.log);
    if (oracle.committed.length > known) oracle.commitsUpTo(this.member, committed.at(-1)!, raft.status().term);
    for (const outcome of reads) this.#answer(outcome.id, "index" in outcome ? outcome.index : undefined);
    if (committed.length > 0 || snapshot !== undefined) this.#answerLate();
  }

  #apply(raft: Raft, entry: Entry): void {
    const { oracle } = this.#world;
    const { index, term } = entry;
    if (oracle.commits(this.member, entry, this.applied)) {
      oracle.isDurable(entry, raft.status().configuration, (member) => this.#world.seat(member).disk.durable);
      this.#world.commits(entry);
    }
    this.machine.apply(entry);
    this.applied = index;
    oracle.reached(this.member, index, this.machine.digest);
    const waiting = this.#writes.get(index);
    if (waiting === undefined) return;
    this.#writes.delete(index);
    if (waiting.term === term) {
      oracle.wrote(index, waiting.ask.committedAtCall);
      waiting.ask.done(index, this.machine);
    } else {
      waiting.ask.done(undefined, this.machine);
    }
  }

  #answer(number: number, index: number | undefined): void {
    const ask = this.#reads.get(number);
    if (ask === undefined) return;
    this.#reads.delete(number);
    if (index === undefined) {
      ask.done(undefined, this.machine);
      return;
    }
    this.#world.oracle.read(index, ask.committedAtCall);
    if (index <= this.applied) ask.done(this.applied, this.machine);
    else this.#lateReads.push({ index, ask });
  }

  #answerLate(): void {
    if (this.#lateReads.length === 0) return;
    const due = this.#lateReads.filter(({ index }) => index <= this.applied);
    this.#lateReads = this.#lateReads.filter(({ index }) => index > this.applied);
    for (const { ask } of due) ask.done(this.applied, this.machine);
  }

  #compact(raft: Raft): void {
    if (this.applied - this.#compactedAt < this.#world.scenario.compactEvery) return;
    this.#compactedAt = this.applied;
    const snapshot = raft.compact(this.applied, this.machine.snapshot());
    if (snapshot === undefined) return;
    this.#world.oracle.compacts(this.member, snapshot);
    const write = { number: 0, snapshot, entries: [], keepFrom: raft.status().firstIndex };
    this.log.apply(write);
    this.disk.write(write);
  }

  /** Wakes it in time; a wake-up that comes too early is put off then. */
  #schedule(raft: Raft): void {
    const localMs = raft.wakeAtMs;
    if (localMs === Infinity) return;
    const atMs = Math.max((localMs - this.#offsetMs) / this.#rate, this.#world.nowMs);
    if (atMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = atMs;
    const life = this.#life;
    this.#world.after(atMs - this.#world.nowMs + 0.01, () => {
      if (life !== this.#life || this.#wakeAtMs !== atMs) return;
      this.#wakeAtMs = Infinity;
      if (this.paused || this.raft !== raft) return;
      if (raft.wakeAtMs <= this.#nowMs) this.#step((core, nowMs) => core.wake(nowMs));
      else this.#schedule(raft);
    });
  }
}
