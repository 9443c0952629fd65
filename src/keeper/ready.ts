/** Asks a runtime whether it is ready: an HTTP answer from 200 to 299, or a connection that is taken. */
import type { ReadyCheck } from "../exec/settings.ts";

/** "" when it is, else why not. */
export async function askReady(check: ReadyCheck, timeoutMs: number): Promise<string> {
  return check.kind === "http" ? askHttp(check.url, timeoutMs) : askTcp(check.host, check.port, timeoutMs);
}

async function askHttp(url: string, timeoutMs: number): Promise<string> {
  // What is told of it is told to everybody: user, password and query may be secrets.
  const { origin, pathname } = new URL(url);
  const where = `${origin}${pathname}`;
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    // Each on a connection of its own: one that a runtime no longer serves would tell of the one before.
    // And to itself: a proxy that the environment names is for what lies outside, and knows nothing of this machine.
    const response = await fetch(url, { signal, redirect: "manual", keepalive: false, proxy: false });
    await response.body?.cancel().catch(() => {});
    return response.ok ? "" : `${where} answered ${response.status}`;
  } catch (error) {
    return `${where}: ${whyNot(error, timeoutMs)}`;
  }
}

async function askTcp(hostname: string, port: number, timeoutMs: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const where = `tcp://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  const timer = setTimeout(() => resolve(`${where}: no answer within ${timeoutMs} ms`), timeoutMs);
  const connecting = Bun.connect({
    hostname,
    port,
    socket: {
      open: () => resolve(""),
      data() {},
      error: (_socket, error) => resolve(`${where}: ${error.message}`),
      connectError: (_socket, error) => resolve(`${where}: ${whyNot(error, timeoutMs)}`),
    },
  });
  connecting.catch((error: unknown) => resolve(`${where}: ${whyNot(error, timeoutMs)}`));
  const answer = await promise;
  clearTimeout(timer);
  void connecting.then((socket) => socket.terminate()).catch(() => {});
  return answer;
}

function whyNot(error: unknown, timeoutMs: number): string {
  const { name, code, message } = error as { name?: string; code?: unknown; message?: string };
  if (name === "TimeoutError") return `no answer within ${timeoutMs} ms`;
  if (code === "ECONNREFUSED" || code === "ConnectionRefused") return "nothing listens there yet";
  return message ?? String(error);
}
