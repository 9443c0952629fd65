/**
 * Ports of loopback for servers that must be told one, are started later or anew, or are never there. They are out of those
 * that the kernel gives to nobody by itself: of the others each may be an outgoing connection's a moment later, and while a
 * test beside this one holds thousands of them, many are.
 */
import { readFileSync } from "node:fs";

const LOWEST = 12_000;
/** Each process of tests begins elsewhere, for what is free now may be about to be another one's. */
const APART = 61;

const span = lowestOfKernel() - LOWEST;
let next = (process.pid * APART) % span;

function lowestOfKernel(): number {
  try {
    return Math.max(
      LOWEST + 1000,
      Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s/)[0]),
    );
  } catch {
    return 32_768;
  }
}

/** One that nobody listens on. */
export function freePort(): number {
  for (let tries = 0; tries < span; tries += 1) {
    const port = LOWEST + next;
    next = (next + 1) % span;
    if (isFree(port)) return port;
  }
  throw new Error(`no port from ${LOWEST} to ${LOWEST + span - 1} is free`);
}

export function freePorts(count: number): number[] {
  return Array.from({ length: count }, freePort);
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}
