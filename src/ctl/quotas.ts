/** `infermesh ctl quota`: how much a tenant may use of a model. */
import { type Infer, section } from "../base/settings.ts";
import { shown } from "../base/shown.ts";
import { scopeOf } from "../policy/name.ts";
import { EXIT } from "./client.ts";
import type { Operand } from "./command.ts";
import { write } from "./outcome.ts";
import { asking } from "./part.ts";
import { listedBy, listSettings, localField, policiesOf, showPolicy } from "./policies.ts";
import { LAST_COLUMNS, messageOf, type PolicyRow, specColumn } from "./policy-text.ts";
import { repeating } from "./repeat.ts";
import { type Column, renderRows, textColumn } from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { howOf, numberOf, optionalNumber, singleWriteFields } from "./write-settings.ts";

const setSettings = section({
  requestsPerSecond: optionalNumber({ doc: "Requests a second." }),
  tokensPerMinute: optionalNumber({ whole: true, doc: "Tokens a minute, of prompts and answers together." }),
  concurrency: optionalNumber({ whole: true, doc: "Requests under way at once." }),
  ...singleWriteFields,
});

const OPERANDS: readonly Operand[] = [
  { name: "TENANT", expected: "a tenant, or * for each; TENANT/MODEL in one word is understood too" },
  {
    name: "MODEL",
    expected: "a model, or * for each, which is what is meant without it",
    optional: true,
    completes: "model",
  },
];

const QUOTA_COLUMNS: readonly Column<PolicyRow>[] = [
  textColumn("TENANT", ({ name }) => scopeOf(name)?.tenant ?? name),
  textColumn("MODEL", ({ name }) => scopeOf(name)?.model ?? "-"),
  specColumn("REQUESTS/S", "requestsPerSecond", { right: true }),
  specColumn("TOKENS/MIN", "tokensPerMinute", { right: true }),
  specColumn("AT ONCE", "concurrency", { right: true }),
  ...LAST_COLUMNS,
];

/** TENANT/MODEL of the operands, each model where none is given; undefined after saying what is wrong. */
function nameOf([tenant = "", model = ""]: readonly string[], terminal: Terminal): string | undefined {
  if (model === "") return tenant.includes("/") ? tenant : `${tenant}/*`;
  if (!tenant.includes("/")) return `${tenant}/${model}`;
  const names = `${shown(tenant)} names a model already, and so does ${shown(model)}`;
  terminal.err(`infermesh ctl quota: ${names}; say TENANT MODEL, or TENANT/MODEL\n`);
  return undefined;
}

function named(
  operands: readonly string[],
  terminal: Terminal,
  then: (name: string) => Promise<number>,
): Promise<number> | number {
  const name = nameOf(operands, terminal);
  return name === undefined ? EXIT.usage : then(name);
}

async function setQuota(config: Infer<typeof setSettings>, terminal: Terminal, name: string): Promise<number> {
  const spec = {
    requestsPerSecond: numberOf(config.requestsPerSecond),
    tokensPerMinute: numberOf(config.tokensPerMinute),
    concurrency: numberOf(config.concurrency),
  };
  if (Object.values(spec).every((limit) => limit === undefined)) {
    terminal.err(
      "infermesh ctl quota set: give at least one of --requests-per-second, --tokens-per-minute, --concurrency; `infermesh ctl quota delete` takes limits away\n",
    );
    return EXIT.usage;
  }
  return write(
    config,
    terminal,
    "SetPolicy",
    { ...messageOf({ kind: "quota", name, spec }), ...howOf(config) },
    { of: ["quota", name] },
  );
}

async function listQuotas(config: Infer<typeof listSettings>, terminal: Terminal): Promise<number> {
  const { output } = config;
  const found = await policiesOf(config, terminal, { kind: "quota", local: config.local });
  if (typeof found === "number") return found;
  const { policies: quotas, revision } = found;
  if (quotas.length === 0 && (output === "table" || output === "wide")) terminal.err("no quotas\n");
  else terminal.out(renderRows(output, quotas, QUOTA_COLUMNS, { quotas, revision }, terminal.color));
  return EXIT.ok;
}

/** The commands, without their help. */
export const QUOTAS = {
  set: asking({
    settings: setSettings,
    operands: OPERANDS,
    run: (config, terminal, operands) => named(operands, terminal, (name) => setQuota(config, terminal, name)),
  }),
  get: asking({
    settings: section({ ...ctlSettings.fields, ...localField }),
    operands: OPERANDS,
    run: (config, terminal, operands) =>
      named(operands, terminal, (name) => showPolicy(config, terminal, "quota", name)),
  }),
  list: asking({
    settings: listSettings,
    run: (config, terminal) => repeating(config, terminal, (to) => listQuotas(config, to)),
  }),
  delete: asking({
    settings: section(singleWriteFields),
    operands: OPERANDS,
    run: (config, terminal, operands) =>
      named(operands, terminal, (name) => {
        const request = { kind: "quota", name, ...howOf(config) };
        return write(config, terminal, "DeletePolicy", request, { of: ["quota", name], next: listedBy("quota") });
      }),
  }),
};
