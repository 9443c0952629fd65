/**
 * The streams that the data plane relays between, whoever carries them: Bun's sockets (bun-streams.ts: everywhere, and
 * with TLS) or the epoll lane (epoll.ts: Linux, plain text, for less CPU). A transport belongs to one thread.
 *
 * Handlers never keep the bytes that they are handed: the buffer is the transport's, and used again.
 */

/** One stream, as its handlers see it. */
export interface Stream<T> {
  data: T;
  /** Takes bytes [offset, offset + length); answers how many it took, negative when it is closed. After less than all
   * `drain` is called once there is room. */
  write(bytes: Uint8Array, offset?: number, length?: number): number;
  /** Stops reading; what the kernel has room for goes on coming in. */
  pause(): void;
  resume(): void;
  /** Ends our half: what was written still arrives. */
  shutdown(): void;
  /** Closes in order: what was written still arrives, what comes in is thrown away. */
  end(): void;
  /** Closes at once, by a reset. */
  terminate(): void;
  /** undefined for one that was reset before anybody asked. */
  readonly remoteAddress: string | undefined;
}

/** What happens to streams. `close` comes once for each that opened, whoever closed it. */
export interface StreamHandlers<T> {
  open(stream: Stream<T>): void;
  /** Bytes [start, end) of the buffer came in. */
  data(stream: Stream<T>, buffer: Buffer, start: number, end: number): void;
  /** There is room again after a write that took less than all. */
  drain(stream: Stream<T>): void;
  /** The other side ended its half. Ours goes on until it is ended too: whoever has nothing more to say calls `end`. */
  end(stream: Stream<T>): void;
  /** `inOrder`: where our half had ended before, the other side has ended its half now, and nobody was told by `end`. */
  close(stream: Stream<T>, inOrder?: boolean): void;
  /** It never opened; no `close` follows. Never from within `connect`. */
  connectError(stream: Stream<T>, error: Error): void;
}

/** An IP address and a port; or the path of a unix socket, which begins with a slash, and any port. */
export interface IpPlace {
  readonly host: string;
  readonly port: number;
}

/** A host by its address or name, or a unix socket, and whether it is spoken to in TLS. */
export interface DialPlace extends IpPlace {
  readonly tls: boolean;
  /** Protocols to offer in TLS; none unless given. */
  readonly alpn?: readonly string[];
}

export function isUnixPath(host: string): boolean {
  return host.startsWith("/");
}

/** It was this side that could not connect: no descriptor or no local port is left. The other side has not heard of it. */
export class Exhausted extends Error {}

export interface Transport {
  readonly kind: "bun" | "epoll";
  /** Accepts on a socket that listens already. The returned function stops that, and closes the descriptor. */
  adopt<T>(fd: number, handlers: StreamHandlers<T>): () => void;
  /** Begins to connect. `settled` is called when the attempt is over, one way or the other; until then it holds a
   * descriptor. The returned function gives the attempt up where that is possible. */
  connect<T>(place: IpPlace, data: T, handlers: StreamHandlers<T>, settled: () => void): () => void;
  /** Somebody's timer is due then: a lane that would sleep longer wakes for it. Infinity: nobody's. */
  wakeAt(atMs: number): void;
  /** Calls once when all that this turn brought is handled. Microtasks and immediates may come much later. */
  later(tell: () => void): void;
  /** Something was left to microtasks, ticks or timers of Bun's: its loop has its turn as soon as this event is handled. */
  breathe(): void;
  /** Closes all at once: the thread is about to end. */
  destroy(): void;
}

/** Alarms that share the one of a transport: each call makes one, which is set like `wakeAt`. */
export function alarmsOf(transport: Pick<Transport, "wakeAt">): () => (atMs: number) => void {
  const alarms: number[] = [];
  return () => {
    const which = alarms.push(Number.POSITIVE_INFINITY) - 1;
    return (atMs) => {
      alarms[which] = atMs;
      transport.wakeAt(Math.min(...alarms));
    };
  };
}
