/** `infermesh agent stop` and `agent status`: finding an agent of this machine by its file, and ending or asking it. */
import { escaped } from "../base/printable.ts";
import { dialable, formatDuration } from "../base/units.ts";
import { type AgentFile, isRunning, removeAgentFile, runningAgents } from "./agent-file.ts";
import { EXIT, ask } from "./client.ts";
import { renderFigures } from "./render.ts";
import type { AgentStatusConfig, AgentStopConfig } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const LOOK_MS = 50;

/** Sends SIGTERM and waits until the agent is gone: it finishes its requests first. */
export async function stopAgent(config: AgentStopConfig, terminal: Terminal): Promise<number> {
  const file = await findAgent(config, terminal);
  if (typeof file === "number") return file;
  const startedMs = performance.now();
  const name = `agent ${file.id} (pid ${file.pid})`;
  const send = (signal: NodeJS.Signals) => {
    try {
      // Looked at again right before: the number may belong to someone else by now.
      if (isRunning(file)) process.kill(file.pid, signal);
      return true;
    } catch (error) {
      terminal.err(`infermesh agent stop: can't end ${name}: ${(error as Error).message}\n`);
      return false;
    }
  };
  if (!send("SIGTERM")) return EXIT.failed;
  if (!(await goneWithin(file, config.timeoutMs))) {
    const waited = formatDuration(config.timeoutMs);
    if (!config.force) {
      terminal.err(`infermesh agent stop: ${name} is still there after ${waited}; it may be finishing requests\n`);
      return EXIT.failed;
    }
    if (!send("SIGKILL") || !(await goneWithin(file, 5000))) return EXIT.failed;
    terminal.err(`infermesh agent stop: ${name} outlasted ${waited} and was killed\n`);
    await removeAgentFile(config.dataDir, file.id, file.pid);
  }
  terminal.out(`stopped ${name} in ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
  return EXIT.ok;
}

/** What the agent says of itself. Exit code 0 when it is well, 1 when it is not, 3 when none runs. */
export async function showAgentStatus(config: AgentStatusConfig, terminal: Terminal): Promise<number> {
  const file = await findAgent(config, terminal);
  if (typeof file === "number") return file;
  const answer = await ask(`http://${dialable(file.api)}`, "/status", config.timeoutMs);
  if (answer.kind === "unreachable") {
    terminal.err(
      `infermesh agent status: agent ${file.id} (pid ${file.pid}) runs but can't be asked: ${escaped(answer.why)}\n`,
    );
    return EXIT.failed;
  }
  const { id, pid, startedAt } = file;
  terminal.out(renderFigures(config.output, { id, state: "running", pid, startedAt, ...(answer.body as object) }));
  const health = (answer.body as { health?: { status?: unknown } } | null)?.health?.status;
  return answer.status === 200 && health === "ok" ? EXIT.ok : EXIT.failed;
}

/** The agent that is meant, or the exit code after saying why there is none. */
async function findAgent(
  { id, dataDir }: { readonly id: string; readonly dataDir: string },
  terminal: Terminal,
): Promise<AgentFile | number> {
  const running = await runningAgents(dataDir);
  const meant = id === "" ? running : running.filter((file) => file.id === id);
  const [first, second] = meant;
  if (first !== undefined && second === undefined) return first;
  if (second !== undefined) {
    const ids = meant.map((file) => file.id);
    terminal.err(`infermesh agent: several agents run here; say which by --id: ${ids.join(", ")}\n`);
    return EXIT.usage;
  }
  const others = running.length === 0 ? "" : `; there are ${running.map((file) => file.id).join(", ")}`;
  const which = id === "" ? "no agent is running" : `no agent ${id} is running`;
  terminal.err(`infermesh agent: ${which} (looked in ${dataDir})${others}\n`);
  return EXIT.unreachable;
}

async function goneWithin(file: AgentFile, timeoutMs: number): Promise<boolean> {
  const untilMs = performance.now() + timeoutMs;
  while (isRunning(file)) {
    if (performance.now() >= untilMs) return false;
    await Bun.sleep(LOOK_MS);
  }
  return true;
}
