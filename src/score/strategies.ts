/**
 * Ways to choose a target as the request comes, each as its authors publish it, with their defaults.
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
 */
import { Prng } from "../base/prng.ts";
import { cacheAware, expectedSeconds, kvCost, pickerBlend, stickyPicker } from "./cache-strategies.ts";
import { drawn, least, lesserOfTwo } from "./choices.ts";
import { PeakEwma, RoundRobin } from "./classic-strategies.ts";
import { Prequal } from "./prequal.ts";
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
] as const;
export type ArrivalStrategy = (typeof ARRIVAL_STRATEGIES)[number];

export function arrivalStrategy(name: ArrivalStrategy, targets: number, seed: number): Strategy {
  const prng = new Prng(seed);
  switch (name) {
    case "round-robin":
      return new RoundRobin(prng);
    case "random":
      return new Rule(name, prng, false, (view) => drawn(view, prng, -1));
    case "least-request":
      return new Rule(name, prng, false, (view) => least(view, prng, (target) => view.active[target]!));
    case "p2c":
      return new Rule(name, prng, false, (view) => lesserOfTwo(view, prng, (target) => view.active[target]!));
    case "peak-ewma":
      return new PeakEwma(prng, targets);
    case "prequal":
      return new Prequal(prng, targets);
    case "cache-aware":
      return new Rule(name, prng, true, cacheAware);
    case "epp-blend":
      return new Rule(name, prng, true, pickerBlend);
    case "epp-default":
      return new Rule(name, prng, true, stickyPicker);
    case "kv-cost":
      return new Rule(name, prng, true, leastBy(kvCost));
    case "ttft":
      return new Rule(name, prng, true, leastBy(expectedSeconds));
  }
}

type Choose = (view: TargetView, prng: Prng, wanted: Wanted) => number;

/** One that remembers nothing. */
class Rule implements Strategy {
  readonly name: string;
  readonly needsPrefixes: boolean;
  readonly #prng: Prng;
  readonly #choose: Choose;

  constructor(name: string, prng: Prng, needsPrefixes: boolean, choose: Choose) {
    this.name = name;
    this.needsPrefixes = needsPrefixes;
    this.#prng = prng;
    this.#choose = choose;
  }

  choose(view: TargetView, wanted: Wanted): number {
    return this.#choose(view, this.#prng, wanted);
  }
}

function leastBy(cost: (view: TargetView, target: number, wanted: Wanted) => number): Choose {
  return (view, prng, wanted) => least(view, prng, (target) => cost(view, target, wanted));
}
