/**
 * Requests that are held here until a target can take them: which one goes where is decided when a target is about to
 * be free, not when the request comes. Until then it can be overtaken, and can go anywhere.
 *
 * A target is open when it will have computed what it has within `horizonMs`: sent by then, the next prompt is there
 * when its engine makes the next step, and what waits at the target, where nobody can reorder it, stays short. What others
 * have there counts as it was told last, and as computed at the target's pace since.
 *
 * Of all pairs of a request and an open target the one is bound that has the least
 *
 *   work + price + debt + loadMs * load - ageWeight * age            in milliseconds
 *
 * where `work` is the time for the tokens that the target's cache doesn't have, `load` counts the requests at the target,
 * as long as those that come are on average (a `loadMs` for each `usualTokens`), whose tokens slow it down, so that those
 * spread over targets that are equal otherwise; and `price` is what computing more than the best target would need costs the
 * others: that much more work, times `missWeight`, times the requests that wait for each target (3 at most). A pair is left out while a busy target, its queue and work taken together, would answer sooner than
 * work and price: the request waits for its prefix's home, and others go first. All but the home of a request's session count
 * as farther away by the session's slack. Where that would answer within `homeShare` of the time that the request has, its price
 * is by `homeWeight`, as nothing is lost by waiting: so it is kept for its home if somebody else goes where it could have gone.
 * If nobody does, the open target would idle: then what is kept is looked at once more, with a price by `spareWeight`.
 *
 * Requests that can't have their first token within `patienceMs` any more wait behind those that can: first the least
 * work, aging slowly. Their long prompts can't be interrupted at a target, so while others may still come only
 * `lateShare` of the targets are at work for `lateWorkMs` or more when such a one begins, fewer the longer it is: half as many for
 * one of twice `lateWorkMs`. Whoever has waited for `waitMsMax` goes before all others of its priority, wherever there is
 * room, unless its tenant is ahead of others; but such get no more than `overdueShare` of what is done for the others.
 * Were it all, an overload would have everybody wait for that long, and none in time. From half as long again on they go
 * first in any case: nobody waits longer than that and the time until the next target opens, where none refuses them.
 *
 * Priorities come first of all; 0 goes before 1. Within one, what a tenant got more than others that wait counts against
 * it as so much more work: its `debt` (`tenant-debts.ts`).
 *
 * Cost: each binding looks once at every target, and at up to `scanMax` requests in the order in which they came; at the
 * homes of those alone that could still be better than the best one found, by the least that they have to compute.
 * Where nobody goes but somebody was kept, it looks at the requests twice.
 * Homes that are out of date are looked for anew, of those and of a few others.
 */
import { assert } from "../base/assert.ts";
import type { LateConfig } from "./late-settings.ts";
import { TenantDebts } from "./tenant-debts.ts";

/** Where more of a prompt is cached than elsewhere, or its session is. */
export interface Home {
  readonly target: number;
  readonly tokens: number;
  /** It is the session's: others count as if they were so much farther away. */
  readonly slackMs?: number;
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
  /** What a prompt waits for there beside what is to be computed: the target is far away, ill, cold. Keeps none closed. */
  delayMs?(target: number): number;
  /** Requests may be sent there, and it has room in its batch and in its cache. */
  hasRoom(target: number): boolean;
  /** Requests that are there. */
  active(target: number): number;
  /** Prompt tokens there of such as were not bound here, as was told last, and when that was so. */
  othersTokens(target: number): number;
  othersMs(target: number): number;
  /** One way to it. */
  networkMs(target: number): number;
}

/** Where requests may not go all the same: they wait at routers that can't reach those targets. */
export interface LateLimits<W> {
  isPicky(waiter: W): boolean;
  /** Asked of such alone. */
  mayGo(waiter: W, target: number, nowMs: number): boolean;
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
  /** The room's own: where its prefix is, and what is left of it at the best of these; and the slack of its session. */
  homes: readonly Home[];
  homesMs: number;
  leastTokens: number;
  slackMs: number;
}

export interface Binding<W> {
  readonly waiter: W;
  readonly target: number;
  /** That the target is expected to compute. */
  readonly freshTokens: number;
  /** Until it has computed what it has, and what it needs for this one. */
  readonly aheadMs: number;
  readonly workMs: number;
  readonly kind: BindingKind;
}

/** Why it was its turn: it had waited for too long; it could still be in time; or it couldn't, and nobody else went before. */
export type BindingKind = keyof typeof RANK;

const FULL = 0;
const BUSY = 1;
const OPEN = 2;
/** Of waiters that are not about to be bound: homes that are looked for anew at a binding. */
const REFRESHES_MAX = 16;
/** Within a priority, lower goes first. */
const RANK = { overdue: 0, inTime: 1, late: 2 } as const;
const RANKS = 3;
/** Prompts that the mean one is reckoned of. */
const MEAN_OF = 200;
/** Of the time after which somebody may go first: from then on nobody is kept back by whatever others need. */
const LONGEST_WAITS = 1.5;
export const BINDING_KINDS: readonly BindingKind[] = ["overdue", "inTime", "late"];

export class LateRoom<W extends LateWaiter> {
  readonly #config: LateConfig;
  readonly #targets: LateTargets;
  /** Homes of a request as the caches are now. */
  readonly #homesOf: (waiter: W) => readonly Home[];
  readonly #limits: LateLimits<W> | null;
  /** In the order in which they came. */
  readonly #waiters: W[] = [];
  readonly #debts = new TenantDebts();
  #wakeAtMs = Infinity;
  /** Of a prompt that comes, on average. */
  #meanTokens: number;

  // The targets, as they are at a binding.
  /** FULL: nothing may be sent there; BUSY: not now; OPEN. */
  #state = new Uint8Array(0);
  /** Until what it has is computed. */
  #waitMs = new Float64Array(0);
  #msPerToken = new Float64Array(0);
  #loadMs = new Float64Array(0);
  /** Of the open ones, and of the busy ones, that which would be done first with a prompt that nobody has cached; -1. */
  #first = -1;
  #soonest = -1;
  /** The least of the open ones' times for a token. */
  #leastMsPerToken = Infinity;
  /** Targets that have long work. */
  #lateAtWork = 0;
  /** What work too much costs, as a multiple of it; where its home would be in time; and where nobody else goes instead. */
  #crowd = 0;
  #homeCrowd = 0;
  #spareCrowd = 0;

  /** Work that may go to such as have waited for too long, before others; below 0 they wait like others. */
  #creditMs = 0;

  /** In a scan: the price by which requests are kept for homes that are in time; some of them were. */
  #keptCrowd = 0;
  #hasKept = false;
  // The best pair of a scan.
  #rank = 0;
  #value = 0;
  #place = -1;
  #target = -1;

  /** Without `limits` each may go anywhere. */
  constructor(
    config: LateConfig,
    targets: LateTargets,
    homesOf: (waiter: W) => readonly Home[],
    limits: LateLimits<W> | null = null,
  ) {
    this.#limits = limits;
    this.#config = config;
    this.#targets = targets;
    this.#meanTokens = config.usualTokens;
    this.#homesOf = homesOf;
    this.#grow(targets.count);
  }

  #grow(count: number): void {
    this.#state = new Uint8Array(count);
    this.#waitMs = new Float64Array(count);
    this.#msPerToken = new Float64Array(count);
    this.#loadMs = new Float64Array(count);
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** When to call `next` again though nothing happened; Infinity: not before something does. */
  get wakeAtMs(): number {
    return this.#wakeAtMs;
  }

  offer(waiter: W, nowMs: number): void {
    this.#findHomes(waiter, nowMs);
    this.#meanTokens += (waiter.promptTokens - this.#meanTokens) / MEAN_OF;
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

  /** It was not sent after all, and did not get what its tenant was charged for. */
  returned({ tenant = "", weight = 1 }: W, freshTokens: number): void {
    this.#debts.returned(tenant, this.#charge(freshTokens) / weight);
  }

  /** The next one to be sent; null: nobody, for now. What is bound must be told to its target's pace before the next call. */
  next(nowMs: number): Binding<W> | null {
    this.#wakeAtMs = Infinity;
    if (this.#waiters.length === 0) return null;
    this.#look(nowMs);
    if (this.#first < 0) return null;
    this.#scan(nowMs, this.#homeCrowd);
    if (this.#place < 0 && this.#hasKept) this.#scan(nowMs, this.#spareCrowd);
    if (this.#place < 0) return null;
    const [waiter] = this.#waiters.splice(this.#place, 1);
    assert(waiter !== undefined, "the place is that of a waiter");
    const freshTokens = fresh(waiter, this.#target);
    this.#debts.left(waiter.tenant ?? "", this.#charge(freshTokens) / (waiter.weight ?? 1));
    const [workMs, aheadMs] = [this.#workMs(freshTokens, this.#target), this.#waitMs[this.#target]!];
    this.#account(workMs);
    return { waiter, target: this.#target, freshTokens, aheadMs, workMs, kind: BINDING_KINDS[this.#rank % RANKS]! };
  }

  /** What its tenant is charged: a place that is taken and an answer cost others something too, however short a prompt is. */
  #charge(freshTokens: number): number {
    return freshTokens + this.#config.usualTokens;
  }

  /** Somebody was bound: whoever goes first for having waited long does so at the expense of the others. */
  #account(workMs: number): void {
    const { overdueShare, lateWorkMs } = this.#config;
    if (this.#rank % RANKS === RANK.overdue) this.#creditMs -= workMs;
    else this.#creditMs = Math.min(lateWorkMs, this.#creditMs + workMs * overdueShare);
  }

  #findHomes(waiter: W, nowMs: number): void {
    waiter.homes = this.#homesOf(waiter);
    waiter.homesMs = nowMs;
    let most = 0;
    let slack = 0;
    for (const { tokens, slackMs = 0 } of waiter.homes) {
      most = Math.max(most, tokens);
      slack = Math.max(slack, slackMs);
    }
    waiter.slackMs = slack;
    waiter.leastTokens = Math.max(1, waiter.promptTokens - most);
  }

  /** Finds which targets are open, and when the next one opens. */
  #look(nowMs: number): void {
    const { horizonMs, lateWorkMs, missWeight, homeWeight, spareWeight, missQueueMax, usualTokens } = this.#config;
    const loadMs = (this.#config.loadMs * this.#meanTokens) / usualTokens;
    const targets = this.#targets;
    const { count } = targets;
    if (this.#state.length < count) this.#grow(count * 2);
    // Read once: this goes along all targets at every binding.
    const [states, waitsMs, msPerTokens, loadsMs] = [this.#state, this.#waitMs, this.#msPerToken, this.#loadMs];
    let [first, soonest, firstMs, soonestMs, lateAtWork] = [-1, -1, Infinity, Infinity, 0];
    let [leastMsPerToken, wakeAtMs] = [Infinity, this.#wakeAtMs];
    for (let target = 0; target < count; target += 1) {
      const { msPerToken, busyUntilMs: ownUntilMs } = targets.pace(target);
      const others = targets.othersTokens(target);
      const othersMs = others > 0 ? Math.max(0, targets.othersMs(target) - ownUntilMs) + others * msPerToken : 0;
      const busyUntilMs = ownUntilMs + othersMs;
      const aheadMs = busyUntilMs - nowMs;
      const waitMs = (aheadMs > 0 ? aheadMs : 0) + (targets.delayMs?.(target) ?? 0);
      if (aheadMs > lateWorkMs) lateAtWork += 1;
      states[target] = FULL;
      if (!targets.hasRoom(target)) continue;
      const load = loadMs * targets.active(target);
      const doneMs = waitMs + usualTokens * msPerToken + load;
      const opensMs = busyUntilMs - horizonMs - targets.networkMs(target);
      waitsMs[target] = waitMs;
      msPerTokens[target] = msPerToken;
      loadsMs[target] = load;
      if (opensMs > nowMs) {
        states[target] = BUSY;
        if (opensMs < wakeAtMs) wakeAtMs = opensMs;
        if (doneMs >= soonestMs) continue;
        soonestMs = doneMs;
        soonest = target;
      } else {
        states[target] = OPEN;
        if (msPerToken < leastMsPerToken) leastMsPerToken = msPerToken;
        if (doneMs >= firstMs) continue;
        firstMs = doneMs;
        first = target;
      }
    }
    this.#leastMsPerToken = leastMsPerToken;
    this.#wakeAtMs = wakeAtMs;
    this.#first = first;
    this.#soonest = soonest;
    this.#lateAtWork = lateAtWork;
    const waiting = this.#waiters.length;
    this.#crowd = missWeight * Math.min(missQueueMax, waiting / count);
    // Who waits alone gains nothing for others by waiting on.
    const others = Math.min(missQueueMax, (waiting - 1) / count);
    this.#homeCrowd = Math.max(this.#crowd, homeWeight * others);
    this.#spareCrowd = Math.max(this.#crowd, spareWeight * others);
  }

  #scan(nowMs: number, keptCrowd: number): void {
    const { scanMax, refreshMs } = this.#config;
    this.#keptCrowd = keptCrowd;
    this.#hasKept = false;
    const count = Math.min(this.#waiters.length, scanMax);
    let refreshes = REFRESHES_MAX;
    this.#rank = Infinity;
    this.#value = Infinity;
    this.#place = -1;
    for (let place = 0; place < count; place += 1) {
      const waiter = this.#waiters[place]!;
      if (refreshes > 0 && nowMs - waiter.homesMs > refreshMs) {
        this.#findHomes(waiter, nowMs);
        refreshes -= 1;
      }
      // The best that it could come to.
      const work = waiter.leastTokens * this.#leastMsPerToken;
      const debt = this.#debtMs(waiter, this.#leastMsPerToken);
      const rank = this.#rankOf(waiter, work, debt, nowMs);
      if (
        rank > this.#rank ||
        (rank === this.#rank && this.#valueOf(waiter, rank, work + debt, nowMs) >= this.#value)
      ) {
        continue;
      }
      if (nowMs - waiter.homesMs > refreshMs) this.#findHomes(waiter, nowMs);
      if (this.#limits?.isPicky(waiter) === true) this.#weighAll(waiter, place, this.#limits, nowMs);
      else this.#weigh(waiter, place, nowMs);
    }
  }

  /** For one that may not go everywhere, all that are open and where it may; it waits for none that is busy. */
  #weighAll(waiter: W, place: number, limits: LateLimits<W>, nowMs: number): void {
    const open: number[] = [];
    let leastWork = Infinity;
    for (let target = 0; target < this.#targets.count; target += 1) {
      if (this.#state[target] !== OPEN || !limits.mayGo(waiter, target, nowMs)) continue;
      leastWork = Math.min(leastWork, this.#workMs(fresh(waiter, target), target));
      open.push(target);
    }
    for (const target of open) {
      this.#consider(waiter, place, target, fresh(waiter, target), leastWork, Infinity, nowMs);
    }
  }

  #weigh(waiter: W, place: number, nowMs: number): void {
    const { homes, promptTokens } = waiter;
    const first = this.#first;
    const soonest = this.#soonest;
    let leastWork = promptTokens * this.#msPerToken[first]!;
    let busyMs = soonest < 0 ? Infinity : this.#waitMs[soonest]! + this.#workMs(promptTokens, soonest) + waiter.slackMs;
    for (const { target, tokens, slackMs = 0 } of homes) {
      if (this.#state[target] === FULL) continue;
      const work = this.#workMs(promptTokens - tokens, target);
      if (work < leastWork) leastWork = work;
      if (this.#state[target] !== BUSY) continue;
      busyMs = Math.min(busyMs, this.#waitMs[target]! + work + waiter.slackMs - slackMs);
    }
    for (const { target, tokens } of homes) {
      if (this.#state[target] === OPEN) {
        this.#consider(waiter, place, target, promptTokens - tokens, leastWork, busyMs, nowMs);
      }
    }
    this.#consider(waiter, place, first, fresh(waiter, first), leastWork, busyMs, nowMs);
  }

  /** Of work that nobody is in time for any more: so much that it has to wait for other such work. */
  #isTooLong(work: number): boolean {
    const { lateWorkMs, lateShare } = this.#config;
    if (work <= lateWorkMs) return false;
    return this.#lateAtWork >= Math.max(1, (lateShare * this.#targets.count * lateWorkMs) / work);
  }

  #debtMs({ tenant = "" }: W, msPerToken: number): number {
    return this.#debts.tokens(tenant) * this.#config.tenantWeight * msPerToken;
  }

  #workMs(tokens: number, target: number): number {
    return Math.max(1, tokens) * this.#msPerToken[target]!;
  }

  #consider(
    waiter: W,
    place: number,
    target: number,
    tokens: number,
    leastWork: number,
    busyMs: number,
    nowMs: number,
  ): void {
    const work = this.#workMs(tokens, target);
    const tooMuch = Math.max(0, work - leastWork);
    const price = tooMuch * this.#crowd;
    const answered = this.#waitMs[target]! + work;
    const debt = this.#debtMs(waiter, this.#msPerToken[target]!);
    const rank = this.#rankOf(waiter, answered, debt, nowMs);
    const away = waiter.slackMs === 0 ? 0 : awayMs(waiter, target);
    if (rank % RANKS !== RANK.overdue) {
      if (answered + away + price > busyMs) return;
      if (answered + away + tooMuch * this.#keptCrowd > busyMs && nowMs + busyMs <= this.#homeByMs(waiter)) {
        this.#hasKept = true;
        return;
      }
      if (rank % RANKS === RANK.late && this.#isTooLong(work)) return;
    }
    const value = this.#valueOf(waiter, rank, work + away + price + debt + this.#loadMs[target]!, nowMs);
    if (rank > this.#rank || (rank === this.#rank && value >= this.#value)) return;
    this.#rank = rank;
    this.#value = value;
    this.#place = place;
    this.#target = target;
  }

  /** Until when a request is kept for another target though an open one could take it. */
  #homeByMs({ cameMs, wantedMs }: W): number {
    const { homeShare, patienceMs } = this.#config;
    return cameMs + homeShare * Math.min(wantedMs - cameMs, patienceMs);
  }

  /** By priority, and within one by whether it has waited for too long, can still be in time, or can't. */
  #rankOf({ priority, cameMs, wantedMs }: W, answeredMs: number, debtMs: number, nowMs: number): number {
    const { waitMsMax, patienceMs } = this.#config;
    const age = nowMs - cameMs;
    const isOverdue = (age >= waitMsMax && debtMs <= 0 && this.#creditMs >= 0) || age >= waitMsMax * LONGEST_WAITS;
    if (isOverdue) return priority * RANKS + RANK.overdue;
    const isLate = nowMs + answeredMs > Math.min(wantedMs, cameMs + patienceMs);
    return priority * RANKS + (isLate ? RANK.late : RANK.inTime);
  }

  #valueOf({ cameMs }: W, rank: number, dearMs: number, nowMs: number): number {
    const { ageWeight, lateAgeWeight } = this.#config;
    const kind = rank % RANKS;
    if (kind === RANK.overdue) return cameMs;
    return dearMs - (nowMs - cameMs) * (kind === RANK.late ? lateAgeWeight : ageWeight);
  }
}

/** How much farther away the target counts as, since the request's session is elsewhere. */
function awayMs({ homes, slackMs }: LateWaiter, target: number): number {
  for (const home of homes) if (home.target === target) return slackMs - (home.slackMs ?? 0);
  return slackMs;
}

/** Of its prompt, what the target must compute. */
function fresh({ homes, promptTokens }: LateWaiter, target: number): number {
  let cached = 0;
  for (const home of homes) if (home.target === target) cached = home.tokens;
  return Math.max(1, promptTokens - cached);
}
