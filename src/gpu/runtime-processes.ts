/**
 * Finds the processes of the runtime that serves on a port: who listens there by /proc/net/tcp and the descriptors of
 * /proc/PID/fd, then its family (ties.ts) and the containers that it runs in. It reads file by file and waits for each, so that
 * a machine with thousands of processes holds nobody up; it is for a few times a minute at most.
 */
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { containerOf } from "./process-owner.ts";
import { familyOf, type ProcessFacts, type RuntimeProcesses } from "./ties.ts";

const LISTENS = "0A";
const PROCESSES_MAX = 65_536;

/** Undefined where nobody listens there whose descriptors we may see. */
export async function runtimeProcesses(port: number, root: string): Promise<RuntimeProcesses | undefined> {
  const proc = join(root, "proc");
  const inodes = await listeners(proc, port);
  if (inodes.size === 0) return undefined;
  const names = (await readdir(proc).catch(() => [])).filter((name) => /^\d+$/.test(name)).slice(0, PROCESSES_MAX);
  let owner: number | undefined;
  const processes: ProcessFacts[] = [];
  for (const name of names) {
    const facts = await factsOf(proc, name);
    if (facts === undefined) continue;
    processes.push(facts);
    if (owner === undefined && (await holds(proc, name, inodes))) owner = facts.pid;
  }
  if (owner === undefined) return undefined;
  const pids = familyOf(owner, processes);
  const containers = new Set<string>();
  const container = containerOf(await textOf(join(proc, String(owner), "cgroup")));
  if (container !== undefined) containers.add(container);
  return { listener: owner, pids, containers };
}

/** The inodes of the sockets that listen on a port, by what /proc/net/tcp or tcp6 says. */
export function listeningInodes(table: string, port: number): string[] {
  return table.split("\n").flatMap((line) => {
    const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
    const isIt = state === LISTENS && Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16) === port;
    return isIt && /^[1-9]\d*$/.test(inode) ? [inode] : [];
  });
}

/** Pid and parent by what /proc/PID/stat says; the name in brackets may hold anything. */
export function parentIn(stat: string): number | undefined {
  const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return parent !== undefined && /^\d+$/.test(parent) ? Number(parent) : undefined;
}

async function listeners(proc: string, port: number): Promise<Set<string>> {
  const tables = await Promise.all(["net/tcp", "net/tcp6"].map((name) => textOf(join(proc, name))));
  return new Set(tables.flatMap((table) => listeningInodes(table, port)));
}

async function factsOf(proc: string, name: string): Promise<ProcessFacts | undefined> {
  const parent = parentIn(await textOf(join(proc, name, "stat")));
  if (parent === undefined) return undefined;
  const program = await readlink(join(proc, name, "exe")).catch(() => "");
  return { pid: Number(name), parent, program };
}

async function holds(proc: string, name: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const folder = join(proc, name, "fd");
  for (const descriptor of await readdir(folder).catch(() => [])) {
    const target = await readlink(join(folder, descriptor)).catch(() => "");
    if (target.startsWith("socket:[") && inodes.has(target.slice("socket:[".length, -1))) return true;
  }
  return false;
}

function textOf(path: string): Promise<string> {
  return readFile(path, "latin1").catch(() => "");
}
