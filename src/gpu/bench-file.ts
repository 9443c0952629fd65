/**
 * What the benchmark found, kept for the agent: DATA-DIR/gpu-bench.json, by UUID. A GPU that was measured takes the place of
 * what was there of it, and others stay; figures of one that was in use have a mark, and never take the place of such of an
 * idle one. Whatever the file holds, reading it never throws: what is not as written here is left out, and said. A file
 * that can't be read whole is put aside when the next one is written, for it may be of a newer release, or have been
 * edited.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MeshError } from "../base/errors.ts";
import { type BenchFigures, takeFigures } from "./bench-figures.ts";
import { lockedFolder } from "./bench-lock.ts";

export interface BenchRecord extends BenchFigures {
  readonly name: string;
  readonly driverVersion: string;
  /** ISO 8601. */
  readonly measuredAt: string;
  /** What it was busy with meanwhile, so that it can do more; undefined for a GPU that was idle. */
  readonly inUse?: string;
}

/** What became of the file. */
export interface KeptRecords {
  /** Of these the figures of before stay: the GPU was idle then. By UUID, since when. */
  readonly stayed: ReadonlyMap<string, string>;
  /** What was wrong with the file of before, and where it is now; undefined where nothing was. */
  readonly aside: { readonly fault: string; readonly path: string } | undefined;
}

export interface BenchRecords {
  readonly gpus: ReadonlyMap<string, BenchRecord>;
  /** What is wrong with the file, in words; undefined where nothing is, or where there is none. */
  readonly fault: string | undefined;
}

const NAME = "gpu-bench.json";
const VERSION = 1;
const GPUS_MAX = 1024;
const FILE_BYTES_MAX = 4 * 2 ** 20;
const TEXT_CHARS_MAX = 128;

export function benchPath(dataDir: string): string {
  return join(dataDir, NAME);
}

export async function readBenchRecords(dataDir: string): Promise<BenchRecords> {
  const path = benchPath(dataDir);
  try {
    return takeRecords(await readFile(path), path);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return { gpus: new Map(), fault: isMissing ? undefined : `${path} can't be read: ${(error as Error).message}` };
  }
}

/** What bytes of such a file say. */
export function takeRecords(bytes: Uint8Array, path: string): BenchRecords {
  const nothing = (why: string): BenchRecords => {
    return { gpus: new Map(), fault: `${path} ${why}` };
  };
  if (bytes.length > FILE_BYTES_MAX) return nothing("is too long to be a benchmark's");
  let whole: { readonly version?: unknown; readonly gpus?: unknown } | null;
  try {
    whole = JSON.parse(new TextDecoder().decode(bytes)) as typeof whole;
  } catch {
    return nothing("is no JSON");
  }
  if (typeof whole !== "object" || whole?.version !== VERSION) return nothing(`is not of version ${VERSION}`);
  if (typeof whole.gpus !== "object" || whole.gpus === null) return nothing("holds no GPUs");
  const gpus = new Map<string, BenchRecord>();
  const odd: string[] = [];
  for (const [uuid, given] of Object.entries(whole.gpus).slice(0, GPUS_MAX)) {
    const record = recordOf(given);
    if (record === undefined) odd.push(uuid.slice(0, 64));
    else gpus.set(uuid, record);
  }
  if (odd.length === 0) return { gpus, fault: undefined };
  return { gpus, fault: nothing(`holds what are no figures of ${odd.length} GPUs, the first ${odd[0]}`).fault };
}

function recordOf(given: unknown): BenchRecord | undefined {
  const figures = takeFigures(given);
  if (figures === undefined) return undefined;
  const { name, driverVersion, measuredAt, inUse } = given as Readonly<Record<string, unknown>>;
  const text = (value: unknown): string => (typeof value === "string" ? value.slice(0, TEXT_CHARS_MAX) : "");
  const record = { ...figures, name: text(name), driverVersion: text(driverVersion), measuredAt: text(measuredAt) };
  return text(inUse) === "" ? record : { ...record, inUse: text(inUse) };
}

/** Puts records into the file, which is whole at any time; throws a MeshError when that can't be written. */
export async function keepBenchRecords(dataDir: string, fresh: ReadonlyMap<string, BenchRecord>): Promise<KeptRecords> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    return await lockedFolder(dataDir, () => put(dataDir, fresh));
  } catch (cause) {
    if (cause instanceof MeshError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MeshError("config_invalid", `can't write the figures to ${benchPath(dataDir)}: ${why}`, {
      cause,
      param: "dataDir",
    });
  }
}

/** Two may be put aside within a millisecond. */
function unusedAside(dataDir: string): string {
  const name = `gpu-bench.unread-${new Date().toISOString().replaceAll(":", "")}`;
  for (let count = 1; ; count += 1) {
    const path = join(dataDir, `${name}${count === 1 ? "" : `-${count}`}.json`);
    if (!existsSync(path)) return path;
  }
}

async function put(dataDir: string, fresh: ReadonlyMap<string, BenchRecord>): Promise<KeptRecords> {
  const { gpus, fault } = await readBenchRecords(dataDir);
  const path = benchPath(dataDir);
  const stayed = new Map<string, string>();
  const all = new Map(gpus);
  for (const [uuid, record] of fresh) {
    const before = gpus.get(uuid);
    const isWorse = record.inUse !== undefined && before !== undefined && before.inUse === undefined;
    if (isWorse) stayed.set(uuid, before.measuredAt);
    else all.set(uuid, record);
  }
  const draft = join(dataDir, `.gpu-bench-${process.pid}.json`);
  const asidePath = unusedAside(dataDir);
  try {
    const whole = { version: VERSION, gpus: Object.fromEntries(all) };
    await writeFile(draft, `${JSON.stringify(whole, null, 2)}\n`, { mode: 0o600 });
    if (fault !== undefined) await rename(path, asidePath);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {});
    throw error;
  }
  return { stayed, aside: fault === undefined ? undefined : { fault, path: asidePath } };
}
