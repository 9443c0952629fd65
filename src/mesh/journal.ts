/**
 * What happened in the mesh as this node saw it: the latest events of its members, and what the process itself tells of
 * models, policies, GPUs and routing; numbered, in a ring.
 *
 * Numbers rise by one with each event, and over restarts too: a journal begins at the microseconds since 1970 of its
 * start, and no node meets an event a microsecond. So whoever reads on after a restart asks for what came after the
 * last number that it has, gets all of the new life, and needs to know nothing of the restart.
 *
 * Readers hold a number and nothing else. One that falls behind the ring is told how many events it missed, so slow
 * readers cost no memory.
 */
import type { EventType } from "../base/event-types.ts";
import type { SwimEvent } from "../swim/event.ts";

/** Anything but a member's event. */
export interface News {
  /** "policy.changed": the part before the dot says what it is about. */
  readonly type: EventType;
  /** A node's id, a model, a policy's KIND/NAME. */
  readonly id: string;
  /** In words fit for a log line. */
  readonly cause: string;
  /** What there is to select by. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface JournalEntry {
  readonly seq: number;
  /** ISO 8601, by the wall clock. */
  readonly time: string;
  readonly type: string;
  /** The part of the type behind the dot. */
  readonly kind: string;
  readonly id: string;
  readonly cause: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Of members' events. */
  readonly address?: string;
  readonly incarnation?: number;
}

/** What is kept of an event until somebody reads it: most never are. */
interface Kept {
  readonly event: SwimEvent | News;
  readonly atMs: number;
}

export interface JournalPart {
  /** Oldest first. */
  readonly events: readonly JournalEntry[];
  /** How many more there were before these, which the ring has dropped. */
  readonly missed: number;
  /** To go on after this part. */
  readonly next: number;
}

export const JOURNAL_EVENTS_MAX = 1024;

export class Journal {
  readonly #capacity: number;
  readonly #ring: Kept[] = [];
  /** The number of the first event that there ever was. */
  readonly #first: number;
  #last: number;
  #ended = false;
  readonly #listeners = new Set<() => void>();

  /** `startMs`: since 1970, larger at each start of the node. */
  constructor(startMs: number, capacity = JOURNAL_EVENTS_MAX) {
    this.#capacity = capacity;
    this.#last = Math.floor(startMs) * 1000;
    this.#first = this.#last + 1;
  }

  /** The number of the first event of this life, which may be still to come: another one tells of a restart. */
  get first(): number {
    return this.#first;
  }

  /** The number of the newest event. */
  get last(): number {
    return this.#last;
  }

  /** Nothing comes any more: the node is about to stop. */
  get ended(): boolean {
    return this.#ended;
  }

  /** `atMs` since 1970. */
  append(event: SwimEvent | News, atMs: number): void {
    this.#last += 1;
    this.#ring[this.#place(this.#last)] = { event, atMs };
    this.#wake();
  }

  /** Something happened now. */
  readonly tell = (news: News): void => this.append(news, Date.now());

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /**
   * The events after that number, at most `max` of those that are accepted. A number that is none of this journal's
   * means its beginning.
   */
  after(seq: number, max = this.#capacity, accepts: (entry: JournalEntry) => boolean = acceptsAll): JournalPart {
    const from = seq < this.#first || seq > this.#last ? this.#first - 1 : seq;
    const start = Math.max(from + 1, this.#last - this.#capacity + 1);
    const events: JournalEntry[] = [];
    let at = start;
    for (; at <= this.#last && events.length < max; at += 1) {
      const entry = this.#entry(at);
      if (accepts(entry)) events.push(entry);
    }
    return { events, missed: start - from - 1, next: at - 1 };
  }

  /** Calls back after each event and at the end; answers how to stop that. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #entry(seq: number): JournalEntry {
    const { event, atMs } = this.#ring[this.#place(seq)]!;
    const time = new Date(atMs).toISOString();
    if ("type" in event) {
      const { type, id, cause, labels = {} } = event;
      return { seq, time, type, kind: type.slice(type.indexOf(".") + 1), id, cause, labels };
    }
    const { kind, id, address, incarnation, cause } = event;
    return { seq, time, type: `node.${kind}`, kind, id, address, incarnation, cause, labels: { node: id } };
  }

  #place(seq: number): number {
    return (seq - this.#first) % this.#capacity;
  }

  #wake(): void {
    for (const listener of this.#listeners) listener();
  }
}

function acceptsAll(): boolean {
  return true;
}
