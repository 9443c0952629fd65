/**
 * One UDP socket. Bun's own says when the kernel has no room, which node:dgram, made of it, hides in a queue without an
 * end; but it has no option for the receive buffer. That is set through libc, and where libc can't be opened the
 * kernel's default stays.
 *
 * Nothing that the network does ends the socket. A destination that is not there is heard of by ICMP, as an error of
 * whatever the socket does next: it names nobody, so it is only counted, and a send that it befell is tried again, since
 * it was about another datagram. Any other error on sending fails that one datagram.
 */
import { dlopen } from "bun:ffi";
import type { Address } from "../base/units.ts";
import { codeOf, orCrash } from "../net/crash.ts";
import { boundAddress, duplicate } from "../net/descriptor.ts";
import type { Outcome } from "./pacer.ts";

export interface UdpHandlers {
  /** The bytes are the caller's to keep. */
  onDatagram(bytes: Uint8Array, host: string, port: number): void;
  /** There is room again after "busy". */
  onDrain(): void;
  /** Some destination of late can't be reached. */
  onUnreachable(): void;
  /** A datagram could not be sent, for a reason that lies with this machine. */
  onFailure(error: Error): void;
}

/** Errors by ICMP and its like: a host or port is not there. */
const UNREACHABLE = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ECONNRESET"]);
/** Each try takes one such error off the socket; more may come meanwhile. */
const TRIES_MAX = 4;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;

export class Udp {
  readonly host: string;
  readonly port: number;
  readonly #socket: Bun.udp.Socket<"uint8array">;
  readonly #handlers: UdpHandlers;
  #closed = false;

  private constructor(socket: Bun.udp.Socket<"uint8array">, bound: Address, handlers: UdpHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.host = bound.host;
    this.port = bound.port;
  }

  /** Another descriptor of the socket, for the caller to close. */
  descriptor(): number {
    return duplicate((this.#socket as unknown as { readonly fd: number }).fd);
  }

  /** Binds an IP address, or takes a socket that is bound; rejects when that can't be had. */
  static async open(
    where: { readonly host: string; readonly port: number } | { readonly fd: number },
    receiveBufferBytes: number,
    handlers: UdpHandlers,
  ): Promise<Udp> {
    // `fd` is in no types of Bun's, which does not know where such a socket is bound either.
    const place = "fd" in where ? where : { hostname: where.host, port: where.port };
    const options: Bun.udp.SocketOptions<"uint8array"> = {
      ...place,
      binaryType: "uint8array",
      socket: {
        data(_socket, bytes, fromPort, from) {
          // Bun hands what a handler throws to `error` and goes on; a bug must end the process.
          orCrash(() => handlers.onDatagram(bytes, from.startsWith("::ffff:") ? from.slice(7) : from, fromPort));
        },
        drain() {
          orCrash(() => handlers.onDrain());
        },
        // Bun calls it with the error alone, whatever its types say.
        error(...given: unknown[]) {
          const error = given.find((one) => one instanceof Error);
          if (error === undefined || UNREACHABLE.has(codeOf(error))) handlers.onUnreachable();
          else handlers.onFailure(error);
        },
      },
    };
    const socket = await Bun.udpSocket(options);
    enlarge(socket, receiveBufferBytes);
    const bound = "fd" in where ? boundAddress(where.fd) : { host: socket.hostname, port: socket.port };
    return new Udp(socket, bound, handlers);
  }

  send(bytes: Uint8Array, host: string, port: number): Outcome {
    if (this.#closed) return "failed";
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      try {
        return this.#socket.send(bytes, port, host) ? "sent" : "busy";
      } catch (thrown) {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        if (!UNREACHABLE.has(codeOf(error))) {
          this.#handlers.onFailure(error);
          return "failed";
        }
        this.#handlers.onUnreachable();
      }
    }
    return "failed";
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}

/** Asks the kernel for a receive buffer; it gives at most net.core.rmem_max, and doubles it for its own needs. */
function enlarge(socket: Bun.udp.Socket<"uint8array">, bytes: number): void {
  // Not in bun-types.
  const { fd } = socket as unknown as { readonly fd?: number };
  if (process.platform !== "linux" || typeof fd !== "number") return;
  const value = new Int32Array(new ArrayBuffer(4));
  value[0] = bytes;
  for (const name of ["libc.so.6", "libc.so"]) {
    try {
      const libc = dlopen(name, { setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" } });
      libc.symbols.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, value, 4);
      libc.close();
      return;
    } catch {
      // The other libc's name is tried next; without either the default has to do.
    }
  }
}
