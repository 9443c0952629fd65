/**
 * One client connection: reads requests one after the other (HTTP/1.1 keep-alive and pipelining, RFC 9112 section 9),
 * hands each to an exchange, and answers what needs no target.
 *
 * Bytes that can't be used yet (part of a head, pipelined requests) wait in a bounded stash, and reading pauses beyond
 * it. What a client may take its time for is bounded too: see `expire`. A request that is refused before its body was
 * read closes the connection, with a short linger in which the rest is thrown away, so that the answer is not lost to
 * a reset.
 */
import { MeshError } from "../base/errors.ts";
import type { ErrorCode } from "../base/errors.ts";
import { Outbox } from "../net/outbox.ts";
import type { Stream, StreamHandlers } from "../net/stream.ts";
import type { BodyReader } from "../wire/body-reader.ts";
import { ChunkScanner } from "../wire/chunks.ts";
import { apiAccess } from "../wire/api-access.ts";
import { ApiPath } from "../wire/api-path.ts";
import type { LocalAnswer } from "../wire/api-shapes.ts";
import { findField } from "../wire/field-search.ts";
import { HEAD_LIMITS, PARSE_BAD, PARSE_MORE, RequestHead } from "../wire/http1.ts";
import { BodyFields } from "../wire/json-field.ts";
import { MultipartField, multipartBoundary } from "../wire/multipart-field.ts";
import type { KnownHead } from "./known-heads.ts";
import { localAnswer, unknownModel } from "./local-answers.ts";
import { takenFor } from "./body-names.ts";
import { actionOf } from "./caller.ts";
import { nowMs, tick } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import { Exchange } from "./exchange.ts";
import type { Forwarding } from "./forwarding.ts";
import type { Downstream } from "./answer.ts";
import { forwardHead, requestIdOf, staysPut } from "./forward.ts";
import { otherModel } from "./refusals.ts";
import { errorReply } from "./replies.ts";

const AWAIT_HEAD = 0;
const IN_BODY = 1;
const AWAIT_ANSWER = 2;
const CLOSING = 3;
const IN_TUNNEL = 4;

/** Pipelined bytes that a connection may have waiting before reading pauses. */
const STASH_BYTES_MAX = 65_536;
const REGISTER_BYTES_MAX = 65_536;
/** How long a closing connection is read on, so that the peer gets to see the answer. */
const LINGER_MS = 2000;
const FREE_EXCHANGES_MAX = 1024;
/** Heads of one connection that are remembered: one whose heads differ each time is not worth it. */
const LESSONS_MAX = 8;
/** What a form is reckoned with unless it has a prompt. */
const FORM_PROMPT_BYTES = 1024;
/** While draining, how long a connection that has sent nothing yet may take to do so. */
const FRESH_MS = 1000;
const PAUSED_BY_STASH = 1;
const PAUSED_BY_TARGET = 2;
/** How an object in JSON may begin for some parser: blanks, a bracket, the marks and bytes of UTF-8, UTF-16 and UTF-32. */
const MAY_BE_JSON = [9, 10, 13, 32, 123, 0xef, 0xfe, 0xff, 0];
const EXTENSIONS = "sec-websocket-extensions";
const NOTHING = Buffer.alloc(0);
/** No request of HTTP/1.1 begins like this, and a shorter part of it is no fault there yet. */
const HTTP2_START = Buffer.from("PRI * ");
const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");

/** The head parser of every connection whose head comes in one piece, which is nearly every one. */
const sharedHead = new RequestHead(HEAD_LIMITS);
/** What the path of the request says that is being read. */
const api = new ApiPath();

/** A client's connection as its socket's events see it. */
export interface FrontConnection {
  /** Bytes [start, end) came; the buffer is the transport's. */
  received(buffer: Buffer, start: number, end: number): void;
  drained(): void;
  /** The client ended its half; false: there is nothing to go on with. */
  ended(): boolean;
  /** The socket is gone; `inOrder` as its handlers are told. */
  closed(inOrder?: boolean): void;
  /** Ends what takes too long; called a few times a second. */
  expire(now: number): void;
}

/** What a client's connection needs of its socket: a transport's stream, or one of HTTP/2 that acts as such. */
export type ClientSocket = Omit<Stream<unknown>, "data">;

export class ClientConnection implements Downstream, FrontConnection {
  readonly #context: WorkerContext;
  readonly #stream: ClientSocket;
  readonly #free: Exchange[];
  readonly #isHttp2: boolean;
  readonly #outbox = new Outbox();
  #phase = AWAIT_HEAD;
  /** Bytes [stashStart, stashEnd) of the stash wait to be read. */
  #stash: Buffer | null = null;
  #stashStart = 0;
  #stashEnd = 0;
  /** The parser of a head that comes in pieces. */
  #head: RequestHead | null = null;
  #exchange: Exchange | null = null;
  #processing = false;
  /** Why nothing is read: the bits PAUSED_BY_STASH and PAUSED_BY_TARGET. */
  #paused = 0;
  #pausedMs = 0;
  /** When the request's body began, moved on by the time that the target made it wait. */
  #bodySinceMs = 0;
  #bodyBytes = 0;
  #requests = 0;
  /** The client has ended its half, or we end ours behind what waits. */
  #hasClientEnded = false;
  #isEnding = false;
  /** The head of its last request, where others may be expected to be like it. */
  #known: KnownHead | null = null;
  #misses = 0;
  /** Since when the connection waits for the client: its last byte, or the end of the last answer. */
  #sinceMs: number;
  /** The client's, as the socket tells it; "" until it is asked. */
  #address = "";
  /** What every request gets of its own, as `#forwarding` has it; null where that differs from request to request. */
  #ownLines: Buffer | null = null;
  #forwarding: Forwarding | null = null;

  // ---- the request that is being read
  #bodyLeft = 0;
  #chunks: ChunkScanner | null = null;
  #chunked = false;
  #reader: BodyReader | null = null;
  /** The head names the model, and the body is read only for another one. */
  #isChecking = false;
  #register: string | null = null;

  /** `isHttp2`: what it reads was written down by a stream of HTTP/2, which stands behind the socket. */
  constructor(context: WorkerContext, stream: ClientSocket, free: Exchange[], isHttp2 = false) {
    this.#context = context;
    this.#stream = stream;
    this.#free = free;
    this.#isHttp2 = isHttp2;
    this.#sinceMs = nowMs();
  }

  // ---- what the exchange asks for

  write(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#outbox.write(this.#stream, bytes, start, end);
  }

  pauseReading(): void {
    this.#pause(PAUSED_BY_TARGET);
  }

  resumeReading(): void {
    this.#resume(PAUSED_BY_TARGET);
  }

  #pause(why: number): void {
    if (why === PAUSED_BY_TARGET && (this.#paused & why) === 0) this.#pausedMs = nowMs();
    if (this.#paused === 0) this.#stream.pause();
    this.#paused |= why;
  }

  #resume(why: number): void {
    if ((this.#paused & why) === 0) return;
    if ((this.#paused & why & PAUSED_BY_TARGET) !== 0) this.#bodySinceMs += nowMs() - this.#pausedMs;
    this.#paused &= ~why;
    if (this.#paused !== 0) return;
    this.#sinceMs = nowMs();
    this.#stream.resume();
  }

  tunnelBegins(): void {
    this.#phase = IN_TUNNEL;
    const stash = this.#stash;
    if (stash === null) return;
    // What the client sent ahead belongs to the new protocol.
    const start = this.#stashStart;
    const end = this.#stashEnd;
    this.#emptyStash();
    this.#resume(PAUSED_BY_STASH);
    this.#exchange?.tunnelled(stash, start, end);
  }

  endHalf(): void {
    this.#isEnding = true;
    if (this.#outbox.pending === 0) this.#stream.shutdown();
  }

  exchangeEnded(keepAlive: boolean): void {
    this.#freeExchange();
    if (!keepAlive) {
      this.#close();
      return;
    }
    this.#phase = AWAIT_HEAD;
    this.#sinceMs = nowMs();
    this.resumeReading();
    this.#processStash();
  }

  /** What waits is used before more is read: a client that pipelines without end is held to the stash's limit. */
  #limitStash(): void {
    if (this.#phase === CLOSING) return;
    if (this.#stashEnd - this.#stashStart > STASH_BYTES_MAX) this.#pause(PAUSED_BY_STASH);
    else this.#resume(PAUSED_BY_STASH);
  }

  exchangeCut(): void {
    this.#freeExchange();
    this.#phase = CLOSING;
    this.#stream.terminate();
  }

  // ---- socket events

  /** All that came so far, once it is sure that it begins a connection of HTTP/2 (RFC 9113 section 3.4); else null. */
  http2Beginning(buffer: Buffer, start: number, end: number): Buffer | null {
    if (this.#requests > 0 || this.#phase !== AWAIT_HEAD || (this.#head === null && buffer[start] !== HTTP2_START[0])) {
      return null;
    }
    const data = buffer.subarray(start, end);
    const before = this.#stash?.subarray(this.#stashStart, this.#stashEnd);
    const all = before === undefined ? data : Buffer.concat([before, data]);
    return all.subarray(0, HTTP2_START.length).equals(HTTP2_START) ? all : null;
  }

  /** Bytes [start, end) came; the buffer is the transport's. */
  received(buffer: Buffer, start: number, end: number): void {
    switch (this.#phase) {
      case CLOSING:
        return;
      case AWAIT_ANSWER:
        this.#keep(buffer, start, end);
        this.#limitStash();
        return;
      case IN_TUNNEL:
        this.#sinceMs = nowMs();
        this.#exchange?.tunnelled(buffer, start, end);
        return;
      default:
        break;
    }
    if (this.#stashEnd > 0 || this.#outbox.pending > 0) {
      this.#keep(buffer, start, end);
      this.#limitStash();
      this.#processStash();
    } else {
      this.#process(buffer, start, end);
    }
  }

  drained(): void {
    // A client that reads, however slowly, is there.
    if (this.#phase === AWAIT_HEAD) this.#sinceMs = nowMs();
    if (!this.#outbox.flush(this.#stream)) return;
    if (this.#phase === CLOSING) {
      this.#sinceMs = nowMs();
      this.#endStream();
      return;
    }
    if (this.#isEnding) this.#stream.shutdown();
    this.#exchange?.clientDrained();
    this.#processStash();
  }

  ended(): boolean {
    this.#hasClientEnded = true;
    return this.#phase === IN_TUNNEL && this.#exchange?.clientEnded() === true;
  }

  closed(inOrder = false): void {
    const isHalfEnded = this.#isEnding && this.#outbox.pending === 0;
    if (inOrder && isHalfEnded && this.ended()) return;
    this.#phase = CLOSING;
    this.#outbox.clear();
    const exchange = this.#exchange;
    this.#exchange = null;
    if (exchange === null) return;
    exchange.abandon();
    this.#recycle(exchange);
  }

  /** Ends what takes too long; called a few times a second. */
  expire(now: number): void {
    const { headTimeoutMs, bodyTimeoutMs, idleTimeoutMs, streamTimeoutMs } = this.#context.config;
    const waited = now - this.#sinceMs;
    switch (this.#phase) {
      case AWAIT_HEAD:
        if (this.#head !== null) {
          if (waited >= headTimeoutMs)
            this.#reject(
              "request_timeout",
              `the head of the request did not come within ${headTimeoutMs} ms`,
              requestIdOf(NOTHING, null),
            );
        } else if (this.#outbox.pending > 0) {
          if (waited >= streamTimeoutMs) this.exchangeCut();
        } else if (this.#isReading() && waited >= this.#idleMs(idleTimeoutMs)) {
          this.#close();
        }
        break;
      case IN_BODY:
        this.#exchange?.expire(now);
        // It may have ended, or has begun to be answered: that has its own times.
        if (this.#exchange === null || this.#exchange.committed) break;
        if ((this.#paused & PAUSED_BY_TARGET) !== 0) {
          if (now - this.#pausedMs >= streamTimeoutMs) {
            this.#exchange.refuse(
              new MeshError("upstream_timeout", `the target took no more of the request for ${streamTimeoutMs} ms`),
            );
          }
        } else if (waited >= bodyTimeoutMs || now - this.#bodySinceMs >= bodyTimeoutMs + this.#bodyBytes) {
          this.#exchange.refuse(
            new MeshError(
              "request_timeout",
              `the body of the request paused for more than ${bodyTimeoutMs} ms, or came at less than 1 KB/s`,
            ),
          );
        }
        break;
      case AWAIT_ANSWER:
      case IN_TUNNEL:
        this.#exchange?.expire(now);
        break;
      default:
        // The answer's last bytes may still be on their way: the kernel goes on with them after an orderly end.
        if (waited >= (this.#outbox.pending > 0 ? streamTimeoutMs : LINGER_MS)) this.#stream.end();
    }
  }

  // ---- reading

  #keep(data: Buffer, start: number, end: number): void {
    const more = end - start;
    if (this.#stash === null || this.#stash.length < this.#stashEnd + more) {
      // A head that is half read keeps its place, since its parser goes on at the same offsets.
      const from = this.#head === null ? this.#stashStart : 0;
      const waiting = this.#stashEnd - from;
      const roomy = this.#stash !== null && this.#stash.length >= waiting + more;
      const size = Math.max(1024, 2 ** Math.ceil(Math.log2(waiting + more)));
      const target = roomy && this.#stash !== null ? this.#stash : Buffer.allocUnsafeSlow(size);
      this.#stash?.copy(target, 0, from, this.#stashEnd);
      this.#stash = target;
      this.#stashStart -= from;
      this.#stashEnd = waiting;
    }
    data.copy(this.#stash, this.#stashEnd, start, end);
    this.#stashEnd += more;
  }

  #processStash(): void {
    if (this.#processing || this.#stash === null || this.#stashStart === this.#stashEnd || !this.#isReading()) return;
    this.#process(this.#stash, this.#stashStart, this.#stashEnd);
  }

  /** Answers of pipelined requests wait for a client that does not read: nothing new is begun for it. */
  #isReading(): boolean {
    return this.#phase === IN_BODY || (this.#phase === AWAIT_HEAD && this.#outbox.pending === 0);
  }

  /** Uses bytes [start, end) as far as it can; the rest waits in the stash. */
  #process(buffer: Buffer, start: number, end: number): void {
    this.#processing = true;
    let at = start;
    while (at < end && this.#isReading()) {
      if (this.#phase === AWAIT_HEAD) {
        const bodyAt = this.#readHead(buffer, at, end);
        if (bodyAt < 0) {
          // What there is of it stands in the stash already; or the connection is closing.
          this.#processing = false;
          this.#limitStash();
          return;
        }
        at = bodyAt;
      }
      if (this.#phase === IN_BODY) at = this.#readBody(buffer, at, end);
    }
    this.#processing = false;
    if (this.#phase === CLOSING) return;
    if (buffer !== this.#stash) {
      if (at < end) this.#keep(buffer, at, end);
    } else if (at < end) {
      this.#stashStart = at;
    } else {
      this.#emptyStash();
    }
    this.#limitStash();
  }

  #emptyStash(): void {
    this.#stash = null;
    this.#stashStart = 0;
    this.#stashEnd = 0;
  }

  /** Reads a head; answers where its body begins, or -1 when the rest waits or the connection is closing. */
  #readHead(buffer: Buffer, start: number, end: number): number {
    const resumed = this.#head;
    const known = resumed === null && start === 0 ? this.#known : null;
    if (known?.fits(buffer, end) === true) {
      const { headEnd } = known.head;
      this.#beginRequest(buffer, known.head, end);
      return headEnd;
    }
    const head = resumed ?? sharedHead;
    if (resumed === null) head.reset();
    // A head that is resumed began where the stash does.
    const result = head.parse(buffer, start, end);
    if (result === PARSE_MORE) {
      if (resumed === null) this.#beginPartialHead(buffer, start, end);
      return -1;
    }
    this.#head = null;
    if (result === PARSE_BAD) {
      this.#reject(head.bad === "" ? "bad_request" : head.bad, head.badReason, requestIdOf(buffer, head));
      return -1;
    }
    const { headEnd } = head;
    if (resumed === null && start === 0 && this.#misses < LESSONS_MAX) {
      this.#misses++;
      this.#known = this.#context.heads.of(buffer, head);
    }
    // Whoever is answered meanwhile may have a request waiting, which is read by the same parser.
    this.#beginRequest(buffer, head, end);
    return headEnd;
  }

  /** Puts part of a head into the stash, and a parser of its own to the same point in it. */
  #beginPartialHead(buffer: Buffer, start: number, end: number): void {
    this.#sinceMs = nowMs();
    if (buffer === this.#stash) this.#stashStart = start;
    else this.#keep(buffer, start, end);
    const head = new RequestHead(HEAD_LIMITS);
    if (this.#stash !== null) head.parse(this.#stash, this.#stashStart, this.#stashEnd);
    this.#head = head;
  }

  #beginRequest(buffer: Buffer, head: RequestHead, end: number): void {
    const exchange = this.#free.pop() ?? new Exchange(this.#context);
    this.#exchange = exchange;
    exchange.begin(this);
    exchange.span = this.#context.tracer?.begin(buffer, head) ?? null;
    if (this.#isHttp2 && exchange.span !== null) exchange.span.httpVersion = "2";
    this.#requests++;
    this.#sinceMs = nowMs();
    this.#bodySinceMs = this.#sinceMs;
    this.#bodyBytes = 0;
    this.#chunked = head.chunked;
    this.#bodyLeft = head.chunked ? 0 : Math.max(0, head.contentLength);
    this.#reader = null;
    this.#isChecking = false;
    this.#register = null;
    this.#phase = IN_BODY;
    const hasBody = head.chunked || this.#bodyLeft > 0;
    if (this.#forwarding !== this.#context.content.forwarding) this.#settleForwarding();
    exchange.address = this.#address;
    const ownLines = this.#ownLines ?? this.#context.content.forwarding.lines(buffer, head, this.#address);
    if (head.upgrade && this.#context.enforcement?.isAsked === true) keepLegible(buffer, head);
    const path = forwardHead(exchange, buffer, head, ownLines);
    if (path < 0) {
      exchange.refuse(new MeshError("over_capacity", "the router holds as many requests as its memory allows"));
      return;
    }
    if (!hasBody) exchange.complete();
    if (!staysPut(buffer, path, head.targetEnd)) {
      exchange.refuse(new MeshError("bad_request", "the path has a segment that leads elsewhere (. or ..)"));
      return;
    }
    if (this.#bodyLeft > this.#context.maxBodyBytes) {
      exchange.refuse(this.#tooLarge());
      return;
    }
    if (this.#context.refuses) {
      exchange.refuse(new MeshError("draining", "this router is shutting down"));
      return;
    }
    if (head.hasWishes) {
      const fault = exchange.wishes.read(buffer, head);
      if (fault !== null) {
        exchange.refuse(fault);
        return;
      }
    }
    // A target in absolute form may have no path: it means the root, as the rewritten head says.
    const shape = api.read(buffer, path, head.targetEnd, head.method);
    exchange.shape = shape;
    const access = apiAccess(shape, this.#context.paths);
    if (access !== "pass") {
      this.#refusePath(exchange, buffer, head, path, access);
      return;
    }
    if (shape.local !== "") {
      if (this.#answerLocally(exchange, buffer, shape.local)) return;
    } else if (!this.#findModel(exchange, buffer, head, path, hasBody)) {
      return;
    }
    if (!hasBody) {
      this.#requestEnd(exchange);
    } else if (head.chunked) {
      this.#chunks ??= new ChunkScanner();
      this.#chunks.reset();
    }
    if (head.expectContinue && hasBody && this.#phase === IN_BODY && head.headEnd === end) {
      this.write(CONTINUE, 0, CONTINUE.length);
    }
  }

  /** Makes the lines that tell of the client, where they are the same for each of its requests. */
  #settleForwarding(): void {
    const { forwarding } = this.#context.content;
    this.#forwarding = forwarding;
    this.#address = plainAddress(this.#stream.remoteAddress);
    this.#ownLines = forwarding.isFixed ? forwarding.fixed(this.#address) : null;
  }

  /** Decides where the model's name stands: header, path, query, or body, which has still to be read. False: refused. */
  #findModel(exchange: Exchange, buffer: Buffer, head: RequestHead, path: number, hasBody: boolean): boolean {
    const { routes } = this.#context;
    const { shape } = exchange;
    if (api.modelStart >= 0) {
      exchange.nameStart = exchange.pathAt + api.modelStart - path;
      exchange.nameEnd = exchange.pathAt + api.modelEnd - path;
    }
    if (head.modelLine >= 0 && shape.model !== "path") {
      if (!this.#setModel(exchange, lineValue(buffer, head, head.modelLine))) return false;
      if (this.#context.enforcement === null) return true;
      this.#isChecking = hasBody && shape.model !== "none";
      const fault = this.#unreadQuery(exchange, buffer) ?? (this.#isChecking ? unreadBody(buffer, head) : null);
      if (fault !== null) {
        exchange.refuse(fault);
        return false;
      }
      return !this.#isChecking || this.#openReader(exchange, buffer, head);
    }
    if (api.modelStart >= 0) {
      const fault = api.readModel(buffer);
      if (fault !== "") {
        exchange.refuse(new MeshError("bad_request", fault, { param: "model" }));
        return false;
      }
      exchange.takeModel(routes.findBytes(api.modelBytes, api.modelLength, api.modelHash));
      if (exchange.model >= 0) return true;
      exchange.refuse(this.#unknownModel(Buffer.from(api.modelBytes.subarray(0, api.modelLength)).toString()));
      return false;
    }
    if (shape.model === "none" || shape.model === "query" || (shape.model === "optional" && !hasBody)) {
      return this.#setOnlyModel(exchange);
    }
    return this.#openReader(exchange, buffer, head);
  }

  /** Why the query, by which the target may go, must not be sent on beside the head's model; null: it may. */
  #unreadQuery(exchange: Exchange, buffer: Buffer): MeshError | null {
    if (api.modelStart < 0) return null;
    const fault = api.readModel(buffer);
    if (fault !== "") return new MeshError("bad_request", fault, { param: "model" });
    const { modelBytes, modelLength, modelHash } = api;
    const model = this.#context.routes.findBytes(modelBytes, modelLength, modelHash);
    if (model >= 0) return model === exchange.model ? null : otherModel("head", "query");
    return this.#denial(exchange, Buffer.from(modelBytes.subarray(0, modelLength)).toString(), "query");
  }

  /** Has the body read for its model; false: refused. */
  #openReader(exchange: Exchange, buffer: Buffer, head: RequestHead): boolean {
    if (head.contentTypeLine >= 0 && ((buffer[head.valueStart[head.contentTypeLine] ?? 0] ?? 0) | 32) === 109) {
      const type = lineValue(buffer, head, head.contentTypeLine);
      if (/^multipart\/form-data/i.test(type)) {
        const boundary = multipartBoundary(type);
        if (boundary === null) {
          exchange.refuse(
            new MeshError("bad_request", "a multipart/form-data body needs a boundary parameter in its content type"),
          );
          return false;
        }
        this.#reader = new MultipartField(boundary);
        // Most of a form is a file, whose length says little of the work that it makes.
        exchange.promptBytes = FORM_PROMPT_BYTES;
        return true;
      }
    }
    const fields = exchange.fields;
    fields.reset();
    this.#reader = fields;
    return true;
  }

  #setModel(exchange: Exchange, name: string): boolean {
    exchange.takeModel(this.#context.routes.find(name));
    if (exchange.model >= 0) return true;
    exchange.refuse(this.#unknownModel(name));
    return false;
  }

  #unknownModel(name: string): MeshError {
    return unknownModel(name, this.#context.enforcement);
  }

  /** The one model that is served, where the request names none; false: refused. */
  #setOnlyModel(exchange: Exchange): boolean {
    exchange.model = this.#context.routes.only;
    if (exchange.model >= 0) return true;
    exchange.refuse(
      new MeshError(
        "model_required",
        "the request names no model, and this router serves several or none: name one by the header x-infermesh-model",
        { param: "model" },
      ),
    );
    return false;
  }

  #refusePath(
    exchange: Exchange,
    buffer: Buffer,
    head: RequestHead,
    start: number,
    access: "not_found" | "method",
  ): void {
    const path = buffer.toString("latin1", start, api.pathEnd);
    if (access === "not_found") {
      exchange.refuse(new MeshError("not_found", `there is nothing at ${path}; inference is under /v1/`));
      return;
    }
    const method = buffer.toString("latin1", head.methodStart, head.methodEnd);
    const error = new MeshError("method_not_allowed", `${path} does not take ${method}; it takes ${api.allow}`);
    exchange.refuse(error, `allow: ${api.allow}\r\n`);
  }

  /** Reads body bytes; answers where it stopped. */
  #readBody(buffer: Buffer, start: number, end: number): number {
    const exchange = this.#exchange;
    if (exchange === null) return end;
    this.#sinceMs = nowMs();
    let stop = Math.min(end, start + this.#bodyLeft);
    let ended = false;
    if (this.#chunked) {
      const result = this.#chunks?.push(buffer, start, end) ?? -2;
      if (result === -2) {
        exchange.refuse(new MeshError("bad_request", "the body's chunked framing is broken"));
        return end;
      }
      if ((this.#chunks?.bodyBytes ?? 0) > this.#context.maxBodyBytes) {
        exchange.refuse(this.#tooLarge());
        return end;
      }
      ended = result >= 0;
      stop = ended ? result : end;
    } else {
      this.#bodyLeft -= stop - start;
      ended = this.#bodyLeft === 0;
    }
    this.#bodyBytes += stop - start;
    const error = this.#scan(exchange, buffer, start, stop) ?? exchange.body(buffer, start, stop);
    if (error !== null) {
      exchange.refuse(error);
    } else if (ended) {
      exchange.complete();
      this.#requestEnd(exchange);
    } else if (
      !exchange.bound &&
      this.#register === null &&
      exchange.heldEnd - exchange.bodyAt >= this.#context.config.replayBytes
    ) {
      this.#bindEarly(exchange);
    }
    return stop;
  }

  /** Looks for the model in bytes of the framed body. */
  #scan(exchange: Exchange, buffer: Buffer, start: number, end: number): MeshError | null {
    const reader = this.#reader;
    if (reader === null) return null;
    const chunks = this.#chunked ? this.#chunks : null;
    if (chunks === null) {
      return reader.push(buffer, start, end) === "bad" ? this.#unreadable(exchange, reader) : namedTwice(reader);
    }
    for (let i = 0; i < chunks.spanCount; i++) {
      const from = chunks.spans[i * 2] ?? 0;
      const to = chunks.spans[i * 2 + 1] ?? 0;
      if (reader.push(buffer, from, to) === "bad") return this.#unreadable(exchange, reader);
    }
    return namedTwice(reader);
  }

  /** What is no JSON in anybody's eyes has no model that its target could go by, where it need not be JSON. */
  #unreadable(exchange: Exchange, reader: BodyReader): MeshError | null {
    const isOpaque = reader instanceof BodyFields && !MAY_BE_JSON.includes(reader.first);
    if (!this.#isChecking || exchange.shape.model === "body" || !isOpaque) return badBody(reader);
    this.#reader = null;
    return null;
  }

  /** A long request goes to its target as soon as its model is known: the rest is streamed. */
  #bindEarly(exchange: Exchange): void {
    if (this.#reader !== null) {
      if (this.#isChecking || !this.#reader.hasModel) return;
      if (this.#isUnclear(this.#reader)) {
        exchange.refuse(unclear());
        return;
      }
      exchange.takeModel(this.#modelOf(this.#reader));
      if (exchange.model < 0) {
        exchange.refuse(this.#unknownModel(this.#reader.model));
        return;
      }
    }
    if (exchange.needsWhole) return;
    const error = exchange.bind();
    if (error !== null) exchange.refuse(error);
  }

  /** The request is whole: it is checked and, unless it was already, given to a target. */
  #requestEnd(exchange: Exchange): void {
    this.#phase = AWAIT_ANSWER;
    if (this.#register !== null) {
      this.#relayRegister(exchange, this.#register);
      return;
    }
    const reader = this.#reader;
    if (reader !== null && !this.#finishReading(exchange, reader)) return;
    if (exchange.bound) return;
    const error = exchange.bind();
    if (error !== null) exchange.refuse(error);
  }

  /** The body is whole: its model is what it says, or the only one where the path leaves that open. False: refused. */
  #finishReading(exchange: Exchange, reader: BodyReader): boolean {
    const empty = exchange.heldEnd === exchange.bodyAt && !exchange.bound;
    if (!empty && reader.finish() === "bad") {
      const error = this.#unreadable(exchange, reader);
      if (error !== null) exchange.refuse(error);
      return error === null;
    }
    if (!empty && this.#isUnclear(reader)) {
      exchange.refuse(unclear());
      return false;
    }
    if (this.#isChecking) {
      const error = !empty && reader.hasModel ? this.#check(exchange, reader) : null;
      if (error !== null) exchange.refuse(error);
      return error === null;
    }
    if (empty || !reader.hasModel) {
      if (exchange.shape.model !== "body" && exchange.model < 0) return this.#setOnlyModel(exchange);
      exchange.refuse(new MeshError("model_required", "you must provide a model parameter", { param: "model" }));
      return false;
    }
    if (exchange.bound) return true;
    exchange.takeModel(this.#modelOf(reader));
    if (reader.promptBytes > 0) exchange.promptBytes = reader.promptBytes;
    if (exchange.model >= 0) return true;
    exchange.refuse(this.#unknownModel(reader.model));
    return false;
  }

  /**
   * With policies in force the body must not name another model than the head, by which they were asked: its target may
   * go by either.
   */
  #check(exchange: Exchange, reader: BodyReader): MeshError | null {
    if (reader.promptBytes > 0) exchange.promptBytes = reader.promptBytes;
    const model = this.#modelOf(reader);
    if (model >= 0) return model === exchange.model ? null : otherModel("head", "body");
    return this.#denial(exchange, reader.model, "body");
  }

  /** Why a name that nobody serves must not be sent on; it may mean something to the target. */
  #denial(exchange: Exchange, model: string, place: string): MeshError | null {
    const { enforcement, routes } = this.#context;
    const own = routes.modelName(exchange.model);
    if (takenFor(model, routes.names).some((name) => name !== own)) return otherModel("head", place);
    return enforcement?.denial(exchange.callerOf(enforcement), model, actionOf(exchange.shape)) ?? null;
  }

  /** Policies are in force, and the target may find another model in the body than is found here. */
  #isUnclear(reader: BodyReader): boolean {
    return reader.isUnclear && this.#context.enforcement !== null;
  }

  #modelOf(reader: BodyReader): number {
    return this.#context.routes.findBytes(reader.modelBytes, reader.modelLength, reader.modelHash);
  }

  // ---- what needs no target

  /** Answers by the router itself; false when the body has still to be read for that. */
  #answerLocally(exchange: Exchange, buffer: Buffer, local: Exclude<LocalAnswer, "">): boolean {
    if (local === "register" || local === "deregister") return this.#beginRegister(exchange, `/${local}`);
    let name = "";
    if (local === "model" && api.readModel(buffer) === "") {
      name = Buffer.from(api.modelBytes.subarray(0, api.modelLength)).toString();
    }
    const { routes, enforcement } = this.#context;
    const answer = localAnswer(local, routes, name, enforcement, (by) => exchange.callerOf(by));
    if (answer instanceof MeshError) exchange.refuse(answer);
    else exchange.answer(200, answer);
    return true;
  }

  #beginRegister(exchange: Exchange, path: string): boolean {
    if (!this.#context.allowRegister) {
      exchange.refuse(new MeshError("not_found", `there is nothing at ${path}; inference is under /v1/`));
      return true;
    }
    if (this.#bodyLeft > 0 && this.#bodyLeft <= REGISTER_BYTES_MAX) {
      this.#register = path;
      return false;
    }
    exchange.refuse(
      new MeshError("bad_request", `${path} takes a POST with a JSON body of at most ${REGISTER_BYTES_MAX} bytes`),
    );
    return true;
  }

  #relayRegister(exchange: Exchange, path: string): void {
    const body = exchange.held.toString("utf8", exchange.bodyAt, exchange.heldEnd);
    const nth = this.#requests;
    this.#context.control(path, body, (status, answer) => {
      tick();
      // The client may have gone, and its exchange may serve another by now, or the next request of this one.
      const isWaiting = this.#exchange === exchange && this.#requests === nth;
      if (isWaiting && exchange.active) exchange.answer(status, answer);
    });
  }

  /** Refuses what could not even be read as a request. */
  #reject(code: ErrorCode, reason: string, requestId: string): void {
    const fields = this.#context.content.replyFields;
    const bytes = errorReply(new MeshError(code, reason), requestId, false, true, fields);
    this.#context.counters.request(-1, statusOf(bytes), nowMs() - this.#sinceMs);
    this.write(bytes, 0, bytes.length);
    this.#close();
  }

  #tooLarge(): MeshError {
    return new MeshError(
      "payload_too_large",
      `the body is larger than the ${this.#context.maxBodyBytes} bytes that this router takes`,
    );
  }

  // ---- closing

  #idleMs(idleTimeoutMs: number): number {
    if (!this.#context.draining) return idleTimeoutMs;
    return Math.min(idleTimeoutMs, Math.max(this.#requests === 0 ? FRESH_MS : 0, this.#context.quietMs));
  }

  #close(): void {
    this.#phase = CLOSING;
    this.#emptyStash();
    this.#sinceMs = nowMs();
    this.#resume(PAUSED_BY_STASH | PAUSED_BY_TARGET);
    if (this.#outbox.pending === 0) this.#endStream();
  }

  /** Ends our half, and with it the connection where the client's is over. */
  #endStream(): void {
    if (this.#hasClientEnded) this.#stream.end();
    else this.#stream.shutdown();
  }

  #freeExchange(): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    this.#reader = null;
    if (exchange !== null) this.#recycle(exchange);
  }

  #recycle(exchange: Exchange): void {
    if (this.#free.length < FREE_EXCHANGES_MAX) this.#free.push(exchange);
  }
}

/** Makes the other end of a connection that speaks HTTP/2; `free` are exchanges that it may use. */
export type NewHttp2 = (socket: ClientSocket, free: Exchange[]) => FrontConnection;

/** The handlers of every client connection of a worker. */
export function clientHandlers(
  context: WorkerContext,
  connections: Set<FrontConnection>,
  newHttp2: NewHttp2,
): StreamHandlers<FrontConnection> {
  const free: Exchange[] = [];
  const close = (stream: Stream<FrontConnection>, inOrder = false): void => {
    tick();
    // A connection that was refused for the limit has no state.
    const connection = stream.data as FrontConnection | undefined;
    if (connection === undefined || !connections.delete(connection)) return;
    context.counters.connections(-1);
    connection.closed(inOrder);
  };
  return {
    open(stream: Stream<FrontConnection>): void {
      tick();
      if (connections.size >= context.config.connectionsMax) {
        const bytes = errorReply(
          new MeshError("over_capacity", "this router has as many connections as it may"),
          requestIdOf(NOTHING, null),
          false,
          true,
          context.content.replyFields,
        );
        stream.write(bytes);
        stream.end();
        return;
      }
      const connection = new ClientConnection(context, stream, free);
      stream.data = connection;
      connections.add(connection);
      context.counters.connections(1);
    },
    data(stream: Stream<FrontConnection>, buffer: Buffer, start: number, end: number): void {
      tick();
      const connection = stream.data as FrontConnection | undefined;
      const beginning = connection instanceof ClientConnection ? connection.http2Beginning(buffer, start, end) : null;
      if (connection === undefined || beginning === null) {
        connection?.received(buffer, start, end);
        return;
      }
      const http2 = newHttp2(stream, free);
      connections.delete(connection);
      connections.add(http2);
      stream.data = http2;
      http2.received(beginning, 0, beginning.length);
    },
    drain(stream: Stream<FrontConnection>): void {
      tick();
      (stream.data as FrontConnection | undefined)?.drained();
    },
    end(stream: Stream<FrontConnection>): void {
      tick();
      const connection = stream.data as FrontConnection | undefined;
      if (connection?.ended() === true) return;
      // A client that closes its half is gone for us, as it is for the runtimes behind us: its request is cancelled.
      close(stream);
      stream.end();
    },
    close,
    connectError(): void {},
  };
}

/**
 * An IPv4 client of a socket that listens on every address comes as `::ffff:1.2.3.4`. One that has reset its
 * connection before its bytes were read has no address any more, whatever bun-types says.
 */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return "unknown";
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}

function lineValue(buffer: Buffer, head: RequestHead, line: number): string {
  return buffer.toString("utf8", head.valueStart[line], head.valueEnd[line]);
}

/** What is said in a WebSocket may name a model: nobody is to agree on packing it. */
function keepLegible(buffer: Buffer, head: RequestHead): void {
  for (
    let line = findField(buffer, head, EXTENSIONS);
    line >= 0;
    line = findField(buffer, head, EXTENSIONS, line + 1)
  ) {
    head.drop[line] = 1;
  }
}

/** Why a body can't be read for its model at all, whatever it holds; null: it can. */
function unreadBody(buffer: Buffer, head: RequestHead): MeshError | null {
  const line = findField(buffer, head, "content-encoding");
  const coding = line < 0 ? "" : lineValue(buffer, head, line).toLowerCase();
  const type = head.contentTypeLine < 0 ? "" : lineValue(buffer, head, head.contentTypeLine);
  const isForm = /^application\/x-www-form-urlencoded/i.test(type);
  if (!isForm && (coding === "" || coding === "identity")) return null;
  const what = isForm ? "a body of application/x-www-form-urlencoded" : `a body with the content-encoding ${coding}`;
  const message = `policies are in force here, and can't be asked of ${what}: send it as JSON, as it is`;
  return new MeshError("not_supported", message);
}

/** Targets' parsers differ in which model they find. */
function unclear(): MeshError {
  const message = 'policies are in force here, and the body may be read as naming a model elsewhere than in "model"';
  return new MeshError("bad_json", message, { param: "model" });
}

function badBody(reader: BodyReader): MeshError {
  return new MeshError("bad_json", reader.reason);
}

/** Targets would choose otherwise than this router, or than each other: one that has part of the body must not have the rest. */
function namedTwice(reader: BodyReader): MeshError | null {
  if (!reader.duplicateModel) return null;
  return new MeshError("bad_json", "the body names its model twice", { param: "model" });
}

function statusOf(bytes: Buffer): number {
  return Number(bytes.toString("latin1", 9, 12));
}
