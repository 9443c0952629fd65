/**
 * Streams in TLS, on both sides, by node:tls as Bun implements it: certificates by server name (SNI), which Bun.listen
 * does not know, cost an eighth more than its sockets do.
 *
 * A stream takes whole writes, copied, until what it has not sent exceeds its high-water mark; after that it takes
 * nothing, and tells by `drain` when it does again.
 */
import tls from "node:tls";
import type { TLSSocket } from "node:tls";
import type { Handshakes } from "./handshakes.ts";
import type { DialPlace, Stream, StreamHandlers } from "./stream.ts";

/** How long a stream that ended in order waits for the other side. */
const LINGER_MS = 2000;

/** Texts of PEM files. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

export interface TlsIdentities extends Identity {
  /** Further certificates, by the names that clients ask for; `*.example.com` stands for one label. */
  readonly sni: Readonly<Record<string, Identity>>;
}

export interface TlsServerOptions extends TlsIdentities {
  readonly alpn: readonly string[];
}

export interface TlsClientOptions {
  /** PEM text of the authorities that are trusted; undefined: those of the system. */
  readonly ca?: string | undefined;
  /** Shown to targets that ask for one. */
  readonly identity?: Identity | undefined;
  /** False: whoever answers is believed. */
  readonly verify: boolean;
}

class TlsStream<T> implements Stream<T> {
  data: T;
  readonly #socket: TLSSocket;
  /** node:tls leaves some of its work to ticks. */
  readonly #breathe: () => void;
  #isFull = false;

  constructor(socket: TLSSocket, data: T, handlers: StreamHandlers<T>, breathe: () => void) {
    this.#breathe = breathe;
    this.data = data;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => handlers.data(this, bytes, 0, bytes.length));
    socket.on("drain", () => {
      this.#isFull = false;
      handlers.drain(this);
    });
    socket.on("end", () => handlers.end(this));
    socket.on("close", () => handlers.close(this));
    // What went wrong shows itself as a close.
    socket.on("error", () => {});
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  write(bytes: Uint8Array, offset = 0, length = bytes.length - offset): number {
    if (!this.#socket.writable) return -1;
    if (this.#isFull) return 0;
    this.#breathe();
    this.#isFull = !this.#socket.write(Buffer.from(bytes.subarray(offset, offset + length)));
    return length;
  }

  pause(): void {
    this.#socket.pause();
    this.#breathe();
  }

  resume(): void {
    this.#socket.resume();
    this.#breathe();
  }

  shutdown(): void {
    this.#breathe();
    this.#socket.end();
  }

  end(): void {
    this.#breathe();
    this.#socket.end();
    this.#socket.resume();
    const timer = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    this.#socket.once("close", () => clearTimeout(timer));
  }

  terminate(): void {
    this.#breathe();
    this.#socket.resetAndDestroy();
  }
}

/** A port that accepts in TLS. */
export interface TlsListener {
  stop(): void;
  /** Shows these from the next handshake on. */
  show(identities: TlsIdentities): void;
}

/** Accepts in TLS on a socket that listens already, as far as `handshakes` allow; `breathe` as Transport has it. */
export function adoptTls<T>(
  fd: number,
  options: TlsServerOptions,
  handshakes: Handshakes,
  handlers: StreamHandlers<T>,
  breathe: () => void = () => {},
): TlsListener {
  const server = tls.createServer(
    {
      cert: options.cert,
      key: options.key,
      ALPNProtocols: [...options.alpn],
      allowHalfOpen: true,
      minVersion: "TLSv1.2",
    },
    (socket) => {
      // One that was given up is closing.
      if (!handshakes.end(socket)) return;
      // The handlers give it its state as it opens.
      handlers.open(new TlsStream<T>(socket, undefined as T, handlers, breathe));
    },
  );
  // Bun tells of a connection before its handshake, as the socket that it will be.
  server.on("connection", (socket) => {
    socket.on("error", () => {});
    if (handshakes.begin(socket, performance.now())) socket.once("close", () => handshakes.end(socket));
  });
  const addNames = ({ sni }: TlsIdentities): void => {
    for (const [name, identity] of Object.entries(sni)) server.addContext(name, { ...identity });
  };
  addNames(options);
  // A client that does not speak TLS, or trusts another authority: its affair. Nobody else closes its connection.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.listen({ fd });
  return {
    stop: () => void server.close(),
    show(identities) {
      server.setSecureContext({ cert: identities.cert, key: identities.key });
      addNames(identities);
    },
  };
}

/** Connects in TLS, as Transport.connect does; `serverName` is what the certificate must be for. */
export function connectTls<T>(
  place: Omit<DialPlace, "tls">,
  serverName: string,
  options: TlsClientOptions,
  data: T,
  handlers: StreamHandlers<T>,
  settled: () => void,
  breathe: () => void = () => {},
): () => void {
  breathe();
  let isOver = false;
  const over = (): boolean => {
    if (isOver) return false;
    isOver = true;
    settled();
    return true;
  };
  const how: tls.ConnectionOptions & { allowHalfOpen: boolean } = {
    host: place.host,
    port: place.port,
    allowHalfOpen: true,
    servername: /^[\d.]+$|:/.test(serverName) ? "" : serverName,
    rejectUnauthorized: options.verify,
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(serverName, certificate),
    ...(place.alpn === undefined ? {} : { ALPNProtocols: [...place.alpn] }),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...options.identity,
  };
  const socket = tls.connect(how);
  const failed = (error: Error): void => {
    if (!over()) return;
    socket.destroy();
    handlers.connectError({ data } as Stream<T>, error);
  };
  socket.once("error", failed);
  socket.once("close", () => failed(new Error("the target closed the connection during the TLS handshake")));
  socket.once("secureConnect", () => {
    if (options.verify && !socket.authorized) {
      failed(new Error(`the target's certificate is not trusted: ${String(socket.authorizationError)}`));
      return;
    }
    if (!over()) return;
    socket.removeAllListeners("error").removeAllListeners("close");
    handlers.open(new TlsStream<T>(socket, data, handlers, breathe));
  });
  return () => {
    if (over()) socket.destroy();
  };
}
