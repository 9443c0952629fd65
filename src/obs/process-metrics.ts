/**
 * What this process takes of the machine: CPU, memory, descriptors, threads, and how late its event loop is. Under
 * the usual names, read at the moment of a scrape. Where there is no /proc, what it alone knows is left out.
 */

import { readFileSync, readdirSync } from "node:fs";
import { commit, version } from "../base/version.ts";
import type { Exposition } from "./exposition.ts";
import { PROCESS_METRICS } from "./metric-names.ts";

const LAG_INTERVAL_MS = 500;

export function addProcessMetrics(to: Exposition): void {
  const startSeconds = Math.round(Date.now() / 1000 - process.uptime());
  const lag = watchLag();
  to.add(PROCESS_METRICS.build, () => [[{ version, commit, runtime: `bun ${Bun.version}` }, 1]]);
  to.add(PROCESS_METRICS.cpu, () => {
    const { user, system } = process.cpuUsage();
    return [
      [{ mode: "user" }, user / 1e6],
      [{ mode: "system" }, system / 1e6],
    ];
  });
  to.addOne(PROCESS_METRICS.memory, () => process.memoryUsage.rss());
  to.addOne(PROCESS_METRICS.descriptors, openDescriptors);
  to.addOne(PROCESS_METRICS.threads, () => statusNumber("Threads"));
  to.addOne(PROCESS_METRICS.start, () => startSeconds);
  to.addOne(PROCESS_METRICS.lag, () => lag() / 1000);
}

/**
 * The longest delay of a timer in the main thread's event loop since the last asking, in ms. One timer that does
 * nothing twice a second finds what blocks the loop for longer than that, and most of what blocks it for less.
 */
function watchLag(): () => number {
  let worstMs = 0;
  let dueMs = performance.now() + LAG_INTERVAL_MS;
  const look = () => {
    worstMs = Math.max(worstMs, performance.now() - dueMs);
    dueMs = performance.now() + LAG_INTERVAL_MS;
  };
  // It must not keep a process alive that has nothing else to do.
  setInterval(look, LAG_INTERVAL_MS).unref();
  return () => {
    const worst = Math.max(worstMs, performance.now() - dueMs, 0);
    worstMs = 0;
    return worst;
  };
}

function openDescriptors(): number | undefined {
  try {
    // The listing itself holds one open.
    return readdirSync("/proc/self/fd").length - 1;
  } catch {
    return undefined;
  }
}

function statusNumber(name: string): number | undefined {
  try {
    const value = new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return value === undefined ? undefined : Number(value);
  } catch {
    return undefined;
  }
}
