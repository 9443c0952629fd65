/**
 * The membership's knobs, and three profiles of them: LAN (one data centre), WAN (between data centres), local (one
 * machine, tests). Where memberlist has the same knob, the figure is memberlist's; the suspicion's are this project's
 * own, and DESIGN.md tells how they were found.
 */
import { bytes, choice, type Complaint, duration, integer, number, section, type Infer } from "../base/settings.ts";
import { formatDuration } from "../base/units.ts";

/** What differs from the defaults, which are the LAN's. */
export const SWIM_PROFILES = {
  lan: {},
  wan: {
    probeIntervalMs: 5000,
    probeTimeoutMs: 3000,
    gossipIntervalMs: 500,
    gossipNodes: 4,
    suspicionMult: 1,
    pushPullIntervalMs: 60_000,
    reconnectIntervalMs: 15_000,
    gossipToTheDeadMs: 60_000,
    streamTimeoutMs: 30_000,
  },
  local: {
    probeTimeoutMs: 200,
    indirectChecks: 1,
    retransmitMult: 2,
    gossipIntervalMs: 100,
    pushPullIntervalMs: 15_000,
    gossipToTheDeadMs: 15_000,
    streamTimeoutMs: 1000,
  },
} as const;

const fields = {
  profile: choice(["lan", "wan", "local"], {
    default: "lan",
    doc: "Where the mesh is: lan (one data centre), wan (between data centres) or local (one machine). Changes the defaults of the settings below; those that are given stay as given. All members should have the same.",
  }),
  probeIntervalMs: duration({
    default: "1s",
    min: "20ms",
    max: "1m",
    doc: "Time between two probes by one member. A failure is first noticed after 1.58 of them on average.",
  }),
  probeTimeoutMs: duration({
    default: "500ms",
    min: "5ms",
    max: "30s",
    doc: "Time for a direct answer before others are asked to probe. Above the 99th percentile of round trips.",
  }),
  indirectChecks: integer({
    default: 3,
    min: 0,
    max: 16,
    doc: "Members that are asked to probe when the direct probe goes unanswered.",
  }),
  gossipIntervalMs: duration({
    default: "200ms",
    min: "10ms",
    max: "10s",
    doc: "Time between two rounds of gossip while there is news; without news nothing is sent.",
  }),
  gossipNodes: integer({
    default: 3,
    min: 1,
    max: 16,
    doc: "Members that each round of gossip goes to.",
  }),
  retransmitMult: number({
    default: 4,
    min: 1,
    max: 16,
    doc: "Each piece of news is sent this often, times the digits of the number of members.",
  }),
  suspicionMult: number({
    default: 0.7,
    min: 0.1,
    max: 30,
    doc: "Shortest suspicion, in probe intervals, times log10 of the members (at least 2): the time to refute one that others confirm.",
  }),
  suspicionMaxMult: number({
    default: 6,
    min: 1,
    max: 30,
    doc: "Longest suspicion, that of one accuser alone, as a multiple of the shortest.",
  }),
  confirmations: integer({
    default: 3,
    min: 0,
    max: 7,
    doc: "Independent confirmations after which a suspicion is as short as it gets.",
  }),
  witnesses: integer({
    default: 5,
    min: 0,
    max: 16,
    doc: "Members that an accuser asks to probe the suspect at once, so that confirmations do not wait for chance.",
  }),
  awarenessMax: integer({
    default: 8,
    min: 1,
    max: 32,
    doc: "Steps of local health: a member in bad health probes up to this many times slower.",
  }),
  pushPullIntervalMs: duration({
    default: "30s",
    min: "100ms",
    max: "1h",
    doc: "Time between two exchanges of everything with one member; longer in meshes of more than 32.",
  }),
  reconnectIntervalMs: duration({
    default: "5s",
    min: "100ms",
    max: "1h",
    doc: "Each failed member is tried again about this often, by the mesh as a whole. Heals partitions.",
  }),
  gossipToTheDeadMs: duration({
    default: "30s",
    min: "0s",
    max: "1h",
    doc: "For this long gossip still goes to a failed member, so that it can refute.",
  }),
  forgetAfterMs: duration({
    default: "24h",
    min: "1m",
    max: "30d",
    doc: "Failed and departed members are forgotten after this long.",
  }),
  streamTimeoutMs: duration({
    default: "10s",
    min: "50ms",
    max: "5m",
    doc: "Time for one exchange over TCP.",
  }),
  packetBytesMax: bytes({
    default: 1400,
    min: 512,
    max: 65_000,
    doc: "Bytes of a datagram before encryption. 1400 passes every usual network in one piece.",
  }),
  membersMax: integer({
    default: 8192,
    min: 2,
    max: 1_000_000,
    doc: "Members known at once, the failed and departed included; more are not let in.",
  }),
  rumoursMax: integer({
    default: 2048,
    min: 16,
    max: 1_000_000,
    doc: "Pieces of news on their way at once; beyond it the one sent most often goes.",
  }),
};

export const swimSettings = section(fields, {
  doc: "Membership: how fast a failure is noticed, and how sure one must be.",
  presets: { key: "profile", defaults: SWIM_PROFILES },
  check({ profile, probeIntervalMs, probeTimeoutMs, gossipIntervalMs, gossipToTheDeadMs, forgetAfterMs }) {
    const complaints: Complaint[] = [];
    const compare = (isRight: boolean, path: string, foundMs: number, relation: string, of: string, ms: number) => {
      if (isRight) return;
      const expected = `${relation} swim.${of}, which is ${formatDuration(ms)} (profile ${profile})`;
      complaints.push({ path, found: formatDuration(foundMs), expected });
    };
    // A probe has an interval's time: the rest of it, after the timeout, is that of the helpers.
    const isShort = probeTimeoutMs < probeIntervalMs;
    compare(isShort, "probeTimeout", probeTimeoutMs, "less than", "probeInterval", probeIntervalMs);
    // A suspicion lasts some probe intervals: by then a refutation must have gone round.
    const isQuick = gossipIntervalMs <= probeIntervalMs;
    compare(isQuick, "gossipInterval", gossipIntervalMs, "at most", "probeInterval", probeIntervalMs);
    const isKept = gossipToTheDeadMs <= forgetAfterMs;
    compare(isKept, "gossipToTheDead", gossipToTheDeadMs, "at most", "forgetAfter", forgetAfterMs);
    return complaints;
  },
});

export type SwimConfig = Infer<typeof swimSettings>;

/**
 * Which parts beyond plain SWIM are on. Not a setting: benchmarks switch parts off to measure what each is worth.
 */
export interface SwimRules {
  /** Local health stretches probe interval and timeout; helpers that get no answer say so (nack). */
  readonly localHealth: boolean;
  /** Suspicions shorten with confirmations. Otherwise every suspicion lasts `fixedSuspicionMs`. */
  readonly dynamicSuspicion: boolean;
  readonly fixedSuspicionMs: number;
  /** A suspect learns of it in the very probe that it gets. */
  readonly buddy: boolean;
  /** A death that is only told is believed when several have accused; before that it is one more accusation. */
  readonly evidence: boolean;
  /** A member that was not run does not let its timers go on, and one that hears nobody declares nobody dead. */
  readonly selfDoubt: boolean;
  /** Hearing one's own news from others counts as having sent it. */
  readonly damping: boolean;
}

export const FULL_RULES: SwimRules = {
  localHealth: true,
  dynamicSuspicion: true,
  fixedSuspicionMs: 0,
  buddy: true,
  evidence: true,
  selfDoubt: true,
  damping: true,
};
