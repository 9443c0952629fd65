/** What the failure handling of a data-plane worker may be told, with the reason for each default; see DESIGN.md. */
import { bytes, duration, integer, number, section, type Infer } from "../base/settings.ts";
import { lateSettings } from "./late-settings.ts";

const breakerSettings = section(
  {
    failuresInRow: integer({
      default: 5,
      min: 1,
      max: 1000,
      doc: "Failures in a row, without a success between them, that open a target's breaker. Few enough to spare requests a dead target, enough that one bad moment of a good one passes.",
    }),
    failureShare: number({
      default: 0.5,
      min: 0.01,
      max: 1,
      doc: "Share of failures within the window that opens a target's breaker, for one that fails often but not each time. Half: a target that fails less still does more good than harm while requests can be repeated.",
    }),
    requestsMin: integer({
      default: 20,
      min: 1,
      max: 100_000,
      doc: "Outcomes within the window from which the share of failures means something; of fewer, chance makes half.",
    }),
    windowMs: duration({
      default: "10s",
      min: "100ms",
      max: "1h",
      doc: "How long an outcome counts in the share of failures.",
    }),
    openMs: duration({
      default: "2s",
      min: "100ms",
      max: "10m",
      doc: "How long a breaker stays open the first time. Short, since each trial costs one request that is repeated elsewhere; it doubles with each opening that follows.",
    }),
    openMsMax: duration({
      default: "1m",
      min: "100ms",
      max: "1h",
      doc: "Longest time that a breaker stays open. After as long a time without an opening the doubling begins anew.",
    }),
    probesMax: integer({
      default: 1,
      min: 1,
      max: 100,
      doc: "Requests that try a target at a time when its breaker is half open. One shows as much as many, and costs less when it fails.",
    }),
    probeMs: duration({
      default: "5s",
      min: "100ms",
      max: "10m",
      doc: "Time after which a trial that has told nothing yet keeps no other one back: a plain completion may take minutes to answer.",
    }),
    probeSuccesses: integer({
      default: 2,
      min: 1,
      max: 100,
      doc: "Trials in a row that must succeed until the breaker closes. Two: one may be luck.",
    }),
  },
  {
    doc: "When a worker stops sending to a target, and when it tries again.",
    check: ({ openMs, openMsMax }) =>
      openMsMax >= openMs
        ? []
        : [{ path: "openMax", found: openMsMax, expected: `at least open, which is ${openMs} ms` }],
  },
);

const outlierSettings = section(
  {
    maxEjectedShare: number({
      default: 0.5,
      max: 1,
      doc: "Share of a model's targets that may be out at a time because requests to them failed. Half: the rest must bear all of the load, and when more fail than that, they are seldom at fault themselves. Of two or more targets one may always be ejected, the only one never; 0 ejects none.",
    }),
  },
  { doc: "How many of a model's targets may be ejected at a time." },
);

const retrySettings = section(
  {
    share: number({
      default: 0.2,
      max: 1,
      doc: "Retries for each request of a model. A fifth repeats what one of five targets fails, and never makes an overload more than a fifth worse.",
    }),
    perSecondMin: number({
      default: 10,
      max: 10_000,
      doc: "Retries a second that each worker may make however few the requests of a model are.",
    }),
    windowMs: duration({
      default: "10s",
      min: "100ms",
      max: "10m",
      doc: "How long a retry that nobody needed stays allowed: what was saved decays with this time, so a quiet hour does not pay for a storm.",
    }),
  },
  { doc: "How many requests may be sent once more." },
);

const hedgeSettings = section(
  {
    share: number({
      default: 0.05,
      max: 0.5,
      doc: "Requests that may be sent twice, of all that may be hedged; 0 hedges none. A twentieth is what the 95th percentile leaves.",
    }),
    quantile: number({
      default: 0.95,
      min: 0.5,
      max: 0.999,
      doc: "A second request goes out when the first has waited for its first token longer than this share of all do.",
    }),
    delayMsMin: duration({
      default: "20ms",
      max: "1m",
      doc: "Shortest wait before a second request, so that models that answer at once are not sent twice for a moment's scheduling.",
    }),
    samplesMin: integer({
      default: 100,
      min: 1,
      max: 100_000,
      doc: "Observed first tokens before the percentile is believed: five of them lie beyond it then.",
    }),
    halfLifeMs: duration({
      default: "1m",
      min: "1s",
      max: "1d",
      doc: "Time after which an observed first token counts half: load changes within minutes.",
    }),
    burst: integer({
      default: 10,
      min: 1,
      max: 10_000,
      doc: "Second requests that may be saved up. More would let a stall of all targets send many at once.",
    }),
  },
  { doc: "Second requests for first tokens that are late." },
);

const queueSettings = section(
  {
    requestsMax: integer({
      default: 1024,
      min: 1,
      max: 1_000_000,
      doc: "Most requests of one model that wait in one worker while every target is full. Beyond it the lowest priority is pushed out, or the newcomer refused.",
    }),
    bufferBytesMax: bytes({
      default: "64MiB",
      min: "64KiB",
      max: "64GiB",
      doc: "Most memory of the requests of one model that wait in one worker.",
    }),
    waitMsMax: duration({
      default: "30s",
      min: "10ms",
      max: "1h",
      doc: "Longest wait for a target. One that is predicted to wait longer is refused at once, with the time after which to come again; clients give up after a minute or more.",
    }),
    rateWindowMs: duration({
      default: "10s",
      min: "100ms",
      max: "10m",
      doc: "How fast the rate at which the queue empties forgets: after this time of waiting an observation counts a third.",
    }),
    retryAfterMsMax: duration({
      default: "1m",
      min: "1s",
      max: "1h",
      doc: "Longest time that a refused client is told to stay away.",
    }),
  },
  { doc: "Where requests wait when no target can take them." },
);

const limitSettings = section(
  {
    requestsPerSecond: number({
      default: 0,
      max: 1e6,
      emptyMeans: "no limit",
      doc: "Requests a second that each client may make, in each worker; 0 for no limit.",
    }),
    requestsBurst: number({
      default: 20,
      min: 1,
      max: 1e6,
      doc: "Requests that a client may make at once after a pause.",
    }),
    tokensPerSecond: number({
      default: 0,
      max: 1e9,
      emptyMeans: "no limit",
      doc: "Prompt tokens a second that each client may send, in each worker; 0 for no limit.",
    }),
    tokensBurst: number({
      default: 100_000,
      min: 1,
      max: 1e9,
      doc: "Tokens that a client may send at once after a pause. A single longer request is taken when the client has all of it, and is waited off after.",
    }),
    clientsMax: integer({
      default: 10_000,
      min: 1,
      max: 10_000_000,
      doc: "Clients remembered by each worker, at some 200 bytes each. The one that was silent longest is forgotten first, and begins anew when it returns.",
    }),
  },
  { doc: "What one client may ask for." },
);

const slowStartSettings = section(
  {
    windowMs: duration({
      default: "10s",
      max: "1h",
      doc: "Time in which a target that joined or came back grows to its whole share: its caches are cold, its code is not compiled yet. 0 gives it the whole share at once.",
    }),
    shareMin: number({
      default: 0.1,
      min: 0.01,
      max: 1,
      doc: "Share at the beginning of that time. Some, or nothing would warm it.",
    }),
  },
  { doc: "How a new target is brought into use." },
);

export const flowSettings = section({
  breaker: breakerSettings,
  outlier: outlierSettings,
  retry: retrySettings,
  hedge: hedgeSettings,
  queue: queueSettings,
  limit: limitSettings,
  slowStart: slowStartSettings,
  late: lateSettings,
});

export type FlowConfig = Infer<typeof flowSettings>;
export type BreakerConfig = FlowConfig["breaker"];
export type OutlierConfig = FlowConfig["outlier"];
export type RetryConfig = FlowConfig["retry"];
export type HedgeConfig = FlowConfig["hedge"];
export type QueueConfig = FlowConfig["queue"];
export type LimitConfig = FlowConfig["limit"];
export type SlowStartConfig = FlowConfig["slowStart"];
