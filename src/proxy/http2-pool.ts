/**
 * The HTTP/2 connections of one worker to one target: the first one with room takes a call, a further one is opened
 * when none has. Few connections carry much each: that is what makes a call cheap, since reads and writes are shared.
 *
 * Servers close a connection on which many streams are reset, and with it the calls of everybody whose streams are on
 * it. So one that has had `http2ResetsMax` resets within 30 s is retired: it takes no new calls and closes with its
 * last. And a client whose calls are reset often (http2-front.ts) has its calls on connections apart, which it shares
 * with its like alone: it can neither get others' calls closed nor retire their connections one after the other. Of
 * either kind at most 16 retired ones may be left with calls, so that they use up no more of `upstreamConnectionsMax`;
 * as long as there are so many, none is retired.
 */
import type { Dialer } from "../net/dialer.ts";
import type { DialPlace, Stream, StreamHandlers } from "../net/stream.ts";
import { nowMs, tick } from "./clock.ts";
import { type Http2Home, Http2Upstream } from "./http2-upstream.ts";
import type { Wires } from "./http2-wire.ts";
import type { ProxyConfig } from "./settings.ts";

/** Retired connections of a kind that may be left with calls. */
const RETIRED_MAX = 16;

const handlers: StreamHandlers<Http2Upstream> = {
  open(stream: Stream<Http2Upstream>): void {
    tick();
    stream.data.opened(stream);
  },
  data(stream: Stream<Http2Upstream>, buffer: Buffer, start: number, end: number): void {
    tick();
    stream.data.received(buffer, start, end);
  },
  drain(stream: Stream<Http2Upstream>): void {
    tick();
    stream.data.drained();
  },
  end(stream: Stream<Http2Upstream>): void {
    tick();
    stream.data.lost("it closed the connection");
    stream.end();
  },
  close(stream: Stream<Http2Upstream>): void {
    tick();
    stream.data.lost("it closed the connection");
  },
  connectError(stream: Stream<Http2Upstream>, error: Error): void {
    tick();
    stream.data.lost(error.message);
  },
};

export class Http2Pool implements Http2Home {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly alpn = ["h2"];
  readonly #config: ProxyConfig;
  readonly #dialer: Dialer;
  readonly #wires: Wires;
  /** Those that take calls, oldest first. */
  #open: Http2Upstream[] = [];
  /** Those that only end the calls that they have. */
  readonly #leaving = new Set<Http2Upstream>();
  readonly #connecting = new Set<Http2Upstream>();
  #retired = false;

  constructor({ host, port, tls }: DialPlace, config: ProxyConfig, dialer: Dialer, wires: Wires) {
    this.host = host;
    this.port = port;
    this.tls = tls;
    this.#config = config;
    this.#dialer = dialer;
    this.#wires = wires;
  }

  /** Connections that are open or opening. */
  get size(): number {
    return this.#open.length + this.#leaving.size + this.#connecting.size;
  }

  /**
   * A connection with room for a call, ready or on its way; null when the target has as many as it may. `isApart`: for
   * a client whose calls are reset often.
   */
  take(isApart: boolean): Http2Upstream | null {
    const now = nowMs();
    for (const connection of this.#open) {
      if (connection.isApart !== isApart || connection.connection.capacity <= 0) continue;
      if (!connection.isWorn(now) || !this.#retires(connection)) return connection;
      // The array is another one by now.
      return this.take(isApart);
    }
    if (this.#open.length + this.#leaving.size >= this.#config.upstreamConnectionsMax) return null;
    const connection = new Http2Upstream(this, this.#config, this.#wires, isApart);
    this.#open.push(connection);
    this.#connecting.add(connection);
    connection.giveUp = this.#dialer.connect(this, connection, handlers, () => this.#connecting.delete(connection));
    return connection;
  }

  /** Lets a worn connection only end the calls that it has; false when there are enough of those. */
  #retires(worn: Http2Upstream): boolean {
    let left = 0;
    for (const { isRetired, isApart } of this.#leaving) if (isRetired && isApart === worn.isApart) left++;
    if (left >= RETIRED_MAX) return false;
    worn.isRetired = true;
    this.leaving(worn);
    worn.closeIdle();
    return true;
  }

  leaving(connection: Http2Upstream): void {
    this.#drop(connection);
    this.#leaving.add(connection);
  }

  gone(connection: Http2Upstream): void {
    this.#drop(connection);
    this.#leaving.delete(connection);
  }

  #drop(connection: Http2Upstream): void {
    const at = this.#open.indexOf(connection);
    if (at >= 0) this.#open.splice(at, 1);
  }

  /** Closes connections without calls for too long, and gives up those that take too long to open. */
  sweep(now: number): void {
    const { connectTimeoutMs, http2IdleMs } = this.#config;
    for (const connection of [...this.#open, ...this.#leaving]) {
      // What was reset since is noted at its time, or nearly.
      connection.isWorn(now);
      if (!connection.isAlive(now, this.#config)) connection.lost("it gave no sign of life");
      else if (connection.isLeaving || connection.isRetired || this.#retired || connection.idleMs(now) >= http2IdleMs)
        connection.closeIdle();
    }
    for (const connection of this.#connecting) {
      if (connection.isOpen || connection.connection.isClosed || now - connection.openingMs < connectTimeoutMs)
        continue;
      connection.giveUp();
      connection.lost(`no connection within ${connectTimeoutMs} ms`);
    }
  }

  /** No route leads here any more: each connection closes when its last call has ended. */
  retire(): void {
    this.#retired = true;
    for (const connection of this.#open) this.#leaving.add(connection);
    this.#open = [];
  }
}
