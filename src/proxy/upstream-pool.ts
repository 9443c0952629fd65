/**
 * The connections of one worker to one address: the most recently used is taken first, unused ones are closed after a
 * while, and those that take too long to open, or to take the rest of a tunnel that is over, are given up.
 */
import type { Dialer } from "../net/dialer.ts";
import { Exhausted } from "../net/stream.ts";
import type { DialPlace, Stream, StreamHandlers } from "../net/stream.ts";
import { nowMs, tick } from "./clock.ts";
import type { ProxyConfig } from "./settings.ts";
import { UpstreamConnection } from "./upstream.ts";
import type { ConnectionHome } from "./upstream.ts";

const handlers: StreamHandlers<UpstreamConnection> = {
  open(stream: Stream<UpstreamConnection>): void {
    tick();
    stream.data.opened(stream);
  },
  data(stream: Stream<UpstreamConnection>, buffer: Buffer, start: number, end: number): void {
    tick();
    stream.data.received(buffer, start, end);
  },
  drain(stream: Stream<UpstreamConnection>): void {
    tick();
    stream.data.drained();
  },
  end(stream: Stream<UpstreamConnection>): void {
    tick();
    if (!stream.data.finished()) stream.end();
  },
  close(stream: Stream<UpstreamConnection>, inOrder = false): void {
    tick();
    if (inOrder && stream.data.isHalfEnded) stream.data.finished();
    else stream.data.lost("reset", "it closed the connection");
  },
  connectError(stream: Stream<UpstreamConnection>, error: Error): void {
    tick();
    stream.data.lost(error instanceof Exhausted ? "exhausted" : "connect", error.message);
  },
};

export class UpstreamPool implements ConnectionHome, DialPlace {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly #config: ProxyConfig;
  readonly #dialer: Dialer;
  readonly #idle: UpstreamConnection[] = [];
  readonly #connecting = new Set<UpstreamConnection>();
  readonly #leaving = new Set<UpstreamConnection>();
  #count = 0;
  #retired = false;

  constructor({ host, port, tls }: DialPlace, config: ProxyConfig, dialer: Dialer) {
    this.host = host;
    this.port = port;
    this.tls = tls;
    this.#config = config;
    this.#dialer = dialer;
  }

  /** Connections that are open or opening. */
  get size(): number {
    return this.#count;
  }

  /** A connection that is ready or on its way; null when the target has as many as it may. */
  take(): UpstreamConnection | null {
    const ready = this.#idle.pop();
    if (ready !== undefined) return ready;
    if (this.#count >= this.#config.upstreamConnectionsMax) return null;
    const connection = new UpstreamConnection(this);
    this.#count++;
    this.#connecting.add(connection);
    connection.giveUp = this.#dialer.connect(this, connection, handlers, () => this.#settle(connection));
    return connection;
  }

  put(connection: UpstreamConnection): void {
    if (this.#retired) {
      connection.abort();
      return;
    }
    connection.sinceMs = nowMs();
    this.#idle.push(connection);
  }

  leaving(connection: UpstreamConnection): void {
    this.#leaving.add(connection);
  }

  #settle(connection: UpstreamConnection): void {
    connection.settled = true;
    this.#connecting.delete(connection);
    if (connection.closed) this.#forget(connection);
  }

  /** It holds no descriptor any more. */
  #forget(connection: UpstreamConnection): void {
    if (!connection.counted) return;
    connection.counted = false;
    this.#count--;
  }

  gone(connection: UpstreamConnection): void {
    // One that is still connecting holds its descriptor until the attempt is over.
    if (connection.settled) this.#forget(connection);
    this.#leaving.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** Closes connections idle for too long (oldest first: the stack's bottom) and fails those that take too long to open. */
  sweep(now: number): void {
    for (;;) {
      const oldest = this.#idle[0];
      if (oldest === undefined || now - oldest.sinceMs < this.#config.upstreamIdleMs) break;
      oldest.abort();
    }
    for (const connection of this.#leaving) {
      if (now - connection.sinceMs >= this.#config.streamTimeoutMs) connection.abort();
    }
    for (const connection of this.#connecting) {
      if (!connection.closed && now - connection.sinceMs >= this.#config.connectTimeoutMs) {
        connection.lost("connect", `no connection within ${this.#config.connectTimeoutMs} ms`);
      }
    }
  }

  /** No route leads here any more: idle connections close now, busy ones when their exchange ends. */
  retire(): void {
    this.#retired = true;
    for (const connection of this.#idle.splice(0)) connection.abort();
  }
}
