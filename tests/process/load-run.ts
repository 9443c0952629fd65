/** One run of `infermesh load`, with what it tells as JSON. */
import type { LoadReport } from "../../src/load/report.ts";
import { EXECUTABLE, ownEnvironment } from "./harness.ts";

export async function loadRun(url: string, ...args: readonly string[]): Promise<LoadReport> {
  const child = Bun.spawn([EXECUTABLE, "load", url, ...args, "--format", "json"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: ownEnvironment(),
  });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if (out === "") throw new Error(err);
  return JSON.parse(out) as LoadReport;
}
