import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * The epoll descriptor of this thread's own Bun loop, or -1: of all in the process it is the one that watches a socket
 * which is opened here. The kernel lists what each watches.
 */
export function ownEpoll(): number {
  let probe: Bun.TCPSocketListener | null = null;
  try {
    probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const watchesProbe = new RegExp(`^tfd:\\s*${(probe as unknown as { fd: number }).fd}\\s`, "m");
    for (const fd of readdirSync("/proc/self/fd")) {
      if (isEpoll(fd) && watchesProbe.test(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))) return Number(fd);
    }
  } catch {
    // No loopback, no /proc, or none of it for us.
  } finally {
    probe?.stop(true);
  }
  return -1;
}

function isEpoll(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).includes("eventpoll");
  } catch {
    // Another thread closed it since it was listed.
    return false;
  }
}
