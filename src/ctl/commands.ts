/**
 * `infermesh ctl stats` and `health`. As in every command of ctl, data goes to standard output and messages to standard
 * error; the exit code tells the outcome (see EXIT).
 */
import { EXIT, ask, failureOf } from "./client.ts";
import { renderFigures } from "./render.ts";
import type { CtlConfig } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** A router's counts, or an agent's vitals. */
export async function showStats({ endpoint, timeoutMs, output }: CtlConfig, terminal: Terminal): Promise<number> {
  let answer = await ask(endpoint, "/stats", timeoutMs);
  if (answer.kind === "answer" && answer.status === 404)
    answer = await ask(answer.endpoint, "/metrics?format=json", timeoutMs);
  const failed = failureOf(answer, terminal);
  if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
  terminal.out(renderFigures(output, answer.body));
  return EXIT.ok;
}

interface HealthConfig extends CtlConfig {
  readonly live?: boolean;
}

/** Whether it is well: exit code 0 for "ok", 1 for anything else it answers, which is well enough for `live`. */
export async function showHealth(
  { endpoint, timeoutMs, output, live = false }: HealthConfig,
  terminal: Terminal,
): Promise<number> {
  const answer = await ask(endpoint, "/health", timeoutMs);
  // A process that drains answers 503 and says so.
  const status = answer.kind === "answer" ? (answer.body as { status?: unknown } | null)?.status : undefined;
  const told = typeof status === "string";
  const failed = told ? undefined : failureOf(answer, terminal);
  if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
  terminal.out(renderFigures(output, answer.body));
  return status === "ok" || (live && told) ? EXIT.ok : EXIT.failed;
}
