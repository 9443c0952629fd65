/**
 * Faults that could be made in the core, each as a replacement of its text. The simulator has to notice every one of
 * them within a bounded number of seeds: that is what its silence about the core itself is worth.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Core } from "./seat.ts";
import { simulate } from "./world.ts";

const SOURCE = resolve(import.meta.dir, "../../src");

export interface Mutant {
  readonly name: string;
  /** In src/raft/. */
  readonly file: string;
  /** Occurs there once. */
  readonly original: string;
  readonly replaced: string;
}

const raft = (name: string, original: string, replaced: string): Mutant => ({
  name,
  file: "raft.ts",
  original,
  replaced,
});

export const MUTANTS: readonly Mutant[] = [
  // What has to be durable first.
  raft(
    "a vote leaves before it is durable",
    "if (granted && pre) this.#send(reply);",
    "if (granted) this.#send(reply);",
  ),
  raft(
    "entries are acknowledged before they are durable",
    "if (index <= durableIndex && durableTerm === this.#term) this.#send(reply);",
    "if (durableTerm === this.#term) this.#send(reply);",
  ),
  raft(
    "a new term is told of before it is durable",
    "if (index <= durableIndex && durableTerm === this.#term) this.#send(reply);",
    "if (index <= durableIndex) this.#send(reply);",
  ),
  raft(
    "a candidate asks for votes before its term is durable",
    "this.#sendWhenDurable(this.#voteRequest(to, false, transfer));",
    "this.#send(this.#voteRequest(to, false, transfer));",
  ),
  raft(
    "a leader counts itself before its entries are durable",
    "member === this.#self ? this.#batches.durableIndex :",
    "member === this.#self ? this.#log.lastIndex :",
  ),
  raft(
    "a vote alone is not stored",
    "return term !== this.#term || votedFor !== this.#votedFor;",
    "return term !== this.#term;",
  ),
  raft(
    "entries that take the place of others are not stored",
    "this.#unsavedFrom = Math.min(this.#unsavedFrom, index);",
    "",
  ),
  raft("entries that were cut off count as durable", "this.#batches.truncate(index);", ""),
  raft("what a snapshot replaced counts as durable", "this.#batches.truncate(snapshot.index);", ""),
  {
    name: "entries on their way to the disk are not cut off with the others",
    file: "batches.ts",
    original: "for (const batch of this.#outstanding) batch.lastIndex = Math.min(batch.lastIndex, index - 1);",
    replaced: "",
  },
  {
    name: "what waits for a batch leaves with the one before",
    file: "batches.ts",
    original: "after > this.#durable)",
    replaced: "after > this.#durable + 1)",
  },
  // Elections.
  raft("a vote is granted twice", "(this.#votedFor === NOBODY || this.#votedFor === from)", "this.#votedFor >= NOBODY"),
  raft("votes are granted to logs that lack entries", "isFree && this.#log.isNoNewerThan(last)", "isFree"),
  {
    name: "the longer log wins, whatever its term",
    file: "log.ts",
    original: "return term > last.term || (term === last.term && index >= last.index);",
    replaced: "return index >= last.index;",
  },
  {
    name: "the later term wins, whatever its length",
    file: "log.ts",
    original: "return term > last.term || (term === last.term && index >= last.index);",
    replaced: "return term >= last.term;",
  },
  raft("pre-votes count as votes", "this.#votes.clear();\n    // A candidate", "// A candidate"),
  raft(
    "a vote is taken along into the next term",
    "this.#votedFor = NOBODY;\n      this.#receiver.drop();",
    "this.#receiver.drop();",
  ),
  raft("messages of earlier terms are taken", "if (message.term < this.#term) {", "if (message.term < 0) {"),
  {
    name: "half of the members are a majority",
    file: "quorum.ts",
    original: "scratch[count - Math.floor(count / 2) - 1]!",
    replaced: "scratch[count - Math.ceil(count / 2)]!",
  },
  // Replication.
  raft(
    "an entry of an earlier term is committed by counting",
    " || this.#log.termAt(reached) !== this.#term) return;",
    ") return;",
  ),
  raft(
    "entries are appended without looking at the one before",
    "!this.#log.has(previous)) {",
    "previous.index > this.#log.lastIndex) {",
  ),
  raft(
    "entries that differ are left in place",
    "at >= known && !this.#log.has(entry));",
    "at >= known && entry.index > this.#log.lastIndex);",
  ),
  raft(
    "a late append cuts off what came after it",
    "at >= known && !this.#log.has(entry));",
    "at >= known && entry.index > this.#commitIndex);",
  ),
  raft(
    "a follower commits more than is known to agree",
    "Math.min(commitIndex, last));",
    "Math.min(commitIndex, this.#log.lastIndex));",
  ),
  raft(
    "a leader takes what it has sent for received",
    "progress.matched(index);",
    "progress.matched(progress.next - 1);",
  ),
  raft(
    "a heartbeat's answer is taken for more than it says",
    "const last = Math.max(previous.index + entries.length, this.#commitIndex);",
    "const last = this.#log.lastIndex;",
  ),
  // Members.
  {
    name: "the outgoing majority is not asked",
    file: "quorum.ts",
    original: "return Math.min(majorityValue(voters, valueOf), majorityValue(outgoing, valueOf));",
    replaced: "return majorityValue(voters, valueOf);",
  },
  {
    name: "members change without a joint configuration",
    file: "membership.ts",
    original: "if (isSame) return",
    replaced: "if (isSame || from.voters.length > 0) return",
  },
  raft(
    "the joint configuration ends before it is committed",
    "if (this.#log.configurationIndex > reached) return;",
    "",
  ),
  {
    name: "a configuration that was cut off stays in force",
    file: "log.ts",
    original: "while (this.#configurations.at(-1)!.index >= index) this.#configurations.pop();",
    replaced: "",
  },
  raft(
    "another change of members may begin before the last is committed",
    "if (isJoint(configuration) || configurationIndex > this.#commitIndex) {",
    "if (configurationIndex > this.#log.lastIndex) {",
  ),
  // Snapshots.
  raft("a snapshot of the past is taken", "if (at.index <= this.#commitIndex) {", "if (at.index < 0) {"),
  {
    name: "pieces of a snapshot are put together in the order in which they come",
    file: "snapshot-transfer.ts",
    original: "if (chunk.offset !== this.#received || chunk",
    replaced: "if (chunk",
  },
  {
    name: "a compaction forgets the configuration",
    file: "log.ts",
    original: "this.#snapshot = { index, term, configuration, data };",
    replaced: "this.#snapshot = { index, term, configuration: this.#configurations.at(-1)!.configuration, data };",
  },
  // Reads.
  raft(
    "a read is answered without asking the others",
    "this.#reads.confirmed(this.#confirmedRound())",
    "this.#reads.confirmed(this.#round)",
  ),
  raft(
    "a read counts on what was confirmed before it",
    "this.#beginRound();\n      this.#dueRound = this.#round;\n      this.#reads.begin",
    "this.#reads.begin",
  ),
  raft(
    "a new leader answers reads before it knows what is committed",
    "if (this.#reads.hasAsked && this.#hasCommitted) {",
    "if (this.#reads.hasAsked) {",
  ),
  {
    name: "a follower numbers its questions anew in each life",
    file: "reads.ts",
    original: "this.#number = prng.nextU32() * 2 ** 20;",
    replaced: "this.#number = prng.nextU32() * 0;",
  },
  raft("a lease outlives the loyalty of those who gave it", "const LEASE_SHARE = 0.8;", "const LEASE_SHARE = 2.5;"),
  raft(
    "a lease holds although somebody was asked to stand",
    "!this.#config.leaseReads || this.#askedToStand ||",
    "!this.#config.leaseReads ||",
  ),
];

/** The text of the mutant's file; fails where its original is gone, or is not the only one. */
export function mutated({ name, file, original, replaced }: Mutant): string {
  const text = readFileSync(join(SOURCE, "raft", file), "utf8");
  const parts = text.split(original);
  if (parts.length !== 2) {
    throw new Error(`the mutant "${name}" does not apply: its original occurs ${parts.length - 1} times in ${file}`);
  }
  return parts.join(replaced);
}

/** The core with that fault, from a copy of its own. */
export async function plant(mutant: Mutant): Promise<Core> {
  const folder = mkdtempSync(join(tmpdir(), "infermesh-mutant-"));
  try {
    symlinkSync(join(SOURCE, "base"), join(folder, "base"));
    cpSync(join(SOURCE, "raft"), join(folder, "raft"), { recursive: true });
    writeFileSync(join(folder, "raft", mutant.file), mutated(mutant));
    return (await import(join(folder, "raft", "raft.ts"))) as Core;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface Verdict {
  /** The seed that showed it, and what it showed; undefined when none did. */
  readonly seed: number | undefined;
  readonly words: string;
}

/** Runs seeds until one shows that something is wrong. */
export function hunt(core: Core, firstSeed: number, seeds: number): Verdict {
  for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
    try {
      simulate(seed, core);
    } catch (error) {
      return { seed, words: error instanceof Error ? error.message.replace(/^SEED=\d+ /, "") : String(error) };
    }
  }
  return { seed: undefined, words: "" };
}
