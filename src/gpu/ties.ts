/**
 * Which GPUs each of a node's runtimes uses: those on which one of its processes, or one of its container, runs. A server's
 * workers are children of the process that listens (vLLM's), or brothers under one parent that runs the same program. With
 * several runtimes a process belongs to one of them where that can be told, and to all that it may belong to elsewhere:
 * a worker beside two servers under one launcher.
 *
 * What can't be told is told as such: other pid namespaces, another user's processes, a runtime that has opened no GPU
 * yet. All GPUs of the node then count as the runtime's but those on which only other runtimes' processes are; so does one
 * whose processes are not known, beside those that are.
 */
import type { GpuProcess, GpuReading } from "../health/reading.ts";

/** A process, as the tie is made by. */
export interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  /** The path of its executable; "" where it can't be read. */
  readonly program: string;
}

/** The runtime's processes, and the containers that they run in. */
export interface RuntimeProcesses {
  /** The one that listens; where nobody does, the one that the agent started. */
  readonly listener: number;
  readonly pids: ReadonlySet<number>;
  readonly containers: ReadonlySet<string>;
}

/** Where the processes of a runtime begin. */
export interface RuntimeRoot {
  /** The one that listens; undefined where it is not found. */
  readonly listener: number | undefined;
  /** The one that the agent started for it. */
  readonly started: number | undefined;
}

/** The GPUs of one runtime. */
export interface Tie {
  readonly uuids: ReadonlySet<string>;
  /** Else it may be on any of them. */
  readonly isKnown: boolean;
}

const PARENTS_MAX = 16;

class ProcessTree {
  readonly #byPid: ReadonlyMap<number, ProcessFacts>;
  readonly #children = new Map<number, number[]>();

  constructor(processes: readonly ProcessFacts[]) {
    this.#byPid = new Map(processes.map((facts) => [facts.pid, facts]));
    for (const { pid, parent } of processes) {
      const brothers = this.#children.get(parent);
      if (brothers === undefined) this.#children.set(parent, [pid]);
      else brothers.push(pid);
    }
  }

  /** Its parents as far as they run the same program, the last of them; not one that is `barred`. */
  eldest(pid: number, barred: ReadonlySet<number> = NOBODY): number {
    let eldest = pid;
    for (let step = 0; step < PARENTS_MAX; step += 1) {
      const own = this.#byPid.get(eldest);
      const parent = this.#byPid.get(own?.parent ?? 0);
      if (own === undefined || parent === undefined || own.program === "" || parent.program !== own.program) break;
      if (barred.has(parent.pid)) break;
      eldest = parent.pid;
    }
    return eldest;
  }

  /** With all that descend from it, but for those that are `barred` and descend from these. */
  descendants(pid: number, barred: ReadonlySet<number> = NOBODY): Set<number> {
    const all = new Set([pid]);
    for (const member of all) {
      for (const child of this.#children.get(member) ?? []) if (!barred.has(child)) all.add(child);
    }
    return all;
  }

  /** With its parents. */
  ancestors(pid: number): Set<number> {
    const all = new Set<number>();
    for (let at: number | undefined = pid; at !== undefined && !all.has(at); at = this.#byPid.get(at)?.parent) {
      all.add(at);
    }
    return all;
  }
}

const NOBODY: ReadonlySet<number> = new Set();

/** The process with its parents as far as they run the same program, and all that descend from those. */
export function familyOf(pid: number, processes: readonly ProcessFacts[]): Set<number> {
  const tree = new ProcessTree(processes);
  return tree.descendants(tree.eldest(pid));
}

/**
 * The processes of each runtime: its family, and what descends from the process that the agent started for it, without what
 * is another runtime's alone. Two that one process serves have the same.
 */
export function familiesOf(roots: readonly RuntimeRoot[], processes: readonly ProcessFacts[]): Set<number>[] {
  const tree = new ProcessTree(processes);
  const listeners = new Set(roots.flatMap(({ listener }) => listener ?? []));
  const others = (one: number | undefined): number[] => [...listeners].filter((listener) => listener !== one);
  const above = new Map([...listeners].map((listener) => [listener, tree.ancestors(listener)]));
  const eldest = new Map(
    [...listeners].map((listener) => {
      const shared = new Set(others(listener).flatMap((other) => [...(above.get(other) ?? [])]));
      return [listener, tree.eldest(listener, shared)];
    }),
  );
  const eldestOf = (pids: readonly number[]): Set<number> => new Set(pids.flatMap((pid) => eldest.get(pid) ?? []));
  /** What is a runtime's alone, by its listener. */
  const own = new Map(
    [...eldest].map(([listener, pid]) => [listener, tree.descendants(pid, eldestOf(others(listener)))]),
  );
  return roots.map(({ listener, started }) => {
    const family = new Set<number>();
    if (listener !== undefined) for (const pid of tree.descendants(tree.eldest(listener))) family.add(pid);
    if (started !== undefined) for (const pid of tree.descendants(started)) family.add(pid);
    for (const other of others(listener)) for (const pid of own.get(other) ?? []) family.delete(pid);
    for (const pid of listener === undefined ? [] : (own.get(listener) ?? [])) family.add(pid);
    return family;
  });
}

/** The GPUs of each of the node's runtimes; undefined for one whose processes are not known. */
export function tiesOf(
  runtimes: readonly (RuntimeProcesses | undefined)[],
  readings: readonly GpuReading[],
): readonly Tie[] {
  return runtimes.map((runtime): Tie => {
    const known = gpusOf(runtime, readings);
    if (known !== undefined) {
      const isSure = readings.every(({ traffic }) => traffic?.processes !== undefined);
      return { uuids: known, isKnown: isSure || readings.length === 1 };
    }
    const others = runtimes.filter((other) => other !== undefined && other !== runtime);
    const isTaken = ({ traffic }: GpuReading): boolean => {
      const processes = traffic?.processes ?? [];
      return processes.length > 0 && processes.every((one) => others.some((other) => isOf(one, other)));
    };
    const free = readings.filter((reading) => !isTaken(reading));
    return { uuids: new Set(free.map(({ uuid }) => uuid)), isKnown: readings.length === 1 };
  });
}

/** The uuids of the GPUs on which the runtime is; undefined where that is not known. */
export function gpusOf(
  runtime: RuntimeProcesses | undefined,
  readings: readonly GpuReading[],
): Set<string> | undefined {
  if (runtime === undefined) return undefined;
  const uuids = new Set<string>();
  const unknown: string[] = [];
  for (const { uuid, traffic } of readings) {
    if (traffic?.processes === undefined) {
      unknown.push(uuid);
      continue;
    }
    if (traffic.processes.some((one) => isOf(one, runtime))) uuids.add(uuid);
  }
  // One whose processes are not known may be the runtime's too: the small one in a processor, to an agent that is not root.
  return uuids.size === 0 ? undefined : new Set([...uuids, ...unknown]);
}

/** One that has no name here may have another's number: a driver counts processes of the machine, we those of our namespace. */
function isOf({ pid, command, container }: GpuProcess, runtime: RuntimeProcesses | undefined): boolean {
  if (runtime === undefined) return false;
  const isNamed = command !== undefined && runtime.pids.has(pid);
  return isNamed || (container !== undefined && runtime.containers.has(container));
}
