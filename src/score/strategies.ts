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
import { CacheAware, expectedSeconds, kvCost, PickerBlend, StickyPicker } from "./cache-strategies.ts";
import { least } from "./choices.ts";
import { Drawn, PeakEwma, RoundRobin, TwoChoices } from "./classic-strategies.ts";
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
      return new Drawn(prng);
    case "least-request":
      return new Least(name, prng, false, (view, i) => view.active[i]!);
    case "p2c":
      return new TwoChoices(prng);
    case "peak-ewma":
      return new PeakEwma(prng, targets);
    case "prequal":
      return new Prequal(prng, targets);
    case "cache-aware":
      return new CacheAware(prng);
    case "epp-blend":
      return new PickerBlend(prng);
    case "epp-default":
      return new StickyPicker(prng);
    case "kv-cost":
      return new Least(name, prng, true, kvCost);
    case "ttft":
      return new Least(name, prng, true, expectedSeconds);
  }
}

type Cost = (view: TargetView, target: number, wanted: Wanted) => number;

class Least implements Strategy {
  readonly name: string;
  readonly needsPrefixes: boolean;
  readonly #prng: Prng;
  readonly #cost: Cost;

  constructor(name: string, prng: Prng, needsPrefixes: boolean, cost: Cost) {
    this.name = name;
    this.needsPrefixes = needsPrefixes;
    this.#prng = prng;
    this.#cost = cost;
  }

  choose(view: TargetView, wanted: Wanted): number {
    return least(view, this.#prng, (target) => this.#cost(view, target, wanted));
  }
}
