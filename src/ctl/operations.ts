/** `infermesh ctl reload`, `restart-workers` and `upgrade`: what is done to a router while it runs. */
import { isAbsolute, resolve } from "node:path";
import { printable } from "../base/printable.ts";
import { type Answer, ask, EXIT, failureOf, type JsonRecord, notOurs, recordOf, recordsIn } from "./client.ts";
import { waiting } from "./control-plane.ts";
import { isWhole, renderWhole } from "./render.ts";
import type { CtlConfig, UpgradeConfig } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const FORBIDDEN = "only a router's --api port takes this, not its --metrics port or an agent\n";

/** Has a router load its configuration anew: exit code 1 when that was refused. */
export async function reloadRouter({ endpoint, timeoutMs, output }: CtlConfig, terminal: Terminal): Promise<number> {
  const answer = await waiting(terminal, "reload", ask(endpoint, "/reload", timeoutMs, "POST"));
  const faults = answer.kind === "answer" ? recordOf(answer.body)?.["faults"] : undefined;
  if (Array.isArray(faults)) {
    terminal.err(`infermesh ctl reload: the new configuration is refused, and nothing was changed\n`);
    terminal.err(faults.map((fault) => `  ${printable(String(fault))}\n`).join(""));
    return EXIT.failed;
  }
  const body = bodyOf(answer, terminal);
  if (typeof body === "number") return body;
  if (isWhole(output)) terminal.out(renderWhole(output, body));
  const changes = recordsIn(body, "changes");
  const pending = recordsIn(body, "pending");
  if (changes === undefined || pending === undefined) return notOurs("changes", terminal);
  if (!isWhole(output)) {
    terminal.out(
      changes.length === 0 ? "nothing was changed\n" : changes.map((change) => `${inWords(change)}\n`).join(""),
    );
  }
  if (pending.length > 0) {
    terminal.err("infermesh ctl reload: these changes need a restart or an upgrade\n");
    terminal.err(pending.map((change) => `  ${inWords(change)}\n`).join(""));
  }
  return EXIT.ok;
}

/** Has a router replace its workers, one by one. */
export async function restartWorkers({ endpoint, timeoutMs, output }: CtlConfig, terminal: Terminal): Promise<number> {
  const body = bodyOf(
    await waiting(terminal, "restart-workers", ask(endpoint, "/workers/restart", timeoutMs, "POST")),
    terminal,
  );
  if (typeof body === "number") return body;
  const workers = recordsIn(body, "workers");
  if (workers === undefined) return notOurs("workers", terminal);
  if (isWhole(output)) {
    terminal.out(renderWhole(output, body));
    return EXIT.ok;
  }
  const retiring = Number(body["retiring"] ?? 0);
  const rest = retiring === 0 ? "" : `; ${retiring} of the old ones still finish what they have`;
  terminal.out(`${workers.length} workers are new${rest}\n`);
  return EXIT.ok;
}

/** Has a router hand over to an executable: the one that it runs, or another. */
export async function upgradeRouter(
  { endpoint, timeoutMs, output, executable }: UpgradeConfig,
  terminal: Terminal,
): Promise<number> {
  // The router may have another working directory.
  const path = executable === "" || isAbsolute(executable) ? executable : resolve(executable);
  const asked = ask(endpoint, "/upgrade", timeoutMs, "POST", { executable: path });
  const body = bodyOf(await waiting(terminal, "upgrade", asked), terminal);
  if (typeof body === "number") return body;
  const { pid, version } = body;
  if (typeof pid !== "number" || typeof version !== "string") return notOurs("process", terminal);
  if (isWhole(output)) terminal.out(renderWhole(output, body));
  else terminal.out(`process ${pid}, version ${printable(version)}, serves; the old one finishes what it has\n`);
  return EXIT.ok;
}

/** The body of a good answer, or the exit code for any other; it has been said why. */
function bodyOf(answer: Answer, terminal: Terminal): JsonRecord | number {
  const failed = failureOf(answer, terminal);
  if (failed === undefined && answer.kind === "answer") return recordOf(answer.body) ?? notOurs("object", terminal);
  if (answer.kind === "answer" && answer.status === 404) terminal.err(`infermesh ctl: ${FORBIDDEN}`);
  return failed ?? EXIT.failed;
}

function inWords({ path, from, to }: JsonRecord): string {
  return printable(`${String(path)}: ${String(from)} -> ${String(to)}`);
}
