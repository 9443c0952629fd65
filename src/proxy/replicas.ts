/**
 * Whether models have the replicas that their pins ask for. One that is short is told of once, and nodes that may serve
 * it and don't yet are asked to load it: the first ones in an order that every router shares, each again after a while.
 * A node that says that it loads the model is one that comes: nobody else is asked in its stead.
 */
import { isRoutable, type Target } from "../fleet/target.ts";
import type { PinSpec } from "../policy/spec.ts";
import { ranked } from "../policy/replica-order.ts";

/** How long a node that was asked to load a model is given before it is asked again. */
export const LOAD_AGAIN_MS = 60_000;

/** The pins that ask for replicas, and which nodes they allow. */
export interface ReplicaRules {
  readonly pins: ReadonlyMap<string, PinSpec>;
  isClosed(node: string): boolean;
  allows(model: string, node: string, labels: Readonly<Record<string, string>>): boolean;
}

export interface Shortfall {
  readonly model: string;
  readonly replicas: number;
  readonly wanted: number;
}

export interface ReplicaWork {
  /** Models that are short from now on, or by another number. */
  readonly short: readonly Shortfall[];
  /** Models that were short and are not any more, or are not pinned so any more. */
  readonly met: readonly string[];
  /** Nodes to be asked to load a model. */
  readonly loads: readonly { readonly node: string; readonly model: string; readonly revision: string }[];
}

export class Replicas {
  readonly #short = new Map<string, Shortfall>();
  /** When each node was asked last, by model and node. */
  readonly #asked = new Map<string, number>();

  /** The models that are short, as they were at the last look. */
  get short(): Iterable<Shortfall> {
    return this.#short.values();
  }

  /** `serving`: the targets that are given requests, by model. */
  look(
    rules: ReplicaRules | null,
    serving: ReadonlyMap<string, readonly Target[]>,
    targets: readonly Target[],
    nowMs: number,
  ): ReplicaWork {
    const short: Shortfall[] = [];
    const loads: ReplicaWork["loads"][number][] = [];
    const now = new Map<string, Shortfall>();
    for (const [key, askedMs] of this.#asked) if (nowMs - askedMs >= LOAD_AGAIN_MS) this.#asked.delete(key);
    for (const [model, { minReplicas = 0, revision = "", nodes = [] }] of rules?.pins ?? []) {
      const replicas = nodesOf(serving.get(model) ?? []).size;
      if (rules === null || replicas >= minReplicas) continue;
      const shortfall = { model, replicas, wanted: minReplicas };
      now.set(model, shortfall);
      const before = this.#short.get(model);
      if (before?.replicas !== replicas || before.wanted !== minReplicas) short.push(shortfall);
      // A node that serves it at one of its endpoints has it.
      const having = nodesOf(targets.filter((target) => target.models.includes(model)));
      const able = targets.filter((target) => !having.has(target.node) && mayLoad(rules, model, target));
      const coming = nodesOf(able.filter((target) => isComing(model, target)));
      const idle = [...nodesOf(able).difference(coming)];
      const missing = Math.max(0, minReplicas - replicas - coming.size);
      for (const node of ranked(model, idle, nodes).slice(0, missing)) {
        const key = `${node}\n${model}`;
        if (this.#asked.has(key)) continue;
        this.#asked.set(key, nowMs);
        loads.push({ node, model, revision });
      }
    }
    const met = [...this.#short.keys()].filter((model) => !now.has(model));
    this.#short.clear();
    for (const [model, shortfall] of now) this.#short.set(model, shortfall);
    return { short, met, loads };
  }
}

function isComing(model: string, { lastSample }: Target): boolean {
  const told = lastSample?.models.find((one) => one.model === model);
  return told?.state === "loading" || told?.state === "warming";
}

function mayLoad(rules: ReplicaRules, model: string, target: Target): boolean {
  const { node, labels } = target;
  return isRoutable(target) && !rules.isClosed(node) && rules.allows(model, node, labels);
}

function nodesOf(targets: readonly Target[]): Set<string> {
  return new Set(targets.map(({ node }) => node));
}
