/**
 * A client's HTTP/2 connection at an admin port: its streams are gRPC calls (grpc-call.ts), and whatever else HTTP/1.1 is
 * asked for too (app-call.ts). It takes over from the HTTP/1.1 connection whose first bytes were HTTP/2's preface.
 *
 * What arises in a turn of the event loop goes out in one write at its end. A client that takes nothing for
 * `writeTimeoutMs` is disconnected; one that has no call for `idleTimeoutMs` is told to go. When the server stops, the
 * client is told (GOAWAY), calls under way are answered, streams end with UNAVAILABLE, and the last one closes the
 * connection.
 */
import { MeshError } from "../base/errors.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { fieldOf } from "../wire/header-field.ts";
import { Http2Connection, type Http2Listener, type Http2Options } from "../wire/http2-connection.ts";
import { H2_ERROR } from "../wire/http2-frames.ts";
import type { Http2Stream } from "../wire/http2-stream.ts";
import type { FrontContext, FrontSocket, PortConnection } from "./front-connection.ts";
import { AppCall } from "./app-call.ts";
import { GrpcCall } from "./grpc-call.ts";
import type { CallClient, PortCall } from "./port-call.ts";
import type { Services } from "./services.ts";

const STREAM_WINDOW_BYTES = 262_144;
const OPTIONS: Http2Options = {
  streamsMax: 100,
  streamWindowBytes: STREAM_WINDOW_BYTES,
  connectionWindowBytes: 1_048_576,
  listBytesMax: 32_768,
  outputBytesMax: 262_144,
};
/** Bytes of requests that are not whole, and of whole ones that nobody has taken, of all calls of a connection. */
const RECEIVED_BODIES_MAX = 8;
const GRPC = /^application\/grpc(\+proto)?\s*(;|$)/i;

export class PortHttp2 implements PortConnection, Http2Listener, CallClient {
  readonly connection: Http2Connection;
  readonly services: Services;
  readonly context: FrontContext;
  #heldBytes = 0;
  readonly #socket: FrontSocket;
  readonly #calls = new Set<PortCall>();
  readonly #openedMs = performance.now();
  #idleSinceMs = performance.now();
  #isScheduled = false;
  #isFull = false;
  #fullSinceMs = 0;
  #isStopping = false;
  #isGone = false;

  constructor(socket: FrontSocket, context: FrontContext, services: Services) {
    this.#socket = socket;
    this.context = context;
    this.services = services;
    this.connection = new Http2Connection(true, OPTIONS, this);
    this.schedule();
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? "";
  }

  messageBytesMax(path: string): number {
    return this.context.bodyBytesMax(path);
  }

  mayHold(bytes: number, path: string): boolean {
    if (!this.context.budget.has(bytes)) return false;
    const usual = RECEIVED_BODIES_MAX * this.context.limits.maxBodyBytes;
    return this.#heldBytes + bytes <= Math.max(usual, this.messageBytesMax(path) + STREAM_WINDOW_BYTES);
  }

  hold(change: number): void {
    this.#heldBytes += change;
    this.context.budget.add(change);
  }

  schedule(): void {
    if (this.#isScheduled || this.#isGone) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  ended(call: PortCall): void {
    this.#calls.delete(call);
    this.#idleSinceMs = performance.now();
    this.schedule();
  }

  // ---- the connection's word

  requested(stream: Http2Stream, block: HeaderBlock, ended: boolean): void {
    if (block.tooLarge) {
      this.#refuse(stream);
    } else {
      const call = isGrpcRequest(block) ? new GrpcCall(this, stream, block) : new AppCall(this, stream, block);
      stream.owner = call;
      this.#calls.add(call);
      call.begin(ended);
    }
    this.schedule();
  }

  goingAway(): void {
    // It opens no calls any more; those that it has go on.
  }

  settled(): void {
    this.schedule();
  }

  failed(_code: number, reason: string): void {
    if (reason !== "" && reason !== "idle") this.context.onNotice(`HTTP/2: ${reason}`, this.remoteAddress);
    this.schedule();
  }

  /** Its head is too large. */
  #refuse(stream: Http2Stream): void {
    const fields = fieldOf(":status", "431").encoded;
    this.connection.sendHead(stream, fields, 0, fields.length, true);
    this.connection.reset(stream, H2_ERROR.none);
  }

  // ---- the socket's events

  data(bytes: Uint8Array): void {
    this.connection.receive(bytes, 0, bytes.length, performance.now());
    this.schedule();
  }

  drain(): void {
    this.#isFull = false;
    this.#flush();
  }

  end(): void {
    // Who ends its side reads no answers that are still to be made.
    this.closed();
    this.#socket.end();
  }

  closed(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.connection.lose(false);
  }

  stop(): void {
    this.#isStopping = true;
    this.connection.drain();
    const why = new MeshError("draining", "the process is stopping");
    for (const call of this.#calls) call.stop(why);
    this.schedule();
  }

  terminate(): void {
    this.#socket.terminate();
  }

  sweep(nowMs: number): void {
    const { connection } = this;
    const { headTimeoutMs, idleTimeoutMs, writeTimeoutMs } = this.context.limits;
    if (this.#isFull && nowMs - this.#fullSinceMs >= writeTimeoutMs) {
      this.terminate();
      return;
    }
    connection.wake(nowMs);
    if (connection.isClosed) return;
    if (connection.streamCount > 0) this.#idleSinceMs = nowMs;
    // The first word only announced it.
    if (this.#isStopping) connection.drain();
    if (!connection.isReady && nowMs - this.#openedMs >= headTimeoutMs) {
      connection.end(H2_ERROR.settingsTimeout, "no settings came");
    } else if (connection.streamCount === 0 && nowMs - this.#idleSinceMs >= idleTimeoutMs) {
      connection.end(H2_ERROR.none, "idle");
    }
    this.schedule();
  }

  #flush(): void {
    if (this.#isGone) return;
    const { connection } = this;
    const { output } = connection;
    if (this.#isStopping && connection.streamCount === 0) connection.end(H2_ERROR.none, "");
    while (!this.#isFull && output.pending > 0) {
      const taken = this.#socket.write(output.bytes, output.start, output.pending);
      if (taken < 0) {
        // Its end is told by the socket's own event.
        output.clear();
        return;
      }
      this.#isFull = taken < output.pending;
      if (this.#isFull) this.#fullSinceMs = performance.now();
      output.sent(taken);
      if (!this.#isFull) connection.drained();
    }
    if (connection.isClosed && output.pending === 0) {
      this.#isGone = true;
      this.#socket.end();
    }
  }
}

/** Whether a request is gRPC: `application/grpc`, with or without protobuf's name and parameters. */
function isGrpcRequest({ contentType, method }: HeaderBlock): boolean {
  return method?.text === "POST" && contentType !== null && GRPC.test(contentType.text);
}
