/**
 * What could be reached at best, to measure strategies by.
 *
 * The oracle knows all that will come, true lengths of outputs included, and the true state of all nodes at all times.
 * It takes in only what it has chosen in hindsight: of all requests it leaves out those that cost most (what no cache can
 * have of the prompt, and what is generated), some part of them, and binds the others late, over a network that takes no
 * time, with nobody served out of turn for having waited long. The best of all parts is what counts. Since what is
 * optimal can't be computed for thousands of requests, nothing says that it can't be beaten: whoever compares takes the
 * most of it and of all strategies.
 *
 * The bound says what nobody can beat: requests that would be good alone on an idle mesh, with all that ever came before
 * them in its cache.
 */
import type { LateConfig } from "../flow/late-settings.ts";
import type { Arrival } from "./arrival.ts";
import type { BatchingConfig } from "./batching.ts";
import { World } from "./world.ts";
import type { WorldSpec } from "./world-spec.ts";

/** Parts of the requests that are left out. */
const PARTS = [0, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.5, 0.7] as const;
/** A generated token's cost in tokens of a prompt: the places that it takes in its step, and its context's. */
const OUTPUT_COSTS = [0, 2] as const;
const SAMPLE_MS = 10;

/** Tokens of each prompt that nobody had before it. */
export function newTokens(arrivals: readonly Arrival[], blockTokens: number): number[] {
  const seen = new Set<number>();
  return arrivals.map(({ promptTokens, hashes }) => {
    let known = 0;
    while (known < hashes.length && seen.has(hashes[known]!)) known += 1;
    for (const hash of hashes) seen.add(hash);
    return Math.max(1, promptTokens - known * blockTokens);
  });
}

/** The shortest way between a router and a node. */
function nearestMs({ networkMs, routers, nodes }: WorldSpec): number {
  if (typeof networkMs === "number") return networkMs;
  let least = Infinity;
  for (let router = 0; router < routers; router += 1) {
    for (let node = 0; node < nodes.length; node += 1) least = Math.min(least, networkMs(router, node));
  }
  return least;
}

/** Part of the requests that would be good alone on the fastest of the nodes. */
export function goodAlone(spec: WorldSpec): number {
  const { arrivals, nodes, ttftMs, itlMs } = spec;
  const wayMs = nearestMs(spec);
  const aloneBy = nodes.map((node) => newTokens(arrivals, node.blockTokens).map((tokens) => prefillMs(node, tokens)));
  const good = arrivals.filter(({ outputTokens }, at) =>
    nodes.some(
      (node, place) =>
        2 * wayMs + aloneBy[place]![at]! <= ttftMs &&
        (outputTokens < 2 || node.stepBaseMs + node.stepPerSequenceMs <= itlMs),
    ),
  );
  return good.length / arrivals.length;
}

function prefillMs(node: BatchingConfig, tokens: number): number {
  const steps = Math.ceil(tokens / node.stepTokensMax);
  return (tokens * 1000) / node.prefillTokensPerSecond + steps * node.stepBaseMs;
}

/** Part of the requests that the oracle makes good. Stops looking where more is not to be had. */
export function oracleGoodput(spec: WorldSpec, late: LateConfig): number {
  const { arrivals } = spec;
  const fresh = newTokens(arrivals, spec.nodes[0]!.blockTokens);
  const bound = goodAlone(spec);
  let best = 0;
  for (const outputCost of OUTPUT_COSTS) {
    const costs = arrivals.map(({ outputTokens }, at) => fresh[at]! + outputCost * outputTokens);
    const dearest = arrivals.map((_, at) => at).toSorted((a, b) => costs[b]! - costs[a]! || a - b);
    for (const part of PARTS) {
      // Those that are left can't be enough.
      if (1 - part <= best || best >= bound) break;
      const out = new Set(dearest.slice(0, Math.floor(part * arrivals.length)));
      best = Math.max(
        best,
        goodOf({ ...spec, arrivals: arrivals.filter((_, at) => !out.has(at)) }, late, arrivals.length),
      );
    }
  }
  return best;
}

function goodOf(spec: WorldSpec, late: LateConfig, requests: number): number {
  const strategy: LateConfig = { ...late, patienceMs: spec.ttftMs, waitMsMax: Infinity, lateAgeWeight: 0 };
  const world = new World({
    ...spec,
    routers: 1,
    router: { strategy },
    // What the network takes is counted, but nobody waits for it.
    ttftMs: spec.ttftMs - 2 * nearestMs(spec),
    networkMs: 0,
    sampleEveryMs: SAMPLE_MS,
    sampleDelayMs: 0,
    sampleLoss: 0,
  });
  const { goodput, requests: served } = world.run();
  return (goodput * served) / requests;
}
