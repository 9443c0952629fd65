/**
 * The policies in etcd, for those who run one already: the same store as the embedded engine's, with etcd as the
 * consensus. This node keeps a copy of all policies by a watch; reads are answered from it, consistent ones once it has
 * come as far as etcd says that it must; writes and shares of quotas are transactions (etcd-writer.ts, etcd-ledger.ts).
 *
 * While etcd can't be reached, what is known stays readable and is tried again without end. Its members are its
 * administrator's affair, and so is room: a full etcd refuses writes with `store_full` and goes on serving reads.
 */
import { MeshError } from "../base/errors.ts";
import type { Event } from "../gen/etcd.js";
import type { TlsClientOptions } from "../net/tls-streams.ts";
import { type LeaseCommand, type WriteCommand, encodeCommand, readCommand } from "../policy/command.ts";
import type { Outcome } from "../policy/outcome.ts";
import type { Kind } from "../policy/spec.ts";
import type { Grant, Want } from "../policy/want.ts";
import type { Write } from "../policy/write.ts";
import { Watchers } from "./copy.ts";
import { type EtcdAddress, shownEtcdAddress } from "./etcd-address.ts";
import { EtcdClient } from "./etcd-client.ts";
import { must } from "./etcd-failure.ts";
import { EtcdFeed } from "./etcd-feed.ts";
import { healthOf } from "./etcd-health.ts";
import { EtcdIdentity } from "./etcd-identity.ts";
import { EtcdKeys } from "./etcd-keys.ts";
import { EtcdLedgers } from "./etcd-ledger.ts";
import { EtcdMirror } from "./etcd-mirror.ts";
import { Progress } from "./etcd-progress.ts";
import { EtcdWriter } from "./etcd-writer.ts";
import type { Listing, PolicyStore, ReadOptions, StoreStatus, Watcher, WriteOptions } from "./policy-store.ts";
import { decodeSaved, encodeSaved, restoreInto } from "./saved.ts";

export interface EtcdStoreOptions {
  readonly address: EtcdAddress;
  /** Looked at where the address is of TLS. */
  readonly tls: TlsClientOptions;
  /** Whose policies they are, where the address names no cluster. */
  readonly cluster: string;
  readonly log: { info(message: string, fields?: object): void; warn(message: string, fields?: object): void };
}

const TIMEOUT_MS = 5000;
/** In the place of an idempotency key where none is needed. */
const NO_KEY = "none";
export class EtcdStore implements PolicyStore {
  readonly engine = "etcd";
  readonly #options: EtcdStoreOptions;
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #mirror: EtcdMirror;
  readonly #feed: EtcdFeed;
  readonly #writer: EtcdWriter;
  readonly #ledgers: EtcdLedgers;
  readonly #watchers = new Watchers();
  readonly #progress: Progress;
  #isLoaded = false;
  /** Why the feed gets nothing; null while it does. */
  #failure: MeshError | null = null;
  readonly #identity: EtcdIdentity;
  /** Called whenever the store may have become ready, or was stopped. */
  readonly #turns = new Set<() => void>();
  /** The next confirmation that has not been sent yet, for all who ask until it is. */
  #confirming: Promise<unknown> = Promise.resolve();
  #confirmation: Promise<number> | null = null;
  readonly #running: Promise<void>;

  /** Begins at once to load what there is; `ready` tells when, or what is wrong. */
  constructor(options: EtcdStoreOptions) {
    const { address, tls, cluster, log } = options;
    this.#options = options;
    this.#client = new EtcdClient(address, address.tls ? tls : null);
    this.#keys = new EtcdKeys(address.cluster === "" ? cluster : address.cluster);
    this.#mirror = new EtcdMirror(this.#keys);
    this.#feed = new EtcdFeed(this.#client, this.#keys.policies, {
      loaded: (kvs) => {
        this.#mirror.load(kvs);
        this.#isLoaded = true;
        this.#turned();
        this.#tellUnreadable();
        this.#watchers.reset(this.#listing());
        this.#progress.moved();
      },
      changed: (events) => this.#changed(events),
      failed: (error) => this.#failed(error),
    });
    this.#identity = new EtcdIdentity({
      client: this.#client,
      keys: this.#keys,
      where: shownEtcdAddress(address),
      log,
      onTurn: () => this.#turned(),
      onReplaced: () => this.#feed.reload(),
    });
    this.#progress = new Progress(
      () => this.#mirror.at,
      () => this.#feed.hurry(),
    );
    const [client, keys, mirror] = [this.#client, this.#keys, this.#mirror];
    this.#writer = new EtcdWriter({
      client,
      keys,
      mirror,
      applied: async (events, at) => {
        // While all is being loaded anew, what was put in would be lost again.
        if (this.#feed.isLoading) while (!(await this.#progress.reached(at))) if (this.#feed.isStopped) return;
        this.#feed.seen(at);
        this.#changed(events);
      },
      reached: (at) => this.#progress.reached(at),
    });
    this.#ledgers = new EtcdLedgers(client, keys, mirror);
    this.#running = this.#feed.run();
    void this.#identity.look();
  }

  /** Once all policies are here. Throws a MeshError: `no_quorum` where that may still come, others where it won't. */
  ready(timeoutMs = TIMEOUT_MS): Promise<void> {
    return this.#untilReady(timeoutMs);
  }

  async list(options: ReadOptions & { readonly kind?: Kind } = {}): Promise<Listing> {
    await this.#confirm(options);
    return this.#listing(options.kind);
  }

  async get(kind: Kind, name: string, options: ReadOptions = {}): ReturnType<PolicyStore["get"]> {
    await this.#confirm(options);
    return { item: this.#mirror.get(kind, name) ?? null, revision: this.#mirror.revision };
  }

  async write(writes: readonly Write[], { key = "", timeoutMs = TIMEOUT_MS }: WriteOptions = {}): Promise<Outcome> {
    const command = canonical({ op: "write", key: key === "" ? NO_KEY : key, atMs: 0, writes });
    const startedAtMs = performance.now();
    await this.#untilReady(timeoutMs);
    return this.#writer.write(command.writes, key, Math.max(1, timeoutMs - (performance.now() - startedAtMs)));
  }

  async lease(wants: readonly Want[], { timeoutMs = TIMEOUT_MS } = {}): Promise<readonly Grant[]> {
    const command = canonical({ op: "lease", key: NO_KEY, atMs: 0, wants });
    await this.#untilReady(timeoutMs);
    const isNews = command.wants.some(({ quota }) => this.#mirror.get("quota", quota) === undefined);
    // It may be one that another node has just set.
    if (isNews) await this.#confirm({ consistent: true, timeoutMs });
    return this.#ledgers.lease(command.wants, timeoutMs);
  }

  watch(watcher: Watcher): () => void {
    return this.#watchers.add(watcher, this.#listing());
  }

  async status(): Promise<StoreStatus> {
    const health = await healthOf(this.#client);
    const { size, unreadable, revision } = this.#mirror;
    const [key] = unreadable.keys();
    const foreign = key === undefined ? "" : `${unreadable.size} keys in etcd are no policies, such as ${key}`;
    return {
      engine: "etcd",
      cluster: this.#identity.clusterId,
      revision,
      items: size,
      ...health,
      changing: false,
      writable: health.writable && this.#isLoaded,
      alarm: health.alarm || this.#failure?.message || foreign,
    };
  }

  changeMembers(): Promise<void> {
    const message =
      "the policies are in etcd, whose members are not the mesh's: use `etcdctl member add|remove` or `etcdctl move-leader`";
    return Promise.reject(new MeshError("not_supported", message));
  }

  async save(timeoutMs: number): Promise<Uint8Array> {
    return encodeSaved(await this.list({ consistent: true, timeoutMs }), Date.now());
  }

  async restore(saved: Uint8Array, timeoutMs: number): Promise<Outcome> {
    return restoreInto(this, decodeSaved(saved), timeoutMs);
  }

  async stop(): Promise<void> {
    this.#writer.stop();
    this.#feed.stop();
    this.#client.close();
    this.#turned();
    this.#progress.stop();
    await Promise.all([this.#running, this.#identity.stop()]);
  }

  // ---- what comes from etcd -----------------------------------------------------------------------------------------

  #listing(kind?: Kind): Listing {
    return { items: this.#mirror.list(kind), revision: this.#mirror.revision };
  }

  #changed(events: readonly Event.$Properties[]): void {
    const unreadable = this.#mirror.unreadable.size;
    for (const { changes, revision } of this.#mirror.change(events)) this.#watchers.changed(changes, revision);
    if (this.#mirror.unreadable.size > unreadable) this.#tellUnreadable();
    this.#progress.moved();
  }

  #failed(error: MeshError | null): void {
    const { log } = this.#options;
    if (error !== null && error.message !== this.#failure?.message) {
      log.warn("etcd can't be followed; the policies known stay in force", { error: error.message });
    }
    if (error === null && this.#failure !== null) {
      log.info("etcd is followed again");
      // It may be other data in the place of what was there.
      void this.#identity.look();
    }
    this.#failure = error;
  }

  #tellUnreadable(): void {
    for (const [key, why] of this.#mirror.unreadable)
      this.#options.log.warn("a key in etcd is no policy", { key, why });
  }

  // ---- reads --------------------------------------------------------------------------------------------------------

  async #confirm({ consistent = false, timeoutMs = TIMEOUT_MS }: ReadOptions): Promise<void> {
    const untilMs = performance.now() + timeoutMs;
    await this.#untilReady(timeoutMs);
    if (!consistent) return;
    const at = await this.#newest(timeoutMs);
    while (!(await this.#progress.reached(at))) {
      if (performance.now() > untilMs) throw this.#late(timeoutMs);
    }
  }

  /** etcd's revision of the newest transaction, asked for after this call began. */
  #newest(timeoutMs: number): Promise<number> {
    if (this.#confirmation !== null) return this.#confirmation;
    const confirmation = this.#confirming.then(async () => {
      // Who asks from here on came after it was sent.
      this.#confirmation = null;
      const { kvs } = must(await this.#client.range({ key: this.#keys.revision }, timeoutMs));
      return kvs[0]?.modRevision ?? 0;
    });
    this.#confirmation = confirmation;
    this.#confirming = confirmation.catch(() => {});
    return confirmation;
  }

  async #untilReady(timeoutMs: number): Promise<void> {
    const untilMs = performance.now() + timeoutMs;
    while (!this.#isLoaded || this.#identity.clusterId === "" || this.#feed.isStopped) {
      if (this.#feed.isStopped) throw new MeshError("draining", "the store is being closed");
      const { refusal } = this.#identity;
      if (refusal !== null && !refusal.retryable) throw refusal;
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) throw this.#late(timeoutMs);
      await new Promise<void>((resolve) => {
        const turn = (): void => {
          clearTimeout(timer);
          this.#turns.delete(turn);
          resolve();
        };
        const timer = setTimeout(turn, leftMs);
        this.#turns.add(turn);
      });
    }
  }

  #turned(): void {
    for (const turn of this.#turns) turn();
  }

  #late(timeoutMs: number): MeshError {
    const cause = this.#failure ?? this.#identity.refusal ?? this.#client.trouble;
    if (cause !== null && !cause.retryable) return cause;
    const where = shownEtcdAddress(this.#options.address);
    const message = `${where} did not tell its policies within ${timeoutMs} ms${cause === null ? "" : `: ${cause.message}`}`;
    return new MeshError("no_quorum", message, cause === null ? {} : { cause });
  }
}

/** As the embedded engine's log would have it. Throws a MeshError (bad_request) that says what is wrong with it. */
function canonical<C extends WriteCommand | LeaseCommand>(command: C): C {
  const read = readCommand(encodeCommand(command));
  if ("bad" in read) throw new MeshError("bad_request", read.bad);
  return read as C;
}
