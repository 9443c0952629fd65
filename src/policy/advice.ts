/**
 * What whoever writes a policy should know, though nothing forbids it: names that nobody knows, selectors that match
 * nothing, rules that shut others out. For the API, which knows the mesh; a node or a model may well come later, so none
 * of this is refused.
 */
import { nearest } from "../base/nearest.ts";
import type { Item } from "./item.ts";
import { ANY, type AclName, aclNameOf, scopeOf } from "./name.ts";
import type { AclSpec, PinSpec, Specs } from "./spec.ts";
import type { Put, Write } from "./write.ts";

export interface KnownNode {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What is known of the mesh. */
export interface Known {
  readonly nodes: readonly KnownNode[];
  readonly models: readonly string[];
  /** The policies before the write; without them, nothing is said about what else changes by it. */
  readonly items?: readonly Item[];
}

const NAMES_SHOWN_MAX = 5;

/** Sentences for people; empty when there is nothing to say. */
export function adviceFor(write: Write, known: Known): string[] {
  if ("delete" in write) return write.delete.kind === "acl" ? afterRemoval(write.delete.name, known) : [];
  const { put } = write;
  return [...modelAdvice(put, known), ...specAdvice(put, known)];
}

// ---- names ----------------------------------------------------------------------------------------------------------

function modelAdvice(put: Put, { models }: Known): string[] {
  const model = modelOf(put);
  if (model === undefined || model === ANY || models.includes(model)) return [];
  // What looks like TENANT/MODEL may be the name of a model.
  if (put.kind === "slo" && models.includes(put.name)) return [];
  return [`no known node serves the model ${model}${meant(model, models)}: this counts once one does`];
}

/** Which model a policy is for, if it is for one. */
function modelOf({ kind, name }: Put): string | undefined {
  if (kind === "node") return undefined;
  if (kind === "acl") return aclNameOf(name)?.model;
  if (kind === "quota" || kind === "slo") return scopeOf(name)?.model ?? name;
  return kind === "priority" ? scopeOf(name)?.model : name;
}

function meant(name: string, names: readonly string[]): string {
  const near = nearest(name, names);
  return near === undefined ? "" : ` (did you mean ${near}?)`;
}

function nodeAdvice(wanted: readonly string[], { nodes }: Known): string[] {
  const ids = nodes.map(({ id }) => id);
  const known = new Set(ids);
  const unknown = wanted.filter((node) => !known.has(node));
  const shown = unknown.slice(0, NAMES_SHOWN_MAX).map((node) => `no known node is called ${node}${meant(node, ids)}`);
  const more = unknown.length - shown.length;
  return more > 0 ? [...shown, `${more} more nodes are not known`] : shown;
}

// ---- by kind --------------------------------------------------------------------------------------------------------

function specAdvice(put: Put, known: Known): string[] {
  if (put.kind === "pin") return pinAdvice(put.spec, known);
  if (put.kind === "balance") return nodeAdvice(Object.keys(put.spec.weights ?? {}), known);
  if (put.kind === "node") return nodeAdvice([put.name], known);
  return put.kind === "acl" ? aclAdvice(put.name, put.spec, known) : [];
}

function pinAdvice({ nodes, selector, minReplicas }: PinSpec, known: Known): string[] {
  if (nodes !== undefined) return nodeAdvice(nodes, known);
  if (selector === undefined) return [];
  const wanted = Object.entries(selector);
  const matching = known.nodes.filter(({ labels }) => wanted.every(([label, value]) => has(labels, label, value)));
  if (matching.length === 0) {
    const text = wanted.map(([label, value]) => `${label}=${value}`).join(",");
    const why = wanted.map(([label, value]) => labelAdvice(label, value, known)).filter((each) => each !== "");
    return [
      `no known node has the labels ${text}: the model may run nowhere${why.map((each) => `; ${each}`).join("")}`,
    ];
  }
  if (minReplicas === undefined || matching.length >= minReplicas) return [];
  return [`${matching.length} known nodes have these labels, and minReplicas is ${minReplicas}`];
}

function has(labels: Readonly<Record<string, string>>, label: string, value: string): boolean {
  return Object.hasOwn(labels, label) && labels[label] === value;
}

/** Why a label matches nothing: nobody has it, or all have other values. */
function labelAdvice(label: string, value: string, { nodes }: Known): string {
  if (nodes.some(({ labels }) => has(labels, label, value))) return "";
  const values = new Set(nodes.flatMap(({ labels }) => (Object.hasOwn(labels, label) ? [labels[label]!] : [])));
  if (values.size === 0) {
    const all = new Set(nodes.flatMap(({ labels }) => Object.keys(labels)));
    return `no node has a label ${label}${meant(label, [...all])}`;
  }
  return `${label} is ${[...values].toSorted().slice(0, NAMES_SHOWN_MAX).join(", ")}${values.size > NAMES_SHOWN_MAX ? ", ..." : ""} where it is set`;
}

// ---- access ---------------------------------------------------------------------------------------------------------

function aclAdvice(name: string, { effect }: Specs["acl"], { items }: Known): string[] {
  const rule = aclNameOf(name);
  if (rule === undefined) return [];
  if (effect === "deny") {
    const isForAll = rule.subject.by === "any" && rule.model === ANY && rule.action === ANY;
    return isForAll ? ["this denies everything to everybody but where a more special rule allows it"] : [];
  }
  if (items === undefined || rule.subject.by === "any" || allowances(items, "").some((each) => covers(each, rule))) {
    return [];
  }
  return [`this is the first allowance of ${scopeText(rule)}: whoever no rule allows that may not do it any more`];
}

function afterRemoval(name: string, { items }: Known): string[] {
  const rule = aclNameOf(name);
  const effect = items?.find((item) => item.kind === "acl" && item.name === name)?.spec as AclSpec | undefined;
  if (rule === undefined || items === undefined || effect?.effect !== "allow") return [];
  if (allowances(items, name).some((each) => covers(each, rule))) return [];
  return [`this was the last allowance of ${scopeText(rule)}: everybody may do it now whom no rule denies it`];
}

function allowances(items: readonly Item[], except: string): AclName[] {
  return items.flatMap((item) => {
    const isOther = item.kind === "acl" && item.spec.effect === "allow" && item.name !== except;
    const rule = isOther ? aclNameOf(item.name) : undefined;
    return rule === undefined ? [] : [rule];
  });
}

/** Whether one makes a list of who may wherever the other does. */
function covers(one: AclName, other: AclName): boolean {
  const hasModel = one.model === ANY || one.model === other.model;
  return hasModel && (one.action === ANY || one.action === other.action);
}

function scopeText({ model, action }: AclName): string {
  const what = action === ANY ? "any action" : action;
  return model === ANY ? `${what} on every model` : `${what} on ${model}`;
}
