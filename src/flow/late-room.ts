/**
 * Requests that are held here until a target can take them: which one goes where is decided when a target is about to
 * be free, not when the request comes. Until then it can be overtaken, and can go anywhere.
 *
 * A target is open when it will have computed what it has within `horizonMs`: sent by then, the next prompt is there
 * when its engine makes the next step, and what waits at the target, where nobody can reorder it, stays short.
 *
 * Of all pairs of a request and an open target the one is bound that has the least
 *
 *   work + price + debt - ageWeight * age     in milliseconds
 *
 * where `work` is the time for the tokens that the target's cache doesn't have, and `price` what computing more than the
 * best target would need costs the others: that much more work, times `missWeight`, times the requests that wait for each
 * target (3 at most). A pair is left out while a busy target, its queue and work taken together, would answer sooner than
 * work and price: the request waits for its prefix's home, and others go first.
 *
 * Requests that can't have their first token within `patienceMs` any more wait behind those that can: first the least
 * work, aging slowly. Their long prompts can't be interrupted at a target, so while others may still come only
 * `lateShare` of the targets work at such. Whoever has waited for `waitMsMax` goes before all others, wherever there is
 * room: nobody waits longer than that and the time until the next target opens.
 *
 * Priorities come first of all; 0 goes before 1. Within one, what a tenant got more than others that wait counts against
 * it (`tenant-debts.ts`), as so much more work.
 *
 * What others have at a target (`othersMs`) delays the next prompt there, and is not ours to foresee: it makes us send
 * one prompt at a time, but never none, so that whoever shares a target gets a part of it.
 *
 * Cost: each binding looks at up to `scanMax` requests, in the order in which they came, and at each one's few homes.
 */
import { assert } from "../base/assert.ts";
import type { LateConfig } from "./late-settings.ts";
import { TenantDebts } from "./tenant-debts.ts";

/** Where more of a prompt is cached than elsewhere. */
export interface Home {
  readonly target: number;
  readonly tokens: number;
}

/** What is known of a target's own work for us; a TargetPace knows it. */
export interface Pace {
  readonly busyUntilMs: number;
  readonly msPerToken: number;
}

/** The targets as the room sees them, by number: how many there are may change between two calls. */
export interface LateTargets {
  readonly count: number;
  pace(target: number): Pace;
  /** What a prompt waits for there beside our own work: what others sent, and what else makes the target slow. */
  othersMs?(target: number): number;
  /** Requests may be sent there, and it has room in its batch and in its cache. */
  hasRoom(target: number): boolean;
  /** One way to it. */
  networkMs(target: number): number;
}

export interface LateWaiter {
  readonly promptTokens: number;
  readonly priority: number;
  readonly cameMs: number;
  /** Its first token is wanted by then. */
  readonly wantedMs: number;
  /** Whose it is, among whom room is shared, and that one's part: 1 is usual. */
  readonly tenant?: string;
  readonly weight?: number;
  /** The room's own: where its prefix is. */
  homes: readonly Home[];
  homesMs: number;
}

export interface Binding<W> {
  readonly waiter: W;
  readonly target: number;
  /** That the target is expected to compute. */
  readonly freshTokens: number;
}

export class LateRoom<W extends LateWaiter> {
  readonly #config: LateConfig;
  readonly #targets: LateTargets;
  /** Homes of a request as the caches are now. */
  readonly #homesOf: (waiter: W) => readonly Home[];
  /** In the order in which they came. */
  readonly #waiters: W[] = [];
  readonly #open: number[] = [];
  #isOpen: Uint8Array;
  readonly #debts = new TenantDebts();
  #wakeAtMs = Infinity;

  // The best pair of a scan.
  #rank = 0;
  #value = 0;
  #place = -1;
  #target = -1;

  constructor(config: LateConfig, targets: LateTargets, homesOf: (waiter: W) => readonly Home[]) {
    this.#config = config;
    this.#targets = targets;
    this.#homesOf = homesOf;
    this.#isOpen = new Uint8Array(targets.count);
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** When to call `next` again though nothing happened; Infinity: not before something does. */
  get wakeAtMs(): number {
    return this.#wakeAtMs;
  }

  offer(waiter: W, nowMs: number): void {
    waiter.homes = this.#homesOf(waiter);
    waiter.homesMs = nowMs;
    this.#waiters.push(waiter);
    this.#debts.came(waiter.tenant ?? "");
  }

  /** Its client went away; false when it doesn't wait. */
  remove(waiter: W): boolean {
    const at = this.#waiters.indexOf(waiter);
    if (at < 0) return false;
    this.#waiters.splice(at, 1);
    this.#debts.left(waiter.tenant ?? "", 0);
    return true;
  }

  /** The next one to be sent; null: nobody, for now. What is bound must be told to its target's pace before the next call. */
  next(nowMs: number): Binding<W> | null {
    this.#wakeAtMs = Infinity;
    if (this.#waiters.length === 0) return null;
    this.#look(nowMs);
    if (this.#open.length === 0) return null;
    this.#scan(nowMs);
    if (this.#place < 0) return null;
    const [waiter] = this.#waiters.splice(this.#place, 1);
    assert(waiter !== undefined, "the place is that of a waiter");
    const freshTokens = fresh(waiter, this.#target);
    this.#debts.left(waiter.tenant ?? "", freshTokens / (waiter.weight ?? 1));
    return { waiter, target: this.#target, freshTokens };
  }

  /** Finds the open targets, and when the next one opens. */
  #look(nowMs: number): void {
    const { horizonMs } = this.#config;
    const targets = this.#targets;
    this.#open.length = 0;
    if (this.#isOpen.length < targets.count) this.#isOpen = new Uint8Array(targets.count * 2);
    for (let target = 0; target < targets.count; target += 1) {
      this.#isOpen[target] = 0;
      if (!targets.hasRoom(target)) continue;
      const othersMs = Math.min(horizonMs, this.#othersMs(target));
      const opensMs = targets.pace(target).busyUntilMs - horizonMs + othersMs - targets.networkMs(target);
      if (opensMs <= nowMs) {
        this.#isOpen[target] = 1;
        this.#open.push(target);
      } else if (opensMs < this.#wakeAtMs) this.#wakeAtMs = opensMs;
    }
  }

  #scan(nowMs: number): void {
    const { scanMax, missWeight, missQueueMax, refreshMs } = this.#config;
    const count = Math.min(this.#waiters.length, scanMax);
    const crowd = missWeight * Math.min(missQueueMax, this.#waiters.length / this.#targets.count);
    const soonest = this.#soonest(nowMs, false);
    const first = this.#soonest(nowMs, true);
    const mayBeLate = this.#lateAtWork(nowMs) < Math.max(1, this.#config.lateShare * this.#targets.count);
    this.#rank = Infinity;
    this.#value = Infinity;
    this.#place = -1;
    for (let place = 0; place < count; place += 1) {
      const waiter = this.#waiters[place]!;
      if (nowMs - waiter.homesMs > refreshMs) {
        waiter.homes = this.#homesOf(waiter);
        waiter.homesMs = nowMs;
      }
      this.#weigh(waiter, place, crowd, soonest, first, mayBeLate, nowMs);
    }
  }

  /** Of the busy targets, or of the open ones, that which would be done first with a prompt that nobody has cached; -1: none. */
  #soonest(nowMs: number, isOpen: boolean): number {
    let found = -1;
    let best = Infinity;
    for (let target = 0; target < this.#targets.count; target += 1) {
      if ((this.#isOpen[target] === 1) !== isOpen || (!isOpen && !this.#targets.hasRoom(target))) continue;
      const pace = this.#targets.pace(target);
      const ms = this.#waitMs(target, nowMs) + this.#config.usualTokens * pace.msPerToken;
      if (ms >= best) continue;
      best = ms;
      found = target;
    }
    return found;
  }

  /** Targets that are at long work. */
  #lateAtWork(nowMs: number): number {
    let count = 0;
    for (let target = 0; target < this.#targets.count; target += 1) {
      if (this.#targets.pace(target).busyUntilMs - nowMs > this.#config.lateWorkMs) count += 1;
    }
    return count;
  }

  #weigh(
    waiter: W,
    place: number,
    crowd: number,
    soonest: number,
    first: number,
    mayBeLate: boolean,
    nowMs: number,
  ): void {
    const { homes, promptTokens } = waiter;
    let leastWork = promptTokens * this.#targets.pace(first).msPerToken;
    let busyMs = soonest < 0 ? Infinity : this.#waitMs(soonest, nowMs) + this.#workMs(promptTokens, soonest);
    for (const { target, tokens } of homes) {
      const work = this.#workMs(promptTokens - tokens, target);
      if (work < leastWork) leastWork = work;
      if (this.#isOpen[target] === 0 && this.#targets.hasRoom(target)) {
        busyMs = Math.min(busyMs, this.#waitMs(target, nowMs) + work);
      }
    }
    for (const { target, tokens } of homes) {
      if (this.#isOpen[target] === 1) {
        this.#consider(waiter, place, target, promptTokens - tokens, leastWork, busyMs, crowd, mayBeLate, nowMs);
      }
    }
    this.#consider(waiter, place, first, fresh(waiter, first), leastWork, busyMs, crowd, mayBeLate, nowMs);
  }

  #waitMs(target: number, nowMs: number): number {
    return Math.max(0, this.#targets.pace(target).busyUntilMs - nowMs) + this.#othersMs(target);
  }

  #othersMs(target: number): number {
    return this.#targets.othersMs?.(target) ?? 0;
  }

  #workMs(tokens: number, target: number): number {
    return Math.max(1, tokens) * this.#targets.pace(target).msPerToken;
  }

  #consider(
    waiter: W,
    place: number,
    target: number,
    tokens: number,
    leastWork: number,
    busyMs: number,
    crowd: number,
    mayBeLate: boolean,
    nowMs: number,
  ): void {
    const config = this.#config;
    const work = this.#workMs(tokens, target);
    const age = nowMs - waiter.cameMs;
    const price = Math.max(0, work - leastWork) * crowd;
    const answered = this.#waitMs(target, nowMs) + work;
    const isOverdue = age >= config.waitMsMax;
    if (!isOverdue && answered + price > busyMs) return;
    const isLate = nowMs + answered > Math.min(waiter.wantedMs, waiter.cameMs + config.patienceMs);
    if (!isOverdue && isLate && work > config.lateWorkMs && !mayBeLate) return;
    // Lower goes first: the overdue, then by priority, and within one those that can still be in time.
    const rank = isOverdue ? -1 : waiter.priority * 2 + (isLate ? 1 : 0);
    const debt = this.#debts.tokens(waiter.tenant ?? "") * config.tenantWeight * this.#targets.pace(target).msPerToken;
    const ageWeight = isLate ? config.lateAgeWeight : config.ageWeight;
    const value = isOverdue ? waiter.cameMs : work + price + debt - age * ageWeight;
    if (rank > this.#rank || (rank === this.#rank && value >= this.#value)) return;
    this.#rank = rank;
    this.#value = value;
    this.#place = place;
    this.#target = target;
  }
}

/** Of its prompt, what the target must compute. */
function fresh({ homes, promptTokens }: LateWaiter, target: number): number {
  let cached = 0;
  for (const home of homes) if (home.target === target) cached = home.tokens;
  return Math.max(1, promptTokens - cached);
}
