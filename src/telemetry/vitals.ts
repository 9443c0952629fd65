/**
 * The machine's own load: the CPU's busy share since the last call (/proc/stat) and the memory in use (/proc/meminfo:
 * MemAvailable, which counts what the page cache would give back). Where there is no /proc, node:os answers; its idea
 * of free memory leaves the page cache out, so it reads higher.
 */

import { readFileSync } from "node:fs";
import { cpus, freemem, totalmem } from "node:os";

export interface CpuTimes {
  readonly busy: number;
  readonly total: number;
}

/** The first line of /proc/stat: ticks spent in each mode, all CPUs together. */
export function parseCpuTimes(stat: string): CpuTimes | undefined {
  const end = stat.indexOf("\n");
  const fields = (end < 0 ? stat : stat.slice(0, end)).trim().split(/\s+/);
  if (fields[0] !== "cpu" || fields.length < 5) return undefined;
  // user nice system idle iowait irq softirq steal; guest times are already inside user and nice.
  const ticks = fields.slice(1, 9).map(Number);
  if (ticks.some((value) => !Number.isFinite(value))) return undefined;
  const total = ticks.reduce((sum, value) => sum + value, 0);
  return { busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0), total };
}

/** Used share of the memory by /proc/meminfo, 0..1. */
export function parseMemoryUsage(meminfo: string): number | undefined {
  const total = Number(/^MemTotal:\s+(\d+)/m.exec(meminfo)?.[1]);
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(meminfo)?.[1]);
  if (!(total > 0) || !(available >= 0)) return undefined;
  return Math.min(1, Math.max(0, 1 - available / total));
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function osCpuTimes(): CpuTimes {
  let busy = 0;
  let total = 0;
  for (const { times } of cpus()) {
    const used = times.user + times.nice + times.sys + times.irq;
    busy += used;
    total += used + times.idle;
  }
  return { busy, total };
}

export class Vitals {
  readonly #procDirectory: string;
  #last: CpuTimes;
  #cpuUsage = 0;

  constructor(procDirectory = "/proc") {
    this.#procDirectory = procDirectory;
    this.#last = this.#readCpuTimes();
  }

  /** Busy share of all CPUs since the call before, 0..1; calls within one tick repeat the last answer. */
  cpuUsage(): number {
    const times = this.#readCpuTimes();
    const passed = times.total - this.#last.total;
    if (passed > 0) {
      this.#cpuUsage = Math.min(1, Math.max(0, (times.busy - this.#last.busy) / passed));
      this.#last = times;
    }
    return this.#cpuUsage;
  }

  /** Used share of the memory, 0..1. */
  memoryUsage(): number {
    const meminfo = readText(`${this.#procDirectory}/meminfo`);
    const usage = meminfo === undefined ? undefined : parseMemoryUsage(meminfo);
    return usage ?? 1 - freemem() / totalmem();
  }

  #readCpuTimes(): CpuTimes {
    const stat = readText(`${this.#procDirectory}/stat`);
    return (stat === undefined ? undefined : parseCpuTimes(stat)) ?? osCpuTimes();
  }
}
