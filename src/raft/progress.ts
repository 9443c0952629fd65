/**
 * What a leader knows of another member's log. It starts by **probing** where the logs agree, one message at a time;
 * then it **replicates**, sending ahead of the answers within the limits; a member that needs entries that are dropped
 * gets a **snapshot**.
 */
import type { SnapshotSender } from "./snapshot-transfer.ts";

export type ProgressState = "probe" | "replicate" | "snapshot";

export class Progress {
  state: ProgressState = "probe";
  /** The last index that is known to be durable there and to agree. */
  match = 0;
  /** The next index to send. */
  next: number;
  /** Of a probe: it is on its way. */
  waiting = false;
  /** When a message of it came last. */
  heardMs: number;
  /** The newest round that it confirmed, and that it was sent. */
  confirmedRound = 0;
  sentRound = 0;
  /** Refusals of earlier rounds answer what was sent before the leader last went back. */
  refusalsFrom = 0;
  /** The highest commit index that it was told. */
  sentCommit = 0;
  snapshot: SnapshotSender | undefined;
  /** It was taken out of the configuration and is told so until then. */
  departsAtMs: number | undefined;
  /** Last indexes and bytes of messages on their way, oldest first. */
  readonly #inflightLast: number[] = [];
  readonly #inflightBytes: number[] = [];
  #bytes = 0;
  /** Messages that may be on their way, after the leader had to go back: it doubles with each answer that brings news. */
  #window = Infinity;

  constructor(next: number, nowMs: number) {
    this.next = next;
    this.heardMs = nowMs;
  }

  get inflightMessages(): number {
    return this.#inflightLast.length;
  }

  /** A first message may always leave, however large. */
  hasRoom(messagesMax: number, bytesMax: number): boolean {
    return this.#inflightLast.length < Math.min(messagesMax, this.#window) && this.#bytes < bytesMax;
  }

  /** Entries up to `last` are on their way. */
  sent(last: number, bytes: number): void {
    this.next = last + 1;
    this.#inflightLast.push(last);
    this.#inflightBytes.push(bytes);
    this.#bytes += bytes;
  }

  /** It has everything up to the index. Whether that was news. */
  matched(index: number): boolean {
    while ((this.#inflightLast[0] ?? Infinity) <= index) {
      this.#inflightLast.shift();
      this.#bytes -= this.#inflightBytes.shift()!;
    }
    const isNews = index > this.match;
    if (isNews) {
      this.match = index;
      this.#window *= 2;
    }
    // A late answer, to what was sent before the probe, says nothing of the place that the probe is at.
    if (this.state === "probe" && index >= this.next - 1) this.become("replicate");
    if (this.next <= index) this.next = index + 1;
    return isNews;
  }

  become(state: ProgressState): void {
    this.state = state;
    this.waiting = false;
    this.snapshot = undefined;
    this.#inflightLast.length = 0;
    this.#inflightBytes.length = 0;
    this.#bytes = 0;
  }

  /** Starts again from what is known to be there. */
  probe(): void {
    this.become("probe");
    this.next = this.match + 1;
    this.#window = 1;
  }
}
