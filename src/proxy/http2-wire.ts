/**
 * The socket of an HTTP/2 connection: what the connection has to send goes out in one write at the end of the turn in
 * which it arose, for all connections of the worker together. A socket that takes less than it was given gets the rest
 * when it drains; until then the connection's bodies wait in their streams.
 */
import type { HeaderBlock } from "../wire/header-block.ts";
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
  /** Where the client is. */
  readonly address: string;
  /** Its calls are reset often: they go on connections apart. */
  readonly isRestless: boolean;
  /** A call of its was reset at its target. */
  callReset(): void;
  /** The encoded fields that tell a target of it, for a call with this head. */
  forwarded(head: HeaderBlock): Uint8Array;
}

/** The wires of one worker that have something to send in this turn. */
export class Wires {
  /** Calls once at the end of the turn. */
  readonly atTurnEnd: (tell: () => void) => void;
  #dirty: Http2Wire[] = [];
  #spare: Http2Wire[] = [];
  #isScheduled = false;

  constructor(atTurnEnd: (tell: () => void) => void) {
    this.atTurnEnd = atTurnEnd;
  }

  add(wire: Http2Wire): void {
    this.#dirty.push(wire);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.atTurnEnd(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isScheduled = false;
    const wires = this.#dirty;
    this.#dirty = this.#spare;
    for (const wire of wires) wire.flush();
    wires.length = 0;
    this.#spare = wires;
  };
}

export class Http2Wire {
  readonly #wires: Wires;
  readonly #connection: Http2Connection;
  #socket: Http2Socket | null = null;
  #isDirty = false;
  #isFull = false;
  /** Since when the socket takes no more. */
  #fullMs = 0;

  constructor(wires: Wires, connection: Http2Connection) {
    this.#wires = wires;
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
    this.#wires.add(this);
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
