/**
 * What each kind of policy says, and what is refused: types and readers of the eight specs. Which policy counts where
 * several match is said in DESIGN.md and in the views.
 */
import { type Reading, refuse } from "../base/field.ts";
import {
  type Reader,
  inside,
  mapOf,
  name,
  namesOf,
  objectOf,
  oneOf,
  positive,
  saysSomething,
  text,
  truth,
  whole,
} from "./spec-reading.ts";

/** Where a model may run, and how often. Nodes or a selector, not both; without either, anywhere. */
export interface PinSpec {
  /** Which revision of the model is meant, as its registry calls it. */
  readonly revision?: string;
  readonly nodes?: readonly string[];
  /** The node has all of these labels. */
  readonly selector?: Readonly<Record<string, string>>;
  readonly minReplicas?: number;
  readonly maxReplicas?: number;
}

/** What a tenant may ask of a model, over all routers together. */
export interface QuotaSpec {
  readonly requestsPerSecond?: number;
  readonly tokensPerMinute?: number;
  /** Requests under way at the same time. */
  readonly concurrency?: number;
}

export const ACTIONS = ["infer", "embed", "admin"] as const;
export type Action = (typeof ACTIONS)[number];

export interface AclSpec {
  readonly effect: "allow" | "deny";
  /** For people: shown to who is refused. */
  readonly reason?: string;
}

/** The last three are what `ttft`, `least-request` and `p2c` were called before. */
export const STRATEGIES = [
  "late",
  "ttft",
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
  "slo",
  "cost",
  "hedged",
  "score",
  "least-loaded",
  "two-choices",
] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface BalanceSpec {
  readonly strategy: Strategy;
  /** By node; 1 for those that are not named. */
  readonly weights?: Readonly<Record<string, number>>;
  /** What it counts that a node stands in the router's own zone. */
  readonly zone?: ZonePreference;
  readonly session?: SessionSpec;
  /** Shares of requests, by the label `revision` of the nodes that get them; the others get the rest. */
  readonly split?: Readonly<Record<string, number>>;
  readonly shadow?: ShadowSpec;
}

export const ZONE_PREFERENCES = ["any", "prefer", "only"] as const;
export type ZonePreference = (typeof ZONE_PREFERENCES)[number];

/** Requests of one session go to one node, while that costs little. */
export interface SessionSpec {
  /** The field of a request's head that names the session. */
  readonly field: string;
  /** By how much the node may be behind the best one. */
  readonly slackMs?: number;
}

/** Copies of requests, whose answers nobody gets. */
export interface ShadowSpec {
  /** The label `revision` of the nodes that get them. */
  readonly revision: string;
  /** Of the requests. */
  readonly share: number;
}

export const SCALING_METRICS = ["queue-seconds", "kv-usage", "running-requests"] as const;
export type ScalingMetric = (typeof SCALING_METRICS)[number];

export interface ScalingSpec {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  /** What each replica should be at: seconds of waiting, share of its KV cache (0 to 1), requests under way. */
  readonly target: { readonly metric: ScalingMetric; readonly value: number };
}

export interface SloSpec {
  readonly class: "latency" | "throughput";
  /** All of the answer, from the request's arrival. */
  readonly deadlineMs?: number;
  /** The first token, from the request's arrival. */
  readonly ttftMs?: number;
}

/** The lowest there is; 0 is served first. The same numbers as of `x-infermesh-priority`. */
export const PRIORITY_LAST = 3;

export interface PrioritySpec {
  readonly priority: number;
}

export interface NodeSpec {
  /** Routers give it no new requests, and no model is to be loaded there; what is under way goes on. */
  readonly cordoned?: boolean;
  /** The same, and the node itself tells everybody that it wants none. */
  readonly draining?: boolean;
  readonly reason?: string;
}

/** By kind, in the order of the alphabet: the order of everything that lists policies. */
export interface Specs {
  readonly acl: AclSpec;
  readonly balance: BalanceSpec;
  readonly node: NodeSpec;
  readonly pin: PinSpec;
  readonly priority: PrioritySpec;
  readonly quota: QuotaSpec;
  readonly scaling: ScalingSpec;
  readonly slo: SloSpec;
}

export const KINDS = ["acl", "balance", "node", "pin", "priority", "quota", "scaling", "slo"] as const;
export type Kind = (typeof KINDS)[number];

// ---- limits ---------------------------------------------------------------------------------------------------------

export const NAME_CHARACTERS_MAX = 253;
/** A spec as JSON, in UTF-8. */
export const SPEC_BYTES_MAX = 64 * 1024;
const NODES_MAX = 1_000;
const LABELS_MAX = 64;
const REASON_CHARACTERS_MAX = 1_000;
const REPLICAS_MAX = 100_000;
const COUNT_MAX = 1e9;
const REVISIONS_MAX = 16;
const DURATION_MS_MAX = 7 * 86_400_000;

// ---- readers --------------------------------------------------------------------------------------------------------

const nodeName = name(NAME_CHARACTERS_MAX, "a node id");
const replicas = whole(0, REPLICAS_MAX);
const replicasAtLeastOne = whole(1, REPLICAS_MAX);
const revision = name(NAME_CHARACTERS_MAX, "a revision");
const share = positive(1e-6, 1);
const durationMs = whole(1, DURATION_MS_MAX, " (milliseconds)");
const reason = text(REASON_CHARACTERS_MAX);

const pin = objectOf<PinSpec>(
  {
    revision,
    nodes: namesOf(nodeName, NODES_MAX, "node ids"),
    selector: mapOf(name(NAME_CHARACTERS_MAX, "a label"), text(NAME_CHARACTERS_MAX), LABELS_MAX),
    minReplicas: replicas,
    maxReplicas: replicasAtLeastOne,
  },
  [],
  checkPin,
);

function checkPin(spec: PinSpec, at: Reading): void {
  const { nodes, selector, minReplicas, maxReplicas } = spec;
  saysSomething(["revision", "nodes", "selector", "minReplicas", "maxReplicas"])(spec, at);
  if (nodes !== undefined && selector !== undefined) {
    refuse(selector, inside(at, "selector"), "nodes or a selector, not both");
  }
  atMost(minReplicas, maxReplicas, "maxReplicas", at);
  atMost(minReplicas, nodes?.length, "the number of nodes", at);
}

function atMost(min: number | undefined, most: number | undefined, what: string, at: Reading): void {
  if (min !== undefined && most !== undefined && min > most) {
    refuse(min, inside(at, "minReplicas"), `at most ${what}, which is ${most}`);
  }
}

const scaling = objectOf<ScalingSpec>(
  {
    minReplicas: replicas,
    maxReplicas: replicasAtLeastOne,
    target: objectOf<ScalingSpec["target"]>(
      { metric: oneOf(SCALING_METRICS), value: positive(1e-6, COUNT_MAX) },
      ["metric", "value"],
      ({ metric, value }, at) => {
        if (metric === "kv-usage" && value > 1) refuse(value, inside(at, "value"), "a share above 0, at most 1");
      },
    ),
  },
  ["minReplicas", "maxReplicas", "target"],
  ({ minReplicas, maxReplicas }, at) => atMost(minReplicas, maxReplicas, "maxReplicas", at),
);

const quota = objectOf<QuotaSpec>(
  {
    requestsPerSecond: positive(0.001, COUNT_MAX),
    tokensPerMinute: whole(1, COUNT_MAX),
    concurrency: whole(1, COUNT_MAX),
  },
  [],
  saysSomething(["requestsPerSecond", "tokensPerMinute", "concurrency"]),
);

/** A field of HTTP, in small letters as it is compared. */
const fieldName: Reader<string> = (raw, at) =>
  typeof raw === "string" && /^[a-z0-9][a-z0-9_-]{0,63}$/.test(raw)
    ? raw
    : refuse(raw, at, "the name of a field in small letters, such as x-session-id");

function checkBalance({ split = {}, shadow }: BalanceSpec, at: Reading): void {
  const sum = Object.values(split).reduce((all, each) => all + each, 0);
  if (sum > 1 + 1e-9) refuse(sum, inside(at, "split"), "shares that are at most 1 together");
  if (shadow !== undefined && Object.hasOwn(split, shadow.revision)) {
    refuse(shadow.revision, inside(at, "shadow"), "a revision that the split does not name");
  }
}

export const SPEC_READERS: { readonly [K in Kind]: Reader<Specs[K]> } = {
  acl: objectOf<AclSpec>({ effect: oneOf(["allow", "deny"]), reason }, ["effect"]),
  balance: objectOf<BalanceSpec>(
    {
      strategy: oneOf(STRATEGIES),
      weights: mapOf(nodeName, positive(1e-6, 1e6), NODES_MAX),
      zone: oneOf(ZONE_PREFERENCES),
      session: objectOf<SessionSpec>({ field: fieldName, slackMs: durationMs }, ["field"]),
      split: mapOf(revision, share, REVISIONS_MAX),
      shadow: objectOf<ShadowSpec>({ revision, share }, ["revision", "share"]),
    },
    ["strategy"],
    checkBalance,
  ),
  node: objectOf<NodeSpec>(
    { cordoned: truth, draining: truth, reason },
    [],
    saysSomething(["cordoned", "draining", "reason"]),
  ),
  pin,
  priority: objectOf<PrioritySpec>({ priority: whole(0, PRIORITY_LAST, ", 0 being served first") }, ["priority"]),
  quota,
  scaling,
  slo: objectOf<SloSpec>({ class: oneOf(["latency", "throughput"]), deadlineMs: durationMs, ttftMs: durationMs }, [
    "class",
  ]),
};
