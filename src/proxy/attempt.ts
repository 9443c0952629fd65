/**
 * One try of a request at one target: the claim in the score table and the connection, each given back exactly once.
 *
 * An exchange has one, or two while it is hedged; what happens on the connection is told to the exchange with the
 * attempt that it happened to.
 */
import type { UpstreamErrorKind } from "../obs/worker-counters.ts";
import { NO_TARGET } from "../score/pick.ts";
import type { ChunkScanner } from "../wire/chunks.ts";
import { KIND } from "../wire/fields.ts";
import type { ResponseHead } from "../wire/http1.ts";
import type { Choice } from "./choice.ts";
import { nowMs, unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import { Prefill, type PrefillOwner, type PrefillPlace } from "./prefill.ts";
import type { Held, Reshaped } from "./reshape.ts";
import type { Target } from "./routes.ts";
import { FRAMING } from "./upstream.ts";
import type { UpstreamConnection, UpstreamUser } from "./upstream.ts";

/** What went wrong at its target; or another one, which was to compute the prompt, failed. */
export type AttemptFailure = UpstreamErrorKind | "prefill";

/** What an attempt tells its exchange. */
export interface AttemptOwner {
  readonly isHead: boolean;
  readonly isUpgrade: boolean;
  readonly awaitsEvent: boolean;
  /** Something of an answer has gone to the client. */
  readonly committed: boolean;
  /** The request as it goes to a target that does all of it. */
  readonly source: Held;
  /** The connection is open: the request may be sent. */
  opened(attempt: Attempt): void;
  /** A final head came; false: this attempt is over. */
  answers(attempt: Attempt, head: ResponseHead, buffer: Buffer): void;
  answerBody(attempt: Attempt, buffer: Buffer, start: number, end: number, ended: boolean): void;
  failed(attempt: Attempt, kind: AttemptFailure, detail: string): void;
  /** More may be sent. */
  drained(attempt: Attempt): void;
}

/** Tokens of a stream that says how far apart they are. */
const STEPS_MIN = 8;

export class Attempt implements UpstreamUser, PrefillOwner {
  readonly #context: WorkerContext;
  readonly #owner: AttemptOwner;
  #upstream: UpstreamConnection | null = null;
  /** Another target's half of it; null: there is none. */
  #prefill: Prefill | null = null;
  target: Target | null = null;
  row = NO_TARGET;
  /** The number of which it is a row in the score table: the model's, or that of a part of its targets. */
  pool = -1;
  #tokens = 0;
  #contextTokens = 0;
  /** Tokens of the prompt that were claimed for it. */
  claimedTokens = 0;
  /** Of all prompts that were sent to the target, with this one. */
  #sentTokens = 0;
  /** When its first token came, and how many requests were at its target then. */
  #firstMs = Infinity;
  #firstActive = 0;
  /** The number by which the desk waits for its first token; 0: it doesn't. */
  #lateId = 0;
  /** When it was given to the target, or chosen for that. */
  sentMs = 0;
  /** Its target's breaker has heard of it. */
  isTold = false;
  /** The connection is open, and has been sent what was held. */
  sending = false;

  constructor(context: WorkerContext, owner: AttemptOwner) {
    this.#context = context;
    this.#owner = owner;
  }

  get isHead(): boolean {
    return this.#owner.isHead;
  }

  get isUpgrade(): boolean {
    return this.#owner.isUpgrade;
  }

  get awaitsEvent(): boolean {
    return this.#owner.awaitsEvent;
  }

  /** Whether it holds a target. */
  get active(): boolean {
    return this.#upstream !== null;
  }

  /** Whether the connection had served another exchange before. */
  get isReused(): boolean {
    return (this.#upstream?.uses ?? 0) > 1;
  }

  get framing(): number {
    return this.#upstream?.framing ?? FRAMING.none;
  }

  get chunks(): ChunkScanner | null {
    return this.#upstream?.chunks ?? null;
  }

  /** What is sent in place of the request; null: that. */
  get shaped(): Reshaped | null {
    return this.#prefill?.decode ?? null;
  }

  /** The row whose target computes the prompt for this one's. */
  get prefillRow(): number {
    return this.#prefill?.place.row ?? NO_TARGET;
  }

  /** Takes over what was chosen. */
  take(choice: Choice<UpstreamConnection>, prefill: PrefillPlace | null): void {
    this.#prefill = prefill === null ? null : new Prefill(this.#context, prefill, this);
    this.row = choice.row;
    this.pool = choice.model;
    this.target = choice.target;
    this.#upstream = choice.way;
    this.#tokens = choice.tokens;
    this.claimedTokens = choice.tokens;
    this.#contextTokens = choice.contextTokens;
    this.#lateId = choice.lateId;
    this.sentMs = nowMs();
    this.isTold = false;
    this.sending = false;
    this.#firstMs = Infinity;
    if (prefill === null) this.#sentTokens = this.#context.firstTokens.sent(this.row, this.#tokens);
  }

  /** Begins; true when nothing has to be waited for but targets: the request has been sent, or its prompt to another. */
  launch(): boolean {
    const upstream = this.#upstream;
    if (upstream === null) throw new Error("an attempt is launched at what was chosen for it");
    this.sentMs = nowMs();
    if (this.#prefill !== null) {
      this.#prefill.begin(this.#owner.source);
      return true;
    }
    upstream.begin(this);
    if (!upstream.open) return false;
    this.upstreamOpened();
    return true;
  }

  prefilled(): void {
    if (this.#upstream === null) return;
    // While the prompt was computed nobody listened to this connection.
    if (this.#upstream.closed) this.#upstream = this.target?.pool?.take() ?? this.#upstream;
    if (this.#upstream.closed) {
      this.#owner.failed(this, "exhausted", "as many as there may be to this target are in use");
      return;
    }
    this.sentMs = nowMs();
    this.#upstream.begin(this);
    if (this.#upstream.open) this.upstreamOpened();
  }

  prefillFailed(detail: string): void {
    // Whoever has begun to answer has the prompt's KV cache, or will fail by itself.
    if (this.#upstream !== null && !this.#owner.committed) this.#owner.failed(this, "prefill", detail);
  }

  /** The target that it waits for takes too long. */
  expire(detail: string): void {
    if (this.#prefill !== null && this.#prefill.decode === null) this.#prefill.expire(detail);
    else this.#owner.failed(this, "timeout", detail);
  }

  /** Sends bytes; false when the target is slower than the client. */
  send(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#upstream?.send(bytes, start, end) ?? true;
  }

  /** Ends our half of a tunnel behind what was sent. */
  endHalf(): void {
    this.#upstream?.endHalf();
  }

  pause(): void {
    this.#upstream?.pause();
  }

  resume(): void {
    this.#upstream?.resume();
  }

  /** Rates are learnt from it. */
  #noteFirst(isWhole: boolean): void {
    const { firstTokens, index } = this.#context;
    // Where another target computes the prompt, this one's first token says nothing of that.
    if (this.#prefill !== null) return;
    this.#firstMs = nowMs();
    this.#firstActive = this.#activeNow();
    const firstMs = unixMs();
    const sentMs = firstMs - (this.#firstMs - this.sentMs);
    firstTokens.first(index, this.row, this.#tokens, this.#sentTokens, sentMs, firstMs, isWhole);
  }

  /** Its stream has ended, after so many tokens, the last of which came then. */
  noteEnd(tokens: number, lastMs: number): void {
    const { firstTokens, index } = this.#context;
    const ms = lastMs - this.#firstMs;
    if (tokens <= STEPS_MIN || !(ms > 0)) return;
    const requests = (this.#firstActive + this.#activeNow()) / 2;
    firstTokens.ended(index, this.row, ms / 1000 / (tokens - 1), requests, unixMs());
  }

  /** Requests at its target, with its own. */
  #activeNow(): number {
    return Math.max(1, this.#context.table.active(this.row));
  }

  /** The prompt's tokens are worked off: its first token came, if `isSeen`, or its whole answer; or it ended without. */
  endPrefill(isSeen: boolean, isWhole = true): void {
    if (this.#lateId !== 0) {
      if (isSeen) this.#context.late?.answered(this.#lateId);
      else this.#context.late?.over(this.#lateId);
      this.#lateId = 0;
    }
    if (this.#tokens === 0) return;
    if (isSeen) this.#noteFirst(isWhole);
    this.#context.table.endPrefill(this.#context.index, this.row, this.#tokens);
    this.#tokens = 0;
  }

  /** Gives the claim and the connection back, once; `clean` keeps the connection for others. */
  giveBack(clean: boolean): void {
    const upstream = this.#upstream;
    if (upstream === null) return;
    this.#upstream = null;
    this.#prefill?.leave();
    this.#prefill = null;
    this.sending = false;
    this.endPrefill(false);
    this.#context.table.end(this.#context.index, this.row);
    this.#context.strategies.left(this.row, this.#contextTokens);
    upstream.release(clean);
  }

  // ---- the connection's side

  upstreamOpened(): void {
    this.sending = true;
    this.#owner.opened(this);
  }

  responseHead(head: ResponseHead, buffer: Buffer): void {
    if (head.loadLine >= 0) this.#hearLoad(head, buffer);
    this.#owner.answers(this, head, buffer);
  }

  #hearLoad(head: ResponseHead, buffer: Buffer): void {
    const { loads, config } = this.#context;
    if (config.loadReports !== "off") loads.head(head, buffer, this.row, this.#tokens);
    if (!config.loadReportsPass) return;
    for (let line = 0; line < head.lineCount; line++) {
      if (head.kind[line] === KIND.load || head.kind[line] === KIND.loadBinary) head.drop[line] = 0;
    }
  }

  responseBody(buffer: Buffer, start: number, end: number, ended: boolean): void {
    this.#owner.answerBody(this, buffer, start, end, ended);
  }

  upstreamFailed(kind: UpstreamErrorKind, detail: string): void {
    this.#owner.failed(this, kind, detail);
  }

  upstreamDrained(): void {
    this.#owner.drained(this);
  }
}
