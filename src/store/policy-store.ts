/**
 * Where the policies are kept, as everything else sees it: one interface that each engine fulfils. The embedded engine
 * is a member of the consensus (`control-store.ts`), a follower keeps a copy and asks a member (`follower-store.ts`), and
 * etcd stands in for both where it runs already (`etcd-store.ts`). `tests/store/store-suite.ts` holds them to one behaviour.
 *
 * What throws, throws a MeshError: `no_quorum` and `not_leader` (nothing was written; try again), `request_timeout`
 * (it may have been written: try again with the same key, and it is written once), `store_full`, `draining`.
 */
import type { Write } from "../policy/write.ts";
import type { Change, Item } from "../policy/item.ts";
import type { Kind } from "../policy/spec.ts";
import type { Outcome } from "../policy/outcome.ts";
import type { Grant, Want } from "../policy/want.ts";

export interface ReadOptions {
  /** True: what is answered holds every write that was acknowledged before, by whomever. Otherwise what this node knows. */
  readonly consistent?: boolean;
  readonly timeoutMs?: number;
}

export interface WriteOptions {
  /** A write that comes twice with one key is done once, and answered alike. Made up if none is given. */
  readonly key?: string;
  readonly timeoutMs?: number;
}

export interface Listing {
  readonly items: readonly Item[];
  readonly revision: number;
}

export interface Watcher {
  /** All that there is: at the start, and whenever changes could not be told one by one. */
  reset(items: readonly Item[], revision: number): void;
  /** In order, each once. */
  changed(changes: readonly Change[], revision: number): void;
}

export interface StoreMember {
  /** Hexadecimal, so that it is a text in every language. */
  readonly member: string;
  /** The mesh's name of its node; "" while unknown. */
  readonly node: string;
  readonly address: string;
  readonly role: "leader" | "follower" | "learner" | "unknown";
  /** The last log index that the leader knows it to have; null where this node can't know. */
  readonly matchIndex: number | null;
  /** Whether the leader has heard of it lately; null where this node can't know. */
  readonly active: boolean | null;
}

export interface StoreStatus {
  readonly engine: "embedded" | "follower" | "etcd";
  readonly cluster: string;
  /** Whether a write could be taken now, as far as this node can tell. */
  readonly writable: boolean;
  /** Why not, in a sentence; "" while all is well. */
  readonly alarm: string;
  readonly revision: number;
  readonly items: number;
  readonly term: number;
  /** The node that leads; "" while none is known. */
  readonly leader: string;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly logBytes: number;
  readonly members: readonly StoreMember[];
  /** A change of members is under way: until it is done the majority of those before counts as well. */
  readonly changing: boolean;
}

export interface PolicyStore {
  readonly engine: StoreStatus["engine"];
  list(options?: ReadOptions & { readonly kind?: Kind }): Promise<Listing>;
  get(
    kind: Kind,
    name: string,
    options?: ReadOptions,
  ): Promise<{ readonly item: Item | null; readonly revision: number }>;
  /** All of them or none. */
  write(writes: readonly Write[], options?: WriteOptions): Promise<Outcome>;
  /** Shares of quotas for a while. */
  lease(wants: readonly Want[], options?: { readonly timeoutMs?: number }): Promise<readonly Grant[]>;
  /** Begins with a reset; the returned function ends it. */
  watch(watcher: Watcher): () => void;
  status(): Promise<StoreStatus>;
  /** Takes a control node in, or out; the embedded engine's only. */
  changeMembers(change: MemberChange, timeoutMs: number): Promise<void>;
  /** Everything in it, as `restore` takes it. */
  save(timeoutMs: number): Promise<Uint8Array>;
  /** Puts the saved items in the place of all that there are, as one write. */
  restore(saved: Uint8Array, timeoutMs: number): Promise<Outcome>;
  stop(): Promise<void>;
}

export type MemberChange =
  | { readonly add: string; readonly address: string }
  | { readonly remove: string }
  | { readonly transferTo: string };
