/**
 * A member's disk. What is written becomes durable in order, all that waits in one transaction; batches are atomic, and
 * a torn or flipped tail is dropped when the store is opened. So what a crash leaves of the transaction under way is a
 * prefix of its batches. A flip in a durable record is seen when the store is opened, and then the store is lost.
 */
import type { Prng } from "../../src/base/prng.ts";
import type { Entry, HardState, Snapshot } from "../../src/raft/entry.ts";
import type { Start } from "../../src/raft/raft.ts";

export interface Write {
  readonly number: number;
  readonly snapshot?: Snapshot;
  readonly entries: readonly Entry[];
  readonly hardState?: HardState;
  /** Of a compaction: entries before it go. */
  readonly keepFrom?: number;
}

/** A log as its writes make it. */
export class StoredLog implements Start {
  hardState: HardState;
  snapshot: Snapshot | null;
  entries: Entry[];

  constructor({ hardState, snapshot, entries }: Start) {
    this.hardState = hardState;
    this.snapshot = snapshot;
    this.entries = [...entries];
  }

  get lastIndex(): number {
    return this.entries.at(-1)?.index ?? this.snapshot?.index ?? 0;
  }

  termAt(index: number): number | undefined {
    const first = this.entries[0];
    const entry = first === undefined ? undefined : this.entries[index - first.index];
    if (entry !== undefined) return entry.term;
    if (index === 0) return 0;
    return this.snapshot?.index === index ? this.snapshot.term : undefined;
  }

  /** Whether the entry is there, or was and is covered by the snapshot. */
  holds(index: number, term: number): boolean {
    return this.termAt(index) === term || (this.snapshot?.index ?? 0) >= index;
  }

  apply({ snapshot, entries, hardState, keepFrom }: Write): void {
    if (snapshot !== undefined) {
      this.snapshot = snapshot;
      const first = this.entries[0]?.index ?? 0;
      if (keepFrom === undefined) this.entries = [];
      else if (keepFrom > first) this.entries.splice(0, keepFrom - first);
    }
    const [first] = entries;
    if (first !== undefined) {
      const start = this.entries[0]?.index ?? first.index;
      this.entries.length = first.index - start;
      this.entries.push(...entries);
    }
    if (hardState !== undefined) this.hardState = hardState;
  }
}

export class Disk {
  readonly durable: StoredLog;
  /** Nothing becomes durable before then. */
  stalledUntilMs = 0;
  #queue: Write[] = [];
  #writing: Write[] = [];
  /** Counts the lives of the process that writes. */
  #life = 0;
  readonly #latencyMs: () => number;
  readonly #after: (ms: number, run: () => void) => void;
  readonly #done: (number: number) => void;
  readonly #nowMs: () => number;

  constructor(
    start: Start,
    world: {
      readonly nowMs: () => number;
      readonly after: (ms: number, run: () => void) => void;
      readonly latencyMs: () => number;
      /** Batches up to that one are durable. */
      readonly done: (number: number) => void;
    },
  ) {
    this.durable = new StoredLog(start);
    this.#nowMs = world.nowMs;
    this.#latencyMs = world.latencyMs;
    this.#after = world.after;
    this.#done = world.done;
  }

  write(write: Write): void {
    this.#queue.push(write);
    if (this.#writing.length === 0) this.#begin();
  }

  #begin(): void {
    if (this.#queue.length === 0) return;
    this.#writing = this.#queue;
    this.#queue = [];
    const life = this.#life;
    this.#after(Math.max(this.stalledUntilMs - this.#nowMs(), 0) + this.#latencyMs(), () => {
      if (life === this.#life) this.#finish();
    });
  }

  #finish(): void {
    let last = 0;
    for (const write of this.#writing) {
      this.durable.apply(write);
      last = Math.max(last, write.number);
    }
    this.#writing = [];
    this.#begin();
    this.#done(last);
  }

  /** The process is gone, and with it what it had not written yet. */
  crash(prng: Prng): void {
    this.#life += 1;
    const survive = prng.int(this.#writing.length + 1);
    for (const write of this.#writing.slice(0, survive)) this.durable.apply(write);
    this.#writing = [];
    this.#queue = [];
  }
}
