/**
 * Finds the processes of the runtimes that serve on some ports: who listens there by /proc/net/tcp and the descriptors of
 * /proc/PID/fd, then its family (ties.ts) and the containers that it runs in. It reads file by file and waits for each, so that
 * a machine with thousands of processes holds nobody up; all runtimes are found in one pass, a few times a minute at most.
 */
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { containerOf } from "./process-owner.ts";
import { familiesOf, type ProcessFacts, type RuntimeProcesses } from "./ties.ts";

const LISTENS = "0A";
const PROCESSES_MAX = 65_536;

/** By what a runtime's processes are found. */
export interface WantedRuntime {
  readonly name: string;
  /** Where it listens on this machine itself, whatever stands before it. */
  readonly ports: readonly number[];
  /** The process that the agent started for it. */
  readonly started?: number | undefined;
}

/** By name; those are missing of which nobody listens whose descriptors we may see, and that the agent did not start. */
export async function runtimeProcesses(
  wanted: readonly WantedRuntime[],
  root: string,
): Promise<Map<string, RuntimeProcesses>> {
  const proc = join(root, "proc");
  const inodes = await listeners(proc, new Set(wanted.flatMap(({ ports }) => ports)));
  const names = (await readdir(proc).catch(() => [])).filter((name) => /^\d+$/.test(name)).slice(0, PROCESSES_MAX);
  const owners = new Map<number, number>();
  const sought = new Set(inodes.values());
  const processes: ProcessFacts[] = [];
  for (const name of names) {
    const facts = await factsOf(proc, name);
    if (facts === undefined) continue;
    processes.push(facts);
    if (sought.size === 0) continue;
    for (const port of await portsOf(proc, name, inodes)) if (sought.delete(port)) owners.set(port, facts.pid);
  }
  const isThere = (pid: number): boolean => processes.some((facts) => facts.pid === pid);
  const roots = wanted.map(({ name, ports, started }) => ({
    name,
    listener: ports.flatMap((port) => owners.get(port) ?? [])[0],
    started: started !== undefined && isThere(started) ? started : undefined,
  }));
  const families = familiesOf(roots, processes);
  const containers = await Promise.all(roots.map(({ listener, started }) => containerAt(proc, listener ?? started)));
  const found = new Map<string, RuntimeProcesses>();
  for (const [at, { name, listener: listens, started }] of roots.entries()) {
    const listener = listens ?? started;
    if (listener === undefined) continue;
    const own = containers[at];
    // One in which other runtimes are too says nothing of whose a process is.
    const isShared = containers.some((other, place) => other === own && roots[place]?.listener !== listens);
    const isTold = own !== undefined && !isShared;
    found.set(name, { listener, pids: families[at] ?? new Set(), containers: new Set(isTold ? [own] : []) });
  }
  return found;
}

/** The inodes of the sockets that listen on one of the ports, each with its port, by what /proc/net/tcp or tcp6 says. */
export function listeningInodes(table: string, ports: ReadonlySet<number>): [inode: string, port: number][] {
  return table.split("\n").flatMap((line): [string, number][] => {
    const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
    if (state !== LISTENS || !/^[1-9]\d*$/.test(inode)) return [];
    const port = Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16);
    return ports.has(port) ? [[inode, port]] : [];
  });
}

/** Pid and parent by what /proc/PID/stat says; the name in brackets may hold anything. */
export function parentIn(stat: string): number | undefined {
  const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return parent !== undefined && /^\d+$/.test(parent) ? Number(parent) : undefined;
}

async function listeners(proc: string, ports: ReadonlySet<number>): Promise<Map<string, number>> {
  const tables = await Promise.all(["net/tcp", "net/tcp6"].map((name) => textOf(join(proc, name))));
  return new Map(tables.flatMap((table) => listeningInodes(table, ports)));
}

async function containerAt(proc: string, pid: number | undefined): Promise<string | undefined> {
  return pid === undefined ? undefined : containerOf(await textOf(join(proc, String(pid), "cgroup")));
}

async function factsOf(proc: string, name: string): Promise<ProcessFacts | undefined> {
  const parent = parentIn(await textOf(join(proc, name, "stat")));
  if (parent === undefined) return undefined;
  const program = await readlink(join(proc, name, "exe")).catch(() => "");
  return { pid: Number(name), parent, program };
}

async function portsOf(proc: string, name: string, inodes: ReadonlyMap<string, number>): Promise<number[]> {
  const folder = join(proc, name, "fd");
  const ports: number[] = [];
  for (const descriptor of await readdir(folder).catch(() => [])) {
    const target = await readlink(join(folder, descriptor)).catch(() => "");
    const port = target.startsWith("socket:[") ? inodes.get(target.slice("socket:[".length, -1)) : undefined;
    if (port !== undefined) ports.push(port);
  }
  return ports;
}

function textOf(path: string): Promise<string> {
  return readFile(path, "latin1").catch(() => "");
}
