/** `infermesh ctl forget-rates`: has a router forget what it learnt of its targets' rates. */
import { printable } from "../base/printable.ts";
import { type Infer, section, text } from "../base/settings.ts";
import { EXIT } from "./client.ts";
import { bodyOf, call, wholeOf } from "./control-plane.ts";
import { asking } from "./part.ts";
import { isWhole, renderWhole } from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const settings = section({
  node: text({
    default: "",
    lengthMax: 253,
    emptyMeans: "of every node",
    doc: "Only of this node, as list-nodes shows it.",
  }),
  model: text({
    default: "",
    lengthMax: 256,
    emptyMeans: "of every model",
    doc: "Only of this model, as list-models shows it.",
  }),
  ...ctlSettings.fields,
});

async function forgetRates(config: Infer<typeof settings>, terminal: Terminal): Promise<number> {
  const { node, model, output } = config;
  const request = { ...(node === "" ? {} : { node }), ...(model === "" ? {} : { model }) };
  const next = { not_found: "`infermesh ctl list-nodes` and `infermesh ctl list-models` show what there is" };
  const body = bodyOf(await call(config, "ForgetRates", request), terminal, next);
  if (typeof body === "number") return body;
  const forgotten = wholeOf(body["forgotten"]) ?? 0;
  if (isWhole(output)) terminal.out(renderWhole(output, { forgotten }));
  else if (output === "text") terminal.out(`${forgotten}\n`);
  else {
    const what = `${model === "" ? "" : ` of ${model}`}${node === "" ? "" : ` at ${node}`}`;
    const how =
      forgotten === 0 ? "nothing was learnt" : `forgotten what was learnt of ${forgotten} of the router's targets`;
    terminal.out(`${printable(`${how}${what}`)}\n`);
  }
  return EXIT.ok;
}

/** The command, without its help. */
export const FORGET_RATES = asking({ settings, run: forgetRates });
