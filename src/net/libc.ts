/**
 * The socket calls of Linux's libc, by FFI: for what Bun's own sockets can't do. Null where there is no Linux libc to
 * open, and whoever asks says what is lost.
 *
 * Addresses go in and out as `sockaddr` bytes, in buffers of their own (a small typed array without one may move).
 */
import { dlopen, read } from "bun:ffi";
import type { Pointer } from "bun:ffi";

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0x800 | 0x80000;
export const SOL_SOCKET = 1;

// A size_t that fits 31 bits is passed as i32: a bigint or a conversion would cost more than the call.
const SYMBOLS = {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  accept4: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  shutdown: { args: ["i32", "i32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "i32", "i32", "ptr", "u32"], returns: "i32" },
  send: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  epoll_create1: { args: ["i32"], returns: "i32" },
  epoll_ctl: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  epoll_wait: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  prctl: { args: ["i32", "i32", "i32", "i32", "i32"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
  signal: { args: ["i32", "ptr"], returns: "ptr" },
  adjtimex: { args: ["ptr"], returns: "i32" },
  __errno_location: { args: [], returns: "ptr" },
} as const;

export type Libc = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];

let libc: Libc | null | undefined;

/** libc's socket calls, or null where there is no Linux libc to open. */
export function openLibc(): Libc | null {
  if (libc !== undefined) return libc;
  libc = null;
  if (process.platform !== "linux") return libc;
  for (const name of ["libc.so.6", "libc.so"]) {
    try {
      libc = dlopen(name, SYMBOLS).symbols;
      break;
    } catch {
      // The other libc's name is tried next.
    }
  }
  return libc;
}

/** Reads this thread's `errno`; each thread asks once for where it lies. */
export function errnoReader(c: Libc): () => number {
  const at = c.__errno_location() as Pointer;
  return () => read.i32(at, 0);
}

/** Sets an integer option of a socket. */
export function setOption(c: Libc, fd: number, level: number, option: number, value: number): void {
  const word = new Int32Array(new ArrayBuffer(4));
  word[0] = value;
  c.setsockopt(fd, level, option, word, 4);
}

/** `sockaddr_in` or `sockaddr_in6` of 4 or 16 address bytes. */
export function socketAddress(ip: Uint8Array, port: number): Uint8Array {
  const isIpv6 = ip.length === 16;
  const name = new Uint8Array(new ArrayBuffer(isIpv6 ? 28 : 16));
  const view = new DataView(name.buffer);
  view.setUint16(0, isIpv6 ? AF_INET6 : AF_INET, true);
  view.setUint16(2, port, false);
  name.set(ip, isIpv6 ? 8 : 4);
  return name;
}

/** `sockaddr_un` of a path of at most 107 bytes; a longer one is cut, and leads nowhere. */
export function unixAddress(path: string): Uint8Array {
  const name = new Uint8Array(new ArrayBuffer(110));
  new DataView(name.buffer).setUint16(0, AF_UNIX, true);
  new TextEncoder().encodeInto(path, name.subarray(2, 109));
  return name;
}
