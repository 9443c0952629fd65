/**
 * What becomes one transaction: writes that wait, each checked on what the ones before it leave, and each with a revision
 * of its own, as if they had come one by one. All of it is pure; etcd-writer.ts sends it.
 */
import { randomBytes } from "node:crypto";
import { Compare, Event, type RequestOp, type TxnRequest } from "../gen/etcd.js";
import { type Change, type Item, keyOf } from "../policy/item.ts";
import type { Outcome, Refusal } from "../policy/outcome.ts";
import type { Kind } from "../policy/spec.ts";
import { type View, type Write, checkWrites, refusal, specBytes, targetOf } from "../policy/write.ts";
import type { EtcdKeys } from "./etcd-keys.ts";
import type { EtcdMirror, Stamp } from "./etcd-mirror.ts";

/** A write that waits. */
export interface Asked {
  readonly writes: readonly Write[];
  /** "" for none. */
  readonly key: string;
  /** Of what is written: an idempotency key is for one write. */
  readonly fingerprint: string;
}

/** The value of an idempotency key. */
export interface Memory {
  /** The transaction that wrote it. */
  readonly batch: string;
  readonly fingerprint: string;
  readonly outcome:
    | { readonly ok: true; readonly revision: number; readonly changed: boolean }
    | Omit<Refusal, "current">;
}

/** Writes in a transaction, and bytes of what they put. */
const ENTRIES_MAX = 64;
const BYTES_MAX = 512 * 1024;
/** etcd's --max-txn-ops is 128; a transaction within a transaction has what its parent leaves of them. */
const OPERATIONS_MAX = 90;
/** Of keys beside the revision's: what others than this program write may lie in between. */
const COMPARED_MAX = 32;

const { CREATE, MOD } = Compare.CompareTarget;
const BATCH_BYTES = 9;

/** What a write would see behind the ones before it. */
class Draft implements View {
  readonly #base: View;
  readonly #changes = new Map<string, Item | null>();
  revision: number;
  size: number;
  specsBytes: number;

  constructor(base: View) {
    this.#base = base;
    ({ revision: this.revision, size: this.size, specsBytes: this.specsBytes } = base);
  }

  get(kind: Kind, name: string): Item | undefined {
    const changed = this.#changes.get(keyOf({ kind, name }));
    return changed === undefined ? this.#base.get(kind, name) : (changed ?? undefined);
  }

  touches(changes: readonly Change[]): boolean {
    return changes.some((change) => this.#changes.has(keyOf("item" in change ? change.item : change.deleted)));
  }

  take(changes: readonly Change[], revision: number): void {
    this.revision = revision;
    for (const change of changes) {
      const key = "item" in change ? change.item : change.deleted;
      const item = "item" in change ? change.item : null;
      const before = this.get(key.kind, key.name);
      this.size += (item === null ? 0 : 1) - (before === undefined ? 0 : 1);
      this.specsBytes +=
        (item === null ? 0 : specBytes(item.spec)) - (before === undefined ? 0 : specBytes(before.spec));
      this.#changes.set(keyOf(key), item);
    }
  }
}

export class EtcdPlan<A extends Asked> {
  readonly entries: readonly { readonly asked: A; readonly outcome: Outcome }[];
  readonly changes: readonly Change[];
  /** By which this transaction is known again. */
  readonly batch = randomBytes(BATCH_BYTES).toString("base64url");
  /** The revision in etcd that it stands on. */
  readonly comparedAt: number;
  readonly #keys: EtcdKeys;
  readonly #mirror: EtcdMirror;
  readonly #revision: number;

  /** Takes from the front of the queue, one at least and at most `entriesMax`; the queue is left as it is. */
  constructor(keys: EtcdKeys, mirror: EtcdMirror, queue: readonly A[], atMs: number, entriesMax = ENTRIES_MAX) {
    this.#keys = keys;
    this.#mirror = mirror;
    this.comparedAt = mirror.at;
    const draft = new Draft(mirror);
    const entries: { asked: A; outcome: Outcome }[] = [];
    const all: Change[] = [];
    const known = new Set<string>();
    let bytes = 0;
    for (const asked of queue.slice(0, Math.min(entriesMax, ENTRIES_MAX))) {
      const { outcome, changes } = checkWrites(draft, asked.writes, atMs);
      bytes += changes.reduce((sum, change) => sum + ("item" in change ? specBytes(change.item.spec) : 0), 0);
      // No key is put twice in a transaction, so that no revision of it is lost to those who watch.
      const isApart = draft.touches(changes) || known.has(asked.key) || bytes > BYTES_MAX;
      if (entries.length > 0 && isApart) break;
      if (outcome.ok) draft.take(changes, outcome.revision);
      if (asked.key !== "") known.add(asked.key);
      entries.push({ asked, outcome });
      all.push(...changes);
    }
    this.entries = entries;
    this.changes = all;
    this.#revision = draft.revision;
  }

  /** Whether it only finds out that what it stands on is still so. */
  get isReadOnly(): boolean {
    return this.changes.length === 0 && !this.hasKeys;
  }

  get hasKeys(): boolean {
    return this.entries.some(({ asked }) => asked.key !== "");
  }

  /** `lease`: etcd's, for what is remembered of the idempotency keys. */
  request(lease: number): TxnRequest.$Properties {
    const keyed = this.entries.filter(({ asked }) => asked.key !== "");
    const touched = this.changes.map((change) => ("item" in change ? change.item : change.deleted));
    const compare: Compare.$Properties[] = [
      { target: MOD, key: this.#keys.revision, modRevision: this.comparedAt },
      ...keyed.map(({ asked }) => ({ target: CREATE, key: this.#keys.done(asked.key), createRevision: 0 })),
      ...(touched.length > COMPARED_MAX ? [] : touched).map((key) => ({
        target: MOD,
        key: this.#keys.item(key),
        modRevision: this.#mirror.atOf(key),
      })),
    ];
    const memories = keyed.map(({ asked, outcome }) => ({
      requestPut: { key: this.#keys.done(asked.key), value: json(memoryOf(this.batch, asked, outcome)), lease },
    }));
    const ledgers = this.changes.flatMap((change) =>
      "deleted" in change && change.deleted.kind === "quota"
        ? [{ requestDeleteRange: { key: this.#keys.ledger(change.deleted.name) } }]
        : [],
    );
    const operations: RequestOp.$Properties[] = [
      ...this.#puts().map(({ key, value }) =>
        value === undefined ? { requestDeleteRange: { key } } : { requestPut: { key, value } },
      ),
      ...ledgers,
      ...memories,
    ];
    return {
      compare,
      success: nested(operations),
      failure: [
        { requestRange: { key: this.#keys.revision } },
        ...keyed.map(({ asked }) => ({ requestRange: { key: this.#keys.done(asked.key) } })),
      ],
    };
  }

  /** What the feed will tell of it, once it was carried out at that revision of etcd. */
  events(modRevision: number): Event.$Properties[] {
    return this.#puts().map(({ key, value }) =>
      value === undefined
        ? { type: Event.EventType.DELETE, kv: { key, modRevision } }
        : { type: Event.EventType.PUT, kv: { key, value, modRevision } },
    );
  }

  /** Keys with their new values; without one where they are deleted. */
  #puts(): { readonly key: Buffer; readonly value?: Buffer }[] {
    if (this.changes.length === 0) return [];
    const deleted = Object.fromEntries(
      this.changes.flatMap((change) => ("deleted" in change ? [[keyOf(change.deleted), change.revision]] : [])),
    );
    const stamp: Stamp = { revision: this.#revision, batch: this.batch, deleted };
    return [
      { key: this.#keys.revision, value: json(stamp) },
      ...this.changes.map((change) =>
        "item" in change
          ? { key: this.#keys.item(change.item), value: json(change.item) }
          : { key: this.#keys.item(change.deleted) },
      ),
    ];
  }
}

/** As many as etcd takes in one list; the rest in lists within it. */
function nested(operations: RequestOp.$Properties[]): RequestOp.$Properties[] {
  if (operations.length <= OPERATIONS_MAX) return operations;
  const lists: RequestOp.$Properties[] = [];
  for (let at = 0; at < operations.length; at += OPERATIONS_MAX) {
    lists.push({ requestTxn: { success: operations.slice(at, at + OPERATIONS_MAX) } });
  }
  return lists;
}

function memoryOf(batch: string, { fingerprint }: Asked, outcome: Outcome): Memory {
  if (outcome.ok) {
    const { ok, revision, changed } = outcome;
    return { batch, fingerprint, outcome: { ok, revision, changed } };
  }
  const { ok, code, message, at } = outcome;
  return { batch, fingerprint, outcome: { ok, code, message, at } };
}

/** What a write was answered that came before with this key; undefined for bytes that are no memory. */
export function recalled(value: Uint8Array, asked: Asked, view: View): { batch: string; outcome: Outcome } | undefined {
  let memory: Partial<Memory> | null;
  try {
    memory = JSON.parse(Buffer.from(value).toString()) as Partial<Memory> | null;
  } catch {
    return undefined;
  }
  const { batch, fingerprint, outcome } = memory ?? {};
  if (batch === undefined || outcome === undefined) return undefined;
  if (fingerprint !== asked.fingerprint) {
    const message = `the idempotency key ${asked.key} was used for another write: use a new key for each write`;
    return { batch, outcome: refusal("invalid", message, -1) };
  }
  const items = asked.writes.map((write) => {
    const { kind, name } = targetOf(write);
    return view.get(kind, name) ?? null;
  });
  if (outcome.ok) return { batch, outcome: { ...outcome, items, repeated: true } };
  const { code, message, at } = outcome;
  return { batch, outcome: refusal(code, message, at, code === "conflict" ? (items[at] ?? null) : undefined) };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
