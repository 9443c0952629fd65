/**
 * Passes bytes between those who connect to a port of this machine and a server that listens on loopback or on a unix socket:
 * whatever protocol they speak, both ways, at the pace of the slower side. When one side ends its half, the other one's is
 * ended behind what is under way, and the other half goes on. When one breaks, so does the other.
 *
 * Who may connect is asked for each connection. Limits: `CONNECTIONS_MAX` at a time, `CONNECT_MS` to reach the server;
 * whoever comes beyond is cut off at once, as by a server that is full.
 */
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { MeshError } from "../base/errors.ts";

/** A host and a port, or the path of a unix socket as the host. */
export interface RelayTarget {
  readonly host: string;
  readonly port: number;
}

export interface RelayOptions {
  /** Where it listens; port 0 is any free one. */
  readonly host: string;
  readonly port: number;
  readonly to: RelayTarget;
  /** By the address that somebody comes from. */
  readonly isAllowed: (address: string) => boolean;
  /** Somebody was refused. */
  readonly refused?: (address: string) => void;
}

const CONNECTIONS_MAX = 4096;
const CONNECT_MS = 5000;

export class TcpRelay {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** Rejects with a MeshError where the address can't be had. */
  static async open(options: RelayOptions): Promise<TcpRelay> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen({ host: options.host, port: options.port }, resolve);
    try {
      await promise;
    } catch (error) {
      const code = (error as { code?: string }).code ?? String(error);
      throw new MeshError("config_invalid", `can't listen at ${options.host}:${options.port}: ${code}`);
    }
    const bound = server.address();
    const relay = new TcpRelay(server, typeof bound === "object" && bound !== null ? bound.port : options.port);
    server.on("error", () => {
      // Of one connection that could not be accepted.
    });
    server.on("connection", (socket) => relay.#accept(socket, options));
    return relay;
  }

  /** Connections that are relayed now. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Cuts what is under way. */
  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(from: Socket, { to, isAllowed, refused }: RelayOptions): void {
    const address = (from.remoteAddress ?? "").replace(/^::ffff:/i, "");
    if (!isAllowed(address) || this.#sockets.size >= CONNECTIONS_MAX) {
      from.destroy();
      refused?.(address);
      return;
    }
    const place = to.host.startsWith("/") ? { path: to.host } : to;
    const server = createConnection({ ...place, allowHalfOpen: true });
    this.#sockets.add(from);
    const timer = setTimeout(() => server.destroy(), CONNECT_MS);
    server.once("connect", () => {
      clearTimeout(timer);
      from.setNoDelay(true);
      server.setNoDelay(true);
      from.pipe(server);
      server.pipe(from);
      from.resume();
    });
    const end = (): void => {
      clearTimeout(timer);
      this.#sockets.delete(from);
      from.destroy();
      server.destroy();
    };
    for (const socket of [from, server]) {
      socket.on("error", end);
      socket.on("close", () => {
        const other = socket === from ? server : from;
        // After ends in order both have read all, and the other one may have something left to write.
        const isInOrder = socket.errored === null && other.readableEnded && other.writableEnded;
        if (!isInOrder || other.destroyed) end();
      });
    }
  }
}

/** Whether somebody listens there; within `ms`. */
export async function answersAt({ host, port }: RelayTarget, ms: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection(host.startsWith("/") ? { path: host } : { host, port });
  const timer = setTimeout(() => resolve(false), ms);
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
  const answers = await promise;
  clearTimeout(timer);
  socket.destroy();
  return answers;
}
