/**
 * A scenario: what `infermesh sim` plays, as a file says it. Counts and rates are those of the whole; cells part them
 * evenly, and nothing passes between cells.
 *
 * Limits: 1,048,576 nodes, 4,096 in a cell; all of one model. Targets that only prefill or only decode are not modelled.
 */
import { lateSettings } from "../flow/late-settings.ts";
import { list } from "../base/settings-collections.ts";
import { record } from "../base/settings-records.ts";
import { type Complaint, choice, duration, type Infer, integer, number, section, text } from "../base/settings.ts";
import { ARRIVAL_STRATEGIES } from "../score/strategies.ts";
import { PROFILE_NAMES, PROFILES } from "./profile.ts";
import { SLICE_NAMES, sliced } from "./slice.ts";

export const STRATEGIES = [...ARRIVAL_STRATEGIES, "late"] as const;
export type StrategyName = (typeof STRATEGIES)[number];

export const NODES_MAX = 1_048_576;
/** Strategies look at every node of a cell for each request. */
export const CELL_NODES_MAX = 4_096;

const NAME = { pattern: /^[A-Za-z0-9_.-]{1,64}$/, expected: "a name of at most 64 letters, digits, _, . or -" };

const nodeGroup = section({
  name: text({ default: "", ...NAME, emptyMeans: "the profile's", doc: "What it is called in results and failures." }),
  profile: choice(PROFILE_NAMES, { default: "h100-8b", doc: "GPU and model: rates, KV cache, batch." }),
  slice: choice(SLICE_NAMES, { default: "whole", doc: "A part of the GPU, by MIG." }),
  count: integer({ default: 1, min: 1, max: NODES_MAX, doc: "How many, in all cells together." }),
  zone: text({ default: "a", ...NAME, doc: "Where they are." }),
  pricePerHour: number({ default: 0, max: 10_000, doc: "Of one of them; what money it is, is your matter." }),
  weight: number({
    default: 1,
    min: 0.001,
    max: 1000,
    doc: "Relative capacity, as an operator gives it: strategies that know of no rates go by it.",
  }),
  stepTokensMax: integer({
    default: 0,
    max: 1_000_000,
    emptyMeans: "the profile's",
    doc: "Most tokens in a step (vLLM: max_num_batched_tokens).",
  }),
});

const link = section({
  from: text({ default: "a", ...NAME, doc: "A zone." }),
  to: text({ default: "b", ...NAME, doc: "Another one." }),
  oneWayMs: duration({ default: "5ms", max: "10s", doc: "From one to the other, either way." }),
});

export const WORK_KINDS = ["llm", "vision", "asr", "embedding"] as const;

const work = section(
  {
    name: text({ default: "", ...NAME, emptyMeans: "its kind", doc: "What it is called." }),
    kind: choice(WORK_KINDS, {
      default: "llm",
      doc: "Brings shapes of prompts and answers: chats; pictures (576 tokens each) with questions; speech (1,500 tokens for 30 s); vectors.",
    }),
    arrivals: choice(["poisson", "bursts", "trace"], {
      default: "poisson",
      doc: "When requests come: by chance at an even rate; at a rate that switches between a low and a high one (MMPP); as a trace says.",
    }),
    rate: number({
      default: 10,
      max: 10_000_000,
      doc: "Requests a second, the mean of bursts included. Not of a trace.",
    }),
    burstFactor: number({
      default: 5,
      min: 1,
      max: 1000,
      doc: "By how much the high rate of bursts is above the low one.",
    }),
    burstMs: duration({ default: "2s", min: "1ms", max: "1h", doc: "How long a burst lasts, on average." }),
    quietMs: duration({ default: "20s", min: "1ms", max: "1h", doc: "How long it is to the next one, on average." }),
    trace: text({
      default: "",
      lengthMax: 4096,
      emptyMeans: "none",
      doc: "A file in Mooncake's format (JSON lines) or Azure's (CSV), seen from the scenario's folder.",
    }),
    speed: number({ default: 1, min: 0.0001, max: 100_000, doc: "How many times as fast a trace is played." }),
    promptTokens: integer({ default: 600, min: 1, max: 1_000_000, doc: "The median prompt, without a shared prefix." }),
    promptSigma: number({ default: 0.8, max: 5, doc: "Spread of prompts: lognormal by that deviation; 0: all alike." }),
    outputTokens: integer({ default: 180, max: 1_000_000, doc: "The median answer; 0: nothing is generated." }),
    outputSigma: number({ default: 0.7, max: 5, doc: "Spread of answers, likewise." }),
    tokensMax: integer({ default: 32_768, min: 1, max: 1_000_000, doc: "No prompt and no answer is longer." }),
    tenants: integer({
      default: 0,
      max: 1_000_000,
      doc: "How many share prefixes, each its own; 0: nothing is shared.",
    }),
    tenantSkew: number({ default: 1, max: 5, doc: "Zipf's exponent: 0 is all alike." }),
    prefixTokens: integer({
      default: 512,
      min: 1,
      max: 100_000,
      doc: "Tokens that all prompts of a tenant begin with.",
    }),
  },
  {
    presets: {
      key: "kind",
      defaults: {
        llm: {},
        vision: { promptTokens: 1200, promptSigma: 0.4, outputTokens: 100, outputSigma: 0.5 },
        asr: { promptTokens: 1500, promptSigma: 0, outputTokens: 90, outputSigma: 0.5 },
        embedding: { promptTokens: 300, promptSigma: 0.8, outputTokens: 0, outputSigma: 0 },
      },
    },
    check: ({ arrivals, trace }) => [
      ...(arrivals === "trace" && trace === ""
        ? [{ path: "trace", found: "", expected: "the file of the trace" }]
        : []),
      ...(arrivals !== "trace" && trace !== ""
        ? [{ path: "trace", found: trace, expected: "none unless arrivals is trace" }]
        : []),
    ],
  },
);

const failure = section({
  kind: choice(["down", "slow", "flap", "cold"], {
    default: "down",
    doc: "It ends with all that it had; its steps take longer; it goes down and up again and again; it isn't there yet.",
  }),
  group: text({ default: "", ...NAME, emptyMeans: "the first", doc: "Nodes of that group." }),
  count: integer({ default: 1, min: 1, max: NODES_MAX, doc: "How many of them." }),
  cell: integer({ default: 0, max: NODES_MAX, doc: "In that cell, counted from 0." }),
  atMs: duration({ default: "0", max: "24h", doc: "When it begins; not of cold starts, which begin at 0." }),
  forMs: duration({
    default: "10s",
    min: "1ms",
    max: "24h",
    doc: "How long it lasts; a flapping node goes on that long.",
  }),
  factor: number({ default: 3, min: 0.01, max: 1000, doc: "How many times as long a slow node's steps take." }),
  everyMs: duration({ default: "1s", min: "2ms", max: "1h", doc: "Down and up of a flapping node, half of it each." }),
});

const unchecked = section({
  seed: integer({ default: 1, doc: "The same seed gives the same outcome, to the bit." }),
  durationMs: duration({
    default: "60s",
    min: "1ms",
    max: "24h",
    doc: "For how long requests come; all are answered.",
  }),
  cells: integer({
    default: 1,
    min: 1,
    max: 4096,
    doc: "Meshes beside one another, which part nodes and rates evenly.",
  }),
  strategy: choice(STRATEGIES, { default: "late", doc: "How routers choose, where no other is asked for." }),
  blockTokens: integer({ default: 16, min: 1, max: 4096, doc: "Tokens of a KV block; 512 for Mooncake's traces." }),
  nodes: list(record(nodeGroup, "a group of nodes"), { default: [{}], lengthMax: 256, doc: "The fleet, by groups." }),
  routers: section(
    {
      count: integer({ default: 1, min: 1, max: 64, doc: "In each cell; requests go to them in turn." }),
      zones: list(text(NAME), { default: ["a"], lengthMax: 64, doc: "Where they are, in turn." }),
    },
    { doc: "The routers, each with its own view." },
  ),
  network: section(
    {
      withinMs: duration({ default: "0.5ms", max: "10s", doc: "One way within a zone." }),
      betweenMs: duration({ default: "2ms", max: "10s", doc: "One way between zones." }),
      links: list(record(link, "a link between zones"), { default: [], lengthMax: 1024, doc: "Other ways." }),
      jitterMs: duration({
        default: "0",
        max: "10s",
        doc: "What it takes longer each time, on average (exponential).",
      }),
    },
    { doc: "The network between routers and nodes." },
  ),
  samples: section(
    {
      everyMs: duration({ default: "100ms", min: "1ms", max: "1h", doc: "Between two samples of a node." }),
      delayMs: duration({ default: "5ms", max: "1h", doc: "Until a sample is at the routers." }),
      loss: number({ default: 0, max: 1, doc: "Part of them that never comes." }),
    },
    { doc: "What routers hear of nodes." },
  ),
  workload: list(record(work, "a kind of work"), { default: [{}], lengthMax: 64, doc: "What is asked of it." }),
  failures: list(record(failure, "a failure"), { default: [], lengthMax: 1024, doc: "What goes wrong." }),
  slo: section(
    {
      ttftMs: duration({ default: "2s", min: "1ms", max: "1h", doc: "By then the first token is there." }),
      itlMs: duration({ default: "50ms", min: "1ms", max: "1h", doc: "Between two of the others, on average." }),
    },
    { doc: "Which requests are good." },
  ),
  late: lateSettings,
});

export type Scenario = Infer<typeof unchecked>;
export type Work = Scenario["workload"][number];
export type NodeGroup = Scenario["nodes"][number];
export type Failure = Scenario["failures"][number];

export function groupName({ name, profile, slice }: NodeGroup): string {
  if (name !== "") return name;
  return slice === "whole" ? profile : `${profile}-${slice}`;
}

function complaints({ cells, nodes, workload, failures, routers }: Scenario): Complaint[] {
  const found: Complaint[] = [];
  const complain = (path: string, of: unknown, expected: string): void => {
    found.push({ path, found: of, expected });
  };
  if (nodes.length === 0) complain("nodes", [], "at least one group of nodes");
  if (workload.length === 0) complain("workload", [], "at least one kind of work");
  if (routers.zones.length === 0) complain("routers.zones", [], "at least one zone");
  const total = nodes.reduce((sum, { count }) => sum + count, 0);
  if (total > NODES_MAX) complain("nodes", total, `at most ${NODES_MAX} nodes together`);
  else if (total / cells > CELL_NODES_MAX) {
    complain(
      "cells",
      cells,
      `at least ${Math.ceil(total / CELL_NODES_MAX)}, for at most ${CELL_NODES_MAX} nodes a cell`,
    );
  }
  const model = nodes[0] === undefined ? "" : PROFILES[nodes[0].profile].model;
  for (const [at, group] of nodes.entries()) {
    if (group.count % cells !== 0) complain(`nodes[${at}].count`, group.count, `a multiple of the ${cells} cells`);
    const profile = PROFILES[group.profile];
    if (profile.model !== model)
      complain(`nodes[${at}].profile`, group.profile, `one that serves ${model}, as the first`);
    const cut = sliced(profile, group.slice);
    if (cut === null)
      complain(`nodes[${at}].slice`, group.slice, "a slice of a whole GPU that has MIG and holds the model");
    else if (group.stepTokensMax !== 0 && group.stepTokensMax < 16) {
      complain(`nodes[${at}].stepTokensMax`, group.stepTokensMax, "0 or at least 16");
    }
    if (nodes.findIndex((other) => groupName(other) === groupName(group)) < at) {
      complain(`nodes[${at}].name`, groupName(group), "a name that no other group has");
    }
  }
  for (const [at, { group, count, cell }] of failures.entries()) {
    const of = group === "" ? nodes[0] : nodes.find((each) => groupName(each) === group);
    if (of === undefined) complain(`failures[${at}].group`, group, `one of ${nodes.map(groupName).join(", ")}`);
    else if (count > of.count / cells)
      complain(`failures[${at}].count`, count, `at most ${of.count / cells} in a cell`);
    if (cell >= cells) complain(`failures[${at}].cell`, cell, `below ${cells}`);
  }
  return found;
}

export const scenarioSettings = section(unchecked.fields, { check: complaints });
