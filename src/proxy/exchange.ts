/**
 * One request and its answer: an owned, bounded object that is attached to no target until `bind`.
 *
 * The request's head (rewritten for the target) and body are held in one buffer as they arrive. Once the model is
 * known and either the whole request or `replayBytes` of it is here, `bind` chooses a target and sends what is held; a
 * longer request is streamed on from there with backpressure. When every target is full it waits in its model's queue,
 * and is bound late, by whoever frees a place. One of the latency class whose first token is late is sent to another
 * target as well, and whichever answers first is used.
 *
 * Until a byte of the answer has gone to the client, and while everything sent is still held, a failed target costs the
 * client nothing: the request is bound again, elsewhere, if its path may be repeated or the target refused it, and the
 * model's retry budget allows it. An answer that says that the target is ill or full (5xx, 429) is passed on only when
 * nobody else can be asked. After that a failure is told in the stream (an error event, or a connection cut short).
 *
 * What settings do to it (content.ts: reshaping, answers from the cache, models that stand in) is in a Treatment.
 *
 * What it gives back: claims in the score table, connections, its places in the queue and the cache and the buffers,
 * each exactly once, in `#release`, whatever way the exchange ends.
 */
import { MeshError } from "../base/errors.ts";
import { Waiter } from "../flow/fair-order.ts";
import type { CachedAnswer } from "../flow/response-cache.ts";
import { type Span, SPAN_EVENT } from "../obs/spans.ts";
import { ALL_FULL } from "../score/pick.ts";
import { type ApiShape, UNKNOWN } from "../wire/api-shapes.ts";
import { fieldValues, findField } from "../wire/field-search.ts";
import type { ChunkScanner } from "../wire/chunks.ts";
import type { ResponseHead } from "../wire/http1.ts";
import { BodyFields } from "../wire/json-field.ts";
import { Answer, type Asked, type Downstream } from "./answer.ts";
import { Attempt, type AttemptFailure, type AttemptOwner } from "./attempt.ts";
import type { Sharer } from "./cache-seat.ts";
import { hasOtherNames, namesIn, takenFor } from "./body-names.ts";
import { Choice, HELD, isBehind, waitIn } from "./choice.ts";
import { Draw } from "./draw.ts";
import { askForLoad } from "./load-wish.ts";
import { nowMs, unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import { actionOf, type Caller, isQuestion } from "./caller.ts";
import type { Enforcement } from "./enforcement.ts";
import { type Permit, PolicyError } from "./permit.ts";
import { Wishes } from "./wishes.ts";
import type { Hedged, ModelFlow, Waiting } from "./dispatch.ts";
import type { LateBound } from "./late-news.ts";
import type { OtherName } from "./other-names.ts";
import { mayPair, sourceOf } from "./pair-bodies.ts";
import { choosePlace, type Pairing, pairingOf } from "./pairing.ts";
import { failureOf, full, noMemory, noTargetOf, stalled, tooManyRequests } from "./refusals.ts";
import { errorReply, reply } from "./replies.ts";
import type { Held, Reshaped } from "./reshape.ts";
import { mayAskCache, Treatment } from "./treatment.ts";
import { Meter } from "./meter.ts";
import { spokenFault } from "./spoken.ts";
import { Tunnel } from "./tunnel.ts";
import { FRAMING, type UpstreamConnection } from "./upstream.ts";

const HELD_BYTES = 4096;
/** A held buffer that grew beyond this is not kept for the next request. */
const HELD_KEPT_BYTES = 16_384;
const STALE_RETRIES_MAX = 4;
/** The status counted for a client that went away; nginx's number for it. */
const CLIENT_GONE = 499;
const RETRY_AFTER = "retry-after";

/** The choices of every exchange of the worker. */
const choice = new Choice<UpstreamConnection>((target) => target.pool?.take() ?? null);

export class Exchange implements AttemptOwner, Waiting, Hedged, Asked, Sharer, Held {
  readonly #context: WorkerContext;
  #client: Downstream | null = null;

  // ---- the request
  held: Buffer = Buffer.allocUnsafeSlow(HELD_BYTES);
  heldEnd = 0;
  /** Where the body begins in `held`. */
  bodyAt = 0;
  /** The request id's bytes in `held`. */
  idStart = 0;
  idEnd = 0;
  isHead = false;
  /** It asks for another protocol on its connection. */
  isUpgrade = false;
  minorVersion: 0 | 1 = 1;
  /** The client wants to go on with this connection. */
  keepAlive = true;
  /** Declared length of the body; -1 when it is chunked. */
  contentLength = 0;
  model = -1;
  /** The name that the client gave, where it is not the model's own. */
  asked: OtherName | null = null;
  /** Where the path of the client's target begins in `held`. */
  pathAt = 0;
  /** Where the path or query in `held` names the model; -1 where it does not. */
  nameStart = -1;
  nameEnd = -1;
  /** The client's, as its socket tells it. */
  address = "";
  /** Bytes of the prompt where the body told them, else 0. */
  promptBytes = 0;
  /** Which API it speaks. */
  shape: ApiShape = UNKNOWN;
  /** What the client asked of this router in its head. */
  readonly wishes = new Wishes();
  /** What is recorded of the request, until it ends; null: nothing is. */
  span: Span | null = null;
  /** Reads the model's name out of a JSON body. */
  readonly fields = new BodyFields();
  readonly #draw: Draw;
  /** Between pairs and whole targets; null: not asked for yet, or there are no pairs. */
  #pairing: Pairing | null = null;
  #complete = false;
  #overflowed = false;
  #startedMs = 0;

  // ---- the attempts
  #first: Attempt;
  /** A hedge's, or the one before; made when there is one for the first time. */
  #second: Attempt | null = null;
  /** The attempt whose answer is used. */
  #answering: Attempt | null = null;
  #flow: ModelFlow | null = null;
  #waiter: Waiter<Waiting> | null = null;
  #isHedged = false;
  #attempts = 0;
  /** A target has got something of it. */
  #isSent = false;
  #staleRetries = 0;
  readonly #excluded: number[] = [];
  heapIndex = -1;
  heapKey = 0;

  /** What the settings do to it; null: nothing is configured, or it is not bound yet. */
  #treatment: Treatment | null = null;
  /** What the policies let it do; null: there are none, or it is not bound yet. */
  #permit: Permit | null = null;

  // ---- the answer
  readonly #answer = new Answer();
  #tunnel: Tunnel | null = null;
  /** Of the model that a tunnel is to. */
  #ownName = "";
  #activeMs = 0;
  /** The client takes the answer slower than it comes, so the target waits. */
  #isClientSlow = false;
  readonly #meter = new Meter();
  /** The answer is a stream of another kind than chunks of events. */
  #isByLines = false;
  /** When the last event of its stream came; 0: none has yet. */
  #tokenMs = 0;
  #received = 0;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#first = new Attempt(context, this);
    this.#draw = new Draw(context);
  }

  /** Whether a request is in progress. */
  get active(): boolean {
    return this.#client !== null;
  }

  /** Whether something of an answer has gone to the client. */
  get committed(): boolean {
    return this.#answer.committed;
  }

  /** Whether the request has been given to a target, or to the queue for one. */
  get bound(): boolean {
    return this.#flow !== null;
  }

  get requestId(): string {
    return this.held.toString("latin1", this.idStart, this.idEnd);
  }

  get mayKeepAlive(): boolean {
    return this.keepAlive && this.#complete && !this.#context.draining;
  }

  /** A stream of the latency class is hedged by its first event, so its head is kept back until then. */
  get awaitsEvent(): boolean {
    return this.wishes.isLatency && !this.#answer.committed && (this.heapIndex >= 0 || this.#isHedged);
  }

  /** Begins a request; its head is then written into `held` by the client's side. */
  begin(client: Downstream): void {
    this.#client = client;
    this.#startedMs = nowMs();
    this.#context.heldBytes += this.held.length - HELD_BYTES;
    this.heldEnd = 0;
    this.bodyAt = 0;
    this.idStart = 0;
    this.idEnd = 0;
    this.isHead = false;
    this.isUpgrade = false;
    this.minorVersion = 1;
    this.keepAlive = true;
    this.contentLength = 0;
    this.model = -1;
    this.asked = null;
    this.nameStart = -1;
    this.#draw.begin(this.fields.parts);
    this.#pairing = null;
    this.promptBytes = 0;
    this.shape = UNKNOWN;
    this.wishes.reset(this.#startedMs);
    this.#complete = false;
    this.#overflowed = false;
    this.#answering = null;
    this.#isHedged = false;
    this.#attempts = 0;
    this.#isSent = false;
    this.#staleRetries = 0;
    this.#excluded.length = 0;
    this.#received = 0;
    this.#isClientSlow = false;
    this.#answer.reset();
    this.#meter.reset();
    this.#isByLines = false;
    this.#tokenMs = 0;
  }

  /** Makes room for `more` bytes in `held`; false when the worker's budget for held requests is spent. */
  reserve(more: number): boolean {
    const need = this.heldEnd + more;
    if (need <= this.held.length) return true;
    let size = this.held.length;
    while (size < need) size *= 2;
    const context = this.#context;
    if (context.heldBytes + size - this.held.length > context.config.bufferBytesMax) return false;
    context.heldBytes += size - this.held.length;
    const grown = Buffer.allocUnsafeSlow(size);
    this.held.copy(grown, 0, 0, this.heldEnd);
    this.held = grown;
    return true;
  }

  /** Takes bytes of the request's framed body: held while unbound or replayable, sent on when bound. */
  body(bytes: Buffer, start: number, end: number): MeshError | null {
    this.#received += end - start;
    const { sending } = this.#first;
    const replayable = !this.#overflowed && this.heldEnd + end - start <= this.#context.config.replayBytes;
    if (!sending || replayable) {
      if (!this.reserve(end - start)) {
        if (!sending) return noMemory();
        this.#overflowed = true;
      } else {
        bytes.copy(this.held, this.heldEnd, start, end);
        this.heldEnd += end - start;
      }
    } else {
      this.#overflowed = true;
    }
    if (sending && !this.#first.send(bytes, start, end)) this.#client?.pauseReading();
    return null;
  }

  /** The request is whole. */
  complete(): void {
    this.#complete = true;
    this.#client?.resumeReading();
  }

  get isComplete(): boolean {
    return this.#complete;
  }

  // ---- binding

  takeModel(id: number): void {
    this.model = id;
    this.asked = this.#context.routes.asked;
  }

  /** Whether all of it must be here before it can be bound, now that its model is known. */
  get needsWhole(): boolean {
    const { content, routes, enforcement } = this.#context;
    if (enforcement?.isGuarded === true && hasOtherNames(this.shape)) return true;
    if (mayPair(this.shape) && routes.pairsOf(this.model) !== undefined) return true;
    if (content.isIdle) return false;
    if (this.asked !== null && this.shape.model !== "path") return true;
    const model = routes.modelName(this.model);
    if (content.aliases.fallbacks(this.asked?.meant ?? model).length > 0) return true;
    if ((content.rewrites.find(this.shape, model)?.body ?? null) !== null) return true;
    return this.heldEnd - this.bodyAt <= content.cacheConfig.entryBytesMax && mayAskCache(content, this);
  }

  /** Gives the request to a target, or to its model's queue; an error when neither takes it. */
  bind(): MeshError | null {
    if (this.#flow !== null) return this.#place(this.#flow);
    const { limits, content, enforcement } = this.#context;
    if (limits.enabled) {
      const waitMs = limits.allow(this.#tenant(), this.#promptTokens(), nowMs());
      if (waitMs > 0) return tooManyRequests(waitMs);
    }
    if (enforcement?.isAsked === true) {
      const error = this.#obey(enforcement);
      if (error !== null) return error;
    }
    if (!content.isIdle) {
      const error = this.#treat();
      // The cache may have answered it, or let it wait.
      if (error !== null || this.#client === null || this.#treatment?.isSharing === true) return error;
    }
    return this.#begin();
  }

  #begin(): MeshError | null {
    this.model = this.#context.strategies.revisionOf(this.model);
    this.#flow = this.#context.dispatch.flow(this.model);
    this.#flow.retry.request(nowMs());
    if (this.#context.strategies.isHedged(this.model)) this.wishes.hedge();
    return this.#place(this.#flow);
  }

  /** A target of the model, else of one that stands in for it, else the model's queue. */
  #place(flow: ModelFlow): MeshError | null {
    const row = isBehind(this.#context, flow) ? ALL_FULL : this.#claim(this.#first);
    if (row === HELD) return this.#wait(flow);
    if (row < 0 && !this.#claimStandIn(this.#first)) return row === ALL_FULL ? this.#wait(flow) : this.#noTarget();
    this.#launch(this.#first);
    return null;
  }

  #promptTokens(): number {
    const { contentLength, heldEnd, bodyAt } = this;
    return this.#tokensIn(this.promptBytes || (contentLength >= 0 ? contentLength : heldEnd - bodyAt));
  }

  #tokensIn(bytes: number): number {
    const { bytesPerToken, promptTokensMax } = this.#context.config;
    return Math.min(promptTokensMax, Math.max(1, Math.ceil(bytes / bytesPerToken)));
  }

  /** Chooses a target for an attempt; the row, or why there is none. */
  #claim(attempt: Attempt, place: LateBound | null = null): number {
    const tokens = this.#promptTokens();
    const isRetry = this.#attempts > 0;
    this.#draw.ask(this, this.fields.parts);
    this.#pairing = pairingOf(this.#context, this.#pairing, this);
    const wanted = { model: this.model, tokens, excluded: this.#excluded, isRetry, place };
    const row = choosePlace(this.#context, choice, this.#pairing, wanted);
    // Before the record is written: what counts by Atomics waits for all stores before it.
    if (row >= 0) attempt.take(choice, this.#pairing?.prefill ?? null);
    const at = this.#draw.end(this.model, row, tokens, isRetry, choice.held, this.#pairing?.prefill?.row);
    if (row < 0) return row;
    this.#context.decisions.name(at, this.held, this.idStart, this.idEnd);
    this.span?.picked(nowMs(), choice.target?.node ?? "", this.#context.pick.cost, tokens);
    return row;
  }

  get source(): Held {
    return sourceOf(this, this.#treatment?.shaped ?? null);
  }

  #launch(attempt: Attempt): void {
    this.#attempts++;
    if (!attempt.launch()) {
      this.span?.mark(SPAN_EVENT.connecting, nowMs(), attempt.target?.node);
      if (!this.#complete) this.#client?.pauseReading();
    }
    // A first attempt that met a stale connection does not count, and was planned for already.
    if (this.#attempts !== 1 || this.#staleRetries > 0) return;
    if (this.wishes.isLatency) this.#planHedge(attempt);
    this.#context.shadows.copy(this, this.#treatment?.shaped ?? null, this.#promptTokens());
  }

  #noTarget(): MeshError {
    return noTargetOf(this.#context, this.model);
  }

  // ---- waiting

  #wait(flow: ModelFlow): MeshError | null {
    const waiter = (this.#waiter ??= new Waiter<Waiting>(this));
    waiter.tenant = this.#tenant();
    waiter.tokens = this.#promptTokens();
    waiter.bytes = this.held.length + (this.#treatment?.shaped?.bytes.length ?? 0);
    waiter.deadlineMs = this.#startedMs + this.wishes.timeoutMs;
    waiter.isSilent = !this.fields.stream && this.shape.format !== "ndjson";
    waiter.prefix = this.#draw.prefix;
    const retryAfterSeconds = waitIn(this.#context, flow, waiter, this.#startedMs, this.wishes);
    if (retryAfterSeconds > 0) return full(retryAfterSeconds);
    // Whoever made way for it may have freed a place, and let it be served before this comes back.
    if (!waiter.waiting) return null;
    // A retry that waits keeps nobody behind it from targets that it may not have again.
    this.#excluded.length = 0;
    this.span?.mark(SPAN_EVENT.queued, nowMs());
    if (!this.#complete) this.#client?.pauseReading();
    return null;
  }

  mayStill(flow: ModelFlow): boolean {
    const denial = this.#denialNow();
    if (denial === null) return true;
    if (this.#waiter !== null) this.#context.dispatch.taken(flow, this.#waiter);
    this.refuse(denial);
    return false;
  }

  tryAgain(flow: ModelFlow, place: LateBound | null): boolean {
    if (!this.mayStill(flow)) {
      if (place !== null) this.#context.late?.refuse(place);
      return true;
    }
    const row = this.#claim(this.#first, place);
    if (row === ALL_FULL || row === HELD) return false;
    if (this.#waiter !== null) this.#context.dispatch.taken(flow, this.#waiter);
    if (row < 0 && !this.#claimStandIn(this.#first)) this.refuse(this.#noTarget());
    else this.#launch(this.#first);
    return true;
  }

  waitOver(retryAfterSeconds: number, isPushedOut: boolean): void {
    if (this.#startedMs + this.wishes.timeoutMs <= nowMs()) this.refuse(this.#tooLate());
    else this.refuse(full(retryAfterSeconds, isPushedOut));
  }

  /** Whose request it is, as far as its head says: fairness and limits go by it. */
  #tenant(): string {
    return this.wishes.tenant(this.held, this.bodyAt, this.address);
  }

  // ---- what policies and settings do to it

  /** Whether the policies let it pass; they also say what it gets that its client did not ask for. */
  #obey(enforcement: Enforcement): MeshError | null {
    const { routes } = this.#context;
    const model = routes.modelName(this.model);
    const caller = this.callerOf(enforcement);
    const action = actionOf(this.shape);
    const others = enforcement.isGuarded && hasOtherNames(this.shape) ? namesIn(this) : [];
    for (const name of others.flatMap((one) => [one, ...takenFor(one, routes.names)])) {
      const denial = enforcement.denial(caller, name, action);
      if (denial !== null) return denial;
    }
    const permit = enforcement.admit({
      caller,
      action,
      isQuestion: isQuestion(this.shape),
      meant: this.asked?.meant ?? model,
      model,
      tokens: this.#promptTokens(),
      wishes: this.wishes,
    });
    if (permit instanceof PolicyError) {
      this.span?.mark(SPAN_EVENT.refused, nowMs(), permit.policy);
      return permit;
    }
    this.#permit = permit;
    return null;
  }

  /** Why it may not go on any more after it waited: access rules may have changed meanwhile. */
  #denialNow(): MeshError | null {
    const { enforcement, routes } = this.#context;
    if (enforcement?.isGuarded !== true) return null;
    const model = routes.modelName(this.model);
    return enforcement.anyDenial(this.callerOf(enforcement), this.asked?.meant ?? model, model, actionOf(this.shape));
  }

  /** Who makes the request, as the policies know it. */
  callerOf({ callers }: Enforcement): Caller {
    return callers.of((name) => fieldValues(this.held, this.bodyAt, name));
  }

  /** Tokens that the request took, as far as is known. */
  #usedTokens({ tokens }: Permit): number {
    if (!this.#isSent || this.#answer.status >= 400) return 0;
    // What came in chunks was longer in the end than when it was let pass.
    const prompt = Math.max(
      tokens,
      this.contentLength < 0 && this.promptBytes === 0 ? this.#tokensIn(this.#received) : 0,
    );
    return (this.#meter.promptTokens || prompt) + this.#meter.completionTokens;
  }

  /** The first step on its way: the request as the settings want it, and whether the cache answers it. */
  #treat(): MeshError | null {
    const model = this.#context.routes.modelName(this.model);
    const meant = this.asked?.meant ?? model;
    if (meant !== model) this.#countStandIn(model);
    const treatment = new Treatment(this.#context, meant);
    this.#treatment = treatment;
    const error = treatment.reshape(this, model, this.asked !== null);
    if (error !== null) return error;
    if (this.#complete) this.#askCache(treatment);
    // Nobody needs the client's own body any more, unless another model may be tried.
    const { shaped, standIns } = treatment;
    if (shaped?.hasBody === true && standIns.length === 0) this.#forgetBody(shaped.bytes.length - shaped.bodyAt);
    return null;
  }

  #askCache(treatment: Treatment): void {
    const found = treatment.askCache(this, this, nowMs());
    if (found === "none") return;
    if (found === "go") this.#countCache("miss");
    else if (found === "wait") this.span?.mark(SPAN_EVENT.cache, nowMs(), "wait");
    else this.#answerKept(treatment, found, "hit");
  }

  shared(answer: CachedAnswer): void {
    if (this.#treatment !== null) this.#answerKept(this.#treatment, answer, "shared");
  }

  #answerKept(treatment: Treatment, answer: CachedAnswer, how: "hit" | "shared"): void {
    this.#countCache(how);
    const keepAlive = this.mayKeepAlive;
    this.#reply(200, treatment.keptReply(answer, nowMs(), this.requestId, keepAlive), keepAlive);
  }

  alone(): void {
    const treatment = this.#treatment;
    if (treatment === null) return;
    treatment.isSharing = false;
    this.#countCache("miss");
    // Meanwhile the number may have been given to another model.
    this.model = this.#context.routes.served(treatment.model);
    const error = this.model < 0 ? this.#noTarget() : this.#begin();
    if (error !== null) this.refuse(error);
  }

  #countCache(how: "hit" | "shared" | "miss"): void {
    this.#context.counters.cache(how);
    this.span?.mark(SPAN_EVENT.cache, nowMs(), how);
  }

  #forgetBody(length: number): void {
    this.contentLength = length;
    this.heldEnd = this.bodyAt;
    if (this.held.length <= HELD_KEPT_BYTES) return;
    const head = Buffer.allocUnsafeSlow(Math.max(HELD_BYTES, this.bodyAt));
    this.held.copy(head, 0, 0, this.bodyAt);
    this.#context.heldBytes -= this.held.length - head.length;
    this.held = head;
  }

  /** Claims a target of the rest, where a revision has none. */
  #claimOther(attempt: Attempt): boolean {
    const own = this.model;
    this.model = this.#context.strategies.wholeOf(own);
    const isClaimed = this.model >= 0 && this.#claim(attempt) >= 0;
    if (isClaimed) this.#flow = this.#context.dispatch.flow(this.model);
    else this.model = own;
    return isClaimed;
  }

  /** Claims a target of the first model that can stand in, and reshapes the request for it. */
  #claimStandIn(attempt: Attempt): boolean {
    if (this.#claimOther(attempt)) return true;
    const treatment = this.#treatment;
    if (treatment === null || treatment.standIns.length === 0) return false;
    const { routes, dispatch } = this.#context;
    const own = this.model;
    for (const name of treatment.standIns) {
      const id = routes.served(name);
      if (id < 0 || id === own || dispatch.flow(id).queue.requests > 0) continue;
      if (this.#permit?.allows(name) === false) continue;
      this.model = id;
      if (this.#claim(attempt) < 0) continue;
      const goBack = treatment.keep();
      // Its quotas are moved last: what was moved can't be moved back where others have taken it.
      if (treatment.reshape(this, name, true) !== null || this.#permit?.moveTo(name) === false) {
        goBack();
        this.#leave(attempt, false);
        continue;
      }
      treatment.leaveCache();
      this.#flow = dispatch.flow(id);
      this.#flow.retry.request(nowMs());
      this.#countStandIn(name);
      return true;
    }
    this.model = own;
    return false;
  }

  #countStandIn(model: string): void {
    this.#context.counters.fallback();
    this.span?.mark(SPAN_EVENT.fallback, nowMs(), model);
  }

  // ---- hedging

  #planHedge(attempt: Attempt): void {
    const flow = this.#flow;
    if (flow === null || !this.shape.repeatable || !this.wishes.mayRepeat) return;
    flow.isHedging = true;
    flow.hedge.request(nowMs(), this.#context.strategies.isHedged(this.model));
    // Half of the time that a policy gives to the first token is left for another try.
    const delayMs = Math.min(flow.hedge.delayMs(), this.wishes.firstTokenMs / 2);
    if (delayMs < Infinity) this.#context.dispatch.hedgeAt(this, attempt.sentMs + delayMs);
  }

  hedgeDue(): void {
    const flow = this.#flow;
    const { dispatch, draining } = this.#context;
    const isIdle = flow === null || !dispatch.knows(flow) || flow.queue.requests > 0 || draining;
    if (isIdle || !this.#first.active || this.#answer.committed || !this.#complete || this.#overflowed) return;
    if (!flow.hedge.tryHedge(nowMs())) return;
    const second = (this.#second ??= new Attempt(this.#context, this));
    this.#excluded.push(this.#first.row);
    if (this.#claim(second) < 0) return;
    this.#isHedged = true;
    this.#context.counters.hedge();
    this.span?.mark(SPAN_EVENT.hedge, nowMs(), second.target?.node);
    this.#launch(second);
  }

  /** The other attempt of a hedged request, if it is under way. */
  #rivalOf(attempt: Attempt): Attempt | null {
    const other = attempt === this.#first ? this.#second : this.#first;
    return other?.active === true ? other : null;
  }

  /** The other attempt has answered first: what was asked for here was in vain. */
  #outrun(attempt: Attempt): void {
    this.#context.counters.hedgeOver(attempt === this.#first, attempt.claimedTokens);
    this.#leave(attempt, false);
  }

  // ---- the target's side

  opened(attempt: Attempt): void {
    this.span?.mark(SPAN_EVENT.connected, nowMs(), attempt.isReused ? "reused" : "new");
    const shaped = attempt.shaped ?? this.#treatment?.shaped ?? null;
    this.#isSent = true;
    const sent =
      shaped === null ? this.#send(attempt, this.held, this.bodyAt, this.heldEnd) : this.#sendShaped(attempt, shaped);
    if (this.#complete) return;
    if (sent) this.#client?.resumeReading();
    else this.#client?.pauseReading();
  }

  #send(attempt: Attempt, bytes: Buffer, bodyAt: number, end: number): boolean {
    const asking = askForLoad(this.#context, attempt.target, attempt.row, bytes, bodyAt, end);
    return asking === null ? attempt.send(bytes, 0, end) : attempt.send(asking, 0, asking.length);
  }

  #sendShaped(attempt: Attempt, { bytes, bodyAt, hasBody }: Reshaped): boolean {
    const sent = this.#send(attempt, bytes, bodyAt, bytes.length);
    return hasBody || this.heldEnd === this.bodyAt ? sent : attempt.send(this.held, this.bodyAt, this.heldEnd);
  }

  answers(attempt: Attempt, head: ResponseHead, buffer: Buffer): void {
    if (this.#client === null) return;
    if (head.status >= 429 && this.#isRefused(attempt, head, buffer)) return;
    const rival = this.#rivalOf(attempt);
    if (rival !== null) this.#outrun(rival);
    if (this.heapIndex >= 0) this.#context.dispatch.unhedge(this);
    this.#answering = attempt;
    let end = attempt.target?.headEnd ?? null;
    if (this.#treatment !== null) {
      this.#treatment.answers(head, buffer, attempt.framing !== FRAMING.close);
      end = this.#treatment.dress(head, buffer, end);
    }
    this.#answer.begin(head, buffer, attempt.framing, this, end);
    this.#isByLines = !this.#answer.eventStream && (head.eventStream || this.shape.format === "ndjson");
    if (attempt.framing === FRAMING.tunnel) {
      this.#tunnel = new Tunnel(this.#context.enforcement?.isAsked === true);
      this.#ownName = this.#context.routes.modelName(this.model);
      this.#client.tunnelBegins();
    }
  }

  /** Whether an answer of this status was given up for another target's. */
  #isRefused(attempt: Attempt, head: ResponseHead, buffer: Buffer): boolean {
    const { status } = head;
    const isFull = status === 429 || (status === 503 && findField(buffer, head, RETRY_AFTER) >= 0);
    if (!isFull && status !== 500 && status !== 502 && status !== 503 && status !== 504) return false;
    this.#observe(attempt, isFull ? "unknown" : "failure");
    const rival = this.#rivalOf(attempt);
    if (rival !== null) {
      attempt.giveBack(false);
      return true;
    }
    // What was refused was not begun: that may be sent again on any path.
    const mayRepeat = this.#mayRepeat(status === 429 || status === 503);
    if (!mayRepeat || this.#flow?.retry.tryRetry(nowMs()) !== true) return false;
    this.#excluded.push(attempt.row);
    const next = attempt === this.#first ? (this.#second ?? new Attempt(this.#context, this)) : this.#first;
    if (this.#claim(next) < 0 && !this.#claimStandIn(next)) return false;
    attempt.giveBack(false);
    this.#first = next;
    this.#second = attempt;
    this.#context.counters.retry();
    this.span?.mark(SPAN_EVENT.retry, nowMs(), "status", status);
    this.#launch(next);
    return true;
  }

  answerBody(attempt: Attempt, buffer: Buffer, start: number, end: number, ended: boolean): void {
    const client = this.#client;
    // The head may have been given up, and the attempt with it.
    if (client === null || attempt !== this.#answering) return;
    this.#activeMs = nowMs();
    if (ended && this.#tunnel !== null) {
      this.#targetEnded(this.#tunnel, client);
      return;
    }
    const { chunks } = attempt;
    if (this.#answer.seesFirst(chunks, buffer, start, end, ended)) this.#firstToken(attempt);
    if (this.#answer.status < 400) this.#meterBody(chunks, buffer, start, end, ended);
    this.#tunnel?.fromTarget(buffer, start, end);
    this.#treatment?.answerBody(chunks, buffer, start, end, ended, this.#activeMs);
    const clear = this.#answer.relay(client, chunks, buffer, start, end, ended);
    if (ended) {
      this.#finish();
    } else if (!clear) {
      this.#isClientSlow = true;
      attempt.pause();
    }
  }

  #targetEnded(tunnel: Tunnel, client: Downstream): void {
    tunnel.hasTargetEnded = true;
    if (tunnel.hasClientEnded) this.#finish();
    else client.endHalf();
  }

  #meterBody(chunks: ChunkScanner | null, buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (this.#answer.eventStream) {
      if (chunks === null || !this.#meter.readEvents(chunks, buffer)) return;
      if (this.#tokenMs > 0) this.#context.counters.tokenGap(this.model, this.#activeMs - this.#tokenMs);
      this.#tokenMs = this.#activeMs;
    } else if (this.#isByLines) {
      this.#meter.readLines(chunks, buffer, start, end);
    } else if (ended) {
      this.#meter.readEnd(buffer, start, end);
    }
  }

  #firstToken(attempt: Attempt): void {
    const now = nowMs();
    this.span?.mark(SPAN_EVENT.firstToken, now);
    attempt.endPrefill(this.#answer.status < 400, !this.#answer.eventStream && !this.#isByLines);
    if (this.#answer.status < 429) this.#observe(attempt, "success");
    if (this.#answer.status < 400) {
      this.#context.counters.firstToken(this.model, now - this.#startedMs);
      this.#context.strategies.observe(attempt.pool, attempt.row, now - attempt.sentMs);
      if (now - this.#startedMs > this.wishes.firstTokenMs) this.#context.counters.lateFirstToken();
      if (this.#flow?.isHedging === true) this.#flow.hedge.observe(now - this.#first.sentMs, now);
    }
    // From here on it can't be sent a second time.
    if (this.#complete) this.#forgetBody(this.contentLength);
  }

  #observe(attempt: Attempt, outcome: "success" | "failure" | "unknown"): void {
    attempt.isTold = true;
    this.#context.dispatch.observe(attempt.pool, attempt.row, outcome, attempt.sentMs);
  }

  failed(attempt: Attempt, kind: AttemptFailure, detail: string): void {
    if (this.#client === null) return;
    const { counters, table, config } = this.#context;
    // That failure is counted already.
    const isPrefill = kind === "prefill";
    const row = isPrefill ? attempt.prefillRow : attempt.row;
    const { committed } = this.#answer;
    // A kept connection that closes as it is used again tells nothing about the target's health.
    const stale = kind === "reset" && !committed && attempt.isReused;
    const again = stale && this.#staleRetries < STALE_RETRIES_MAX;
    if (again) {
      this.#staleRetries++;
      this.#attempts--;
    }
    // Nor does it that this router can open no more connections.
    const isOurs = kind === "exhausted";
    this.#observe(attempt, stale || isOurs || isPrefill ? "unknown" : "failure");
    attempt.giveBack(false);
    if (!isPrefill) counters.upstreamError(row, kind);
    if (!stale && !committed && (kind === "connect" || kind === "reset")) {
      table.eject(row, table.nowDeciseconds(unixMs() + config.ejectForMs));
    }
    if (committed) {
      this.#breakOff(new MeshError("upstream_failed", `the stream broke: ${detail}`));
      return;
    }
    if (this.#rivalOf(attempt) !== null) return;
    const error = failureOf(kind, detail);
    // What never reached the target, or an idle connection's end, costs nobody work: it needs no budget.
    const isUnreached = kind === "connect" || isOurs;
    const isFree = isUnreached || again;
    if (!this.#mayRepeat(isUnreached) || (!isFree && this.#flow?.retry.tryRetry(nowMs()) !== true)) {
      this.span?.mark(SPAN_EVENT.broken, nowMs(), kind);
      this.refuse(error);
      return;
    }
    if (!again) this.#excluded.push(row);
    this.span?.mark(SPAN_EVENT.retry, nowMs(), kind);
    const refusal = this.bind();
    if (refusal === null) counters.retry();
    // Where nobody else is left, what happened says more than that.
    else this.refuse(refusal.code === "over_capacity" ? refusal : error);
  }

  drained(): void {
    if (!this.#complete || this.#tunnel !== null) this.#client?.resumeReading();
  }

  /** Whether the request may be sent once more; `wasRefused`: the target did not begin with it. */
  #mayRepeat(wasRefused: boolean): boolean {
    if (this.#overflowed || !this.wishes.mayRepeat || this.#attempts >= this.#context.config.attemptsMax) return false;
    // The model may be gone, and its number another's by now.
    if (this.#flow === null || !this.#context.dispatch.knows(this.#flow)) return false;
    return wasRefused || this.shape.repeatable;
  }

  // ---- the client's side

  /** The client's socket takes bytes again. */
  clientDrained(): void {
    if (this.#isClientSlow) {
      this.#isClientSlow = false;
      // The target was made to wait: its time begins anew.
      this.#activeMs = nowMs();
    }
    this.#answering?.resume();
  }

  /** Bytes of the protocol that was switched to. */
  tunnelled(bytes: Buffer, start: number, end: number): void {
    this.#activeMs = nowMs();
    this.#received += end - start;
    const fault = spokenFault(this.#context, this.#tunnel, this.#ownName, this, bytes, start, end);
    if (fault !== null) {
      this.refuse(fault);
      return;
    }
    this.#tunnel?.fromClient(bytes, start, end);
    if (this.#answering?.send(bytes, start, end) === false) this.#client?.pauseReading();
  }

  /** The client ended its half in order; false: that is no tunnel, so nothing goes on without it. */
  clientEnded(): boolean {
    const tunnel = this.#tunnel;
    if (tunnel === null) return false;
    this.#activeMs = nowMs();
    tunnel.hasClientEnded = true;
    if (tunnel.hasTargetEnded) this.#finish();
    else this.#answering?.endHalf();
    return true;
  }

  /** The client went away: whatever is under way for it is cancelled at once. */
  abandon(): void {
    if (this.#client === null) return;
    this.#release(this.#tunnel === null ? CLIENT_GONE : this.#answer.status, false);
  }

  /** Answers by the router itself. */
  answer(status: number, body: string): void {
    const keepAlive = this.mayKeepAlive;
    const fields = this.#context.content.replyFields;
    this.#reply(status, reply(status, body, this.requestId, keepAlive, !this.isHead, { fields }), keepAlive);
  }

  /** Answers with an error and further fields (each with its CRLF), or breaks off the answer that has begun. */
  refuse(error: MeshError, fields = ""): void {
    if (this.span !== null) this.span.error = error.code;
    if (this.#answer.committed) {
      this.#breakOff(error);
      return;
    }
    const keepAlive = this.mayKeepAlive;
    const all = fields + this.#context.content.replyFields;
    this.#reply(error.status, errorReply(error, this.requestId, keepAlive, !this.isHead, all), keepAlive);
  }

  #reply(status: number, bytes: Buffer, keepAlive: boolean): void {
    const client = this.#client;
    if (client === null) return;
    this.#release(status, false);
    client.write(bytes, 0, bytes.length);
    client.exchangeEnded(keepAlive);
  }

  /** Ends what takes too long; call it now and then. */
  expire(now: number): void {
    const client = this.#client;
    if (client === null) return;
    const { firstByteTimeoutMs, streamTimeoutMs, requestTimeoutMs } = this.#context.config;
    if (this.#tunnel !== null) {
      if (this.#context.draining && !this.#context.ebbing) this.#tunnel.end(client, this.#answering);
      else this.#expireTunnel(this.#tunnel, now);
    } else if (now - this.#startedMs >= Math.min(requestTimeoutMs, this.wishes.timeoutMs)) {
      this.refuse(this.#tooLate());
    } else if (this.#answer.committed) {
      if (now - this.#activeMs >= streamTimeoutMs) this.#stalled(streamTimeoutMs);
    } else if (this.#complete) {
      const detail = `the target did not begin to answer within ${firstByteTimeoutMs} ms`;
      for (const attempt of [this.#first, this.#second]) {
        const isLate = attempt?.active === true && now - attempt.sentMs >= firstByteTimeoutMs;
        if (isLate) attempt.expire(detail);
      }
    }
  }

  #expireTunnel(tunnel: Tunnel, now: number): void {
    const limitMs = tunnel.silentMsMax(this.#context.config);
    if (now - this.#activeMs >= limitMs) this.refuse(stalled("tunnel", limitMs));
  }

  #tooLate(): MeshError {
    const limitMs = Math.min(this.#context.config.requestTimeoutMs, this.wishes.timeoutMs);
    return new MeshError("upstream_timeout", `the request was not done within ${limitMs} ms`);
  }

  #stalled(streamTimeoutMs: number): void {
    if (this.#isClientSlow) {
      this.refuse(new MeshError("request_timeout", `the client took no more of the answer for ${streamTimeoutMs} ms`));
      return;
    }
    if (this.#answering !== null) {
      this.#context.counters.upstreamError(this.#answering.row, "timeout");
      this.#observe(this.#answering, "failure");
    }
    this.refuse(stalled("stream", streamTimeoutMs));
  }

  /** Ends an answer that can't be completed, as cleanly as its framing allows. */
  #breakOff(error: MeshError): void {
    const client = this.#client;
    if (client === null) return;
    const bytes = this.#tunnel === null ? this.#answer.brokenEnd(error) : this.#tunnel.brokenEnd(error);
    // The body ends as it should, so the connection may go on: the client was told that it would.
    const { keepAlive } = this.#answer;
    if (this.span !== null) {
      this.span.error = error.code;
      this.span.mark(SPAN_EVENT.broken, nowMs(), error.code);
    }
    this.#release(error.status, false);
    if (bytes === null) {
      client.exchangeCut();
      return;
    }
    client.write(bytes, 0, bytes.length);
    client.exchangeEnded(keepAlive);
  }

  #finish(): void {
    const client = this.#client;
    const { keepAlive, status } = this.#answer;
    this.#release(status, this.#complete);
    client?.exchangeEnded(keepAlive);
  }

  #release(status: number, clean: boolean): void {
    const { counters, dispatch } = this.#context;
    const flow = this.#flow;
    // Whoever did not wait for the first token has seen that it takes longer.
    const isInVain = flow?.isHedging === true && this.#first.active && !this.#answer.hasBegun;
    if (isInVain) flow.hedge.observe(nowMs() - this.#first.sentMs, nowMs());
    if (clean && this.#answer.eventStream) this.#answering?.noteEnd(this.#meter.completionTokens, this.#tokenMs);
    if (this.#first.active) this.#leave(this.#first, clean);
    if (this.#second?.active === true) this.#leave(this.#second, clean);
    if (flow !== null && this.heapIndex >= 0) dispatch.unhedge(this);
    if (flow !== null && this.#waiter !== null) dispatch.leave(flow, this.#waiter);
    counters.request(this.model, status, nowMs() - this.#startedMs);
    const { promptTokens, completionTokens } = this.#meter;
    this.#draw.told(this.#meter);
    if (promptTokens + completionTokens > 0) counters.tokens(this.model, promptTokens, completionTokens);
    counters.bytes(this.bodyAt + this.#received, this.#answer.sent);
    if (this.#permit !== null) this.#permit.end(this.#usedTokens(this.#permit));
    if (this.span !== null) this.#endSpan(this.span, status);
    this.#client = null;
    this.#flow = null;
    this.#tunnel = null;
    this.#answering = null;
    this.#first.target = null;
    // What a free exchange keeps is bounded by their number; only what requests hold counts against the budget.
    this.#context.heldBytes -= this.held.length - HELD_BYTES;
    if (this.held.length > HELD_KEPT_BYTES) this.held = Buffer.allocUnsafeSlow(HELD_BYTES);
    const treatment = this.#treatment;
    this.#treatment = null;
    treatment?.end();
    this.#permit = null;
    if (flow !== null) dispatch.freed(flow.model);
  }

  #leave(attempt: Attempt, clean: boolean): void {
    // A probe that told nothing of its target must not be waited for.
    if (!attempt.isTold) this.#observe(attempt, "unknown");
    attempt.giveBack(clean);
  }

  #endSpan(span: Span, status: number): void {
    this.span = null;
    span.status = status;
    span.model = this.#context.routes.modelName(this.model);
    span.requestId = this.requestId;
    span.requestBytes = this.bodyAt + this.#received;
    span.responseBytes = this.#answer.sent;
    span.inputTokens = this.#meter.promptTokens;
    span.outputTokens = this.#meter.completionTokens;
    span.streamed = this.#answer.eventStream;
    this.#context.tracer?.end(span);
  }
}
