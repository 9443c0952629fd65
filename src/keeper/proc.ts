/**
 * Processes by Linux's /proc: who one is, which belong together, whether the kernel ended one for lack of memory. A
 * process's number is given out again after its end; the number with the ticks of its start is not.
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";

const POLL_MS = 20;

export interface ProcessStat {
  readonly pid: number;
  /** "Z" is one that has ended and is only not yet waited for, unless it has threads left. */
  readonly state: string;
  /** A process lives on, and holds what it has, when its first thread has ended: that one is "Z" then, and counted here. */
  readonly threads: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Clock ticks from boot to its start. */
  readonly start: string;
}

export interface ProcessName {
  readonly pid: number;
  readonly start: string;
}

export function statOf(pid: number): ProcessStat | undefined {
  try {
    return parseStat(pid, readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return undefined;
  }
}

/** Its name stands in brackets and may hold anything, so fields are counted from behind it. */
export function parseStat(pid: number, text: string): ProcessStat | undefined {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state = "", parent = "", group = "", session = ""] = fields;
  const start = fields[19] ?? "";
  if (!/^\w$/.test(state) || !/^\d+$/.test(start)) return undefined;
  const threads = Number(fields[17]);
  return { pid, state, threads, parent: Number(parent), group: Number(group), session: Number(session), start };
}

function hasEnded({ state, threads }: ProcessStat): boolean {
  return state === "X" || (state === "Z" && threads < 2);
}

/** Whether that very process is there, and has not ended. */
export function isThere({ pid, start }: ProcessName): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.start === start && !hasEnded(stat);
}

/**
 * Where this process's numbers and ticks count: in this boot, in this container. Those of another place are of other
 * processes here. "" where that is not known, and then nothing that was noted before counts.
 */
export function placeOfNumbers(self: number = process.pid, read: (path: string) => string = readPlace): string {
  try {
    const boot = read("/proc/sys/kernel/random/boot_id").trim();
    const space = read("/proc/self/ns/pid");
    // A /proc of another container tells of other processes than signals go to.
    return boot === "" || space === "" || read("/proc/self") !== String(self) ? "" : `${boot} ${space}`;
  } catch {
    return "";
  }
}

function readPlace(path: string): string {
  return path.startsWith("/proc/self") ? readlinkSync(path) : readFileSync(path, "latin1");
}

/** The processes of a session that have not ended, also those that made groups of their own. */
export function sessionOf(leader: number): ProcessStat[] {
  return living().filter(({ session }) => session === leader);
}

/**
 * What the process has started, and what that has started, in whatever sessions, as far as it has not ended. What has lost
 * its parent is among it where the process adopts such (PR_SET_CHILD_SUBREAPER).
 */
export function descendantsOf(ancestor: number): ProcessStat[] {
  const all = living();
  const found: ProcessStat[] = [];
  let parents = new Set([ancestor]);
  while (parents.size > 0) {
    const children = all.filter(({ parent }) => parents.has(parent));
    found.push(...children);
    parents = new Set(children.map(({ pid }) => pid));
  }
  return found;
}

function living(): ProcessStat[] {
  let names: string[] = [];
  try {
    names = readdirSync("/proc");
  } catch {
    // No /proc, no processes to be told.
  }
  return names
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
    .filter((stat) => stat !== undefined)
    .filter((stat) => !hasEnded(stat));
}

/**
 * Sends a signal to all of the session that the process leads, or led: its number is not given out again before the
 * last of them has ended. Nothing is sent when the number is another process's by now. Whether anyone was there.
 */
export function signalSession(leader: ProcessName, signal: "SIGTERM" | "SIGKILL"): boolean {
  const now = statOf(leader.pid);
  if (leader.pid < 2 || (now !== undefined && now.start !== leader.start)) return false;
  const members = sessionOf(leader.pid).filter(({ start }) => Number(start) >= Number(leader.start));
  if (members.length === 0) return false;
  // At once to the group, so that none of it starts another one in between.
  if (members.some(({ group }) => group === leader.pid)) send(-leader.pid, signal);
  for (const { pid, group } of members) if (group !== leader.pid) send(pid, signal);
  return true;
}

/** Kills all that the process has started, and not itself. Nothing is sent when its number is another one's by now. */
export function killDescendants(ancestor: ProcessName): void {
  if (isThere(ancestor)) for (const { pid } of descendantsOf(ancestor.pid)) send(pid, "SIGKILL");
}

/**
 * Ends all that this process has started: SIGTERM, then SIGKILL, again and again, since what is left may start more.
 * What waits in the kernel is not waited for any longer than that.
 */
export async function endDescendants(politelyMs: number, killedMs: number): Promise<void> {
  const told = new Set<string>();
  const killFromMs = performance.now() + politelyMs;
  for (; ; await Bun.sleep(POLL_MS)) {
    const left = descendantsOf(process.pid);
    const nowMs = performance.now();
    if (left.length === 0 || nowMs > killFromMs + killedMs) return;
    for (const { pid, start } of left) {
      const name = `${pid} ${start}`;
      if (nowMs >= killFromMs) send(pid, "SIGKILL");
      else if (!told.has(name)) send(pid, "SIGTERM");
      told.add(name);
    }
  }
}

/** Children that have ended and were not waited for: of this process, of all of its threads. */
export function endedChildren(): number[] {
  const children = readdirSync("/proc/self/task").flatMap((thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/children`, "latin1").split(" ");
    } catch {
      // The thread has ended, or the kernel was built without this file.
      return [];
    }
  });
  return children.map(Number).filter((pid) => pid > 1 && statOf(pid)?.state === "Z");
}

/** Until none of the session is left, or for as long; what waits in the kernel may stay for longer. */
export async function sessionGone(leader: number, limitMs: number): Promise<boolean> {
  for (const endMs = performance.now() + limitMs; ; await Bun.sleep(POLL_MS)) {
    if (sessionOf(leader).length === 0) return true;
    if (performance.now() > endMs) return false;
  }
}

function send(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended meanwhile.
  }
}

/** How many processes of its cgroup the kernel has ended for lack of memory so far; undefined where it does not tell. */
export function oomKillsOf(pid: number | "self"): number | undefined {
  try {
    return oomKills(readFileSync(`/proc/${pid}/cgroup`, "utf8"), (path) => readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Of the text of /proc/PID/cgroup: version 2 tells by memory.events, version 1 by memory.oom_control. */
export function oomKills(cgroups: string, read: (path: string) => string): number | undefined {
  for (const line of cgroups.split("\n")) {
    const [, hierarchy = "", path = ""] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    const isFirst = hierarchy.split(",").includes("memory");
    if (path === "" || (hierarchy !== "" && !isFirst)) continue;
    const file = isFirst ? `memory${path}/memory.oom_control` : `${path.slice(1)}/memory.events`;
    try {
      const [, count] = /^oom_kill (\d+)$/m.exec(read(`/sys/fs/cgroup/${file}`)) ?? [];
      if (count !== undefined) return Number(count);
    } catch {
      // The other version may tell.
    }
  }
  return undefined;
}
