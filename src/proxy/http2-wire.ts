/**
 * The socket of an HTTP/2 connection: what the connection has to send goes out in one write at the end of the turn in
 * which it arose, for all connections of the worker together. A socket that takes less than it was given gets the rest
 * when it drains; until then the connection's bodies wait in their streams.
 */
import type { Http2Connection } from "../wire/http2-connection.ts";
import { nowMs } from "./clock.ts";

/** The part of a socket that sending needs; Bun's, or one that wraps it. */
export interface Http2Socket {
  /** Takes bytes [offset, offset + length); answers how many it took, or a negative number when it is closed. */
  write(bytes: Uint8Array, offset: number, length: number): number;
  /** Ends the connection once what was written is sent. */
  end(): void;
}

/** A client's connection, as its streams see it. */
export interface ClientSide {
  readonly connection: Http2Connection;
  readonly wire: Http2Wire;
  /** `x-forwarded-for` with the client's address, as an encoded field. */
  readonly forwardedFor: Uint8Array;
}

/** Wires with something to send in this turn. */
let dirty: Http2Wire[] = [];
let spare: Http2Wire[] = [];
let isScheduled = false;

export class Http2Wire {
  readonly #connection: Http2Connection;
  #socket: Http2Socket | null = null;
  #isDirty = false;
  #isFull = false;
  /** Since when the socket takes no more. */
  #fullMs = 0;

  constructor(connection: Http2Connection) {
    this.#connection = connection;
  }

  /** The socket is open. */
  attach(socket: Http2Socket): void {
    this.#socket = socket;
    this.schedule();
  }

  /** The socket is gone. */
  detach(): void {
    this.#socket = null;
  }

  /** Something may be there to send: it goes out at the turn's end. */
  schedule(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    dirty.push(this);
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(flushAll);
  }

  /** The socket takes bytes again. */
  drained(): void {
    this.#isFull = false;
    this.flush();
  }

  /** How long the socket has taken nothing that waits for it. */
  stalledMs(now: number): number {
    return this.#isFull ? now - this.#fullMs : 0;
  }

  flush(): void {
    this.#isDirty = false;
    const socket = this.#socket;
    const { output } = this.#connection;
    if (socket === null) return;
    while (!this.#isFull && output.pending > 0) {
      const taken = socket.write(output.bytes, output.start, output.pending);
      if (taken < 0) {
        // Its end is told by the socket's own event.
        output.clear();
        return;
      }
      this.#isFull = taken < output.pending;
      if (this.#isFull) this.#fullMs = nowMs();
      output.sent(taken);
      if (!this.#isFull) this.#connection.drained();
    }
    if (this.#connection.isClosed && output.pending === 0) {
      this.#socket = null;
      socket.end();
    }
  }
}

function flushAll(): void {
  isScheduled = false;
  const wires = dirty;
  dirty = spare;
  for (const wire of wires) wire.flush();
  wires.length = 0;
  spare = wires;
}
