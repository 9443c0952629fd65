/**
 * The seeded world of the consensus: members with disks and clocks of their own, links, clients, faults; then all is
 * healed, and it has to come to life again. A seed is a run; whatever is wrong throws, with `SEED=` in front.
 */
import { Heap, type HeapItem } from "../../src/base/heap.ts";
import { Prng } from "../../src/base/prng.ts";
import { type Configuration, decodeConfiguration, type Entry, type Member } from "../../src/raft/entry.ts";
import { type MemberChange, membersOf } from "../../src/raft/membership.ts";
import type { Message } from "../../src/raft/message.ts";
import { bootstrap, Raft } from "../../src/raft/raft.ts";
import { Clients, type Operation } from "./clients.ts";
import { EMPTY } from "./lab.ts";
import { commandOf, REGISTERS } from "./machine.ts";
import { Network } from "./network.ts";
import { must, Oracle, Violation } from "./oracle.ts";
import { type Fault, FAULTS, type Scenario, scenarioOf } from "./scenario.ts";
import { type Core, Seat, type Surroundings } from "./seat.ts";

const MEMBERS_MAX = 9;
const EVENTS_MAX = 60_000;
/** The members are healed for that many of the longest election timeouts before it is said that they never recover. */
const PATIENCE = 60;

interface Event extends HeapItem {
  readonly run: () => void;
}

export interface Outcome {
  readonly events: number;
  readonly messages: number;
  readonly terms: number;
  readonly committed: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly virtualMs: number;
  readonly history: readonly Operation[];
}

class World implements Surroundings {
  readonly seed: number;
  readonly core: Core;
  readonly scenario: Scenario;
  readonly oracle = new Oracle();
  nowMs = 0;
  isFaulty = true;
  readonly #prng: Prng;
  readonly #queue = new Heap<Event>();
  readonly #network: Network;
  readonly #clients: Clients;
  readonly #seats = new Map<Member, Seat>();
  #events = 0;
  /** Those that are not known to be over: any of them may be in force somewhere. */
  #configurations: { readonly index: number; readonly configuration: Configuration }[] = [];
  /** Where the newest committed configuration is. */
  #changedAt = 1;

  constructor(seed: number, core: Core) {
    this.seed = seed;
    this.core = core;
    this.#prng = new Prng(seed);
    this.scenario = scenarioOf(this.#prng);
    const after = (ms: number, run: () => void): void => this.after(ms, run);
    this.#network = new Network(new Prng(seed + 0.5e9), this.scenario, after, (message) => {
      this.#seats.get(message.to)?.receive(message);
    });
    const committed = (): number => this.oracle.committed.length;
    this.#clients = new Clients(new Prng(seed + 1e9), this.scenario.reads, () => this.nowMs, committed);
    const voters = Array.from({ length: this.scenario.voters }, (_, at) => at + 1);
    this.#configurations.push({ index: 1, configuration: { ...NO_MEMBERS, voters } });
    const start = bootstrap(voters);
    this.oracle.begins(start.entries[0]!);
    for (const member of voters) this.#seats.set(member, new Seat(this, member, start));
  }

  after(ms: number, run: () => void): void {
    this.#queue.push({ heapIndex: -1, heapKey: this.nowMs + ms, run });
  }

  seat(member: Member): Seat {
    const seat = this.#seats.get(member);
    must(seat !== undefined, () => `member ${member} was never there`);
    return seat;
  }

  send(message: Message): void {
    this.#network.send(message);
  }

  /** Killed in the midst of what it does: what it has already sent is on its way. */
  kill(seat: Seat): void {
    this.after(0, () => this.#crash(seat));
  }

  /** An entry is in somebody's log. */
  sees({ index, kind, data }: Entry): void {
    if (kind !== "configuration" || this.#configurations.some((one) => one.index === index)) return;
    this.#configurations.push({ index, configuration: decodeConfiguration(data)! });
  }

  commits({ index, kind }: Entry): void {
    if (kind !== "configuration") return;
    this.#configurations = this.#configurations.filter((one) => one.index >= index);
    this.#changedAt = index;
  }

  run(): Outcome {
    const { faultsMs, opEveryMs, faultEveryMs } = this.scenario;
    const often = (everyMs: number, what: () => void): void => {
      this.after(this.#prng.exponential(everyMs), () => {
        if (!this.isFaulty) return;
        what();
        often(everyMs, what);
      });
    };
    often(opEveryMs, () => this.#ask());
    often(faultEveryMs, () => this.#fault());
    this.after(faultsMs, () => this.#heal());
    while (this.isFaulty) this.#next();
    this.#recover();
    return {
      events: this.#events,
      messages: this.#network.messages,
      terms: this.oracle.leaderCount,
      committed: this.oracle.committed.length,
      acknowledged: this.#clients.acknowledged,
      reads: this.#clients.readsDone,
      virtualMs: this.nowMs,
      history: [...this.#clients.history],
    };
  }

  #next(): void {
    const event = this.#queue.pop();
    must(event !== undefined, () => "liveness: nothing happens any more");
    this.nowMs = Math.max(this.nowMs, event.heapKey);
    this.#events += 1;
    must(this.#events < EVENTS_MAX, () => "liveness: the members never fall silent");
    event.run();
  }

  // ---- clients and faults ----

  #up(): Seat[] {
    return [...this.#seats.values()].filter((seat) => seat.isUp);
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list.length === 0 ? undefined : list[this.#prng.int(list.length)];
  }

  #leading(): Seat | undefined {
    return this.#pick(this.#up().filter((seat) => seat.isLeading));
  }

  #ask(): void {
    const seat = this.#prng.next() < 0.7 ? this.#leading() : this.#pick(this.#up());
    if (seat !== undefined) this.#clients.ask(seat);
  }

  #fault(): void {
    const { faults } = this.scenario;
    let draw = this.#prng.next() * FAULTS.reduce((sum, fault) => sum + faults[fault], 0);
    const fault = FAULTS.find((one) => (draw -= faults[one]) < 0);
    if (fault !== undefined) this.#happens(fault);
  }

  #happens(fault: Fault): void {
    // Leaders have the more interesting troubles.
    const seat = (this.#prng.next() < 0.4 ? this.#leading() : undefined) ?? this.#pick(this.#up());
    switch (fault) {
      case "crash":
        // Now and then all at once.
        if (this.#prng.next() < 0.1) for (const one of this.#up()) this.#crash(one);
        else if (seat !== undefined) this.#crash(seat);
        break;
      case "partition":
        this.#network.partition([...this.#seats.keys()], seat?.member ?? 1);
        break;
      case "heal":
        this.#network.heal();
        break;
      case "transfer": {
        const to = this.#pick([...this.#seats.keys()])!;
        const leader = this.#leading();
        leader?.call((raft, nowMs) => raft.transfer(to, nowMs));
        // The old leader may be the last to learn of it.
        if (leader !== undefined && this.#prng.next() < 0.3)
          this.#network.isolate(leader.member, [...this.#seats.keys()]);
        break;
      }
      case "members":
        this.#changeMembers();
        if (this.#prng.next() < 0.3) this.after(this.#prng.exponential(10), () => this.#changeMembers());
        break;
      case "stall":
        if (seat !== undefined) seat.disk.stalledUntilMs = this.nowMs + this.#prng.exponential(200);
        break;
      case "lose":
        if (seat !== undefined && this.#canLose(seat.member)) seat.lose();
        break;
      case "pause":
        seat?.pause(this.#prng.exponential(300));
        break;
      case "unreachable": {
        const other = this.#pick([...this.#seats.keys()])!;
        seat?.unreachable(other);
        break;
      }
      default:
        fault satisfies never;
    }
  }

  #crash(seat: Seat): void {
    if (!seat.isUp) return;
    seat.crash();
    for (const other of this.#up()) {
      if (this.#prng.next() < 0.5) this.after(this.#prng.exponential(5), () => other.unreachable(seat.member));
    }
    if (this.isFaulty) this.after(1 + this.#prng.exponential(this.scenario.downMs), () => seat.boot());
    else seat.boot();
  }

  /** With that member lost as well, every configuration that may be in force still has its majorities. */
  #canLose(member: Member): boolean {
    return this.#configurations.every(({ configuration }) => this.#isAlive(configuration, member));
  }

  #isAlive({ voters, outgoing }: Configuration, besides?: Member): boolean {
    const isLost = (member: Member): boolean => member === besides || (this.#seats.get(member)?.lost ?? false);
    return [voters, outgoing].every(
      (group) => group.filter(isLost).length <= Math.floor((group.length - 1) / 2) || group.length === 0,
    );
  }

  #changeMembers(): void {
    const leader = this.#leading();
    const configuration = leader?.raft?.status().configuration;
    if (leader === undefined || configuration === undefined) return;
    const changes: MemberChange[] = [];
    const { voters, learners } = configuration;
    for (let count = this.#prng.next() < 0.5 ? 1 : 2 + this.#prng.int(2); count > 0; count -= 1) {
      const kind = this.#prng.int(5);
      const voter = this.#pick(voters)!;
      const learner = this.#pick(learners);
      const lost = voters.find((member) => this.#seats.get(member)?.lost);
      if (lost !== undefined && kind < 3) changes.push({ remove: lost });
      else if (kind === 0) changes.push({ remove: voter });
      else if (kind === 1 && learner !== undefined) changes.push({ remove: learner });
      else if (kind === 2) changes.push({ add: voter, as: "learner" });
      else if (kind === 3 && learner !== undefined) changes.push({ add: learner, as: "voter" });
      else changes.push({ add: this.#newcomer(voters, learners), as: this.#prng.next() < 0.5 ? "learner" : "voter" });
    }
    // The operator's part: never to leave more lost ones than a majority can bear.
    const remaining = new Set(voters);
    for (const change of changes) {
      if ("remove" in change) remaining.delete(change.remove);
      else if (change.as === "voter") remaining.add(change.add);
      else remaining.delete(change.add);
    }
    if (remaining.size === 0 || remaining.size > 5) return;
    if (!this.#isAlive({ ...NO_MEMBERS, voters: [...remaining] })) return;
    leader.call((raft, nowMs) => raft.changeMembers(changes, nowMs));
  }

  /** Somebody who does not take part; a member that was taken out may come back. */
  #newcomer(voters: readonly Member[], learners: readonly Member[]): Member {
    const outside = [...this.#seats.values()]
      .filter(({ member, lost }) => !lost && !voters.includes(member) && !learners.includes(member))
      .map(({ member }) => member);
    if (outside.length > 0 && (this.#prng.next() < 0.5 || this.#seats.size >= MEMBERS_MAX)) return this.#pick(outside)!;
    const member = this.#seats.size + 1;
    this.#seats.set(member, new Seat(this, member, EMPTY));
    return member;
  }

  // ---- recovery ----

  #heal(): void {
    this.isFaulty = false;
    this.#network.isFaulty = false;
    this.#network.heal();
    for (const seat of this.#seats.values()) {
      seat.disk.stalledUntilMs = 0;
      seat.boot();
      seat.resume();
    }
  }

  /** A leader is elected, commits something new, and all that take part catch up. */
  #recover(): void {
    const untilMs = this.nowMs + PATIENCE * this.scenario.config.electionTimeoutMaxMs;
    let target = 0;
    const isDone = (): boolean => {
      const seats = [...this.#seats.values()].filter(({ lost }) => !lost);
      const leader = seats.find((seat) => seat.isLeading && !this.#isOver(seat));
      const { configuration, configurationIndex, commitIndex } = leader?.raft?.status() ?? NO_STATUS;
      if (configuration.outgoing.length > 0 || configurationIndex > commitIndex || target === 0) return false;
      const members = new Set([...configuration.voters, ...configuration.learners]);
      return target <= commitIndex && seats.every(({ member, applied }) => !members.has(member) || applied >= target);
    };
    const propose = (): void => {
      const leader = this.#leading();
      if (leader !== undefined && target === 0) {
        leader.write(
          [commandOf(REGISTERS, 0, 0)],
          [{ committedAtCall: this.oracle.committed.length, done: (index) => (target = index ?? 0) }],
        );
      }
      this.after(50, propose);
    };
    propose();
    let checkAtMs = this.nowMs;
    for (;;) {
      if (this.nowMs >= checkAtMs) {
        if (isDone()) break;
        checkAtMs = this.nowMs + 20;
      }
      must(this.nowMs < untilMs, () => `liveness: ${this.#describe()}`);
      this.#next();
    }
  }

  /**
   * A leader of an earlier term that does not know it yet: another leads in a later one, or may come to. Whom the newest
   * committed configuration leaves out, and who missed that, asks for votes in a later term for ever; nobody answers.
   */
  #isOver(seat: Seat): boolean {
    const { term, configuration, configurationIndex } = seat.raft?.status() ?? NO_STATUS;
    if (configurationIndex < this.#changedAt) return true;
    const members = membersOf(configuration);
    return this.#up().some(({ member, raft, isLeading }) => {
      return raft!.status().term > term && (isLeading || members.has(member));
    });
  }

  #describe(): string {
    const states = [...this.#seats.values()].map(({ member, lost, raft }) => {
      if (raft === undefined) return `${member} ${lost ? "lost" : "down"}`;
      const { role, term, commitIndex, lastIndex, configuration } = raft.status();
      return `${member} ${role} term ${term} ${commitIndex}/${lastIndex} voters ${configuration.voters.join(",")}`;
    });
    return `no recovery: ${states.join("; ")}`;
  }
}

const NO_MEMBERS: Configuration = { voters: [], outgoing: [], learners: [], learnersNext: [] };
const NO_STATUS = { term: 0, configuration: NO_MEMBERS, configurationIndex: 0, commitIndex: 0 };

/** Runs a seed; what is wrong is told with the seed. */
export function simulate(seed: number, core: Core = { Raft }): Outcome {
  try {
    return new World(seed, core).run();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new Violation(`SEED=${seed} ${error.message}`, { cause: error });
  }
}
