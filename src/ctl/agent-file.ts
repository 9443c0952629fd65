/**
 * How a running agent is found on its own machine: DIR/ID/agent.json, written when it is ready and removed when it
 * stops. A process number alone is not proof, since numbers are given out again; the kernel's start time of the
 * process beside it is.
 */
import { readFileSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MeshError } from "../base/errors.ts";

export interface AgentFile {
  readonly id: string;
  readonly pid: number;
  /** host:port of each port that is open; "" for one that is not. */
  readonly api: string;
  readonly metrics: string;
  readonly serve: string;
  readonly gossip?: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly version: string;
}

interface StoredAgentFile extends AgentFile {
  /** Clock ticks from boot to the start of the process; null where the kernel does not say. */
  readonly processStart: string | null;
}

/** Writes the file whole or not at all; the directory is made. */
export async function writeAgentFile(dataDir: string, file: AgentFile): Promise<void> {
  const directory = join(dataDir, file.id);
  const stored: StoredAgentFile = { ...file, processStart: processStart(file.pid) };
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const fresh = join(directory, `.agent-${file.pid}.json`);
    await writeFile(fresh, `${JSON.stringify(stored, null, 2)}\n`, { mode: 0o600 });
    await rename(fresh, join(directory, "agent.json"));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new MeshError("config_invalid", `can't write to the data directory ${directory}: ${why}`, {
      cause: error,
      param: "dataDir",
    });
  }
}

/** What an agent left there; undefined when there is nothing, or nothing that can be read. */
export async function readAgentFile(dataDir: string, id: string): Promise<AgentFile | undefined> {
  return readStored(dataDir, id);
}

async function readStored(dataDir: string, id: string): Promise<StoredAgentFile | undefined> {
  try {
    const stored = JSON.parse(
      await readFile(join(dataDir, id, "agent.json"), "utf8"),
    ) as Partial<StoredAgentFile> | null;
    if (typeof stored !== "object" || stored === null) return undefined;
    const { pid, api } = stored;
    if (!Number.isSafeInteger(pid) || (pid ?? 0) < 2 || stored.id !== id || typeof api !== "string") return undefined;
    return stored as StoredAgentFile;
  } catch {
    return undefined;
  }
}

/** Removes the file, unless another process has written it anew. */
export async function removeAgentFile(dataDir: string, id: string, pid: number = process.pid): Promise<void> {
  const stored = await readStored(dataDir, id);
  if (stored !== undefined && stored.pid !== pid) return;
  await rm(join(dataDir, id, "agent.json"), { force: true }).catch(() => {});
}

/** The agents that run now, by their files in the directory. */
export async function runningAgents(dataDir: string): Promise<AgentFile[]> {
  const ids: string[] = await readdir(dataDir).catch(() => []);
  const files = await Promise.all(ids.sort().map((id) => readStored(dataDir, id)));
  return files.filter((file) => file !== undefined).filter(isRunning);
}

/** Whether the very process that wrote the file still runs. */
export function isRunning(file: AgentFile): boolean {
  const start = processStart(file.pid);
  const written = (file as Partial<StoredAgentFile>).processStart ?? null;
  if (start !== null && written !== null) return start === written;
  try {
    process.kill(file.pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === "EPERM";
  }
}

/** Field 22 of /proc/PID/stat: when the process began. null when there is no such process, no /proc, or only a zombie. */
function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything, so fields are counted from behind it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
