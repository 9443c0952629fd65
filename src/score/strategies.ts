/**
 * Ways to choose a target as the request comes, each as its authors publish it, with their defaults. Weights, of which
 * most of them know nothing, count as the capacity of a target: draws and turns go by them, loads are for them.
 *
 *   round-robin, random, least-request, p2c      the classics
 *   peak-ewma      linkerd: two drawn, the lesser of (latency, peaks at once, decaying in 10 s) x (requests + 1)
 *   prequal        Wydra et al., NSDI '24: probes of requests in flight and latency, hot and cold by the 84th percentile
 *   cache-aware    SGLang's router: the target with the longest prefix if that is more than half, else the smallest tree;
 *                  the shortest queue while loads differ by more than 32 and a tenth
 *   epp-blend      llm-d's endpoint picker, older default: 3 x prefix + 2 x queue + 2 x KV cache
 *   epp-default    its newer one: sticky where at least 0.8 of the prompt is cached, unless that costs over 18 s; among
 *                  what is left the least token load
 *   kv-cost        Dynamo's KV router: blocks to prefill, of all that are there and the new one's, + blocks being decoded
 *   ttft           expected time to first token, in seconds; what a miss costs those behind it is priced in
 *   slo, cost      of targets that are in time, the one that keeps most for others, or the cheapest (slo-strategies.ts)
 *   hedged         ttft, and a second try elsewhere where a first token is late
 */
import { Prng } from "../base/prng.ts";
import { cacheAware, kvCost, pickerBlend, stickyPicker } from "./cache-strategies.ts";
import { drawn, fillLoads, leastCost, lesserOfTwo, loadOf } from "./choices.ts";
import { PeakEwma, RoundRobin } from "./classic-strategies.ts";
import { soonestOf } from "./expected-seconds.ts";
import { Prequal } from "./prequal.ts";
import { cheapestInTime, slowestInTime } from "./slo-strategies.ts";
import type { Strategy, TargetView, Wanted } from "./view.ts";

export const ARRIVAL_STRATEGIES = [
  "round-robin",
  "random",
  "least-request",
  "p2c",
  "peak-ewma",
  "prequal",
  "cache-aware",
  "epp-blend",
  "epp-default",
  "kv-cost",
  "ttft",
  "slo",
  "cost",
  "hedged",
] as const;
export type ArrivalStrategy = (typeof ARRIVAL_STRATEGIES)[number];

/** What policies called some of them before. */
const FORMER_NAMES: ReadonlyMap<string, ArrivalStrategy> = new Map([
  ["score", "ttft"],
  ["least-loaded", "least-request"],
  ["two-choices", "p2c"],
]);

/** The strategy of a name that a policy or a setting gives; `ttft` where nobody here knows it. */
export function strategyNamed(name: string): ArrivalStrategy | "late" {
  if (name === "late") return name;
  return FORMER_NAMES.get(name) ?? ARRIVAL_STRATEGIES.find((each) => each === name) ?? "ttft";
}

type Choose = (view: TargetView, prng: Prng, wanted: Wanted) => number;

/** Those that remember nothing. */
const RULES: Readonly<Partial<Record<ArrivalStrategy, Rule>>> = {
  random: { choose: (view, prng) => drawn(view, prng, -1) },
  "least-request": { choose: leastLoaded },
  p2c: { choose: (view, prng) => lesserOfTwo(view, prng, (target) => loadOf(view, target)) },
  "cache-aware": { choose: cacheAware, needsPrefixes: true },
  "epp-blend": { choose: pickerBlend, needsPrefixes: true },
  "epp-default": { choose: stickyPicker, needsPrefixes: true },
  "kv-cost": { choose: kvCost, needsPrefixes: true, needsContexts: true },
  ttft: { choose: leastExpected, needsPrefixes: true, needsFigures: true },
  slo: { choose: slowestInTime, needsPrefixes: true, needsFigures: true },
  cost: { choose: cheapestInTime, needsPrefixes: true, needsFigures: true },
  hedged: { choose: leastExpected, needsPrefixes: true, needsFigures: true, isHedging: true },
};

interface Rule {
  readonly choose: Choose;
  readonly needsPrefixes?: boolean;
  readonly needsFigures?: boolean;
  readonly needsContexts?: boolean;
  readonly isHedging?: boolean;
}

export function arrivalStrategy(name: ArrivalStrategy, seed: number): Strategy {
  const prng = new Prng(seed);
  if (name === "round-robin") return new RoundRobin(prng);
  if (name === "peak-ewma") return new PeakEwma(prng);
  if (name === "prequal") return new Prequal(prng);
  const { choose, needsPrefixes = false, needsFigures = false, ...more } = RULES[name]!;
  return {
    name,
    ...more,
    needsPrefixes,
    needsFigures,
    choose: (view, wanted) => choose(view, prng, wanted),
  };
}

function leastExpected(view: TargetView, prng: Prng, wanted: Wanted): number {
  return soonestOf(view, prng, wanted);
}

function leastLoaded(view: TargetView, prng: Prng): number {
  fillLoads(view);
  return leastCost(view, prng);
}
