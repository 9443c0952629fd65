/**
 * Who may do what with a model, compiled from access rules for the hot path: a few lookups in maps, and nothing allocated.
 *
 * A rule is about a subject (a key, its tenant, or everybody), a model (one, or all) and an action (one, or all). Of the
 * rules that match, those count to which no other is more special: at least as special in all three, and more in one; a
 * key is more special than its tenant. Is one of them a denial, it is denied. So an exception must name all that the rule
 * names that it is an exception of, and more. Two rules that cross (one for a tenant on all models, one for everybody on
 * one model) are no exceptions of one another, and the denial wins.
 *
 * Where no rule matches, it is allowed; unless an allowance for anybody is about this model and action: then it is a list
 * of who may, and who is not on it may not. An allowance for all models makes such a list for every model.
 */
import { ANY, type AclName, aclNameOf } from "./name.ts";
import { ACTIONS, type AclSpec, type Action } from "./spec.ts";

/** The bit of an action in the masks of a rule; that of ANY comes after the others. */
const ANY_ACTION = ACTIONS.length;

/** Places in a mask of what matched: subject (key 2, tenant 1, any 0) x 4 + model (named 2) + action (named 1). */
const KEY = 8;
const TENANT = 4;
const MODEL = 2;
const ACTION = 1;

/** By place: the places that are more special. */
const MORE_SPECIAL = Array.from({ length: 12 }, (_, place) => {
  let mask = 0;
  for (let other = 0; other < 12; other += 1) {
    const isAsSpecial = other >> 2 >= place >> 2 && (other & MODEL) >= (place & MODEL) && (other & 1) >= (place & 1);
    if (isAsSpecial && other !== place) mask |= 1 << other;
  }
  return mask;
});

/** The rules of one subject about one model, by action. */
class Rules {
  allow = 0;
  deny = 0;
}

type ByModel = Map<string, Rules>;

export interface AclAnswer {
  readonly allowed: boolean;
  /** The rule that decided, by its name; null where none did. */
  readonly rule: string | null;
  /** For people. */
  readonly why: string;
}

export class AclView {
  readonly #specs = new Map<string, AclSpec>();
  /** By 64 digits, and by the first 16. */
  readonly #keys = new Map<string, ByModel>();
  readonly #shortKeys = new Map<string, ByModel>();
  readonly #tenants = new Map<string, ByModel>();
  readonly #anybody: ByModel = new Map();
  /** How many allowances there are, by model and action. */
  readonly #listed = new Map<string, number[]>();
  #allow = 0;
  #deny = 0;

  /** Rules. When there are none, everything is allowed. */
  get size(): number {
    return this.#specs.size;
  }

  put(name: string, spec: AclSpec): void {
    this.delete(name);
    const parts = aclNameOf(name);
    if (parts === undefined) return;
    this.#specs.set(name, spec);
    this.#mark(parts, spec, true);
  }

  delete(name: string): void {
    const spec = this.#specs.get(name);
    const parts = aclNameOf(name);
    if (spec === undefined || parts === undefined) return;
    this.#specs.delete(name);
    this.#mark(parts, spec, false);
  }

  clear(): void {
    for (const map of [this.#specs, this.#keys, this.#shortKeys, this.#tenants, this.#anybody, this.#listed])
      map.clear();
  }

  /** `keyHash` is the SHA-256 of the client's key in small hexadecimal digits, "" for none; so is `tenant`. */
  allows(tenant: string, keyHash: string, model: string, action: Action): boolean {
    if (this.#specs.size === 0) return true;
    this.#match(tenant, keyHash, model, ACTIONS.indexOf(action));
    if ((this.#allow | this.#deny) === 0) return !this.#isListed(model, ACTIONS.indexOf(action));
    return deniedAt(this.#allow, this.#deny) < 0;
  }

  /** The same with the rule that decides: for people who ask why. */
  explain(tenant: string, keyHash: string, model: string, action: Action): AclAnswer {
    const allowed = this.allows(tenant, keyHash, model, action);
    this.#match(tenant, keyHash, model, ACTIONS.indexOf(action));
    if ((this.#allow | this.#deny) === 0) {
      const why = allowed
        ? "no rule is about it, and there is no list of who may"
        : `no rule is about it, and others are allowed ${action} on ${model}: who is not allowed may not`;
      return { allowed, rule: null, why };
    }
    const place = allowed ? topOf(this.#allow) : deniedAt(this.#allow, this.#deny);
    const rule = this.#nameAt(place, allowed ? "allow" : "deny", { tenant, keyHash, model, action });
    const reason = rule === null ? undefined : this.#specs.get(rule)?.reason;
    const said = `${rule ?? "a rule"} ${allowed ? "allows" : "denies"} it`;
    return { allowed, rule, why: reason === undefined ? said : `${said}: ${reason}` };
  }

  #mark({ subject, model, action }: AclName, { effect }: AclSpec, isThere: boolean): void {
    const bit = 1 << (action === ANY ? ANY_ACTION : ACTIONS.indexOf(action));
    const of = (map: Map<string, ByModel>, key: string): ByModel => {
      const known = map.get(key);
      if (known !== undefined) return known;
      const fresh: ByModel = new Map();
      map.set(key, fresh);
      return fresh;
    };
    const hash = subject.by === "key" ? subject.hash : "";
    const models =
      subject.by === "any"
        ? this.#anybody
        : subject.by === "tenant"
          ? of(this.#tenants, subject.tenant)
          : of(hash.length === 16 ? this.#shortKeys : this.#keys, hash);
    const rules = models.get(model) ?? new Rules();
    models.set(model, rules);
    rules[effect] = isThere ? rules[effect] | bit : rules[effect] & ~bit;
    if ((rules.allow | rules.deny) === 0) models.delete(model);
    if (models.size === 0 && subject.by === "tenant") this.#tenants.delete(subject.tenant);
    if (models.size === 0 && subject.by === "key") (hash.length === 16 ? this.#shortKeys : this.#keys).delete(hash);
    if (effect === "allow") this.#list(model, action === ANY ? ANY_ACTION : ACTIONS.indexOf(action), isThere ? 1 : -1);
  }

  #list(model: string, action: number, step: number): void {
    const counts = this.#listed.get(model) ?? [0, 0, 0, 0];
    counts[action]! += step;
    if (counts.some((count) => count > 0)) this.#listed.set(model, counts);
    else this.#listed.delete(model);
  }

  #isListed(model: string, action: number): boolean {
    const named = this.#listed.get(model);
    if (named !== undefined && named[action]! + named[ANY_ACTION]! > 0) return true;
    const all = this.#listed.get(ANY);
    return all !== undefined && all[action]! + all[ANY_ACTION]! > 0;
  }

  /** What matches, into the two masks. */
  #match(tenant: string, keyHash: string, model: string, action: number): void {
    this.#allow = 0;
    this.#deny = 0;
    if (keyHash !== "" && this.#keys.size > 0) this.#collect(this.#keys.get(keyHash), KEY, model, action);
    if (keyHash !== "" && this.#shortKeys.size > 0) {
      this.#collect(this.#shortKeys.get(keyHash.slice(0, 16)), KEY, model, action);
    }
    if (this.#tenants.size > 0) this.#collect(this.#tenants.get(tenant), TENANT, model, action);
    this.#collect(this.#anybody, 0, model, action);
  }

  #collect(models: ByModel | undefined, subject: number, model: string, action: number): void {
    if (models === undefined) return;
    const named = models.get(model);
    if (named !== undefined) this.#add(named, subject + MODEL, action);
    const all = models.get(ANY);
    if (all !== undefined) this.#add(all, subject, action);
  }

  #add({ allow, deny }: Rules, place: number, action: number): void {
    this.#allow |= (((allow >> action) & 1) << (place + ACTION)) | (((allow >> ANY_ACTION) & 1) << place);
    this.#deny |= (((deny >> action) & 1) << (place + ACTION)) | (((deny >> ANY_ACTION) & 1) << place);
  }

  #nameAt(
    place: number,
    effect: AclSpec["effect"],
    { tenant, keyHash, model, action }: { tenant: string; keyHash: string; model: string; action: Action },
  ): string | null {
    const subjects =
      place >= KEY ? [`key:${keyHash}`, `key:${keyHash.slice(0, 16)}`] : place >= TENANT ? [`tenant:${tenant}`] : [ANY];
    const rest = `${(place & MODEL) === 0 ? ANY : model}/${(place & ACTION) === 0 ? ANY : action}`;
    const names = subjects.map((subject) => `${subject}/${rest}`);
    return names.find((name) => this.#specs.get(name)?.effect === effect) ?? null;
  }
}

/** The most special place of a denial that no more special allowance lifts; -1 where there is none. */
function deniedAt(allow: number, deny: number): number {
  for (let place = 11; place >= 0; place -= 1) {
    if (((deny >> place) & 1) === 1 && (allow & MORE_SPECIAL[place]!) === 0) return place;
  }
  return -1;
}

function topOf(mask: number): number {
  return 31 - Math.clz32(mask);
}
