/** What Linux tells of processes in /proc: who started whom, who still runs, and the memory of each. */
import { readFileSync, readdirSync } from "node:fs";

/** A process that can be told from a later one of the same number. */
export interface ProcessId {
  readonly pid: number;
  readonly startTicks: string;
}

/** The processes that `pid` started, and theirs. */
export function descendants(pid: number): ProcessId[] {
  const found: ProcessId[] = [];
  const parents = new Set([pid]);
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  // Children have higher numbers than their parents, but for the rare turn of the numbers.
  for (const name of all.toSorted((a, b) => Number(a) - Number(b))) {
    const stat = statOf(Number(name));
    if (stat === null || !parents.has(stat.parent)) continue;
    parents.add(Number(name));
    found.push({ pid: Number(name), startTicks: stat.startTicks });
  }
  return found;
}

/** Whether it still runs; one that ended and waits for its parent to notice does not. */
export function isAlive({ pid, startTicks }: ProcessId): boolean {
  const stat = statOf(pid);
  return stat !== null && stat.startTicks === startTicks && stat.state !== "Z";
}

function statOf(pid: number): { state: string; parent: number; startTicks: string } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name before it is in brackets and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", parent: Number(fields[1]), startTicks: fields[19] ?? "" };
  } catch {
    return null;
  }
}

/**
 * Memory of a process in bytes: all that is resident, and its proportional share (pages that several processes use
 * count a part for each); null where the kernel does not let us read the share.
 */
export function memory(pid: number): { resident: number; proportional: number | null } {
  const kib = (text: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
  const resident = kib(readFileSync(`/proc/${pid}/status`, "utf8"), "VmRSS") * 1024;
  try {
    return { resident, proportional: kib(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"), "Pss") * 1024 };
  } catch {
    return { resident, proportional: null };
  }
}

/** The arguments that a process was started with. */
export function commandLine({ pid }: ProcessId): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}
