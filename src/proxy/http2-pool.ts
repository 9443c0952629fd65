/**
 * The HTTP/2 connections of one worker to one target: the first one with room takes a call, a further one is opened
 * when none has. Few connections carry much each: that is what makes a call cheap, since reads and writes are shared.
 */
import type { Socket } from "bun";
import { nowMs, tick } from "./clock.ts";
import { type Http2Home, Http2Upstream } from "./http2-upstream.ts";
import type { ProxyConfig } from "./settings.ts";

const handlers = {
  open(socket: Socket<Http2Upstream>): void {
    tick();
    socket.data.opened(socket);
  },
  data(socket: Socket<Http2Upstream>, data: Buffer): void {
    tick();
    socket.data.received(data);
  },
  drain(socket: Socket<Http2Upstream>): void {
    tick();
    socket.data.drained();
  },
  end(socket: Socket<Http2Upstream>): void {
    tick();
    socket.data.lost("it closed the connection");
    socket.end();
  },
  close(socket: Socket<Http2Upstream>): void {
    tick();
    socket.data.lost("it closed the connection");
  },
  connectError(socket: Socket<Http2Upstream>, error: Error): void {
    tick();
    socket.data.lost(error.message);
  },
  error(_socket: Socket<Http2Upstream>, error: Error): void {
    // Bun hands exceptions of the other handlers here: a bug, which must end the worker rather than go on half-done.
    queueMicrotask(() => {
      throw error;
    });
  },
};

export class Http2Pool implements Http2Home {
  readonly host: string;
  readonly port: number;
  readonly #config: ProxyConfig;
  /** Those that take calls, oldest first. */
  #open: Http2Upstream[] = [];
  /** Those that only end the calls that they have. */
  readonly #leaving = new Set<Http2Upstream>();
  readonly #connecting = new Set<Http2Upstream>();
  #retired = false;

  constructor(host: string, port: number, config: ProxyConfig) {
    this.host = host;
    this.port = port;
    this.#config = config;
  }

  /** Connections that are open or opening. */
  get size(): number {
    return this.#open.length + this.#leaving.size + this.#connecting.size;
  }

  /** A connection with room for a call, ready or on its way; null when the target has as many as it may. */
  take(): Http2Upstream | null {
    for (const connection of this.#open) if (connection.connection.capacity > 0) return connection;
    if (this.#open.length + this.#leaving.size >= this.#config.upstreamConnectionsMax) return null;
    const connection = new Http2Upstream(this, this.#config);
    this.#open.push(connection);
    this.#connecting.add(connection);
    // A connect may fail at once, from within the call: its user must be there to be told.
    queueMicrotask(() => this.#connect(connection));
    return connection;
  }

  #connect(connection: Http2Upstream): void {
    const settle = (): void => void this.#connecting.delete(connection);
    const failed = (error: unknown): void => {
      tick();
      connection.lost(error instanceof Error ? error.message : String(error));
      settle();
    };
    try {
      Bun.connect({ hostname: this.host, port: this.port, data: connection, socket: handlers }).then(settle, failed);
    } catch (error) {
      failed(error);
    }
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
      if (connection.connection.streamCount > 0) connection.sinceMs = now;
      else if (connection.isLeaving || this.#retired || now - connection.sinceMs >= http2IdleMs) connection.close();
    }
    for (const connection of this.#connecting) {
      if (connection.isOpen || connection.connection.isClosed || now - connection.openingMs < connectTimeoutMs)
        continue;
      connection.lost(`no connection within ${connectTimeoutMs} ms`);
    }
  }

  /** No route leads here any more: each connection closes when its last call has ended. */
  retire(): void {
    this.#retired = true;
    for (const connection of this.#open) {
      this.#leaving.add(connection);
      if (connection.connection.streamCount === 0) connection.sinceMs = nowMs();
    }
    this.#open = [];
  }
}
