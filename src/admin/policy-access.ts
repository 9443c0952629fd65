/**
 * What the API needs of the store that holds the policies (store/policy-store.ts fulfils it), and policies on their way
 * between items and messages: a spec is the message of its kind without what was not said.
 */
import { MeshError } from "../base/errors.ts";
import type { Init, Policy } from "../gen/services.js";
import type { Item } from "../policy/item.ts";
import type { Outcome, Refusal } from "../policy/outcome.ts";
import { KINDS, type Kind } from "../policy/spec.ts";
import type { Write } from "../policy/write.ts";
import { didYouMean } from "../base/nearest.ts";
import { ConflictError } from "./call-error.ts";
import type { Call } from "./services.ts";

export interface PolicyReadOptions {
  /** Holds every write that was acknowledged before, by whomever; else what this node knows. */
  readonly consistent?: boolean;
  readonly timeoutMs?: number;
}

export interface StoreMemberFacts {
  readonly member: string;
  readonly node: string;
  readonly address: string;
  readonly role: string;
  readonly matchIndex: number | null;
  readonly active?: boolean | null;
}

export interface StoreFacts {
  readonly engine: string;
  readonly cluster: string;
  readonly writable: boolean;
  readonly alarm: string;
  readonly revision: number;
  readonly items: number;
  readonly term: number;
  readonly leader: string;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly logBytes: number;
  readonly members: readonly StoreMemberFacts[];
  readonly changing: boolean;
}

export interface PolicyAccess {
  list(
    options?: PolicyReadOptions & { readonly kind?: Kind },
  ): Promise<{ readonly items: readonly Item[]; readonly revision: number }>;
  get(
    kind: Kind,
    name: string,
    options?: PolicyReadOptions,
  ): Promise<{ readonly item: Item | null; readonly revision: number }>;
  /** All of them or none. */
  write(writes: readonly Write[], options?: { readonly key?: string; readonly timeoutMs?: number }): Promise<Outcome>;
  status(): Promise<StoreFacts>;
  changeMembers(
    change:
      | { readonly add: string; readonly address: string }
      | { readonly remove: string }
      | { readonly transferTo: string },
    timeoutMs: number,
  ): Promise<void>;
  save(timeoutMs: number): Promise<Uint8Array>;
  restore(saved: Uint8Array, timeoutMs: number): Promise<Outcome>;
}

/** For callers that give no deadline; a little less than most clients wait. */
const TIMEOUT_MS = 5000;

/** For the answer on its way back. */
const ANSWER_MS = 100;

/** What is left of a call's time, for the store. */
export function timeLeft(call: Call): number {
  const leftMs = call.deadlineMs - performance.now();
  // The store's own word of what went wrong says more than that the time is over.
  return Math.max(1, Math.min(TIMEOUT_MS, Math.round(leftMs - Math.min(ANSWER_MS, leftMs / 10))));
}

export function kindOf(text: string): Kind {
  const kind = KINDS.find((each) => each === text);
  if (kind !== undefined) return kind;
  const hint = didYouMean(text, KINDS);
  const what = text === "" ? "kind is missing" : `there is no kind ${JSON.stringify(text.slice(0, 40))}`;
  throw new MeshError("bad_request", `${what}; expected ${KINDS.join(", ")}${hint === "" ? "" : `; ${hint}`}`, {
    param: "kind",
  });
}

export function policyMessage(item: Item): Init<Policy> {
  const { kind, name, spec, revision, createdRevision, updatedAtMs } = item;
  return { kind, name, [kind]: spec, revision, createdRevision, updatedAtMs };
}

/** The kind and spec that a message with a oneof of specs names; its `kind` may say it too. */
export function specIn(message: { readonly [K in Kind]?: object | undefined } & { readonly kind: string }): {
  kind: Kind;
  spec: object;
} {
  const given = KINDS.find((kind) => message[kind] !== undefined);
  const kind = message.kind === "" && given !== undefined ? given : kindOf(message.kind);
  const spec = message[kind];
  if (spec !== undefined) return { kind, spec: said(spec) };
  const why = given === undefined ? `${kind} is missing` : `kind is ${kind}, but ${given} is given`;
  throw new MeshError("bad_request", `${why}; expected the spec under "${kind}"`, { param: kind });
}

/** The message without what says nothing: empty texts, lists and maps. */
export function said(message: object): object {
  const entries = Object.entries(message).flatMap(([name, value]): [string, unknown][] => {
    if (value === undefined || value === "") return [];
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return Array.isArray(value) && value.length === 0 ? [] : [[name, value]];
    }
    const inner = said(value as object);
    return Object.keys(inner).length === 0 ? [] : [[name, inner]];
  });
  return Object.fromEntries(entries);
}

export function refusalError({ code, message, at, current }: Refusal): MeshError {
  switch (code) {
    case "conflict":
      return new ConflictError(message, Math.max(0, at), current ? policyMessage(current) : null);
    case "not_found":
      return new MeshError("not_found", message);
    case "limit":
      return new MeshError("store_full", message);
    case "invalid":
      return new MeshError("bad_request", message);
  }
}
