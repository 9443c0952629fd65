/**
 * The policies in one worker, as far as they concern requests: who may use which model, at the expense of which quotas,
 * with which priority and promise, and how its targets are balanced. Where policies end is with the targets: pins and
 * nodes out of service are seen in the score table (eligibility.ts), and only named here where they leave nobody.
 *
 * Whose policy counts: access rules are asked for the model that is meant (aliases followed) and for the one that serves
 * where another stands in; quotas are those of the model that serves; priority and promise those of the model meant.
 *
 * Without policies nothing of this is asked (`isIdle`).
 */
import { type Change, type Item, keyOf, replay } from "../policy/item.ts";
import { PolicyViews } from "../policy/policy-views.ts";
import type { Action, BalanceSpec, Kind } from "../policy/spec.ts";
import type { WorkerCounters } from "../obs/worker-counters.ts";
import { type Caller, Callers } from "./caller.ts";
import { Permit, PolicyError, type Spent } from "./permit.ts";
import type { PolicyNews } from "./protocol.ts";
import type { Shares } from "./shares.ts";
import type { Wishes } from "./wishes.ts";

/** What the policies are asked of one request. */
export interface Asking {
  readonly caller: Caller;
  readonly action: Action;
  /** It asks about the model, and is counted in no quota. */
  readonly isQuestion: boolean;
  /** The model that the client means, and the one that serves it: another where one stands in. */
  readonly meant: string;
  readonly model: string;
  /** Estimated, of the prompt. */
  readonly tokens: number;
  /** Is told what the policies add. */
  readonly wishes: Wishes;
}

/** Kinds that are asked of every request. */
const ASKED: ReadonlySet<Kind> = new Set(["acl", "priority", "quota", "slo"]);
const NONE: readonly Spent[] = [];
const NODES_NAMED_MAX = 5;
const WORDS = { infer: "use", embed: "make embeddings with", admin: "change" } as const;

export class Enforcement {
  readonly callers = new Callers();
  readonly #shares: Shares;
  readonly #counters: Pick<WorkerCounters, "denied">;
  readonly #items = new Map<string, Item>();
  readonly #views = new PolicyViews();
  #isAsked = false;
  /** By quota: which of all quotas that there ever were it is. */
  readonly #lives = new Map<string, number>();
  #lastLife = 0;

  constructor(shares: Shares, counters: Pick<WorkerCounters, "denied">) {
    this.#shares = shares;
    this.#counters = counters;
  }

  /** There is no policy that concerns requests. */
  get isIdle(): boolean {
    return this.#items.size === 0;
  }

  /** There is a policy that is asked of every request: there are others than of targets. */
  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** There are access rules. */
  get isGuarded(): boolean {
    return this.#views.acl.size > 0;
  }

  take(news: PolicyNews): void {
    const isWhole = "items" in news;
    const now = isWhole ? new Map(news.items.map((item) => [keyOf(item), item])) : null;
    const changes: readonly Change[] = isWhole ? news.items.map((item) => ({ item })) : news.changes;
    for (const [key, { kind, name }] of this.#items) {
      if (now?.has(key) !== false) continue;
      this.#items.delete(key);
      if (kind === "quota") this.#dropQuota(name);
    }
    for (const change of changes) {
      const before = this.#items.get(keyOf("item" in change ? change.item : change.deleted));
      replay(this.#items, change);
      if ("item" in change && change.item.kind === "quota") this.#putQuota(change.item, before);
      else if ("deleted" in change && change.deleted.kind === "quota") this.#dropQuota(change.deleted.name);
    }
    if (isWhole) this.#views.reset(news.items, news.revision);
    else this.#views.changed(news.changes, news.revision);
    this.#isAsked = this.#items.values().some(({ kind }) => ASKED.has(kind));
  }

  #putQuota(item: Item & { kind: "quota" }, before: Item | undefined): void {
    if (before !== undefined && before.createdRevision !== item.createdRevision) this.#dropQuota(item.name);
    this.#shares.put(item.name, item.spec);
    if (!this.#lives.has(item.name)) this.#lives.set(item.name, ++this.#lastLife);
  }

  #dropQuota(name: string): void {
    this.#lives.delete(name);
    this.#shares.delete(name);
  }

  // ---- what is asked of it

  /** How the model's requests are balanced; undefined: nobody says. */
  balanceOf(model: string): BalanceSpec | undefined {
    return this.#views.balanceFor(model);
  }

  /** Lets the request pass, at the expense of quotas, and adds to its wishes; or says why not. */
  admit({ caller, action, isQuestion, meant, model, tokens, wishes }: Asking): Permit | PolicyError {
    const denial = this.anyDenial(caller, meant, model, action);
    if (denial !== null) return denial;
    const spent = isQuestion ? null : this.spend(caller, model, tokens);
    if (spent instanceof PolicyError) return spent;
    const priority = this.#views.priorityFor(caller.tenant, meant);
    if (priority !== undefined) wishes.limitPriority(priority);
    const slo = this.#views.sloFor(caller.tenant, meant);
    if (slo !== undefined) wishes.promise(slo);
    return new Permit(this, caller, action, tokens, spent);
  }

  /** Why a request is denied for the model that is meant or for the one that serves it, which is counted; null: it isn't. */
  anyDenial(caller: Caller, meant: string, model: string, action: Action): PolicyError | null {
    const denial = this.denial(caller, meant, action) ?? (model === meant ? null : this.denial(caller, model, action));
    if (denial !== null) this.#counters.denied();
    return denial;
  }

  /** Why the caller may not do this with the model; null: it may. */
  denial(caller: Caller, model: string, action: Action): PolicyError | null {
    const { acl } = this.#views;
    if (acl.size === 0) return null;
    const { tenant, keyHashes } = caller;
    const denied = keyHashes.find((hash) => !acl.allows(tenant, hash, model, action));
    if (denied === undefined) return null;
    const { rule, why } = acl.explain(tenant, denied, model, action);
    const who = caller.tenant === "" ? "this client" : `tenant ${caller.tenant}`;
    const policy = rule === null ? "acl" : `acl/${rule}`;
    const message = `${who} may not ${WORDS[action]} the model \`${model}\`: ${why}`;
    return new PolicyError("forbidden", policy, message, { param: "model" });
  }

  /** Why the model isn't told to the caller; null: it is. */
  listingDenial(caller: Caller, model: string): PolicyError | null {
    return this.denial(caller, model, "infer") === null ? null : this.denial(caller, model, "embed");
  }

  /** Counts a request in the quotas for that model; it is counted in those that are `kept` already. */
  spend(
    { tenant }: Caller,
    model: string,
    tokens: number,
    kept: readonly Spent[] = NONE,
  ): readonly Spent[] | PolicyError {
    const quotas = this.#views.quotasFor(tenant, model, []);
    if (quotas.length === 0) return NONE;
    const spent = quotas.map((quota): Spent => {
      const life = this.#lives.get(quota) ?? 0;
      return kept.find((one) => one.quota === quota && one.life === life) ?? { quota, life };
    });
    const fresh = kept.length === 0 ? quotas : spent.filter((one) => !kept.includes(one)).map(({ quota }) => quota);
    const waitMs = fresh.length === 0 ? 0 : this.#shares.spend(fresh, tokens);
    if (waitMs === 0) return spent;
    const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
    const quota = this.#shares.refusing;
    const message = `the quota ${quota} is used up; try again in ${retryAfterSeconds} s`;
    return new PolicyError("over_capacity", `quota/${quota}`, message, { param: "model", retryAfterSeconds });
  }

  /** What was counted in these quotas is over, and took so many tokens more than counted. */
  end(spent: readonly Spent[], tokens: number): void {
    const same = spent.filter(({ quota, life }) => this.#lives.get(quota) === life).map(({ quota }) => quota);
    if (same.length > 0) this.#shares.end(same, tokens);
  }

  /** What a pin says of where the model may be served, for people; null: there is none. */
  pinned(model: string): string | null {
    const pin = this.#views.pins.pinFor(model);
    if (pin === undefined) return null;
    const { nodes, selector } = pin;
    if (nodes !== undefined) {
      const more = nodes.length - NODES_NAMED_MAX;
      const named = nodes.slice(0, NODES_NAMED_MAX).join(", ");
      return `the policy pin/${model} allows only ${named}${more > 0 ? ` and ${more} more nodes` : ""}`;
    }
    if (selector === undefined) return null;
    const labels = Object.entries(selector).map(([label, value]) => `${label}=${value}`);
    return `the policy pin/${model} allows only nodes labelled ${labels.join(", ")}`;
  }
}
