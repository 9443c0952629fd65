/**
 * Which targets may be given requests for a model, as far as the policies say: pins, limits of replicas, nodes that are
 * taken out of service. Without policies everybody may. Policies are about nodes: all targets of one are alike to them.
 *
 * Of a model that is limited to so many replicas the first ones that could serve it are used, in the order of its pin's
 * nodes, or else in an order by hash (rendezvous hashing: each model has an order of its own, every router the same one,
 * and a node that comes or goes moves no others). One that can't serve makes way for the next, and is back when it can.
 */
import type { Target } from "../fleet/target.ts";
import type { ZonePreference } from "../policy/spec.ts";
import { ranked } from "../policy/replica-order.ts";

/** What the policies say of where requests may go. */
export interface PlacementRules {
  /** The node is given no new requests. */
  isClosed(node: string): boolean;
  /** Whether the model may be served there. */
  allows(model: string, node: string, labels: Readonly<Record<string, string>>): boolean;
  /** Models that only so many targets may serve; `nodes` are those to be preferred, in order. */
  readonly limits: ReadonlyMap<string, { readonly replicas: number; readonly nodes: readonly string[] }>;
  /** The revision of the model that nodes of such labels serve, where its requests are split by that; "" else. */
  revision(model: string, labels: Readonly<Record<string, string>>): string;
  /** What it counts that a node stands in the router's own zone; undefined: nobody says. */
  zone(model: string): ZonePreference | undefined;
  /** By how much the node's weight counts more for this model. */
  weight(model: string, node: string): number;
}

type Candidate = Pick<Target, "node" | "labels">;

export class Eligibility {
  #rules: PlacementRules | null = null;
  /** Of models that are limited: the nodes that serve them. */
  readonly #chosen = new Map<string, ReadonlySet<string>>();

  /** Null: there are no policies. Choices begin anew. */
  setRules(rules: PlacementRules | null): void {
    this.#rules = rules;
    this.#chosen.clear();
  }

  weight(model: string, { node, weight }: Pick<Target, "node" | "weight">): number {
    return this.#rules === null ? weight : weight * this.#rules.weight(model, node);
  }

  /** Of a model whose requests are split: the revision that the target serves; "" else. */
  revision(model: string, { labels }: Pick<Target, "labels">): string {
    return this.#rules?.revision(model, labels) ?? "";
  }

  /** What it counts for the model that the target stands in another zone than the router; "any": nothing. */
  away(model: string, { zone }: Pick<Target, "zone">, own: string): ZonePreference {
    if (own === "" || zone === "" || zone === own) return "any";
    return this.#rules?.zone(model) ?? "prefer";
  }

  /** Whether the target may be given requests for the model now. */
  allows(model: string, target: Candidate): boolean {
    if (this.#rules === null) return true;
    return this.#mayServe(this.#rules, model, target) && (this.#chosen.get(model)?.has(target.node) ?? true);
  }

  /** Those of these that may be given requests, by model. */
  allowed<T extends Candidate>(able: Iterable<[model: string, target: T]>): Map<string, T[]> {
    const byModel = new Map<string, T[]>();
    for (const [model, target] of able) {
      if (this.allows(model, target)) byModel.set(model, [...(byModel.get(model) ?? []), target]);
    }
    return byModel;
  }

  /** Only so many targets may serve some model, so these have to be chosen. */
  get isLimiting(): boolean {
    return this.#rules !== null && this.#rules.limits.size > 0;
  }

  /** Chooses among all targets that could serve a model, as they are now; answers the models of which others serve now. */
  choose(able: Iterable<readonly [model: string, target: Candidate]>): ReadonlySet<string> {
    const changed = new Set<string>();
    const rules = this.#rules;
    if (rules === null) return changed;
    const candidates = new Map<string, Set<string>>(
      [...rules.limits.keys()].map((model) => [model, new Set<string>()]),
    );
    for (const [model, target] of able) {
      if (this.#mayServe(rules, model, target)) candidates.get(model)?.add(target.node);
    }
    for (const [model, { replicas, nodes }] of rules.limits) {
      const chosen = new Set(ranked(model, [...(candidates.get(model) ?? [])], nodes).slice(0, replicas));
      const before = this.#chosen.get(model);
      this.#chosen.set(model, chosen);
      if (before === undefined || before.symmetricDifference(chosen).size > 0) changed.add(model);
    }
    return changed;
  }

  #mayServe(rules: PlacementRules, model: string, { node, labels }: Candidate): boolean {
    return !rules.isClosed(node) && rules.allows(model, node, labels);
  }
}
