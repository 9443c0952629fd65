/** What policies have to do with where a request goes, in words: for explanations. */
import type { BalanceSpec } from "../policy/spec.ts";
import type { PolicyViews } from "../policy/policy-views.ts";
import { strategyNamed } from "../score/strategies.ts";
import type { Way } from "./explain-choice.ts";

const NAMES_SHOWN_MAX = 5;

/** How requests of the model are balanced; `byDefault` where no policy says. */
export function balanceOf(views: PolicyViews, model: string, byDefault: Way): Way {
  const said = views.balanceFor(model)?.strategy;
  return said === undefined ? byDefault : strategyNamed(said);
}

/** Which requests targets of a revision get, where that is another part than the rest. */
export function revisionNote({ split = {}, shadow }: Partial<BalanceSpec> = {}, revision: string): string {
  if (revision === "") return "";
  if (shadow?.revision === revision) return `of the revision ${revision}, which gets copies of requests alone`;
  const share = Object.hasOwn(split, revision) ? split[revision]! : 0;
  return `of the revision ${revision}, of whose targets ${(share * 100).toFixed(1)} % of requests are chosen apart`;
}

/** Why policies keep requests for the model from the node; "" where none does. */
export function policyObstacle(
  views: PolicyViews,
  model: string,
  node: { readonly id: string; readonly zone: string; readonly labels: Readonly<Record<string, string>> },
): string {
  if (views.isCordoned(node.id)) {
    const { draining = false, reason = "" } = views.nodes.get(node.id) ?? {};
    const what = draining ? "drained" : "cordoned";
    return `${what} by the policy node/${node.id}${reason === "" ? "" : `: ${reason}`}`;
  }
  const pin = views.pins.pinFor(model);
  if (pin === undefined) {
    if (views.balanceFor(model)?.zone !== "only" || node.zone === "") return "";
    return `in the zone ${node.zone}, and the policy balance has requests stay in the router's own`;
  }
  const { nodes, selector = {}, maxReplicas } = pin;
  if (!views.pins.allows(model, node.id, node.labels)) {
    const labels = Object.entries(selector).map(([label, value]) => `${label}=${value}`);
    const where = nodes === undefined ? `nodes with ${listed(labels)}` : listed(nodes);
    return `pinned elsewhere: pin/${model} has it served by ${where}`;
  }
  if (maxReplicas === undefined) return "";
  return `kept in reserve: pin/${model} has it served by at most ${maxReplicas}, and others serve it`;
}

/** Why the tenant may not send requests for the model at all; "" where it may. */
export function denialOf(views: PolicyViews, tenant: string, model: string): string {
  if (views.acl.allows(tenant, "", model, "infer")) return "";
  const who = tenant === "" ? "a client without a tenant" : `tenant ${tenant}`;
  return `${who} may not send requests for it: ${views.acl.explain(tenant, "", model, "infer").why}`;
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(", ");
  return names.length > NAMES_SHOWN_MAX ? `${shown} and ${names.length - NAMES_SHOWN_MAX} more` : shown;
}
