/**
 * The number that a node keeps over restarts, so that the mesh can tell its return at another address from a stranger
 * that took its id. A file of the data directory holds it; without one the node has none (0).
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export function nodeIdentity(dataDir: string, id: string): number {
  const directory = join(dataDir, id);
  const file = join(directory, "identity");
  try {
    const known = Number.parseInt(readFileSync(file, "utf8").trim(), 16);
    if (known > 0 && known <= 0xffff_ffff) return known;
  } catch {
    // The first start here, or a directory that can't be read.
  }
  const made = crypto.getRandomValues(new Uint32Array(1))[0] || 1;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(file, `${made.toString(16)}\n`, { mode: 0o600 });
    return made;
  } catch {
    return 0;
  }
}
