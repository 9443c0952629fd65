/** Which inference servers an agent looks after, and how it asks them. */
import type { Fault } from "../base/field.ts";
import { list } from "../base/settings-collections.ts";
import { choice, type Complaint, duration, flag, section, text, type Infer } from "../base/settings.ts";
import { loadTimeSettings } from "../runtimes/load-times.ts";
import { watchSettings } from "../runtimes/settings.ts";
import { unclearRole } from "./runtime-serving.ts";
import { AUTO, runtimeField, type RuntimeSpec } from "./runtime-spec.ts";

const RUNTIMES_MAX = 32;

const RUNTIMES = list(runtimeField, {
  default: [],
  flag: "runtime",
  separator: " ",
  lengthMax: RUNTIMES_MAX,
  emptyMeans: "auto: what listens on the usual ports of this machine; nothing beside --mock",
  doc: "Inference servers to look after: KIND=URL, such as vllm=http://127.0.0.1:8000, KIND alone for its usual port, NAME:KIND=URL to call it otherwise, auto or none. The flag may be given several times. Keys and more: docs/agent-runtimes.md.",
});

/** What is wrong with the list as a whole is told without what stands there: there may be keys in it. */
const HIDING: typeof RUNTIMES = {
  ...RUNTIMES,
  read(raw, at) {
    const faults: Fault[] = [];
    const value = RUNTIMES.read(raw, { ...at, faults });
    at.faults.push(
      ...faults.map((fault) => (fault.expected === RUNTIMES.expected ? { ...fault, found: "(hidden)" } : fault)),
    );
    return value;
  },
};

/** Of the agent itself: which servers there are. */
export const runtimeFields = {
  runtimes: HIDING,
  runtimeMap: text({
    default: "",
    placeholder: "FILE",
    lengthMax: 4096,
    doc: "What the metrics of a server of the kind generic mean, where it names no map of its own; docs/agent-runtimes.md says how it is written.",
  }),
};

export const runtimeSettings = section({
  ...watchSettings.fields,
  findIntervalMs: duration({
    default: "5s",
    min: "1s",
    max: "10m",
    doc: "With --runtime auto: time between two looks for servers at the usual ports.",
  }),
  forward: choice(["routers", "anyone", "off"], {
    default: "routers",
    doc: "Who may come, through a port of the agent's, to a runtime that listens on this machine alone; others can't reach it.",
  }),
  warmup: flag({
    default: false,
    doc: "Ask a model that has just been loaded for one token before requests are sent to it, so that nobody waits for its first.",
  }),
  warmupTimeoutMs: duration({
    default: "2m",
    min: "1s",
    max: "1h",
    doc: "For the answer to that. A model that gives none in time is not served, and asked again.",
  }),
  ...loadTimeSettings.fields,
});

export type RuntimeConfig = Infer<typeof runtimeSettings>;

/** What is wrong between several of them. */
export function runtimesComplaints(runtimes: readonly RuntimeSpec[]): readonly Complaint[] {
  const kinds = runtimes.map(({ kind }) => kind);
  const names = runtimes.map(({ name }) => name).filter((name) => name !== "");
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  const path = "runtimes";
  if (kinds.includes("none") && kinds.length > 1) return [{ path, found: kinds.join(" "), expected: "none alone" }];
  if (kinds.filter((kind) => kind === "auto").length > 1)
    return [{ path, found: kinds.join(" "), expected: "auto once" }];
  const unclear = unclearRole(runtimes);
  if (unclear !== "") return [{ path, found: unclear, expected: "a name of its own for each runtime with a role" }];
  return twice === undefined ? [] : [{ path, found: twice, expected: "a name of its own for each runtime" }];
}

/** What is looked after where nothing is said: what can be found, or the mock alone. */
export function resolveRuntimes(runtimes: readonly RuntimeSpec[], hasMock: boolean): readonly RuntimeSpec[] {
  if (runtimes.length > 0 || hasMock) return runtimes.filter(({ kind }) => kind !== "none");
  return [AUTO];
}
