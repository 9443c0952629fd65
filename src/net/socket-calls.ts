/** libc's calls on sockets as the epoll lane makes them: without waiting, and into one buffer for all. */
import { ptr } from "bun:ffi";
import type { Pointer } from "bun:ffi";
import { formatIp } from "./ip.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  errnoReader,
  type Libc,
  setOption,
  SOCK_STREAM_NONBLOCK_CLOEXEC,
  SOL_SOCKET,
} from "./libc.ts";

const SO_ERROR = 4;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const ACCEPT_FLAGS = 0x800 | 0x80000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
const READ_BYTES = 65_536;

export class SocketCalls {
  /** What was received last; the same for all streams. */
  readonly buffer = Buffer.from(new ArrayBuffer(READ_BYTES));
  /** What the last call that failed has left. */
  readonly errno: () => number;
  readonly #libc: Libc;
  readonly #bufferAt: Pointer;
  readonly #peer = new Uint8Array(new ArrayBuffer(128));
  readonly #peerLength = new Uint32Array(new ArrayBuffer(4));

  constructor(c: Libc) {
    this.#libc = c;
    this.errno = errnoReader(c);
    this.#bufferAt = ptr(this.buffer);
  }

  /** A socket for a connection to that `sockaddr`; negative when there is none to be had. */
  open(name: Uint8Array): number {
    const family = name[0] ?? 0;
    const fd = this.#libc.socket(family, SOCK_STREAM_NONBLOCK_CLOEXEC, 0);
    if (fd >= 0 && family !== AF_UNIX) setOption(this.#libc, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
  }

  /** Makes closing a reset. */
  reset(fd: number): void {
    const linger = new Int32Array(new ArrayBuffer(8));
    linger[0] = 1;
    this.#libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, 8);
  }

  /** Ends our half. */
  shutdown(fd: number): void {
    this.#libc.shutdown(fd, SHUT_WR);
  }

  /** What went wrong on the socket; 0 for nothing. */
  errorOf(fd: number): number {
    const code = new Int32Array(new ArrayBuffer(4));
    const length = new Uint32Array(new ArrayBuffer(4));
    length[0] = 4;
    return this.#libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, code, length) === 0 ? (code[0] ?? 0) : this.errno();
  }

  /** Sends bytes [offset, offset + length); answers how many the kernel took, negative for none. */
  send(fd: number, bytes: Uint8Array, offset: number, length: number): number {
    return this.#libc.send(fd, (ptr(bytes) + offset) as Pointer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  /** Receives into `buffer`; answers how much, 0 at the end, negative for an error. */
  receive(fd: number): number {
    return this.#libc.recv(fd, this.#bufferAt, READ_BYTES, MSG_DONTWAIT);
  }

  /** A connection that waits, or a negative number. */
  accept(listener: number): number {
    this.#peerLength[0] = this.#peer.length;
    const fd = this.#libc.accept4(listener, this.#peer, this.#peerLength, ACCEPT_FLAGS);
    if (fd >= 0) setOption(this.#libc, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
  }

  /** Where the connection came from that was accepted last. */
  acceptedFrom(): string | undefined {
    const family = this.#peer[0];
    if (family === AF_INET) return formatIp(this.#peer.subarray(4, 8));
    return family === AF_INET6 ? formatIp(this.#peer.subarray(8, 24)) : undefined;
  }
}
