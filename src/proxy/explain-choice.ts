/**
 * Who of a model's places is chosen, by the strategy by which its requests are balanced (score/strategies.ts), and why, in
 * words. What is decided by chance or in turns has a share for each place: how much of many requests.
 */
import { COST_COLUMNS } from "../score/layout.ts";
import type { RowSides } from "../score/row-sides.ts";
import { type ArrivalStrategy, arrivalStrategy } from "../score/strategies.ts";
import { type Cached, type RowCost, type RowFigures, TERM_NAMES } from "../score/terms.ts";
import { TargetView, type Wanted } from "../score/view.ts";

/** `late`: by the score while a target is open, else by the desk (late-desk.ts). */
export type Way = ArrivalStrategy | "late" | "module";

export interface Contender {
  readonly node: string;
  readonly row: number;
  readonly eligible: boolean;
  readonly weight: number;
  readonly cost: RowCost;
  readonly figures: RowFigures;
  /** What of the request's prompt it is believed to have; absent: nothing is known of that. */
  readonly cached?: Cached | undefined;
  /** Figures that only strategies go by; absent: those of that time are not kept. */
  readonly sides?: ReturnType<RowSides["of"]> | undefined;
}

export interface Verdict<T> {
  /** Who may be chosen, the likeliest first; of equals the cheapest. */
  readonly among: readonly T[];
  /** Of each of these, 0 to 1. */
  readonly shares: ReadonlyMap<number, number>;
  readonly reason: string;
}

/** Costs that differ by less are the same to the scorers, which count in float32. */
const TIE = 1e-6;
const SHARES_SHOWN_MAX = 8;
const TRIALS = 512;
const SIDES = ["waiting", "kvUsage", "contextTokens", "pricePerHour", "stepSeconds", "running"] as const;

/** A request of which nothing else is said. */
type Wished = Required<Pick<Wanted, "promptTokens" | "leftMs" | "gapMs">>;
/** By when its first token is wanted, and how far apart the others may be. */
export type Within = Omit<Wished, "promptTokens">;

const AT_ANY_TIME: Within = { leftMs: Infinity, gapMs: Infinity };

export function wished(promptTokens: number, within = AT_ANY_TIME): Wished {
  return { promptTokens, ...within };
}

interface Shown extends Contender {
  readonly seconds: number;
}

/** Who is chosen of these and why, and all of them with their shares: the likeliest first, then who can't be chosen. */
export function decided<T extends Shown>(scored: readonly T[], way: Way, wanted: Wished) {
  const ordered = scored.toSorted((a, b) => Number(b.eligible) - Number(a.eligible) || a.seconds - b.seconds);
  const { among, shares, reason } = verdictOf(ordered, way, wanted);
  const [winner] = among;
  const rest = ordered.filter((one) => !among.includes(one));
  const candidates = [...among, ...rest].map((one) => ({
    ...one,
    chosen: one.row === winner?.row,
    share: shares.get(one.row) ?? 0,
  }));
  return { winner: winner?.node ?? "", reason, candidates };
}

/** `ordered`: the eligible first, and the cheapest of them. */
export function verdictOf<T extends Contender>(ordered: readonly T[], way: Way, wanted: Wished): Verdict<T> {
  const eligible = ordered.filter((one) => one.eligible);
  // When all that have room are ejected, one of them is taken all the same.
  const isFallback = eligible.length === 0;
  const able = isFallback ? ordered.filter(({ cost }) => cost.obstacle === "ejected") : eligible;
  const shares = sharesOf(able, way, wanted);
  const shareOf = ({ row }: T): number => shares.get(row) ?? 0;
  const among = able.toSorted((a, b) => shareOf(b) - shareOf(a));
  const [winner] = among;
  if (winner === undefined) {
    const reason = ordered.length === 0 ? "no node serves it now" : "none of its nodes can be chosen now";
    return { among, shares, reason };
  }
  const rest = isFallback ? "; all that have room are ejected, and one of them is better than none" : "";
  const alone = `${winner.node} is the only one that can be chosen`;
  const why = among.length === 1 ? alone : isByScore(way) ? byScore(winner, able) : byStrategy(among, shareOf, way);
  return { among, shares, reason: `${why}${rest}` };
}

/** Bound late it is the score that decides while a target is open and nobody waits. */
export function isByScore(way: Way): way is "ttft" | "late" | "hedged" {
  return way === "ttft" || way === "late" || way === "hedged";
}

/** By row. */
function sharesOf(able: readonly Contender[], way: Way, wanted: Wished): ReadonlyMap<number, number> {
  switch (way) {
    case "ttft":
    case "hedged":
    case "module":
    case "late": {
      const least = Math.min(...able.map(({ cost }) => cost.seconds));
      return even(able.filter(({ cost }) => cost.seconds - least <= least * TIE));
    }
    case "least-request": {
      const least = Math.min(...able.map(loadOf));
      return even(able.filter((one) => loadOf(one) === least));
    }
    case "p2c":
      return ofTwoDraws(able);
    case "random":
    case "round-robin": {
      const total = weightOf(able);
      return new Map(able.map(({ row, weight }) => [row, weight / total]));
    }
    default:
      return ofTrials(able, way, wanted);
  }
}

/** Lets the strategy itself choose, many times, as one that remembers nothing yet. */
function ofTrials(able: readonly Contender[], way: ArrivalStrategy, wanted: Wished): ReadonlyMap<number, number> {
  const view = new TargetView(able.length);
  for (const [target, one] of able.entries()) {
    view.active[target] = one.cost.activeRequests;
    view.queuedTokens[target] = one.cost.queuedTokens;
    view.matchedTokens[target] = one.cached?.cachedTokens ?? 0;
    view.weight[target] = one.weight;
    for (const figure of COST_COLUMNS) view[figure][target] = one.figures[figure];
    for (const side of SIDES) view[side][target] = one.sides?.[side] ?? 0;
  }
  const strategy = arrivalStrategy(way, 1);
  const asked = { ...wanted, missWeight: able[0]?.cached?.missWeight ?? 0 };
  const shares = new Map(able.map(({ row }) => [row, 0]));
  for (let trial = 0; able.length > 0 && trial < TRIALS; trial += 1) {
    const { row } = able[strategy.choose(view, asked, 0)]!;
    shares.set(row, shares.get(row)! + 1 / TRIALS);
  }
  return shares;
}

function even(tied: readonly Contender[]): ReadonlyMap<number, number> {
  return new Map(tied.map(({ row }) => [row, 1 / tied.length]));
}

function weightOf(able: readonly Contender[]): number {
  return able.reduce((sum, { weight }) => sum + weight, 0);
}

/** Requests for its weight, with the one to be placed. */
function loadOf({ cost, weight }: Contender): number {
  return (cost.activeRequests + 1) / weight;
}

/** Two are drawn by weight, and the less loaded is taken; of equals the one drawn first. */
function ofTwoDraws(able: readonly Contender[]): ReadonlyMap<number, number> {
  if (able.length < 2) return even(able);
  const total = weightOf(able);
  const shares = new Map(able.map(({ row }) => [row, 0]));
  for (const first of able) {
    for (const second of able) {
      if (second === first) continue;
      const chance = (first.weight / total) * (second.weight / (total - first.weight));
      const { row } = loadOf(second) < loadOf(first) ? second : first;
      shares.set(row, (shares.get(row) ?? 0) + chance);
    }
  }
  return shares;
}

function byStrategy<T extends Contender>(
  among: readonly T[],
  shareOf: (one: T) => number,
  way: ArrivalStrategy | "module",
): string {
  const [winner] = among;
  const percents = among
    .slice(0, SHARES_SHOWN_MAX)
    .map((one) => `${one.node} ${(shareOf(one) * 100).toFixed(1)} %`)
    .join(", ");
  const shown = among.length > SHARES_SHOWN_MAX ? `${percents}, ...` : percents;
  switch (way) {
    case "least-request": {
      const tied = among.filter((one) => shareOf(one) > 0).length;
      const load = winner === undefined ? "" : loadText(winner);
      return tied > 1
        ? `${tied} nodes are the least loaded (${load} each), and chance decides among them`
        : `${winner?.node ?? ""} is the least loaded: ${load}`;
    }
    case "p2c":
      return `of two nodes that are drawn by weight the less loaded is taken: ${shown} of requests as things are`;
    case "random":
      return `chance decides, by weight: ${shown}`;
    case "round-robin":
      return `nodes take turns in each worker, by weight: ${shown}`;
    case "module":
      return `a module of the router's own decides in each worker (--strategy); soonest are: ${shown}`;
    case "peak-ewma":
    case "prequal":
      return `each worker goes by loads and by the latencies that it saw; by loads alone: ${shown}`;
    default:
      return `the strategy ${way} decides (docs/strategies.md): ${shown} of requests as things are`;
  }
}

function loadText({ cost, weight }: Contender): string {
  const requests = cost.activeRequests === 1 ? "1 request" : `${cost.activeRequests} requests`;
  return weight === 1 ? `${requests} there` : `${requests} there for a weight of ${weight}`;
}

function byScore(winner: Contender, able: readonly Contender[]): string {
  const ms = (seconds: number): string => `${(seconds * 1000).toFixed(2)} ms`;
  const { seconds } = winner.cost;
  const tied = able.filter(({ cost }) => cost.seconds - seconds <= seconds * TIE);
  if (tied.length > 1) {
    return `${tied.length} nodes are expected to take ${ms(seconds)}, and chance decides among them`;
  }
  const second = able.find((one) => one !== winner) ?? winner;
  const [name, gain] = TERM_NAMES.map((term) => [term, second.cost.terms[term] - winner.cost.terms[term]] as const)
    .toSorted((a, b) => b[1] - a[1])
    .at(0) ?? ["prefill", 0];
  const most = `it is ahead by ${ms(gain)} in the term ${name}`;
  return `${winner.node} is expected to take ${ms(seconds)}, ${ms(second.cost.seconds - seconds)} less than ${second.node}; ${most}`;
}
