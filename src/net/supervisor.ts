/**
 * What a supervisor is told by sd_notify(3), the protocol of systemd's Type=notify: datagrams of NAME=VALUE lines to the
 * unix socket that NOTIFY_SOCKET names, "@" for a NUL at its beginning. With NotifyAccess=all, a process that took over
 * from the main one becomes the main one by MAINPID. With WatchdogSec= it wants to hear regularly that the process lives.
 * Bun has no unix datagrams, hence libc; without a supervisor, or where libc can't be opened, nothing is told.
 */
import { openLibc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0x80000;
const NO_WAIT = 0x40;
/** The longest path of a unix socket's address. */
const PATH_BYTES_MAX = 108;

/** Signs of life come this much more often than the watchdog wants them. */
const SIGNS_PER_WATCH = 3;
const SIGN_MS_MIN = 10;
/** Beyond the time that a stop may take by itself. */
const STOP_SPARE_MS = 10_000;

/** What a role tells in its life. */
export class Supervisor {
  #signs: ReturnType<typeof setInterval> | undefined;

  /** It serves, as the main process from now on. */
  ready(): void {
    notifySupervisor({ READY: 1, MAINPID: process.pid });
    const watchMs = Number(process.env["WATCHDOG_USEC"] ?? 0) / 1000;
    if (this.#signs !== undefined || !(watchMs > 0)) return;
    const everyMs = Math.max(SIGN_MS_MIN, watchMs / SIGNS_PER_WATCH);
    this.#signs = setInterval(() => notifySupervisor({ WATCHDOG: 1 }), everyMs);
    this.#signs.unref();
  }

  /** Ends within about so long, whatever the unit's TimeoutStopSec= says. */
  stopping(withinMs: number): void {
    notifySupervisor({ STOPPING: 1, EXTEND_TIMEOUT_USEC: Math.ceil((withinMs + STOP_SPARE_MS) * 1000) });
  }

  /** Another process is the main one: its signs of life count. */
  retire(): void {
    clearInterval(this.#signs);
  }
}

/** The process's own. */
export const supervisor = new Supervisor();

/** Tells the supervisor, if there is one; whether it was told. */
export function notifySupervisor(state: Readonly<Record<string, string | number>>): boolean {
  // Whoever started this process for itself (`dev`) is the one that is looked after.
  const place = process.env["INFERMESH_SUPERVISED"] === "1" ? "" : process.env["NOTIFY_SOCKET"];
  const path = Buffer.from(place ?? "");
  const libc = openLibc();
  if (path.length === 0 || path.length > PATH_BYTES_MAX || libc === null) return false;
  const address = new Uint8Array(new ArrayBuffer(2 + path.length));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(path, 2);
  if (path[0] === 0x40) address[2] = 0;
  const lines = Object.entries(state).map(([name, value]) => `${name}=${value}\n`);
  const text = new TextEncoder().encode(lines.join(""));
  const bytes = new Uint8Array(new ArrayBuffer(text.length));
  bytes.set(text);
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) return false;
  const sent = libc.sendto(fd, bytes, bytes.length, NO_WAIT, address, address.length);
  libc.close(fd);
  return sent === bytes.length;
}
