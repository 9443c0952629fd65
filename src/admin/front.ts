/**
 * The front of the admin ports: HTTP/1.1 on Bun's sockets, answered by a fetch app (hono), and HTTP/2 on the same port: a
 * connection that opens with its preface (front-connection.ts) goes on in port-http2.ts, where what is no gRPC is answered
 * by the same app.
 *
 * Why not Bun.serve: gRPC needs response trailers, which Bun.serve does not have.
 *
 * Limits: connections, head, body, time for each phase; all in `AdminConfig`; and 256 MiB of requests that a port holds
 * for all its clients. A client over a limit gets a JSON error and a closed connection; an app that throws gives a 500
 * without details, which go to `onError`.
 */
import { MeshError } from "../base/errors.ts";
import { liveCopy, overwrite } from "../base/live.ts";
import { boundAddress, duplicate } from "../net/descriptor.ts";
import type { PortEnv } from "./app.ts";
import { ByteBudget } from "./byte-budget.ts";
import { FrontConnection, type FrontContext, type PortConnection } from "./front-connection.ts";
import { errorBytes } from "./front-head.ts";
import { PortHttp2 } from "./port-http2.ts";
import type { Services } from "./services.ts";
import type { AdminConfig } from "./settings.ts";

/** Anything that answers requests: a hono app. */
export interface App {
  fetch(request: Request, env: PortEnv): Response | Promise<Response>;
}

/** Of requests that are under way at a port, of all its clients; at least as much as some bodies of the longest kind. */
const HELD_BYTES_MAX = 256 * 1024 * 1024;
const HELD_BODIES_MIN = 4;

export interface FrontOptions {
  /** Empty: every address. */
  readonly hostname: string;
  /** 0: any free port. */
  readonly port: number;
  /** A listening socket to adopt instead: it was opened for this address by a predecessor. */
  readonly fd?: number | undefined;
  readonly app: App;
  /** What is served as gRPC; without it HTTP/2 is answered 505. */
  readonly services?: Services | undefined;
  readonly limits?: Partial<AdminConfig>;
  /** Bytes of requests that are held at once; by default 256 MiB, and as much as four bodies of the longest kind. */
  readonly heldBytesMax?: number;
  /** An app that threw, or a stream that broke. */
  readonly onError?: (error: unknown, request: string) => void;
  /** Clients refused for what they sent: worth a line in a debug log. */
  readonly onNotice?: (message: string, remoteAddress: string) => void;
}

export interface Front {
  readonly hostname: string;
  readonly port: number;
  /** Connections open now. */
  readonly connections: number;
  /** Another descriptor of the listening socket, for the caller to close. */
  descriptor(): number;
  /** Holds for every connection from its next step on. */
  setLimits(limits: AdminConfig): void;
  /** Stops accepting, lets answers under way finish for at most graceMs, then closes what is left. */
  stop(graceMs: number): Promise<void>;
}

/** The defaults of `adminSettings`, for callers without a configuration. */
export const ADMIN_LIMITS: AdminConfig = {
  maxConnections: 1024,
  maxBodyBytes: 1024 * 1024,
  headTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  idleTimeoutMs: 75_000,
  writeTimeoutMs: 30_000,
};

const SWEEP_MS_MAX = 1000;
const STOP_POLL_MS = 10;

/** Opens an admin port; throws a MeshError when the address can't be had. */
export function serveApi(options: FrontOptions): Front {
  const limits = liveCopy<AdminConfig>({ ...ADMIN_LIMITS, ...options.limits });
  const connections = new Set<PortConnection>();
  const { services } = options;
  const context: FrontContext & { stopping: boolean; authority: string } = {
    limits,
    stopping: false,
    hostname: options.hostname,
    authority: "localhost",
    budget: new ByteBudget(
      () => options.heldBytesMax ?? Math.max(HELD_BYTES_MAX, HELD_BODIES_MIN * limits.maxBodyBytes),
    ),
    bodyBytesMax: (path) => Math.max(limits.maxBodyBytes, services?.requestBytesMax(path) ?? 0),
    speakHttp2(socket, before, bytes) {
      if (services === undefined) return false;
      const connection = new PortHttp2(socket, context, services);
      socket.data = connection;
      connections.delete(before);
      connections.add(connection);
      connection.data(bytes);
      return true;
    },
    fetch: (request, { path, remoteAddress, isDuplex }) =>
      options.app.fetch(request, {
        hostname: options.hostname,
        remoteAddress,
        budget: context.budget,
        bodyBytesMax: context.bodyBytesMax(path),
        isDuplex,
      }),
    onError: options.onError ?? (() => {}),
    onNotice: options.onNotice ?? (() => {}),
  };
  let sweep: ReturnType<typeof setInterval> | undefined;
  /** While there are connections: a port that nobody asks costs nothing. */
  const startSweep = (): void => {
    if (sweep !== undefined) return;
    const { headTimeoutMs, bodyTimeoutMs, idleTimeoutMs, writeTimeoutMs } = limits;
    const shortestMs = Math.min(headTimeoutMs, bodyTimeoutMs, idleTimeoutMs, writeTimeoutMs);
    sweep = setInterval(
      () => {
        const nowMs = performance.now();
        for (const connection of connections) connection.sweep(nowMs);
        if (connections.size === 0) endSweep();
      },
      Math.min(SWEEP_MS_MAX, Math.max(5, shortestMs / 4)),
    );
    sweep.unref();
  };
  const endSweep = (): void => {
    clearInterval(sweep);
    sweep = undefined;
  };
  const listener = listen(options, {
    open(socket) {
      if (connections.size >= limits.maxConnections) {
        const error = new MeshError("over_capacity", "too many connections to this port; try again later");
        socket.write(errorBytes(error, "retry-after: 1\r\n"));
        socket.end();
        return;
      }
      const connection = new FrontConnection(socket, context);
      socket.data = connection;
      connections.add(connection);
      startSweep();
    },
    data: (socket, bytes) => socket.data?.data(bytes),
    drain: (socket) => socket.data?.drain(),
    end(socket) {
      if (socket.data === undefined) socket.end();
      else socket.data.end();
    },
    close(socket) {
      if (socket.data === undefined) return;
      connections.delete(socket.data);
      socket.data.closed();
    },
    error(socket, error) {
      context.onError(error, "connection");
      socket.terminate();
    },
  });
  // Bun does not know where an adopted socket is bound.
  const bound = options.fd === undefined ? { host: listener.hostname, port: listener.port } : boundAddress(options.fd);
  context.authority = `localhost:${bound.port}`;

  return {
    hostname: bound.host,
    port: bound.port,
    // In no types of Bun's.
    descriptor: () => duplicate((listener as unknown as { readonly fd: number }).fd),
    setLimits(next) {
      overwrite(limits, next);
      endSweep();
      if (connections.size > 0) startSweep();
    },
    get connections() {
      return connections.size;
    },
    async stop(graceMs) {
      context.stopping = true;
      listener.stop(false);
      services?.endStreams(new MeshError("draining", "the process is stopping"));
      for (const connection of connections) connection.stop();
      const untilMs = performance.now() + graceMs;
      while (connections.size > 0 && performance.now() < untilMs) await Bun.sleep(STOP_POLL_MS);
      for (const connection of connections) connection.terminate();
      endSweep();
    },
  };
}

function listen(options: FrontOptions, socket: Bun.SocketHandler<PortConnection | undefined>): Bun.TCPSocketListener {
  const wildcard = options.hostname === "" || options.hostname === "*";
  const hostname = wildcard ? "::" : options.hostname;
  // Half-open, so that a client which ends its side after its request still gets the answer.
  if (options.fd !== undefined) {
    const adopted = { fd: options.fd, socket, allowHalfOpen: true };
    return Bun.listen(adopted as unknown as Bun.TCPSocketListenOptions<PortConnection | undefined>);
  }
  const how = { port: options.port, socket, allowHalfOpen: true };
  try {
    return Bun.listen({ hostname, ...how });
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (wildcard && code !== "EADDRINUSE") {
      // No IPv6 on this machine: every address means every IPv4 address.
      return Bun.listen({ hostname: "0.0.0.0", ...how });
    }
    const why = code === "EADDRINUSE" ? "the port is in use; stop what holds it, or choose another" : String(error);
    throw new MeshError("config_invalid", `can't listen on ${options.hostname || "*"}:${options.port}: ${why}`, {
      cause: error,
    });
  }
}
