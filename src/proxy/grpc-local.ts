/**
 * The gRPC services that the router answers itself: its health (grpc-health.ts, health-watches.ts) and reflection
 * (wire/grpc-reflection.ts). A client that means a target's own names a model in the metadata; that call is relayed like any
 * other. When the router drains, whatever is open ends.
 *
 * Limits: messages of 16 KiB, and the number of watches. A client that does not take what it asked for is not read on,
 * and is left after a while; of what a watch has to tell it only gets the last.
 */
import { ERRORS, type ErrorCode } from "../base/errors.ts";
import { DESCRIPTORS } from "../gen/descriptors.js";
import type { Span } from "../obs/spans.ts";
import { MESSAGE_HEAD_BYTES, messageLength } from "../wire/grpc-framing.ts";
import { REFLECTION_PATHS, Reflection } from "../wire/grpc-reflection.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { H2_ERROR } from "../wire/http2-frames.ts";
import type { Http2Stream, StreamOwner } from "../wire/http2-stream.ts";
import { ProtoField } from "../wire/proto-field.ts";
import { nowMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import { healthOf, isTooLong, SERVING_STATUS } from "./grpc-health.ts";
import { type CallId, callId } from "./grpc-id.ts";
import { answerHead, countedAs, GRPC_STATUS, statusFields } from "./grpc-status.ts";
import { beginSpan, endSpan } from "./grpc-trace.ts";
import type { WatchedService, Watcher } from "./health-watches.ts";
import type { ClientSide } from "./http2-wire.ts";
import { WaitingBytes } from "./waiting-bytes.ts";

const HEALTH = "/grpc.health.v1.Health/";
/** What a client has to ask of the router is short. */
const REQUEST_BYTES_MAX = 16_384;

const reflection = new Reflection(DESCRIPTORS);

/** What a service makes of one request's message. */
type Answer = (call: LocalCall, message: Uint8Array) => void;

/** The call's owner where its path is a service of the router's own, else null. */
export function localCall(context: WorkerContext, client: ClientSide, block: HeaderBlock): LocalCall | null {
  const path = block.path?.text ?? "";
  if (path.startsWith(HEALTH)) {
    const method = path.slice(HEALTH.length);
    if (method === "Check") return new LocalCall(context, client, block, check);
    if (method === "Watch") return new LocalCall(context, client, block, watch);
    return new LocalCall(context, client, block, null);
  }
  return REFLECTION_PATHS.has(path) ? new LocalCall(context, client, block, answerReflection) : null;
}

class LocalCall implements StreamOwner, Watcher {
  readonly context: WorkerContext;
  readonly #client: ClientSide;
  readonly #head: HeaderBlock;
  readonly #answer: Answer | null;
  readonly #startedMs = nowMs();
  readonly #id: CallId;
  /** What is recorded of the call, until it ends; null: nothing is. */
  #span: Span | null = null;
  #stream: Http2Stream | null = null;
  /** What of its messages was not answered yet; the client's window is given back with each answer. */
  readonly #received = new WaitingBytes();
  /** The client has said all that it has to say. */
  #isComplete = false;
  #hasHead = false;
  /** Since when answers wait for the client's window, as far as that was seen; 0: they don't. */
  #stalledMs = 0;
  #isOver = false;
  /** The service that is watched, and what was said of it last. */
  #watched: WatchedService | null = null;
  #said = 0;

  constructor(context: WorkerContext, client: ClientSide, block: HeaderBlock, answer: Answer | null) {
    this.context = context;
    this.#client = client;
    this.#head = block;
    this.#answer = answer;
    this.#id = callId(block);
    if (context.tracer === null) return;
    this.#span = beginSpan(context.tracer, block);
    if (this.#span !== null) this.#span.isKnownMethod = answer !== null;
  }

  begin(stream: Http2Stream, ended: boolean): void {
    this.#stream = stream;
    if (this.#answer === null) this.end("not_supported", "the router has no such method");
    else if (ended) this.#complete(stream);
  }

  answered(): void {
    // A server's stream is answered by us.
  }

  body(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    if (this.#isOver) {
      this.#client.connection.consume(stream, end - start);
      return;
    }
    this.#received.keep(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start));
    if (ended) this.#complete(stream);
    else this.#read(stream);
  }

  trailers(stream: Http2Stream): void {
    this.#complete(stream);
  }

  #complete(stream: Http2Stream): void {
    this.#isComplete = true;
    this.#read(stream);
  }

  /** Answers the messages that are here, as long as the client takes the answers. */
  #read(stream: Http2Stream): void {
    while (!this.#isOver && stream.queue === null) {
      const { bytes } = this.#received;
      const length = messageLength(bytes, 0, bytes.length);
      if (length > REQUEST_BYTES_MAX) this.end("payload_too_large", "a message too large for the router itself");
      else if (length >= 0 && bytes[0] !== 0) this.end("not_supported", "the router reads no compressed messages");
      if (this.#isOver || length < 0 || bytes.length < MESSAGE_HEAD_BYTES + length) break;
      const message = this.#received.take(MESSAGE_HEAD_BYTES + length);
      this.#client.connection.consume(stream, message.length);
      this.#answer?.(this, message.subarray(MESSAGE_HEAD_BYTES));
    }
    // A watch goes on when its client has said all that it has to say.
    if (stream.queue === null && this.#isComplete && this.#watched === null) this.end(null, "");
  }

  writable(stream: Http2Stream): void {
    if (this.#isOver) {
      this.#leaveStream(stream);
    } else {
      this.healthChanged();
      this.#read(stream);
    }
    this.#client.wire.schedule();
  }

  lost(): void {
    this.#finish(GRPC_STATUS.cancelled);
  }

  wake(now: number): void {
    const stream = this.#stream;
    if (stream === null || stream.queue === null) {
      this.#stalledMs = 0;
    } else if (this.#stalledMs === 0) {
      this.#stalledMs = now;
    } else if (now - this.#stalledMs >= this.context.config.streamTimeoutMs) {
      this.#client.connection.reset(stream, H2_ERROR.cancel);
      this.#finish(GRPC_STATUS.cancelled);
    }
    const { draining, ebbing } = this.context;
    if (!this.#isOver && draining && !ebbing) this.end("draining", "this router is shutting down");
  }

  /** Whether the client may hear of that service; one that is a model is told to whom the listings tell it. */
  mayHear(service: string): boolean {
    const { enforcement, routes } = this.context;
    if (enforcement === null || (routes.calls.find(service) < 0 && routes.find(service) < 0)) return true;
    const denial = enforcement.listingDenial(
      enforcement.callers.of((name) => this.#head.octets(name)),
      service,
    );
    if (denial !== null) this.end(denial.code, denial.message);
    return denial === null;
  }

  watch(service: string): void {
    const { config, watches } = this.context;
    this.#endWatch();
    if (isTooLong(service)) {
      this.end("bad_request", "no service has so long a name");
      return;
    }
    this.#said = 0;
    this.#watched = watches.begin(service, this, config.watchesMax);
    if (this.#watched === null) {
      this.end("over_capacity", `the clients of this worker watch as many services as they may: ${config.watchesMax}`);
    }
    this.healthChanged();
  }

  /** Tells what is new of the service that is watched, unless the client still has to take what it was told before. */
  healthChanged(): void {
    const watched = this.#watched;
    if (watched === null || watched.status === this.#said || this.#stream?.queue !== null) return;
    this.#said = watched.status;
    this.send(Uint8Array.of(0x08, watched.status));
  }

  #endWatch(): void {
    if (this.#watched !== null) this.context.watches.end(this.#watched, this);
    this.#watched = null;
  }

  /** Sends one message. */
  send(message: Uint8Array): void {
    const stream = this.#stream;
    if (stream === null || this.#isOver) return;
    const { connection, wire } = this.#client;
    if (!this.#hasHead) {
      const head = answerHead(this.#id);
      connection.sendHead(stream, head, 0, head.length, false);
      this.#hasHead = true;
    }
    const framed = Buffer.alloc(MESSAGE_HEAD_BYTES + message.length);
    framed.writeUInt32BE(message.length, 1);
    framed.set(message, MESSAGE_HEAD_BYTES);
    connection.sendBody(stream, framed, 0, framed.length, false);
    wire.schedule();
  }

  /** Ends the call: with an error's status, or in order. */
  end(code: ErrorCode | null, message: string): void {
    const stream = this.#stream;
    if (stream === null || this.#isOver) return;
    const status = code === null ? GRPC_STATUS.ok : ERRORS[code].grpc;
    if (this.#span !== null && code !== null) this.#span.error = code;
    this.#finish(status);
    const { connection, wire } = this.#client;
    const fields = statusFields(status, message, this.#hasHead ? null : this.#id);
    connection.sendHead(stream, fields, 0, fields.length, true);
    connection.release(stream);
    this.#received.clear();
    this.#leaveStream(stream);
    wire.schedule();
  }

  /** A client that was answered need not go on (RFC 9113 section 8.1). */
  #leaveStream(stream: Http2Stream): void {
    if (stream.localEnded && !stream.remoteEnded) this.#client.connection.reset(stream, H2_ERROR.none);
  }

  #finish(grpcStatus: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#endWatch();
    const status = countedAs(grpcStatus);
    this.context.counters.request(-1, status, nowMs() - this.#startedMs);
    if (this.#span === null) return;
    endSpan(this.context.tracer, this.#span, this.#id, grpcStatus, status);
    this.#span = null;
  }
}

function check(call: LocalCall, message: Uint8Array): void {
  const service = serviceIn(message);
  if (!call.mayHear(service)) return;
  const status = healthOf(call.context, service);
  if (status === SERVING_STATUS.serviceUnknown) call.end("not_found", `there is no service or model ${service}`);
  else call.send(Uint8Array.of(0x08, status));
}

function watch(call: LocalCall, message: Uint8Array): void {
  const service = serviceIn(message);
  if (call.mayHear(service)) call.watch(service);
}

function answerReflection(call: LocalCall, message: Uint8Array): void {
  const answer = reflection.answer(message);
  if (answer === null) call.end("bad_request", "no request of server reflection");
  else call.send(answer);
}

function serviceIn(message: Uint8Array): string {
  const field = new ProtoField(1, 0);
  const isThere = field.read(message, message.length, message.length) === "found";
  return isThere ? Buffer.from(message.subarray(field.start, field.end)).toString() : "";
}
