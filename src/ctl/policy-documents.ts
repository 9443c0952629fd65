/**
 * Policies as files have them: YAML documents or JSON, each `{ kind, name, spec }`, alone, in a list or under `policies`.
 * What they decide is checked by the control plane; here only that they are policies at all, and each of them once.
 */
import { isRecord } from "../base/field.ts";
import { didYouMean } from "../base/nearest.ts";
import { shown } from "../base/shown.ts";
import { KINDS } from "../policy/spec.ts";
import { type PolicyRow } from "./policy-text.ts";

/** A policy that a file wants; with a revision only if the policy still has that one. */
export type Wanted = Pick<PolicyRow, "kind" | "name" | "spec" | "revision">;

export const DOCUMENTS_BYTES_MAX = 32 * 2 ** 20;
const POLICIES_MAX = 10_000;
const KEYS = ["kind", "name", "spec", "revision"];

export type Documents = { readonly policies: readonly Wanted[] } | { readonly faults: readonly string[] };

/** The policies in a text, or all that is wrong with it. */
export function readDocuments(text: string): Documents {
  let tree: unknown;
  try {
    tree = parsed(text);
  } catch (error) {
    return { faults: [`it is neither YAML nor JSON: ${(error as Error).message}`] };
  }
  const items: [path: string, item: unknown][] = [];
  const gather = (found: unknown, path: string): void => {
    if (items.length > POLICIES_MAX) return;
    if (Array.isArray(found)) found.forEach((item, at) => gather(item, `${path}[${at + 1}]`));
    else if (isRecord(found) && Array.isArray(found["policies"]) && found["kind"] === undefined) {
      gather(found["policies"], path === "" ? "policies" : `${path}.policies`);
    } else if (found !== null && found !== undefined) items.push([path === "" ? "the document" : path, found]);
  };
  gather(tree, "");
  if (items.length > POLICIES_MAX) return { faults: [`there are more than ${POLICIES_MAX} policies`] };
  const faults: string[] = [];
  const policies = new Map<string, Wanted>();
  for (const [path, item] of items) {
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

/** YAML includes JSON, but for several values of it one after the other. */
function parsed(text: string): unknown {
  try {
    return Bun.YAML.parse(text);
  } catch (error) {
    if (!text.trimStart().startsWith("{")) throw error;
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    try {
      return lines.map((line) => JSON.parse(line) as unknown);
    } catch {
      throw error;
    }
  }
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
  return `revision is ${shown(revision)}; expected a whole number`;
}
