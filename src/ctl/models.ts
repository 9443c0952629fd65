/** `infermesh ctl list-models`, `describe-model`, `load-model` and `unload-model`. */
import { printable } from "../base/printable.ts";
import { duration, type Infer, section, text } from "../base/settings.ts";
import { list } from "../base/settings-collections.ts";
import { EXIT, type JsonRecord, notOurs, recordOf, recordsIn } from "./client.ts";
import type { Operand } from "./command.ts";
import { bodyOf, call, change, listIn, type NextSteps } from "./control-plane.ts";
import { asking } from "./part.ts";
import { POLICY_COLUMNS, policyOf, specWords } from "./policy-text.ts";
import {
  type Column,
  figureColumn,
  formatPercent,
  isWhole,
  renderFacts,
  renderRows,
  renderWhole,
  textColumn,
} from "./render.ts";
import { repeating, watchFields } from "./repeat.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const listSettings = section({
  node: text({
    default: "",
    lengthMax: 253,
    placeholder: "ID",
    emptyMeans: "every node",
    doc: "Only models that this node serves.",
  }),
  ...ctlSettings.fields,
  ...watchFields,
});
const nodes = list(text({ placeholder: "ID,...", lengthMax: 253, expected: "a node's id" }), {
  default: [],
  emptyMeans: "the one that is asked, which must be an agent",
  doc: "At which nodes, one after the other.",
});
const timeoutMs = duration({ default: "10m", min: "10ms", max: "24h", doc: "How long to wait for each of them." });
const runtime = text({
  default: "",
  placeholder: "NAME",
  lengthMax: 64,
  emptyMeans: "the one that knows the model, or the only one",
  doc: "By which of the node's runtimes.",
});
const loadSettings = section({
  nodes,
  revision: text({
    default: "",
    lengthMax: 253,
    emptyMeans: "what the runtime takes",
    doc: "The revision of the model.",
  }),
  source: text({
    default: "",
    placeholder: "PATH",
    lengthMax: 1024,
    emptyMeans: "where the runtime looks by itself",
    doc: "Where the runtime shall take it from, as it understands it, such as the path of a LoRA adapter.",
  }),
  parent: text({
    default: "",
    placeholder: "MODEL",
    lengthMax: 256,
    emptyMeans: "it is a model by itself",
    doc: "Of a LoRA adapter: the model that it adapts.",
  }),
  runtime,
  ...ctlSettings.fields,
  timeoutMs,
});
const unloadSettings = section({
  nodes,
  runtime,
  drainMs: duration({
    default: "0s",
    max: "24h",
    emptyMeans: "as long as they take, within --timeout",
    doc: "How long its requests may go on before they are cut off.",
  }),
  ...ctlSettings.fields,
  timeoutMs,
});

const MODEL: Operand = { name: "MODEL", expected: "a model's name, as list-models shows it", completes: "model" };

/** A model as ListModels has it. */
interface ModelRow {
  readonly id?: string;
  readonly nodes?: readonly ModelNodeRow[];
  readonly routableNodes?: number;
  readonly missingReplicas?: number;
  readonly pin?: JsonRecord;
}
interface ModelNodeRow {
  readonly id?: string;
  readonly state?: string;
  readonly routable?: boolean;
  readonly modelState?: {
    readonly status?: string;
    readonly runningRequests?: number;
    readonly waitingRequests?: number;
    readonly kvUsage?: number;
  };
}

const NODE_STATE_COLORS: Readonly<Record<string, number>> = {
  healthy: 32,
  alive: 32,
  suspect: 33,
  unhealthy: 31,
  failed: 31,
  draining: 33,
};

/** How the node is, and the model on it where it is not simply served. */
const stateOf = ({ state = "-", modelState }: ModelNodeRow): string => {
  const status = (modelState?.status ?? "").replace("MODEL_STATUS_", "").toLowerCase();
  return ["", "ready", "unspecified", state].includes(status) ? state : `${state}, ${status}`;
};

const sumOf = ({ nodes: at = [] }: ModelRow, figure: "runningRequests" | "waitingRequests"): number | undefined => {
  const known = at.flatMap(({ modelState }) => (modelState === undefined ? [] : [modelState[figure] ?? 0]));
  return known.length === 0 ? undefined : known.reduce((sum, one) => sum + one, 0);
};
const pinOf = ({ pin }: ModelRow): string => (pin === undefined ? "-" : specWords(policyOf(pin).spec));

const MODEL_COLUMNS: readonly Column<ModelRow>[] = [
  textColumn("MODEL", ({ id }) => id ?? "-"),
  {
    ...figureColumn<ModelRow>("ROUTABLE", ({ routableNodes }) => routableNodes ?? 0),
    color: ({ routableNodes = 0 }) => (routableNodes === 0 ? 31 : undefined),
  },
  figureColumn("NODES", ({ nodes: at }) => at?.length ?? 0),
  {
    ...figureColumn<ModelRow>("MISSING", ({ missingReplicas }) => missingReplicas ?? 0),
    color: ({ missingReplicas = 0 }) => (missingReplicas > 0 ? 33 : undefined),
  },
  figureColumn("RUN", (row) => sumOf(row, "runningRequests")),
  figureColumn("WAIT", (row) => sumOf(row, "waitingRequests")),
  textColumn("PIN", pinOf),
  { ...textColumn<ModelRow>("AT", ({ nodes: at = [] }) => at.map(({ id }) => id ?? "-").join(",") || "-"), wide: true },
];

const MODEL_NODE_COLUMNS: readonly Column<ModelNodeRow>[] = [
  textColumn("NODE", ({ id }) => id ?? "-"),
  {
    ...textColumn<ModelNodeRow>("STATE", stateOf),
    color: ({ state }) => NODE_STATE_COLORS[state ?? ""],
  },
  textColumn("ROUTABLE", ({ routable }) => (routable === true ? "yes" : "no")),
  figureColumn("RUN", ({ modelState }) => (modelState === undefined ? undefined : (modelState.runningRequests ?? 0))),
  figureColumn("WAIT", ({ modelState }) => (modelState === undefined ? undefined : (modelState.waitingRequests ?? 0))),
  figureColumn("KV", ({ modelState }) => modelState?.kvUsage, formatPercent),
];

async function listModels(config: Infer<typeof listSettings>, terminal: Terminal): Promise<number> {
  const { node, output } = config;
  const body = bodyOf(await call(config, "ListModels", node === "" ? {} : { node }), terminal, NODE_LIST);
  const models = typeof body === "number" ? body : listIn(body, "models", terminal);
  if (typeof models === "number") return models;
  if (models.length === 0 && (output === "table" || output === "wide")) terminal.err("no models\n");
  else terminal.out(renderRows<ModelRow>(output, models, MODEL_COLUMNS, { models }, terminal.color));
  return EXIT.ok;
}

async function describeModel(config: Infer<typeof ctlSettings>, terminal: Terminal, id: string): Promise<number> {
  const body = bodyOf(await call(config, "GetModel", { id }), terminal, {
    not_found: "`infermesh ctl list-models` shows the models",
  });
  if (typeof body === "number") return body;
  const model = recordOf(body["model"]) as ModelRow | undefined;
  if (model === undefined) return notOurs("model", terminal);
  const policies = (recordsIn(body, "policies") ?? []).map(policyOf);
  const { output } = config;
  if (isWhole(output)) {
    terminal.out(renderWhole(output, { model, policies }));
    return EXIT.ok;
  }
  const { routableNodes = 0, missingReplicas = 0 } = model;
  const at = (model.nodes ?? []).toSorted((a, b) => ((a.id ?? "") < (b.id ?? "") ? -1 : 1));
  if (output === "text") {
    terminal.out(renderRows(output, at, MODEL_NODE_COLUMNS, {}));
    return EXIT.ok;
  }
  const missing = missingReplicas === 0 ? "" : `, ${missingReplicas} more wanted by its pin`;
  const facts = [["nodes", `${at.length}, ${routableNodes} of them get requests${missing}`]] as const;
  const parts = [renderFacts({ title: printable(model.id ?? id), facts })];
  if (at.length > 0) parts.push(renderRows(output, at, MODEL_NODE_COLUMNS, {}, terminal.color));
  parts.push(
    policies.length === 0 ? "No policies\n" : renderRows(output, policies, POLICY_COLUMNS, {}, terminal.color),
  );
  terminal.out(parts.join("\n"));
  return EXIT.ok;
}

const NODE_LIST: NextSteps = { not_found: "`infermesh ctl list-nodes` shows the nodes" };
const SAY_NODES = "say which: --nodes ID,... as `infermesh ctl list-nodes` shows them";

/** Loads or unloads at each node in turn; the first failure ends it, since others would likely fail alike. */
async function eachNode(
  config: Infer<typeof loadSettings> | Infer<typeof unloadSettings>,
  terminal: Terminal,
  method: "LoadModel" | "UnloadModel",
  request: object,
): Promise<number> {
  const done: JsonRecord[] = [];
  for (const node of config.nodes.length === 0 ? [""] : config.nodes) {
    const wanted = { ...request, ...(node === "" ? {} : { node }) };
    const reply = await change(config, method, wanted, terminal, false);
    const body = bodyOf(reply, terminal, node === "" ? { ...NODE_LIST, not_supported: SAY_NODES } : NODE_LIST);
    if (typeof body === "number") return body;
    if (isWhole(config.output)) done.push(body);
    else tellLoad(config.output === "text", method, body, terminal);
  }
  if (isWhole(config.output)) terminal.out(renderWhole(config.output, { nodes: done }));
  return EXIT.ok;
}

function tellLoad(tabs: boolean, method: "LoadModel" | "UnloadModel", body: JsonRecord, terminal: Terminal): void {
  const { node, model, changed, models } = body;
  const word = method === "LoadModel" ? "loaded" : "unloaded";
  const names = Array.isArray(models) ? models.map(String) : [];
  if (tabs) {
    const cells = [node, model, changed === true ? word : "unchanged", names.join(",") || "-"];
    terminal.out(`${cells.map((cell) => printable(String(cell))).join("\t")}\n`);
    return;
  }
  const state = changed === true ? word : `was ${word} already`;
  terminal.out(
    `${printable(`${String(model)} ${state} at ${String(node)}; it serves ${names.join(", ") || "nothing"}`)}\n`,
  );
}

/** The commands, without their help. */
export const MODELS = {
  list: asking({
    settings: listSettings,
    run: (config, terminal) => repeating(config, terminal, (to) => listModels(config, to)),
  }),
  describe: asking({
    settings: ctlSettings,
    operands: [MODEL],
    run: (config, terminal, [id = ""]) => describeModel(config, terminal, id),
  }),
  load: asking({
    settings: loadSettings,
    operands: [MODEL],
    run: (config, terminal, [model = ""]) =>
      eachNode(config, terminal, "LoadModel", {
        model,
        ...(config.revision === "" ? {} : { revision: config.revision }),
        ...(config.source === "" ? {} : { source: config.source }),
        ...(config.parent === "" ? {} : { parent: config.parent }),
        ...(config.runtime === "" ? {} : { runtime: config.runtime }),
      }),
  }),
  unload: asking({
    settings: unloadSettings,
    operands: [MODEL],
    run: (config, terminal, [model = ""]) =>
      eachNode(config, terminal, "UnloadModel", {
        model,
        ...(config.drainMs === 0 ? {} : { drainMs: config.drainMs }),
        ...(config.runtime === "" ? {} : { runtime: config.runtime }),
      }),
  }),
};
