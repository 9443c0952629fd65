/**
 * What the leader does for the control nodes as such: newcomers are seated and learn, learners become voters, the number
 * of voters stays odd, a member whose address changed says so, and seats of those that take no part any more are cleared.
 * A leader whose disk can't be written, while another member's can, hands over.
 *
 * A voter more that makes their number even adds nothing to the failures that are survived and one to the answers that a
 * write waits for. So voters are 1, 3 or 5; who is over learns along, and steps in when another one comes, or goes.
 */
import { isRecord } from "../base/field.ts";
import { MeshError, toMeshError } from "../base/errors.ts";
import { type Member, NOBODY } from "../raft/entry.ts";
import { type MemberChange as RaftChange, membersOf } from "../raft/membership.ts";
import type { MemberChange } from "./policy-store.ts";
import type { RaftNode } from "./raft-node.ts";

const VOTERS_MAX = 5;
/** A learner that lacks fewer entries than this can vote. */
const BEHIND_MAX = 1000;
const TIMEOUT_MS = 5000;
const STATUS_MS = 1000;
/** A seat without a member is cleared after that: by then no admission is under way that it belongs to. */
const EMPTY_SEAT_MS = 60_000;
/** Until a hand-over is looked at again. */
const LOOK_MS = 20;

export interface StewardOptions {
  readonly node: RaftNode;
  readonly self: Member;
  readonly name: string;
  readonly address: () => string;
  /** Where a member is reached now; undefined while nobody knows. */
  readonly addressOf: (member: Member) => string | undefined;
  readonly ask: (address: string, method: string, body: unknown, timeoutMs: number) => Promise<unknown>;
  readonly submit: (
    command:
      | { readonly op: "seat"; readonly member: Member; readonly node: string; readonly address: string }
      | { readonly op: "unseat"; readonly member: Member },
    timeoutMs: number,
  ) => Promise<unknown>;
  readonly onRemoved: () => void;
  readonly log: { info(message: string, fields?: object): void; warn(message: string, fields?: object): void };
}

export interface Newcomer {
  readonly member: Member;
  readonly node: string;
  readonly address: string;
}

export class Steward {
  readonly #options: StewardOptions;
  #busy = false;
  #wasIn = false;
  /** Since when this leader sees seats of members that take no part. */
  #emptySince = new Map<Member, number>();
  /** While its disk can't be written leadership is handed over once: if that came to nothing, the others are no better off. */
  #hasHandedOver = false;
  /** What went wrong last, told once. */
  #fault = "";

  constructor(options: StewardOptions) {
    this.#options = options;
  }

  /** Looks whether there is something to do; at most one thing is under way. */
  tick(): void {
    const { node, self } = this.#options;
    const { configuration, leader } = node.raft.status();
    const isIn = membersOf(configuration).has(self);
    // Only when that can't be taken back: until then this member's vote, and its log, may be needed.
    if (this.#wasIn && !isIn && configuration.voters.length > 0 && !node.isChanging) return this.#options.onRemoved();
    this.#wasIn ||= isIn;
    if (this.#busy) return;
    if (isIn && leader !== 0 && this.#isSeatWrong()) return this.#do(() => this.#sit());
    if (leader !== self) return this.#emptySince.clear();
    if (node.alarm === null) this.#hasHandedOver = false;
    else if (!this.#hasHandedOver) return this.#do(() => this.#handOver());
    if (node.isChanging || node.alarm !== null) return;
    const changes = this.#balanced();
    if (changes.length > 0) return this.#do(() => this.#carryOut(changes));
    const empty = this.#emptySeat();
    if (empty !== undefined) this.#do(() => this.#options.submit({ op: "unseat", member: empty }, TIMEOUT_MS));
  }

  /** Takes a node in as a learner; the same newcomer may ask again. Throws not_leader elsewhere than at the leader. */
  async admit(newcomer: Newcomer, timeoutMs: number): Promise<void> {
    this.#expectLeader();
    const { node, submit, log } = this.#options;
    const members = membersOf(node.raft.status().configuration);
    const known = [...node.machine.seats].find(([member, seat]) => {
      // A seat without a member is what an admission or a removal has left that was cut short.
      return seat.node === newcomer.node && member !== newcomer.member && members.has(member);
    });
    if (known !== undefined) {
      throw new MeshError(
        "conflict",
        `a control node called ${newcomer.node} is known already, with another store (member ${known[0].toString(16)}): if that one is lost, take it out by \`infermesh ctl control remove ${newcomer.node}\` first`,
      );
    }
    await submit({ op: "seat", ...newcomer }, timeoutMs);
    if (members.has(newcomer.member)) return;
    await node.changeMembers([{ add: newcomer.member, as: "learner" }], timeoutMs);
    log.info("control node joined", { node: newcomer.node, address: newcomer.address });
  }

  async change(change: MemberChange, timeoutMs: number): Promise<void> {
    this.#expectLeader();
    if ("add" in change) await this.#invite(change.add, change.address, timeoutMs);
    else if ("remove" in change) await this.#remove(change.remove, timeoutMs);
    else await this.#transfer(this.#memberCalled(change.transferTo), timeoutMs);
  }

  #expectLeader(): void {
    const { node, self } = this.#options;
    if (node.raft.status().leader !== self) throw new MeshError("not_leader", "this control node does not lead now");
  }

  /** A node that stands by is asked to join; it does so by itself. */
  async #invite(name: string, address: string, timeoutMs: number): Promise<void> {
    const { node, ask } = this.#options;
    const members = membersOf(node.raft.status().configuration);
    if ([...node.machine.seats].some(([member, seat]) => seat.node === name && members.has(member))) return;
    const addresses = [...node.machine.seats.values()].map((seat) => seat.address);
    await ask(address, "invite", { addresses }, timeoutMs).catch((thrown: unknown) => {
      const error = toMeshError(thrown);
      if (error.code !== "upstream_failed") throw error;
      // Another try at another leader would end alike.
      const why = `${name} can't be asked to become a control node (${error.message}): is it up, and can ${address} be reached from here?`;
      throw new MeshError("not_found", why, { cause: error });
    });
  }

  async #remove(name: string, timeoutMs: number): Promise<void> {
    const { node, self, submit, ask, log } = this.#options;
    const member = this.#memberCalled(name);
    const { configuration } = node.raft.status();
    // What an earlier attempt that was cut short has left.
    if (!membersOf(configuration).has(member)) return void (await submit({ op: "unseat", member }, timeoutMs));
    if (configuration.voters.length === 1 && configuration.voters[0] === member) {
      throw new MeshError(
        "conflict",
        `${name} is the only voter: add other control nodes first, or nothing is kept any more`,
      );
    }
    const successor = this.#fittest(configuration.voters)[0];
    if (member === self && successor !== undefined) {
      // Whoever is not taken out sees it through.
      await this.#transfer(successor, timeoutMs);
      throw new MeshError("not_leader", "this control node is being taken out, and has handed leadership over");
    }
    // An odd number again: of those that stay, the last one learns along until another comes.
    const rest = configuration.voters.filter((voter) => voter !== member);
    const changes: RaftChange[] = [{ remove: member }];
    if (configuration.voters.includes(member) && rest.length % 2 === 0) {
      const learner = this.#fittest(configuration.learners.filter((one) => one !== member))[0];
      const over = this.#leastFit(rest);
      if (learner !== undefined) changes.push({ add: learner, as: "voter" });
      else if (over !== undefined) changes.push({ add: over, as: "learner" });
    }
    await node.changeMembers(changes, timeoutMs);
    // The leader sends it nothing any more, not even the word of that; one that is away asks when it is back.
    const address = this.#options.addressOf(member);
    if (address !== undefined) ask(address, "taken-out", { member }, timeoutMs).catch(() => {});
    await submit({ op: "unseat", member }, timeoutMs);
    log.info("control node removed", { node: name });
  }

  /** Until that member leads; an attempt that came to nothing is repeated. */
  async #transfer(to: Member, timeoutMs: number): Promise<void> {
    const { node, self, log } = this.#options;
    for (const untilMs = performance.now() + timeoutMs; ; await Bun.sleep(LOOK_MS)) {
      const { leader, transferringTo } = node.raft.status();
      if (leader === to) break;
      if (leader !== self && leader !== NOBODY) throw new MeshError("not_leader", "another control node leads now");
      if (performance.now() > untilMs) {
        throw new MeshError("request_timeout", `leadership was not taken over within ${timeoutMs} ms`, {
          retryable: true,
        });
      }
      if (leader === self && transferringTo === NOBODY) node.transfer(to);
    }
    log.info("leadership was handed over", { to: node.machine.seats.get(to)?.node });
  }

  #memberCalled(name: string): Member {
    const { node } = this.#options;
    const called = [...node.machine.seats].filter(([, seat]) => seat.node === name).map(([member]) => member);
    const members = membersOf(node.raft.status().configuration);
    const member = called.find((one) => members.has(one)) ?? called[0];
    if (member !== undefined) return member;
    const names = [...node.machine.seats.values()].map((seat) => seat.node).join(", ");
    throw new MeshError("not_found", `no control node is called ${name}; there are ${names}`);
  }

  /** What makes the voters an odd number, as many as can be. */
  #balanced(): RaftChange[] {
    const { configuration } = this.#options.node.raft.status();
    const ready = this.#fittest(configuration.learners);
    const all = configuration.voters.length + ready.length;
    const wanted = Math.min(VOTERS_MAX, all % 2 === 1 ? all : all - 1);
    const missing = wanted - configuration.voters.length;
    return missing > 0 ? ready.slice(0, missing).map((member) => ({ add: member, as: "voter" })) : [];
  }

  /** Those that are heard of and have nearly all of the log, the most of it first. */
  #fittest(members: readonly Member[]): Member[] {
    const { progress, lastIndex } = this.#options.node.raft.status();
    const fit = progress.filter(
      ({ member, active, matchIndex }) => members.includes(member) && active && lastIndex - matchIndex < BEHIND_MAX,
    );
    return fit.toSorted((a, b) => b.matchIndex - a.matchIndex).map(({ member }) => member);
  }

  /** This node leads, and stays a voter. */
  #leastFit(members: readonly Member[]): Member | undefined {
    const { progress } = this.#options.node.raft.status();
    const others = progress.filter(({ member }) => members.includes(member) && member !== this.#options.self);
    return others.toSorted((a, b) => Number(a.active) - Number(b.active) || a.matchIndex - b.matchIndex)[0]?.member;
  }

  /** To a voter that can write. One that finds its disk full only when it stands for election does not lead, either. */
  async #handOver(): Promise<void> {
    const { node, ask, addressOf } = this.#options;
    for (const member of this.#fittest(node.raft.status().configuration.voters)) {
      const address = addressOf(member);
      const status =
        address === undefined ? undefined : await ask(address, "status", {}, STATUS_MS).catch(() => undefined);
      if (!isRecord(status) || status["alarm"] !== "") continue;
      this.#hasHandedOver = true;
      return this.#transfer(member, TIMEOUT_MS);
    }
  }

  /** The seat of a member that has taken no part for long: its admission or its removal was cut short. */
  #emptySeat(): Member | undefined {
    const { node } = this.#options;
    const members = membersOf(node.raft.status().configuration);
    const nowMs = performance.now();
    const since = new Map<Member, number>();
    for (const member of node.machine.seats.keys()) {
      if (!members.has(member)) since.set(member, this.#emptySince.get(member) ?? nowMs);
    }
    this.#emptySince = since;
    return [...since].find(([, sinceMs]) => nowMs - sinceMs > EMPTY_SEAT_MS)?.[0];
  }

  #isSeatWrong(): boolean {
    const { node, self, name, address } = this.#options;
    const seat = node.machine.seats.get(self);
    return seat?.node !== name || seat.address !== address();
  }

  async #sit(): Promise<void> {
    const { self, name, address, submit } = this.#options;
    await submit({ op: "seat", member: self, node: name, address: address() }, TIMEOUT_MS);
  }

  async #carryOut(changes: readonly RaftChange[]): Promise<void> {
    await this.#options.node.changeMembers(changes, TIMEOUT_MS);
    const { voters, learners } = this.#options.node.raft.status().configuration;
    this.#options.log.info("control nodes changed", { voters: voters.length, learners: learners.length });
  }

  #do(what: () => Promise<unknown>): void {
    this.#busy = true;
    // What failed is tried again at a later tick, and told when it fails in another way.
    what()
      .then(
        () => {
          this.#fault = "";
        },
        (thrown: unknown) => {
          const { message } = toMeshError(thrown);
          if (message !== this.#fault) this.#options.log.warn("control nodes", { error: message });
          this.#fault = message;
        },
      )
      .finally(() => {
        this.#busy = false;
      });
  }
}
