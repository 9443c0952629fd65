/**
 * Connections whose TLS handshake is not done yet, of all ports of a thread: nobody has answered for them, so how many
 * there may be and how long they may take is bounded here. A client that says nothing, or a byte now and then, would
 * otherwise hold a descriptor for ever, beside the limit of connections.
 *
 * One that finds no room is closed at once, and so is one that takes too long: what could be answered before a
 * handshake, nobody would read.
 */

/** The part of a socket that this needs. */
export interface Pending {
  destroy(): void;
}

export interface HandshakeLimits {
  /** Whether another connection may begin. */
  hasRoom(): boolean;
  /** How long a handshake may take in all. */
  readonly timeoutMs: number;
}

export class Handshakes {
  readonly #limits: HandshakeLimits;
  /** When each began, oldest first. */
  readonly #begun = new Map<Pending, number>();

  /** `limits` may change while it works. */
  constructor(limits: HandshakeLimits) {
    this.#limits = limits;
  }

  /** Connections in a handshake. */
  get size(): number {
    return this.#begun.size;
  }

  /** A connection came; false: it is closed, since there is no room for it. */
  begin(socket: Pending, nowMs: number): boolean {
    if (!this.#limits.hasRoom()) {
      socket.destroy();
      return false;
    }
    this.#begun.set(socket, nowMs);
    return true;
  }

  /** Its handshake is done, or it is gone; false: it was not in one. */
  end(socket: Pending): boolean {
    return this.#begun.delete(socket);
  }

  /** Closes those that take too long; call it now and then. */
  expire(nowMs: number): void {
    for (const [socket, sinceMs] of this.#begun) {
      if (nowMs - sinceMs < this.#limits.timeoutMs) return;
      this.#begun.delete(socket);
      socket.destroy();
    }
  }
}
