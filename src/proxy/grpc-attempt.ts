/**
 * One attempt of a gRPC call at one target: a claim in the score table, a stream on one of the target's connections,
 * and what the target has sent that the client has not taken yet. The claim is given back once, by `release`; the
 * stream is left by `part`, which may come later, when a slow client has taken the last of the answer.
 */
import type { Outcome } from "../flow/breaker.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { H2_ERROR } from "../wire/http2-frames.ts";
import type { Http2Stream, StreamOwner } from "../wire/http2-stream.ts";
import { Choice } from "./choice.ts";
import { nowMs, unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import { headBytes } from "./grpc-heads.ts";
import type { Http2Upstream } from "./http2-upstream.ts";
import type { ClientSide } from "./http2-wire.ts";
import type { HeldFor, LateBound } from "./late-news.ts";
import type { Target } from "./routes.ts";

/** The choices of every call of the worker, by whether its client has connections apart. */
const shared = new Choice<Http2Upstream>((target) => target.calls?.take(false) ?? null);
const apart = new Choice<Http2Upstream>((target) => target.calls?.take(true) ?? null);

export class GrpcAttempt {
  readonly target: Target;
  readonly row: number;
  /** When it was chosen. */
  readonly sentMs = nowMs();
  readonly #model: number;
  readonly #context: WorkerContext;
  /** As of its choice. */
  readonly held: HeldFor | null;
  readonly #client: ClientSide;
  readonly #way: Http2Upstream;
  #stream: Http2Stream | null = null;
  /** The claim's tokens, until the first message; the claim itself, until the end. */
  #tokens: number;
  /** Of all prompts that were sent to the target, with this one. */
  readonly #sentTokens: number;
  readonly #contextTokens: number;
  #isClaimed = true;
  /** The number by which the desk waits for its first message; 0: it doesn't. */
  #lateId: number;
  /** The target's breaker has heard of it. */
  #isTold = false;
  #owed = 0;

  private constructor(
    context: WorkerContext,
    client: ClientSide,
    model: number,
    row: number,
    target: Target,
    way: Http2Upstream,
    tokens: number,
    contextTokens: number,
    lateId: number,
    held: HeldFor | null,
  ) {
    this.held = held;
    this.#contextTokens = contextTokens;
    this.#lateId = lateId;
    this.#context = context;
    this.#client = client;
    this.#model = model;
    this.row = row;
    this.target = target;
    this.#way = way;
    this.#tokens = tokens;
    this.#sentTokens = context.firstTokens.sent(row, tokens);
  }

  /** Claims a row of the model, or takes a `place`; or answers why there is none (ALL_FULL, NO_TARGET, HELD). */
  static claim(
    context: WorkerContext,
    client: ClientSide,
    model: number,
    tokens: number,
    excluded: readonly number[],
    isRetry: boolean,
    place: LateBound | null,
  ): GrpcAttempt | number {
    const choice = client.isRestless ? apart : shared;
    const row = choice.make(context, model, tokens, excluded, isRetry, place);
    const { target, way } = choice;
    if (row < 0 || target === null || way === null) return row;
    const { tokens: fresh, contextTokens, lateId, held } = choice;
    return new GrpcAttempt(context, client, model, row, target, way, fresh, contextTokens, lateId, held);
  }

  /** The longest list of fields that the target takes. */
  get listBytesMax(): number {
    return this.#way.connection.peerListBytesMax;
  }

  /** The connection is gone; it never was there; why. */
  get isDown(): boolean {
    return this.#way.connection.isClosed;
  }

  get isUnreached(): boolean {
    return this.#way.isUnreached;
  }

  get reason(): string {
    return this.#way.reason;
  }

  /** Its connection is open. */
  get isConnected(): boolean {
    return this.#way.isOpen;
  }

  /** Tells when the connection opens, if it ever does. */
  onceConnected(tell: () => void): void {
    this.#way.onceOpen(tell);
  }

  /** The target has sent its last frame. */
  get isAnswered(): boolean {
    return this.#stream?.remoteEnded === true;
  }

  /** Bytes of the answer that the client has not taken. */
  get owed(): number {
    return this.#owed;
  }

  owns(stream: Http2Stream): boolean {
    return stream === this.#stream;
  }

  /** Begins with the head that stands in `headBytes`; false when the connection takes no more. */
  open(owner: StreamOwner, length: number, ended: boolean): boolean {
    this.#stream = this.#way.connection.open(owner, headBytes, 0, length, ended);
    this.#way.wire.schedule();
    return this.#stream !== null;
  }

  /** Sends bytes of the request; false when they have to wait. */
  send(bytes: Uint8Array, start: number, end: number, ended: boolean): boolean {
    this.#way.wire.schedule();
    return this.#stream === null || this.#way.connection.sendBody(this.#stream, bytes, start, end, ended);
  }

  sendTrailers(bytes: Uint8Array, length: number): void {
    this.#way.wire.schedule();
    if (this.#stream !== null) this.#way.connection.sendHead(this.#stream, bytes, 0, length, true);
  }

  /** The client has taken so many bytes of the answer, or has not yet. */
  taken(bytes: number): void {
    if (this.#stream === null) return;
    this.#way.connection.consume(this.#stream, bytes);
    if (this.#way.connection.output.pending > 0) this.#way.wire.schedule();
  }

  owe(bytes: number): void {
    this.#owed += bytes;
  }

  /** The client has taken all that was owed. */
  settle(): void {
    this.taken(this.#owed);
    this.#owed = 0;
  }

  /** The first message of the answer is here, if `isSeen`, or it ended without. False when it was told before. */
  endPrefill(isSeen: boolean): boolean {
    if (this.#lateId !== 0) {
      if (isSeen) this.#context.late?.answered(this.#lateId);
      else this.#context.late?.over(this.#lateId);
      this.#lateId = 0;
    }
    if (this.#tokens === 0) return false;
    if (isSeen) this.#noteFirst();
    this.#context.table.endPrefill(this.#context.index, this.row, this.#tokens);
    this.#tokens = 0;
    return true;
  }

  /** Whether messages are to follow isn't known: it may be all of the answer. */
  #noteFirst(): void {
    const { firstTokens, index } = this.#context;
    const firstMs = unixMs();
    firstTokens.first(
      index,
      this.row,
      this.#tokens,
      this.#sentTokens,
      firstMs - (nowMs() - this.sentMs),
      firstMs,
      true,
    );
  }

  /** A head or trailers came that tell of the target's load; `isOver`: it has said all. */
  hearLoad(block: HeaderBlock, isOver: boolean): void {
    const { loads, config } = this.#context;
    if (config.loadReports !== "off") loads.block(block, this.row, this.#tokens, isOver);
  }

  /** How it went, for the target's breaker. */
  observe(outcome: Outcome): void {
    this.#isTold = true;
    this.#context.dispatch.observe(this.#model, this.row, outcome, this.sentMs);
  }

  /** Gives the claim back: whoever waits for a place may have it. */
  release(): void {
    this.endPrefill(false);
    if (!this.#isClaimed) return;
    this.#isClaimed = false;
    // A trial that told nothing of its target must not be waited for.
    if (!this.#isTold) this.observe("unknown");
    this.#context.table.end(this.#context.index, this.row);
    this.#context.strategies.left(this.row, this.#contextTokens);
    this.#context.dispatch.freed(this.#model);
  }

  /** Leaves the stream, which is reset unless it has ended. */
  part(): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#stream = null;
    this.#owed = 0;
    const { connection, wire } = this.#way;
    const { resetsSent } = connection;
    connection.reset(stream, H2_ERROR.cancel);
    if (connection.resetsSent > resetsSent) this.#client.callReset();
    connection.release(stream);
    if (connection.output.pending > 0) wire.schedule();
  }
}
