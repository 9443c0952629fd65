/** A TCP stream, and a listener, of the epoll lane: what each does with the events that epoll.ts hands it. */
import type { SocketCalls } from "./socket-calls.ts";
import type { Stream, StreamHandlers } from "./stream.ts";
import { EPOLL, ERRNO, errnoName } from "./linux.ts";

/** The lane as its streams see it. */
export interface Loop {
  readonly calls: SocketCalls;
  /** Hands events of `interest` to `ready` from now on. */
  watch(fd: number, interest: number, ready: Ready): void;
  watches(fd: number): boolean;
  change(fd: number, interest: number): void;
  unwatch(fd: number): void;
  /** No event speaks of the descriptor any more; it is closed at the end of the turn. */
  release(fd: number): void;
  /** Gives the stream up if it still lingers after a while. */
  linger(stream: Lingering): void;
  /** Calls this at the end of the turn. */
  later(tell: () => void): void;
}

const { IN, OUT, ERR, HUP, RDHUP } = EPOLL;
/** Connections accepted in one turn, so that a flood of them does not starve the others. */
const ACCEPTS_MAX = 128;
/** How long accepting rests when the process has no descriptor, or the system no memory, left. */
const EXHAUSTED_MS = 100;

const CONNECTING = 0;
const OPEN = 1;
/** Ended by us in order; what comes in is thrown away. */
const LINGERING = 2;
const CLOSED = 3;

/** What the loop calls when a descriptor is ready. */
export interface Ready {
  ready(events: number): void;
}

/** A stream that has ended in order, and waits for the other side. */
export interface Lingering {
  lingersUntilMs: number;
  giveUp(): void;
}

export class EpollStream<T> implements Stream<T>, Ready, Lingering {
  data: T;
  readonly fd: number;
  readonly #loop: Loop;
  readonly #handlers: StreamHandlers<T>;
  readonly #remote: string | undefined;
  readonly #settled: (() => void) | null;
  #state: number;
  #interest: number;
  #paused = false;
  #wantsRoom = false;
  #ended = false;
  /** A write met an error, which the kernel tells once: what looks like an end from now on is none. */
  #isBroken = false;
  lingersUntilMs = 0;

  constructor(
    loop: Loop,
    fd: number,
    data: T,
    handlers: StreamHandlers<T>,
    remote: string | undefined,
    settled: (() => void) | null,
  ) {
    this.#loop = loop;
    this.fd = fd;
    this.data = data;
    this.#handlers = handlers;
    this.#remote = remote;
    this.#settled = settled;
    this.#state = settled === null ? OPEN : CONNECTING;
    this.#interest = settled === null ? IN | RDHUP : OUT;
    loop.watch(fd, this.#interest, this);
  }

  get remoteAddress(): string | undefined {
    return this.#remote;
  }

  write(bytes: Uint8Array, offset = 0, length = bytes.length - offset): number {
    if (this.#state !== OPEN) return -1;
    const taken = this.#loop.calls.send(this.fd, bytes, offset, length);
    if (taken === length) return taken;
    const code = taken < 0 ? this.#loop.calls.errno() : 0;
    if (code === 0 || code === ERRNO.EAGAIN || code === ERRNO.EINTR) {
      this.#wantsRoom = true;
      this.#listen();
    } else if (code !== ERRNO.EPIPE) {
      // An event tells of it in a moment; until then nothing was taken. After an orderly end it would have been EPIPE.
      this.#isBroken = true;
    }
    return Math.max(0, taken);
  }

  pause(): void {
    this.#paused = true;
    this.#listen();
  }

  resume(): void {
    this.#paused = false;
    this.#listen();
  }

  shutdown(): void {
    if (this.#state === OPEN) this.#loop.calls.shutdown(this.fd);
  }

  end(): void {
    if (this.#state !== OPEN) return;
    if (this.#ended) {
      this.#close();
      return;
    }
    this.#loop.calls.shutdown(this.fd);
    this.#state = LINGERING;
    this.#paused = false;
    this.#wantsRoom = false;
    this.#listen();
    this.#loop.linger(this);
    this.#loop.later(() => this.#handlers.close(this));
  }

  terminate(): void {
    if (this.#state === CLOSED) return;
    const isTold = this.#state === LINGERING;
    this.#loop.calls.reset(this.fd);
    this.#close(isTold);
  }

  /** Gives up what still lingers, or connects. */
  giveUp(): void {
    if (this.#state === LINGERING) this.#close(true);
    else if (this.#state === CONNECTING) this.#fail(null);
  }

  ready(events: number): void {
    switch (this.#state) {
      case CONNECTING:
        this.#connected();
        return;
      case OPEN:
        if ((events & OUT) !== 0 && this.#wantsRoom) {
          this.#wantsRoom = false;
          this.#listen();
          this.#handlers.drain(this);
        }
        if (this.#state !== OPEN || (events & (IN | ERR | HUP | RDHUP)) === 0) return;
        if ((this.#paused || this.#ended) && (events & ERR) === 0 && !this.#isBroken) {
          // Bytes that came before the pause stay where they are.
          if ((events & HUP) === 0) return;
          // Both halves are over, which the kernel tells again and again: if there is more, it is heard on resuming.
          this.#loop.unwatch(this.fd);
          this.#interest = 0;
          return;
        }
        this.#read();
        return;
      case LINGERING:
        this.#discard(events);
        break;
      default:
    }
  }

  #connected(): void {
    const code = this.#loop.calls.errorOf(this.fd);
    if (code !== 0) {
      this.#fail(new Error(`no connection: ${errnoName(code)}`));
      return;
    }
    this.#state = OPEN;
    this.#listen();
    this.#settled?.();
    this.#handlers.open(this);
  }

  #fail(error: Error | null): void {
    this.#state = CLOSED;
    this.#loop.release(this.fd);
    this.#settled?.();
    if (error !== null) this.#handlers.connectError(this, error);
  }

  #read(): void {
    const loop = this.#loop;
    const count = loop.calls.receive(this.fd);
    if (count > 0) {
      this.#handlers.data(this, loop.calls.buffer, 0, count);
    } else if (count === 0) {
      // A reset after an end is read as another end.
      if (this.#isBroken || this.#ended) {
        this.#close();
        return;
      }
      this.#ended = true;
      this.#listen();
      this.#handlers.end(this);
    } else {
      const code = loop.calls.errno();
      if (code !== ERRNO.EAGAIN && code !== ERRNO.EINTR) this.#close();
    }
  }

  #discard(events: number): void {
    const count = this.#loop.calls.receive(this.fd);
    const isOver =
      count === 0 || (count < 0 && this.#loop.calls.errno() !== ERRNO.EAGAIN) || (events & (ERR | HUP)) !== 0;
    if (isOver) this.#close(true);
  }

  /** Tells the kernel what to tell us of. */
  #listen(): void {
    if (this.#state === CLOSED || this.#state === CONNECTING) return;
    const reads = this.#paused || this.#ended ? 0 : IN | RDHUP;
    const interest = reads | (this.#wantsRoom ? OUT : 0);
    if (interest === this.#interest) return;
    if (this.#interest === 0 && !this.#loop.watches(this.fd)) this.#loop.watch(this.fd, interest, this);
    else this.#loop.change(this.fd, interest);
    this.#interest = interest;
  }

  #close(isTold = false): void {
    this.#state = CLOSED;
    this.#loop.release(this.fd);
    if (!isTold) this.#loop.later(() => this.#handlers.close(this));
  }
}

export class EpollListener<T> implements Ready {
  readonly fd: number;
  readonly #loop: Loop;
  readonly #handlers: StreamHandlers<T>;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(loop: Loop, fd: number, handlers: StreamHandlers<T>) {
    this.#loop = loop;
    this.fd = fd;
    this.#handlers = handlers;
    loop.watch(fd, IN, this);
  }

  ready(): void {
    for (let i = 0; i < ACCEPTS_MAX; i++) {
      const fd = this.#loop.calls.accept(this.fd);
      if (fd < 0) {
        const code = this.#loop.calls.errno();
        // Nobody waits, or who waited has gone; else descriptors or memory are short.
        if (code !== ERRNO.EAGAIN && code !== ERRNO.EINTR && code !== ERRNO.ECONNABORTED) this.#rest();
        return;
      }
      const remote = this.#loop.calls.acceptedFrom();
      // The handlers give it its state as it opens.
      this.#handlers.open(new EpollStream<T>(this.#loop, fd, undefined as T, this.#handlers, remote, null));
    }
  }

  /** Its descriptor is about to be given back: the number may mean something else then. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Without a descriptor for it, a connection would wait and wake us for ever. */
  #rest(): void {
    this.#loop.unwatch(this.fd);
    this.#timer = setTimeout(() => this.#loop.watch(this.fd, IN, this), EXHAUSTED_MS);
  }
}
