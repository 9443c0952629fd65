/** How a log is refused: what is wrong with it, and what to do about it. */
import { MeshError } from "../base/errors.ts";

const REJOIN =
  "remove this member from the cluster (infermesh ctl control remove), delete the log's files and let it join anew with an empty one; where it was the only one, restore a saved snapshot (infermesh ctl snapshot restore)";

export function damaged(path: string, what: string, detail = "", cause?: unknown): MeshError {
  const message = `the log ${path} is damaged: ${what}.${detail === "" ? "" : ` ${detail}.`} It is left as it was found. What to do: ${REJOIN}`;
  return new MeshError("store_damaged", message, cause === undefined ? {} : { cause });
}

export function notOurs(path: string): MeshError {
  return new MeshError("config_invalid", `${path} is a database, but no log of infermesh's: choose another --data-dir`);
}

/** What somebody threw, in words. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
