/**
 * Who holds which share of one quota. `grant` is pure: the replicated state machine calls it, and so does an engine that
 * keeps a ledger as one item and replaces it by compare-and-set.
 *
 * The promise. A holder spends within any period no more than the share it then has (`ShareSpender`). A share counts as
 * taken while it can be spent, and its spending for one period longer; so what all holders together spend within any
 * period is never more than the limit, whoever asks for what and when, whatever messages are late or lost. Beyond it can
 * only be, and each is at most one lease: a holder that goes on with its last share while it is cut off from the store;
 * one that has not been answered yet, by its start (`startOf`); and one request that is larger than the share.
 *
 * A share is what a holder asked for and half as much again, fair among all who want (max-min), and never more than
 *
 *     max(limit / wanting holders, 2 x used in the last period + limit / (4 x wanting holders))
 *
 * A lease ends by itself after `LEASE_MS`; who wants to go on asks again after half of that. A smaller share counts only
 * from the next time its holder asks, since only then it has surely heard of it: moving shares takes two or three asks.
 * Who wants nothing of a measure has given its share back by asking so, and may spend nothing from then on.
 * What can't be split evenly, as one request at a time between two, goes round: first to who had something longest ago.
 */
import { fairShares } from "./fair-shares.ts";
import { MEASURES, type Measure, type Measures } from "./quota.ts";
import { refuse } from "../base/field.ts";
import { type Reader, inside, objectOf, whole } from "./spec-reading.ts";
import { type Amounts, type Grant, type Want, readHolder } from "./want.ts";

export const LEASE_MS = 2_000;
/** Holders that have or had a share of one quota. One more gets nothing. */
export const HOLDERS_MAX = 1_000;

/** One holder's part in one measure of the quota. */
export interface Part {
  readonly want: number;
  /** Spent within the period before it asked. */
  readonly used: number;
  readonly share: number;
  /** What it may still believe to have, until then. */
  readonly former: number;
  readonly formerUntilMs: number;
  /** When it was last given anything. */
  readonly servedMs: number;
}

export interface Lease {
  readonly holder: string;
  readonly serial: number;
  readonly askedMs: number;
  /** When the share ends. */
  readonly untilMs: number;
  readonly requests: Part;
  readonly tokens: Part;
  readonly concurrency: Part;
}

/** By holder. Written as JSON it is the same text for the same state. */
export type Ledger = readonly Lease[];

const NOTHING: Part = { want: 0, used: 0, share: 0, former: 0, formerUntilMs: 0, servedMs: 0 };

/** `wants` are all of this quota; `roomFor` is how many new holders it may take. `nowMs` never goes back (clock.ts). */
export function grant(
  ledger: Ledger,
  measures: Measures,
  wants: readonly Want[],
  nowMs: number,
  roomFor: number = HOLDERS_MAX,
): { readonly ledger: Ledger; readonly grants: readonly Grant[] } {
  const leases = new Map(remaining(ledger, measures, nowMs).map((lease) => [lease.holder, lease]));
  let room = Math.min(roomFor + ledger.length, HOLDERS_MAX) - leases.size;
  for (const want of wants) {
    const known = leases.get(want.holder);
    if (known === undefined && --room < 0) continue;
    leases.set(want.holder, told(known, want, measures, nowMs));
  }
  const sorted = [...leases.values()].toSorted((a, b) => (a.holder < b.holder ? -1 : 1));
  const fair = fairOf(sorted, measures, nowMs);
  const places = new Map(sorted.map(({ holder }, place) => [holder, place]));
  const holders = sorted.filter((lease) => wantsAny(lease, nowMs)).length;
  let taken = takenBy(sorted, measures, nowMs);
  const grants = wants.map(({ holder, quota }): Grant => {
    const place = places.get(holder);
    const nobody = { serial: 0, requests: NOTHING, tokens: NOTHING, concurrency: NOTHING };
    if (place !== undefined) {
      const before = sorted[place]!;
      const others = minus(taken, takenBy([before], measures, nowMs));
      const fairShare = { requests: 0, tokens: 0, concurrency: 0 };
      for (const name of MEASURES) fairShare[name] = fair[name][place]!;
      const after = given(before, fairShare, others, measures, nowMs);
      sorted[place] = after;
      taken = plus(others, takenBy([after], measures, nowMs));
    }
    const { serial, ...parts } = place === undefined ? nobody : sorted[place]!;
    const shareOf = (measure: keyof Amounts): number | null =>
      measures[measure] === null ? null : parts[measure].share;
    return {
      holder,
      quota,
      requests: shareOf("requests"),
      tokens: shareOf("tokens"),
      concurrency: shareOf("concurrency"),
      windowMs: LEASE_MS,
      serial,
      holders,
    };
  });
  return { ledger: sorted, grants };
}

/** What is taken of a measure: by what was granted and may be spent, by what was spent within the period. */
export function reserved(lease: Lease, measure: keyof Amounts, periodMs: number, nowMs: number): number {
  const { share, former, formerUntilMs, used } = lease[measure];
  return Math.max(
    nowMs < lease.untilMs + periodMs ? share : 0,
    nowMs < formerUntilMs + periodMs ? former : 0,
    nowMs < Math.max(lease.askedMs + periodMs, lease.untilMs) ? used : 0,
  );
}

function takenBy(ledger: Ledger, measures: Measures, nowMs: number): Amounts {
  const of = (name: keyof Amounts): number =>
    ledger.reduce((sum, lease) => sum + reserved(lease, name, measures[name]?.periodMs ?? 0, nowMs), 0);
  return { requests: of("requests"), tokens: of("tokens"), concurrency: of("concurrency") };
}

/** Without the leases that nothing is taken by any more. */
export function remaining(ledger: Ledger, measures: Measures, nowMs: number): Ledger {
  return ledger.filter((lease) => !isOver(lease, measures, nowMs));
}

/** After a change of the quota: where its limit became lower, shares are as much smaller. Holders do the same. */
export function rescaled(ledger: Ledger, before: Measures, after: Measures): Ledger {
  const part = (lease: Lease, name: keyof Amounts): Part => {
    const { share, former, ...rest } = lease[name];
    const scaled = (amount: number): number => scaledShare(amount, before[name], after[name]);
    return { ...rest, share: scaled(share), former: scaled(former) };
  };
  return ledger.map((lease) => ({
    ...lease,
    requests: part(lease, "requests"),
    tokens: part(lease, "tokens"),
    concurrency: part(lease, "concurrency"),
  }));
}

/** A share of a measure that changed. */
export function scaledShare(share: number, before: Measure | null, after: Measure | null): number {
  if (after === null || before === null) return 0;
  return after.limit >= before.limit ? share : Math.floor((share * after.limit) / before.limit);
}

function isOver(lease: Lease, measures: Measures, nowMs: number): boolean {
  if (nowMs < lease.askedMs + LEASE_MS) return false;
  return MEASURES.every((name) => reserved(lease, name, measures[name]?.periodMs ?? 0, nowMs) === 0);
}

/** The lease once its holder has told what it wants and what it spent. */
function told(known: Lease | undefined, want: Want, measures: Measures, nowMs: number): Lease {
  const hasHeard = known !== undefined && want.holding === known.serial;
  const part = (name: keyof Amounts): Part => {
    const before = known?.[name] ?? NOTHING;
    const periodMs = measures[name]?.periodMs ?? 0;
    const usedBefore = known !== undefined && nowMs < known.askedMs + periodMs ? before.used : 0;
    const used = hasHeard ? want.used[name] : Math.max(usedBefore, want.used[name]);
    const doubt = hasHeard ? { former: 0, formerUntilMs: 0 } : {};
    return { ...before, ...doubt, want: want[name], used };
  };
  return {
    holder: want.holder,
    // One that was forgotten goes on counting from what its holder knows.
    serial: Math.max(known?.serial ?? 0, want.holding),
    askedMs: nowMs,
    untilMs: known?.untilMs ?? nowMs,
    requests: part("requests"),
    tokens: part("tokens"),
    concurrency: part("concurrency"),
  };
}

function plus(a: Amounts, b: Amounts): Amounts {
  return { requests: a.requests + b.requests, tokens: a.tokens + b.tokens, concurrency: a.concurrency + b.concurrency };
}

function minus(a: Amounts, b: Amounts): Amounts {
  return { requests: a.requests - b.requests, tokens: a.tokens - b.tokens, concurrency: a.concurrency - b.concurrency };
}

/** The lease renewed, by its fair share as far as what the others have leaves it. */
function given(lease: Lease, fair: Amounts, others: Amounts, measures: Measures, nowMs: number): Lease {
  const part = (name: keyof Amounts): Part => {
    const measure = measures[name];
    const before = lease[name];
    if (measure === null) return { ...NOTHING, want: before.want, used: before.used };
    const share = Math.max(0, Math.min(fair[name], measure.limit - others[name]));
    // Until it asks again it may not have heard, and spend what it had; but for one that has it no more.
    const doubted = nowMs < before.formerUntilMs + measure.periodMs ? before.former : 0;
    const givesBack = before.want === 0 && before.formerUntilMs === 0;
    const former = givesBack ? 0 : Math.max(doubted, before.share);
    const formerUntilMs = givesBack ? 0 : Math.max(before.formerUntilMs, lease.untilMs);
    const servedMs = share > 0 ? nowMs : before.servedMs;
    return { want: before.want, used: before.used, share, former, formerUntilMs, servedMs };
  };
  return {
    holder: lease.holder,
    serial: lease.serial + 1,
    askedMs: nowMs,
    untilMs: nowMs + LEASE_MS,
    requests: part("requests"),
    tokens: part("tokens"),
    concurrency: part("concurrency"),
  };
}

/** The share of each lease if nothing were taken yet. */
function fairOf(leases: readonly Lease[], measures: Measures, nowMs: number): Record<keyof Amounts, number[]> {
  const of = (name: keyof Amounts): number[] => {
    const measure = measures[name];
    return measure === null ? leases.map(() => 0) : fairParts(leases, name, measure, nowMs);
  };
  return { requests: of("requests"), tokens: of("tokens"), concurrency: of("concurrency") };
}

function fairParts(leases: readonly Lease[], name: keyof Amounts, { limit }: Measure, nowMs: number): number[] {
  const wants = leases.map((lease) => (isAsking(lease, nowMs) ? lease[name].want : 0));
  const wanting = Math.max(1, wants.filter((want) => want > 0).length);
  const start = Math.ceil(limit / (4 * wanting));
  const most = leases.map((lease) => Math.max(Math.ceil(limit / wanting), 2 * lease[name].used + start));
  const ranks = leases.map((lease) => lease[name].servedMs);
  const claims = wants.map((want, index) => Math.min(want, most[index]!));
  const shares = fairShares(limit, claims, ranks);
  const left = limit - shares.reduce((sum, share) => sum + share, 0);
  if (left <= 0) return shares;
  // Everybody has what it asked for: what is left is room for those who will want more.
  const extras = wants.map((want, index) =>
    want === 0 ? 0 : Math.max(0, Math.min(most[index]!, want + Math.ceil(want / 2) + start) - shares[index]!),
  );
  const more = fairShares(left, extras, ranks);
  return shares.map((share, index) => share + more[index]!);
}

function isAsking(lease: Lease, nowMs: number): boolean {
  return nowMs < lease.askedMs + LEASE_MS;
}

function wantsAny(lease: Lease, nowMs: number): boolean {
  return isAsking(lease, nowMs) && MEASURES.some((name) => lease[name].want > 0);
}

// ---- reading one that was written as JSON ---------------------------------------------------------------------------

const count = whole(0, Number.MAX_SAFE_INTEGER);
const PART_FIELDS = ["want", "used", "share", "former", "formerUntilMs", "servedMs"] as const;
const readPart = objectOf<Part>(
  { want: count, used: count, share: count, former: count, formerUntilMs: count, servedMs: count },
  PART_FIELDS,
);
const readLease = objectOf<Lease>(
  {
    holder: readHolder,
    serial: count,
    askedMs: count,
    untilMs: count,
    requests: readPart,
    tokens: readPart,
    concurrency: readPart,
  },
  ["holder", "serial", "askedMs", "untilMs", "requests", "tokens", "concurrency"],
);

export const readLedger: Reader<Ledger> = (raw, at) => {
  if (!Array.isArray(raw) || raw.length > HOLDERS_MAX)
    return refuse(raw, at, `a list of at most ${HOLDERS_MAX} leases`);
  const before = at.faults.length;
  const ledger: Lease[] = [];
  for (const [index, each] of raw.entries()) {
    const here = inside(at, `[${index}]`);
    const lease = readLease(each, here);
    if (lease === undefined) continue;
    if (lease.holder <= (ledger.at(-1)?.holder ?? "")) refuse(each, here, "a list by holder, each once");
    ledger.push(lease);
  }
  return at.faults.length === before ? ledger : undefined;
};
