/** Bun's own sockets as a transport. */
import type { Socket } from "bun";
import { Exhausted, isUnixPath } from "./stream.ts";
import type { IpPlace, Stream, StreamHandlers, Transport } from "./stream.ts";

/** Bun's handlers that call ours. */
export function bunHandlers<T>(handlers: StreamHandlers<T>) {
  return {
    open: (socket: Socket<T>): void => handlers.open(socket),
    data: (socket: Socket<T>, data: Buffer): void => handlers.data(socket, data, 0, data.length),
    drain: (socket: Socket<T>): void => handlers.drain(socket),
    end: (socket: Socket<T>): void => handlers.end(socket),
    // With both halves over it closes at once; a reset has an error.
    close: (socket: Socket<T>, error?: Error): void => handlers.close(socket, error === undefined),
    error(_socket: Socket<T>, error: Error): void {
      // Bun hands exceptions of the other handlers here: a bug, which must end the worker rather than go on half-done.
      queueMicrotask(() => {
        throw error;
      });
    },
  };
}

export class BunTransport implements Transport {
  readonly kind = "bun";

  adopt<T>(fd: number, handlers: StreamHandlers<T>): () => void {
    // `fd` adopts a socket that listens already; bun-types does not know it.
    const options = {
      fd,
      socket: bunHandlers(handlers),
      allowHalfOpen: true,
    } as unknown as Bun.TCPSocketListenOptions<T>;
    const listener = Bun.listen<T>(options);
    return () => listener.stop(false);
  }

  /** For a platform without descriptors to adopt: listens by itself, beside the other workers. */
  listen<T>(place: IpPlace, handlers: StreamHandlers<T>): () => void {
    const hostname = place.host === "" ? "::" : place.host;
    const options = { hostname, port: place.port, reusePort: true, socket: bunHandlers(handlers), allowHalfOpen: true };
    const listener = Bun.listen<T>(options as unknown as Bun.TCPSocketListenOptions<T>);
    return () => listener.stop(false);
  }

  connect<T>(place: IpPlace, data: T, handlers: StreamHandlers<T>, settled: () => void): () => void {
    const failed = (error: unknown): void => {
      const reason = reasonOf(error);
      handlers.connectError({ data } as Stream<T>, reason);
      settled();
    };
    let isFailed = false;
    const socket = {
      ...bunHandlers(handlers),
      connectError(_socket: Socket<T>, error: Error): void {
        isFailed = true;
        failed(error);
      },
    };
    // It may fail at once, from within the call: by then the caller must be there to be told.
    queueMicrotask(() => {
      try {
        const { host, port } = place;
        const attempt = isUnixPath(host)
          ? Bun.connect<T>({ unix: host, data, socket, allowHalfOpen: true })
          : Bun.connect<T>({ hostname: host, port, data, socket, allowHalfOpen: true });
        attempt.then(settled, (error: unknown) => {
          if (!isFailed) failed(error);
        });
      } catch (error) {
        failed(error);
      }
    });
    return () => {};
  }

  wakeAt(): void {}

  later(tell: () => void): void {
    setImmediate(tell);
  }

  breathe(): void {}

  destroy(): void {}
}

const EXHAUSTED = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL"]);

function reasonOf(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const { code = "" } = error as { code?: string };
  return EXHAUSTED.has(code) ? new Exhausted(error.message) : error;
}
