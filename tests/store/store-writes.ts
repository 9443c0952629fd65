/** Short ways to write policies, and to see what became of it. */
import type { Done, Outcome } from "../../src/policy/outcome.ts";
import type { Kind } from "../../src/policy/spec.ts";
import type { Write } from "../../src/policy/write.ts";

/** Any spec, so that what must be refused can be written. */
export function put(kind: Kind, name: string, spec: unknown, ifRevision?: number): Write {
  return { put: { kind, name, spec }, ...(ifRevision === undefined ? {} : { ifRevision }) } as unknown as Write;
}

export function gone(kind: Kind, name: string, ifRevision?: number): Write {
  return { delete: { kind, name }, ...(ifRevision === undefined ? {} : { ifRevision }) };
}

export function done(outcome: Outcome): Done {
  if (!outcome.ok) throw new Error(`refused: ${outcome.code}: ${outcome.message}`);
  return outcome;
}
