/**
 * One gRPC call: a client's stream and a target's, joined. HTTP/2 goes in and HTTP/2 comes out; messages pass as they
 * are, compressed or not, and each side's window follows what the other side takes.
 *
 * The model is named by metadata, or by the first message of a known service (grpc-services.ts), or is the only one
 * there is. As soon as it is known the call is bound to a target; what came before is held. While nothing of an answer
 * has gone to the client and all that was sent is still held, a call that its target did nothing about is bound again,
 * elsewhere; one that broke, or was answered with nothing but UNAVAILABLE, only if its method may run twice. After that
 * the client is told by a status, or by a reset where the target reset its stream.
 *
 * The client's deadline is kept here too, and what is left of it goes to the target. Either side's cancellation reaches
 * the other one. What the call holds (a claim, a budget, a deadline) it gives back once, in `#finish`; the windows of
 * its streams as soon as the other side has taken what came through them.
 */
import { ERRORS, MeshError } from "../base/errors.ts";
import { ALL_FULL } from "../score/pick.ts";
import { GrpcFraming } from "../wire/grpc-framing.ts";
import { parseTimeout } from "../wire/grpc-timeout.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { H2_ERROR } from "../wire/http2-frames.ts";
import type { Http2Stream, StreamOwner } from "../wire/http2-stream.ts";
import { Choice } from "./choice.ts";
import { nowMs, unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import { type Dated, enterDeadline, leaveDeadline } from "./deadlines.ts";
import { headBytes, REQUEST_EXTRA_BYTES, writeAnswerHead, writeRequestHead, writeTrailers } from "./grpc-heads.ts";
import { GrpcRequest, MODEL } from "./grpc-request.ts";
import { type GrpcMethod, methodOf } from "./grpc-services.ts";
import { countedAs, errorFields, GRPC_STATUS, statusIn } from "./grpc-status.ts";
import type { Http2Upstream } from "./http2-upstream.ts";
import type { ClientSide } from "./http2-wire.ts";
import type { Target } from "./routes.ts";

/** Attempts that count for nothing: the target did nothing about the stream, but is there. */
const LATE_ATTEMPTS_MAX = 4;
const NO_SLOT = -1;

/** The choices of every call of the worker. */
const choice = new Choice<Http2Upstream>((target) => target.calls?.take() ?? null);

export class GrpcCall implements StreamOwner, Dated {
  readonly #context: WorkerContext;
  readonly #client: ClientSide;
  readonly #down: Http2Stream;
  readonly #head: HeaderBlock;
  readonly #method: GrpcMethod;
  readonly #request: GrpcRequest;
  readonly #startedMs = nowMs();
  #model = -1;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #deadlineSlot = NO_SLOT;
  #isOver = false;

  // ---- the attempt
  #way: Http2Upstream | null = null;
  #up: Http2Stream | null = null;
  #target: Target | null = null;
  #row = -1;
  #claimedTokens = 0;
  #attempts = 0;
  #lateAttempts = 0;
  #excluded: readonly number[] = NONE;
  /** Since when the target has the whole request, or was last heard of. */
  #activeMs = 0;

  // ---- the answer
  #isCommitted = false;
  #framing: GrpcFraming | null = null;
  #sent = 0;

  // ---- bytes that one side has sent and the other one has not taken
  #downOwed = 0;
  #upOwed = 0;

  constructor(context: WorkerContext, client: ClientSide, down: Http2Stream, head: HeaderBlock) {
    this.#context = context;
    this.#client = client;
    this.#down = down;
    this.#head = head;
    this.#method = methodOf(head.path);
    this.#request = new GrpcRequest(context);
    this.#activeMs = this.#startedMs;
  }

  begin(isComplete: boolean): void {
    const { grpcTimeout, model } = this.#head;
    this.#request.isComplete = isComplete;
    if (grpcTimeout !== null) {
      const timeoutMs = parseTimeout(grpcTimeout);
      if (timeoutMs < 0) {
        this.refuse(new MeshError("bad_request", "grpc-timeout is no number of up to eight digits with a unit"));
        return;
      }
      this.#deadlineMs = this.#startedMs + timeoutMs;
      this.#deadlineSlot = enterDeadline(this, this.#deadlineMs);
    }
    const { calls } = this.#context.routes;
    if (model !== null) {
      this.#model = calls.findField(model);
      if (this.#model < 0) this.refuse(unknownModel(model.text));
      else this.#bind(null);
    } else if (this.#method.modelField > 0) {
      // It is in the first message, unless there is none.
      if (isComplete) this.#bindToOnly();
    } else {
      this.#bindToOnly();
    }
  }

  /** Binds a call that names no model to the one that there is. */
  #bindToOnly(): void {
    this.#model = this.#context.routes.calls.only;
    if (this.#model >= 0) {
      this.#bind(null);
      return;
    }
    this.refuse(
      new MeshError("model_required", "name the model in the metadata x-infermesh-model", { param: "model" }),
    );
  }

  // ---- what comes from either side

  body(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    if (stream === this.#up) this.#answerBody(bytes, start, end, ended);
    else if (this.#isOver) this.#client.connection.consume(stream, end - start);
    else this.#requestBody(bytes, start, end, ended);
  }

  #requestBody(bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const request = this.#request;
    if (ended) this.#completed();
    if (!request.follow(bytes, start, end)) {
      this.refuse(this.#tooLarge());
      return;
    }
    const held = this.#isCommitted || request.hold(bytes, start, end);
    if (this.#up !== null && this.#way !== null) {
      const isTaken = this.#way.connection.sendBody(this.#up, bytes, start, end, ended);
      if (isTaken) this.#client.connection.consume(this.#down, end - start);
      else this.#downOwed += end - start;
      this.#way.wire.schedule();
      return;
    }
    this.#client.connection.consume(this.#down, end - start);
    if (!held) {
      this.refuse(new MeshError("over_capacity", "the router holds as many requests as its memory allows"));
      return;
    }
    const { calls } = this.#context.routes;
    const model = request.findModel(this.#method.modelField, calls);
    if (model >= 0) {
      this.#model = model;
      this.#bind(null);
    } else if (model === MODEL.unknown) {
      this.refuse(unknownModel(request.modelName));
    } else if (model === MODEL.absent || request.end >= this.#context.config.replayBytes) {
      this.#bindToOnly();
    }
  }

  #completed(): void {
    this.#request.isComplete = true;
    this.#activeMs = nowMs();
  }

  answered(_stream: Http2Stream, block: HeaderBlock, ended: boolean): void {
    const isRefused = ended && statusIn(block) === GRPC_STATUS.unavailable;
    if (isRefused && this.#method.isRepeatable && this.#mayRepeat()) {
      this.#excluded = [...this.#excluded, this.#row];
      this.#context.counters.retry();
      this.#giveBack();
      this.#bind(block);
      return;
    }
    this.#passOn(block, ended);
  }

  #passOn(block: HeaderBlock, ended: boolean): void {
    this.#isCommitted = true;
    this.#activeMs = nowMs();
    this.#request.release();
    const length = writeAnswerHead(block, this.#target?.nodeField ?? NO_FIELD);
    this.#sent += length;
    this.#client.connection.sendHead(this.#down, headBytes, 0, length, ended);
    this.#client.wire.schedule();
    if (!ended) return;
    this.#finish(block.status === 200 ? countedAs(statusIn(block)) : block.status);
  }

  #answerBody(bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const { connection, wire } = this.#client;
    if (this.#claimedTokens > 0) this.#markFirst();
    this.#activeMs = nowMs();
    this.#framing ??= new GrpcFraming(this.#context.config.grpcMessageBytesMax);
    if (!this.#framing.push(bytes, start, end)) {
      this.refuse(this.#tooLarge());
      return;
    }
    this.#sent += end - start;
    if (connection.sendBody(this.#down, bytes, start, end, false)) {
      if (this.#up !== null) this.#way?.connection.consume(this.#up, end - start);
    } else {
      this.#upOwed += end - start;
    }
    wire.schedule();
    if (ended) this.refuse(new MeshError("internal", "the target ended the call without a status"));
  }

  /** The first message of the answer: the prompt is worked through. */
  #markFirst(): void {
    this.#endPrefill();
    this.#context.counters.firstToken(this.#model, nowMs() - this.#startedMs);
  }

  trailers(stream: Http2Stream, block: HeaderBlock): void {
    const length = writeTrailers(block);
    if (stream === this.#up) {
      this.#client.connection.sendHead(this.#down, headBytes, 0, length, true);
      this.#client.wire.schedule();
      this.#sent += length;
      this.#finish(countedAs(statusIn(block)));
      return;
    }
    if (this.#isOver) return;
    this.#completed();
    this.#request.trailers = headBytes.slice(0, length);
    if (this.#up !== null) {
      this.#way?.connection.sendHead(this.#up, headBytes, 0, length, true);
      this.#way?.wire.schedule();
    } else if (this.#model < 0) {
      this.#bindToOnly();
    }
  }

  writable(stream: Http2Stream): void {
    if (stream !== this.#down) {
      this.#client.connection.consume(this.#down, this.#downOwed);
      this.#downOwed = 0;
      this.#client.wire.schedule();
      return;
    }
    const way = this.#way;
    if (way !== null && this.#up !== null) {
      way.connection.consume(this.#up, this.#upOwed);
      this.#upOwed = 0;
      way.wire.schedule();
    }
    if (!this.#isOver) return;
    this.#part();
    this.#leaveClient();
  }

  lost(stream: Http2Stream, code: number, untouched: boolean): void {
    if (stream === this.#up) {
      if (!this.#isOver) this.#failed(code, untouched);
      return;
    }
    if (stream !== this.#down) return;
    this.#finish(countedAs(GRPC_STATUS.cancelled));
    this.#part();
  }

  // ---- the target

  /** Gives the call to a target; `instead`: what to answer where there is none. */
  #bind(instead: HeaderBlock | null): void {
    const context = this.#context;
    const request = this.#request;
    const leftMs = this.#deadlineMs - nowMs();
    if (leftMs <= 0) {
      this.expired();
      return;
    }
    const guess = Math.ceil((request.messageBytes || request.received) / context.config.bytesPerToken);
    const tokens = Math.min(context.config.promptTokensMax, Math.max(1, guess));
    const row = choice.make(context, this.#model, tokens, this.#excluded, this.#attempts > 0);
    const way = choice.way;
    if (row < 0 || way === null) {
      if (instead === null) this.refuse(this.#refusal(row));
      else this.#passOn(instead, true);
      return;
    }
    this.#row = row;
    this.#way = way;
    this.#target = choice.target;
    this.#claimedTokens = tokens;
    this.#attempts++;
    this.#activeMs = nowMs();
    if (this.#head.size + REQUEST_EXTRA_BYTES > way.connection.peerListBytesMax) {
      this.refuse(new MeshError("head_too_large", "the metadata is larger than the target takes"));
      return;
    }
    const length = writeRequestHead(this.#head, leftMs, this.#client.forwardedFor);
    const { trailers, end } = request;
    const endsWithBody = request.isComplete && trailers === null;
    this.#up = way.connection.open(this, headBytes, 0, length, endsWithBody && end === 0);
    if (this.#up === null) {
      this.refuse(this.#refusal(ALL_FULL));
      return;
    }
    if (end > 0) way.connection.sendBody(this.#up, request.held, 0, end, endsWithBody);
    if (trailers !== null) way.connection.sendHead(this.#up, trailers, 0, trailers.length, true);
    way.wire.schedule();
    this.#client.connection.consume(this.#down, this.#downOwed);
    this.#downOwed = 0;
  }

  #refusal(outcome: number): MeshError {
    if (outcome === ALL_FULL) {
      return new MeshError("over_capacity", "every target of this model is at its capacity; try again shortly");
    }
    if (this.#attempts > 0) return new MeshError("upstream_failed", "no target could answer the call");
    return new MeshError("no_healthy_target", "no healthy target serves this model at the moment");
  }

  #mayRepeat(): boolean {
    return !this.#isCommitted && !this.#request.isCut && this.#attempts < this.#context.config.attemptsMax;
  }

  /** The target's stream broke before its end. */
  #failed(code: number, untouched: boolean): void {
    const { counters, table, config } = this.#context;
    const way = this.#way;
    const row = this.#row;
    if (way === null) return;
    const { isUnreached } = way;
    const isDown = way.connection.isClosed;
    const { reason } = way;
    this.#giveBack();
    // It was about to close the connection, or counts a stream that has just ended: the same one may do next time.
    const isLate = untouched && !isUnreached && this.#lateAttempts < LATE_ATTEMPTS_MAX;
    if (isLate) {
      this.#lateAttempts++;
      this.#attempts--;
    } else {
      counters.upstreamError(row, this.#isCommitted ? "truncated" : isUnreached ? "connect" : "reset");
      this.#excluded = [...this.#excluded, row];
    }
    if (isDown && !this.#isCommitted) table.eject(row, table.nowDeciseconds(unixMs() + config.ejectForMs));
    if ((untouched || this.#method.isRepeatable) && this.#mayRepeat()) {
      counters.retry();
      this.#bind(null);
    } else if (isDown || code === H2_ERROR.none) {
      this.refuse(
        new MeshError("upstream_failed", `the target failed before the call ended: ${reason || "it closed"}`),
      );
    } else {
      // What it means is a client's business: it sees what it would have seen without us.
      this.#client.connection.reset(this.#down, code);
      this.#client.wire.schedule();
      this.#finish(countedAs(code === H2_ERROR.cancel ? GRPC_STATUS.cancelled : GRPC_STATUS.unavailable));
    }
  }

  // ---- the end

  /** The client's deadline has come. */
  expired(): void {
    this.#deadlineSlot = NO_SLOT;
    if (this.#row >= 0) this.#context.counters.upstreamError(this.#row, "timeout");
    this.refuse(new MeshError("upstream_timeout", "the deadline of the call has passed"));
  }

  wake(now: number): void {
    if (this.#isOver) {
      // All that is missing is a client that takes its answer.
      if (now - this.#activeMs >= this.#context.config.streamTimeoutMs) this.#abandon();
      return;
    }
    const { bodyTimeoutMs, firstByteTimeoutMs, streamTimeoutMs } = this.#context.config;
    const waitedMs = now - this.#activeMs;
    if (this.#up === null) {
      if (waitedMs < bodyTimeoutMs) return;
      this.refuse(new MeshError("request_timeout", `no message came within ${bodyTimeoutMs} ms`));
    } else if (this.#request.isComplete && waitedMs >= (this.#isCommitted ? streamTimeoutMs : firstByteTimeoutMs)) {
      this.#context.counters.upstreamError(this.#row, "timeout");
      this.refuse(new MeshError("upstream_timeout", "the target took too long to go on"));
    }
  }

  #abandon(): void {
    this.#client.connection.reset(this.#down, H2_ERROR.cancel);
    this.#client.wire.schedule();
    this.#part();
  }

  /** Ends the call with a status of our own. */
  refuse(error: MeshError): void {
    if (this.#isOver) return;
    const fields = errorFields(error, !this.#isCommitted);
    this.#client.connection.sendHead(this.#down, fields, 0, fields.length, true);
    this.#client.wire.schedule();
    this.#sent += fields.length;
    this.#finish(countedAs(ERRORS[error.code].grpc));
  }

  #tooLarge(): MeshError {
    return new MeshError(
      "payload_too_large",
      `a message is larger than the ${this.#context.config.grpcMessageBytesMax} bytes that this router takes`,
    );
  }

  #endPrefill(): void {
    if (this.#claimedTokens === 0) return;
    this.#context.table.endPrefill(this.#context.index, this.#row, this.#claimedTokens);
    this.#claimedTokens = 0;
  }

  /** Gives the claim back and leaves the target, once. */
  #giveBack(): void {
    if (this.#row < 0) return;
    this.#endPrefill();
    this.#context.table.end(this.#context.index, this.#row);
    this.#row = -1;
    this.#part();
  }

  /** Leaves the target's stream: reset if it has not ended. */
  #part(): void {
    const up = this.#up;
    const way = this.#way;
    this.#up = null;
    this.#way = null;
    this.#upOwed = 0;
    if (up === null || way === null) return;
    way.connection.reset(up, H2_ERROR.cancel);
    way.connection.release(up);
    way.wire.schedule();
  }

  #finish(countedStatus: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#deadlineSlot !== NO_SLOT) leaveDeadline(this, this.#deadlineSlot);
    const { counters, table, index } = this.#context;
    const down = this.#down;
    counters.request(this.#model, countedStatus, nowMs() - this.#startedMs);
    counters.bytes(this.#request.received + this.#head.size, this.#sent);
    this.#request.release();
    this.#endPrefill();
    if (this.#row >= 0) table.end(index, this.#row);
    this.#row = -1;
    // A slow client is still taking what the target has sent: until it has, the target's window stays as it is.
    const isWaiting = this.#upOwed > 0 && down.queue !== null && this.#up?.remoteEnded === true;
    if (!isWaiting) this.#part();
    this.#client.connection.consume(down, this.#downOwed);
    this.#downOwed = 0;
    this.#leaveClient();
  }

  /** The client need not go on with a request that is answered (RFC 9113 section 8.1). */
  #leaveClient(): void {
    if (this.#down.localEnded && !this.#down.remoteEnded) this.#client.connection.reset(this.#down, H2_ERROR.none);
  }
}

const NONE: readonly number[] = [];
const NO_FIELD = new Uint8Array(0);

function unknownModel(name: string): MeshError {
  return new MeshError("model_not_found", `the model \`${name}\` does not exist`, { param: "model" });
}
