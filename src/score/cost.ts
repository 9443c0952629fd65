/**
 * From what a target says of itself to the figures of its row: everything in seconds of expected time to first token.
 * Pure, and safe against any sample: it comes from the network, so what is not a sensible number counts as not known.
 *
 * Offsets. A sample counts every request that the runtime had when it was taken, ours among them. Our own load changes
 * with every request, and the table knows it exactly; so a row holds the sample less our own load at that moment
 * (`baseline`), and a pick adds our load of now. What other routers tell of theirs is treated alike: the row holds it
 * less what they had in flight at the sample, so that a request of theirs counts from when it is told, and once.
 *
 * Age. A sample is taken at its word for `staleAfter`. After that what it said of the load counts half as much after
 * each further `staleHalfLife`, and in its place comes an assumed backlog that grows to `staleSecondsMax`: neither
 * idleness nor a backlog is believed for ever, and silence never makes a target look idle. Rates and sizes stay: they
 * belong to the machine. Rows must be written anew about once a second for this to work. DESIGN.md derives the terms.
 */
import { duration, integer, number, section, text, type Infer } from "../base/settings.ts";
import type { ModelSample } from "./sample.ts";
import type { RowValues } from "./table-writer.ts";
import { bounded, rate, weightIn } from "./told-figures.ts";

export const costSettings = section({
  prefillTokensPerSecond: number({
    default: 20_000,
    min: 1,
    max: 1e9,
    doc: "Prompt tokens a second assumed of a target that tells no rate. The default is an 8B model on a large GPU; too high a guess makes new targets be tried, too low a one starves them.",
  }),
  decodeTokensPerSecond: number({
    default: 2_000,
    min: 1,
    max: 1e9,
    doc: "Output tokens a second of a whole batch, assumed of a target that tells no rate or whose batch is too small to tell.",
  }),
  slots: integer({
    default: 256,
    min: 1,
    max: 1_000_000,
    doc: "Requests that a runtime batches at most, assumed of a target that does not tell (vLLM's default on most GPUs).",
  }),
  queuePerSlot: number({
    default: 1,
    max: 1000,
    doc: "Requests that may wait at a target for each of its slots. A target with more is full; when all are, clients are told to come back.",
  }),
  promptTokensMean: number({
    default: 512,
    min: 1,
    max: 1e7,
    doc: "Tokens assumed of each waiting request of others at a target that does not tell its queued tokens.",
  }),
  outputTokensMean: number({
    default: 256,
    min: 1,
    max: 1e7,
    doc: "Output tokens of a usual request: decides how soon a slot is free again.",
  }),
  stepSecondsPerActive: number({
    default: 0.0002,
    max: 10,
    doc: "Seconds that one running request adds to a step of the batch, at most. A small batch's measured rate is mostly the step's fixed cost, so it only bounds this from below.",
  }),
  kvKnee: number({
    default: 0.85,
    max: 0.99,
    doc: "Used fraction of the KV cache from which a target is dearer: beyond it runtimes begin to preempt requests and compute them again.",
  }),
  kvPenaltySeconds: number({
    default: 2,
    max: 3600,
    doc: "Seconds that a full KV cache adds; it grows with the square of what is used beyond the knee.",
  }),
  staleAfterMs: duration({
    default: "11s",
    min: "10ms",
    max: "1h",
    doc: "Age up to which a polled sample is taken at its word: a little more than two polls.",
  }),
  streamStaleAfterMs: duration({
    default: "3s",
    min: "10ms",
    max: "1h",
    doc: "The same for the samples of a node that sends its states by itself: three that did not come.",
  }),
  staleHalfLifeMs: duration({
    default: "10s",
    min: "10ms",
    max: "1h",
    doc: "Time after which a stale sample's word on load counts half.",
  }),
  driftPerSecond: number({
    default: 0.05,
    max: 100,
    doc: "Seconds of backlog that a target is assumed to have got with each second of silence.",
  }),
  staleSecondsMax: number({
    default: 1,
    max: 3600,
    doc: "Most seconds of backlog assumed for silence.",
  }),
  coldStartSpread: number({
    default: 2,
    min: 1,
    max: 1000,
    doc: "How many times its load time a target costs that would have to load the model, where another one loads it already or is to be the next to do so: keeps a burst from having it loaded everywhere.",
  }),
  zone: text({
    default: "",
    flag: "zone",
    lengthMax: 128,
    placeholder: "ZONE",
    emptyMeans: "none",
    doc: "Where the router stands: nodes that say that they are in another zone are dearer by awaySeconds, unless a policy `balance` says `any` or `only`.",
  }),
  awaySeconds: number({
    default: 0.1,
    max: 3600,
    doc: "Seconds added to a target in another zone than the router's: what traffic between zones costs, as time. Their distance counts by itself.",
  }),
  otherShareSeconds: number({
    default: 0.02,
    max: 3600,
    doc: "Seconds added to a target that is in another router's share, where there are several: of equal targets each router prefers some, so that they don't all send to the same one before they hear of each other. 0: none does.",
  }),
  degradedSeconds: number({
    default: 0.5,
    max: 3600,
    doc: "Seconds added to a target that is in doubt: its last poll failed, or one of its GPUs is degraded.",
  }),
});

export type CostConfig = Infer<typeof costSettings>;

/** What the router knows of a target besides its sample. */
export interface RowContext {
  /** Relative capacity, 1 is usual: 2 makes the same work count half. */
  readonly weight: number;
  readonly rttMs: number;
  /** Requests may be sent. */
  readonly ready: boolean;
  /** In doubt, but still to be used when it is much the best. */
  readonly degraded: boolean;
  /** It stands in another zone, and the router's own is preferred. */
  readonly isAway?: boolean;
  /** Another router prefers it (own-share.ts). */
  readonly isOtherShare?: boolean;
  /** Seconds that it is dearer while it is new. */
  readonly coldSeconds?: number;
  /** That it takes until the model is loaded there, and what is added so that few load it at once. */
  readonly loadSeconds?: number;
  /** Since the sample was taken. */
  readonly ageMs: number;
  /** The sample comes by itself, again and again, rather than by polls. */
  readonly streamed?: boolean;
  /** The load of all routers at the target, as far as it is known here, when the sample was taken. */
  readonly baselineRequests: number;
  readonly baselineTokens: number;
  /** The load of the other routers there now. */
  readonly othersRequests?: number;
  readonly othersTokens?: number;
  /** What a prompt token takes there as the router has learnt it (learnt-rates.ts); it outranks what the sample tells. */
  readonly learntSecondsPerPrefillToken?: number | undefined;
}

/** What is known of a target that nothing may be sent to. */
export const UNROUTABLE: RowContext = {
  weight: 1,
  rttMs: 0,
  ready: false,
  degraded: false,
  ageMs: 0,
  baselineRequests: 0,
  baselineTokens: 0,
};

/** Steps of the batch before a first token: the rest of the one under way, half on average, and its own. */
const STEPS_TO_FIRST_TOKEN = 1.5;
const REQUESTS_MAX = 1e6;
const TOKENS_MAX = 1e9;
/** What one token or request can cost at most: far beyond use, and safe in float32 sums. */
const SECONDS_MAX = 1e6;
/** A full target's tokens in flight must stay below 2^31: see `promptTokensMax` in proxy/settings.ts. */
const CAPACITY_MAX = 16_000;
const RTT_MS_MAX = 60_000;
/** What begins to compute at a fuller cache may be preempted. */
export const KV_USAGE_MAX = 0.98;

/** The row of a target; without a sample (a static upstream) it is judged by the routers' load alone. */
export function rowValues(sample: ModelSample | null, context: RowContext, config: CostConfig): RowValues {
  const weight = weightIn(context.weight);
  const { secondsPerPrefillToken, secondsPerActive } = workValues(sample, context, config);
  const slots = Math.max(1, bounded(sample?.slots, REQUESTS_MAX) ?? config.slots);
  const load = sample === null ? NO_LOAD : loadOf(sample, context, config);
  const trust = sample === null ? 1 : 0.5 ** (staleMs(context, config) / config.staleHalfLifeMs);
  const capacityTokens = bounded(sample?.kvCapacityTokens, TOKENS_MAX) ?? 0;
  // Squared, a full cache comes to kvPenaltySeconds.
  const kvScale = Math.sqrt(config.kvPenaltySeconds) / (1 - config.kvKnee);
  const kvUsed = trust * (bounded(sample?.kvUsage, 1) ?? 0);
  const others = {
    tokens: bounded(context.othersTokens, TOKENS_MAX) ?? 0,
    requests: bounded(context.othersRequests, REQUESTS_MAX) ?? 0,
  };
  return {
    tokenOffset: Math.min(TOKENS_MAX, load.tokens * trust + others.tokens),
    activeOffset: Math.min(REQUESTS_MAX, load.requests * trust + others.requests),
    secondsPerPrefillToken,
    secondsPerActive,
    slots,
    secondsPerQueuedRequest: Math.min(
      SECONDS_MAX,
      config.outputTokensMean / (fullDecodeRate(sample, slots, config) * weight),
    ),
    kvOffset: (kvUsed - config.kvKnee) * kvScale,
    kvPerToken: capacityTokens > 0 ? kvScale / Math.max(1, capacityTokens) : 0,
    penaltySeconds: penaltySeconds(sample, context, config),
    capacity: context.ready ? Math.min(CAPACITY_MAX, Math.floor(slots * (1 + config.queuePerSlot))) : 0,
    isPaced: rate(sample?.prefillTokensPerSecond) !== undefined,
    isKvFull: kvUsed >= KV_USAGE_MAX,
  };
}

/** Those that are by what is learnt of the target; all others of its row stay while nothing else changes. */
export function workValues(
  sample: ModelSample | null,
  context: RowContext,
  config: CostConfig,
): Pick<RowValues, "secondsPerPrefillToken" | "secondsPerActive"> {
  const weight = weightIn(context.weight);
  const prefillRate = rate(1 / (context.learntSecondsPerPrefillToken ?? Infinity)) ?? priorPrefillRate(sample, config);
  return {
    secondsPerPrefillToken: Math.min(SECONDS_MAX, 1 / (prefillRate * weight)),
    secondsPerActive: Math.min(SECONDS_MAX, activeSeconds(sample, prefillRate, config) / weight),
  };
}

/** Prompt tokens a second before anything is learnt: as the runtime tells, or its agent's measurements; else a guess. */
export function priorPrefillRate(sample: ModelSample | null, config: CostConfig): number {
  return rate(sample?.prefillTokensPerSecond) ?? config.prefillTokensPerSecond;
}

interface Load {
  readonly tokens: number;
  readonly requests: number;
}

const NO_LOAD: Load = { tokens: 0, requests: 0 };

/** What the target had beyond the load that routers know of, when the sample was taken. */
function loadOf(sample: ModelSample, context: RowContext, config: CostConfig): Load {
  const knownRequests = bounded(context.baselineRequests, REQUESTS_MAX) ?? 0;
  const knownTokens = bounded(context.baselineTokens, TOKENS_MAX) ?? 0;
  const waiting = bounded(sample.waitingRequests, REQUESTS_MAX) ?? 0;
  const running = bounded(sample.runningRequests, REQUESTS_MAX) ?? 0;
  const queued = bounded(sample.queuedPrefillTokens, TOKENS_MAX);
  // A runtime that does not tell its queued tokens: the routers' are known; other waiting requests are of usual size.
  const tokens =
    queued === undefined ? Math.max(0, waiting - knownRequests) * config.promptTokensMean : queued - knownTokens;
  // A sample may miss what is on its way to the runtime, or count less of a prefill than was claimed for it. Below zero
  // that would hide later requests until the next sample; the claims themselves correct it as they end.
  return {
    tokens: Math.min(TOKENS_MAX, Math.max(0, tokens)),
    requests: Math.max(0, running + waiting - knownRequests),
  };
}

/**
 * A running request adds its own token's time to every step of the batch. One step makes a token for each of them, so
 * the time of one token, 1 / decode rate, is that time plus a share of the step's fixed cost: never less than the time,
 * and far more in a small batch. From below it is bounded by the arithmetic of one token, 1 / prefill rate.
 */
function activeSeconds(sample: ModelSample | null, prefillRate: number, config: CostConfig): number {
  return STEPS_TO_FIRST_TOKEN * Math.max(1 / prefillRate, stepSecondsPerActive(sample, config));
}

/** What a running request adds to a step at most, before anything is learnt. */
export function stepSecondsPerActive(sample: ModelSample | null, config: CostConfig): number {
  const decodeRate = rate(sample?.decodeTokensPerSecond);
  return Math.min(decodeRate === undefined ? Infinity : 1 / decodeRate, config.stepSecondsPerActive);
}

/** Output tokens a second when all slots are taken. A batch less than half full can only tell that it is not less. */
function fullDecodeRate(sample: ModelSample | null, slots: number, config: CostConfig): number {
  const measured = rate(sample?.decodeTokensPerSecond);
  if (sample === null || measured === undefined) return config.decodeTokensPerSecond;
  const half = (bounded(sample.runningRequests, REQUESTS_MAX) ?? 0) * 2 >= slots;
  return half ? measured : Math.max(measured, config.decodeTokensPerSecond);
}

function penaltySeconds(sample: ModelSample | null, context: RowContext, config: CostConfig): number {
  const rtt = (bounded(context.rttMs, RTT_MS_MAX) ?? 0) / 1000;
  const doubt = (context.degraded ? config.degradedSeconds : 0) + (context.isAway === true ? config.awaySeconds : 0);
  const share = context.isOtherShare === true ? config.otherShareSeconds : 0;
  const cold = (bounded(context.coldSeconds, SECONDS_MAX) ?? 0) + (bounded(context.loadSeconds, SECONDS_MAX) ?? 0);
  const silence = sample === null ? 0 : (staleMs(context, config) / 1000) * config.driftPerSecond;
  return rtt + doubt + share + cold + Math.min(config.staleSecondsMax, silence);
}

/** How much older the sample is than what is taken at its word. */
function staleMs(context: RowContext, config: CostConfig): number {
  const age = Number.isNaN(context.ageMs) ? Infinity : context.ageMs;
  return Math.max(0, age - (context.streamed === true ? config.streamStaleAfterMs : config.staleAfterMs));
}
