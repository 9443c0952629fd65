/** `infermesh ctl pin-model`, `unpin-model` and `list-pins`: where models are to be served. */
import { printable } from "../base/printable.ts";
import { type Infer, section, text } from "../base/settings.ts";
import { list, map } from "../base/settings-collections.ts";
import { EXIT } from "./client.ts";
import { bodyOf, call, listIn, LOCALLY, type NextSteps } from "./control-plane.ts";
import { write } from "./outcome.ts";
import { asking } from "./part.ts";
import { LAST_COLUMNS, type PolicyRow, policyOf, specColumn } from "./policy-text.ts";
import { type Column, renderRows, textColumn } from "./render.ts";
import { repeating, watchFields } from "./repeat.ts";
import { localField } from "./policies.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { howOf, numberOf, optionalNumber, singleWriteFields } from "./write-settings.ts";

const pinSettings = section({
  nodes: list(text({ placeholder: "ID,...", lengthMax: 253, expected: "a node's id" }), {
    default: [],
    emptyMeans: "any node",
    doc: "The nodes that are to serve it.",
  }),
  selector: map(text({ lengthMax: 253 }), {
    default: {},
    emptyMeans: "any node",
    doc: "In place of --nodes: the labels that a node must have, all of them.",
  }),
  minReplicas: optionalNumber({ whole: true, doc: "At least so many nodes should serve it." }),
  maxReplicas: optionalNumber({ whole: true, doc: "At most so many." }),
  revision: text({
    default: "",
    lengthMax: 253,
    emptyMeans: "any",
    doc: "The revision of the model: a commit, a tag, a date.",
  }),
  ...singleWriteFields,
});
const unpinSettings = section(singleWriteFields);
const listSettings = section({ ...ctlSettings.fields, ...localField, ...watchFields });

const MODEL = [{ name: "MODEL", expected: "a model's name, as list-models shows it", completes: "model" }] as const;

const PINNED: NextSteps = { not_found: "`infermesh ctl list-pins` shows those that there are" };

const PIN_COLUMNS: readonly Column<PolicyRow>[] = [
  textColumn("MODEL", ({ name }) => name),
  specColumn("REVISION OF MODEL", "revision"),
  specColumn("NODES", "nodes"),
  specColumn("SELECTOR", "selector"),
  specColumn("MIN", "minReplicas", { right: true }),
  specColumn("MAX", "maxReplicas", { right: true }),
  ...LAST_COLUMNS,
];

async function pinModel(config: Infer<typeof pinSettings>, terminal: Terminal, model: string): Promise<number> {
  const { revision, nodes, selector } = config;
  const says = [
    revision !== "",
    nodes.length > 0,
    Object.keys(selector).length > 0,
    config.minReplicas,
    config.maxReplicas,
  ];
  if (!says.some(Boolean)) {
    terminal.err(
      "infermesh ctl pin-model: say where or how often: --nodes, --selector, --min-replicas, --max-replicas or --revision\n",
    );
    return EXIT.usage;
  }
  if (nodes.length > 0 && Object.keys(selector).length > 0) {
    terminal.err("infermesh ctl pin-model: say --nodes or --selector, not both\n");
    return EXIT.usage;
  }
  const request = {
    model,
    ...(revision === "" ? {} : { revision }),
    ...(nodes.length === 0 ? {} : { nodes }),
    ...(Object.keys(selector).length === 0 ? {} : { selector }),
    minReplicas: numberOf(config.minReplicas),
    maxReplicas: numberOf(config.maxReplicas),
    ...howOf(config),
  };
  return write(config, terminal, "PinModel", request, { of: ["pin", model] });
}

async function listPins(config: Infer<typeof listSettings>, terminal: Terminal, model: string): Promise<number> {
  const { output, local } = config;
  const request = { ...(model === "" ? {} : { model }), ...(local ? { local } : {}) };
  const body = bodyOf(await call(config, "ListPins", request), terminal, LOCALLY);
  const pins = typeof body === "number" ? body : listIn(body, "policies", terminal);
  if (typeof pins === "number") return pins;
  const rows = pins.map(policyOf);
  if (rows.length === 0 && (output === "table" || output === "wide"))
    terminal.err(model === "" ? "no pins\n" : `no pin of ${printable(model)}\n`);
  else terminal.out(renderRows(output, rows, PIN_COLUMNS, { pins: rows }, terminal.color));
  return EXIT.ok;
}

/** The commands, without their help. */
export const PINS = {
  pin: asking({
    settings: pinSettings,
    operands: MODEL,
    run: (config, terminal, [model = ""]) => pinModel(config, terminal, model),
  }),
  unpin: asking({
    settings: unpinSettings,
    operands: MODEL,
    run: (config, terminal, [model = ""]) =>
      write(config, terminal, "UnpinModel", { model, ...howOf(config) }, { of: ["pin", model], next: PINNED }),
  }),
  list: asking({
    settings: listSettings,
    operands: [{ ...MODEL[0], optional: true }],
    run: (config, terminal, [model = ""]) => repeating(config, terminal, (to) => listPins(config, to, model)),
  }),
};
