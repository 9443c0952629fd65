/**
 * What a process tells its journal beside the events of members: of policies, models, GPUs and routing. Each of these
 * looks at what is there now and tells what is other than before.
 */
import { isRoutable, type Target } from "./fleet/target.ts";
import type { FleetEvent } from "./fleet/event.ts";
import type { GpuFault } from "./health/reading.ts";
import { xidOf } from "./health/xid.ts";
import type { News } from "./mesh/journal.ts";
import { keyOf } from "./policy/item.ts";
import type { GpuSample } from "./score/sample.ts";
import type { PolicyStore } from "./store/policy-store.ts";

export type Tell = (news: News) => void;

/** Tells each change of a policy; answers how to stop that. */
export function tellPolicies(store: Pick<PolicyStore, "watch">, tell: Tell): () => void {
  let isFirst = true;
  return store.watch({
    reset(items, revision) {
      if (!isFirst) {
        const cause = `read anew: ${items.length} policies at revision ${revision}`;
        tell({ type: "policy.reset", id: "*", cause });
      }
      isFirst = false;
    },
    changed(changes) {
      for (const change of changes) {
        const isGone = "deleted" in change;
        const { kind, name } = isGone ? change.deleted : change.item;
        const revision = isGone ? change.revision : change.item.revision;
        const what = isGone ? "deleted" : change.item.createdRevision === revision ? "created" : "changed";
        const labels = { kind, name };
        tell({ type: `policy.${what}`, id: keyOf({ kind, name }), cause: `at revision ${revision}`, labels });
      }
    },
  });
}

/** What happened to a router's target. */
export function fleetNews({ kind, id, cause }: FleetEvent, node = id): News {
  return { type: `routing.${kind}`, id, cause, labels: { node } };
}

/** Tells when a model gets its first node that requests may go to, and when it loses the last one. */
export class ModelNews {
  readonly #tell: Tell;
  #served = new Set<string>();

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  look(targets: readonly Target[]): void {
    const served = new Set(targets.filter(isRoutable).flatMap(({ models }) => models));
    const labels = (model: string): { model: string } => ({ model });
    for (const model of served) {
      if (this.#served.has(model)) continue;
      this.#tell({ type: "model.available", id: model, cause: "a node serves it", labels: labels(model) });
    }
    for (const model of this.#served) {
      if (served.has(model)) continue;
      this.#tell({ type: "model.unavailable", id: model, cause: "no node serves it", labels: labels(model) });
    }
    this.#served = served;
  }
}

/** Tells what a node's runtime has loaded and unloaded. */
export class LoadedNews {
  readonly #node: string;
  readonly #tell: Tell;
  #models: readonly string[];

  constructor(node: string, models: readonly string[], tell: Tell) {
    this.#node = node;
    this.#models = models;
    this.#tell = tell;
  }

  look(models: readonly string[]): void {
    const before = this.#models;
    this.#models = models;
    const labels = (model: string): Record<string, string> => ({ node: this.#node, model });
    for (const model of models) {
      if (before.includes(model)) continue;
      this.#tell({ type: "model.loaded", id: model, cause: `${this.#node} serves it`, labels: labels(model) });
    }
    for (const model of before) {
      if (models.includes(model)) continue;
      this.#tell({
        type: "model.unloaded",
        id: model,
        cause: `${this.#node} serves it no more`,
        labels: labels(model),
      });
    }
  }
}

/** GPUs whose health is remembered; beyond that nothing is told of new ones. */
const GPUS_MAX = 65_536;

/** Tells when a GPU's health changes, and of one that is not well when it is first seen. */
export class GpuNews {
  readonly #tell: Tell;
  readonly #health = new Map<string, string>();
  /** As they were when they were looked at last: a node looks at its own more often than it reads them. */
  readonly #last = new Map<string, readonly GpuSample[]>();

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  look(node: string, gpus: readonly GpuSample[]): void {
    if (gpus === this.#last.get(node)) return;
    this.#last.set(node, gpus);
    for (const { index, uuid, name, migProfile, health, healthReason, throttleReasons } of gpus) {
      // A slice is as well as its GPU, of which it is told.
      if (health === undefined || migProfile !== undefined) continue;
      const gpu = uuid === "" ? String(index) : uuid;
      const key = `${node} ${gpu}`;
      const before = this.#health.get(key) ?? "healthy";
      if (before === health || (!this.#health.has(key) && this.#health.size >= GPUS_MAX)) continue;
      this.#health.set(key, health);
      const why = healthReason === undefined ? "" : `; ${healthReason}`;
      const held = throttleReasons.length > 0 ? `; throttled: ${throttleReasons.join(", ")}` : "";
      const cause = `${name} ${index} of ${node} was ${before}${why}${held}`;
      this.#tell({ type: `gpu.${health}`, id: gpu, cause, labels: { node, gpu } });
    }
  }

  /** The node is gone. */
  forget(node: string): void {
    this.#last.delete(node);
    for (const key of this.#health.keys()) if (key.startsWith(`${node} `)) this.#health.delete(key);
  }
}

/** Kinds of XIDs of GPUs that are counted; of more, those that were silent longer than a minute make room. */
const XIDS_MAX = 1024;
const XID_EVERY_MS = 60_000;

/**
 * Tells of XIDs, also of those that change nobody's health. Of a storm it tells once a minute for each code of a GPU, with
 * how many there were since, or the journal would hold nothing else.
 */
export class XidNews {
  readonly #node: string;
  readonly #tell: Tell;
  readonly #told = new Map<string, { atMs: number; since: number }>();

  constructor(node: string, tell: Tell) {
    this.#node = node;
    this.#tell = tell;
  }

  look(faults: readonly GpuFault[], nowMs: number): void {
    for (const { uuid, xid: code, gpuInstance } of faults) {
      const key = `${code} ${uuid}`;
      const told = this.#told.get(key);
      if (told !== undefined && nowMs - told.atMs < XID_EVERY_MS) {
        told.since += 1;
        continue;
      }
      if (told === undefined && !this.#hasRoom(nowMs)) continue;
      this.#told.set(key, { atMs: nowMs, since: 0 });
      const { meaning } = xidOf(code);
      const where = gpuInstance === undefined ? "" : ` in MIG instance ${gpuInstance}`;
      const more =
        told === undefined || told.since === 0 ? "" : `; ${told.since} more of these since the last one told`;
      const labels = { node: this.#node, gpu: uuid, xid: String(code) };
      this.#tell({ type: "gpu.xid", id: uuid, cause: `XID ${code}${where}: ${meaning}${more}`, labels });
    }
  }

  #hasRoom(nowMs: number): boolean {
    if (this.#told.size < XIDS_MAX) return true;
    for (const [key, { atMs }] of this.#told) if (nowMs - atMs >= XID_EVERY_MS) this.#told.delete(key);
    return this.#told.size < XIDS_MAX;
  }
}
