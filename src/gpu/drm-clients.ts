/**
 * Who has a GPU open, and how busy each keeps it, by /proc/PID/fdinfo: the way to the utilisation of GPUs whose driver
 * tells none (Intel's), and to processes wherever there is no better one.
 *
 * A look at all processes (every five seconds) finds the clients; in between, those that are known are read again, which
 * costs little. Other users' processes may be looked at by root alone, and those of other pid namespaces not at all: what is
 * found then is not the whole, and `isWhole` says so.
 *
 * Limits: 4,096 clients, 1,024 descriptors of one process.
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { type DrmClient, type EngineUse, drmClientOf } from "./drm-fdinfo.ts";
import { isFirstNamespace } from "./process-owner.ts";

const CLIENTS_MAX = 4096;
const DESCRIPTORS_MAX = 1024;
const DEVICE = /^\/dev\/dri\//;

export interface DeviceClient {
  readonly pid: number;
  readonly memoryBytes: number | undefined;
  /** Share of the busiest class of engines since the look before; undefined for the first one. */
  readonly utilization: number | undefined;
}

export interface DeviceUse {
  /** Undefined as long as there is nothing to compare with. */
  readonly utilization: number | undefined;
  /** One for each process. */
  readonly clients: readonly DeviceClient[];
}

interface Seen {
  readonly path: string;
  readonly pid: number;
  client: DrmClient;
  atMs: number;
  /** By class of engines, since the look before. */
  shares: ReadonlyMap<string, number> | undefined;
}

export class DrmClients {
  readonly #proc: string;
  readonly #isFirstNamespace: boolean;
  #seen = new Map<string, Seen>();
  #looks = 0;
  #isWhole = false;

  constructor(root: string) {
    this.#proc = `${root}/proc`;
    this.#isFirstNamespace = isFirstNamespace(this.#proc);
  }

  /** All clients of the machine were looked at. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Finds all of them. */
  scan(nowMs: number): void {
    const before = this.#seen;
    this.#seen = new Map();
    let isWhole = this.#isFirstNamespace;
    const processes = namesIn(this.#proc);
    if (!Array.isArray(processes)) isWhole = false;
    const pids = (Array.isArray(processes) ? processes : []).filter((name) => /^\d{1,10}$/.test(name)).map(Number);
    // An opening that several share counts as that of the eldest.
    for (const pid of pids.sort((a, b) => a - b)) {
      const descriptors = namesIn(`${this.#proc}/${pid}/fd`);
      if (descriptors === "denied") isWhole = false;
      else if (descriptors !== undefined) this.#scanProcess(pid, descriptors, before, nowMs);
    }
    this.#isWhole = isWhole;
    this.#looks += 1;
  }

  /** Reads those that are known again. */
  refresh(nowMs: number): void {
    for (const [key, seen] of this.#seen) {
      if (nowMs <= seen.atMs) continue;
      const client = readClient(seen.path);
      if (client === undefined || keyOf(client) !== key) this.#seen.delete(key);
      else advance(seen, client, nowMs);
    }
    this.#looks += 1;
  }

  of(pciAddress: string): DeviceUse {
    const all = [...this.#seen.values()].filter(({ client }) => client.pciAddress === pciAddress);
    const pids = [...new Set(all.map(({ pid }) => pid))].sort((a, b) => a - b);
    const clients = pids.map((pid) => {
      const own = all.filter((seen) => seen.pid === pid);
      return { pid, memoryBytes: memoryOf(own), utilization: busiest(own) };
    });
    // Nobody has it open, and nobody had: it has done nothing.
    const isIdle = all.length === 0 && this.#looks > 1;
    return { utilization: isIdle ? 0 : busiest(all), clients };
  }

  #scanProcess(pid: number, descriptors: readonly string[], before: ReadonlyMap<string, Seen>, nowMs: number): void {
    for (const fd of descriptors.slice(0, DESCRIPTORS_MAX)) {
      if (this.#seen.size >= CLIENTS_MAX) return;
      if (!DEVICE.test(linkOf(`${this.#proc}/${pid}/fd/${fd}`))) continue;
      const path = `${this.#proc}/${pid}/fdinfo/${fd}`;
      const client = readClient(path);
      if (client === undefined) continue;
      const key = keyOf(client);
      // The same opening by another descriptor, or in a child.
      if (this.#seen.has(key)) continue;
      const known = before.get(key);
      const seen: Seen =
        known === undefined ? { path, pid, client, atMs: nowMs, shares: undefined } : { ...known, path, pid };
      if (known !== undefined && nowMs > known.atMs) advance(seen, client, nowMs);
      this.#seen.set(key, seen);
    }
  }
}

function keyOf(client: DrmClient): string {
  return `${client.pciAddress} ${client.id}`;
}

function advance(seen: Seen, client: DrmClient, nowMs: number): void {
  const elapsedNs = (nowMs - seen.atMs) * 1e6;
  const shares = new Map<string, number>();
  for (const [name, now] of client.engines) {
    const before = seen.client.engines.get(name);
    const share = before === undefined ? undefined : shareOfEngine(before, now, elapsedNs);
    if (share !== undefined) shares.set(name, share);
  }
  seen.client = client;
  seen.atMs = nowMs;
  seen.shares = shares;
}

/** A counter that stands below what it was catches up later, so the kernel's rules say: nothing was done. */
function shareOfEngine(before: EngineUse, now: EngineUse, elapsedNs: number): number | undefined {
  if (now.busyNs !== undefined && before.busyNs !== undefined) {
    return Math.max(0, now.busyNs - before.busyNs) / elapsedNs / now.capacity;
  }
  if (now.cycles === undefined || before.cycles === undefined) return undefined;
  const all = (now.cyclesOfAll ?? Number.NaN) - (before.cyclesOfAll ?? Number.NaN);
  return all > 0 ? Math.max(0, now.cycles - before.cycles) / all / now.capacity : undefined;
}

/** Of all of them together, the class of engines that was busiest. */
function busiest(seen: readonly Seen[]): number | undefined {
  const byEngine = new Map<string, number>();
  for (const { shares } of seen) {
    for (const [name, share] of shares ?? []) byEngine.set(name, (byEngine.get(name) ?? 0) + share);
  }
  return byEngine.size === 0 ? undefined : Math.min(1, Math.max(...byEngine.values()));
}

function memoryOf(seen: readonly Seen[]): number | undefined {
  const known = seen.flatMap(({ client }) => client.memoryBytes ?? []);
  return known.length === 0 ? undefined : known.reduce((all, bytes) => all + bytes, 0);
}

function readClient(path: string): DrmClient | undefined {
  try {
    return drmClientOf(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] | "denied" | undefined {
  try {
    return readdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "EACCES" || code === "EPERM" ? "denied" : undefined;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
