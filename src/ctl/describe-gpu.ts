/** `infermesh ctl describe-gpu GPU`: all that the agent of its node knows of it, whoever is asked. */
import { escaped } from "../base/printable.ts";
import { type Infer, section, text as textField } from "../base/settings.ts";
import { EXIT, type JsonRecord, notOurs, recordOf } from "./client.ts";
import type { Operand } from "./command.ts";
import { bodyOf, call } from "./control-plane.ts";
import { gpuSections } from "./gpu-facts.ts";
import { text } from "./gpu-rows.ts";
import { asking } from "./part.ts";
import { renderFigures } from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const settings = section({
  node: textField({
    default: "",
    lengthMax: 253,
    placeholder: "ID",
    emptyMeans: "whichever node has it",
    doc: "Whose GPU it is; as INDEX@NODE says it too.",
  }),
  ...ctlSettings.fields,
});

const GPU: Operand = {
  name: "GPU",
  expected: "INDEX@NODE, a UUID or its beginning, as list-gpus shows them",
  completes: "gpu",
};
const NEXT = { not_found: "`infermesh ctl list-gpus` shows the GPUs" };

async function describeGpu(config: Infer<typeof settings>, terminal: Terminal, gpu: string): Promise<number> {
  const { node, output } = config;
  const body = bodyOf(await call(config, "GetGpu", { gpu, ...(node === "" ? {} : { node }) }), terminal, NEXT);
  if (typeof body === "number") return body;
  const known = gpuIn(body);
  if (known === undefined) return notOurs("GPU", terminal);
  const partial = text(body["partial"]);
  if (partial !== undefined) terminal.err(`infermesh ctl: warning: ${escaped(partial)}\n`);
  const isForPeople = output === "table" || output === "wide";
  terminal.out(isForPeople ? gpuSections(known, Date.now(), terminal.color) : renderFigures(output, known));
  return EXIT.ok;
}

function gpuIn(body: JsonRecord): JsonRecord | undefined {
  try {
    return recordOf(JSON.parse(text(body["gpu"]) ?? ""));
  } catch {
    return undefined;
  }
}

/** The command, without its help. */
export const DESCRIBE_GPU = asking({
  settings,
  operands: [GPU],
  run: (config, terminal, [gpu = ""]) => describeGpu(config, terminal, gpu),
});
