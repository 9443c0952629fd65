/**
 * Descriptors of sockets: a second one of the same socket, and what a socket that was opened elsewhere is bound to.
 *
 * Every descriptor of a socket leads to the same queue, so a socket outlives the thread or process that opened it for
 * as long as somebody holds one. Duplicates are not passed on to programs that are started, unless they are named
 * (handover.ts).
 */
import { MeshError } from "../base/errors.ts";
import type { Address } from "../base/units.ts";
import { formatIp } from "./ip.ts";
import { AF_INET, AF_INET6, openLibc, SOL_SOCKET } from "./libc.ts";

const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const F_DUPFD_CLOEXEC = 1030;

/** Another descriptor of the same socket, for the caller to close. Throws a MeshError when there is none to be had. */
export function duplicate(fd: number): number {
  const copy = openLibc()?.fcntl(fd, F_DUPFD_CLOEXEC, 0) ?? -1;
  if (copy < 0)
    throw new MeshError("internal", `can't duplicate descriptor ${fd}: is it open, and are there any left?`);
  return copy;
}

export function closeDescriptor(fd: number): void {
  openLibc()?.close(fd);
}

/** Where a socket is bound: host without brackets, "::" or "0.0.0.0" for every address. */
export function boundAddress(fd: number): Address {
  const name = new Uint8Array(new ArrayBuffer(28));
  const length = new Uint32Array(new ArrayBuffer(4));
  length[0] = name.length;
  if (openLibc()?.getsockname(fd, name, length) !== 0) throw notOurs(fd, "a socket");
  const view = new DataView(name.buffer);
  const family = view.getUint16(0, true);
  if (family !== AF_INET && family !== AF_INET6) throw notOurs(fd, "an internet socket");
  const port = view.getUint16(2, false);
  return { host: formatIp(family === AF_INET ? name.subarray(4, 8) : name.subarray(8, 24)), port };
}

/** Throws a MeshError unless the descriptor, which somebody else handed over, is such a socket. */
export function expectSocket(fd: number, kind: "listening" | "datagram"): void {
  const wanted = kind === "listening" ? SOCK_STREAM : SOCK_DGRAM;
  const isListening = kind === "datagram" || socketOption(fd, SO_ACCEPTCONN) === 1;
  if (socketOption(fd, SO_TYPE) !== wanted || !isListening) throw notOurs(fd, `a ${kind} socket`);
}

/** Of SOL_SOCKET; -1 where it can't be asked. */
export function socketOption(fd: number, option: number): number {
  const value = new Int32Array(new ArrayBuffer(4));
  const length = new Uint32Array(new ArrayBuffer(4));
  length[0] = 4;
  return openLibc()?.getsockopt(fd, SOL_SOCKET, option, value, length) === 0 ? (value[0] ?? -1) : -1;
}

function notOurs(fd: number, wanted: string): MeshError {
  return new MeshError("internal", `descriptor ${fd} was handed over as ${wanted}, and is none`);
}
