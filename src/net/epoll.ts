/**
 * The epoll lane: TCP streams by libc's own calls, for a third less CPU than Bun's sockets take beside the kernel's part.
 *
 * What it saves: a buffer for each read (all streams read into one), Bun's bookkeeping for each event, and the way from
 * native code into JavaScript for each of them; one turn of the loop handles what one `epoll_wait` brings.
 *
 * It shares its thread with Bun's event loop, which goes on with messages, timers, TLS and DNS: Bun's own epoll
 * descriptor is nested in this one, so that waiting here is waiting for both. When Bun has something to do, or a slice of
 * time has passed, control goes back to Bun by `setImmediate`, and from there comes here again. So a timer of this thread
 * may be late by IDLE_MS (unless `wakeAt` tells of it), and what a handler leaves to microtasks waits for the end of the
 * slice, unless it asks to `breathe`.
 *
 * A closed descriptor is given back to the kernel only at the end of a turn: its number can't mean another stream while
 * events of the turn still speak of the old one. A stream that ends in order throws away what comes in until the other
 * side has ended too, or LINGER_MS: closing at once would reset the connection, and lose what was written last.
 *
 * Limits: Linux on x64 and arm64; 65,536 bytes a read. An exception of a handler is a bug: all streams are closed, and
 * it goes on up, which ends the thread.
 */
import { ptr } from "bun:ffi";
import type { Pointer } from "bun:ffi";
import { MeshError } from "../base/errors.ts";
import { EpollListener, EpollStream, type Lingering, type Loop, type Ready } from "./epoll-stream.ts";
import { parseIpv4, parseIpv6 } from "./ip.ts";
import { type Libc, openLibc, socketAddress, unixAddress } from "./libc.ts";
import { EPOLL, ERRNO, errnoName, isExhaustion } from "./linux.ts";
import { ownEpoll } from "./own-epoll.ts";
import { SocketCalls } from "./socket-calls.ts";
import { Exhausted, isUnixPath } from "./stream.ts";
import type { IpPlace, Stream, StreamHandlers, Transport } from "./stream.ts";

const EVENTS_MAX = 512;
/** How long the lane keeps the thread before Bun's loop has its turn. */
const SLICE_MS = 5;
/** Longest wait for events: Bun's timers are looked at this often at least. */
const IDLE_MS = 100;
const LINGER_MS = 2000;

/** struct epoll_event is packed on x64 alone. */
const IS_PACKED = process.arch === "x64";
const EVENT_WORDS = IS_PACKED ? 3 : 4;
const DATA_WORD = IS_PACKED ? 1 : 2;

export class EpollTransport implements Transport, Loop {
  readonly kind = "epoll";
  readonly #libc: Libc;
  readonly calls: SocketCalls;
  readonly #epoll: number;
  readonly #bunEpoll: number;
  readonly #events = new Int32Array(new ArrayBuffer(EVENTS_MAX * 16));
  readonly #event = new Int32Array(new ArrayBuffer(16));
  readonly #eventsAt: Pointer;
  readonly #eventAt: Pointer;
  /**
   * Descriptors that are this lane's to close, whether they are watched or rest: no more than these, since the number of
   * any other may be another thread's stream.
   */
  readonly #held = new Set<number>();
  /** By descriptor. */
  readonly #watched: (Ready | undefined)[] = [];
  readonly #lingering = new Set<Lingering>();
  /** Descriptors to be given back, and what is to be told, at the end of the turn. */
  #released: number[] = [];
  #tellLater: (() => void)[] = [];
  #destroyed = false;
  #wakeAtMs = Infinity;
  /** Bun's loop is wanted at the end of the turn. */
  #isBreathing = false;

  readonly #idleMs: number;
  readonly #onTurn: (isTurn: boolean) => void;

  private constructor(c: Libc, epoll: number, bunEpoll: number, idleMs: number, onTurn: (isTurn: boolean) => void) {
    this.#libc = c;
    this.#idleMs = idleMs;
    this.#onTurn = onTurn;
    this.calls = new SocketCalls(c);
    this.#epoll = epoll;
    this.#bunEpoll = bunEpoll;
    this.#eventsAt = ptr(this.#events);
    this.#eventAt = ptr(this.#event);
    this.#control(EPOLL.ADD, bunEpoll, EPOLL.IN);
    setImmediate(this.#run);
  }

  /**
   * The lane of this thread, where Bun's timers may be `idleMs` late; or why there can be none. `onTurn` is told when the
   * events of a turn are about to be handled (true), and when they are (false).
   */
  static open(
    onTurn: (isTurn: boolean) => void = () => {},
    idleMs: number = IDLE_MS,
  ): EpollTransport | { readonly reason: string } {
    if (process.platform !== "linux" || (process.arch !== "x64" && process.arch !== "arm64")) {
      return { reason: `no epoll on ${process.platform} ${process.arch}` };
    }
    const c = openLibc();
    if (c === null) return { reason: "libc can't be opened" };
    const bunEpoll = ownEpoll();
    if (bunEpoll < 0) return { reason: "the descriptor of this thread's event loop was not found" };
    const epoll = c.epoll_create1(EPOLL.CLOEXEC);
    if (epoll < 0) return { reason: "epoll_create1 failed: out of file descriptors?" };
    return new EpollTransport(c, epoll, bunEpoll, idleMs, onTurn);
  }

  adopt<T>(fd: number, handlers: StreamHandlers<T>): () => void {
    const listener = new EpollListener<T>(this, fd, handlers);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      listener.stop();
      // All was closed by then, and the number may be another's.
      if (this.#destroyed) return;
      this.release(listener.fd);
      this.#settle();
    };
  }

  connect<T>(place: IpPlace, data: T, handlers: StreamHandlers<T>, settled: () => void): () => void {
    const name = addressOf(place);
    const fd = this.calls.open(name);
    if (fd < 0) {
      return this.#failLater("no socket", this.calls.errno(), data, handlers, settled);
    }
    const isUnderWay = this.#libc.connect(fd, name, name.length) === 0 || this.calls.errno() === ERRNO.EINPROGRESS;
    if (!isUnderWay) {
      // It is never watched: the kernel would tell of a socket that was never connected as of one that is ready.
      const code = this.calls.errno();
      this.#libc.close(fd);
      return this.#failLater("no connection", code, data, handlers, settled);
    }
    const stream = new EpollStream<T>(this, fd, data, handlers, place.host, settled);
    return () => stream.giveUp();
  }

  /** Tells of a connection that failed at once, when this turn is over, unless it is given up before. */
  #failLater<T>(what: string, code: number, data: T, handlers: StreamHandlers<T>, settled: () => void): () => void {
    const reason = `${what}: ${errnoName(code)}`;
    const error = isExhaustion(code) ? new Exhausted(reason) : new Error(reason);
    let isOver = false;
    const end = (isTold: boolean): void => {
      if (isOver) return;
      isOver = true;
      settled();
      if (isTold) handlers.connectError({ data } as Stream<T>, error);
    };
    this.later(() => end(true));
    return () => end(false);
  }

  breathe(): void {
    this.#isBreathing = true;
  }

  wakeAt(atMs: number): void {
    this.#wakeAtMs = atMs;
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const fd of this.#held) this.calls.reset(fd);
    for (const fd of this.#held) this.#libc.close(fd);
    this.#held.clear();
    for (const fd of this.#released) this.#libc.close(fd);
    this.#watched.length = 0;
    this.#released = [];
    this.#libc.close(this.#epoll);
  }

  // ---- the loop

  readonly #run = (): void => {
    if (this.#destroyed) return;
    const now = performance.now();
    const until = Math.min(now + SLICE_MS, this.#wakeAtMs);
    try {
      while (!this.#turn()) if (this.#destroyed || this.#isBreathing || performance.now() >= until) break;
    } catch (error) {
      this.destroy();
      throw error;
    }
    this.#isBreathing = false;
    if (!this.#destroyed) setImmediate(this.#run);
  };

  /** Waits for events and handles them; true when Bun's loop has something to do. */
  #turn(): boolean {
    const events = this.#events;
    const count = this.#libc.epoll_wait(this.#epoll, this.#eventsAt, EVENTS_MAX, this.#waitMs());
    this.#onTurn(true);
    let isBunReady = false;
    for (let i = 0, at = 0; i < count; i++, at += EVENT_WORDS) {
      const fd = events[at + DATA_WORD]!;
      if (fd === this.#bunEpoll) isBunReady = true;
      else this.#watched[fd]?.ready(events[at]!);
    }
    this.#settle();
    this.#onTurn(false);
    return isBunReady;
  }

  /** How long it may wait for events. */
  #waitMs(): number {
    if (this.#tellLater.length > 0 || this.#isBreathing) return 0;
    if (this.#wakeAtMs === Infinity) return this.#idleMs;
    return Math.min(this.#idleMs, Math.max(0, Math.ceil(this.#wakeAtMs - performance.now())));
  }

  /** Tells what happened meanwhile, and gives closed descriptors back. */
  #settle(): void {
    if (this.#lingering.size > 0) this.#endLingering();
    while (this.#tellLater.length > 0) for (const tell of this.#tellLater.splice(0)) tell();
    if (this.#released.length > 0) for (const fd of this.#released.splice(0)) this.#libc.close(fd);
  }

  #endLingering(): void {
    const now = performance.now();
    // Those that began first are first.
    for (const stream of this.#lingering) {
      if (stream.lingersUntilMs > now) return;
      this.#lingering.delete(stream);
      stream.giveUp();
    }
  }

  // ---- for streams

  watch(fd: number, interest: number, ready: Ready): void {
    this.#held.add(fd);
    this.#watched[fd] = ready;
    this.#control(EPOLL.ADD, fd, interest);
  }

  watches(fd: number): boolean {
    return this.#watched[fd] !== undefined;
  }

  change(fd: number, interest: number): void {
    this.#control(EPOLL.MOD, fd, interest);
  }

  unwatch(fd: number): void {
    this.#watched[fd] = undefined;
    this.#control(EPOLL.DEL, fd, 0);
  }

  release(fd: number): void {
    this.#held.delete(fd);
    if (this.#watched[fd] !== undefined) this.unwatch(fd);
    this.#released.push(fd);
  }

  linger(stream: Lingering): void {
    stream.lingersUntilMs = performance.now() + LINGER_MS;
    this.#lingering.add(stream);
  }

  later(tell: () => void): void {
    this.#tellLater.push(tell);
  }

  #control(operation: number, fd: number, interest: number): void {
    this.#event[0] = interest;
    this.#event[DATA_WORD] = fd;
    this.#libc.epoll_ctl(this.#epoll, operation, fd, this.#eventAt);
  }
}

/** The `sockaddr` of a place. */
function addressOf({ host, port }: IpPlace): Uint8Array {
  if (isUnixPath(host)) return unixAddress(host);
  const ip = parseIpv4(host) ?? parseIpv6(host);
  if (ip === null) throw new MeshError("internal", `${host} is no IP address`);
  return socketAddress(ip, port);
}
