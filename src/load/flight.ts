/** One request from the moment at which it is due until it has ended, and how it ended. Times are the shell's clock. */
import type { Planned } from "./plan.ts";

/** How a request ended; beside these `status 503` and `grpc 14`. */
export const FAILURE = {
  /** It was not answered in time, counted from when it was due. */
  timeout: "timeout",
  /** Nobody listens. */
  refused: "connection refused",
  /** There is no connection for another reason: a name, a route, TLS, descriptors. */
  unreachable: "no connection",
  /** The connection ended before anything of an answer came. */
  closed: "closed unanswered",
  /** An answer that is not whole. */
  cut: "cut short",
  /** No HTTP, no event, no JSON where there should be. */
  malformed: "malformed answer",
  /** An event of a stream, or a whole answer, that is an error. */
  told: "error in the answer",
  /** More bytes than an answer may have. */
  tooLarge: "too large",
  /** The run ended before it did: neither well nor failed. */
  unfinished: "unfinished",
} as const;

export class Flight {
  readonly number: number;
  readonly planned: Planned;
  /** When it should have been sent: what its latencies count from. */
  readonly dueMs: number;
  readonly isWarmUp: boolean;
  /** NaN: not yet. */
  sentMs = Number.NaN;
  firstMs = Number.NaN;
  lastMs = Number.NaN;
  endMs = Number.NaN;
  /** Events with text. */
  events = 0;
  /** What this side alone was late by: it was due, there was room for it, and it was not sent. NaN: there was no room. */
  lagMs = Number.NaN;
  /** What the server says of its tokens; -1: nothing. */
  promptTokens = -1;
  outputTokens = -1;
  cachedTokens = -1;
  node = "";
  status = 0;
  /** "": it ended well, once it has ended. */
  failure = "";
  /** The server's words of what went wrong. */
  words = "";
  isOver = false;
  /** The shell's: what it goes on. */
  carrier: unknown = null;

  constructor(number: number, planned: Planned, dueMs: number, isWarmUp: boolean) {
    this.number = number;
    this.planned = planned;
    this.dueMs = dueMs;
    this.isWarmUp = isWarmUp;
  }

  /** What was generated: by the server's word, else the events of the stream; -1: neither tells. */
  get generated(): number {
    if (this.outputTokens >= 0) return this.outputTokens;
    return this.events > 0 ? this.events : -1;
  }

  /** Mean time between two tokens, or NaN. */
  get itlMs(): number {
    const gaps = Math.max(this.generated, this.events) - 1;
    return gaps > 0 && this.events > 1 ? (this.lastMs - this.firstMs) / gaps : Number.NaN;
  }
}
