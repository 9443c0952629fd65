/** `infermesh ctl policy set`, `get`, `list` and `delete`: any kind of policy. */
import { didYouMean } from "../base/nearest.ts";
import { escaped } from "../base/printable.ts";
import { choice, flag, type Infer, section, text } from "../base/settings.ts";
import { shown } from "../base/shown.ts";
import { KINDS } from "../policy/spec.ts";
import { EXIT, notOurs, recordOf } from "./client.ts";
import type { Operand } from "./command.ts";
import { bodyOf, call, type Caller, listIn, LOCALLY, type NextSteps, wholeOf } from "./control-plane.ts";
import { write } from "./outcome.ts";
import { asking } from "./part.ts";
import { messageOf, POLICY_COLUMNS, type PolicyRow, policyOf } from "./policy-text.ts";
import { repeating, watchFields } from "./repeat.ts";
import { isWhole, renderFigures, renderRows } from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { howOf, singleWriteFields } from "./write-settings.ts";

export const localField = {
  local: flag({
    default: false,
    doc: "Answer from what is known there, without asking the control nodes; also without their majority.",
  }),
};

const setSettings = section(singleWriteFields);
const getSettings = section({ ...ctlSettings.fields, ...localField });
export const listSettings = section({ ...ctlSettings.fields, ...localField, ...watchFields });
const listAllSettings = section({
  ...listSettings.fields,
  kind: choice(["any", ...KINDS], { default: "any", doc: "Only policies of this kind." }),
  prefix: text({ default: "", lengthMax: 253, doc: "Only policies whose names begin like this." }),
});

const KIND: Operand = { name: "KIND", expected: `one of ${KINDS.join(", ")}`, completes: "kind" };
const NAME: Operand = {
  name: "NAME",
  expected: "what the policy is about: a model, TENANT/MODEL, SUBJECT/MODEL/ACTION, a tenant, a node's id",
};

/** Whether it names a kind; says so where it does not. */
export function isKind(kind: string, terminal: Terminal): boolean {
  if ((KINDS as readonly string[]).includes(kind)) return true;
  const hint = didYouMean(kind, KINDS);
  terminal.err(
    `infermesh ctl: there is no kind of policy ${shown(kind)}; expected one of ${KINDS.join(", ")}${hint === "" ? "" : `; ${hint}`}\n`,
  );
  return false;
}

/** The spec that `KEY=VALUE` words make: values as in YAML, `target.value=0.8` for what is inside. */
export function specFrom(
  words: readonly string[],
): { readonly spec: Readonly<Record<string, unknown>> } | { readonly fault: string } {
  const spec: Record<string, unknown> = {};
  for (const word of words) {
    const equals = word.indexOf("=");
    const keys = word.slice(0, Math.max(0, equals)).split(".");
    if (equals <= 0 || keys.some((key) => !/^[A-Za-z][A-Za-z0-9_-]*$/.test(key))) {
      return { fault: `${shown(word)} is no KEY=VALUE, such as minReplicas=2, nodes=[a,b] or target.value=0.8` };
    }
    let value: unknown;
    try {
      value = Bun.YAML.parse(word.slice(equals + 1));
    } catch (error) {
      return { fault: `the value of ${shown(word)} is no YAML: ${(error as Error).message}` };
    }
    let inner = spec;
    for (const key of keys.slice(0, -1)) {
      const next = Object.hasOwn(inner, key) ? recordOf(inner[key]) : {};
      if (next === undefined) return { fault: `${shown(word)} says ${shown(key)} a second time` };
      inner[key] = next;
      inner = next;
    }
    const last = keys.at(-1) ?? "";
    if (Object.hasOwn(inner, last)) return { fault: `${shown(word)} says ${shown(keys.join("."))} a second time` };
    inner[last] = value;
  }
  return { spec };
}

async function setPolicy(
  config: Infer<typeof setSettings>,
  terminal: Terminal,
  kind: string,
  name: string,
  words: readonly string[],
): Promise<number> {
  if (!isKind(kind, terminal)) return EXIT.usage;
  const made = specFrom(words);
  if ("fault" in made) {
    terminal.err(`infermesh ctl policy set: ${escaped(made.fault)}\n`);
    return EXIT.usage;
  }
  return write(
    config,
    terminal,
    "SetPolicy",
    { ...messageOf({ kind, name, spec: made.spec }), ...howOf(config) },
    { of: [kind, name] },
  );
}

/** Where a policy's name is found that there is none of. */
export function listedBy(kind: string): NextSteps {
  return { not_found: `\`infermesh ctl policy list --kind ${kind}\` shows those that there are` };
}

/** One policy, as all commands that show one do. */
export async function showPolicy(
  config: Infer<typeof getSettings>,
  terminal: Terminal,
  kind: string,
  name: string,
): Promise<number> {
  if (!isKind(kind, terminal)) return EXIT.usage;
  const { local, output } = config;
  const reply = await call(config, "GetPolicy", { kind, name, ...(local ? { local } : {}) });
  const body = bodyOf(reply, terminal, { ...LOCALLY, ...listedBy(kind) });
  if (typeof body === "number") return body;
  const policy = recordOf(body["policy"]);
  if (policy === undefined) return notOurs("policy", terminal);
  const { updatedAtMs, ...row } = policyOf(policy);
  const figures = updatedAtMs === undefined ? row : { ...row, changedAt: new Date(updatedAtMs).toISOString() };
  terminal.out(renderFigures(output, isWhole(output) ? policyOf(policy) : figures));
  return EXIT.ok;
}

/** The policies of a kind, or of all for "", and the store's revision; or the exit code after saying why not. */
export async function policiesOf(
  caller: Caller,
  terminal: Terminal,
  { kind = "", prefix = "", local }: { kind?: string; prefix?: string; local?: boolean } = {},
): Promise<{ readonly policies: readonly PolicyRow[]; readonly revision: number | undefined } | number> {
  const request = {
    ...(kind === "" ? {} : { kind }),
    ...(prefix === "" ? {} : { namePrefix: prefix }),
    ...(local === true ? { local } : {}),
  };
  const body = bodyOf(await call(caller, "ListPolicies", request), terminal, local === undefined ? {} : LOCALLY);
  const policies = typeof body === "number" ? body : listIn(body, "policies", terminal);
  if (typeof policies === "number" || typeof body === "number")
    return typeof policies === "number" ? policies : EXIT.failed;
  return { policies: policies.map(policyOf), revision: wholeOf(body["revision"]) };
}

async function listPolicies({ kind, ...config }: Infer<typeof listAllSettings>, terminal: Terminal): Promise<number> {
  const found = await policiesOf(config, terminal, { ...config, kind: kind === "any" ? "" : kind });
  if (typeof found === "number") return found;
  const { output } = config;
  if (found.policies.length === 0 && (output === "table" || output === "wide")) terminal.err("no policies\n");
  else terminal.out(renderRows(output, found.policies, POLICY_COLUMNS, found, terminal.color));
  return EXIT.ok;
}

/** The commands, without their help. */
export const POLICIES = {
  set: asking({
    settings: setSettings,
    operands: [
      KIND,
      NAME,
      { name: "KEY=VALUE", expected: "at least one field of the policy, such as minReplicas=2", many: true },
    ],
    run: (config, terminal, [kind = "", name = "", ...words]) => setPolicy(config, terminal, kind, name, words),
  }),
  get: asking({
    settings: getSettings,
    operands: [KIND, { ...NAME, completes: "policy" }],
    run: (config, terminal, [kind = "", name = ""]) => showPolicy(config, terminal, kind, name),
  }),
  list: asking({
    settings: listAllSettings,
    run: (config, terminal) => repeating(config, terminal, (to) => listPolicies(config, to)),
  }),
  delete: asking({
    settings: section(singleWriteFields),
    operands: [KIND, { ...NAME, completes: "policy" }],
    run(config, terminal, [kind = "", name = ""]) {
      if (!isKind(kind, terminal)) return EXIT.usage;
      const request = { kind, name, ...howOf(config) };
      return write(config, terminal, "DeletePolicy", request, { of: [kind, name], next: listedBy(kind) });
    },
  }),
};
