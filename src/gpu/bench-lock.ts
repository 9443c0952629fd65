/**
 * One at a time: two benchmarks that end at the same moment would each write what it read, and one would lose what the
 * other found. The lock is the folder's own, by the kernel, which drops it when its holder ends, however that comes.
 */
import { closeSync, openSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import { openLibc } from "../net/libc.ts";

const LOCK_EXCLUSIVE_NOW = 2 | 4;
/** Reading and writing one small file takes far less. */
const WAIT_MS = 10_000;
const LOOK_MS = 20;

/** Runs the work while no other process does such work on the folder; throws a MeshError where one does so for long. */
export async function lockedFolder<T>(folder: string, work: () => Promise<T>, waitMs = WAIT_MS): Promise<T> {
  const libc = openLibc();
  // Elsewhere there is no NVIDIA driver either.
  if (libc === null) return work();
  const fd = openSync(folder, "r");
  try {
    const endMs = performance.now() + waitMs;
    while (libc.flock(fd, LOCK_EXCLUSIVE_NOW) !== 0) {
      if (performance.now() > endMs) {
        const why = `another process holds the lock of ${folder} for more than ${waitMs / 1000} s; end it and measure again`;
        throw new MeshError("config_invalid", why, { param: "dataDir" });
      }
      await Bun.sleep(LOOK_MS);
    }
    return await work();
  } finally {
    closeSync(fd);
  }
}
