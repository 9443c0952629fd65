/**
 * One gRPC call: a client's stream and a target's, joined. HTTP/2 goes in and HTTP/2 comes out; messages pass as they
 * are, compressed or not, and each side's window follows what the other side takes.
 *
 * The model is named by metadata, or by the first message of a known service (grpc-services.ts), or is the only one
 * there is. As soon as it is known the call is bound to a target; what came before is held. While nothing of an answer
 * has gone to the client and all that was sent is still held, a call that its target did nothing about is bound again,
 * elsewhere; one that broke, or was answered with nothing but UNAVAILABLE, only if its method may run twice, and if the
 * model's retry budget allows it. After that the client is told by a status, or by a reset where the target reset its
 * stream. Where no target has room the call waits in its model's queue, like any other request.
 *
 * The client's deadline is kept here too, and what is left of it goes to the target. Either side's cancellation reaches
 * the other one. What the call holds (a claim, a budget, a deadline) it gives back once, in `#finish`; the windows of
 * its streams as soon as the other side has taken what came through them. Where it is recorded (grpc-trace.ts) its span
 * ends there too.
 */
import { ERRORS, MeshError } from "../base/errors.ts";
import { Waiter } from "../flow/fair-order.ts";
import { SPAN_EVENT } from "../obs/spans.ts";
import type { Span } from "../obs/spans.ts";
import { ALL_FULL } from "../score/pick.ts";
import { areWhole, GrpcFraming, MESSAGE_HEAD_BYTES } from "../wire/grpc-framing.ts";
import { parseTimeout } from "../wire/grpc-timeout.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { H2_ERROR } from "../wire/http2-frames.ts";
import type { Http2Stream, StreamOwner } from "../wire/http2-stream.ts";
import { copyOf } from "../wire/octets.ts";
import { isForbiddenTrailer } from "../wire/trailer-names.ts";
import { nowMs, unixMs } from "./clock.ts";
import { callActionOf, isQuestionCall } from "./caller.ts";
import type { WorkerContext } from "./context.ts";
import type { Dated } from "./deadlines.ts";
import type { ModelFlow, Waiting } from "./dispatch.ts";
import { Draw } from "./draw.ts";
import { HELD, waitIn } from "./choice.ts";
import type { LateBound } from "./late-news.ts";
import type { Enforcement } from "./enforcement.ts";
import { GrpcAttempt } from "./grpc-attempt.ts";
import { headBytes, REQUEST_EXTRA_BYTES, writeAnswerHead, writeRequestHead, writeTrailers } from "./grpc-heads.ts";
import { type CallId, callId } from "./grpc-id.ts";
import { GrpcRequest, MODEL } from "./grpc-request.ts";
import { type GrpcMethod, methodOf } from "./grpc-services.ts";
import { countedAs, errorFields, GRPC_STATUS, outcomeOf, statusIn } from "./grpc-status.ts";
import { beginSpan, endSpan } from "./grpc-trace.ts";
import type { ClientSide } from "./http2-wire.ts";
import { unknownModel } from "./local-answers.ts";
import { type Permit, PolicyError } from "./permit.ts";
import { noTarget, otherModel } from "./refusals.ts";
import { ID_BYTES, writeId } from "./request-id.ts";
import { sessionOf } from "./sessions.ts";
import { Wishes } from "./wishes.ts";

/** Attempts that count for nothing: the target did nothing about the stream, but is there. */
const LATE_ATTEMPTS_MAX = 4;
const NO_SLOT = -1;
/** Where an id that was made here is written for a moment. */
const ID = new Uint8Array(ID_BYTES);
const NO_FIELD = new Uint8Array(0);
const NONE: readonly number[] = [];
const NO_WISHES = new Wishes();
const TENANT_CHARACTERS_MAX = 256;

export class GrpcCall implements StreamOwner, Dated, Waiting {
  readonly #context: WorkerContext;
  readonly #client: ClientSide;
  readonly #stream: Http2Stream;
  readonly #head: HeaderBlock;
  readonly #method: GrpcMethod;
  readonly #request: GrpcRequest;
  readonly #id: CallId;
  readonly #startedMs = nowMs();
  /** What is recorded of the call, until it ends; null: nothing is. */
  #span: Span | null = null;
  #model = -1;
  /** It was bound to the only model, since the first message had named none. */
  #isUnnamed = false;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #deadlineSlot = NO_SLOT;
  #isOver = false;

  #flow: ModelFlow | null = null;
  /** What the policies let it do; null: there are none, or it is not bound yet. */
  #permit: Permit | null = null;
  #wishes = NO_WISHES;
  #waiter: Waiter<Waiting> | null = null;
  #draw: Draw | null = null;
  #attempt: GrpcAttempt | null = null;
  #attempts = 0;
  #lateAttempts = 0;
  /** A target that failed may have done something about it. */
  #isTaken = false;
  /** A target answered with nothing but an error. */
  #isRefused = false;
  #excluded: readonly number[] = NONE;
  /** Bytes of the request that the target has not taken yet. */
  #owed = 0;
  /** Since when the target has the whole request, or either side was last heard of. */
  #activeMs = this.#startedMs;

  /** The model is known by the metadata, and the message is still to be read for another one. */
  #isChecking = false;
  #isCommitted = false;
  #framing: GrpcFraming | null = null;
  #sent = 0;
  /** Pieces of the answer's messages: about as many as a stream has tokens. */
  #pieces = 0;

  constructor(context: WorkerContext, client: ClientSide, stream: Http2Stream, head: HeaderBlock) {
    this.#context = context;
    this.#client = client;
    this.#stream = stream;
    this.#head = head;
    this.#method = methodOf(head.path);
    const mustRead = head.model === null || context.enforcement !== null;
    const readsAll = context.enforcement !== null;
    this.#request = new GrpcRequest(context, mustRead ? this.#method.modelField : 0, readsAll);
    this.#id = callId(head);
    if (context.tracer !== null) this.#span = beginSpan(context.tracer, head);
  }

  begin(isComplete: boolean): void {
    const { grpcTimeout, model } = this.#head;
    this.#request.isComplete = isComplete;
    if (grpcTimeout !== null) {
      const timeoutMs = parseTimeout(grpcTimeout);
      if (timeoutMs < 0) {
        this.#refuse(new MeshError("bad_request", "grpc-timeout is no number of up to eight digits with a unit"));
        return;
      }
      this.#deadlineMs = this.#startedMs + timeoutMs;
    }
    if (this.#head.hasWishes) {
      this.#wishes = this.#newWishes();
      const error = this.#wishes.readBlock(this.#head);
      if (error !== null) {
        this.#refuse(error);
        return;
      }
      this.#deadlineMs = Math.min(this.#deadlineMs, this.#startedMs + this.#wishes.timeoutMs);
    }
    if (this.#deadlineMs < Infinity) this.#deadlineSlot = this.#context.deadlines.enter(this, this.#deadlineMs);
    if (model !== null) {
      this.#model = this.#context.routes.calls.findField(model);
      this.#isChecking = this.#context.enforcement !== null && this.#method.modelField > 0 && !isComplete;
      if (this.#model < 0) this.#refuse(unknownModel(model.text, this.#context.enforcement));
      else if (!this.#isChecking) this.#bind(null);
    } else if (this.#method.modelField === 0 || isComplete) {
      this.#bindToOnly();
    }
  }

  // ---- what comes from either side

  body(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    if (stream !== this.#stream) this.#answerBody(bytes, start, end, ended);
    else if (this.#isOver) this.#client.connection.consume(stream, end - start);
    else this.#requestBody(bytes, start, end, ended);
  }

  #requestBody(bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const request = this.#request;
    const attempt = this.#attempt;
    const { connection } = this.#client;
    if (ended) this.#complete();
    else if (attempt !== null) this.#activeMs = nowMs();
    const fault = request.follow(bytes, start, end) ? this.#nameFault() : this.#tooLarge();
    if (fault !== null) {
      connection.consume(this.#stream, end - start);
      this.#refuse(fault);
      // A few bytes end a call that its target works at: a client that does so again and again is a flood.
      if (attempt !== null) connection.blame();
      return;
    }
    const isHeld = this.#isCommitted || request.hold(bytes, start, end);
    if (attempt !== null) {
      if (attempt.send(bytes, start, end, ended)) connection.consume(this.#stream, end - start);
      else this.#owed += end - start;
      return;
    }
    connection.consume(this.#stream, end - start);
    if (isHeld && (this.#model < 0 || this.#isChecking)) this.#findModel();
    else if (!isHeld)
      this.#refuse(new MeshError("over_capacity", "the router holds as many requests as its memory allows"));
  }

  /**
   * Why the messages, as far as they came, can't be routed by the model that they name, or not have been: their target
   * must not have the rest of them then.
   */
  #nameFault(): MeshError | null {
    const { fault, modelName, isCompressed } = this.#request;
    if (fault !== "") return new MeshError("bad_request", `a message can't be routed: ${fault}`);
    if (isCompressed && this.#context.enforcement?.isGuarded === true) {
      return new MeshError(
        "not_supported",
        "access rules are in force here, and can't be asked of a compressed message",
      );
    }
    for (const other of this.#request.takeOthers()) {
      const error = this.#otherName(other);
      if (error !== null) return error;
    }
    if (!this.#isUnnamed || modelName === "") return null;
    // It was longer than what is looked at, and taken for one that names none.
    this.#isUnnamed = false;
    return this.#context.routes.calls.find(modelName) === this.#model
      ? null
      : unknownModel(modelName, this.#context.enforcement);
  }

  /** Why a message must not go on that names another model than the first one did; a target goes by the name in each. */
  #otherName(name: string): MeshError | null {
    const { calls } = this.#context.routes;
    const model = calls.find(name);
    if (model < 0) return this.#denial(name) ?? unknownModel(name, this.#context.enforcement);
    const named = this.#model >= 0 ? this.#model : this.#request.findModel(calls);
    if (model === (named === MODEL.absent ? calls.only : named)) return null;
    const text = "messages of one call name several models: where policies are in force they must be one";
    return new MeshError("bad_request", text, { param: "model" });
  }

  /** Looks for the model in what has come of the first message. */
  #findModel(): void {
    const request = this.#request;
    const model = request.findModel(this.#context.routes.calls);
    if (this.#isChecking) {
      this.#check(model);
    } else if (model >= 0) {
      this.#model = model;
      this.#bind(null);
    } else if (model === MODEL.unknown) {
      this.#refuse(unknownModel(request.modelName, this.#context.enforcement));
    } else if (model === MODEL.absent || request.end >= this.#context.config.replayBytes) {
      this.#bindToOnly();
    }
  }

  /**
   * With policies in force the message must not name another model than the metadata, by which they were asked: its
   * target may go by either.
   */
  #check(model: number): void {
    const request = this.#request;
    const isLong = model === MODEL.more && request.end >= this.#context.config.replayBytes;
    if (model === MODEL.more && !isLong) return;
    this.#isChecking = false;
    this.#isUnnamed = isLong;
    const isUnknown = model === MODEL.unknown;
    const denial = isUnknown ? this.#denial(request.modelName) : null;
    if (denial !== null) this.#refuse(denial);
    else if (model >= 0 && model !== this.#model) this.#refuse(otherModel("metadata", "message"));
    else this.#bind(null);
  }

  #denial(model: string): MeshError | null {
    const { enforcement } = this.#context;
    if (enforcement === null) return null;
    const caller = enforcement.callers.of((name) => this.#head.octets(name));
    return enforcement.denial(caller, model, callActionOf(this.#head.path?.text ?? ""));
  }

  /** Why it may not go on any more after it waited: access rules may have changed meanwhile. */
  #denialNow(): MeshError | null {
    const { enforcement, routes } = this.#context;
    if (enforcement?.isGuarded !== true) return null;
    const caller = enforcement.callers.of((name) => this.#head.octets(name));
    const model = routes.modelName(this.#model);
    return enforcement.anyDenial(caller, model, model, callActionOf(this.#head.path?.text ?? ""));
  }

  #complete(): void {
    this.#request.isComplete = true;
    this.#activeMs = nowMs();
  }

  answered(_stream: Http2Stream, block: HeaderBlock, ended: boolean): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    if (block.load !== null) attempt.hearLoad(block, ended);
    if (ended) attempt.observe(outcomeOf(statusIn(block)));
    const isRefused = ended && statusIn(block) === GRPC_STATUS.unavailable;
    if (isRefused && this.#mayRepeat(false) && this.#mayAfford()) {
      this.#excluded = [...this.#excluded, attempt.row];
      this.#context.counters.retry();
      this.#span?.mark(SPAN_EVENT.retry, nowMs(), "status", GRPC_STATUS.unavailable);
      this.#leave(attempt);
      this.#bind(block);
    } else {
      this.#passOn(block, ended, attempt.target.nodeField);
    }
  }

  #passOn(block: HeaderBlock, ended: boolean, nodeField: Uint8Array): void {
    this.#isCommitted = true;
    this.#activeMs = nowMs();
    this.#request.release();
    const { loadReportsPass } = this.#context.config;
    this.#send(headBytes, writeAnswerHead(block, this.#id, nodeField, loadReportsPass), ended);
    const isGrpc = block.status === 200;
    if (this.#span !== null) this.#span.isKnownMethod ||= isGrpc;
    const grpcStatus = statusIn(block);
    this.#isRefused = ended && grpcStatus !== GRPC_STATUS.ok;
    if (ended) this.#finish(grpcStatus, isGrpc ? countedAs(grpcStatus) : block.status);
  }

  #answerBody(bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const { connection, wire } = this.#client;
    const attempt = this.#attempt;
    if (attempt === null) return;
    this.#activeMs = nowMs();
    if (attempt.endPrefill(true)) {
      attempt.observe("success");
      this.#context.counters.firstToken(this.#model, this.#activeMs - this.#startedMs);
      this.#context.strategies.observe(this.#model, attempt.row, this.#activeMs - attempt.sentMs);
      if (this.#activeMs - this.#startedMs > this.#wishes.firstTokenMs) this.#context.counters.lateFirstToken();
      this.#span?.mark(SPAN_EVENT.firstToken, this.#activeMs);
    }
    const { grpcMessageBytesMax } = this.#context.config;
    if (this.#framing === null && !areWhole(bytes, start, end, grpcMessageBytesMax)) {
      this.#framing = new GrpcFraming(grpcMessageBytesMax);
    }
    if (this.#framing?.push(bytes, start, end) === false) {
      this.#refuse(this.#tooLarge());
      return;
    }
    this.#sent += end - start;
    this.#pieces++;
    if (connection.sendBody(this.#stream, bytes, start, end, false)) attempt.taken(end - start);
    else attempt.owe(end - start);
    wire.schedule();
    if (ended) this.#refuse(new MeshError("internal", "the target ended the call without a status"));
  }

  trailers(stream: Http2Stream, block: HeaderBlock): void {
    const isTargets = stream !== this.#stream;
    if (isTargets && block.load !== null) this.#attempt?.hearLoad(block, true);
    const length = writeTrailers(block, !isTargets || this.#context.config.loadReportsPass);
    if (!isTargets && block.fields.some(({ name }) => isForbiddenTrailer(name.bytes))) {
      this.#refuse(new MeshError("bad_request", "the trailers have a field that belongs into the head"));
    } else if (isTargets) {
      const status = statusIn(block);
      // No message came before: what the target says now is all that it says of itself.
      if (this.#attempt?.endPrefill(false) === true) this.#attempt.observe(outcomeOf(status));
      this.#send(headBytes, length, true);
      this.#finish(status);
    } else if (!this.#isOver) {
      this.#complete();
      this.#request.trailers = copyOf(headBytes, 0, length);
      if (this.#attempt === null && (this.#model < 0 || this.#isChecking)) this.#findModel();
      else this.#attempt?.sendTrailers(headBytes, length);
    }
  }

  writable(stream: Http2Stream): void {
    if (stream !== this.#stream) {
      this.#settle();
      return;
    }
    this.#attempt?.settle();
    this.#activeMs = nowMs();
    if (!this.#isOver) return;
    this.#attempt?.part();
    this.#leaveClient();
  }

  /** The target has taken all of the request that was owed to it. */
  #settle(): void {
    this.#client.connection.consume(this.#stream, this.#owed);
    this.#owed = 0;
    this.#client.wire.schedule();
  }

  lost(stream: Http2Stream, code: number, untouched: boolean): void {
    if (stream === this.#stream) {
      this.#finish(GRPC_STATUS.cancelled);
      this.#attempt?.part();
    } else if (!this.#isOver && this.#attempt?.owns(stream) === true) {
      this.#failed(this.#attempt, code, untouched);
    }
  }

  // ---- the target

  /** Binds a call that names no model to the one that there is. */
  #bindToOnly(): void {
    this.#model = this.#context.routes.calls.only;
    this.#isUnnamed = true;
    if (this.#model >= 0) this.#bind(null);
    else this.#refuse(new MeshError("model_required", "name the model in the metadata x-infermesh-model"));
  }

  /** Gives the call to a target, or to its model's queue; `instead`: what to answer where neither takes it. */
  #bind(instead: HeaderBlock | null): void {
    const { dispatch } = this.#context;
    if (this.#flow === null) {
      if (!this.#isAllowed()) return;
      const { enforcement } = this.#context;
      if (enforcement?.isAsked === true && !this.#obey(enforcement)) return;
      this.#model = this.#context.strategies.revisionOf(this.#model);
      this.#flow = dispatch.flow(this.#model);
      this.#flow.retry.request(nowMs());
    }
    if (this.#flow.queue.requests > 0 && instead === null) {
      this.#wait(this.#flow);
      return;
    }
    let attempt = this.#claim();
    if (typeof attempt === "number" && attempt !== HELD) attempt = this.#claimOther() ?? attempt;
    if (typeof attempt !== "number") this.#launch(attempt);
    else if (instead !== null) this.#passOn(instead, true, NO_FIELD);
    else if (attempt === ALL_FULL || attempt === HELD) this.#wait(this.#flow);
    else this.#refuse(this.#noTarget());
  }

  /** Claims a target of the rest, where a revision has none. */
  #claimOther(): GrpcAttempt | null {
    const own = this.#model;
    this.#model = this.#context.strategies.wholeOf(own);
    const attempt = this.#model < 0 ? -1 : this.#claim();
    if (typeof attempt !== "number") {
      this.#flow = this.#context.dispatch.flow(this.#model);
      return attempt;
    }
    this.#model = own;
    return null;
  }

  /** Whether the client keeps to its limit. */
  #isAllowed(): boolean {
    const { limits } = this.#context;
    if (!limits.enabled) return true;
    const waitMs = limits.allow(this.#tenant(), this.#promptTokens(), nowMs());
    if (waitMs <= 0) return true;
    const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
    this.#refuse(new MeshError("over_capacity", "this client asks for more than its limit", { retryAfterSeconds }));
    return false;
  }

  /** Whether the policies let it pass; they also say what it gets that its client did not ask for. */
  #obey(enforcement: Enforcement): boolean {
    const model = this.#context.routes.modelName(this.#model);
    const path = this.#head.path?.text ?? "";
    if (this.#wishes === NO_WISHES) this.#wishes = this.#newWishes();
    const permit = enforcement.admit({
      caller: enforcement.callers.of((name) => this.#head.octets(name)),
      action: callActionOf(path),
      isQuestion: isQuestionCall(path),
      meant: model,
      model,
      tokens: this.#promptTokens(),
      wishes: this.#wishes,
    });
    if (permit instanceof PolicyError) {
      this.#span?.mark(SPAN_EVENT.refused, nowMs(), permit.policy);
      this.#refuse(permit);
      return false;
    }
    this.#permit = permit;
    const deadlineMs = this.#startedMs + this.#wishes.timeoutMs;
    if (this.#deadlineMs === Infinity && deadlineMs < Infinity) {
      this.#deadlineMs = deadlineMs;
      this.#deadlineSlot = this.#context.deadlines.enter(this, deadlineMs);
    }
    return true;
  }

  #tenant(): string {
    const tenant = this.#head.value("x-infermesh-tenant") ?? this.#head.value("authorization");
    return (tenant ?? this.#client.address).slice(0, TENANT_CHARACTERS_MAX);
  }

  #promptTokens(): number {
    const { bytesPerToken, promptTokensMax } = this.#context.config;
    const bytes = Math.max(this.#request.messageBytes, this.#request.received);
    return Math.min(promptTokensMax, Math.max(1, Math.ceil(bytes / bytesPerToken)));
  }

  /** A stream may have got more messages since it was let pass; what no target did anything about takes none. */
  #usedTokens({ tokens }: Permit): number {
    if (this.#isRefused || (this.#attempt === null && !this.#isTaken)) return 0;
    return Math.max(tokens, this.#promptTokens()) + this.#pieces;
  }

  /** Names the decision for the call, where one was made. */
  #remember(at: number): void {
    if (at < 0) return;
    const { decisions } = this.#context;
    const id = this.#id;
    if (typeof id !== "number") decisions.name(at, id.source, id.valueStart, id.source.length);
    else decisions.name(at, ID, 0, writeId(id, ID, 0));
  }

  #newWishes(): Wishes {
    const wishes = new Wishes();
    wishes.cameMs = this.#startedMs;
    return wishes;
  }

  #claim(place: LateBound | null = null): GrpcAttempt | number {
    const tokens = this.#promptTokens();
    const { pick, strategies } = this.#context;
    pick.urgency = this.#wishes === NO_WISHES ? null : this.#wishes;
    const field = strategies.sessionField(this.#model);
    const session = field === null ? null : this.#head.value(field);
    pick.session = session === null ? 0 : sessionOf(session);
    const request = this.#request;
    const draw = (this.#draw ??= new Draw(this.#context));
    draw.askCall(this.#model, request.held, MESSAGE_HEAD_BYTES, request.firstEnd);
    const attempt = GrpcAttempt.claim(
      this.#context,
      this.#client,
      this.#model,
      tokens,
      this.#excluded,
      this.#attempts > 0,
      place,
    );
    const [row, held] = typeof attempt === "number" ? [attempt, null] : [attempt.row, attempt.held];
    this.#remember(draw.end(this.#model, row, tokens, this.#attempts > 0, held));
    if (this.#span !== null && typeof attempt !== "number") {
      this.#span.picked(nowMs(), attempt.target.node, this.#context.pick.cost, tokens);
    }
    return attempt;
  }

  #launch(attempt: GrpcAttempt): void {
    const request = this.#request;
    this.#attempt = attempt;
    this.#attempts++;
    this.#activeMs = attempt.sentMs;
    const leftMs = this.#deadlineMs - attempt.sentMs;
    if (leftMs <= 0) {
      this.#refuse(deadlinePassed());
      return;
    }
    const forwarded = this.#client.forwarded(this.#head);
    const { forwarding, upstreamKeys } = this.#context.content;
    const keys = upstreamKeys.isEmpty ? null : upstreamKeys.of(this.#context.routes.modelName(this.#model));
    const ownBytes = REQUEST_EXTRA_BYTES + forwarded.length + (keys?.listBytes ?? 0);
    if (this.#head.size + ownBytes > attempt.listBytesMax) {
      this.#refuse(new MeshError("head_too_large", "the metadata is larger than the target takes"));
      return;
    }
    const length = writeRequestHead(this.#head, this.#id, leftMs, forwarded, forwarding, this.#span, keys);
    const { trailers, end } = request;
    const endsWithBody = request.isComplete && trailers === null;
    if (!attempt.open(this, length, endsWithBody && end === 0)) {
      this.#refuse(full(1));
      return;
    }
    if (this.#span !== null) this.#followConnection(this.#span, attempt);
    if (end > 0) attempt.send(request.held, 0, end, endsWithBody);
    if (trailers !== null) attempt.sendTrailers(trailers, trailers.length);
    if (this.#owed > 0) this.#settle();
  }

  /** Records when the attempt's head can go out: it waits in a connection that is still being opened. */
  #followConnection(span: Span, attempt: GrpcAttempt): void {
    if (attempt.isConnected) {
      span.mark(SPAN_EVENT.connected, nowMs(), "reused");
      return;
    }
    span.mark(SPAN_EVENT.connecting, nowMs(), attempt.target.node);
    attempt.onceConnected(() => {
      if (this.#attempt === attempt) this.#span?.mark(SPAN_EVENT.connected, nowMs(), "new");
    });
  }

  #wait(flow: ModelFlow): void {
    const waiter = (this.#waiter ??= new Waiter<Waiting>(this));
    waiter.tenant = this.#tenant();
    waiter.tokens = this.#promptTokens();
    waiter.bytes = this.#request.held.length;
    waiter.prefix = this.#draw?.prefix ?? null;
    waiter.deadlineMs = this.#deadlineMs;
    // Nothing says whether its answer has one message or many.
    waiter.isSilent = true;
    const retryAfterSeconds = waitIn(this.#context, flow, waiter, this.#startedMs, this.#wishes);
    // A retry that waits keeps nobody behind it from targets that it may not have again.
    if (retryAfterSeconds === 0) {
      this.#excluded = NONE;
      this.#span?.mark(SPAN_EVENT.queued, nowMs());
    } else {
      this.#refuse(full(retryAfterSeconds));
    }
  }

  mayStill(flow: ModelFlow): boolean {
    const denial = this.#denialNow();
    if (denial === null) return true;
    if (this.#waiter !== null) this.#context.dispatch.taken(flow, this.#waiter);
    this.#refuse(denial);
    return false;
  }

  tryAgain(flow: ModelFlow, place: LateBound | null): boolean {
    if (!this.mayStill(flow)) {
      if (place !== null) this.#context.late?.refuse(place);
      return true;
    }
    const attempt = this.#claim(place);
    if (attempt === ALL_FULL || attempt === HELD) return false;
    if (this.#waiter !== null) this.#context.dispatch.taken(flow, this.#waiter);
    if (typeof attempt === "number") this.#refuse(this.#noTarget());
    else this.#launch(attempt);
    return true;
  }

  waitOver(retryAfterSeconds: number): void {
    this.#refuse(this.#deadlineMs <= nowMs() ? deadlinePassed() : full(retryAfterSeconds));
  }

  #noTarget(): MeshError {
    if (this.#attempts > 0) return new MeshError("upstream_failed", "no target could answer the call");
    const { enforcement, routes } = this.#context;
    return noTarget(enforcement?.pinned(routes.modelName(this.#model)) ?? null);
  }

  /** Whether the call may be sent once more; `wasRefused`: the target did nothing about it. */
  #mayRepeat(wasRefused: boolean): boolean {
    if (this.#isCommitted || this.#request.isCut || this.#attempts >= this.#context.config.attemptsMax) return false;
    return this.#wishes.mayRepeat && (wasRefused || this.#method.isRepeatable);
  }

  #mayAfford(): boolean {
    return this.#flow?.retry.tryRetry(nowMs()) === true;
  }

  #leave(attempt: GrpcAttempt): void {
    attempt.release();
    attempt.part();
    this.#attempt = null;
  }

  /** The target's stream broke before its end. */
  #failed(attempt: GrpcAttempt, code: number, untouched: boolean): void {
    const { counters, table, config } = this.#context;
    const { row, isDown, isUnreached, reason } = attempt;
    // It was about to close the connection, or counts a stream that has just ended: the same one may do next time.
    const isLate = untouched && !isUnreached && this.#lateAttempts < LATE_ATTEMPTS_MAX;
    const kind = this.#isCommitted ? "truncated" : isUnreached ? "connect" : "reset";
    const how = isLate ? "refused" : kind;
    if (isLate) {
      this.#lateAttempts++;
      this.#attempts--;
    } else {
      counters.upstreamError(row, kind);
      this.#excluded = [...this.#excluded, row];
      attempt.observe("failure");
    }
    if (!untouched) this.#isTaken = true;
    if (isDown && !this.#isCommitted) table.eject(row, table.nowDeciseconds(unixMs() + config.ejectForMs));
    this.#leave(attempt);
    // What the target did nothing about costs nobody work: it needs no budget.
    if (this.#mayRepeat(untouched) && (untouched || this.#mayAfford())) {
      counters.retry();
      this.#span?.mark(SPAN_EVENT.retry, nowMs(), how);
      this.#bind(null);
      return;
    }
    this.#span?.mark(SPAN_EVENT.broken, nowMs(), how);
    if (isDown || code === H2_ERROR.none) {
      const why = reason === "" ? "it closed the stream" : reason;
      this.#refuse(new MeshError("upstream_failed", `the target failed before the call ended: ${why}`));
    } else {
      // What it means is the client's business: it sees what it would have seen without us.
      this.#resetClient(code);
      this.#finish(code === H2_ERROR.cancel ? GRPC_STATUS.cancelled : GRPC_STATUS.unavailable);
    }
  }

  // ---- the end

  expired(): void {
    this.#deadlineSlot = NO_SLOT;
    // It may have ended in the very turn in which its time came.
    if (this.#isOver) return;
    this.#timedOut(deadlinePassed());
  }

  wake(now: number): void {
    const { bodyTimeoutMs, streamTimeoutMs } = this.#context.config;
    const waitedMs = now - this.#activeMs;
    const attempt = this.#attempt;
    if (this.#isOver) {
      // All that is missing is a client that takes its answer.
      if (waitedMs < streamTimeoutMs) return;
      this.#resetClient(H2_ERROR.cancel);
      attempt?.part();
    } else if (attempt === null) {
      if (waitedMs < bodyTimeoutMs || this.#waiter?.waiting === true) return;
      this.#refuse(new MeshError("request_timeout", `no message came within ${bodyTimeoutMs} ms`));
    } else if (attempt.owed > 0) {
      // A client that takes nothing says nothing about its target.
      if (waitedMs >= streamTimeoutMs) this.#refuse(new MeshError("request_timeout", "the client took no more"));
    } else if (this.#request.isComplete) {
      // A call that both sides go on with is a conversation, and lasts as long as that.
      const { requestTimeoutMs } = this.#context.config;
      if (now - this.#startedMs < requestTimeoutMs) this.#expectAnswer(attempt, waitedMs);
      else this.#refuse(new MeshError("upstream_timeout", `the call was not done within ${requestTimeoutMs} ms`));
    } else if (waitedMs >= this.#context.config.tunnelIdleMs) {
      this.#refuse(new MeshError("request_timeout", "neither the client nor the target went on with the call"));
    }
  }

  #expectAnswer(attempt: GrpcAttempt, waitedMs: number): void {
    const { firstByteTimeoutMs, streamTimeoutMs } = this.#context.config;
    if (waitedMs < (this.#isCommitted ? streamTimeoutMs : firstByteTimeoutMs)) return;
    attempt.observe("failure");
    this.#timedOut(new MeshError("upstream_timeout", "the target took too long to go on"));
  }

  #timedOut(error: MeshError): void {
    if (this.#attempt !== null) this.#context.counters.upstreamError(this.#attempt.row, "timeout");
    this.#refuse(error);
  }

  /** Ends the call with a status of our own. */
  #refuse(error: MeshError): void {
    if (this.#isOver) return;
    if (this.#span !== null) {
      this.#span.error = error.code;
      // It is at a target: that one is given up.
      if (this.#attempt !== null) this.#span.mark(SPAN_EVENT.broken, nowMs(), error.code);
    }
    const fields = errorFields(error, this.#isCommitted ? null : this.#id);
    this.#send(fields, fields.length, true);
    this.#finish(ERRORS[error.code].grpc);
  }

  #tooLarge(): MeshError {
    const { grpcMessageBytesMax } = this.#context.config;
    return new MeshError("payload_too_large", `a message has more than the ${grpcMessageBytesMax} bytes allowed here`);
  }

  /** Sends encoded fields to the client. */
  #send(fields: Uint8Array, length: number, ended: boolean): void {
    this.#client.connection.sendHead(this.#stream, fields, 0, length, ended);
    this.#client.wire.schedule();
    this.#sent += length;
  }

  #resetClient(code: number): void {
    this.#client.connection.reset(this.#stream, code);
    this.#client.wire.schedule();
  }

  /** The call is over, with a gRPC status, and counted under one of HTTP. */
  #finish(grpcStatus: number, countedStatus: number = countedAs(grpcStatus)): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#deadlineSlot !== NO_SLOT) this.#context.deadlines.leave(this, this.#deadlineSlot);
    const { counters } = this.#context;
    const attempt = this.#attempt;
    counters.request(this.#model, countedStatus, nowMs() - this.#startedMs);
    counters.bytes(this.#request.received + this.#head.size, this.#sent);
    if (this.#span !== null) this.#endSpan(this.#span, grpcStatus, countedStatus);
    this.#request.release();
    if (this.#permit !== null) this.#permit.end(this.#usedTokens(this.#permit));
    attempt?.release();
    if (this.#waiter !== null && this.#flow !== null) this.#context.dispatch.leave(this.#flow, this.#waiter);
    // A slow client is still taking what the target has sent: until it has, the target's window stays as it is.
    const isWaiting = attempt !== null && attempt.owed > 0 && attempt.isAnswered && this.#stream.queue !== null;
    if (!isWaiting) attempt?.part();
    if (this.#owed > 0) this.#settle();
    this.#leaveClient();
  }

  #endSpan(span: Span, grpcStatus: number, countedStatus: number): void {
    this.#span = null;
    // A target that answers is taken at its word, except that it does not know the method.
    if (grpcStatus === GRPC_STATUS.unimplemented) span.isKnownMethod = false;
    span.isKnownMethod ||= this.#method.isListed;
    span.model = this.#context.routes.modelName(this.#model);
    span.requestBytes = this.#request.received + this.#head.size;
    span.responseBytes = this.#sent;
    endSpan(this.#context.tracer, span, this.#id, grpcStatus, countedStatus);
  }

  /** The client need not go on with a request that is answered (RFC 9113 section 8.1). */
  #leaveClient(): void {
    if (this.#stream.localEnded && !this.#stream.remoteEnded) this.#resetClient(H2_ERROR.none);
  }
}

function deadlinePassed(): MeshError {
  return new MeshError("upstream_timeout", "the deadline of the call has passed");
}

function full(retryAfterSeconds: number): MeshError {
  const text = "every target of this model is at its capacity; try again shortly";
  return new MeshError("over_capacity", text, { retryAfterSeconds });
}
