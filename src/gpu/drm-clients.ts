/**
 * Who has a GPU open, and how busy each keeps it, by /proc/PID/fdinfo: the way to the utilisation of GPUs whose driver
 * tells none (Intel's), and to processes wherever there is no better one.
 *
 * A look at all processes (every five seconds) finds the clients; in between, those that are known are read again. Most
 * processes of a machine never open a GPU: one that had none for twelve looks is looked at with every twelfth one, so that
 * it costs little how many there are, and what such a process opens after all is known within a minute.
 *
 * Others' processes may be looked at by root alone (and their openings with CAP_SYS_PTRACE), those of other pid namespaces
 * not at all; drivers before Linux 5.19 tell nothing of a client; and there are limits. What was not seen may keep the GPU
 * busy, so `isWholeOf` says of which card all was seen.
 *
 * Limits: 4,096 clients, 16,384 descriptors of one process.
 */
import { readFileSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { type DrmClient, type EngineUse, drmClientOf } from "./drm-fdinfo.ts";
import { isFirstNamespace } from "./process-owner.ts";

const CLIENTS_MAX = 4096;
const DESCRIPTORS_MAX = 16_384;
const DEVICE = /^\/dev\/dri\/(\w{1,32})/;
/** Looks until a process without a GPU is looked at seldom, and of how many one is at it then. */
const LOOKS_YOUNG = 12;
const SELDOM = 12;
/** Of what is gone since it was listed. */
const GONE = new Set(["ENOENT", "ESRCH"]);

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

/** A process that has no GPU open, as far as was seen. */
interface Bare {
  readonly looks: number;
  readonly isDenied: boolean;
}

export class DrmClients {
  readonly #root: string;
  readonly #proc: string;
  readonly #isFirstNamespace: boolean;
  #seen = new Map<string, Seen>();
  #bare = new Map<number, Bare>();
  #looks = 0;
  #scans = 0;
  /** What was not seen may be a client of any card. */
  #isBlind = true;
  /** Cards, by their places on the bus, of which a client was not seen. */
  readonly #unseen = new Set<string>();
  /** Of this look, by card. */
  #uses: ReadonlyMap<string, DeviceUse> | undefined;

  constructor(root: string) {
    this.#root = root;
    this.#proc = `${root}/proc`;
    this.#isFirstNamespace = isFirstNamespace(this.#proc);
  }

  /** All clients of the card were looked at. */
  isWholeOf(pciAddress: string): boolean {
    return !this.#isBlind && !this.#unseen.has(pciAddress);
  }

  /** Finds all of them. */
  scan(nowMs: number): void {
    const before = this.#seen;
    const bare = this.#bare;
    this.#seen = new Map();
    this.#bare = new Map();
    this.#unseen.clear();
    const processes = namesIn(this.#proc);
    const names = Array.isArray(processes) ? processes.filter((name) => /^\d{1,10}$/.test(name)) : [];
    const pids = names.map(Number).sort((a, b) => a - b);
    // Where others' processes are hidden (hidepid), the first one is.
    this.#isBlind = !this.#isFirstNamespace || pids[0] !== 1;
    // An opening that several share counts as that of the eldest.
    for (const pid of pids) {
      const known = bare.get(pid);
      const isDue = known === undefined || known.looks < LOOKS_YOUNG || (pid + this.#scans) % SELDOM === 0;
      const found = isDue ? this.#scanProcess(pid, before, nowMs) : known.isDenied ? "denied" : "bare";
      if (found === "denied") this.#isBlind = true;
      if (found === "clients" || found === "gone") continue;
      this.#bare.set(pid, { looks: (known?.looks ?? 0) + 1, isDenied: found === "denied" });
    }
    this.#scans += 1;
    this.#looks += 1;
    this.#uses = undefined;
  }

  /** Reads those that are known again. */
  refresh(nowMs: number): void {
    for (const [key, seen] of this.#seen) {
      if (nowMs <= seen.atMs) continue;
      const client = readClient(seen.path);
      if (client === "hidden") this.#unseen.add(seen.client.pciAddress);
      if (typeof client === "string" || keyOf(client) !== key) this.#seen.delete(key);
      else advance(seen, client, nowMs);
    }
    this.#looks += 1;
    this.#uses = undefined;
  }

  of(pciAddress: string): DeviceUse {
    this.#uses ??= usesOf([...this.#seen.values()]);
    // Nobody has it open, and nobody had: it has done nothing.
    const isIdle = this.#looks > 1;
    return this.#uses.get(pciAddress) ?? { utilization: isIdle ? 0 : undefined, clients: [] };
  }

  #scanProcess(pid: number, before: ReadonlyMap<string, Seen>, nowMs: number): "gone" | "denied" | "bare" | "clients" {
    const folder = `${this.#proc}/${pid}`;
    const descriptors = namesIn(`${folder}/fd`);
    if (!Array.isArray(descriptors)) return descriptors;
    let found: "bare" | "clients" = "bare";
    if (descriptors.length > DESCRIPTORS_MAX) this.#isBlind = true;
    for (const fd of descriptors.slice(0, DESCRIPTORS_MAX)) {
      const target = linkOf(`${folder}/fd/${fd}`);
      if (target === "denied") return "denied";
      const [, node] = DEVICE.exec(target) ?? [];
      if (node === undefined) continue;
      found = "clients";
      const path = `${folder}/fdinfo/${fd}`;
      const client = readClient(path);
      if (typeof client !== "string") this.#see(client, { path, pid }, before, nowMs);
      // It may have been closed, and its number be another's.
      else if (client === "hidden" && linkOf(`${folder}/fd/${fd}`) === target) this.#miss(node);
    }
    return found;
  }

  #see(
    client: DrmClient,
    { path, pid }: Pick<Seen, "path" | "pid">,
    before: ReadonlyMap<string, Seen>,
    nowMs: number,
  ): void {
    const key = keyOf(client);
    // The same opening by another descriptor, or in a child.
    if (this.#seen.has(key)) return;
    if (this.#seen.size >= CLIENTS_MAX) {
      this.#isBlind = true;
      return;
    }
    const known = before.get(key);
    const seen: Seen =
      known === undefined ? { path, pid, client, atMs: nowMs, shares: undefined } : { ...known, path, pid };
    if (known !== undefined && nowMs > known.atMs) advance(seen, client, nowMs);
    this.#seen.set(key, seen);
  }

  /** A client of the card that a node in /dev/dri is of; of any, where that is not known. */
  #miss(node: string): void {
    try {
      this.#unseen.add(basename(realpathSync(`${this.#root}/sys/class/drm/${node}/device`)));
    } catch {
      this.#isBlind = true;
    }
  }
}

/** All clients by their cards, in one pass: there may be thousands of them. */
function usesOf(all: readonly Seen[]): Map<string, DeviceUse> {
  const uses = new Map<string, DeviceUse>();
  for (const [pciAddress, ofCard] of Map.groupBy(all, ({ client }) => client.pciAddress)) {
    const byPid = [...Map.groupBy(ofCard, ({ pid }) => pid)].sort(([a], [b]) => a - b);
    const clients = byPid.map(([pid, own]) => ({ pid, memoryBytes: memoryOf(own), utilization: busiest(own) }));
    uses.set(pciAddress, { utilization: busiest(ofCard), clients });
  }
  return uses;
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

/** "hidden" where the kernel does not say who it is, or not to us. */
function readClient(path: string): DrmClient | "gone" | "hidden" {
  try {
    return drmClientOf(readFileSync(path, "utf8")) ?? "hidden";
  } catch (error) {
    return GONE.has((error as NodeJS.ErrnoException).code ?? "") ? "gone" : "hidden";
  }
}

function namesIn(folder: string): string[] | "denied" | "gone" {
  try {
    return readdirSync(folder);
  } catch (error) {
    return GONE.has((error as NodeJS.ErrnoException).code ?? "") ? "gone" : "denied";
  }
}

/** "" for what is gone. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    return GONE.has((error as NodeJS.ErrnoException).code ?? "") ? "" : "denied";
  }
}
