/** One stream of an HTTP/2 connection (RFC 9113 section 5): its state, its windows, and what waits to be sent on it. */
import type { HeaderBlock } from "./header-block.ts";
import { copyBytes, copyOf } from "./octets.ts";

/** What small pieces of a body wait in together: each by itself would cost many times its bytes. */
const JOINED_BYTES = 4096;

/** Who a stream is for. Every call may send on the stream or reset it. */
export interface StreamOwner {
  /** The final head of an answer; `ended`: there is nothing after it. In the client's role only. */
  answered(stream: Http2Stream, block: HeaderBlock, ended: boolean): void;
  /**
   * Bytes [start, end) of the body; the buffer is free again afterwards. They count against the peer's windows until
   * the connection's `consume` is called for them.
   */
  body(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void;
  /** Trailers, which end what the peer sends. */
  trailers(stream: Http2Stream, block: HeaderBlock): void;
  /** All that had to wait was sent. */
  writable(stream: Http2Stream): void;
  /**
   * The stream is over before its time: reset by the peer, faulty, or gone with its connection. `untouched`: the peer
   * has done nothing about it, so that it may be tried again whatever it was.
   */
  lost(stream: Http2Stream, code: number, untouched: boolean): void;
  /** Time passed: what takes too long may be ended. */
  wake?(nowMs: number): void;
}

/** A piece of a body that found no window, or trailers behind one. */
export interface QueuedPiece {
  /** Bytes [start, end) wait; behind them there may be room for more. */
  readonly bytes: Uint8Array;
  start: number;
  end: number;
  ended: boolean;
  readonly isHead: boolean;
}

export class Http2Stream {
  readonly id: number;
  owner: StreamOwner;
  /** What we may still send, and what the peer may. */
  sendWindow: number;
  receiveWindow: number;
  /** Bytes given to the owner and not consumed yet. */
  unconsumed = 0;
  /** Bytes consumed, whose window the peer was not given back yet. */
  ungranted = 0;
  /** Our side, and the peer's, has sent its last frame. */
  localEnded = false;
  remoteEnded = false;
  /** The connection has forgotten it. */
  gone = false;
  /** The head of the answer has come. */
  isAnswered = false;
  /** Bytes of the body still to come by its Content-Length; -1: none was given. */
  contentLeft = -1;
  /** Null while nothing waits. */
  queue: QueuedPiece[] | null = null;

  constructor(id: number, owner: StreamOwner, sendWindow: number, receiveWindow: number) {
    this.id = id;
    this.owner = owner;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }
  /** Puts a copy of bytes [start, end) behind what waits. */
  enqueue(bytes: Uint8Array, start: number, end: number, ended: boolean, isHead: boolean): void {
    const queue = (this.queue ??= []);
    const length = end - start;
    const last = isHead ? undefined : queue.at(-1);
    const joins = last !== undefined && !last.isHead && !last.ended;
    if (joins && last.end + length <= last.bytes.length) {
      last.end = copyBytes(bytes, start, end, last.bytes, last.end);
      last.ended = ended;
    } else if (joins && length < JOINED_BYTES / 2) {
      const roomy = new Uint8Array(JOINED_BYTES);
      queue.push({ bytes: roomy, start: 0, end: copyBytes(bytes, start, end, roomy, 0), ended, isHead });
    } else {
      queue.push({ bytes: copyOf(bytes, start, end), start: 0, end: length, ended, isHead });
    }
  }
}
