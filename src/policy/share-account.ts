/**
 * What one worker knows of one quota (share-spender.ts): its share of each measure, what it spent of it, and what is under
 * way. A quota that says something else goes on with that: what was spent stays spent, whatever the period, and what was
 * under way before a limit of concurrency came counts in it, as its end does.
 */
import { scaledShare } from "./ledger.ts";
import { MEASURES, type Measure, type Measures } from "./quota.ts";
import { Spending } from "./spending.ts";
import type { Amounts } from "./want.ts";

/** A share is asked for anew this often. */
export const RENEW_MS = 1_000;

/** What one quota measures, in one of its three ways. */
export class Meter {
  measure: Measure;
  /** Null while there is no lease. */
  share: number | null = null;
  /** Null for concurrency, which has no period. */
  spending: Spending | null;
  /** Asked for and refused since the last ask. */
  refused = 0;
  /** What was wanted at most, fading. */
  peak = 0;
  /** Concurrency: the most at one time since the last ask, and what is under way. */
  most = 0;
  underWay = 0;

  constructor(measure: Measure, underWay: number) {
    this.measure = measure;
    this.spending = measure.periodMs > 0 ? new Spending(measure.periodMs) : null;
    this.underWay = underWay;
    this.most = underWay;
  }

  used(limit: number, nowMs: number): number {
    return this.spending === null ? this.underWay : this.spending.spent(limit, nowMs);
  }

  waitMs(amount: number, limit: number, nowMs: number): number {
    if (this.spending !== null) return this.spending.waitMs(amount, limit, nowMs);
    // When one ends nobody knows; by then the share may be another, too.
    return this.underWay < limit ? 0 : RENEW_MS;
  }

  take(amount: number, limit: number, nowMs: number): void {
    if (this.spending !== null) this.spending.add(amount, limit, nowMs);
    else this.most = Math.max(this.most, ++this.underWay);
  }
}

type Meters = { -readonly [K in keyof Amounts]: Meter | null };

export class Account {
  readonly quota: string;
  measures: Measures;
  readonly meters: Meters;
  serial = 0;
  /** When it was last asked to spend. */
  activeMs = -Infinity;
  askAtMs = Infinity;
  askedMs = -Infinity;
  holders = 0;
  /** Requests that passed and are not over, whether the quota limits how many or not: it may come to. */
  underWay = 0;

  constructor(quota: string, measures: Measures) {
    this.quota = quota;
    this.measures = measures;
    this.meters = { requests: null, tokens: null, concurrency: null };
    this.become(measures);
  }

  become(measures: Measures): void {
    for (const name of MEASURES) {
      const measure = measures[name];
      const meter = this.meters[name];
      if (measure === null) this.meters[name] = null;
      else if (meter === null) this.meters[name] = new Meter(measure, name === "concurrency" ? this.underWay : 0);
      else {
        if (meter.share !== null) meter.share = scaledShare(meter.share, meter.measure, measure);
        const { periodMs } = measure;
        if (meter.measure.periodMs !== periodMs) meter.spending = meter.spending?.withPeriod(periodMs) ?? null;
        meter.measure = measure;
      }
    }
    this.measures = measures;
  }

  begun(): void {
    this.underWay += 1;
  }

  over(): void {
    if (this.underWay === 0) return;
    this.underWay -= 1;
    if (this.meters.concurrency !== null) this.meters.concurrency.underWay = this.underWay;
  }

  get isBusy(): boolean {
    return (this.meters.concurrency?.underWay ?? 0) > 0;
  }
}
