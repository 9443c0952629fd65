/** `infermesh ctl acl test`: whether somebody may do something, by the rules as they are, and which rule decides. */
import { createHash } from "node:crypto";
import { printable } from "../base/printable.ts";
import { type Infer, section, text } from "../base/settings.ts";
import { AclView } from "../policy/acl-view.ts";
import { ACTIONS, type Action, type AclSpec } from "../policy/spec.ts";
import { ruleOf } from "./acl.ts";
import { EXIT } from "./client.ts";
import { firstLine } from "./input.ts";
import { asking } from "./part.ts";
import { localField, policiesOf } from "./policies.ts";
import { isWhole, renderWhole } from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const testSettings = section({
  key: text({
    default: "",
    placeholder: "SHA256",
    pattern: /^([0-9a-f]{64}|-)$/,
    expected: "the 64 small hexadecimal digits of a key's SHA-256, or - for the key itself on standard input",
    emptyMeans: "none",
    doc: "The key that a tenant comes with: its SHA-256, or - for the key itself on standard input.",
  }),
  ...localField,
  ...ctlSettings.fields,
});

/** Exit code 0: allowed, 1: denied. */
async function testRule(
  config: Infer<typeof testSettings>,
  terminal: Terminal,
  operands: readonly string[],
): Promise<number> {
  const [subject = "", model = "", action = "infer"] = operands;
  const rule = await ruleOf([subject, model, action], terminal, config.timeoutMs);
  if (typeof rule === "number") return rule;
  const word = ACTIONS.find((one) => one === rule.action);
  if (word === undefined || rule.model === "*") {
    terminal.err(`infermesh ctl acl test: name one model and one action of ${ACTIONS.join(", ")}\n`);
    return EXIT.usage;
  }
  const keyHash = await keyOf(config, rule.subject, terminal);
  if (typeof keyHash === "number") return keyHash;
  const found = await policiesOf(config, terminal, { kind: "acl", local: config.local });
  if (typeof found === "number") return found;
  const view = new AclView();
  for (const { name, spec } of found.policies) {
    const { effect, reason } = spec;
    if (effect === "allow" || effect === "deny") view.put(name, ruleSpec(effect, reason));
  }
  return tell(config, terminal, { ...rule, word, keyHash }, view);
}

function ruleSpec(effect: AclSpec["effect"], reason: unknown): AclSpec {
  return typeof reason === "string" ? { effect, reason } : { effect };
}

function tell(
  { output }: Infer<typeof testSettings>,
  terminal: Terminal,
  { subject, model, word, keyHash }: { subject: string; model: string; word: Action; keyHash: string },
  view: AclView,
): number {
  const tenant = subject.startsWith("tenant:") ? subject.slice("tenant:".length) : "";
  const answer = view.explain(tenant, keyHash, model, word);
  const verdict = answer.allowed ? "allowed" : "denied";
  if (isWhole(output)) terminal.out(renderWhole(output, { subject, model, action: word, ...answer }));
  else if (output === "text") terminal.out(`${verdict}\t${printable(answer.rule ?? "-")}\t${printable(answer.why)}\n`);
  else terminal.out(`${printable(`${verdict}: ${subject} ${word} ${model}: ${answer.why}`)}\n`);
  return answer.allowed ? EXIT.ok : EXIT.failed;
}

/** The SHA-256 of the key that is meant; "" for none; an exit code after saying why it can't be had. */
async function keyOf(
  { key, timeoutMs }: Infer<typeof testSettings>,
  subject: string,
  terminal: Terminal,
): Promise<string | number> {
  const named = subject.startsWith("key:") ? subject.slice("key:".length) : "";
  if (named !== "" && key !== "") {
    terminal.err("infermesh ctl acl test: the subject is a key already; --key goes with a tenant\n");
    return EXIT.usage;
  }
  if (key !== "-") return named === "" ? key : named;
  const line = (await firstLine(terminal, timeoutMs)) ?? "";
  if (line !== "") return createHash("sha256").update(line).digest("hex");
  terminal.err("infermesh ctl acl test: no key came on standard input\n");
  return EXIT.usage;
}

/** The command, without its help. */
export const ACL_TEST = asking({
  settings: testSettings,
  operands: [
    {
      name: "SUBJECT",
      expected:
        "one of tenant:NAME, key:SHA256, key:- (the key itself then comes on standard input), and * for who is neither",
    },
    { name: "MODEL", expected: "a model", completes: "model" },
    { name: "ACTION", expected: "one of infer, embed, admin; infer without it", optional: true },
  ],
  run: testRule,
});
