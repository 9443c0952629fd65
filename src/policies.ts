/**
 * The policies in a router, in its main thread: watches the store that keeps them, and has the router obey. Workers are
 * told what concerns requests; pins, nodes out of service and weights go into the placement; workers' wants of quotas go
 * to the store, and its grants back to them; pins that lack replicas and models that should have others are told of.
 *
 * What is in force stays in force whatever becomes of the store. Wiring only.
 */
import type { ModelLoader } from "./admin/control-plane.ts";
import { toMeshError } from "./base/errors.ts";
import type { RouterConfig } from "./config.ts";
import type { Journal } from "./mesh/journal.ts";
import { modelCalls } from "./model-calls.ts";
import { type Change, type Item, keyOf, replay } from "./policy/item.ts";
import { PolicyViews } from "./policy/policy-views.ts";
import { type Recommendation, ScalingAdvice } from "./policy/scaling-advice.ts";
import type { Kind } from "./policy/spec.ts";
import type { Want } from "./policy/want.ts";
import type { Log } from "./obs/log.ts";
import type { PolicyFigures } from "./obs/policy-metrics.ts";
import type { Crew, CrewPolicies } from "./proxy/crew.ts";
import { Headcount } from "./proxy/headcount.ts";
import { LeaseDesk, type Lender } from "./proxy/lease-desk.ts";
import { modelLoad } from "./proxy/model-loads.ts";
import type { Placement } from "./proxy/placement.ts";
import { placementPolicies } from "./proxy/placement-policies.ts";
import type { PolicyNews } from "./proxy/protocol.ts";
import { LOAD_AGAIN_MS, Replicas, type Shortfall } from "./proxy/replicas.ts";
import type { Standing } from "./standing.ts";
import type { Targets } from "./targets.ts";

/** What is asked of the store of the policies; store/policy-store.ts fulfils it. */
export interface PolicySource extends Lender {
  list(options: { readonly consistent: true; readonly timeoutMs: number }): Promise<{ readonly revision: number }>;
  watch(watcher: {
    reset(items: readonly Item[], revision: number): void;
    changed(changes: readonly Change[], revision: number): void;
  }): () => void;
}

export interface PoliciesOptions {
  readonly config: Pick<RouterConfig, "score" | "workers">;
  readonly placement: Placement;
  readonly targets: Pick<Targets, "all" | "get">;
  readonly standing: Pick<Standing, "id" | "node" | "routers" | "hasControlNodes">;
  /** Is told what becomes of models. */
  readonly journal: Pick<Journal, "tell">;
  readonly log: Log;
  readonly crew: () => Pick<Crew, "setRoutes" | "tellPolicies" | "tellHolders" | "grant"> | null;
  /** Has nodes load models that lack replicas; by default through the mesh. */
  readonly models?: Pick<ModelLoader, "load">;
}

/** Kinds that workers act on. */
const OF_REQUESTS: ReadonlySet<Kind> = new Set(["acl", "balance", "pin", "priority", "quota", "slo"]);
const OF_PLACEMENT: ReadonlySet<Kind> = new Set(["balance", "node", "pin"]);
/** Replicas and loads are looked at this often. */
const LOOK_MS = 2000;
/** A quota that was not spent for so long is no reason to worry that nobody renewed its share. */
const IDLE_MS = 5000;
const QUOTAS_COUNTED_MAX = 100;
const CAUGHT_UP_MS = 10;

export class Policies implements CrewPolicies {
  readonly #options: PoliciesOptions;
  readonly #models: Pick<ModelLoader, "load">;
  readonly #items = new Map<string, Item>();
  readonly #views = new PolicyViews();
  readonly views: PolicyViews = this.#views;
  readonly #desk: LeaseDesk;
  readonly #replicas = new Replicas();
  readonly #advice = new ScalingAdvice();
  #recommendations: readonly Recommendation[] = [];
  readonly #overQuota = new Map<string, number>();
  /** Sets this life of the router apart from others of its id. */
  readonly #life = crypto.randomUUID().slice(0, 8);
  /** Of the policies in force; undefined before any store was heard. */
  #revision: number | undefined;
  #source: PolicySource | null = null;
  #unwatch: (() => void) | null = null;
  readonly #headcount = new Headcount();
  #toldHolders = 0;
  #lookedMs = -Infinity;
  #wantedMs = -Infinity;

  constructor(options: PoliciesOptions) {
    this.#options = options;
    const { standing, models } = options;
    this.#models = models ?? modelCalls({ id: () => standing.id, node: () => standing.node, runtime: null });
    this.#desk = new LeaseDesk(options.log, (grants) => options.crew()?.grant(grants));
  }

  /** Obeys what this store holds from now on, in place of another one's. */
  watch(source: PolicySource): void {
    this.#unwatch?.();
    this.#source = source;
    this.#desk.lender = source;
    this.#unwatch = source.watch({
      reset: (items, revision) => this.#reset(items, revision),
      changed: (changes, revision) => this.#changed(changes, revision),
    });
  }

  /**
   * Resolves when what is in force is as new as what the control nodes have, where the mesh knows of any; at the latest
   * after `timeoutMs`.
   */
  async caughtUp(timeoutMs: number): Promise<void> {
    this.#tellHolders();
    const { source, log } = { source: this.#source, log: this.#options.log };
    if (source === null || !this.#options.standing.hasControlNodes) return;
    const untilMs = performance.now() + timeoutMs;
    try {
      const { revision } = await source.list({ consistent: true, timeoutMs });
      while ((this.#revision ?? 0) < revision && performance.now() < untilMs) await Bun.sleep(CAUGHT_UP_MS);
    } catch (error) {
      log.warn("no control node tells of the policies; what is known of them is in force", {
        error: toMeshError(error).message,
        revision: this.#revision,
      });
    }
  }

  stop(): void {
    this.#unwatch?.();
    this.#unwatch = null;
    this.#desk.stop();
  }

  // ---- from the store

  #reset(items: readonly Item[], revision: number): void {
    this.#items.clear();
    for (const item of items) this.#items.set(keyOf(item), item);
    this.#revision = revision;
    this.#views.reset(items, revision);
    this.#options.crew()?.tellPolicies(this.all());
    this.#place();
    const { log } = this.#options;
    // Before anybody is heard there is nothing, which is nothing to tell.
    log[revision > 0 ? "info" : "debug"]("policies are in force", { revision, items: items.length });
  }

  #changed(changes: readonly Change[], revision: number): void {
    for (const change of changes) replay(this.#items, change);
    this.#revision = revision;
    this.#views.changed(changes, revision);
    const kinds = changes.map((change) => ("item" in change ? change.item.kind : change.deleted.kind));
    const news = changes.filter((_, index) => OF_REQUESTS.has(kinds[index]!));
    if (news.length > 0) this.#options.crew()?.tellPolicies({ revision, changes: news });
    if (kinds.some((kind) => OF_PLACEMENT.has(kind))) this.#place();
  }

  /** Rows go by the policies of now. */
  #place(): void {
    const { placement, targets, crew } = this.#options;
    const rules = placementPolicies(this.#items.values(), this.#views);
    const routes = placement.setRules(rules, targets.all(), performance.now());
    if (routes !== null) crew()?.setRoutes(routes);
    this.#lookedMs = -Infinity;
  }

  // ---- for the workers

  all(): PolicyNews & { readonly items: readonly Item[] } {
    const items = [...this.#items.values()].filter(({ kind }) => OF_REQUESTS.has(kind));
    return { revision: this.#revision ?? 0, items };
  }

  holder(life: number): string {
    return `${this.#options.standing.id.slice(0, 200)}/${this.#life}/${life}`;
  }

  holders(): number {
    const { standing, config } = this.#options;
    return this.#headcount.seen(standing.routers * config.workers, performance.now());
  }

  /** Workers start before the mesh is entered, and quotas may be asked for the first time long after. */
  #tellHolders(): void {
    const holders = this.holders();
    const crew = this.#options.crew();
    if (crew === null || holders === this.#toldHolders) return;
    this.#toldHolders = holders;
    crew.tellHolders(holders);
  }

  wanted(wants: readonly Want[], refused: readonly (readonly [quota: string, requests: number])[]): void {
    this.#wantedMs = performance.now();
    this.#desk.want(wants);
    for (const [quota, requests] of refused) {
      const isCounted = this.#overQuota.has(quota) || this.#overQuota.size < QUOTAS_COUNTED_MAX;
      const name = isCounted ? quota : "other";
      this.#overQuota.set(name, (this.#overQuota.get(name) ?? 0) + requests);
    }
  }

  // ---- replicas

  /** Call it a few times a second. */
  upkeep(nowMs: number): void {
    const { placement, targets } = this.#options;
    this.#tellHolders();
    placement.review((id) => targets.get(id), nowMs);
    if (this.#revision === undefined || nowMs - this.#lookedMs < LOOK_MS) return;
    this.#lookedMs = nowMs;
    this.#lookAtReplicas(nowMs);
    this.#lookAtLoads(nowMs);
  }

  #lookAtReplicas(nowMs: number): void {
    const { placement, targets, log } = this.#options;
    const rules = placementPolicies(this.#items.values(), this.#views);
    const serving = placement.serving((id) => targets.get(id));
    const { short, met, loads } = this.#replicas.look(rules, serving, targets.all(), nowMs);
    for (const { model, replicas, wanted } of short) {
      log.warn("a model lacks replicas", { model, replicas, wanted });
      const labels = { policy: `pin/${model}`, replicas: String(replicas), wanted: String(wanted) };
      this.#tell("short", model, `${replicas} of at least ${wanted} replicas serve it`, labels);
    }
    for (const model of met) {
      log.info("a model has its replicas", { model });
      this.#tell("met", model, "it has the replicas that its pin asks for", { policy: `pin/${model}` });
    }
    for (const { node, model, revision } of loads) void this.#load(node, model, revision);
  }

  async #load(node: string, model: string, revision: string): Promise<void> {
    const { log } = this.#options;
    log.info("a node is asked to load a model", { node, model });
    const signal = AbortSignal.timeout(LOAD_AGAIN_MS);
    const call = { signal, deadlineMs: performance.now() + LOAD_AGAIN_MS, remoteAddress: "" };
    try {
      await this.#models.load({ node, model, revision, source: "", parent: "", runtime: "" }, call);
    } catch (error) {
      log.warn("a node did not load a model", { node, model, error: toMeshError(error).message });
    }
  }

  #lookAtLoads(nowMs: number): void {
    const { placement, targets, config, log } = this.#options;
    const { scalings } = this.#views;
    // One that is cordoned or pinned elsewhere gets no requests, whatever it has loaded.
    const serving = placement.serving((id) => targets.get(id));
    this.#advice.keepOnly(scalings);
    const before = new Map(this.#recommendations.map((one) => [one.model, one]));
    this.#recommendations = [...scalings].map(([model, spec]) =>
      this.#advice.recommend(model, spec, modelLoad(model, serving.get(model) ?? [], config.score), nowMs),
    );
    for (const { model, replicas, wanted, why } of this.#recommendations) {
      const known = before.get(model);
      const isNews = known === undefined ? wanted !== replicas : known.wanted !== wanted;
      if (!isNews) continue;
      log.info("a model should have other replicas", { model, replicas, wanted, why });
      const labels = { policy: `scaling/${model}`, replicas: String(replicas), wanted: String(wanted) };
      this.#tell("scaling", model, why, labels);
    }
  }

  #tell(
    what: "short" | "met" | "scaling",
    model: string,
    cause: string,
    labels: Readonly<Record<string, string>>,
  ): void {
    this.#options.journal.tell({ type: `model.${what}`, id: model, cause, labels: { model, ...labels } });
  }

  /** How many replicas each model with a scaling policy should have. */
  get recommendations(): readonly Recommendation[] {
    return this.#recommendations;
  }

  /** Models that have fewer replicas than their pins ask for. */
  get short(): readonly Shortfall[] {
    return [...this.#replicas.short];
  }

  /** Of the policies in force; undefined before any store was heard. */
  get revision(): number | undefined {
    return this.#revision;
  }

  // ---- for metrics

  figures(): PolicyFigures {
    const items = new Map<string, number>();
    for (const { kind } of this.#items.values()) items.set(kind, (items.get(kind) ?? 0) + 1);
    const { answeredAtMs, ...leases } = this.#desk.figures;
    const nowMs = performance.now();
    const isSpending = nowMs - this.#wantedMs < IDLE_MS;
    return {
      revision: this.#revision,
      items,
      overQuota: this.#overQuota,
      leases,
      leaseAgeSeconds: isSpending && answeredAtMs !== undefined ? (nowMs - answeredAtMs) / 1000 : undefined,
      scaling: this.#recommendations,
    };
  }
}
