/**
 * The connections of one worker to one address: the most recently used is taken first, unused ones are closed after a
 * while, and those that take too long to open are given up.
 */
import type { Socket } from "bun";
import { nowMs, tick } from "./clock.ts";
import type { ProxyConfig } from "./settings.ts";
import { UpstreamConnection } from "./upstream.ts";
import type { ConnectionHome } from "./upstream.ts";

const handlers = {
  open(socket: Socket<UpstreamConnection>): void {
    tick();
    socket.data.opened(socket);
  },
  data(socket: Socket<UpstreamConnection>, data: Buffer): void {
    tick();
    socket.data.received(data);
  },
  drain(socket: Socket<UpstreamConnection>): void {
    tick();
    socket.data.drained();
  },
  end(socket: Socket<UpstreamConnection>): void {
    tick();
    socket.data.finished();
    socket.end();
  },
  close(socket: Socket<UpstreamConnection>): void {
    tick();
    socket.data.lost("reset", "it closed the connection");
  },
  connectError(socket: Socket<UpstreamConnection>, error: Error): void {
    tick();
    socket.data.lost("connect", error.message);
  },
  error(_socket: Socket<UpstreamConnection>, error: Error): void {
    // Bun hands exceptions of the other handlers here: a bug, which must end the worker rather than go on half-done.
    queueMicrotask(() => {
      throw error;
    });
  },
};

export class UpstreamPool implements ConnectionHome {
  readonly host: string;
  readonly port: number;
  readonly #config: ProxyConfig;
  readonly #idle: UpstreamConnection[] = [];
  readonly #connecting = new Set<UpstreamConnection>();
  #count = 0;
  #retired = false;

  constructor(host: string, port: number, config: ProxyConfig) {
    this.host = host;
    this.port = port;
    this.#config = config;
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
    // A connect may fail at once, from within the call: the exchange must be there to be told.
    queueMicrotask(() => this.#connect(connection));
    return connection;
  }

  #connect(connection: UpstreamConnection): void {
    const failed = (error: unknown): void => {
      connection.lost("connect", error instanceof Error ? error.message : String(error));
      this.#settle(connection);
    };
    if (connection.closed) {
      this.#settle(connection);
      return;
    }
    try {
      Bun.connect({ hostname: this.host, port: this.port, data: connection, socket: handlers }).then(
        () => this.#settle(connection),
        failed,
      );
    } catch (error) {
      failed(error);
    }
  }

  put(connection: UpstreamConnection): void {
    if (this.#retired) {
      connection.abort();
      return;
    }
    connection.sinceMs = nowMs();
    this.#idle.push(connection);
  }

  #settle(connection: UpstreamConnection): void {
    connection.settled = true;
    this.#connecting.delete(connection);
    if (connection.closed) this.#count--;
  }

  gone(connection: UpstreamConnection): void {
    // One that is still connecting holds its descriptor until the attempt is over.
    if (connection.settled) this.#count--;
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
