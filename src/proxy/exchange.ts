/**
 * One request and its answer: an owned, bounded object that is attached to no target until `bind`.
 *
 * The request's head (rewritten for the target) and body are held in one buffer as they arrive. Once the model is
 * known and either the whole request or `replayBytes` of it is here, `bind` asks the scorer for a row, claims it by
 * Atomics, and sends what is held; a longer request is streamed on from there with backpressure. Until a byte of the
 * answer has gone to the client, and while everything sent is still held, a failed target costs the client nothing:
 * the request is bound again, elsewhere. After that a failure is told to the client in the stream (an error event
 * where the framing allows it, otherwise a connection that closes early).
 *
 * What it gives back: the claim in the score table, the upstream connection and the held buffer, each exactly once,
 * in `#release`, whatever way the exchange ends.
 */
import { MeshError } from "../base/errors.ts";
import { SPAN_EVENT } from "../obs/spans.ts";
import type { Span } from "../obs/spans.ts";
import type { UpstreamErrorKind } from "../obs/worker-stats.ts";
import { ALL_FULL } from "../score/pick.ts";
import type { ResponseHead } from "../wire/http1.ts";
import { BodyFields } from "../wire/json-field.ts";
import { SseScanner } from "../wire/sse.ts";
import { Choice } from "./choice.ts";
import { nowMs, unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import { brokenStream, errorReply, reply, statusLine } from "./replies.ts";
import type { Target } from "./routes.ts";
import { FRAMING } from "./upstream.ts";
import type { UpstreamConnection, UpstreamUser } from "./upstream.ts";

/** The client's side of an exchange. */
export interface Downstream {
  /** Sends bytes to the client; false when some had to be queued. */
  write(bytes: Uint8Array, start: number, end: number): boolean;
  pauseReading(): void;
  resumeReading(): void;
  /** The answer is complete; false: the connection can't carry another request. */
  exchangeEnded(keepAlive: boolean): void;
  /** The answer can't be completed: the connection is cut, so that the client sees that something is missing. */
  exchangeCut(): void;
}

const HELD_BYTES = 4096;
/** A held buffer that grew beyond this is not kept for the next request. */
const HELD_KEPT_BYTES = 16_384;
const SCRATCH_BYTES = 262_144;
/** How much of an unfinished chunk of an event stream is kept back, so that the stream can still be ended cleanly. */
const TAIL_BYTES_MAX = 65_536;
const STALE_RETRIES_MAX = 4;
/** The status counted for a client that went away; nginx's number for it. */
const CLIENT_GONE = 499;

const scratch = Buffer.alloc(SCRATCH_BYTES);
const ID_NAME_BYTES = "x-request-id: ".length;
const CLOSE = Buffer.from("connection: close\r\n");
const KEEP_ALIVE = Buffer.from("connection: keep-alive\r\n");
const CHUNKED = Buffer.from("transfer-encoding: chunked\r\n");

/** The choices of every exchange of the worker. */
const choice = new Choice<UpstreamConnection>((target) => target.pool.take());

export class Exchange implements UpstreamUser {
  readonly #context: WorkerContext;
  #client: Downstream | null = null;
  #upstream: UpstreamConnection | null = null;
  #target: Target | null = null;

  // ---- the request
  held: Buffer = Buffer.allocUnsafeSlow(HELD_BYTES);
  heldEnd = 0;
  /** Where the body begins in `held`. */
  bodyAt = 0;
  /** The request id's bytes in `held`. */
  idStart = 0;
  idEnd = 0;
  isHead = false;
  minorVersion: 0 | 1 = 1;
  /** The client wants to go on with this connection. */
  keepAlive = true;
  /** Declared length of the body; -1 when it is chunked. */
  contentLength = 0;
  model = -1;
  /** Bytes of the prompt where the body told them, else 0. */
  promptBytes = 0;
  /** What is recorded of the request, until it ends; null: nothing is. */
  span: Span | null = null;
  /** Reads the model's name out of a JSON body. */
  readonly fields = new BodyFields();
  #complete = false;
  #overflowed = false;
  #startedMs = 0;
  /** The connection to the target is open, and has been sent what was held. */
  #sending = false;

  // ---- the attempt
  #row = -1;
  #claimedTokens = 0;
  #attempts = 0;
  #staleRetries = 0;
  readonly #excluded: number[] = [];
  #sentMs = 0;

  // ---- the answer
  #committed = false;
  #status = 0;
  #headEnd = 0;
  #dechunk = false;
  #eventStream = false;
  #answerKeepAlive = false;
  #firstByte = false;
  #tail: Buffer | null = null;
  #cutInChunk = false;
  #inEvent = false;
  #activeMs = 0;
  readonly #events = new SseScanner();
  #received = 0;
  #sent = 0;

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  /** Whether a request is in progress. */
  get active(): boolean {
    return this.#client !== null;
  }

  /** Whether something of an answer has gone to the client. */
  get committed(): boolean {
    return this.#committed;
  }

  /** Whether the request has been given to a target. */
  get bound(): boolean {
    return this.#upstream !== null;
  }

  get requestId(): string {
    return this.held.toString("latin1", this.idStart, this.idEnd);
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
    this.minorVersion = 1;
    this.keepAlive = true;
    this.contentLength = 0;
    this.model = -1;
    this.promptBytes = 0;
    this.#complete = false;
    this.#sending = false;
    this.#overflowed = false;
    this.#attempts = 0;
    this.#staleRetries = 0;
    this.#excluded.length = 0;
    this.#received = 0;
    this.#sent = 0;
    this.#resetAnswer();
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
    const replayable = !this.#overflowed && this.heldEnd + end - start <= this.#context.config.replayBytes;
    if (!this.#sending || replayable) {
      if (!this.reserve(end - start)) {
        if (!this.#sending)
          return new MeshError("over_capacity", "the router holds as many requests as its memory allows");
        this.#overflowed = true;
      } else {
        bytes.copy(this.held, this.heldEnd, start, end);
        this.heldEnd += end - start;
      }
    } else {
      this.#overflowed = true;
    }
    if (this.#sending && this.#upstream?.send(bytes, start, end) === false) this.#client?.pauseReading();
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

  /** Gives the request to a target; an error when there is none to give it to. */
  bind(): MeshError | null {
    const refusal = this.#choose();
    if (refusal !== null) return refusal;
    this.#attempts++;
    this.#sentMs = nowMs();
    const upstream = this.#upstreamOrThrow();
    upstream.begin(this);
    if (upstream.open) {
      this.upstreamOpened();
    } else {
      this.span?.mark(SPAN_EVENT.connecting, nowMs(), this.#target?.node);
      if (!this.#complete) this.#client?.pauseReading();
    }
    return null;
  }

  /** Sends what is held; the rest of a longer request follows as it comes. */
  upstreamOpened(): void {
    this.#sending = true;
    const upstream = this.#upstreamOrThrow();
    this.span?.mark(SPAN_EVENT.connected, nowMs(), upstream.uses > 1 ? "reused" : "new");
    const sent = upstream.send(this.held, 0, this.heldEnd);
    if (this.#complete) return;
    if (sent) this.#client?.resumeReading();
    else this.#client?.pauseReading();
  }

  /** Claims a row and takes a connection to its target; or says why there is none. */
  #choose(): MeshError | null {
    const context = this.#context;
    const bodyBytes = this.contentLength >= 0 ? this.contentLength : this.heldEnd - this.bodyAt;
    const promptTokens = Math.ceil((this.promptBytes || bodyBytes) / context.config.bytesPerToken);
    const tokens = Math.min(context.config.promptTokensMax, Math.max(1, promptTokens));
    const row = choice.make(context, this.model, tokens, this.#excluded, this.#attempts > 0);
    if (row < 0) return this.#refusal(row);
    this.#row = row;
    this.#claimedTokens = tokens;
    this.#target = choice.target;
    this.#upstream = choice.way;
    this.#sending = false;
    this.span?.picked(nowMs(), choice.target?.node ?? "", context.pick.cost, tokens);
    return null;
  }

  #refusal(outcome: number): MeshError {
    if (outcome === ALL_FULL) {
      return new MeshError("over_capacity", "every target of this model is at its capacity; try again shortly", {
        param: "model",
      });
    }
    if (this.#attempts > 0) return new MeshError("upstream_failed", "no target could answer the request");
    return new MeshError("no_healthy_target", "no healthy target serves this model at the moment", { param: "model" });
  }

  // ---- the target's side

  responseHead(head: ResponseHead, buffer: Buffer): void {
    const client = this.#client;
    if (client === null) return;
    const { framing } = this.#upstreamOrThrow();
    this.#status = head.status;
    this.#eventStream = head.eventStream && framing === FRAMING.chunked;
    this.#dechunk = framing === FRAMING.chunked && this.minorVersion === 0;
    this.#answerKeepAlive =
      this.keepAlive && this.#complete && !this.#context.draining && framing !== FRAMING.close && !this.#dechunk;
    this.#events.reset();

    let at = copyInto(statusLine(head.status), scratch, 0);
    let from = -1;
    for (let line = 0; line < head.lineCount; line++) {
      const start = head.lineStart[line] ?? 0;
      if (head.drop[line] === 0) {
        if (from < 0) from = start;
      } else if (from >= 0) {
        at += buffer.copy(scratch, at, from, start);
        from = -1;
      }
    }
    if (from >= 0) at += buffer.copy(scratch, at, from, head.headEnd - 2);
    if (framing === FRAMING.chunked && !this.#dechunk) at = copyInto(CHUNKED, scratch, at);
    if (!this.#answerKeepAlive) at = copyInto(CLOSE, scratch, at);
    else if (this.minorVersion === 0) at = copyInto(KEEP_ALIVE, scratch, at);
    // The whole line of the id, as it stands in the request's head.
    at += this.held.copy(scratch, at, this.idStart - ID_NAME_BYTES, this.idEnd + 2);
    this.#headEnd = at + (this.#target?.headEnd.copy(scratch, at) ?? 0);
  }

  responseBody(buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (this.#client === null) return;
    this.#committed = true;
    this.#activeMs = nowMs();
    if (!this.#firstByte && (end > start || ended)) this.#markFirst(buffer, start, end, ended);
    let clear = true;
    if (this.#dechunk) clear = this.#sendSpans(buffer);
    else if (this.#eventStream) clear = this.#sendEvents(buffer, start, end, ended);
    else clear = this.#send(buffer, start, end);
    if (this.#headEnd > 0) clear = this.#send(buffer, 0, 0);
    if (ended) this.#finish();
    else if (!clear) this.#upstream?.pause();
  }

  /** The first token: the first event of a stream, the first byte of anything else. */
  #markFirst(buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (this.#eventStream && !ended) {
      const chunks = this.#upstream?.chunks ?? null;
      if (chunks !== null) {
        for (let i = 0; i < chunks.spanCount; i++) {
          this.#events.push(buffer, chunks.spans[i * 2] ?? start, chunks.spans[i * 2 + 1] ?? end);
        }
      }
      if (this.#events.events === 0) return;
    }
    this.#firstByte = true;
    this.span?.mark(SPAN_EVENT.firstToken, nowMs());
    this.#endPrefill();
    if (this.#status < 400) this.#context.counters.firstToken(this.model, nowMs() - this.#startedMs);
  }

  /** Sends bytes to the client, in one write with the head where that is still to be sent. */
  #send(buffer: Buffer, start: number, end: number): boolean {
    const client = this.#client;
    if (client === null) return true;
    this.#sent += this.#headEnd + end - start;
    if (this.#headEnd === 0) return start >= end || client.write(buffer, start, end);
    const headEnd = this.#headEnd;
    this.#headEnd = 0;
    if (end - start <= SCRATCH_BYTES - headEnd) {
      buffer.copy(scratch, headEnd, start, end);
      return client.write(scratch, 0, headEnd + end - start);
    }
    const clear = client.write(scratch, 0, headEnd);
    return client.write(buffer, start, end) && clear;
  }

  #sendSpans(buffer: Buffer): boolean {
    const chunks = this.#upstream?.chunks ?? null;
    let clear = true;
    if (chunks === null) return clear;
    for (let i = 0; i < chunks.spanCount; i++) {
      clear = this.#send(buffer, chunks.spans[i * 2] ?? 0, chunks.spans[i * 2 + 1] ?? 0) && clear;
    }
    return clear;
  }

  /** Sends whole chunks of an event stream on and keeps an unfinished one back, up to a bound. */
  #sendEvents(buffer: Buffer, start: number, end: number, ended: boolean): boolean {
    const chunks = this.#upstream?.chunks ?? null;
    const whole = ended || chunks === null || chunks.atBoundary;
    const cut = whole ? end : Math.max(start, chunks.boundary);
    let clear = true;
    if (cut > start) {
      if (this.#tail !== null) {
        clear = this.#send(this.#tail, 0, this.#tail.length);
        this.#tail = null;
      }
      clear = this.#send(buffer, start, cut) && clear;
      this.#cutInChunk = false;
      // A chunk ends with CRLF; an event ends with an empty line before it.
      this.#inEvent = !(
        cut - start >= 4 &&
        buffer[cut - 3] === 10 &&
        (buffer[cut - 4] === 10 || buffer[cut - 4] === 13)
      );
    }
    if (cut < end) {
      const rest = buffer.subarray(cut, end);
      this.#tail = this.#tail === null ? Buffer.from(rest) : Buffer.concat([this.#tail, rest]);
      if (this.#tail.length > TAIL_BYTES_MAX) {
        clear = this.#send(this.#tail, 0, this.#tail.length);
        this.#tail = null;
        this.#cutInChunk = true;
      }
    }
    return clear;
  }

  upstreamFailed(kind: UpstreamErrorKind, detail: string): void {
    const context = this.#context;
    const row = this.#row;
    // A kept connection that closes as it is used again tells nothing about the target's health.
    const stale = kind === "reset" && !this.#committed && (this.#upstream?.uses ?? 0) > 1;
    const again = stale && this.#staleRetries < STALE_RETRIES_MAX;
    if (again) {
      this.#staleRetries++;
      this.#attempts--;
    }
    this.#giveBack();
    context.counters.upstreamError(row, kind);
    if (!stale && !this.#committed && kind !== "bad-response") {
      context.table.eject(row, context.table.nowDeciseconds(unixMs() + context.config.ejectForMs));
    }
    if (this.#committed) {
      this.#breakOff(new MeshError("upstream_failed", `the stream broke: ${detail}`));
      return;
    }
    if (!this.#mayRepeat(kind)) {
      this.span?.mark(SPAN_EVENT.broken, nowMs(), kind);
      this.refuse(new MeshError("upstream_failed", `the target failed before it answered: ${detail}`));
      return;
    }
    if (!again) this.#excluded.push(row);
    context.counters.retry();
    this.span?.mark(SPAN_EVENT.retry, nowMs(), kind);
    this.#resetAnswer();
    const error = this.bind();
    if (error !== null) this.refuse(error);
  }

  upstreamDrained(): void {
    if (!this.#complete) this.#client?.resumeReading();
  }

  #mayRepeat(kind: UpstreamErrorKind): boolean {
    if (this.#overflowed || this.#attempts >= this.#context.config.attemptsMax) return false;
    return kind === "connect" || isRepeatable(this.held);
  }

  // ---- the client's side

  /** The client's socket takes bytes again. */
  clientDrained(): void {
    this.#upstream?.resume();
  }

  /** The client went away: whatever is under way for it is cancelled at once. */
  abandon(): void {
    if (this.#client === null) return;
    this.#release(CLIENT_GONE, false);
  }

  /** Answers by the router itself. */
  answer(status: number, body: string): void {
    const keepAlive = this.keepAlive && this.#complete && !this.#context.draining;
    this.#reply(status, reply(status, body, this.requestId, keepAlive, !this.isHead), keepAlive);
  }

  /** Answers with an error, or breaks off the answer that has begun. */
  refuse(error: MeshError): void {
    if (this.span !== null) this.span.error = error.code;
    if (this.#committed) {
      this.#breakOff(error);
      return;
    }
    const keepAlive = this.keepAlive && this.#complete && !this.#context.draining;
    this.#reply(error.status, errorReply(error, this.requestId, keepAlive, !this.isHead), keepAlive);
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
    if (this.#client === null || this.#upstream === null) return;
    const { firstByteTimeoutMs, streamTimeoutMs } = this.#context.config;
    if (!this.#committed) {
      if (!this.#complete || now - this.#sentMs < firstByteTimeoutMs) return;
      this.#context.counters.upstreamError(this.#row, "timeout");
      this.refuse(
        new MeshError("upstream_timeout", `the target did not begin to answer within ${firstByteTimeoutMs} ms`),
      );
    } else if (now - this.#activeMs >= streamTimeoutMs) {
      this.#context.counters.upstreamError(this.#row, "timeout");
      this.#breakOff(new MeshError("upstream_timeout", `the stream paused for more than ${streamTimeoutMs} ms`));
    }
  }

  /** Ends an answer that can't be completed, as cleanly as its framing allows. */
  #breakOff(error: MeshError): void {
    const client = this.#client;
    if (client === null) return;
    const clean = this.#eventStream && !this.#dechunk && !this.#cutInChunk;
    const inEvent = this.#inEvent;
    // The body ends as it should, so the connection may go on: the client was told that it would.
    const keepAlive = this.#answerKeepAlive;
    if (this.span !== null) {
      this.span.error = error.code;
      this.span.mark(SPAN_EVENT.broken, nowMs(), error.code);
    }
    this.#release(error.status, false);
    if (!clean) {
      client.exchangeCut();
      return;
    }
    const bytes = brokenStream(error, inEvent);
    client.write(bytes, 0, bytes.length);
    client.exchangeEnded(keepAlive);
  }

  #finish(): void {
    const client = this.#client;
    const keepAlive = this.#answerKeepAlive;
    this.#release(this.#status, this.#complete);
    client?.exchangeEnded(keepAlive);
  }

  #endPrefill(): void {
    if (this.#claimedTokens === 0) return;
    this.#context.table.endPrefill(this.#context.index, this.#row, this.#claimedTokens);
    this.#claimedTokens = 0;
  }

  /** Gives the claim and the connection back, once. */
  #giveBack(clean = false): void {
    const upstream = this.#upstream;
    if (upstream === null) return;
    this.#upstream = null;
    this.#sending = false;
    this.#endPrefill();
    this.#context.table.end(this.#context.index, this.#row);
    upstream.release(clean);
  }

  #release(status: number, clean: boolean): void {
    this.#giveBack(clean);
    const { counters } = this.#context;
    counters.request(this.model, status, nowMs() - this.#startedMs);
    counters.bytes(this.bodyAt + this.#received, this.#sent);
    if (this.span !== null) this.#endSpan(this.span, status);
    this.#client = null;
    this.#target = null;
    this.#tail = null;
    // What a free exchange keeps is bounded by their number; only what requests hold counts against the budget.
    this.#context.heldBytes -= this.held.length - HELD_BYTES;
    if (this.held.length > HELD_KEPT_BYTES) this.held = Buffer.allocUnsafeSlow(HELD_BYTES);
  }

  #endSpan(span: Span, status: number): void {
    this.span = null;
    span.status = status;
    span.model = this.#context.routes.modelName(this.model);
    span.requestId = this.requestId;
    span.requestBytes = this.bodyAt + this.#received;
    span.responseBytes = this.#sent;
    span.streamed = this.#eventStream;
    this.#context.tracer?.end(span);
  }

  #resetAnswer(): void {
    this.#committed = false;
    this.#status = 0;
    this.#headEnd = 0;
    this.#dechunk = false;
    this.#eventStream = false;
    this.#firstByte = false;
    this.#tail = null;
    this.#cutInChunk = false;
    this.#inEvent = false;
  }

  #upstreamOrThrow(): UpstreamConnection {
    if (this.#upstream === null) throw new Error("an answer came for a request that is bound to no target");
    return this.#upstream;
  }
}

/** Copies `source` whole into `target`; answers the position behind it. */
function copyInto(source: Buffer, target: Buffer, at: number): number {
  return at + source.copy(target, at);
}

const REPEATABLE = new Set([
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/embeddings",
  "/v1/inference",
  "/v1/rerank",
  "/v1/score",
  "/v1/classify",
  "/v1/pooling",
  "/v1/moderations",
  "/v1/audio/transcriptions",
  "/v1/audio/translations",
  "/v1/audio/speech",
]);

/**
 * Whether a request may run twice as long as nobody has seen an answer: inference leaves nothing behind, so its paths
 * may; stateful ones (files, stored responses) may not. Reads the request line that stands first in `held`.
 */
function isRepeatable(held: Buffer): boolean {
  const start = held.indexOf(32) + 1;
  const end = held.indexOf(32, start);
  const method = held.toString("latin1", 0, start - 1);
  if (method === "GET" || method === "HEAD" || method === "OPTIONS") return true;
  const target = held.toString("latin1", start, end);
  const query = target.indexOf("?");
  return method === "POST" && REPEATABLE.has(query < 0 ? target : target.slice(0, query));
}
