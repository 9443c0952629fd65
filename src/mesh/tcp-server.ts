/**
 * Takes requests over TCP: one connection, one frame, one answer. A connection that does not bring a right frame in
 * time is cut without a byte in return: too slow, too long, a header that is not ours, more than one frame.
 *
 * Limits: `connectionsMax` connections; one more cuts the one that has been sending its request longest, which among
 * peers that take milliseconds is the one that means no good. What has come of requests that are not complete takes at
 * most `HELD_FRAMES` frames of memory together; beyond it the connection that brought the next byte is cut.
 */
import { boundAddress, duplicate } from "../net/descriptor.ts";
import { Outbox } from "../net/outbox.ts";
import { framed, FrameReader } from "./frame.ts";
import { orCrash } from "../net/crash.ts";

const HELD_FRAMES = 8;

/** Why a connection was cut. */
export type CutReason = "malformed" | "slow" | "crowded" | "gone";

export interface TcpServerOptions {
  readonly host: string;
  readonly port: number;
  /** A listening socket to take instead. */
  readonly fd?: number;
  readonly frameBytesMin: number;
  readonly frameBytesMax: number;
  readonly connectionsMax: number;
  /** For a request to come, and again for its answer to be made and taken. */
  readonly timeoutMs: number;
  /** False when the beginning of a frame shows that it will be refused. The host is "" for one that is gone. */
  readonly promising: (host: string, beginning: Uint8Array) => boolean;
  /** The answer's packet; undefined to cut the connection without one. Must not throw or reject. */
  readonly onFrame: (host: string, port: number, packet: Uint8Array) => Promise<Uint8Array | undefined>;
  readonly onCut: (reason: CutReason) => void;
}

/** The beginning of a frame is looked at once this much is there: every header fits in it. */
const BEGINNING_BYTES = 40;

type Socket = Bun.Socket<Connection>;

class Connection {
  readonly reader: FrameReader;
  readonly outbox = new Outbox();
  timer: ReturnType<typeof setTimeout> | undefined;
  state: "reading" | "answering" | "writing" | "closed" = "reading";
  lookedAt = false;

  constructor(reader: FrameReader) {
    this.reader = reader;
  }
}

export class TcpServer {
  readonly port: number;
  readonly #options: TcpServerOptions;
  readonly #listener: Bun.TCPSocketListener<Connection>;
  /** In the order in which they came. */
  readonly #sockets = new Set<Socket>();
  #heldBytes = 0;

  /** Listens; throws when the address can't be had. */
  constructor(options: TcpServerOptions) {
    this.#options = options;
    const where = options.fd === undefined ? { hostname: options.host, port: options.port } : { fd: options.fd };
    const how = {
      ...where,
      socket: {
        open: (socket) => orCrash(() => this.#open(socket)),
        data: (socket, bytes) => orCrash(() => this.#data(socket, bytes)),
        drain: (socket) => orCrash(() => this.#flush(socket)),
        // A peer that closes its half before the request is whole won't send the rest.
        end: (socket) => orCrash(() => this.#ended(socket)),
        close: (socket) => orCrash(() => this.#forget(socket)),
        error: (socket) => orCrash(() => this.#cut(socket, "gone")),
      } satisfies Bun.SocketHandler<Connection>,
    };
    // `fd` adopts a socket that listens already; bun-types does not know it, nor Bun its port.
    this.#listener = Bun.listen<Connection>(how as unknown as Bun.TCPSocketListenOptions<Connection>);
    this.port = options.fd === undefined ? this.#listener.port : boundAddress(options.fd).port;
  }

  /** Another descriptor of the listening socket, for the caller to close. */
  descriptor(): number {
    return duplicate((this.#listener as unknown as { readonly fd: number }).fd);
  }

  get connections(): number {
    return this.#sockets.size;
  }

  stop(): void {
    this.#listener.stop(true);
    for (const socket of this.#sockets) {
      this.#forget(socket);
      socket.terminate();
    }
  }

  #open(socket: Socket): void {
    const { frameBytesMin, frameBytesMax, connectionsMax } = this.#options;
    socket.data = new Connection(new FrameReader(frameBytesMin, frameBytesMax));
    if (this.#sockets.size >= connectionsMax) this.#makePlace();
    this.#sockets.add(socket);
    this.#expect(socket);
  }

  #makePlace(): void {
    let victim: Socket | undefined;
    for (const socket of this.#sockets) {
      if (socket.data.state === "reading") return this.#cut(socket, "crowded");
      victim ??= socket;
    }
    if (victim !== undefined) this.#cut(victim, "crowded");
  }

  #expect(socket: Socket): void {
    clearTimeout(socket.data.timer);
    socket.data.timer = setTimeout(() => this.#cut(socket, "slow"), this.#options.timeoutMs);
  }

  #data(socket: Socket, bytes: Uint8Array): void {
    const connection = socket.data;
    if (connection.state === "closed") return;
    if (connection.state !== "reading") return this.#cut(socket, "malformed");
    const { reader } = connection;
    const before = reader.room;
    const state = reader.push(bytes);
    this.#heldBytes += reader.room - before;
    if (state === "bad") return this.#cut(socket, "malformed");
    if (!connection.lookedAt && (state === "done" || reader.frame.length >= BEGINNING_BYTES)) {
      connection.lookedAt = true;
      if (!this.#options.promising(hostOf(socket) ?? "", reader.frame)) return this.#cut(socket, "malformed");
    }
    if (this.#heldBytes > this.#options.frameBytesMax * HELD_FRAMES) return this.#cut(socket, "crowded");
    if (state === "done") void this.#answer(socket);
  }

  async #answer(socket: Socket): Promise<void> {
    const connection = socket.data;
    connection.state = "answering";
    this.#release(connection);
    this.#expect(socket);
    const { remotePort } = socket;
    const host = hostOf(socket);
    if (host === undefined) return this.#cut(socket, "gone");
    const packet = await this.#options.onFrame(host, remotePort, connection.reader.frame);
    if (!this.#sockets.has(socket)) return;
    if (packet === undefined) return this.#cut(socket, "malformed");
    const bytes = framed(packet);
    connection.state = "writing";
    connection.outbox.write(socket, bytes, 0, bytes.length);
    this.#flush(socket);
  }

  /** Writes what is left of the answer, and closes behind it. */
  #flush(socket: Socket): void {
    const connection = socket.data;
    if (connection.state === "writing" && connection.outbox.flush(socket)) socket.end();
  }

  #ended(socket: Socket): void {
    if (socket.data.state === "reading") this.#cut(socket, "gone");
  }

  #cut(socket: Socket, reason: CutReason): void {
    if (!this.#sockets.has(socket)) return;
    this.#forget(socket);
    this.#options.onCut(reason);
    socket.terminate();
  }

  #forget(socket: Socket): void {
    if (!this.#sockets.delete(socket)) return;
    const connection = socket.data;
    clearTimeout(connection.timer);
    if (connection.state === "reading") this.#release(connection);
    connection.state = "closed";
    connection.outbox.clear();
  }

  /** A whole request is the handler's to keep or drop; only what waits for its rest is counted. */
  #release(connection: Connection): void {
    this.#heldBytes -= connection.reader.room;
  }
}

/** undefined for one that has reset the connection meanwhile: the kernel knows no address of it any more. */
function hostOf(socket: Socket): string | undefined {
  const address = socket.remoteAddress as string | undefined;
  return address?.startsWith("::ffff:") === true ? address.slice(7) : address;
}
