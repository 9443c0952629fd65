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
import { whyNoFile } from "./parsed-text.ts";
import { policiesOf } from "./policies.ts";
import { batchesOf, type KeyedWrite } from "./policy-batches.ts";
import { DOCUMENTS_BYTES_MAX, readDocuments, type Wanted } from "./policy-documents.ts";
import { keyOf, renderSteps, stepOf } from "./policy-steps.ts";
import { messageOf, type PolicyRow, policyOf } from "./policy-text.ts";
import { renderWhole } from "./render.ts";
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
  inParts: flag({
    default: false,
    doc: "Apply a file that is too large for one request (1,000 changes, 1 MiB) in several, each of them all or nothing. All of them are checked before the first.",
  }),
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

/** Everything that is to be, and what there is. */
interface Plan {
  /** Of the file, and of the commands' line for reports. */
  readonly file: string;
  readonly wanted: readonly Wanted[];
  /** Deleted, since they are not in the file. */
  readonly doomed: readonly PolicyRow[];
  /** By key, as they are before it. */
  readonly had: ReadonlyMap<string, PolicyRow>;
}

type Say = (words: string) => void;

async function apply(config: Infer<typeof applySettings>, terminal: Terminal, operand: string): Promise<number> {
  const say: Say = (words) => terminal.err(`infermesh ctl policy apply: ${escaped(words)}\n`);
  if ((config.file === "") === (operand === "")) {
    say(
      operand === "" ? "say which file: -f FILE, or - for standard input" : "say one file: -f FILE or FILE, not both",
    );
    return EXIT.usage;
  }
  const path = config.file === "" ? operand : config.file;
  const documents = readDocuments(await textOf(path));
  const file = path === "-" ? "standard input" : printable(path);
  if ("faults" in documents) {
    say(`${file}: nothing was changed`);
    for (const fault of documents.faults) terminal.err(`  ${escaped(fault)}\n`);
    return EXIT.usage;
  }
  const { policies: wanted } = documents;
  const before = await policiesOf(config, terminal);
  if (typeof before === "number") return before;
  const had = new Map(before.policies.map((policy) => [keyOf(policy), policy]));
  const keys = new Set(wanted.map(keyOf));
  const pruned: readonly string[] = config.prune;
  const doomed = before.policies.filter((policy) => pruned.includes(policy.kind) && !keys.has(keyOf(policy)));
  const plan: Plan = { file, wanted, doomed, had };
  if (wanted.length + doomed.length === 0) {
    say(`${file} wants no policies, and there is nothing to delete; nothing was changed`);
    return EXIT.ok;
  }
  const batches = batchesFor(plan);
  if (batches.length > 1 && !config.inParts) {
    const count = batches.reduce((sum, batch) => sum + batch.length, 0);
    say(`${file} makes ${count} changes, which do not fit in one request (1,000 of them, 1 MiB); nothing was changed`);
    say(
      `--in-parts applies it in ${batches.length} requests, each of them all or nothing; \`infermesh ctl snapshot\` takes all policies at once`,
    );
    return EXIT.usage;
  }
  return send(config, terminal, plan, batches, say);
}

/** One request with all of the file if that fits; else requests with what differs from what there is. */
function batchesFor({ wanted, doomed, had }: Plan): readonly (readonly KeyedWrite[])[] {
  const put = (policy: Wanted): KeyedWrite => {
    const condition = policy.revision === undefined ? {} : { ifRevision: policy.revision };
    return { key: keyOf(policy), write: { put: messageOf(policy), ...condition } };
  };
  const deletions = doomed.map((policy) => {
    return { key: keyOf(policy), write: { delete: { kind: policy.kind, name: policy.name } } };
  });
  const whole = batchesOf([...wanted.map(put), ...deletions]);
  if (whole.length <= 1) return whole;
  const isNews = (policy: Wanted): boolean => {
    const old = had.get(keyOf(policy));
    return (
      policy.revision !== undefined || old === undefined || !Bun.deepEquals(policyOf(messageOf(policy)).spec, old.spec)
    );
  };
  return batchesOf([...wanted.filter(isNews).map(put), ...deletions]);
}

async function send(
  config: Infer<typeof applySettings>,
  terminal: Terminal,
  plan: Plan,
  batches: readonly (readonly KeyedWrite[])[],
  say: Say,
): Promise<number> {
  const count = batches.length;
  // What would be refused later is found before anything is changed.
  for (const [at, batch] of count > 1 && !config.dryRun ? batches.entries() : []) {
    const reply = await request({ ...config, dryRun: true }, terminal, batch);
    if (reply.kind === "reply") continue;
    tellRefusal(plan, batch, reply, say, `part ${at + 1} of ${count}`);
    return refused(reply, terminal);
  }
  const applied: Applied = { after: new Map(), revision: undefined };
  for (const [at, batch] of batches.entries()) {
    const reply = await request(config, terminal, batch);
    if (reply.kind !== "reply") {
      if (at === 0) tellRefusal(plan, batch, reply, say, count > 1 ? `part 1 of ${count}` : "");
      else tellHalf(config, terminal, plan, applied, { at, count, say });
      return refused(reply, terminal);
    }
    const body = bodyOf(reply, terminal);
    const now = typeof body === "number" ? body : listIn(body, "policies", terminal);
    if (typeof now === "number" || typeof body === "number") return typeof now === "number" ? now : EXIT.failed;
    for (const { key } of batch) applied.after.set(key, undefined);
    for (const policy of now.map(policyOf)) applied.after.set(keyOf(policy), policy);
    applied.revision = wholeOf(body["revision"]);
    if (count > 1) terminal.progress?.(`part ${at + 1} of ${count}`);
  }
  if (count > 1) terminal.progress?.("");
  tellAll(config, terminal, plan, applied);
  return EXIT.ok;
}

/** By key, what there is after the requests so far: undefined for what was deleted. */
interface Applied {
  readonly after: Map<string, PolicyRow | undefined>;
  revision: number | undefined;
}

async function request(
  config: Infer<typeof applySettings>,
  terminal: Terminal,
  batch: readonly KeyedWrite[],
): Promise<Reply> {
  const writes = batch.map(({ write }) => write);
  const keys = batch.map(({ key }) => key);
  return inWords(await change(config, "ApplyPolicies", { writes, ...howOf(config) }, terminal), keys);
}

/** The exit code, after saying why, and what to do. */
function refused(reply: Reply, terminal: Terminal): number {
  const conflict = "look at what is there now, and say its revision in the file, or none";
  const body = bodyOf(reply, terminal, { conflict });
  return typeof body === "number" ? body : EXIT.failed;
}

function tellRefusal({ file }: Plan, batch: readonly KeyedWrite[], reply: Reply, say: Say, part: string): void {
  if (reply.kind !== "refusal" || reply.status >= 500) return;
  const which = part === "" ? (batch.length === 1 ? ` (${batch[0]?.key ?? ""})` : "") : `, ${part},`;
  say(`${file}${which} is refused as a whole, and nothing was changed`);
}

/** Some of the parts were applied, and one was not. */
function tellHalf(
  config: Infer<typeof applySettings>,
  terminal: Terminal,
  plan: Plan,
  applied: Applied,
  { at, count, say }: { readonly at: number; readonly count: number; readonly say: Say },
): void {
  tellAll(config, terminal, plan, applied, false);
  const parts = at === 1 ? "part 1" : `parts 1 to ${at}`;
  say(
    `part ${at + 1} of ${count} was not applied, nor what follows; ${parts}, shown above, ${at === 1 ? "was" : "were"}`,
  );
  say("apply the file again when that is mended: what is applied already stays as it is");
}

function tellAll(
  { output, dryRun }: Infer<typeof applySettings>,
  terminal: Terminal,
  { wanted, doomed, had }: Plan,
  { after, revision }: Applied,
  isWhole = true,
): void {
  const steps = [...wanted, ...doomed].map(keyOf).flatMap((key) => {
    if (!after.has(key)) return isWhole ? [stepOf(key, had.get(key), had.get(key))] : [];
    return [stepOf(key, had.get(key), after.get(key))];
  });
  terminal.out(renderSteps(output, { steps, revision, dryRun }, terminal.color));
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
    throw new MeshError("config_invalid", `can't read ${printable(path)}: ${whyNoFile(error)}`, { cause: error });
  }
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
