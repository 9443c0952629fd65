/** Numbers of the Linux kernel's interface that the lane needs, the same on x64 and arm64. */

/** Events, and operations, of epoll_ctl(2). */
export const EPOLL = {
  IN: 1,
  OUT: 4,
  ERR: 8,
  HUP: 16,
  RDHUP: 0x2000,
  ADD: 1,
  DEL: 2,
  MOD: 3,
  CLOEXEC: 0x80000,
} as const;

export const ERRNO = {
  EINTR: 4,
  EAGAIN: 11,
  ENFILE: 23,
  EMFILE: 24,
  EPIPE: 32,
  ECONNABORTED: 103,
  EINPROGRESS: 115,
} as const;

const ERRNO_NAMES: Readonly<Record<number, string>> = {
  2: "there is no such socket",
  [ERRNO.EAGAIN]: "its queue of connections is full",
  [ERRNO.EMFILE]: "the process has no file descriptor left",
  [ERRNO.ENFILE]: "the system has no file descriptor left",
  13: "not allowed",
  99: "no local address or port is left",
  101: "the network is unreachable",
  104: "reset by the target",
  110: "timed out",
  111: "refused",
  113: "no route to the host",
};

/** Whether an error number says that this process or system has run out of something. */
export function isExhaustion(code: number): boolean {
  return code === ERRNO.EMFILE || code === ERRNO.ENFILE || code === 12 || code === 99 || code === 105;
}

/** What an error number means, in words. */
export function errnoName(code: number): string {
  return ERRNO_NAMES[code] ?? `error ${code}`;
}
