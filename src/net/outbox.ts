/**
 * What a socket could not take yet.
 *
 * A Bun socket's `write` takes as many bytes as the kernel's buffer has room for and drops the rest on the caller:
 * an outbox keeps that rest, in order, and writes it on when the socket's `drain` handler fires. The fast path (the
 * kernel takes everything) copies nothing and allocates nothing.
 *
 * Backpressure is the caller's part: when `write` answers false it stops reading from where the bytes come from, and
 * reads on when `flush` answers true. An outbox has no limit of its own, since its caller stops at the first byte
 * that is left over: what it holds is at most what one read brought.
 */

/** The part of Bun's socket that writing needs. */
export interface WritableSocket {
  /** Takes bytes [offset, offset + length); answers how many it took, or a negative number when it is closed. */
  write(bytes: Uint8Array, offset?: number, length?: number): number;
}

/** A queue of unsent bytes in front of one socket. */
export class Outbox {
  readonly #queue: Uint8Array[] = [];
  #pending = 0;

  /** Bytes accepted by `write` and not yet taken by the socket. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * Sends bytes [start, end). Answers true when the socket took all of them, false when some had to be queued (they
   * are copied: the caller's buffer is free again) or the socket is closed.
   */
  write(socket: WritableSocket, bytes: Uint8Array, start: number, end: number): boolean {
    if (start >= end) return this.#pending === 0;
    if (this.#pending > 0) {
      this.#push(bytes, start, end);
      return false;
    }
    const taken = socket.write(bytes, start, end - start);
    if (taken === end - start) return true;
    if (taken >= 0) this.#push(bytes, start + taken, end);
    return false;
  }

  /** Queues bytes [start, end) without trying to send: for a socket that is still connecting. */
  queue(bytes: Uint8Array, start: number, end: number): void {
    if (start < end) this.#push(bytes, start, end);
  }

  /** Sends on what is queued; call it when the socket opens or drains. True when nothing is left. */
  flush(socket: WritableSocket): boolean {
    let sent = 0;
    for (const part of this.#queue) {
      const taken = socket.write(part, 0, part.length);
      if (taken < 0) return false;
      this.#pending -= taken;
      if (taken < part.length) {
        this.#queue[sent] = part.subarray(taken);
        break;
      }
      sent++;
    }
    if (sent > 0) this.#queue.splice(0, sent);
    return this.#pending === 0;
  }

  /** Forgets what is queued: the socket is gone. */
  clear(): void {
    this.#queue.length = 0;
    this.#pending = 0;
  }

  #push(bytes: Uint8Array, start: number, end: number): void {
    this.#queue.push(bytes.slice(start, end));
    this.#pending += end - start;
  }
}
