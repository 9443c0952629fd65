/** `infermesh ctl list-gpus`: those of all nodes as a router knows them; of an agent, its own. */
import { escaped } from "../base/printable.ts";
import { type Infer, section, text } from "../base/settings.ts";
import { ask, EXIT, notOurs, recordOf, recordsIn } from "./client.ts";
import { bodyOf, call } from "./control-plane.ts";
import { NODE_GPU_COLUMNS, type NodeGpuRow, type StatefulNode, statefulNode, statefulNodes } from "./gpu-rows.ts";
import { asking } from "./part.ts";
import { isWhole, renderRows } from "./render.ts";
import { repeating, watchFields } from "./repeat.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const settings = section({
  node: text({
    default: "",
    lengthMax: 253,
    placeholder: "ID",
    emptyMeans: "every node",
    doc: "Only the GPUs of this node.",
  }),
  ...ctlSettings.fields,
  ...watchFields,
});
type Config = Infer<typeof settings>;

const NEXT = { not_found: "`infermesh ctl list-nodes` shows the nodes" };

async function listGpus(config: Config, terminal: Terminal): Promise<number> {
  const { output, node } = config;
  const reply = await (node === ""
    ? call(config, "ListNodes", { withState: true })
    : call(config, "GetNode", { id: node }));
  const body = bodyOf(reply, terminal, NEXT);
  if (typeof body === "number") return body;
  const one = recordOf(body["node"]);
  const nodes = node === "" ? statefulNodes(body) : one && [statefulNode(one)];
  if (nodes === undefined) return notOurs("nodes", terminal);
  const gpus = nodes.flatMap((known) => known.gpus);
  if (gpus.length > 0 || isWhole(output)) {
    terminal.out(renderRows<NodeGpuRow>(output, gpus, NODE_GPU_COLUMNS, { gpus }, terminal.color));
  }
  const { endpoint } = reply as { endpoint: string };
  await tellMissing(config, terminal, nodes, endpoint);
  return EXIT.ok;
}

/** Why there are no GPUs, or not those of all nodes. */
async function tellMissing(
  { output, timeoutMs, node }: Config,
  terminal: Terminal,
  nodes: readonly StatefulNode[],
  endpoint: string,
): Promise<void> {
  const say = (words: string): void => terminal.err(`infermesh ctl: ${escaped(words)}\n`);
  const isEmpty = nodes.every(({ gpus }) => gpus.length === 0);
  const own = nodes.find(({ self, role }) => self && role === "agent");
  if (isEmpty && output !== "json" && output !== "yaml" && output !== "text") terminal.err("no GPUs\n");
  if (isEmpty && own !== undefined) {
    const answer = await ask(endpoint, "/gpus", timeoutMs);
    const sources = answer.kind === "answer" ? (recordsIn(answer.body, "sources") ?? []) : [];
    for (const { message } of sources) if (typeof message === "string" && message !== "") say(`${own.id}: ${message}`);
  }
  const others = nodes.filter(({ self, role, gpus }) => !self && role === "agent" && gpus.length === 0);
  if (node === "" && own !== undefined && others.length > 0) {
    say(`${endpoint} is an agent, which knows its own GPUs alone; a router knows those of ${nodesOf(others)} too`);
  }
  if (node !== "" && isEmpty && own === undefined) {
    say(`${endpoint} has no state of ${node}, or that node tells of no GPUs; a router knows those of all nodes`);
  }
}

function nodesOf(others: readonly StatefulNode[]): string {
  return others.length === 1 ? (others[0]?.id ?? "") : `${others.length} other nodes`;
}

/** The command, without its help. */
export const LIST_GPUS = asking({
  settings,
  run: (config, terminal) => repeating(config, terminal, (to) => listGpus(config, to)),
});
