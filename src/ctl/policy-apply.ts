/** `infermesh ctl policy apply` and `policy export`: all policies of a file at once, and a file of all policies. */
import { readFileSync, statSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import { escaped, printable } from "../base/printable.ts";
import { choice, flag, type Infer, section, text } from "../base/settings.ts";
import { list } from "../base/settings-collections.ts";
import { formatBytes } from "../base/units.ts";
import { KINDS } from "../policy/spec.ts";
import { EXIT } from "./client.ts";
import { bodyOf, change, listIn, type Reply, wholeOf } from "./control-plane.ts";
import { wholeInput } from "./input.ts";
import { asking } from "./part.ts";
import { policiesOf } from "./policies.ts";
import { DOCUMENTS_BYTES_MAX, readDocuments, type Wanted } from "./policy-documents.ts";
import { messageOf, type PolicyRow, policyOf } from "./policy-text.ts";
import { isWhole, renderWhole, wordOf } from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { howOf, writeFields } from "./write-settings.ts";

const kinds = (doc: string) => list(choice(KINDS, { placeholder: "KIND,..." }), { default: [], doc });

const applySettings = section({
  file: text({
    default: "",
    short: "f",
    placeholder: "FILE",
    lengthMax: 4096,
    emptyMeans: "the operand",
    doc: "The file, YAML or JSON, of one or several documents; - for standard input.",
  }),
  prune: kinds("Kinds of which everything is deleted that is not in the file."),
  ...writeFields,
});
const exportSettings = section({
  kinds: kinds("Only these kinds. (default: all)"),
  revisions: flag({
    default: false,
    doc: "With revisions, so that policy apply changes only what is still as it was.",
  }),
  ...ctlSettings.fields,
});

const keyOf = ({ kind, name }: Pick<PolicyRow, "kind" | "name">): string => `${kind}/${name}`;

/** What becomes of one policy. */
interface Step {
  readonly key: string;
  readonly outcome: "created" | "changed" | "deleted" | "unchanged";
  /** `-` and `+` lines. */
  readonly lines: readonly string[];
}

async function apply(config: Infer<typeof applySettings>, terminal: Terminal, operand: string): Promise<number> {
  const say = (words: string): void => terminal.err(`infermesh ctl policy apply: ${escaped(words)}\n`);
  if ((config.file === "") === (operand === "")) {
    say("say which file: -f FILE, or - for standard input");
    return EXIT.usage;
  }
  const path = config.file === "" ? operand : config.file;
  const documents = readDocuments(await textOf(path));
  const name = path === "-" ? "standard input" : printable(path);
  if ("faults" in documents) {
    say(`${name}: nothing was changed`);
    for (const fault of documents.faults) terminal.err(`  ${escaped(fault)}\n`);
    return EXIT.usage;
  }
  const { policies } = documents;
  const before = await policiesOf(config, terminal);
  if (typeof before === "number") return before;
  const doomed = before.policies.filter((policy) => {
    return (
      (config.prune as readonly string[]).includes(policy.kind) &&
      !policies.some((wanted) => keyOf(wanted) === keyOf(policy))
    );
  });
  if (policies.length + doomed.length === 0) {
    say(`${name} holds no policies; nothing was changed`);
    return EXIT.ok;
  }
  const writes = [
    ...policies.map((wanted) => ({
      put: messageOf(wanted),
      ...(wanted.revision === undefined ? {} : { ifRevision: wanted.revision }),
    })),
    ...doomed.map(({ kind, name: doomedName }) => ({ delete: { kind, name: doomedName } })),
  ];
  const keys = [...policies, ...doomed].map(keyOf);
  const reply = inWords(await change(config, "ApplyPolicies", { writes, ...howOf(config) }, terminal), keys);
  if (reply.kind === "refusal" && reply.status < 500)
    say(`${name}${keys.length === 1 ? ` (${keys.join("")})` : ""} is refused as a whole, and nothing was changed`);
  const body = bodyOf(reply, terminal);
  const now = typeof body === "number" ? body : listIn(body, "policies", terminal);
  if (typeof now === "number" || typeof body === "number") return typeof now === "number" ? now : EXIT.failed;
  const after = now.map(policyOf);
  const had = new Map(before.policies.map((policy) => [keyOf(policy), policy]));
  const steps = [
    ...after.map((policy) => stepOf(had.get(keyOf(policy)), policy)),
    ...doomed.map((policy) => stepOf(policy, undefined)),
  ];
  const revision = wholeOf(body["revision"]);
  if (isWhole(config.output)) {
    const items = steps.map(({ key, outcome, lines }) => ({
      policy: key,
      outcome,
      ...(lines.length === 0 ? {} : { diff: lines }),
    }));
    terminal.out(renderWhole(config.output, { revision, dryRun: config.dryRun, policies: items }));
  } else terminal.out(steps.map((step) => stepText(step, config, terminal.color)).join(""));
  return EXIT.ok;
}

/** The control plane counts writes; people know policies by name. */
function inWords(reply: Reply, keys: readonly string[]): Reply {
  if (reply.kind !== "refusal") return reply;
  const place = /writes\[(\d+)\](?:\.(?:put|delete))?(?:\.spec)?/g;
  return { ...reply, message: reply.message.replace(place, (whole, at: string) => keys[Number(at)] ?? whole) };
}

async function textOf(path: string): Promise<string> {
  if (path === "-") return wholeInput(DOCUMENTS_BYTES_MAX);
  try {
    if (statSync(path).size > DOCUMENTS_BYTES_MAX) {
      throw new MeshError("config_invalid", `${path} is longer than ${formatBytes(DOCUMENTS_BYTES_MAX)}`);
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof MeshError) throw error;
    throw new MeshError("config_invalid", `can't read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

function stepOf(before: PolicyRow | undefined, after: PolicyRow | undefined): Step {
  const key = keyOf(after ?? before ?? { kind: "", name: "" });
  const [old, fresh] = [fieldsOf(before), fieldsOf(after)];
  const lines = [...new Set([...old.keys(), ...fresh.keys()])].flatMap((field) => {
    const [was, is] = [old.get(field), fresh.get(field)];
    if (was === is) return [];
    return [...(was === undefined ? [] : [`- ${field}: ${was}`]), ...(is === undefined ? [] : [`+ ${field}: ${is}`])];
  });
  const outcome =
    before === undefined ? "created" : after === undefined ? "deleted" : lines.length === 0 ? "unchanged" : "changed";
  return { key, outcome, lines };
}

function fieldsOf(policy: PolicyRow | undefined): Map<string, string> {
  return new Map(Object.entries(policy?.spec ?? {}).map(([field, value]) => [field, wordOf(value)]));
}

const OUTCOME_COLORS = { created: 32, changed: 33, deleted: 31, unchanged: 90 } as const;

function stepText(
  { key, outcome, lines }: Step,
  { output, dryRun }: Infer<typeof applySettings>,
  color: boolean,
): string {
  if (output === "text") return `${printable(key)}\t${outcome}\n`;
  const paint = (line: string, code: number): string => (color ? `\x1b[${code}m${line}\x1b[0m` : line);
  const would = dryRun && outcome !== "unchanged" ? "would be " : "";
  const head = `${printable(key)} ${paint(would + outcome, OUTCOME_COLORS[outcome])}${dryRun ? " (dry run)" : ""}\n`;
  return head + lines.map((line) => `  ${paint(printable(line), line.startsWith("+") ? 32 : 31)}\n`).join("");
}

/** YAML documents, or with --output json a list: what apply takes. */
async function exportPolicies(config: Infer<typeof exportSettings>, terminal: Terminal): Promise<number> {
  const found = await policiesOf(config, terminal);
  if (typeof found === "number") return found;
  const wanted = found.policies.filter(({ kind }) => {
    return config.kinds.length === 0 || (config.kinds as readonly string[]).includes(kind);
  });
  const documents = wanted.map(({ kind, name, spec, revision }): Wanted => {
    return { kind, name, spec, ...(config.revisions && revision !== undefined ? { revision } : {}) };
  });
  if (config.output === "json") terminal.out(renderWhole("json", documents));
  else terminal.out(documents.map((document) => `---\n${renderWhole("yaml", document)}`).join(""));
  if (documents.length === 0) terminal.err("infermesh ctl policy export: there are no policies\n");
  return EXIT.ok;
}

/** The commands, without their help. */
export const POLICY_FILES = {
  apply: asking({
    settings: applySettings,
    operands: [{ name: "FILE", expected: "a file of policies", optional: true, completes: "file" }],
    run: (config, terminal, [path = ""]) => apply(config, terminal, path),
  }),
  export: asking({ settings: exportSettings, run: exportPolicies }),
};
