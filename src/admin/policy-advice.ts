/**
 * What is probably not meant by a write: names that nobody knows, selectors that match nothing. Warnings, not refusals,
 * since a policy may come before what it is about.
 */
import { didYouMean } from "../base/nearest.ts";
import type { Put, Write } from "../policy/write.ts";
import { aclNameOf, ANY, scopeOf } from "../policy/name.ts";

export interface Known {
  readonly nodes: readonly { readonly id: string; readonly labels: Readonly<Record<string, string>> }[];
  readonly models: readonly string[];
}

export function adviceFor(write: Write, known: Known): string[] {
  if (!("put" in write)) return [];
  const { put } = write;
  const model = modelOf(put);
  return [
    ...(model === undefined || model === ANY ? [] : unknownNames("model", [model], known.models)),
    ...nodeAdvice(put, known),
  ];
}

function modelOf({ kind, name }: Put): string | undefined {
  switch (kind) {
    case "node":
      return undefined;
    case "acl":
      return aclNameOf(name)?.model;
    case "quota":
    case "priority":
      return scopeOf(name)?.model;
    case "slo":
      return scopeOf(name)?.model ?? name;
    default:
      return name;
  }
}

function nodeAdvice(put: Put, known: Known): string[] {
  const ids = known.nodes.map(({ id }) => id);
  if (put.kind === "node") return unknownNames("node", [put.name], ids);
  if (put.kind === "balance") return unknownNames("node", Object.keys(put.spec.weights ?? {}), ids);
  if (put.kind !== "pin") return [];
  const { nodes, selector, minReplicas } = put.spec;
  if (selector === undefined) return unknownNames("node", nodes ?? [], ids);
  const wanted = Object.entries(selector);
  const matching = known.nodes.filter(({ labels }) => wanted.every(([label, value]) => labels[label] === value));
  const shown = wanted.map(([label, value]) => `${label}=${value}`).join(", ");
  if (matching.length === 0) return [`no node has the labels ${shown}: the model is served nowhere until one has`];
  if (minReplicas === undefined || matching.length >= minReplicas) return [];
  return [`only ${matching.length} nodes have the labels ${shown}, and minReplicas is ${minReplicas}`];
}

function unknownNames(what: string, names: readonly string[], known: readonly string[]): string[] {
  return names
    .filter((name) => !known.includes(name))
    .map((name) => {
      const hint = didYouMean(name, known);
      return `no ${what} ${JSON.stringify(name)} is known here now${hint === "" ? "" : `; ${hint}`}`;
    });
}
