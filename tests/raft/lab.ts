/**
 * A handful of members in one place, for scripts: links that deliver at once or are cut, disks that store at once or
 * when told to, a clock that moves when told to. What passes over the links is written down, one line a message.
 */
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Entry, HardState, Member, Snapshot } from "../../src/raft/entry.ts";
import type { Message } from "../../src/raft/message.ts";
import { bootstrap, Raft, type Start } from "../../src/raft/raft.ts";
import type { ReadOutcome, Ready } from "../../src/raft/ready.ts";
import { type RaftConfig, raftSettings } from "../../src/raft/settings.ts";

/** News of the commit index go out at once, so that scripts need not wait for them. */
export const DEFAULTS: RaftConfig = { ...defaultsOf(raftSettings), commitNoticeDelayMs: 0 };

const encoder = new TextEncoder();
const decoder = new TextDecoder();
export const bytesOf = (text: string): Uint8Array => encoder.encode(text);

/** One line a message: who to whom, what, and what is in it. Positions are index/term. */
export function lineOf(message: Message): string {
  const { from, to, term } = message;
  return `${from}>${to} t${term} ${wordsOf(message)}`;
}

function wordsOf(message: Message): string {
  switch (message.type) {
    case "vote":
      return `${message.pre ? "pre-vote" : "vote"}? ${message.last.index}/${message.last.term}${message.transfer ? " transfer" : ""}`;
    case "vote-reply":
      return `${message.pre ? "pre-vote" : "vote"} ${message.granted ? "yes" : "no"}`;
    case "append": {
      const { previous, entries, commitIndex } = message;
      const what = entries.map(({ index, term, kind }) => `${index}/${term}${kind === "command" ? "" : ` ${kind}`}`);
      return `append after ${previous.index}/${previous.term} [${what.join(", ")}] commit ${commitIndex}`;
    }
    case "append-reply": {
      const { index, hint } = message;
      return hint === undefined ? `has ${index}` : `lacks ${index}, try ${hint.index}/${hint.term}`;
    }
    case "snapshot": {
      const { at, offset, bytes, totalBytes } = message;
      return `snapshot ${at.index}/${at.term} [${offset}, ${offset + bytes.length}) of ${totalBytes}`;
    }
    case "snapshot-reply":
      return `snapshot ${message.at.index}/${message.at.term} up to ${message.received}`;
    case "read-reply":
      return message.index === undefined ? "read refused" : `read at ${message.index}`;
    case "transfer":
    case "read":
      return message.type;
    default:
      return message satisfies never;
  }
}

export class Bench {
  raft: Raft;
  hardState: HardState;
  snapshot: Snapshot | null;
  entries: Entry[];
  /** Batches that wait for a slow disk. */
  readonly waiting: Ready[] = [];
  slow = false;
  down = false;
  /** The commands that were handed out as committed, in order, since the start or the snapshot. */
  applied: string[] = [];
  appliedIndex = 0;
  readonly reads: ReadOutcome[] = [];

  constructor(raft: Raft, start: Start) {
    this.raft = raft;
    this.hardState = start.hardState;
    this.snapshot = start.snapshot;
    this.entries = [...start.entries];
  }

  store({ snapshot, entries, hardState }: Ready): void {
    if (snapshot !== undefined) {
      this.snapshot = snapshot;
      this.entries = [];
    }
    const [first] = entries;
    if (first !== undefined) {
      this.entries = [...this.entries.filter(({ index }) => index < first.index), ...entries];
    }
    if (hardState !== undefined) this.hardState = hardState;
  }
}

export class Lab {
  nowMs = 0;
  readonly config: RaftConfig;
  readonly lines: string[] = [];
  readonly benches = new Map<Member, Bench>();
  /** Links that lose everything, as "from>to". */
  readonly cut = new Set<string>();
  /** Messages for which this is true are lost. */
  loses: (message: Message) => boolean = () => false;
  #queue: Message[] = [];
  #lives = 0;

  constructor(voters: readonly Member[], config: Partial<RaftConfig> = {}) {
    this.config = { ...DEFAULTS, ...config };
    for (const member of voters) this.add(member, bootstrap(voters));
  }

  add(member: Member, start: Start = EMPTY): Raft {
    this.benches.set(member, new Bench(this.#boot(member, start), start));
    return this.raft(member);
  }

  #boot(member: Member, start: Start): Raft {
    this.#lives += 1;
    return new Raft(this.config, member, start, new Prng(member * 1000 + this.#lives), this.nowMs);
  }

  bench(member: Member): Bench {
    const bench = this.benches.get(member);
    if (bench === undefined) throw new Error(`no member ${member}`);
    return bench;
  }

  raft(member: Member): Raft {
    return this.bench(member).raft;
  }

  crash(member: Member): void {
    const bench = this.bench(member);
    bench.down = true;
    bench.waiting.length = 0;
  }

  restart(member: Member): void {
    const bench = this.bench(member);
    bench.down = false;
    bench.waiting.length = 0;
    bench.applied = bench.snapshot === null ? [] : commandsIn(bench.snapshot);
    bench.raft = this.#boot(member, bench);
  }

  /** Cuts or mends all links between the member and the others. */
  isolate(member: Member): void {
    for (const other of this.benches.keys()) {
      this.cut.add(`${member}>${other}`);
      this.cut.add(`${other}>${member}`);
    }
  }

  mend(): void {
    this.cut.clear();
  }

  deliver(message: Message): void {
    this.#queue.push(message);
  }

  /** Until nothing is on its way. */
  settle(): void {
    for (let round = 0; round < 10_000; round += 1) {
      for (const bench of this.benches.values()) this.#drain(bench);
      const message = this.#queue.shift();
      if (message === undefined) return;
      this.lines.push(lineOf(message));
      const bench = this.benches.get(message.to);
      if (this.cut.has(`${message.from}>${message.to}`) || this.loses(message)) this.lines.push("  lost");
      else if (bench !== undefined && !bench.down) bench.raft.receive(message, this.nowMs);
    }
    throw new Error("the members never fall silent");
  }

  #drain(bench: Bench): void {
    if (bench.down) return;
    for (let ready = bench.raft.ready(); ready !== null; ready = bench.raft.ready()) {
      this.#queue.push(...ready.sends.map(({ message }) => message));
      if (ready.snapshot !== undefined) bench.applied = commandsIn(ready.snapshot);
      for (const entry of ready.committed) {
        bench.appliedIndex = entry.index;
        if (entry.kind === "command") bench.applied.push(decoder.decode(entry.data));
      }
      bench.reads.push(...ready.reads);
      // A batch that has nothing to store needs no word.
      if (ready.entries.length === 0 && (ready.snapshot ?? ready.hardState) === undefined) continue;
      bench.waiting.push(ready);
      if (!bench.slow) this.#persist(bench, Infinity);
    }
  }

  /** A slow disk has stored the oldest so many batches. */
  persist(member: Member, count = Infinity): void {
    this.#persist(this.bench(member), count);
    this.settle();
  }

  #persist(bench: Bench, count: number): void {
    for (const ready of bench.waiting.splice(0, count)) {
      bench.store(ready);
      bench.raft.persisted(ready.number, this.nowMs);
    }
  }

  /** Lets time pass; who is due is woken. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    this.settle();
    for (;;) {
      const up = [...this.benches.values()].filter(({ down }) => !down);
      const dueMs = Math.min(...up.map(({ raft }) => raft.wakeAtMs));
      if (dueMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      for (const { raft } of up) if (raft.wakeAtMs <= this.nowMs) raft.wake(this.nowMs);
      this.settle();
    }
    this.nowMs = untilMs;
  }

  /** Makes the member the leader, the others hold still. */
  elect(member: Member): Raft {
    const raft = this.raft(member);
    // By then nobody is loyal to an earlier leader any more.
    this.nowMs = Math.max(this.nowMs + this.config.electionTimeoutMaxMs, raft.wakeAtMs);
    raft.wake(this.nowMs);
    this.settle();
    return raft;
  }

  propose(member: Member, ...commands: readonly string[]): void {
    const result = this.raft(member).propose(commands.map(bytesOf), this.nowMs);
    if ("refused" in result) throw new Error(result.reason);
    this.settle();
  }

  /** What passed since the last call. */
  take(): string[] {
    return this.lines.splice(0);
  }

  get leaders(): Member[] {
    return [...this.benches].filter(([, { raft, down }]) => !down && raft.status().role === "leader").map(([m]) => m);
  }
}

export const EMPTY: Start = { hardState: { term: 0, votedFor: 0, commitIndex: 0 }, snapshot: null, entries: [] };

/** Snapshots of the lab hold the commands so far. */
export const snapshotOf = (commands: readonly string[]): Uint8Array => bytesOf(JSON.stringify(commands));
function commandsIn({ data }: Snapshot): string[] {
  return JSON.parse(decoder.decode(data)) as string[];
}
