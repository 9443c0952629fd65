/** `infermesh ctl acl`: who may do what with which model. */
import { createHash } from "node:crypto";
import { type Infer, section, text } from "../base/settings.ts";
import { shown } from "../base/shown.ts";
import { ANY } from "../policy/name.ts";
import { ACTIONS } from "../policy/spec.ts";
import { EXIT } from "./client.ts";
import type { Operand } from "./command.ts";
import { firstLine } from "./input.ts";
import { write } from "./outcome.ts";
import { asking, type Part } from "./part.ts";
import { listSettings, policiesOf } from "./policies.ts";
import { LAST_COLUMNS, messageOf, type PolicyRow, specColumn } from "./policy-text.ts";
import { repeating } from "./repeat.ts";
import { type Column, renderRows, textColumn } from "./render.ts";
import type { Terminal } from "./terminal.ts";
import { howOf, singleWriteFields, type WriteConfig } from "./write-settings.ts";
import type { Writing } from "./outcome.ts";

const ruleSettings = section({
  reason: text({ default: "", lengthMax: 500, doc: "Why: those who are refused are told." }),
  ...singleWriteFields,
});

const WORDS: readonly string[] = [...ACTIONS, ANY];

const ACL_OPERANDS: readonly Operand[] = [
  {
    name: "SUBJECT",
    expected:
      "one of tenant:NAME, key:SHA256, key:- (the key itself then comes on standard input), and * for everybody",
  },
  { name: "MODEL", expected: "a model, or * for each", completes: "model" },
  {
    name: "ACTION",
    expected: "one of infer, embed, admin, and * for each, which is what is meant without it",
    optional: true,
  },
];

const EFFECT_COLORS: Readonly<Record<string, number>> = { allow: 32, deny: 31 };

const ACL_COLUMNS: readonly Column<PolicyRow>[] = [
  { ...specColumn("EFFECT", "effect"), color: ({ spec }) => EFFECT_COLORS[String(spec["effect"])] },
  textColumn("SUBJECT", ({ name }) => partsOf(name)[0]),
  textColumn("MODEL", ({ name }) => partsOf(name)[1]),
  textColumn("ACTION", ({ name }) => partsOf(name)[2]),
  specColumn("REASON", "reason"),
  ...LAST_COLUMNS,
];

/** SUBJECT/MODEL/ACTION, where names of models may hold slashes. */
function partsOf(name: string): [subject: string, model: string, action: string] {
  const [first, last] = [name.indexOf("/"), name.lastIndexOf("/")];
  return first < 0 || first === last
    ? [name, "-", "-"]
    : [name.slice(0, first), name.slice(first + 1, last), name.slice(last + 1)];
}

/** The rule's parts out of the operands; an exit code after saying what is wrong. */
export async function ruleOf(
  [subject = "", model = "", action = ""]: readonly string[],
  terminal: Terminal,
  timeoutMs: number,
): Promise<{ readonly subject: string; readonly model: string; readonly action: string } | number> {
  const refuse = (what: string): number => {
    terminal.err(`infermesh ctl acl: ${what}\n`);
    return EXIT.usage;
  };
  const word = action === "" ? "*" : action;
  if (!WORDS.includes(word)) return refuse(`the action is ${shown(action)}; expected one of ${WORDS.join(", ")}`);
  if (subject !== "*" && !/^(tenant|key):./.test(subject)) {
    return refuse(
      `the subject is ${shown(subject)}; expected tenant:NAME, key:SHA256 or *; did you mean tenant:${subject.slice(0, 100)}?`,
    );
  }
  if (subject.startsWith("key:") && !/^key:(-|[0-9a-f]{16}|[0-9a-f]{64})$/.test(subject)) {
    // It may be a key itself, which is not for logs and terminals.
    return refuse(
      "the key is not the 64 (or the first 16) small hexadecimal digits of its SHA-256; key:- takes the key itself from standard input",
    );
  }
  if (subject !== "key:-") return { subject, model, action: word };
  const key = (await firstLine(terminal, timeoutMs)) ?? "";
  if (key === "") return refuse("no key came on standard input");
  return { subject: `key:${createHash("sha256").update(key).digest("hex")}`, model, action: word };
}

type RuleConfig = Writing & WriteConfig;

async function named(
  config: RuleConfig,
  terminal: Terminal,
  operands: readonly string[],
  then: (name: string) => Promise<number>,
): Promise<number> {
  const rule = await ruleOf(operands, terminal, config.timeoutMs);
  return typeof rule === "number" ? rule : then(`${rule.subject}/${rule.model}/${rule.action}`);
}

function ruling(effect: "allow" | "deny"): Part {
  return asking({
    settings: ruleSettings,
    operands: ACL_OPERANDS,
    run: (config, terminal, operands) =>
      named(config, terminal, operands, (name) => {
        const spec = { effect, ...(config.reason === "" ? {} : { reason: config.reason }) };
        return write(
          config,
          terminal,
          "SetPolicy",
          { ...messageOf({ kind: "acl", name, spec }), ...howOf(config) },
          { of: ["acl", name] },
        );
      }),
  });
}

async function listRules(config: Infer<typeof listSettings>, terminal: Terminal): Promise<number> {
  const { output, local } = config;
  const found = await policiesOf(config, terminal, { kind: "acl", local });
  if (typeof found === "number") return found;
  const { policies: rules, revision } = found;
  if (rules.length === 0 && (output === "table" || output === "wide"))
    terminal.err("no rules: everybody may do everything\n");
  else terminal.out(renderRows(output, rules, ACL_COLUMNS, { rules, revision }, terminal.color));
  return EXIT.ok;
}

/** The commands, without their help. */
export const ACLS = {
  allow: ruling("allow"),
  deny: ruling("deny"),
  delete: asking({
    settings: section(singleWriteFields),
    operands: ACL_OPERANDS,
    run: (config, terminal, operands) =>
      named(config, terminal, operands, (name) =>
        write(
          config,
          terminal,
          "DeletePolicy",
          { kind: "acl", name, ...howOf(config) },
          { of: ["acl", name], next: { not_found: "`infermesh ctl acl list` shows those that there are" } },
        ),
      ),
  }),
  list: asking({
    settings: listSettings,
    run: (config, terminal) => repeating(config, terminal, (to) => listRules(config, to)),
  }),
};
