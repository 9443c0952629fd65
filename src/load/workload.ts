/** What is to be sent, as it was asked for: as a plan, which several threads may share, and in words. */
import type { Arrival } from "../sim/arrival.ts";
import { MOONCAKE_BLOCK_TOKENS } from "../sim/traces.ts";
import { ClosedPlan, type Plan, RatePlan, SharedPlan, TracePlan } from "./plan.ts";
import { parseRate, RateCurve, type RateSpec } from "./rate.ts";
import type { RunLimits } from "./run.ts";
import { durationOf, type LoadConfig } from "./settings.ts";

/** A ramp that ends by a number of requests has no time of its own. */
const RAMP_MS = 30_000;

/** Of `of` threads the one with that index, from 0 on: it has each `of`-th request, and its part of the connections. */
export interface Share {
  readonly index: number;
  readonly of: number;
}

/** `arrivals`: of the trace, those of this share; null: there is no trace. */
export function planOf(config: LoadConfig, arrivals: readonly Arrival[] | null, share: Share): Plan {
  const { seed, concurrency } = config;
  if (arrivals !== null) {
    const { speed, promptTokensMax, outputTokensMax } = config;
    return new TracePlan(arrivals, { speed, promptTokensMax, outputTokensMax }, MOONCAKE_BLOCK_TOKENS);
  }
  const shapes = { prompt: config.promptTokens, output: config.outputTokens };
  if (concurrency > 0) return new SharedPlan(new ClosedPlan(shapes, seed), share);
  const curve = new RateCurve(rateOf(config), overMsOf(config));
  return new SharedPlan(new RatePlan(curve, config.arrivals === "poisson", shapes, seed), share);
}

export function limitsOf(config: LoadConfig, { index, of }: Share): RunLimits {
  const { concurrency, connections, maxRequests, timeoutMs, warmupMs: warmUpMs } = config;
  const flights = concurrency > 0 ? Math.min(concurrency, connections) : connections;
  return {
    flightsMax: partOf(flights, index, of),
    timeoutMs,
    requestsMax: maxRequests > 0 ? partOf(maxRequests, index, of) : Number.POSITIVE_INFINITY,
    durationMs: durationOf(config),
    warmUpMs,
    numberFirst: index,
    numberStep: of,
  };
}

/** Those that this share sends. */
export function sharedArrivals(arrivals: readonly Arrival[], { index, of }: Share): readonly Arrival[] {
  return of === 1 ? arrivals : arrivals.filter((_, at) => at % of === index);
}

export function workloadWords(config: LoadConfig): string {
  const { trace, speed, promptTokensMax, outputTokensMax, concurrency, arrivals, workers } = config;
  const threads = workers > 1 ? [`${workers} threads`] : [];
  if (trace !== "") {
    const cuts = [
      ...(promptTokensMax > 0 ? [`prompts cut at ${promptTokensMax}`] : []),
      ...(outputTokensMax > 0 ? [`answers cut at ${outputTokensMax}`] : []),
    ];
    return [`trace ${trace}`, `speed ${speed}`, ...cuts, ...threads].join(", ");
  }
  const tokens = [
    `prompts of ${config.promptTokens.text} tokens`,
    `answers of ${config.outputTokens.text}`,
    ...threads,
  ];
  if (concurrency > 0) return [`${concurrency} at once`, ...tokens].join(", ");
  const rate = rateOf(config);
  const over = rate.rates.length > 1 ? ` over ${overMsOf(config) / 1000} s` : "";
  return [`${arrivals} arrivals`, `${rate.text}/s${over}`, ...tokens].join(", ");
}

/** Of a number of things the part of one of several; the first ones have what is left over. */
function partOf(total: number, index: number, of: number): number {
  return Math.floor(total / of) + (index < total % of ? 1 : 0);
}

function rateOf({ rate }: LoadConfig): RateSpec {
  return rate.rates.length > 0 ? rate : parseRate("10")!;
}

function overMsOf(config: LoadConfig): number {
  if (config.overMs > 0) return config.overMs;
  const durationMs = durationOf(config);
  return Number.isFinite(durationMs) ? durationMs : RAMP_MS;
}
