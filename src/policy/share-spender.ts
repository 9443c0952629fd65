/**
 * One worker's shares of quotas, and what it spends of them. Asks nobody when a request comes: either the share has
 * room, or the request is refused with the time after which it may come again. `wants` are what to ask the store for,
 * when `wakeAtMs` is reached; its answer goes to `granted` (ledger.ts says how shares are made).
 *
 *   idle       nothing was asked for `LEASE_MS` and nothing is under way: its share is given back
 *   beginning  not answered yet: it may spend its start, limit / (4 x holders), at least one; all of it if it is alone
 *   sharing    it spends its share, and asks anew every `RENEW_MS`, or sooner when that does not do
 *   cut off    nobody answered for `LEASE_MS`: it goes on with the share that it has. Who has none then takes an even
 *              part, limit / holders: all who are cut off together stay within the limit
 *
 * Within any period it spends no more than the share that it then has, but for one request that is larger than the
 * share, which may go first and is then waited off. Tokens are told as they are known: an estimate before, the rest by
 * `settle`. Shares are whole numbers, so that a quota of one request at a time lies with one worker at a time.
 */
import { LEASE_MS } from "./ledger.ts";
import { MEASURES, measuresOf } from "./quota.ts";
import { Account, type Meter, RENEW_MS } from "./share-account.ts";
import type { QuotaSpec } from "./spec.ts";
import type { Amounts, Grant, Want } from "./want.ts";

/** How soon it asks again when more is wanted than it asked for; after twice that when its share does not do. */
const HURRY_MS = 250;
/** Who asks anyway asks for what is due by then as well: one command rather than many. */
const TOGETHER_MS = RENEW_MS / 2;
/** What it asks for, by what was wanted: loads come in bursts. */
const MORE = 1.25;
/** What is left of a peak of demand after a second: bursts that come again are provided for. */
const FADING = 0.85;

export class ShareSpender {
  readonly #holder: string;
  readonly #accounts = new Map<string, Account>();
  #holders: number;
  /** Since when nobody answers; Infinity when all was answered. */
  #unansweredMs = Infinity;
  #wakeAtMs = Infinity;
  #refusing = "";

  /**
   * `holder`: one life of one worker. `holders`: how many workers all routers have, as far as is known; 1 for one that
   * is alone, and may begin with all of each quota.
   */
  constructor(holder: string, holders: number) {
    this.#holder = holder;
    this.#holders = holders;
  }

  /** Of the last request that `spend` refused: the quota that makes it wait longest. */
  get refusing(): string {
    return this.#refusing;
  }

  /** When `wants` has something to ask for. */
  get wakeAtMs(): number {
    return this.#wakeAtMs;
  }

  /** How many workers all routers have. */
  set holders(count: number) {
    this.#holders = Math.max(1, count);
  }

  /** These quotas in place of all; what is known of those that stay is kept. */
  sync(quotas: ReadonlyMap<string, QuotaSpec>): void {
    for (const quota of this.#accounts.keys()) if (!quotas.has(quota)) this.#accounts.delete(quota);
    for (const [quota, spec] of quotas) this.put(quota, spec);
  }

  /** A quota that is new or says something else. */
  put(quota: string, spec: QuotaSpec): void {
    const measures = measuresOf(spec);
    const account = this.#accounts.get(quota);
    if (account === undefined) this.#accounts.set(quota, new Account(quota, measures));
    else account.become(measures);
  }

  delete(quota: string): void {
    this.#accounts.delete(quota);
  }

  /**
   * 0: the request may go on, and is counted in every quota. Else nothing is counted, and it may come again after so many
   * milliseconds. `tokens` are those that it will use, as far as is known.
   */
  spend(quotas: readonly string[], tokens: number, nowMs: number): number {
    let waitMs = 0;
    for (const quota of quotas) {
      const account = this.#accounts.get(quota);
      const ownMs = account === undefined ? 0 : this.#waitMs(account, tokens, nowMs);
      if (ownMs <= waitMs) continue;
      waitMs = ownMs;
      this.#refusing = quota;
    }
    for (const quota of quotas) {
      const account = this.#accounts.get(quota);
      if (account !== undefined) this.#count(account, tokens, waitMs === 0, nowMs);
    }
    return waitMs;
  }

  /** So many tokens more than were told to `spend`, or fewer. */
  settle(quotas: readonly string[], tokens: number, nowMs: number): void {
    for (const quota of quotas) {
      const account = this.#accounts.get(quota);
      const meter = account?.meters.tokens;
      if (account !== undefined && meter) meter.take(tokens, this.#limitOf(account, meter, nowMs), nowMs);
    }
  }

  /** A request that could go on is over. */
  end(quotas: readonly string[]): void {
    for (const quota of quotas) this.#accounts.get(quota)?.over();
  }

  /** What to ask the store for now; empty before `wakeAtMs`. */
  wants(nowMs: number): Want[] {
    const wants: Want[] = [];
    if (nowMs < this.#wakeAtMs) return wants;
    this.#wakeAtMs = Infinity;
    for (const account of this.#accounts.values()) {
      if (nowMs >= account.askAtMs - TOGETHER_MS) wants.push(this.#ask(account, nowMs));
      this.#wakeAtMs = Math.min(this.#wakeAtMs, account.askAtMs);
    }
    if (wants.length > 0) this.#unansweredMs = Math.min(this.#unansweredMs, nowMs);
    return wants;
  }

  /** The answer of the store, to all holders or to this one. */
  granted(grants: readonly Grant[]): void {
    this.#unansweredMs = Infinity;
    for (const grant of grants) {
      const account = this.#accounts.get(grant.quota);
      // One that was overtaken by a later one says nothing any more; one without a number is no lease: there are as many
      // holders as there may be, and what this one had is over.
      const isLease = grant.serial > 0;
      if (grant.holder !== this.#holder || account === undefined) continue;
      if (isLease && grant.serial <= account.serial) continue;
      if (isLease) account.serial = grant.serial;
      account.holders = grant.holders;
      // Who gave its share back since has none.
      if (account.askAtMs === Infinity) continue;
      for (const name of MEASURES) {
        const meter = account.meters[name];
        const share = grant[name];
        if (meter !== null && share !== null) meter.share = Math.min(share, meter.measure.limit);
      }
    }
  }

  #waitMs(account: Account, tokens: number, nowMs: number): number {
    const { requests, tokens: ofTokens, concurrency } = account.meters;
    const waitMs = Math.max(
      this.#waitFor(account, requests, 1, nowMs),
      this.#waitFor(account, ofTokens, tokens, nowMs),
      this.#waitFor(account, concurrency, 1, nowMs),
    );
    return waitMs === Infinity ? RENEW_MS : waitMs;
  }

  #waitFor(account: Account, meter: Meter | null, amount: number, nowMs: number): number {
    return meter === null ? 0 : meter.waitMs(amount, this.#limitOf(account, meter, nowMs), nowMs);
  }

  /** What it may spend in the period now. */
  #limitOf(account: Account, { share, measure: { limit } }: Meter, nowMs: number): number {
    if (share !== null) return share;
    const holders = Math.max(1, this.#holders, account.holders);
    if (holders === 1) return limit;
    const parts = nowMs - this.#unansweredMs > LEASE_MS ? holders : 4 * holders;
    return Math.max(1, Math.floor(limit / parts));
  }

  #count(account: Account, tokens: number, passes: boolean, nowMs: number): void {
    const { requests, tokens: ofTokens, concurrency } = account.meters;
    account.activeMs = nowMs;
    if (passes) account.begun();
    this.#countIn(account, requests, 1, passes, nowMs);
    this.#countIn(account, ofTokens, tokens, passes, nowMs);
    this.#countIn(account, concurrency, 1, passes, nowMs);
    if (account.askAtMs === Infinity) account.askAtMs = nowMs;
    this.#wakeAtMs = Math.min(this.#wakeAtMs, account.askAtMs);
  }

  #countIn(account: Account, meter: Meter | null, amount: number, passes: boolean, nowMs: number): void {
    if (meter === null) return;
    const limit = this.#limitOf(account, meter, nowMs);
    if (passes) {
      meter.take(amount, limit, nowMs);
      return;
    }
    meter.refused += amount;
    if (account.askAtMs <= account.askedMs + HURRY_MS) return;
    const isMore = meter.used(limit, nowMs) + meter.refused > meter.peak * MORE;
    const soonMs = account.askedMs + (isMore ? HURRY_MS : 2 * HURRY_MS);
    account.askAtMs = Math.min(account.askAtMs, Math.max(nowMs, soonMs));
  }

  #ask(account: Account, nowMs: number): Want {
    const { meters } = account;
    const isIdle = nowMs - account.activeMs >= LEASE_MS && !account.isBusy;
    const amounts = (of: (meter: Meter) => number): Amounts => ({
      requests: meters.requests === null ? 0 : of(meters.requests),
      tokens: meters.tokens === null ? 0 : of(meters.tokens),
      concurrency: meters.concurrency === null ? 0 : of(meters.concurrency),
    });
    const spent = amounts((meter) => Math.ceil(meter.used(this.#limitOf(account, meter, nowMs), nowMs)));
    const fading = FADING ** ((nowMs - account.askedMs) / 1000);
    const wanted = amounts((meter) => {
      const used = meter.used(this.#limitOf(account, meter, nowMs), nowMs);
      meter.peak = isIdle ? 0 : Math.max(Math.max(used, meter.most) + meter.refused, meter.peak * fading);
      return isIdle ? 0 : Math.min(meter.measure.limit, Math.max(1, Math.ceil(meter.peak * MORE)));
    });
    for (const meter of Object.values(meters)) {
      if (meter === null) continue;
      meter.refused = 0;
      meter.most = meter.underWay;
      if (isIdle) meter.share = null;
    }
    account.askedMs = nowMs;
    account.askAtMs = isIdle ? Infinity : nowMs + RENEW_MS;
    return { holder: this.#holder, quota: account.quota, ...wanted, used: spent, holding: account.serial };
  }
}
