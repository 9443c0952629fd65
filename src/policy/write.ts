/**
 * Writes of policies: what is asked, and what comes of it. A batch is atomic: all of it happens or nothing, and the
 * first write that can't is named. Nothing here keeps anything, so that every engine decides by the same rules.
 */
import { type Reading, isRecord, refuse } from "../base/field.ts";
import { didYouMean } from "../base/nearest.ts";
import { type Change, type Item, type ItemKey, keyOf } from "./item.ts";
import { readName } from "./name.ts";
import type { Outcome, Refusal, RefusalCode } from "./outcome.ts";
import { type Reader, inside, objectOf, whole, within } from "./spec-reading.ts";
import { KINDS, type Kind, SPEC_BYTES_MAX, SPEC_READERS, type Specs } from "./spec.ts";

/** A policy to be put in place of what there is of that name. */
export type Put = { [K in Kind]: { readonly kind: K; readonly name: string; readonly spec: Specs[K] } }[Kind];

/** With `ifRevision` only if the item has that revision; 0: only if there is none. */
export type Write =
  | { readonly put: Put; readonly ifRevision?: number }
  | { readonly delete: ItemKey; readonly ifRevision?: number };

/** Items in the store. */
export const ITEMS_MAX = 10_000;
/** All specs together, as JSON in UTF-8: what a snapshot can weigh. */
export const SPECS_BYTES_MAX = 32 * 1024 * 1024;
/** Of an idempotency key. */
export const KEY_CHARACTERS_MAX = 128;
/** Writes in a batch. */
export const WRITES_MAX = 1_000;

/** The state that writes are checked against. */
export interface View {
  /** The newest revision of the store. */
  readonly revision: number;
  readonly size: number;
  /** By `specBytes`, of all items. */
  readonly specsBytes: number;
  get(kind: Kind, name: string): Item | undefined;
}

const encoder = new TextEncoder();

/** What specs weigh, which don't change: each is asked when it is read, when it is put, and when it goes. */
const weights = new WeakMap<Specs[Kind], number>();

/** What a spec weighs. */
export function specBytes(spec: Specs[Kind]): number {
  const known = weights.get(spec);
  if (known !== undefined) return known;
  const bytes = encoder.encode(JSON.stringify(spec)).length;
  weights.set(spec, bytes);
  return bytes;
}

// ---- reading --------------------------------------------------------------------------------------------------------

const readKind: Reader<Kind> = (raw, at) => {
  const known = KINDS.find((each) => each === raw);
  if (known !== undefined) return known;
  return refuse(raw, at, `one of ${KINDS.join(", ")}`, typeof raw === "string" ? didYouMean(raw, KINDS) : "");
};

const any: Reader<unknown> = (raw) => raw;

const rawKey = objectOf<{ kind: Kind; name: unknown }>({ kind: readKind, name: any }, ["kind", "name"]);
const rawPut = objectOf<{ kind: Kind; name: unknown; spec: unknown }>({ kind: readKind, name: any, spec: any }, [
  "kind",
  "name",
  "spec",
]);

const revisionOf = whole(0, Number.MAX_SAFE_INTEGER);

const WRITE_FIELDS = ["put", "delete", "ifRevision"];

/** The write in its canonical form, or undefined after faults were reported. */
export const readWrite: Reader<Write> = (raw, at) => {
  if (!isRecord(raw) || ("put" in raw && "delete" in raw) || !("put" in raw || "delete" in raw)) {
    return refuse(raw, at, "an object with put or delete");
  }
  const before = at.faults.length;
  const { put, delete: gone, ifRevision } = raw;
  for (const word of Object.keys(raw)) {
    if (WRITE_FIELDS.includes(word)) continue;
    refuse(raw[word], within(at, word), "no such field", didYouMean(word, WRITE_FIELDS));
  }
  const revision = ifRevision === undefined ? undefined : revisionOf(ifRevision, inside(at, "ifRevision"));
  const condition = revision === undefined ? {} : { ifRevision: revision };
  const asked = put === undefined ? readDelete(gone, inside(at, "delete")) : readPut(put, inside(at, "put"));
  if (asked === undefined || at.faults.length > before) return undefined;
  if (put === undefined && revision === 0)
    return refuse(0, inside(at, "ifRevision"), "a revision to delete, 1 or more");
  return { ...asked, ...condition };
};

function readDelete(raw: unknown, at: Reading): { delete: ItemKey } | undefined {
  const asked = rawKey(raw, at);
  if (asked === undefined) return undefined;
  const name = readName(asked.kind, asked.name, inside(at, "name"));
  return name === undefined ? undefined : { delete: { kind: asked.kind, name } };
}

function readPut(raw: unknown, at: Reading): { put: Put } | undefined {
  const asked = rawPut(raw, at);
  if (asked === undefined) return undefined;
  const put = readPolicy(asked.kind, asked.name, asked.spec, at);
  return put === undefined ? undefined : { put };
}

/** A policy in its canonical form, or undefined after faults were reported. */
export function readPolicy(kind: Kind, rawName: unknown, rawSpec: unknown, at: Reading): Put | undefined {
  const name = readName(kind, rawName, inside(at, "name"));
  const here = inside(at, "spec");
  const spec = SPEC_READERS[kind](rawSpec, here);
  if (name === undefined || spec === undefined) return undefined;
  if (specBytes(spec) > SPEC_BYTES_MAX)
    return refuse(rawSpec, here, `a spec of at most ${SPEC_BYTES_MAX} bytes as JSON`);
  return { kind, name, spec } as Put;
}

/** Lists that were read here: they are in their canonical form. */
const canonical = new WeakSet<readonly Write[]>();

export function isCanonical(writes: readonly Write[]): boolean {
  return canonical.has(writes);
}

/** A list of writes, each policy named once. */
export const readWrites: Reader<readonly Write[]> = (raw, at) => {
  if (!Array.isArray(raw) || raw.length === 0 || raw.length > WRITES_MAX) {
    return refuse(Array.isArray(raw) ? raw.length : raw, at, `a list of 1 to ${WRITES_MAX} writes`);
  }
  const before = at.faults.length;
  const seen = new Set<string>();
  const writes: Write[] = [];
  for (const [index, each] of raw.entries()) {
    const here = inside(at, `[${index}]`);
    const write = readWrite(each, here);
    if (write === undefined) continue;
    const target = keyOf(targetOf(write));
    if (seen.has(target)) refuse(target, here, "each policy once in a batch");
    seen.add(target);
    writes.push(write);
  }
  if (at.faults.length > before) return undefined;
  canonical.add(writes);
  return writes;
};

/** Which item a write is about. */
export function targetOf(write: Write): ItemKey {
  return "put" in write ? write.put : write.delete;
}

// ---- deciding -------------------------------------------------------------------------------------------------------

/** What comes of a batch on that state: the outcome, and the changes that bring it about (none after a refusal). */
export function checkWrites(
  view: View,
  writes: readonly Write[],
  atMs: number,
): { readonly outcome: Outcome; readonly changes: readonly Change[] } {
  const revision = view.revision + 1;
  const changes: Change[] = [];
  const items: (Item | null)[] = [];
  let { size, specsBytes } = view;
  for (const [at, write] of writes.entries()) {
    const target = targetOf(write);
    const current = view.get(target.kind, target.name);
    const conflict = conflictOf(write, current, at);
    if (conflict !== undefined) return { outcome: conflict, changes: [] };
    const before = current === undefined ? 0 : specBytes(current.spec);
    if ("delete" in write) {
      size -= 1;
      specsBytes -= before;
      items.push(null);
      changes.push({ deleted: { kind: target.kind, name: target.name }, revision });
      continue;
    }
    const isAsHeavy = before === specBytes(write.put.spec);
    if (current !== undefined && isAsHeavy && JSON.stringify(current.spec) === JSON.stringify(write.put.spec)) {
      items.push(current);
      continue;
    }
    size += current === undefined ? 1 : 0;
    specsBytes += specBytes(write.put.spec) - before;
    if (current === undefined && size > ITEMS_MAX) return full(at, `${ITEMS_MAX} policies`);
    if (specsBytes > SPECS_BYTES_MAX) return full(at, `${SPECS_BYTES_MAX} bytes of policies`);
    const { kind, name, spec } = write.put;
    const createdRevision = current?.createdRevision ?? revision;
    const item = { kind, name, spec, revision, createdRevision, updatedAtMs: atMs } as Item;
    items.push(item);
    changes.push({ item });
  }
  const changed = changes.length > 0;
  const outcome: Outcome = { ok: true, revision: changed ? revision : view.revision, items, changed, repeated: false };
  return { outcome, changes };
}

function conflictOf(write: Write, current: Item | undefined, at: number): Refusal | undefined {
  const target = targetOf(write);
  const key = keyOf(target);
  if ("delete" in write && current === undefined) return refusal("not_found", `there is no ${key} to delete`, at, null);
  const wanted = write.ifRevision;
  if (wanted === undefined || wanted === (current?.revision ?? 0)) return undefined;
  const found = current === undefined ? "is not there" : `is at revision ${current.revision}`;
  const meant = wanted === 0 ? "not to exist" : `at revision ${wanted}`;
  const message = `${key} ${found}, and was expected ${meant}: read it again and repeat the change on what it says now`;
  return refusal("conflict", message, at, current ?? null);
}

function full(at: number, what: string): { outcome: Refusal; changes: readonly Change[] } {
  return { outcome: refusal("limit", `the store holds at most ${what}: delete some first`, at), changes: [] };
}

export function refusal(code: RefusalCode, message: string, at: number, current?: Item | null): Refusal {
  return current === undefined ? { ok: false, code, message, at } : { ok: false, code, message, at, current };
}
