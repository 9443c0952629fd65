/** What became of each policy of a file: a line for people with what differs below it, or a row for programs. */
import { printable } from "../base/printable.ts";
import type { PolicyRow } from "./policy-text.ts";
import { type Format, isWhole, renderWhole, wordOf } from "./render.ts";

export interface Step {
  readonly key: string;
  readonly outcome: "created" | "changed" | "deleted" | "unchanged";
  /** `-` and `+` lines. */
  readonly lines: readonly string[];
}

export const keyOf = ({ kind, name }: Pick<PolicyRow, "kind" | "name">): string => `${kind}/${name}`;

/** From what a policy was to what it is; undefined where there is none. */
export function stepOf(key: string, before: PolicyRow | undefined, after: PolicyRow | undefined): Step {
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

interface Applied {
  readonly steps: readonly Step[];
  readonly revision: number | undefined;
  readonly dryRun: boolean;
}

export function renderSteps(output: Format, { steps, revision, dryRun }: Applied, color: boolean): string {
  if (!isWhole(output)) return steps.map((step) => stepText(step, output, dryRun, color)).join("");
  const policies = steps.map(({ key, outcome, lines }) => ({
    policy: key,
    outcome,
    ...(lines.length === 0 ? {} : { diff: lines }),
  }));
  return renderWhole(output, { revision, dryRun, policies });
}

const OUTCOME_COLORS = { created: 32, changed: 33, deleted: 31, unchanged: 90 } as const;

function stepText({ key, outcome, lines }: Step, output: Format, dryRun: boolean, color: boolean): string {
  if (output === "text") return `${printable(key)}\t${outcome}\n`;
  const paint = (line: string, code: number): string => (color ? `\x1b[${code}m${line}\x1b[0m` : line);
  const would = dryRun && outcome !== "unchanged" ? "would be " : "";
  const head = `${printable(key)} ${paint(would + outcome, OUTCOME_COLORS[outcome])}${dryRun ? " (dry run)" : ""}\n`;
  return head + lines.map((line) => `  ${paint(printable(line), line.startsWith("+") ? 32 : 31)}\n`).join("");
}
