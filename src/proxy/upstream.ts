/**
 * Connections to one target, and the framing of what comes back on them (RFC 9112 section 6).
 *
 * A connection serves one exchange at a time and goes back to its pool's stack when the answer ended cleanly; the
 * most recently used one is taken first, so that a quiet target keeps few. It is dropped, never reused, when its
 * framing is in doubt: bytes after the end, an unfinished request, a `Connection: close`.
 *
 * Failures are told to the exchange as a kind, once; what to do about them (another target, an error, a broken
 * stream) is the exchange's business.
 */
import type { UpstreamErrorKind } from "../obs/worker-counters.ts";
import { Outbox } from "../net/outbox.ts";
import type { Stream } from "../net/stream.ts";
import { ChunkScanner } from "../wire/chunks.ts";
import { PARSE_BAD, PARSE_MORE, ResponseHead } from "../wire/http1.ts";
import { nowMs } from "./clock.ts";

/** The exchange that a connection serves. */
export interface UpstreamUser {
  /** Whether the request was HEAD, whose answer has no body. */
  readonly isHead: boolean;
  /** Whether the request asks for another protocol, so that the target may switch to it. */
  readonly isUpgrade: boolean;
  /** Whether the head of an event stream is to be kept back until its first event. */
  readonly awaitsEvent: boolean;
  /** A final (not 1xx) head, parsed out of `buffer`. */
  responseHead(head: ResponseHead, buffer: Buffer): void;
  /** Bytes [start, end) of the framed body; `ended` when they are the last. */
  responseBody(buffer: Buffer, start: number, end: number, ended: boolean): void;
  /** The target failed before the answer ended. */
  upstreamFailed(kind: UpstreamErrorKind, detail: string): void;
  /** The connection is open: the request may be sent. */
  upstreamOpened(): void;
  /** What was queued towards the target is gone: more may be sent. */
  upstreamDrained(): void;
}

/** How a response's body ends. */
export const FRAMING = { none: 0, length: 1, chunked: 2, close: 3, tunnel: 4 } as const;

const AWAIT_HEAD = 0;
const IN_BODY = 1;

const NOTHING = Buffer.alloc(0);
const HEAD_LIMITS = { headBytesMax: 65_536, headersMax: 256, targetBytesMax: 8192 };

/** The parser of every head that comes in one piece, which is nearly every one. */
const sharedHead = new ResponseHead(HEAD_LIMITS);

/** Where a connection goes when its exchange has ended, and what must know when it is gone. */
export interface ConnectionHome {
  put(connection: UpstreamConnection): void;
  /** It only sends what is left to send, and closes: to be given up if that takes too long. */
  leaving(connection: UpstreamConnection): void;
  gone(connection: UpstreamConnection): void;
}

export class UpstreamConnection {
  readonly #home: ConnectionHome;
  readonly #outbox = new Outbox();
  #stream: Stream<UpstreamConnection> | null = null;
  #user: UpstreamUser | null = null;
  #closed = false;
  #phase = AWAIT_HEAD;
  #framing: number = FRAMING.none;
  #left = 0;
  #chunks: ChunkScanner | null = null;
  #partial: Buffer | null = null;
  /** The parser of a head that comes in pieces: it looks at no byte twice. */
  #head: ResponseHead | null = null;
  #reusable = true;
  #paused = false;
  /** Our half is ended as soon as what is queued is sent. */
  #isEnding = false;
  /** Exchanges begun on this connection. */
  uses = 0;
  /** The attempt to connect is over, one way or the other: until then it holds a descriptor. */
  settled = false;
  /** It counts against the pool's limit. */
  counted = true;
  /** Ends the attempt to connect, where that is possible. */
  giveUp: () => void = () => {};
  /** When it was opened, or last put back; for timeouts. */
  sinceMs: number;

  constructor(home: ConnectionHome) {
    this.#home = home;
    this.sinceMs = nowMs();
  }

  get open(): boolean {
    return this.#stream !== null && !this.#closed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get framing(): number {
    return this.#framing;
  }

  /** The chunk scanner of a chunked answer, for its data spans and boundaries. */
  get chunks(): ChunkScanner | null {
    return this.#framing === FRAMING.chunked ? this.#chunks : null;
  }

  /** Begins an exchange: the connection is the user's until it ends, fails or is released. */
  begin(user: UpstreamUser): void {
    this.#user = user;
    this.#head = null;
    this.#phase = AWAIT_HEAD;
    this.#reusable = true;
    this.uses++;
  }

  /** Sends bytes to the open target; false when some had to be queued (stop reading until `upstreamDrained`). */
  send(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#stream !== null && this.#outbox.write(this.#stream, bytes, start, end);
  }

  /** Stops or goes on reading from the target: the client is slower than it. */
  pause(): void {
    if (this.#paused || this.#stream === null) return;
    this.#paused = true;
    this.#stream.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#stream?.resume();
  }

  /** Our half of a tunnel has ended, and the target's has not. */
  get isHalfEnded(): boolean {
    return this.#isEnding && this.#user !== null && this.#outbox.pending === 0;
  }

  /** Ends our half of a tunnel behind all that was sent; the target's goes on. */
  endHalf(): void {
    this.#isEnding = true;
    if (this.#outbox.pending === 0) this.#stream?.shutdown();
  }

  /**
   * Ends the use of this connection: back to the pool where `clean` and the target allows it, else closed; a tunnel
   * that is over on both sides (`clean` too) in order, behind all that was sent.
   */
  release(clean: boolean): void {
    this.#user = null;
    if (clean && this.#reusable && !this.#closed && this.#outbox.pending === 0) {
      this.resume();
      this.#home.put(this);
    } else if (clean && this.#framing === FRAMING.tunnel && !this.#closed) {
      this.#isEnding = true;
      this.sinceMs = nowMs();
      if (this.#outbox.pending === 0) this.#leave();
      else this.#home.leaving(this);
    } else {
      this.abort();
    }
  }

  #leave(): void {
    this.#closed = true;
    this.#stream?.end();
    this.#home.gone(this);
  }

  /** Closes at once, telling nobody. */
  abort(): void {
    this.#user = null;
    if (this.#closed) return;
    this.#closed = true;
    this.#outbox.clear();
    if (this.#stream === null) this.giveUp();
    else this.#stream.terminate();
    this.#home.gone(this);
  }

  // ---- socket events

  opened(stream: Stream<UpstreamConnection>): void {
    if (this.#closed) {
      stream.terminate();
      return;
    }
    this.#stream = stream;
    this.#user?.upstreamOpened();
  }

  drained(): void {
    if (this.#stream === null || !this.#outbox.flush(this.#stream)) return;
    if (!this.#isEnding) this.#user?.upstreamDrained();
    else if (this.#user === null) this.#leave();
    else this.#stream.shutdown();
  }

  /**
   * The target closed its side in order: that is how an answer without a length ends, and one half of a tunnel. Answers
   * whether our half is not over with that.
   */
  finished(): boolean {
    const user = this.#user;
    const endsSo = this.#framing === FRAMING.close || this.#framing === FRAMING.tunnel;
    if (user === null || this.#phase !== IN_BODY || !endsSo) {
      this.lost("reset", "it closed the connection");
      return false;
    }
    this.#reusable = false;
    user.responseBody(NOTHING, 0, 0, true);
    return this.#framing === FRAMING.tunnel;
  }

  /** The socket is gone, or never came to be. */
  lost(kind: UpstreamErrorKind, detail: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#outbox.clear();
    if (this.#stream === null) this.giveUp();
    else this.#stream.terminate();
    this.#home.gone(this);
    const user = this.#user;
    this.#user = null;
    user?.upstreamFailed(this.#phase === IN_BODY ? "truncated" : kind, detail);
  }

  /** Bytes [start, end) came; the buffer is the transport's. */
  received(bytes: Buffer, start: number, end: number): void {
    if (this.#user === null) {
      this.abort();
      return;
    }
    if (this.#phase === IN_BODY) {
      this.#readBody(bytes, start, end);
      return;
    }
    let buffer = bytes;
    let at = start;
    let stop = end;
    if (this.#partial !== null) {
      buffer = Buffer.concat([this.#partial, bytes.subarray(start, end)]);
      this.#partial = null;
      at = 0;
      stop = buffer.length;
    }
    at = this.#readHead(buffer, at, stop);
    if (at >= 0) this.#readBody(buffer, at, stop);
  }

  /** Reads heads until a final one; answers where the body begins, or -1 when there is nothing to go on with. */
  #readHead(buffer: Buffer, start: number, end: number): number {
    let at = start;
    let head = this.#head ?? sharedHead;
    if (this.#head === null) head.reset();
    for (;;) {
      const result = head.parse(buffer, at, end);
      if (result === PARSE_MORE) {
        this.#partial = Buffer.from(buffer.subarray(at, end));
        if (at > start || this.#head === null) {
          this.#head = new ResponseHead(HEAD_LIMITS);
          this.#head.parse(this.#partial, 0, this.#partial.length);
        }
        return -1;
      }
      const isSwitch = head.status === 101 && this.#user?.isUpgrade === true;
      if (result === PARSE_BAD || (head.status === 101 && !isSwitch)) {
        this.#fail("bad-response", result === PARSE_BAD ? head.badReason : "it switched protocols unasked");
        return -1;
      }
      at = head.headEnd;
      if (head.status >= 200 || isSwitch) break;
      head = sharedHead;
      head.reset();
    }
    this.#head = null;
    const user = this.#user;
    if (user === null) return -1;
    if (user.awaitsEvent && head.eventStream && isBeforeEvent(buffer, at, end)) {
      // As if the head were not whole yet: it is read again with what follows.
      this.#partial = Buffer.from(buffer.subarray(start, end));
      return -1;
    }
    this.#phase = IN_BODY;
    this.#reusable = head.keepAlive;
    if (head.status === 101) {
      this.#framing = FRAMING.tunnel;
      this.#reusable = false;
    } else if (user.isHead || head.status === 204 || head.status === 304) {
      this.#framing = FRAMING.none;
    } else if (head.chunked) {
      this.#framing = FRAMING.chunked;
      this.#chunks ??= new ChunkScanner();
      this.#chunks.reset();
    } else if (head.contentLength >= 0) {
      this.#framing = FRAMING.length;
      this.#left = head.contentLength;
    } else {
      this.#framing = FRAMING.close;
      this.#reusable = false;
    }
    user.responseHead(head, buffer);
    return this.#user === null ? -1 : at;
  }

  #readBody(buffer: Buffer, start: number, stop: number): void {
    const user = this.#user;
    if (user === null) return;
    let end = stop;
    let ended = false;
    switch (this.#framing) {
      case FRAMING.none:
        end = start;
        ended = true;
        break;
      case FRAMING.length:
        if (end - start >= this.#left) {
          end = start + this.#left;
          ended = true;
        }
        this.#left -= end - start;
        break;
      case FRAMING.chunked: {
        const result = this.#chunks?.push(buffer, start, end) ?? -2;
        if (result === -2) {
          this.#fail("truncated", "its chunked framing is broken");
          return;
        }
        if (result >= 0) {
          end = result;
          ended = true;
        }
        break;
      }
      default:
        break;
    }
    if (end < stop) this.#reusable = false;
    user.responseBody(buffer, start, end, ended);
  }

  #fail(kind: UpstreamErrorKind, detail: string): void {
    const user = this.#user;
    this.abort();
    user?.upstreamFailed(kind, detail);
  }
}

/** Whether an event stream's body, as far as it came, holds no event yet, nor its end. */
function isBeforeEvent(buffer: Buffer, start: number, end: number): boolean {
  const body = buffer.subarray(start, end);
  return body.length < HEAD_LIMITS.headBytesMax && !body.includes("data:") && !body.includes("0\r\n\r\n");
}
