/**
 * What routers ask of the policies while they route, kept up to date as policies change: lookups in maps, nothing
 * allocated for a request. Which policy counts where several match is said with each question; in short, the one that
 * names more, a tenant before a model. Quotas are the exception: of them all that match count.
 */
import { AclView } from "./acl-view.ts";
import type { Change, Item } from "./item.ts";
import { ANY, scopeOf } from "./name.ts";
import { PinView } from "./pin-view.ts";
import type { BalanceSpec, Kind, NodeSpec, QuotaSpec, ScalingSpec, SloSpec } from "./spec.ts";

/** By tenant, then by model. */
class ByScope<T> {
  readonly #tenants = new Map<string, Map<string, T>>();

  set(tenant: string, model: string, value: T): void {
    const models = this.#tenants.get(tenant);
    if (models === undefined) this.#tenants.set(tenant, new Map([[model, value]]));
    else models.set(model, value);
  }

  get(tenant: string, model: string): T | undefined {
    return this.#tenants.get(tenant)?.get(model);
  }

  delete(tenant: string, model: string): void {
    const models = this.#tenants.get(tenant);
    if (models?.delete(model) && models.size === 0) this.#tenants.delete(tenant);
  }

  clear(): void {
    this.#tenants.clear();
  }
}

export class PolicyViews {
  readonly acl = new AclView();
  readonly pins = new PinView();
  readonly #balances = new Map<string, BalanceSpec>();
  readonly #nodes = new Map<string, NodeSpec>();
  readonly #priorities = new Map<string, number>();
  readonly #scopedPriorities = new ByScope<number>();
  readonly #quotas = new Map<string, QuotaSpec>();
  readonly #scopedQuotas = new ByScope<string>();
  readonly #scalings = new Map<string, ScalingSpec>();
  readonly #slos = new Map<string, SloSpec>();
  readonly #scopedSlos = new ByScope<SloSpec>();
  #revision = 0;

  /** Of the newest change that is in here. */
  get revision(): number {
    return this.#revision;
  }

  /** All quotas by name, for `ShareSpender`. Empty: there is nothing to ask `quotasFor`. */
  get quotas(): ReadonlyMap<string, QuotaSpec> {
    return this.#quotas;
  }

  /** By model. */
  get scalings(): ReadonlyMap<string, ScalingSpec> {
    return this.#scalings;
  }

  /** By node. */
  get nodes(): ReadonlyMap<string, NodeSpec> {
    return this.#nodes;
  }

  /** These items in place of all. */
  reset(items: readonly Item[], revision: number): void {
    for (const view of [
      this.acl,
      this.pins,
      this.#balances,
      this.#nodes,
      this.#priorities,
      this.#scopedPriorities,
      this.#quotas,
      this.#scopedQuotas,
      this.#scalings,
      this.#slos,
      this.#scopedSlos,
    ]) {
      view.clear();
    }
    for (const item of items) this.#put(item);
    this.#revision = revision;
  }

  changed(changes: readonly Change[], revision: number): void {
    for (const change of changes) {
      if ("item" in change) this.#put(change.item);
      else this.#delete(change.deleted.kind, change.deleted.name);
    }
    this.#revision = revision;
  }

  /**
   * The names of all quotas that count for such a request, into `found`, which is emptied first: of the tenant and the
   * model, of the tenant, of the model, of everybody. Each limits all that it matches together.
   */
  quotasFor(tenant: string, model: string, found: string[]): string[] {
    found.length = 0;
    if (this.#quotas.size === 0) return found;
    const scoped = this.#scopedQuotas;
    add(found, scoped.get(tenant, model));
    add(found, scoped.get(tenant, ANY));
    add(found, scoped.get(ANY, model));
    add(found, scoped.get(ANY, ANY));
    return found;
  }

  /** In this order: TENANT/MODEL, TENANT/*, MODEL, *. */
  sloFor(tenant: string, model: string): SloSpec | undefined {
    const scoped = this.#scopedSlos;
    const own = scoped.get(tenant, model) ?? scoped.get(tenant, ANY);
    return own ?? this.#slos.get(model) ?? this.#slos.get(ANY);
  }

  /** 0 is served first. In this order: TENANT/MODEL, TENANT, * /MODEL, *. Undefined: nothing is said. */
  priorityFor(tenant: string, model: string): number | undefined {
    const own = this.#scopedPriorities.get(tenant, model) ?? this.#priorities.get(tenant);
    return own ?? this.#scopedPriorities.get(ANY, model) ?? this.#priorities.get(ANY);
  }

  /** The model's own, or that of *. */
  balanceFor(model: string): BalanceSpec | undefined {
    return this.#balances.get(model) ?? this.#balances.get(ANY);
  }

  /** Routers give it no new requests. A node that is drained is cordoned as well. */
  isCordoned(node: string): boolean {
    const spec = this.#nodes.get(node);
    return spec !== undefined && (spec.cordoned === true || spec.draining === true);
  }

  /** It is to be given no new requests. */
  isDraining(node: string): boolean {
    return this.#nodes.get(node)?.draining === true;
  }

  #put(item: Item): void {
    const { kind, name } = item;
    if (kind === "acl") this.acl.put(name, item.spec);
    else if (kind === "pin") this.pins.put(name, item.spec);
    else if (kind === "balance") this.#balances.set(name, item.spec);
    else if (kind === "node") this.#nodes.set(name, item.spec);
    else if (kind === "scaling") this.#scalings.set(name, item.spec);
    else if (kind === "quota") {
      this.#quotas.set(name, item.spec);
      inScope(name, (tenant, model) => this.#scopedQuotas.set(tenant, model, name));
    } else if (kind === "priority") {
      const { priority } = item.spec;
      // With a slash it is for a tenant's requests for one model, and no tenant is called so.
      if (scopeOf(name) === undefined) this.#priorities.set(name, priority);
      inScope(name, (tenant, model) => this.#scopedPriorities.set(tenant, model, priority));
    } else {
      this.#slos.set(name, item.spec);
      inScope(name, (tenant, model) => this.#scopedSlos.set(tenant, model, item.spec));
    }
  }

  #delete(kind: Kind, name: string): void {
    if (kind === "acl") this.acl.delete(name);
    else if (kind === "pin") this.pins.delete(name);
    else if (kind === "balance") this.#balances.delete(name);
    else if (kind === "node") this.#nodes.delete(name);
    else if (kind === "scaling") this.#scalings.delete(name);
    else {
      const plain = { quota: this.#quotas, priority: this.#priorities, slo: this.#slos }[kind];
      const scoped = { quota: this.#scopedQuotas, priority: this.#scopedPriorities, slo: this.#scopedSlos }[kind];
      plain.delete(name);
      inScope(name, (tenant, model) => scoped.delete(tenant, model));
    }
  }
}

/** A name with a slash may be that of a model as well: both are found, the tenant's first. */
function inScope(name: string, then: (tenant: string, model: string) => void): void {
  const scope = scopeOf(name);
  if (scope !== undefined) then(scope.tenant, scope.model);
}

function add(found: string[], name: string | undefined): void {
  if (name !== undefined) found.push(name);
}
