/**
 * Writes policies: those that wait become one transaction (etcd-plan.ts), which etcd carries out only if the store's
 * revision is still the one that they were checked on. One transaction is under way at a time; a lost race is run again
 * once the mirror has what the winner wrote.
 *
 * A transaction that was not answered is sent again as it is: carried out twice it can't be, since the first time
 * changes what it compares. Whether it was the first time shows in the stamp or in what is kept of its idempotency key.
 */
import { MeshError } from "../base/errors.ts";
import type { Event, TxnResponse } from "../gen/etcd.js";
import type { Outcome } from "../policy/outcome.ts";
import type { Write } from "../policy/write.ts";
import type { EtcdClient } from "./etcd-client.ts";
import { EtcdFailure } from "./etcd-failure.ts";
import type { EtcdKeys } from "./etcd-keys.ts";
import type { EtcdMirror } from "./etcd-mirror.ts";
import { type Asked, EtcdPlan, recalled } from "./etcd-plan.ts";

export interface EtcdWriterOptions {
  readonly client: EtcdClient;
  readonly keys: EtcdKeys;
  readonly mirror: EtcdMirror;
  /** What a transaction of this node did. */
  readonly applied: (events: readonly Event.$Properties[], at: number) => Promise<void>;
  /** Once the mirror has come as far as that revision of etcd; false after a while. */
  readonly reached: (at: number) => Promise<boolean>;
}

interface Pending extends Asked {
  readonly untilMs: number;
  readonly settle: (outcome: Outcome | MeshError) => void;
  /** A transaction with it may have been carried out. */
  isInDoubt: boolean;
  isSettled: boolean;
}

type Plan = EtcdPlan<Pending>;

/** Writes that wait. */
const QUEUE_MAX = 10_000;
/** What is kept of idempotency keys lies under one lease, which is used for ten minutes and lasts seventy. */
const LEASE_SECONDS = 4200;
const LEASE_USED_MS = 600_000;
/** So that what etcd said of a failure arrives before a write's time is over. */
const MARGIN_MS = 50;
const PAUSE_MS = 20;

export class EtcdWriter {
  readonly #options: EtcdWriterOptions;
  readonly #queue: Pending[] = [];
  #isRunning = false;
  #isStopped = false;
  /** Writes that go by themselves, after they were too much together. */
  #alone = 0;
  #lease = 0;
  #leaseUntilMs = 0;

  constructor(options: EtcdWriterOptions) {
    this.#options = options;
  }

  /** `writes` are in their canonical form. Throws a MeshError. */
  write(writes: readonly Write[], key: string, timeoutMs: number): Promise<Outcome> {
    if (this.#isStopped) return Promise.reject(closing());
    if (this.#queue.length >= QUEUE_MAX) {
      return Promise.reject(
        new MeshError("over_capacity", `${QUEUE_MAX} writes wait for etcd already; try again later`),
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const untilMs = performance.now() + timeoutMs;
    const timer = setTimeout(() => pending.settle(this.#overtime(pending, timeoutMs)), timeoutMs);
    const fingerprint = key === "" ? "" : Bun.hash(JSON.stringify(writes)).toString(16);
    const pending: Pending = {
      writes,
      key,
      fingerprint,
      untilMs,
      isInDoubt: false,
      isSettled: false,
      settle(outcome) {
        if (pending.isSettled) return;
        pending.isSettled = true;
        clearTimeout(timer);
        if (outcome instanceof MeshError) reject(outcome);
        else resolve(outcome);
      },
    };
    this.#queue.push(pending);
    if (!this.#isRunning) void this.#run();
    return promise;
  }

  /** What waits ends with `draining`. */
  stop(): void {
    this.#isStopped = true;
    for (const pending of this.#queue.splice(0)) pending.settle(closing());
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    // Those that come together go together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const { keys, mirror } = this.#options;
      const plan: Plan = new EtcdPlan(keys, mirror, this.#queue, Date.now(), this.#alone > 0 ? 1 : undefined);
      this.#alone = Math.max(0, this.#alone - plan.entries.length);
      this.#queue.splice(0, plan.entries.length);
      const again = await this.#carryOut(plan);
      // In front of the others, which are to see what these did.
      this.#queue.unshift(...again.filter(({ isSettled }) => !isSettled));
    }
    this.#isRunning = false;
  }

  /** Sends a transaction until it is known what became of it; answers the writes that are to be planned anew. */
  async #carryOut(plan: Plan): Promise<readonly Pending[]> {
    const { client, applied } = this.#options;
    const all = plan.entries.map(({ asked }) => asked);
    let isInDoubt = false;
    while (!this.#isStopped) {
      const leftMs = Math.max(...all.map(({ isSettled, untilMs }) => (isSettled ? 0 : untilMs - performance.now())));
      if (leftMs <= 0) return [];
      const lease = plan.hasKeys ? await this.#currentLease(leftMs) : 0;
      if (!(lease instanceof EtcdFailure)) for (const pending of all) pending.isInDoubt = !plan.isReadOnly;
      const reply =
        lease instanceof EtcdFailure
          ? lease
          : await client.txn(plan.request(lease), Math.max(1, leftMs - MARGIN_MS), plan.isReadOnly);
      if (!(reply instanceof EtcdFailure)) {
        if (!reply.succeeded) return this.#lostRace(plan, reply, isInDoubt);
        const at = reply.header?.revision ?? 0;
        await applied(plan.events(at), at);
        for (const { asked, outcome } of plan.entries) asked.settle(outcome);
        return [];
      }
      isInDoubt ||= reply.isFateUnknown;
      for (const pending of all) pending.isInDoubt = isInDoubt;
      if (reply.isFateUnknown) {
        await Bun.sleep(PAUSE_MS);
      } else if (reply.next === "lease" && !isInDoubt) {
        this.#lease = 0;
        return all;
      } else if (reply.error.code === "payload_too_large" && all.length > 1 && !isInDoubt) {
        this.#alone = all.length;
        return all;
      } else {
        for (const pending of all) pending.settle(isInDoubt ? inDoubt(reply.error) : reply.error);
        return [];
      }
    }
    for (const pending of all) pending.settle(closing());
    return [];
  }

  /** Something was other than the plan said: another's write, a known idempotency key, or this very transaction. */
  async #lostRace(plan: Plan, { responses }: TxnResponse, isInDoubt: boolean): Promise<readonly Pending[]> {
    const { mirror, reached } = this.#options;
    const [stamp, ...memories] = responses.map((response) => response.responseRange?.kvs?.[0]);
    const at = stamp?.modRevision ?? 0;
    while (!(await reached(at))) {
      if (this.#isStopped || plan.entries.every(({ asked }) => asked.isSettled)) return [];
    }
    const wasOurs = isInDoubt && plan.changes.length > 0 ? mirror.has(plan.batch, plan.comparedAt) : false;
    const keyed = plan.entries.filter(({ asked }) => asked.key !== "");
    const again: Pending[] = [];
    for (const { asked, outcome } of plan.entries) {
      const memory = asked.key === "" ? undefined : memories[keyed.findIndex((entry) => entry.asked === asked)];
      const known = memory?.value ? recalled(memory.value, asked, mirror) : undefined;
      if (known !== undefined) asked.settle(known.batch === plan.batch ? outcome : known.outcome);
      else if (wasOurs === true) asked.settle(outcome);
      else if (wasOurs === undefined && asked.key === "") asked.settle(inDoubt(null));
      else again.push(asked);
    }
    for (const pending of again) pending.isInDoubt = false;
    // What was changed by hand, or put back from a backup, comes by the feed.
    if (at <= plan.comparedAt && again.length === plan.entries.length) await Bun.sleep(PAUSE_MS);
    return again;
  }

  #overtime({ isInDoubt }: Pending, timeoutMs: number): MeshError {
    const { trouble } = this.#options.client;
    if (isInDoubt) return inDoubt(trouble);
    const why = trouble === null ? "" : ` (${trouble.message})`;
    const message = `nothing was written: etcd took no write within ${Math.ceil(timeoutMs)} ms${why}; try again`;
    return new MeshError("no_quorum", message);
  }

  async #currentLease(timeoutMs: number): Promise<number | EtcdFailure> {
    if (this.#lease !== 0 && performance.now() < this.#leaseUntilMs) return this.#lease;
    // Below 2^53, so that it is a number here; etcd's own have 63 bits.
    const lease = crypto.getRandomValues(new Uint32Array(2)).reduce((high, low) => (high & 0x1f_ffff) * 2 ** 32 + low);
    const failure = await this.#options.client.grant(lease, LEASE_SECONDS, Math.max(1, timeoutMs - MARGIN_MS));
    // Whether there is a lease more says nothing about the write.
    if (failure !== undefined) return new EtcdFailure(failure.next, false, failure.error);
    this.#lease = lease;
    this.#leaseUntilMs = performance.now() + LEASE_USED_MS;
    return lease;
  }
}

function closing(): MeshError {
  return new MeshError("draining", "the store is being closed");
}

function inDoubt(cause: MeshError | null): MeshError {
  const why = cause === null ? "" : ` (${cause.message})`;
  const message = `etcd did not say whether the write was carried out${why}: read what there is, or write again with the same idempotency key`;
  return new MeshError("request_timeout", message, cause === null ? {} : { cause });
}
