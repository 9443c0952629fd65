/**
 * A client's connection that speaks HTTP/2: gives each request to its lane. gRPC goes on as HTTP/2 (grpc-call.ts), or
 * is answered here where it asks about the router itself (grpc-local.ts); everything else is served as HTTP/1.1 is
 * (http2-request.ts). It stands on anything that acts as a socket, whether that one was told by its first bytes to
 * speak HTTP/2 or agreed on it under TLS.
 *
 * A router that drains takes no new requests: that is announced, then said for certain a turn of `expire` later, and
 * the connection closes with its last stream.
 */
import { ERRORS, MeshError } from "../base/errors.ts";
import { ascii } from "../wire/octets.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { Http2Connection, type Http2Listener } from "../wire/http2-connection.ts";
import { H2_ERROR } from "../wire/http2-frames.ts";
import type { ResetWindow } from "../wire/http2-resets.ts";
import type { Http2Stream } from "../wire/http2-stream.ts";
import { plainAddress } from "./client.ts";
import type { ClientSocket, FrontConnection } from "./client.ts";
import { nowMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import type { Forwarding } from "./forwarding.ts";
import { GrpcCall } from "./grpc-call.ts";
import { callId, idText } from "./grpc-id.ts";
import { localCall } from "./grpc-local.ts";
import { errorFields } from "./grpc-status.ts";
import { beginSpan, endSpan } from "./grpc-trace.ts";
import { Http2Request } from "./http2-request.ts";
import { localAnswer } from "./http2-rewrite.ts";
import { http2Options } from "./http2-upstream.ts";
import { type ClientSide, Http2Wire } from "./http2-wire.ts";
import { errorReply } from "./replies.ts";

const GRPC = ascii("application/grpc");
const PLUS = 43;
const SEMICOLON = 59;
const POST = ascii("POST");

export class Http2Front implements FrontConnection, Http2Listener, ClientSide {
  readonly connection: Http2Connection;
  readonly wire: Http2Wire;
  readonly address: string;
  /** As `#forwarding` has them; null where they differ from call to call. */
  #forwarded: Uint8Array | null = null;
  #forwarding: Forwarding | null = null;
  readonly #context: WorkerContext;
  readonly #socket: ClientSocket;
  readonly #free: Exchange[];
  /** The client's calls that were reset at their targets; null: none that this connection knows of. */
  #resets: ResetWindow | null;
  readonly #openedMs = nowMs();
  /** When there last was a request. */
  #sinceMs = nowMs();
  #isDraining = false;

  constructor(context: WorkerContext, socket: ClientSocket, free: Exchange[]) {
    this.#context = context;
    this.#socket = socket;
    this.#free = free;
    this.address = plainAddress(socket.remoteAddress);
    this.#resets = context.restless.find(this.address);
    this.connection = new Http2Connection(true, http2Options(context.config), this);
    this.wire = new Http2Wire(context.wires, this.connection);
    this.wire.attach(socket);
  }

  forwarded(head: HeaderBlock): Uint8Array {
    const { forwarding } = this.#context.content;
    if (forwarding !== this.#forwarding) {
      this.#forwarding = forwarding;
      this.#forwarded = forwarding.isFixed ? forwarding.fixedFields(this.address) : null;
    }
    return this.#forwarded ?? forwarding.fields(head, this.address);
  }

  get isRestless(): boolean {
    return this.#resets?.isFull(nowMs()) === true;
  }

  callReset(): void {
    const { restless, config } = this.#context;
    this.#resets = restless.note(this.address, config.http2ResetsMax, nowMs());
  }

  // ---- the connection's word

  requested(stream: Http2Stream, block: HeaderBlock, ended: boolean): void {
    this.#sinceMs = nowMs();
    const isGrpc = isGrpcRequest(block);
    if (block.tooLarge) {
      this.#refuseHead(stream, block, isGrpc);
    } else if (!isGrpc) {
      void new Http2Request(this.#context, this, stream, block, ended, this.#socket.remoteAddress, this.#free);
    } else {
      const local = block.model === null ? localCall(this.#context, this, block) : null;
      if (local !== null) {
        stream.owner = local;
        local.begin(stream, ended);
        return;
      }
      const call = new GrpcCall(this.#context, this, stream, block);
      stream.owner = call;
      call.begin(ended);
    }
  }

  goingAway(): void {
    // A client that leaves opens no streams any more; those that it has end as they would.
  }

  settled(): void {
    // What a client takes is asked for when something is sent.
  }

  failed(): void {
    this.wire.schedule();
  }

  #refuseHead(stream: Http2Stream, block: HeaderBlock, isGrpc: boolean): void {
    const error = new MeshError("head_too_large", "the fields of the request are larger than this router takes");
    this.#context.counters.request(-1, error.status, 0);
    if (isGrpc) {
      const { tracer } = this.#context;
      const id = callId(block);
      const fields = errorFields(error, id);
      this.connection.sendHead(stream, fields, 0, fields.length, true);
      const span = tracer === null ? null : beginSpan(tracer, block);
      if (span !== null) {
        span.error = error.code;
        endSpan(tracer, span, id, ERRORS[error.code].grpc, error.status);
      }
    } else {
      const isHead = block.method?.text === "HEAD";
      const { replyFields } = this.#context.content;
      const answer = errorReply(error, idText(callId(block)), false, !isHead, replyFields);
      const { fields, bodyAt } = localAnswer(answer);
      this.connection.sendHead(stream, fields, 0, fields.length, isHead);
      this.connection.sendBody(stream, answer, bodyAt, answer.length, true);
    }
    // Nobody owns the stream: what finds no window now is not waited for.
    this.connection.reset(stream, H2_ERROR.none);
    this.wire.schedule();
  }

  // ---- the socket's events

  received(buffer: Buffer, start: number, end: number): void {
    this.connection.receive(buffer, start, end, nowMs());
    if (this.connection.output.pending > 0) this.wire.schedule();
  }

  drained(): void {
    this.wire.drained();
  }

  ended(): boolean {
    // What a client's streams were for has nobody to go to.
    return false;
  }

  closed(): void {
    this.wire.detach();
    this.connection.lose(false);
  }

  expire(now: number): void {
    const { connection } = this;
    const { headTimeoutMs, idleTimeoutMs, streamTimeoutMs } = this.#context.config;
    connection.wake(now);
    if (this.wire.stalledMs(now) >= streamTimeoutMs) {
      this.#socket.terminate();
      return;
    }
    if (connection.isClosed) return;
    if (connection.streamCount > 0) this.#sinceMs = now;
    if (this.#context.draining) {
      if (this.#isDraining && connection.streamCount === 0) connection.end(H2_ERROR.none, "draining");
      else connection.drain();
      this.#isDraining = true;
    } else if (!connection.isReady && now - this.#openedMs >= headTimeoutMs) {
      connection.end(H2_ERROR.settingsTimeout, "no settings came");
    } else if (connection.streamCount === 0 && now - this.#sinceMs >= idleTimeoutMs) {
      connection.end(H2_ERROR.none, "idle");
    }
    this.wire.schedule();
  }
}

/** Whether a request is gRPC: `application/grpc`, with or without a codec and parameters. */
function isGrpcRequest({ contentType, method }: HeaderBlock): boolean {
  if (contentType === null || !contentType.valueBegins(GRPC) || method?.valueIs(POST) !== true) return false;
  const next = contentType.source[contentType.valueStart + GRPC.length];
  return next === undefined || next === PLUS || next === SEMICOLON;
}
