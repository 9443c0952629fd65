/** `infermesh ctl drain`, `undrain` and `cordon`: what an operator decides about nodes. For `uncordon` see uncordon.ts. */
import { escaped, printable } from "../base/printable.ts";
import { duration, flag, type Infer, section, text } from "../base/settings.ts";
import { formatDuration } from "../base/units.ts";
import { type Answer, ask, EXIT, failureOf, recordOf } from "./client.ts";
import { type Change, write } from "./outcome.ts";
import { asking, type Part } from "./part.ts";
import { targetsAt } from "./node-targets.ts";
import type { Terminal } from "./terminal.ts";
import { howOf, singleWriteFields } from "./write-settings.ts";

const LOOK_MS = 250;
const NEXT = {
  not_found: "`infermesh ctl list-nodes` shows the nodes; --allow-unknown takes one that is yet to come",
};

export const nodeChangeFields = {
  ...singleWriteFields,
  reason: text({ default: "", lengthMax: 500, doc: "Why, for those who come across it." }),
  allowUnknown: flag({
    default: false,
    doc: "Also for a node that nobody knows yet; without this a name that is not known is refused.",
  }),
};
const changeSettings = section(nodeChangeFields);
const drainSettings = section({
  ...nodeChangeFields,
  waitMs: duration({
    default: "0s",
    max: "24h",
    bare: "10m",
    doc: "Wait until the router that is asked (or the node itself) has nothing in flight there, at most so long; --wait alone: 10m. (default: don't wait)",
  }),
});

export type ChangeConfig = Infer<typeof changeSettings>;

export const NODES = [
  { name: "NODE", expected: "a node's id, as list-nodes shows it", many: true, completes: "node" },
] as const;

async function changeNodes(
  config: ChangeConfig,
  terminal: Terminal,
  ids: readonly string[],
  method: string,
  done: string,
): Promise<number> {
  let code: number = EXIT.ok;
  for (const id of ids) {
    const outcome = await write(config, terminal, method, requestOf(config, id), wantedOf(id, done));
    // The others are tried all the same; what went wrong first is told.
    if (code === EXIT.ok) code = outcome;
    if (outcome === EXIT.unreachable) break;
  }
  return code;
}

/** The request of a change of this node. */
export function requestOf(config: ChangeConfig, id: string): object {
  const { reason, allowUnknown } = config;
  return { id, ...(reason === "" ? {} : { reason }), ...(allowUnknown ? { allowUnknown } : {}), ...howOf(config) };
}

/** What is to be told of it. */
export function wantedOf(id: string, done: string): Change {
  return { of: ["node", id], done, undone: done, next: NEXT };
}

async function drain(config: Infer<typeof drainSettings>, terminal: Terminal, ids: readonly string[]): Promise<number> {
  const isWaiting = config.waitMs > 0 && !config.dryRun;
  for (const id of isWaiting ? ids : []) {
    // Before anything is changed, since who asks for both wants both.
    const blind = await blindTo(config, terminal, id);
    if (blind !== undefined) return blind;
  }
  const code = await changeNodes(config, terminal, ids, "DrainNode", "draining");
  if (code !== EXIT.ok || !isWaiting) return code;
  const untilMs = performance.now() + config.waitMs;
  for (const id of ids) {
    const idle = await idleBy(config, terminal, id, untilMs);
    if (idle !== EXIT.ok) return idle;
  }
  return EXIT.ok;
}

/** An exit code, after saying why, where the one who is asked can't tell what is in flight at a node. */
async function blindTo(
  { endpoint, timeoutMs }: Infer<typeof drainSettings>,
  terminal: Terminal,
  id: string,
): Promise<number | undefined> {
  const nodes = await ask(endpoint, "/nodes", timeoutMs);
  // A router tells of what it sends there; a node that it doesn't know is refused or told of later.
  if (nodes.kind === "unreachable" || nodes.status !== 404) return failureOf(nodes, terminal);
  const own = await ask(nodes.endpoint, "/status", timeoutMs);
  const failed = failureOf(own, terminal);
  if (failed !== undefined || own.kind !== "answer") return failed ?? EXIT.failed;
  if (recordOf(own.body)?.["id"] === id) return undefined;
  const who = `${own.endpoint} is an agent, which can't tell what is in flight at ${id}`;
  terminal.err(
    `infermesh ctl drain: ${escaped(who)}; nothing was changed: ask a router (--endpoint), or leave out --wait\n`,
  );
  return EXIT.usage;
}

/** What is in flight at a node: from a router what all routers sent there, from the node itself what it has. */
async function inFlightAt(endpoint: string, id: string, timeoutMs: number): Promise<Answer | number> {
  const { answer, several } = await targetsAt(endpoint, id, timeoutMs);
  if (several.length > 0) return several.reduce((sum, { inFlight }) => sum + Number(inFlight ?? 0), 0);
  if (answer.kind !== "answer") return answer;
  const count = recordOf(answer.body)?.["inFlight"];
  if (answer.status === 200) return typeof count === "number" ? count : 0;
  const own = answer.status === 404 ? await ask(answer.endpoint, "/status", timeoutMs) : answer;
  if (own.kind !== "answer" || own.status !== 200 || recordOf(own.body)?.["id"] !== id) return answer;
  const vitals = recordOf(recordOf(own.body)?.["vitals"])?.["requests_in_progress"];
  return typeof vitals === "number" ? vitals : 0;
}

/** Waits until nothing is in flight at the node. */
async function idleBy(
  { endpoint, timeoutMs, waitMs }: Infer<typeof drainSettings>,
  terminal: Terminal,
  id: string,
  untilMs: number,
): Promise<number> {
  for (;;) {
    const count = await inFlightAt(endpoint, id, timeoutMs);
    if (typeof count !== "number") {
      if (count.kind !== "answer" || count.status !== 404) return failureOf(count, terminal) ?? EXIT.failed;
      terminal.err(`infermesh ctl drain: ${escaped(count.endpoint)} sends nothing to ${printable(id)}; it drains\n`);
      return EXIT.failed;
    }
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
};
