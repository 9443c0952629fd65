/**
 * Which GPUs a runtime uses: those on which one of its processes, or one of its container, runs. A server's workers are
 * children of the process that listens (vLLM's), or brothers under one parent that runs the same program.
 *
 * What can't be told is told as such: other pid namespaces, another user's processes, a runtime that has opened no GPU
 * yet. All GPUs of the node then count as the runtime's; so does one whose processes are not known, beside those that are.
 */
import type { GpuReading } from "../health/reading.ts";

/** A process, as the tie is made by. */
export interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  /** The path of its executable; "" where it can't be read. */
  readonly program: string;
}

/** The runtime's processes, and the containers that they run in. */
export interface RuntimeProcesses {
  /** The one that listens. */
  readonly listener: number;
  readonly pids: ReadonlySet<number>;
  readonly containers: ReadonlySet<string>;
}

const PARENTS_MAX = 16;

/** The process with its parents as far as they run the same program, and all that descend from those. */
export function familyOf(pid: number, processes: readonly ProcessFacts[]): Set<number> {
  const byPid = new Map(processes.map((facts) => [facts.pid, facts]));
  const children = new Map<number, number[]>();
  for (const { pid: child, parent } of processes) {
    const brothers = children.get(parent);
    if (brothers === undefined) children.set(parent, [child]);
    else brothers.push(child);
  }
  let eldest = pid;
  for (let step = 0; step < PARENTS_MAX; step += 1) {
    const own = byPid.get(eldest);
    const parent = byPid.get(own?.parent ?? 0);
    if (own === undefined || parent === undefined || own.program === "" || parent.program !== own.program) break;
    eldest = parent.pid;
  }
  const family = new Set([eldest]);
  for (const member of family) for (const child of children.get(member) ?? []) family.add(child);
  return family;
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
    // One that has no name here may have another's number: a driver counts processes of the machine, we those of our namespace.
    const isOurs = traffic.processes.some(
      ({ pid, command, container }) =>
        (command !== undefined && runtime.pids.has(pid)) ||
        (container !== undefined && runtime.containers.has(container)),
    );
    if (isOurs) uuids.add(uuid);
  }
  // One whose processes are not known may be the runtime's too: the small one in a processor, to an agent that is not root.
  return uuids.size === 0 ? undefined : new Set([...uuids, ...unknown]);
}
