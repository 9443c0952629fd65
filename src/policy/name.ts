/**
 * What policies are called: the name says whom and what one is for. Models may have slashes in their names, tenants may
 * not: so `TENANT/MODEL` ends its tenant at the first slash, and `SUBJECT/MODEL/ACTION` begins its action at the last.
 */
import { type Reading, refuse } from "../base/field.ts";
import { isName } from "./spec-reading.ts";
import { ACTIONS, type Action, type Kind, NAME_CHARACTERS_MAX } from "./spec.ts";

/** Stands for every tenant, model, subject or action. */
export const ANY = "*";

/** A tenant, or ANY, and a model, or ANY. */
export interface Scope {
  readonly tenant: string;
  readonly model: string;
}

/** The parts of `TENANT/MODEL`; undefined where there is no slash or a part is empty. */
export function scopeOf(name: string): Scope | undefined {
  const slash = name.indexOf("/");
  if (slash <= 0 || slash === name.length - 1) return undefined;
  return { tenant: name.slice(0, slash), model: name.slice(slash + 1) };
}

/** Whom an access rule is for. Of a key its SHA-256 in hexadecimal, or the first 16 digits of that. */
export type Subject =
  | { readonly by: "key"; readonly hash: string }
  | { readonly by: "tenant"; readonly tenant: string }
  | { readonly by: "any" };

export interface AclName {
  readonly subject: Subject;
  readonly model: string;
  readonly action: Action | typeof ANY;
}

/** The parts of `SUBJECT/MODEL/ACTION`; undefined for what is none. */
export function aclNameOf(name: string): AclName | undefined {
  const first = name.indexOf("/");
  const last = name.lastIndexOf("/");
  const subject = subjectOf(name.slice(0, Math.max(first, 0)));
  const model = name.slice(first + 1, Math.max(last, 0));
  const word = name.slice(last + 1);
  const action = word === ANY ? ANY : ACTIONS.find((each) => each === word);
  if (subject === undefined || action === undefined || last === first || !isPlain(model)) return undefined;
  return { subject, model, action };
}

function subjectOf(word: string): Subject | undefined {
  if (word === ANY) return { by: "any" };
  const tenant = /^tenant:(.+)$/u.exec(word)?.[1];
  if (tenant !== undefined) return tenant.includes(ANY) ? undefined : { by: "tenant", tenant };
  const hash = /^key:((?:[0-9a-f]{16}|[0-9a-f]{64}))$/.exec(word)?.[1];
  return hash === undefined ? undefined : { by: "key", hash };
}

/** A name, or ANY alone: patterns are no names. */
function isPlain(part: string): boolean {
  return part === ANY || (part !== "" && !part.includes(ANY));
}

function isScope(name: string): boolean {
  const scope = scopeOf(name);
  return scope !== undefined && isPlain(scope.tenant) && isPlain(scope.model);
}

const SHAPES: { readonly [K in Kind]: { readonly fits: (name: string) => boolean; readonly shape: string } } = {
  acl: {
    fits: (name) => aclNameOf(name) !== undefined,
    shape: `SUBJECT/MODEL/ACTION, the subject tenant:NAME, key:SHA256 (64 or 16 small hexadecimal digits) or *, the model a name or *, the action ${ACTIONS.join(", ")} or *`,
  },
  balance: { fits: isPlain, shape: "a model's name, or * for all" },
  node: { fits: (name) => !name.includes(ANY), shape: "a node id" },
  pin: { fits: (name) => !name.includes(ANY), shape: "a model's name" },
  priority: {
    fits: (name) => (name.includes("/") ? isScope(name) && !name.endsWith(`/${ANY}`) : isPlain(name)),
    shape: "TENANT, TENANT/MODEL, */MODEL or *",
  },
  quota: { fits: isScope, shape: "TENANT/MODEL, * standing for every one" },
  scaling: { fits: (name) => !name.includes(ANY), shape: "a model's name" },
  slo: {
    fits: (name) => isPlain(name) || (isScope(name) && !name.startsWith(`${ANY}/`)),
    shape: "a model's name, TENANT/MODEL, TENANT/* or *",
  },
};

/** The name of a policy of that kind, or undefined after a fault was reported. */
export function readName(kind: Kind, raw: unknown, at: Reading): string | undefined {
  if (!isName(raw, NAME_CHARACTERS_MAX)) {
    return refuse(raw, at, `a name of 1 to ${NAME_CHARACTERS_MAX} printable characters without spaces`);
  }
  const { fits, shape } = SHAPES[kind];
  return fits(raw) ? raw : refuse(raw, at, shape);
}
