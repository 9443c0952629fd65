/** `infermesh ctl drain`, `undrain`, `cordon` and `uncordon`: what an operator decides about nodes. */
import { escaped, printable } from "../base/printable.ts";
import { duration, flag, type Infer, section, text } from "../base/settings.ts";
import { formatDuration } from "../base/units.ts";
import { type Answer, ask, EXIT, failureOf, recordOf } from "./client.ts";
import { write } from "./outcome.ts";
import { asking, type Part } from "./part.ts";
import type { Terminal } from "./terminal.ts";
import { howOf, singleWriteFields } from "./write-settings.ts";

const LOOK_MS = 250;

const fields = {
  ...singleWriteFields,
  reason: text({ default: "", lengthMax: 500, doc: "Why, for those who come across it." }),
  allowUnknown: flag({
    default: false,
    doc: "Also for a node that nobody knows yet; without this a name that is not known is refused.",
  }),
};
const changeSettings = section(fields);
const drainSettings = section({
  ...fields,
  waitMs: duration({
    default: "0s",
    max: "24h",
    bare: "10m",
    doc: "Wait until the router that is asked has nothing in flight there, at most so long; --wait alone: 10m. (default: don't wait)",
  }),
});

type ChangeConfig = Infer<typeof changeSettings>;

const NODES = [
  { name: "NODE", expected: "a node's id, as list-nodes shows it", many: true, completes: "node" },
] as const;

async function changeNodes(
  config: ChangeConfig,
  terminal: Terminal,
  ids: readonly string[],
  method: string,
  done: string,
): Promise<number> {
  const { reason, allowUnknown } = config;
  let code: number = EXIT.ok;
  for (const id of ids) {
    const request = {
      id,
      ...(reason === "" ? {} : { reason }),
      ...(allowUnknown ? { allowUnknown } : {}),
      ...howOf(config),
    };
    const outcome = await write(config, terminal, method, request, { of: ["node", id], done, undone: done });
    // The others are tried all the same; what went wrong first is told.
    if (code === EXIT.ok) code = outcome;
    if (outcome === EXIT.unreachable) break;
  }
  return code;
}

async function drain(config: Infer<typeof drainSettings>, terminal: Terminal, ids: readonly string[]): Promise<number> {
  const code = await changeNodes(config, terminal, ids, "DrainNode", "draining");
  if (code !== EXIT.ok || config.waitMs === 0 || config.dryRun) return code;
  const untilMs = performance.now() + config.waitMs;
  for (const id of ids) {
    const idle = await idleBy(config, terminal, id, untilMs);
    if (idle !== EXIT.ok) return idle;
  }
  return EXIT.ok;
}

/** Waits until a router has nothing in flight at the node. */
async function idleBy(
  { endpoint, timeoutMs, waitMs }: Infer<typeof drainSettings>,
  terminal: Terminal,
  id: string,
  untilMs: number,
): Promise<number> {
  for (;;) {
    const answer: Answer = await ask(endpoint, `/nodes/${encodeURIComponent(id)}`, timeoutMs);
    if (answer.kind === "answer" && answer.status === 404) {
      terminal.err(
        `infermesh ctl drain: ${escaped(answer.endpoint)} sends nothing to ${printable(id)}; --wait is for routers\n`,
      );
      return EXIT.failed;
    }
    const failed = failureOf(answer, terminal);
    if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
    const { inFlight } = recordOf(answer.body) ?? {};
    const count = typeof inFlight === "number" ? inFlight : 0;
    if (count === 0) {
      terminal.err(`infermesh ctl drain: nothing is in flight at ${printable(id)}\n`);
      return EXIT.ok;
    }
    if (performance.now() >= untilMs) {
      terminal.err(
        `infermesh ctl drain: ${count} requests are still in flight at ${printable(id)} after ${formatDuration(waitMs)}; it goes on draining\n`,
      );
      return EXIT.failed;
    }
    terminal.progress?.(`${printable(id)}: ${count} in flight`);
    await Bun.sleep(LOOK_MS);
  }
}

function changing(method: string, done: string): Part {
  return asking({
    settings: changeSettings,
    operands: NODES,
    run: (config, terminal, ids) => changeNodes(config, terminal, ids, method, done),
  });
}

/** The commands, without their help. */
export const NODE_CHANGES = {
  drain: asking({ settings: drainSettings, operands: NODES, run: drain }),
  undrain: changing("UndrainNode", "no longer draining"),
  cordon: changing("CordonNode", "cordoned"),
  uncordon: changing("UncordonNode", "uncordoned"),
};
