/**
 * One HTTP/2 connection to a target, which carries many calls at once. Calls may be begun before it is open: their
 * heads wait in its output, and if it never opens, all of them are told that the target did nothing about them.
 */
import type { Stream } from "../net/stream.ts";
import { Http2Connection, type Http2Listener, type Http2Options } from "../wire/http2-connection.ts";
import { H2_ERROR } from "../wire/http2-frames.ts";
import { ResetWindow } from "../wire/http2-resets.ts";
import { nowMs } from "./clock.ts";
import { Http2Wire, type Wires } from "./http2-wire.ts";
import type { ProxyConfig } from "./settings.ts";

const LIST_BYTES_MAX = 65_536;
const OUTPUT_BYTES_MAX = 262_144;
/**
 * How far back resets count. Servers close connections on which too many streams are reset (CVE-2023-44487); of those
 * that are in use Netty's count is the lowest, 200 in 30 s, and Node's is 1,000 at once and 33 a second from there on.
 */
export const RESETS_WINDOW_MS = 30_000;

/** How a connection of this worker is limited, in either role. */
export function http2Options(config: ProxyConfig): Http2Options {
  return {
    streamsMax: config.http2StreamsMax,
    streamWindowBytes: config.http2StreamBytes,
    connectionWindowBytes: Math.max(config.http2ConnectionBytes, config.http2StreamBytes),
    listBytesMax: LIST_BYTES_MAX,
    outputBytesMax: OUTPUT_BYTES_MAX,
  };
}

/** What a pool does about its connections. */
export interface Http2Home {
  /** It takes no new calls, but those that it has go on. */
  leaving(connection: Http2Upstream): void;
  gone(connection: Http2Upstream): void;
}

export class Http2Upstream implements Http2Listener {
  readonly connection: Http2Connection;
  readonly wire: Http2Wire;
  readonly #home: Http2Home;
  #stream: Stream<Http2Upstream> | null = null;
  /** Why it is gone, in words, for errors. */
  reason = "";
  /** It never was open. */
  isUnreached = true;
  /** The target said that it takes no new calls here; it is well all the same. */
  isLeaving = false;
  /** So many of its streams were reset that it gets no new ones. */
  isRetired = false;
  /** For clients whose calls are reset often, and nobody else. */
  readonly isApart: boolean;
  readonly #resets: ResetWindow;
  /** How many of the connection's resets stand in the window. */
  #resetsNoted = 0;
  /** Gives the attempt to connect up. */
  giveUp: () => void = () => {};
  /** When the attempt to connect began. */
  readonly openingMs = nowMs();
  /** When it last was seen without a call. */
  #quietMs = nowMs();
  /** When it was last asked for a sign of life. */
  #askedMs = 0;
  /** Who is told that it is open; most often nobody. */
  #awaiting: (() => void)[] | null = null;

  constructor(home: Http2Home, config: ProxyConfig, wires: Wires, isApart: boolean) {
    this.#home = home;
    this.isApart = isApart;
    this.#resets = new ResetWindow(config.http2ResetsMax, RESETS_WINDOW_MS);
    this.connection = new Http2Connection(false, http2Options(config), this);
    this.wire = new Http2Wire(wires, this.connection);
  }

  get isOpen(): boolean {
    return this.#stream !== null;
  }

  /** Tells once that the connection is open; never where it does not come to be. */
  onceOpen(tell: () => void): void {
    (this.#awaiting ??= []).push(tell);
  }

  // ---- the connection's word

  requested(): void {
    // A server that asks its client for something: the core has no way to tell of it.
  }

  goingAway(): void {
    this.isLeaving = true;
    this.#home.leaving(this);
  }

  settled(): void {
    // More calls may fit: the pool asks each time.
  }

  failed(_code: number, reason: string): void {
    this.reason = reason;
    this.#home.gone(this);
    this.wire.schedule();
  }

  // ---- the stream's

  opened(stream: Stream<Http2Upstream>): void {
    this.isUnreached = false;
    if (this.connection.isClosed) {
      stream.terminate();
      return;
    }
    this.#stream = stream;
    this.wire.attach(stream);
    for (const tell of this.#awaiting ?? []) tell();
    this.#awaiting = null;
  }

  received(buffer: Buffer, start: number, end: number): void {
    this.connection.receive(buffer, start, end, nowMs());
    if (this.connection.output.pending > 0) this.wire.schedule();
  }

  drained(): void {
    this.wire.drained();
  }

  /** The stream is gone, or never came to be. */
  lost(reason: string): void {
    if (!this.connection.isClosed) {
      this.reason = reason;
      this.#home.gone(this);
      this.connection.lose(this.isUnreached);
    }
    this.wire.detach();
    this.#stream?.terminate();
    this.#stream = null;
    this.#awaiting = null;
  }

  /**
   * Asks for a sign of life when calls have waited in silence; answers false when none came in time. Only once in each
   * silence: a server of gRPC that has nothing to send takes repeated questions for a flood.
   */
  isAlive(now: number, { http2PingMs, connectTimeoutMs }: ProxyConfig): boolean {
    const { connection } = this;
    if (this.#askedMs > connection.workedMs) {
      return connection.heardMs >= this.#askedMs || now - this.#askedMs < connectTimeoutMs;
    }
    if (connection.streamCount === 0) this.#quietMs = now;
    if (!this.isOpen || now - Math.max(connection.workedMs, this.#quietMs) < http2PingMs) return true;
    this.#askedMs = now;
    connection.ping();
    this.wire.schedule();
    return true;
  }

  /** Whether as many of its streams were reset of late as the target shall have to bear. */
  isWorn(now: number): boolean {
    const { resetsSent } = this.connection;
    for (; this.#resetsNoted < resetsSent; this.#resetsNoted++) this.#resets.note(now);
    return this.#resets.isFull(now);
  }

  /** How long there has been nothing on it. */
  idleMs(now: number): number {
    return now - Math.max(this.connection.workedMs, this.openingMs);
  }

  /** Closes it in order, unless it has calls. */
  closeIdle(): void {
    if (this.connection.streamCount === 0) this.connection.end(H2_ERROR.none, "idle");
  }
}
