/**
 * What a journal's records hold when all of them are taken in order: which of the entries count, and where the latest
 * hard state and snapshot are. It keeps places only; who wants contents keeps them beside it.
 */
import type { Position } from "../raft/entry.ts";
import { type RecordKind, isEntryKind } from "./log-record.ts";

export interface Step extends Position {
  readonly sequence: number;
  readonly kind: RecordKind;
  /** Of a snapshot: nothing before it counts. */
  readonly replaces?: boolean;
}

export class Replay {
  /** The index of the first entry that counts, or would. Unknown before the first record of a journal whose beginning was dropped. */
  first: number | undefined;
  /** Of the entries from `first` on, the records' sequence numbers: they rise. */
  sequences: number[] = [];
  snapshot: (Position & { readonly sequence: number }) | undefined;
  /** The record of the latest hard state; 0: none. */
  hardState = 0;
  #records = 0;
  #terms: number[] = [];

  /** `whole`: the journal still has its first record. */
  constructor(whole: boolean) {
    this.first = whole ? 1 : undefined;
  }

  /** The index after the last entry. */
  get next(): number {
    return (this.first ?? 1) + this.sequences.length;
  }

  /** Records that count no more. */
  get dead(): number {
    const counting = this.sequences.length + (this.hardState === 0 ? 0 : 1) + (this.snapshot === undefined ? 0 : 1);
    return this.#records - counting;
  }

  get lastTerm(): number {
    return this.#terms.at(-1) ?? this.snapshot?.term ?? 0;
  }

  /** Takes a record, or says why it can't follow those before. */
  take(step: Step): string | undefined {
    const { kind } = step;
    const fault = isEntryKind(kind) ? this.#entry(step) : kind === "snapshot" ? this.#snapshot(step) : undefined;
    if (fault !== undefined) return fault;
    if (kind === "hard-state") this.hardState = step.sequence;
    this.#records += 1;
    return undefined;
  }

  /** All before that record were dropped from the journal; those that count must be among the rest, but for entries. */
  drop(sequence: number, before: number): void {
    const gone = this.sequences.findIndex((kept) => kept >= sequence);
    const entries = gone < 0 ? this.sequences.length : gone;
    this.first = (this.first ?? 1) + entries;
    this.sequences = this.sequences.slice(entries);
    this.#terms = this.#terms.slice(entries);
    this.#records -= before;
  }

  /** What makes the whole a log that can be gone on with; asked after the last record. */
  fault(): string | undefined {
    const { first = 1, snapshot } = this;
    if (first > 1 && (snapshot === undefined || snapshot.index < first - 1)) {
      return `entries before ${first} are missing, and no snapshot holds them`;
    }
    return undefined;
  }

  #entry({ sequence, index, term }: Step): string | undefined {
    this.first ??= index;
    const { first, next } = this;
    const committed = Math.max(first - 1, Math.min(this.snapshot?.index ?? 0, next - 1));
    if (index <= committed || index > next) {
      return `entry ${index} can't follow: the log holds ${first} to ${next - 1}, of which none up to ${committed} may change`;
    }
    if (index < next) {
      this.sequences.length = index - first;
      this.#terms.length = index - first;
    }
    if (term < this.lastTerm) return `entry ${index} is of term ${term}, after one of term ${this.lastTerm}`;
    this.sequences.push(sequence);
    this.#terms.push(term);
    return undefined;
  }

  #snapshot({ sequence, index, term, replaces = false }: Step): string | undefined {
    this.first ??= index + 1;
    if (replaces) {
      this.sequences = [];
      this.#terms = [];
      this.first = index + 1;
    } else if (index >= this.next) {
      return `the snapshot at ${index} sums up entries that the log, which ends at ${this.next - 1}, does not hold`;
    }
    // One that is older than `first` lies among the records by chance: a later one has taken its place.
    this.snapshot = { sequence, index, term };
    return undefined;
  }
}
