/** The checkers that scripts/install-checkers.sh brings, and what they say. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const CACHE =
  process.env["INFERMESH_CHECKERS"] ??
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "infermesh-checkers");

/** Where a checker is; null where there is none, which is said. */
export function checker(name: string): string | null {
  const cached = join(CACHE, "bin", name);
  const found = existsSync(cached) ? cached : Bun.which(name);
  if (found === null) console.log(`left out: ${name} is missing: run scripts/install-checkers.sh`);
  return found;
}

export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a command to its end, within a minute. */
export function run(
  command: readonly string[],
  options: { readonly input?: string; readonly cwd?: string; readonly env?: Record<string, string | undefined> } = {},
): Said {
  const { input, ...how } = options;
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
    stdin: input === undefined ? "ignore" : Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 60_000,
    killSignal: "SIGKILL",
    ...how,
  });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}
