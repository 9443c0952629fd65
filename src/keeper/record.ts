/**
 * What is kept of a runtime on disk, so that an agent that starts anew finds it: DATA-DIR/ID/exec/runtime.json. Its keeper
 * writes it, whole or not at all. Numbers of processes are given out again, so they stand beside the kernel's start times,
 * and those beside the boot and the container in which they count: a directory outlives both, and may be shared.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isRecord } from "../base/field.ts";
import type { RuntimeExit } from "../exec/exit.ts";
import { placeOfNumbers, type ProcessName } from "./proc.ts";

export interface RuntimeRecord {
  /** Where its numbers count, as `placeOfNumbers` tells it. */
  readonly place: string;
  readonly keeper: ProcessName;
  /** null until it is started. */
  readonly runtime: ProcessName | null;
  /** Of the command, the environment, the directory: whether this is what is to run. */
  readonly fingerprint: string;
  /** It is to live on without its agent. */
  readonly isDetached: boolean;
  /** Since 1970. */
  readonly startedAtMs: number;
  /** null while it runs. */
  readonly exit: RuntimeExit | null;
}

const FILE = "runtime.json";
const BYTES_MAX = 1024 * 1024;

export function writeRecord(directory: string, record: RuntimeRecord): void {
  const draft = join(directory, `.${FILE}.${process.pid}`);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
    renameSync(draft, join(directory, FILE));
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** Undefined for none, and for one that can't be understood. */
export function readRecord(directory: string): RuntimeRecord | undefined {
  try {
    const text = readFileSync(join(directory, FILE), "utf8");
    return text.length > BYTES_MAX ? undefined : asRecord(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Whether its numbers are those of processes that this one sees. */
export function isFromHere(record: RuntimeRecord, here: string = placeOfNumbers()): boolean {
  return here !== "" && record.place === here;
}

/** The record of that keeper, a process of here, and of no other. */
export function recordOf(directory: string, keeper: ProcessName): RuntimeRecord | undefined {
  const record = readRecord(directory);
  if (record === undefined || !isFromHere(record)) return undefined;
  return record.keeper.pid === keeper.pid && record.keeper.start === keeper.start ? record : undefined;
}

/** Removes the record of that keeper, and of no other. */
export function removeRecord(directory: string, keeper: ProcessName): void {
  if (recordOf(directory, keeper) === undefined) return;
  try {
    rmSync(join(directory, FILE), { force: true });
  } catch {
    // A disk that can't be written: the next agent finds a keeper that is not there.
  }
}

export function asRecord(value: unknown): RuntimeRecord | undefined {
  if (!isRecord(value)) return undefined;
  const { place, keeper, runtime, fingerprint, isDetached, startedAtMs, exit } = value;
  if (typeof place !== "string" || typeof fingerprint !== "string" || typeof isDetached !== "boolean") return undefined;
  if (!isName(keeper) || (runtime !== null && !isName(runtime))) return undefined;
  if (typeof startedAtMs !== "number" || !(Math.abs(startedAtMs) <= 8.64e15)) return undefined;
  const known = exit === null ? null : asExit(exit);
  return known === undefined
    ? undefined
    : { place, keeper, runtime, fingerprint, isDetached, startedAtMs, exit: known };
}

export function asExit(value: unknown): RuntimeExit | undefined {
  if (!isRecord(value)) return undefined;
  const { code, signal, oomKills, lastLines } = value;
  if ((code !== null && typeof code !== "number") || (signal !== null && typeof signal !== "string")) return undefined;
  if (oomKills !== undefined && typeof oomKills !== "number") return undefined;
  if (!Array.isArray(lastLines) || !lastLines.every((line) => typeof line === "string")) return undefined;
  return { code, signal, oomKills, lastLines };
}

function isName(value: unknown): value is ProcessName {
  if (!isRecord(value)) return false;
  const { pid, start } = value;
  return Number.isSafeInteger(pid) && (pid as number) > 1 && typeof start === "string" && /^\d+$/.test(start);
}
