/**
 * Listening descriptors that outlive the threads which accept on them.
 *
 * The router's main thread opens one listening socket for each worker, all on one port (SO_REUSEPORT: the kernel
 * spreads connections over them), and a worker adopts a duplicate by `Bun.listen({ fd })`. When a worker dies, the
 * main thread's descriptor keeps its queue of connections open, and the worker's successor accepts them: none is lost.
 * The same holds for a whole process that hands its descriptors to a successor (handover.ts), which adopts them here.
 *
 * A port that is in use is refused, never silently shared: the first socket is bound without SO_REUSEPORT, which
 * fails when anyone else holds the port, and is given the option only afterwards, so that our own others may join.
 * (Linux checks the option of both sockets at bind time.) Bun has no call for this, hence libc by FFI; where libc
 * can't be opened, `openListeners` says so and the caller lets each worker listen by itself.
 */
import { MeshError } from "../base/errors.ts";
import { boundAddress, closeDescriptor, duplicate, expectSocket } from "./descriptor.ts";
import { parseIpv4, parseIpv6 } from "./ip.ts";
import {
  AF_INET,
  AF_INET6,
  type Libc,
  openLibc,
  setOption,
  SOCK_STREAM_NONBLOCK_CLOEXEC,
  socketAddress,
  SOL_SOCKET,
} from "./libc.ts";

/** A host and a port; the empty host means every address, IPv6 and IPv4. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Listening sockets on one address. */
export interface Listeners {
  /** The port bound: the kernel's choice where 0 was asked for. */
  readonly port: number;
  readonly count: number;
  /** A duplicate of socket `index`, for a worker to adopt. */
  duplicate(index: number): number;
  /** Closes the descriptors held here; the workers' duplicates go on. */
  close(): void;
}

const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
/** Connections that may wait to be accepted. */
export const BACKLOG = 4096;

/**
 * Opens `count` listening sockets on one address.
 * Null where the platform lacks what it takes; throws a MeshError when the address can't be had.
 */
export function openListeners(address: ListenAddress, count: number): Listeners | null {
  const c = openLibc();
  if (c === null) return null;
  const wildcard = address.host === "" || address.host === "::" || address.host === "*";
  const bytes = wildcard ? new Uint8Array(16) : (parseIpv4(address.host) ?? parseIpv6(address.host));
  if (bytes === null) {
    throw new MeshError(
      "config_invalid",
      `can't listen on "${address.host}": give an IP address, or none for every address`,
    );
  }
  const first = bindFirst(c, bytes, address, wildcard);
  const fds = [first.fd];
  try {
    const { port } = boundAddress(first.fd);
    for (let i = 1; i < count; i++) {
      const fd = bindSocket(c, first.bytes, port, true);
      if (fd < 0) throw inUse(address.host, port);
      fds.push(fd);
    }
    for (const fd of fds) if (c.listen(fd, BACKLOG) !== 0) throw inUse(address.host, port);
    return listenersOf(fds, port);
  } catch (error) {
    for (const fd of fds) closeDescriptor(fd);
    throw error;
  }
}

/** Listening sockets that another process opened and handed over; throws a MeshError for what is none. */
export function adoptListeners(fds: readonly number[]): Listeners {
  for (const fd of fds) expectSocket(fd, "listening");
  return listenersOf([...fds], boundAddress(fds[0] ?? -1).port);
}

function listenersOf(fds: number[], port: number): Listeners {
  return {
    port,
    count: fds.length,
    duplicate(index) {
      const fd = fds[index];
      if (fd === undefined) throw new MeshError("internal", `there is no listening socket ${index}`);
      return duplicate(fd);
    },
    close() {
      for (const fd of fds.splice(0)) closeDescriptor(fd);
    },
  };
}

/** Binds the first socket, exclusively; where IPv6 is switched off, "every address" means every IPv4 address. */
function bindFirst(
  c: Libc,
  bytes: Uint8Array,
  address: ListenAddress,
  wildcard: boolean,
): { fd: number; bytes: Uint8Array } {
  const fd = bindSocket(c, bytes, address.port, false);
  if (fd >= 0) return { fd, bytes };
  if (wildcard && fd === NO_FAMILY) {
    const ipv4 = new Uint8Array(4);
    const again = bindSocket(c, ipv4, address.port, false);
    if (again >= 0) return { fd: again, bytes: ipv4 };
  }
  throw inUse(address.host, address.port);
}

const NO_FAMILY = -2;

/** A bound socket that may share its port with our own later ones; negative when that failed. */
function bindSocket(c: Libc, address: Uint8Array, port: number, shared: boolean): number {
  const ipv6 = address.length === 16;
  const fd = c.socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) return NO_FAMILY;
  setOption(c, fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (ipv6) setOption(c, fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (shared) setOption(c, fd, SOL_SOCKET, SO_REUSEPORT, 1);
  const name = socketAddress(address, port);
  if (c.bind(fd, name, name.length) !== 0) {
    c.close(fd);
    return -1;
  }
  if (!shared) setOption(c, fd, SOL_SOCKET, SO_REUSEPORT, 1);
  return fd;
}

function inUse(host: string, port: number): MeshError {
  return new MeshError(
    "config_invalid",
    `can't listen on ${host === "" ? "*" : host}:${port}: the port is in use, or not allowed to this user; stop what holds it, or choose another (port 0 takes any free one)`,
  );
}
