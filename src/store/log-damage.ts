/** How a log is refused: what is wrong with it, and what to do about it. */
import { MeshError } from "../base/errors.ts";

export function damaged(path: string, what: string, detail = "", cause?: unknown): MeshError {
  const found = `the log ${path} is damaged: ${what}.${detail === "" ? "" : ` ${detail}.`} It is left as it was found.`;
  const next = `remove this member from the cluster (infermesh ctl control remove), delete ${path}, ${path}-wal and ${path}-mark, and let it join anew; where it was the only one, restore a saved snapshot (infermesh ctl snapshot restore)`;
  return new MeshError("store_damaged", `${found} What to do: ${next}`, cause === undefined ? {} : { cause });
}

/** Another process has it. */
export function inUse(path: string, pid: number | undefined): MeshError {
  const who = pid === undefined ? "another process" : `process ${pid}`;
  return new MeshError("conflict", `the log ${path} is in use by ${who}: stop that one first, or choose another --id`);
}

export function notOurs(path: string): MeshError {
  return new MeshError("config_invalid", `${path} is a database, but no log of infermesh's: choose another --data-dir`);
}

/** What somebody threw, in words. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
