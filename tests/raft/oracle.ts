/**
 * Sees everything and checks, at each step, what must always hold:
 *
 * - election safety: a term has one leader at most;
 * - log matching: logs that have an entry of the same index and term agree in all that comes before;
 * - leader completeness: a leader has every entry that was committed before;
 * - commit rule: a leader commits by counting only entries of its own term;
 * - configurations: the newest in a member's log is in force there, each comes after the one before is committed, and
 *   snapshots have that of their place;
 * - state machine safety: everybody applies the same entries, each once and in order, and snapshots are what they say;
 * - durability: what is committed is durable at a quorum, what tells of a vote or an entry leaves after that is durable;
 * - linearizability: a write comes after all that was committed when it was asked for, and a read sees all of that.
 */
import {
  type Configuration,
  decodeConfiguration,
  type Entry,
  type Member,
  type Snapshot,
} from "../../src/raft/entry.ts";
import type { Message } from "../../src/raft/message.ts";
import type { StoredLog } from "./disk.ts";

export class Violation extends Error {
  override readonly name = "Violation";
}

export function must(condition: boolean, words: () => string): asserts condition {
  if (!condition) throw new Violation(words());
}

interface Known {
  readonly entry: Entry;
  readonly previousTerm: number;
}

const TERM_LIMIT = 65_536;

export class Oracle {
  /** At index - 1. */
  readonly committed: Entry[] = [];
  /** The state after that index: see `Machine`. */
  readonly #states: number[] = [];
  readonly #leaders = new Map<number, Member>();
  readonly #entries = new Map<number, Known>();

  get leaderCount(): number {
    return this.#leaders.size;
  }

  /** The first members are given their configuration, committed. */
  begins(first: Entry): void {
    this.committed.push(first);
    this.#entries.set(first.index * TERM_LIMIT + first.term, { entry: first, previousTerm: 0 });
  }

  /** The member has the entry in its log, after one of that term. Whether nobody had it before. */
  stored(member: Member, entry: Entry, previousTerm: number | undefined): boolean {
    const key = entry.index * TERM_LIMIT + entry.term;
    const known = this.#entries.get(key);
    const where = (): string => `member ${member}, entry ${entry.index}/${entry.term}`;
    must(previousTerm !== undefined, () => `log matching: ${where()} comes after a gap`);
    if (known === undefined) {
      this.#entries.set(key, { entry, previousTerm });
      return true;
    }
    must(known.previousTerm === previousTerm, () => `log matching: ${where()} comes after another entry elsewhere`);
    must(isSameEntry(known.entry, entry), () => `log matching: ${where()} is another elsewhere`);
    return false;
  }

  /** A leader appended a configuration: the one before it must be committed. */
  changes(member: Member, index: number, log: StoredLog): void {
    const before = log.entries.findLast((entry) => entry.kind === "configuration" && entry.index < index);
    if (before === undefined || before.index <= (log.snapshot?.index ?? 0)) return;
    must(this.committed[before.index - 1]?.term === before.term, () => {
      return `configurations: ${member} appends one at ${index} before that at ${before.index} is committed`;
    });
  }

  /** The member speaks as the leader of that term. */
  leads(member: Member, term: number, log: StoredLog): void {
    const leader = this.#leaders.get(term);
    if (leader === member) return;
    must(leader === undefined, () => `election safety: ${leader} and ${member} lead in term ${term}`);
    this.#leaders.set(term, member);
    const from = (log.snapshot?.index ?? 0) + 1;
    for (let index = from; index <= this.committed.length; index += 1) {
      const entry = this.committed[index - 1]!;
      // A leader of an earlier term that learns late of its election need not have what came later.
      if (entry.term > term) break;
      const found = log.termAt(index);
      must(found === entry.term, () => {
        return `leader completeness: ${member} leads in term ${term} without ${index}/${entry.term}, which is committed`;
      });
    }
  }

  /** A message leaves; `durable` is what its sender would find if it crashed now. */
  sends(message: Message, durable: StoredLog): void {
    const { from, to, term } = message;
    const { term: durableTerm, votedFor } = durable.hardState;
    if (message.type === "vote" && !message.pre) {
      const isKept = durableTerm > term || (durableTerm === term && votedFor === from);
      must(isKept, () => `durability: ${from} stands in term ${term} before that is durable`);
    } else if (message.type === "vote-reply" && message.granted && !message.pre) {
      const isKept = durableTerm > term || (durableTerm === term && votedFor === to);
      must(isKept, () => `durability: ${from} votes for ${to} in term ${term} before that is durable`);
    } else if (message.type === "append-reply") {
      must(durableTerm >= term, () => `durability: ${from} answers in term ${term} before that is durable`);
      if (message.hint !== undefined || durableTerm > term) return;
      const { index } = message;
      must(index <= durable.lastIndex, () => `durability: ${from} acknowledges ${index} before that is durable`);
    }
  }

  /** The member knows that the entry is committed, having applied the one before it. Whether it is the first to know. */
  commits(member: Member, entry: Entry, applied: number): boolean {
    const { index, term } = entry;
    must(index === applied + 1, () => `state machine safety: ${member} applies ${index} after ${applied}`);
    const known = this.committed[index - 1];
    if (known === undefined) {
      must(index === this.committed.length + 1, () => `state machine safety: ${member} commits ${index} after a gap`);
      this.committed.push(entry);
      return true;
    }
    must(
      known.term === term && isSameEntry(known, entry),
      () => `state machine safety: ${member} applies ${index}/${term}, another has applied ${index}/${known.term}`,
    );
    return false;
  }

  /** A leader commits an entry of an earlier term only below one of its own. */
  commitsUpTo(member: Member, { index, term }: Entry, ownTerm: number): void {
    must(term === ownTerm, () => `commit rule: ${member} leads in term ${ownTerm} and commits up to ${index}/${term}`);
  }

  /** The first to know that the entry is committed: is it durable where it has to be? */
  isDurable({ index, term }: Entry, { voters, outgoing }: Configuration, logOf: (member: Member) => StoredLog): void {
    for (const group of [voters, outgoing]) {
      const count = group.filter((member) => logOf(member).holds(index, term)).length;
      must(
        group.length === 0 || count > group.length / 2,
        () => `durability: ${index}/${term} is committed and durable at ${count} of ${group.length} voters`,
      );
    }
  }

  /** The state after the entry at the index. */
  reached(member: Member, index: number, state: number): void {
    const known = this.#states[index];
    if (known === undefined) this.#states[index] = state;
    else must(known === state, () => `state machine safety: ${member} is in another state after ${index}`);
  }

  /** A snapshot holds the configuration of its place, not what came later. */
  compacts(member: Member, { index, configuration }: Snapshot): void {
    const last = this.committed.findLast((entry) => entry.index <= index && entry.kind === "configuration")!;
    const expected = new TextDecoder().decode(last.data);
    must(
      JSON.stringify(decodeConfiguration(last.data)) === JSON.stringify(configuration),
      () => `snapshots: that of ${member} at ${index} has ${JSON.stringify(configuration)}, not ${expected}`,
    );
  }

  /** The newest configuration in a member's log is in force there. */
  obeys(member: Member, configurationIndex: number, log: StoredLog): void {
    const last = log.entries.findLast(({ kind }) => kind === "configuration")?.index ?? 0;
    const snapshotIndex = log.snapshot?.index ?? 0;
    must(
      last <= snapshotIndex ? configurationIndex <= snapshotIndex : configurationIndex === last,
      () => `configurations: ${member} obeys that of ${configurationIndex}, its newest is that of ${last}`,
    );
  }

  restores(member: Member, { index, term }: Snapshot, applied: number): void {
    must(index > applied, () => `state machine safety: ${member} goes back from ${applied} to ${index}`);
    const known = this.committed[index - 1];
    must(
      known?.term === term,
      () => `state machine safety: ${member} restores ${index}/${term}, which is not committed`,
    );
  }

  /** A write that was asked for when so many entries were committed has its place. */
  wrote(index: number, committedAtCall: number): void {
    must(index > committedAtCall, () => `linearizability: a write is at ${index}, asked for after ${committedAtCall}`);
  }

  read(index: number, committedAtCall: number): void {
    must(index >= committedAtCall, () => `linearizability: a read at ${index}, asked for after ${committedAtCall}`);
  }
}

function isSameEntry(one: Entry, other: Entry): boolean {
  if (one === other || (one.kind === other.kind && one.data === other.data)) return true;
  return one.kind === other.kind && Buffer.compare(one.data, other.data) === 0;
}
