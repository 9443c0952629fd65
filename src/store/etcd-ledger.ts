/**
 * Shares of quotas: one key for each quota's ledger, replaced only if nobody replaced it meanwhile, and only while the
 * quota is what the shares were reckoned by. Quotas that are asked for at once go in one transaction.
 *
 * Time in a ledger is that of whoever writes it, and never goes back (policy/clock.ts): shares are as exact as the clocks
 * of the routers agree, so these should be synchronised, as for etcd itself.
 */
import { MeshError } from "../base/errors.ts";
import { isRecord } from "../base/field.ts";
import { Compare, type KeyValue, type RequestOp } from "../gen/etcd.js";
import { CLOCK_START, type Clock, advance } from "../policy/clock.ts";
import { type Ledger, grant, readLedger, rescaled } from "../policy/ledger.ts";
import { measuresOf } from "../policy/quota.ts";
import { type QuotaSpec, SPEC_READERS } from "../policy/spec.ts";
import { readingAt } from "../policy/spec-reading.ts";
import type { Grant, Want } from "../policy/want.ts";
import type { EtcdClient } from "./etcd-client.ts";
import { EtcdFailure } from "./etcd-failure.ts";
import type { EtcdKeys } from "./etcd-keys.ts";
import type { EtcdMirror } from "./etcd-mirror.ts";

/** One quota's, as this node knows it. */
interface Book {
  readonly clock: Clock;
  readonly leases: Ledger;
  /** What the quota said when the shares were reckoned; null where that is not known. */
  readonly spec: QuotaSpec | null;
  /** etcd's revision of it; 0 where there is none. */
  readonly at: number;
}

/** Two compares each; etcd takes 128. */
const QUOTAS_AT_ONCE = 50;
/** Together with others it must stay below etcd's 1.5 MiB. */
const BYTES_AT_ONCE = 1024 * 1024;
const EMPTY: Book = { clock: CLOCK_START, leases: [], spec: null, at: 0 };
const PAUSE_MS_MAX = 30;

export class EtcdLedgers {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #mirror: EtcdMirror;
  readonly #books = new Map<string, Book>();
  /** Those of this node ask one after the other, so that they lose no race among themselves. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(client: EtcdClient, keys: EtcdKeys, mirror: EtcdMirror) {
    this.#client = client;
    this.#keys = keys;
    this.#mirror = mirror;
  }

  /** One for each want whose quota is there, in their order. Throws a MeshError. */
  lease(wants: readonly Want[], timeoutMs: number): Promise<readonly Grant[]> {
    const untilMs = performance.now() + timeoutMs;
    const turn = this.#turn.then(() => this.#lease(wants, untilMs));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #lease(wants: readonly Want[], untilMs: number): Promise<readonly Grant[]> {
    const byQuota = Map.groupBy(wants, ({ quota }) => quota);
    for (const quota of this.#books.keys())
      if (this.#mirror.get("quota", quota) === undefined) this.#books.delete(quota);
    const given = new Map<string, Grant>();
    let waiting = [...byQuota].filter(([quota]) => this.#mirror.get("quota", quota) !== undefined);
    for (let round = 0; waiting.length > 0; round++) {
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) throw new MeshError("no_quorum", "etcd granted no shares of quotas in time; the last ones stay");
      const done = await this.#ask(waiting, leftMs, given);
      waiting = waiting.filter(([quota]) => !done.has(quota) && this.#mirror.get("quota", quota) !== undefined);
      // Others lost as well, and not all are to come back at once.
      if (done.size === 0) await Bun.sleep(Math.random() * Math.min(PAUSE_MS_MAX, 2 ** round));
    }
    return wants.flatMap(({ holder, quota }) => given.get(`${holder} ${quota}`) ?? []);
  }

  /** Tries as many as go together; answers which were granted, or are gone. */
  async #ask(
    waiting: readonly (readonly [string, readonly Want[]])[],
    timeoutMs: number,
    given: Map<string, Grant>,
  ): Promise<ReadonlySet<string>> {
    const compare: Compare.$Properties[] = [];
    const success: RequestOp.$Properties[] = [];
    const asked: { readonly quota: string; readonly book: Book; readonly grants: readonly Grant[] }[] = [];
    let bytes = 0;
    for (const [quota, wants] of waiting.slice(0, QUOTAS_AT_ONCE)) {
      const item = this.#mirror.get("quota", quota);
      if (item === undefined) continue;
      const before = this.#books.get(quota) ?? EMPTY;
      const clock = advance(before.clock, Date.now());
      const measures = measuresOf(item.spec);
      const leases = before.spec === null ? before.leases : rescaled(before.leases, measuresOf(before.spec), measures);
      const { ledger, grants } = grant(leases, measures, wants, clock.nowMs);
      const value = Buffer.from(JSON.stringify({ clock, leases: ledger, spec: item.spec }));
      bytes += value.length;
      if (bytes > BYTES_AT_ONCE && asked.length > 0) break;
      const key = this.#keys.ledger(quota);
      compare.push(
        { target: Compare.CompareTarget.MOD, key, modRevision: before.at },
        { target: Compare.CompareTarget.MOD, key: this.#keys.item(item), modRevision: this.#mirror.atOf(item) },
      );
      success.push({ requestPut: { key, value } });
      asked.push({ quota, book: { clock, leases: ledger, spec: item.spec, at: 0 }, grants });
    }
    const failure = asked.map(({ quota }) => ({ requestRange: { key: this.#keys.ledger(quota) } }));
    // What was carried out unseen is lost by the race that it makes the next try lose.
    const reply = await this.#client.txn({ compare, success, failure }, timeoutMs, false);
    if (reply instanceof EtcdFailure) {
      if (reply.isFateUnknown) return new Set();
      throw reply.error;
    }
    if (!reply.succeeded) {
      for (const [i, { quota }] of asked.entries()) {
        this.#books.set(quota, bookIn(reply.responses[i]?.responseRange?.kvs?.[0]));
      }
      return new Set();
    }
    const at = reply.header?.revision ?? 0;
    for (const { quota, book, grants } of asked) {
      this.#books.set(quota, { ...book, at });
      for (const each of grants) given.set(`${each.holder} ${quota}`, each);
    }
    return new Set(asked.map(({ quota }) => quota));
  }
}

/** A ledger that someone destroyed is begun anew. */
function bookIn(kv: KeyValue.$Properties | undefined): Book {
  if (kv === undefined) return EMPTY;
  const at = kv.modRevision ?? 0;
  let raw: unknown;
  try {
    raw = JSON.parse(Buffer.from(kv.value ?? []).toString());
  } catch {
    return { ...EMPTY, at };
  }
  if (!isRecord(raw) || !isRecord(raw["clock"])) return { ...EMPTY, at };
  const { nowMs, shownMs } = raw["clock"];
  const leases = readLedger(raw["leases"], readingAt("", []));
  if (!Number.isSafeInteger(nowMs) || !Number.isSafeInteger(shownMs) || leases === undefined) return { ...EMPTY, at };
  const spec = SPEC_READERS.quota(raw["spec"], readingAt("", [])) ?? null;
  return { clock: { nowMs: nowMs as number, shownMs: shownMs as number }, leases, spec, at };
}
