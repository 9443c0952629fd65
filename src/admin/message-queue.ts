/**
 * The messages of a gRPC stream, from pieces of its body to whoever takes them one by one. The sender's window is given
 * back for what is taken, and at once for a message that is still to be put together, which may be longer than the
 * window; so at most a window is held beside one message.
 */
import { MESSAGE_HEAD_BYTES, messageLength } from "../wire/grpc-framing.ts";

export interface Consumer {
  /** So many bytes more may be sent. */
  consume(bytes: number): void;
  /** So many bytes more are kept here, or fewer. */
  holds(change: number): void;
}

export interface Received {
  readonly bytes: Uint8Array;
  /** The byte before its length: 0, or 1 for a compressed one; what else there is means nothing. */
  readonly flags: number;
}

/** A longer buffer is not kept when there is nothing in it. */
const IDLE_BYTES_MAX = 16_384;

export class MessageQueue {
  readonly #consumer: Consumer;
  /** What came and was not taken: bytes [start, end). */
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  /** What of it the sender was not given back. */
  #held = 0;
  #isEnded = false;
  #isClosed = false;
  #waiting: ((message: Received | null) => void) | null = null;

  constructor(consumer: Consumer) {
    this.#consumer = consumer;
  }

  /** The length that the next message tells; -1 while its head is not here. */
  get nextLength(): number {
    return messageLength(this.#bytes, this.#start, this.#end);
  }

  /** A message is here, whole. */
  get hasNext(): boolean {
    return this.#isWhole();
  }

  push(bytes: Uint8Array, start: number, end: number): void {
    if (this.#isClosed) return;
    this.#reserve(end - start);
    this.#bytes.set(bytes.subarray(start, end), this.#end);
    this.#end += end - start;
    this.#held += end - start;
    this.#consumer.holds(end - start);
    if (!this.#isWhole()) this.#giveBack();
    else this.#serve();
  }

  /** Nothing comes any more; false when that is in the middle of a message. */
  end(): boolean {
    this.#isEnded = true;
    let at = this.#start;
    while (at < this.#end) {
      const length = messageLength(this.#bytes, at, this.#end);
      at += length < 0 ? Infinity : MESSAGE_HEAD_BYTES + length;
    }
    if (at !== this.#end) return false;
    this.#serve();
    return true;
  }

  /** Nothing is taken any more. */
  close(): void {
    this.#isClosed = true;
    this.#consumer.holds(this.#start - this.#end);
    this.#bytes = new Uint8Array(0);
    this.#start = 0;
    this.#end = 0;
    this.#giveBack();
    this.#serve();
  }

  /** The next message, or null behind the last; one may wait at a time. */
  async next(): Promise<Received | null> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#serve();
    });
  }

  #isWhole(): boolean {
    const length = this.nextLength;
    return length >= 0 && this.#end - this.#start >= MESSAGE_HEAD_BYTES + length;
  }

  #serve(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    if (this.#isWhole()) {
      this.#waiting = null;
      const at = this.#start + MESSAGE_HEAD_BYTES;
      const flags = this.#bytes[this.#start] ?? 0;
      const bytes = this.#bytes.slice(at, at + this.nextLength);
      this.#start = at + bytes.length;
      this.#consumer.holds(-MESSAGE_HEAD_BYTES - bytes.length);
      if (this.#start === this.#end) {
        this.#start = 0;
        this.#end = 0;
        if (this.#bytes.length > IDLE_BYTES_MAX) this.#bytes = new Uint8Array(0);
      }
      if (!this.#isWhole()) this.#giveBack();
      waiting({ bytes, flags });
    } else if (this.#isEnded || this.#isClosed) {
      this.#waiting = null;
      waiting(null);
    }
  }

  #giveBack(): void {
    const held = this.#held;
    this.#held = 0;
    if (held > 0) this.#consumer.consume(held);
  }

  #reserve(more: number): void {
    const length = this.#end - this.#start;
    if (this.#end + more <= this.#bytes.length) return;
    const room = length + more <= this.#bytes.length / 2 ? this.#bytes.length : Math.max(1024, 2 * (length + more));
    const wider = new Uint8Array(room);
    wider.set(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = wider;
    this.#start = 0;
    this.#end = length;
  }
}
