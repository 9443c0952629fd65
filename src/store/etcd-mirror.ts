/**
 * What etcd holds of the policies, kept by what the feed tells and by this node's own transactions as soon as they are
 * acknowledged: so writes are checked here, against a state that the transaction then compares with etcd's.
 *
 * Every key's own revision in etcd decides what is new, so that whatever is told twice or late changes nothing. What
 * somebody wrote into etcd by hand is taken if it is a policy, and left out, and told, if it is none.
 */
import { isRecord } from "../base/field.ts";
import { Event, type KeyValue } from "../gen/etcd.js";
import { type Change, type Item, type ItemKey, type ItemOf, compareItems, keyOf } from "../policy/item.ts";
import { faultsText, readingAt } from "../policy/spec-reading.ts";
import type { Kind } from "../policy/spec.ts";
import { type View, readPolicy, specBytes } from "../policy/write.ts";
import type { EtcdKeys } from "./etcd-keys.ts";

/** The value of the revision's key. */
export interface Stamp {
  readonly revision: number;
  /** A number drawn for the transaction, by which its author knows it again. */
  readonly batch: string;
  /** Revisions of the items that it deleted, by key: what is deleted has no place of its own to tell. */
  readonly deleted: Readonly<Record<string, number>>;
}

/** What one revision of the store did. */
export interface Step {
  readonly revision: number;
  readonly changes: readonly Change[];
}

interface Row {
  /** Null for what is no policy. */
  readonly item: Item | null;
  /** etcd's revision of it. */
  readonly at: number;
  readonly bytes: number;
}

/** Transactions that are remembered by their numbers. */
const BATCHES_MAX = 1000;

export class EtcdMirror implements View {
  readonly #keys: EtcdKeys;
  readonly #rows = new Map<string, Row>();
  readonly #unreadable = new Map<string, string>();
  readonly #batches = new Set<string>();
  #revision = 0;
  #at = 0;
  #loadedAt = 0;
  #size = 0;
  #specsBytes = 0;
  #sorted: readonly Item[] | null = null;

  constructor(keys: EtcdKeys) {
    this.#keys = keys;
  }

  /** The store's. */
  get revision(): number {
    return this.#revision;
  }

  /** etcd's, of the newest transaction that is in here; 0 before the first. */
  get at(): number {
    return this.#at;
  }

  get size(): number {
    return this.#size;
  }

  get specsBytes(): number {
    return this.#specsBytes;
  }

  /** Keys that hold no policy, with the reason. */
  get unreadable(): ReadonlyMap<string, string> {
    return this.#unreadable;
  }

  get<K extends Kind>(kind: K, name: string): ItemOf<K> | undefined {
    return (this.#rows.get(keyOf({ kind, name }))?.item ?? undefined) as ItemOf<K> | undefined;
  }

  /** etcd's revision of an item's key; 0 where there is none. */
  atOf(key: ItemKey): number {
    return this.#rows.get(keyOf(key))?.at ?? 0;
  }

  /** By kind, then by name. */
  list(kind?: Kind): readonly Item[] {
    this.#sorted ??= [...this.#rows.values()].flatMap(({ item }) => item ?? []).toSorted(compareItems);
    return kind === undefined ? this.#sorted : this.#sorted.filter((item) => item.kind === kind);
  }

  /** Whether a transaction is known to have been carried out; undefined where it may have been before all was loaded. */
  has(batch: string, comparedAt: number): boolean | undefined {
    if (this.#batches.has(batch)) return true;
    return this.#loadedAt > comparedAt ? undefined : false;
  }

  load(kvs: readonly KeyValue.$Properties[]): void {
    this.#rows.clear();
    this.#unreadable.clear();
    this.#sorted = null;
    [this.#revision, this.#at, this.#size, this.#specsBytes] = [0, 0, 0, 0];
    for (const kv of kvs) {
      if (this.#keys.isRevision(kv.key!)) this.#stamped(stampIn(kv.value), kv.modRevision ?? 0);
      else this.#put(kv);
    }
    // Where the stamp is gone or no longer one, the items know.
    for (const { item } of this.#rows.values()) this.#revision = Math.max(this.#revision, item?.revision ?? 0);
    this.#loadedAt = this.#at;
  }

  /** What was new in it, in the store's order. */
  change(events: readonly Event.$Properties[]): Step[] {
    const steps: Step[] = [];
    for (let from = 0; from < events.length;) {
      const at = events[from]?.kv?.modRevision ?? 0;
      let to = from + 1;
      while (to < events.length && events[to]?.kv?.modRevision === at) to += 1;
      steps.push(...this.#transaction(events.slice(from, to), at));
      from = to;
    }
    return steps;
  }

  #transaction(events: readonly Event.$Properties[], at: number): Step[] {
    const head = events.find(({ kv }) => this.#keys.isRevision(kv!.key!));
    // This node's own came by its answer before, or comes by it after the feed has told it and what followed.
    if (head !== undefined && at <= this.#at) return [];
    const stamp = head !== undefined && head.type !== Event.EventType.DELETE ? stampIn(head.kv!.value) : undefined;
    if (head !== undefined) this.#stamped(stamp, at);
    const byRevision = new Map<number, Change[]>();
    for (const event of events) {
      const change = event === head ? undefined : this.#changed(event, at, stamp);
      if (change === undefined) continue;
      const own = "item" in change ? change.item.revision : change.revision;
      const revision = stamp === undefined ? this.#revision : own;
      const same = byRevision.get(revision);
      if (same === undefined) byRevision.set(revision, [change]);
      else same.push(change);
    }
    return [...byRevision]
      .map(([revision, changes]) => ({ revision, changes }))
      .toSorted((a, b) => a.revision - b.revision);
  }

  #changed({ type, kv }: Event.$Properties, at: number, stamp: Stamp | undefined): Change | undefined {
    const key = this.#keys.itemKeyOf(kv!.key!);
    const before = key === undefined ? undefined : this.#rows.get(keyOf(key));
    if (before !== undefined && before.at >= at) return undefined;
    const item = type === Event.EventType.DELETE ? this.#remove(kv!) : this.#put(kv!);
    if (item !== null) return { item };
    if (key === undefined || before === undefined || before.item === null) return undefined;
    return { deleted: key, revision: stamp?.deleted[keyOf(key)] ?? this.#revision };
  }

  #stamped(stamp: Stamp | undefined, at: number): void {
    this.#at = at;
    // A stamp that someone destroyed leaves the count where it was.
    if (stamp === undefined) return;
    this.#revision = Math.max(this.#revision, stamp.revision);
    this.#batches.add(stamp.batch);
    if (this.#batches.size > BATCHES_MAX) for (const oldest of this.#batches) return void this.#batches.delete(oldest);
  }

  #put(kv: KeyValue.$Properties): Item | null {
    const name = Buffer.from(kv.key!).toString();
    const key = this.#keys.itemKeyOf(kv.key!);
    const read = key === undefined ? "its key is no policy's" : itemIn(key, kv.value);
    const item = typeof read === "string" ? null : read;
    if (typeof read === "string") this.#unreadable.set(name, read);
    else this.#unreadable.delete(name);
    if (key !== undefined) {
      const bytes = item === null ? 0 : specBytes(item.spec);
      this.#replace(keyOf(key), { item, at: kv.modRevision ?? 0, bytes });
    }
    return item;
  }

  #remove(kv: KeyValue.$Properties): null {
    this.#unreadable.delete(Buffer.from(kv.key!).toString());
    const key = this.#keys.itemKeyOf(kv.key!);
    if (key !== undefined) this.#replace(keyOf(key), undefined);
    return null;
  }

  #replace(key: string, row: Row | undefined): void {
    const before = this.#rows.get(key);
    this.#size += (row?.item ? 1 : 0) - (before?.item ? 1 : 0);
    this.#specsBytes += (row?.bytes ?? 0) - (before?.bytes ?? 0);
    this.#sorted = null;
    if (row === undefined) this.#rows.delete(key);
    else this.#rows.set(key, row);
  }
}

function jsonIn(value: Uint8Array | null | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(value ?? []).toString());
  } catch {
    return undefined;
  }
}

function stampIn(value: Uint8Array | null | undefined): Stamp | undefined {
  const raw = jsonIn(value);
  if (!isRecord(raw)) return undefined;
  const { revision, batch, deleted } = raw;
  if (!Number.isSafeInteger(revision) || typeof batch !== "string" || !isRecord(deleted)) return undefined;
  return { revision: revision as number, batch, deleted: deleted as Stamp["deleted"] };
}

/** The item, or why it is none. */
function itemIn(key: ItemKey, value: Uint8Array | null | undefined): Item | string {
  const raw = jsonIn(value);
  if (!isRecord(raw)) return "it is no JSON object";
  const { kind, name, spec, revision, createdRevision, updatedAtMs } = raw;
  if (kind !== key.kind || name !== key.name) return "it says that it is another policy";
  const faults: Parameters<typeof readingAt>[1] = [];
  const policy = readPolicy(key.kind, name, spec, readingAt("", faults));
  if (policy === undefined) return faultsText(faults) ?? "it is no policy";
  const numbers = [revision, createdRevision, updatedAtMs];
  if (!numbers.every((number) => Number.isSafeInteger(number) && (number as number) >= 0)) {
    return "it has no revision, createdRevision and updatedAtMs";
  }
  return { ...policy, revision, createdRevision, updatedAtMs } as Item;
}
