/**
 * The log as it is in memory: the entries from some index on, the position before them, the snapshot that covers what
 * was dropped, and the configurations that the entries hold. A configuration is in force from when its entry is
 * appended (dissertation, 4.1), and no longer once it is cut off again.
 */
import { assert } from "../base/assert.ts";
import {
  type Configuration,
  decodeConfiguration,
  EMPTY_CONFIGURATION,
  type Entry,
  type Member,
  type Position,
  type Snapshot,
} from "./entry.ts";
import { isVoter } from "./membership.ts";

interface Dated {
  readonly index: number;
  readonly configuration: Configuration;
}

export class Log {
  /** The position before the first entry. */
  #before: Position = { index: 0, term: 0 };
  #entries: Entry[] = [];
  #snapshot: Snapshot | null = null;
  /** The first is that of the snapshot, the last is in force. */
  #configurations: Dated[] = [{ index: 0, configuration: EMPTY_CONFIGURATION }];

  /** Entries may start before the snapshot's end; there is no gap. */
  constructor(snapshot: Snapshot | null, entries: readonly Entry[]) {
    if (snapshot !== null) this.reset(snapshot);
    const [first] = entries;
    if (snapshot !== null && first !== undefined && first.index <= snapshot.index) {
      // What comes before the first kept entry is unknown but for its index, so that entry is the position before.
      const last = entries.at(-1)!;
      assert(last.index >= snapshot.index, `the log ends at ${last.index}, before its snapshot at ${snapshot.index}`);
      this.#before = { index: first.index, term: first.term };
      this.append(entries.slice(1));
      assert(this.termAt(snapshot.index) === snapshot.term, `the log and its snapshot at ${snapshot.index} differ`);
    } else {
      this.append(entries);
    }
  }

  get firstIndex(): number {
    return this.#before.index + 1;
  }

  get lastIndex(): number {
    return this.#before.index + this.#entries.length;
  }

  get last(): Position {
    const { index, term } = this.#entries.at(-1) ?? this.#before;
    return { index, term };
  }

  get snapshot(): Snapshot | null {
    return this.#snapshot;
  }

  /** The configuration in force. */
  get configuration(): Configuration {
    return this.#configurations.at(-1)!.configuration;
  }

  /** Of its entry, or of the snapshot that brought it. */
  get configurationIndex(): number {
    return this.#configurations.at(-1)!.index;
  }

  /**
   * Whether the member has a vote in a configuration that may be in force: the newest, or those before it up to one that
   * is known to be committed. Whom the newest leaves out may be the only one whose log can still be elected.
   */
  mayVote(member: Member, commitIndex: number): boolean {
    for (let at = this.#configurations.length - 1; at >= 0; at -= 1) {
      const { index, configuration } = this.#configurations[at]!;
      if (isVoter(configuration, member)) return true;
      if (index <= commitIndex) return false;
    }
    return false;
  }

  /** Undefined where the log does not reach, or no longer. */
  termAt(index: number): number | undefined {
    if (index === this.#before.index) return this.#before.term;
    return this.#entries[index - this.firstIndex]?.term;
  }

  has({ index, term }: Position): boolean {
    return this.termAt(index) === term;
  }

  /** Whether a log that ends there holds all that this one holds, if this one may have been committed. */
  isNoNewerThan({ index, term }: Position): boolean {
    const { last } = this;
    return term > last.term || (term === last.term && index >= last.index);
  }

  /** [from, to], both kept. */
  slice(from: number, to: number): Entry[] {
    return this.#entries.slice(from - this.firstIndex, to - this.firstIndex + 1);
  }

  /** From there on as many as fit, at least one. */
  upTo(from: number, bytesMax: number, countMax: number): Entry[] {
    const start = from - this.firstIndex;
    const entries = this.#entries;
    let end = start;
    let bytes = 0;
    while (end < entries.length && end - start < countMax) {
      bytes += entries[end]!.data.length;
      if (bytes > bytesMax && end > start) break;
      end += 1;
    }
    return entries.slice(start, end);
  }

  /** Where the entries up to `to` begin of which there are so many, with so many bytes, at most. */
  tailFrom(to: number, countMax: number, bytesMax: number): number {
    let from = to + 1;
    for (let bytes = 0; from > this.firstIndex && to - from + 1 < countMax; from -= 1) {
      bytes += this.#entries[from - 1 - this.firstIndex]!.data.length;
      if (bytes > bytesMax) break;
    }
    return from;
  }

  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { index, term, kind } = entry;
      const { last } = this;
      assert(index === last.index + 1 && term >= last.term, `entry ${index}/${term} after ${last.index}/${last.term}`);
      this.#entries.push(entry);
      // Those that the snapshot covers are in its configuration.
      if (kind !== "configuration" || index <= (this.#snapshot?.index ?? 0)) continue;
      const configuration = decodeConfiguration(entry.data);
      assert(configuration !== undefined, `the configuration at ${index} cannot be read`);
      this.#configurations.push({ index, configuration });
    }
  }

  /** Cuts off the entry at the index and what follows. */
  truncate(index: number): void {
    this.#entries.length = index - this.firstIndex;
    while (this.#configurations.at(-1)!.index >= index) this.#configurations.pop();
  }

  /** The snapshot takes the place of everything. */
  reset(snapshot: Snapshot): void {
    this.#before = { index: snapshot.index, term: snapshot.term };
    this.#entries = [];
    this.#snapshot = snapshot;
    this.#configurations = [{ index: snapshot.index, configuration: snapshot.configuration }];
  }

  /** A snapshot of what is in the log; entries before `keepFrom` go. */
  compact(index: number, data: Uint8Array, keepFrom: number): Snapshot {
    const term = this.termAt(index);
    assert(term !== undefined, `no entry at ${index} to compact to`);
    const at = this.#configurations.findLastIndex((dated) => dated.index <= index);
    const { configuration } = this.#configurations[at]!;
    this.#configurations.splice(0, at + 1, { index, configuration });
    this.#snapshot = { index, term, configuration, data };
    if (keepFrom > this.firstIndex) {
      const before = keepFrom - 1;
      const kept = this.#entries.slice(keepFrom - this.firstIndex);
      this.#before = { index: before, term: this.termAt(before)! };
      this.#entries = kept;
    }
    return this.#snapshot;
  }

  /**
   * The last position up to `index` whose term is at most `term`: the highest at which a log that has `term` at `index`
   * can agree with this one. Below the kept entries it is the place before all.
   */
  lastAgreement({ index, term }: Position): Position {
    let at = Math.min(index, this.lastIndex);
    for (; at >= this.#before.index; at -= 1) {
      const found = this.termAt(at)!;
      if (found <= term) return { index: at, term: found };
    }
    return { index: Math.max(at, 0), term: 0 };
  }
}
