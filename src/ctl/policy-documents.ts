/**
 * Policies as files have them: YAML documents or JSON, each `{ kind, name, spec }`, alone, in a list or under `policies`.
 * What they decide is checked by the control plane; here only that they are policies at all, and each of them once.
 */
import { isRecord } from "../base/field.ts";
import { didYouMean } from "../base/nearest.ts";
import { duplicateKeys } from "../base/settings-file.ts";
import { shown } from "../base/shown.ts";
import { KINDS } from "../policy/spec.ts";
import { parsedText } from "./parsed-text.ts";
import { type PolicyRow } from "./policy-text.ts";

/** A policy that a file wants; with a revision only if the policy still has that one. */
export type Wanted = Pick<PolicyRow, "kind" | "name" | "spec" | "revision">;

export const DOCUMENTS_BYTES_MAX = 32 * 2 ** 20;
const POLICIES_MAX = 10_000;
const NOTHING = "it holds no policies; an empty list, [], would mean that none are wanted";
const KEYS = ["kind", "name", "spec", "revision"];

export type Documents = { readonly policies: readonly Wanted[] } | { readonly faults: readonly string[] };

/** The policies in a text, or all that is wrong with it. */
export function readDocuments(text: string): Documents {
  const read = treeOf(text);
  if ("fault" in read) return { faults: [read.fault] };
  const { tree } = read;
  const faults = duplicateKeys(text).map(({ key, line }) => `line ${line}: the key ${shown(key)} a second time`);
  const items: unknown[] = [];
  const gather = (found: unknown): void => {
    if (items.length > POLICIES_MAX) return;
    if (Array.isArray(found)) for (const item of found) gather(item);
    else if (isRecord(found) && Array.isArray(found["policies"]) && found["kind"] === undefined)
      gather(found["policies"]);
    else if (found !== null && found !== undefined) items.push(found);
  };
  gather(tree);
  if (items.length > POLICIES_MAX) return { faults: [`there are more than ${POLICIES_MAX} policies`] };
  if (items.length === 0 && !isEmptyList(tree)) return { faults: [NOTHING] };
  const lines = linesOf(text, items.length);
  const policies = new Map<string, Wanted>();
  for (const [at, item] of items.entries()) {
    const line = lines?.[at];
    const path = `policy ${at + 1}${line === undefined ? "" : ` (line ${line})`}`;
    const fault = faultOf(item);
    if (fault !== undefined) {
      faults.push(`${path}: ${fault}`);
      continue;
    }
    const wanted = item as Wanted;
    const key = `${wanted.kind}/${wanted.name}`;
    if (policies.has(key)) faults.push(`${path}: ${shown(key)} a second time`);
    policies.set(key, { ...wanted, spec: wanted.spec ?? {} });
  }
  return faults.length > 0 ? { faults } : { policies: [...policies.values()] };
}

/** Whoever means none says so: what is empty otherwise was likely to be something. */
function isEmptyList(tree: unknown): boolean {
  const list = isRecord(tree) ? tree["policies"] : tree;
  return Array.isArray(list) && list.length === 0;
}

/** The lines on which policies begin, where each has its kind, or its name, on a line of its own. */
function linesOf(text: string, count: number): readonly number[] | undefined {
  const all = text.split("\n");
  for (const key of [/^[\s[{-]*"?kind"?\s*:/, /^[\s[{-]*"?name"?\s*:/]) {
    const lines = all.flatMap((line, at) => (key.test(line.slice(0, 300)) ? [at + 1] : []));
    if (lines.length === count) return lines;
  }
  return undefined;
}

/** YAML includes JSON, but for several values of it one after the other. */
function treeOf(text: string): { readonly tree: unknown } | { readonly fault: string } {
  const parsed = parsedText(text, false, (line) => (line === undefined ? "" : `line ${line}`));
  if ("tree" in parsed) return parsed;
  if (text.trimStart().startsWith("{")) {
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    try {
      return { tree: lines.map((line) => JSON.parse(line) as unknown) };
    } catch {
      // It is told as YAML.
    }
  }
  const { source, found, expected } = parsed.fault;
  return { fault: `${source === "" ? "" : `${source}: `}found ${found}; expected JSON or ${expected}` };
}

function faultOf(item: unknown): string | undefined {
  if (!isRecord(item)) return `found ${shown(item)}; expected a policy with kind, name and spec`;
  const { kind, name, spec, revision } = item;
  const unknown = Object.keys(item).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) {
    const hint = didYouMean(unknown, KEYS);
    return `no such key ${shown(unknown)} in a policy; expected ${KEYS.join(", ")}${hint === "" ? "" : `; ${hint}`}`;
  }
  if (typeof kind !== "string" || !(KINDS as readonly string[]).includes(kind)) {
    const hint = typeof kind === "string" ? didYouMean(kind, KINDS) : "";
    return `kind is ${shown(kind)}; expected one of ${KINDS.join(", ")}${hint === "" ? "" : `; ${hint}`}`;
  }
  if (typeof name !== "string" || name === "") return `name is ${shown(name)}; expected text`;
  if (spec !== undefined && spec !== null && !isRecord(spec)) return `spec is ${shown(spec)}; expected keys and values`;
  if (revision === undefined || (Number.isSafeInteger(revision) && Number(revision) >= 0)) return undefined;
  return `revision is ${shown(revision)}; expected a whole number from 0`;
}
