/**
 * The policies that say where requests may go, as the placement and the replicas ask for them: pins, nodes out of
 * service, weights. A node that is cordoned or drained gets no new requests from any router; what is under way there goes
 * on.
 */
import type { Item } from "../policy/item.ts";
import type { PolicyViews } from "../policy/policy-views.ts";
import type { BalanceSpec, PinSpec } from "../policy/spec.ts";
import type { PlacementRules } from "./eligibility.ts";
import type { ReplicaRules } from "./replicas.ts";

/** Null where no policy is about that. */
export function placementPolicies(items: Iterable<Item>, views: PolicyViews): (PlacementRules & ReplicaRules) | null {
  const pins = new Map<string, PinSpec>();
  const limits = new Map<string, { replicas: number; nodes: readonly string[] }>();
  let isWeighted = false;
  let isParting = false;
  for (const item of items) {
    if (item.kind === "balance" && item.spec.weights !== undefined) isWeighted = true;
    if (item.kind === "balance" && parts(item.spec)) isParting = true;
    if (item.kind !== "pin") continue;
    const { maxReplicas, nodes = [] } = item.spec;
    pins.set(item.name, item.spec);
    if (maxReplicas !== undefined) limits.set(item.name, { replicas: maxReplicas, nodes });
  }
  if (pins.size === 0 && views.nodes.size === 0 && !isWeighted && !isParting) return null;
  return {
    pins,
    limits,
    isClosed: (node) => views.isCordoned(node),
    allows: (model, node, labels) => views.pins.allows(model, node, labels),
    revision: (model, labels) => revisionIn(views.balanceFor(model), labels),
    zone: (model) => views.balanceFor(model)?.zone,
    weight: (model, node) => (isWeighted ? weightIn(views.balanceFor(model)?.weights, node) : 1),
  };
}

/** Whether it tells nodes apart otherwise than by weights. */
function parts({ zone, split, shadow }: BalanceSpec): boolean {
  return zone !== undefined || split !== undefined || shadow !== undefined;
}

/** The label by which nodes say which revision they serve. */
const REVISION_LABEL = "revision";

function revisionIn(
  { split = {}, shadow }: Partial<BalanceSpec> = {},
  labels: Readonly<Record<string, string>>,
): string {
  const revision = Object.hasOwn(labels, REVISION_LABEL) ? labels[REVISION_LABEL]! : "";
  return Object.hasOwn(split, revision) || shadow?.revision === revision ? revision : "";
}

function weightIn(weights: Readonly<Record<string, number>> | undefined, node: string): number {
  return weights !== undefined && Object.hasOwn(weights, node) ? weights[node]! : 1;
}
