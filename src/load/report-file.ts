/**
 * A run's report as it was written (`report.json`), read again. Whoever compares runs gets files from anywhere: all that a
 * reader relies on is looked at, and the first thing that is not as it should be is named. What is there beyond that is left
 * out. Limits: LIST_MAX entries of a list.
 */
import type { LoadReport } from "./report.ts";

const LIST_MAX = 10_000;

type Shape =
  | "number"
  | "number?"
  | "count"
  | "text"
  | "flag"
  | readonly ["list", Shape]
  | { readonly [name: string]: Shape };

const SPREAD: Shape = {
  count: "count",
  mean: "number?",
  p50: "number?",
  p90: "number?",
  p95: "number?",
  p99: "number?",
  p999: "number?",
  max: "number?",
};

const REPORT: Readonly<Record<string, Shape>> = {
  url: "text",
  model: "text",
  workload: "text",
  seed: "number",
  startedAtMs: "count",
  isStopped: "flag",
  durationMs: "number",
  warmUpMs: "number",
  slo: { ttftMs: "number", itlMs: "number", endMs: "number" },
  requests: "count",
  ok: "count",
  failed: "count",
  unfinished: "count",
  warmUpRequests: "count",
  goodput: "number?",
  goodPerSecond: "number?",
  duePerSecond: "number?",
  okPerSecond: "number?",
  ttftMs: SPREAD,
  itlMs: SPREAD,
  gapMs: SPREAD,
  endMs: SPREAD,
  behindMs: SPREAD,
  late: "count",
  lagMs: SPREAD,
  isLagging: "flag",
  promptTokens: "count",
  outputTokens: "count",
  outputTokensPerSecond: "number?",
  cachedTokens: "number?",
  hitRate: "number?",
  errors: ["list", { kind: "text", count: "count", words: "text" }],
  nodes: ["list", { node: "text", requests: "count", outputTokens: "count" }],
  ttftCdfMs: ["list", "number"],
  itlCdfMs: ["list", "number"],
  endCdfMs: ["list", "number"],
  course: {
    sliceMs: "number",
    slices: [
      "list",
      {
        fromMs: "number",
        due: "count",
        good: "count",
        ok: "count",
        failed: "count",
        outputTokens: "count",
        ttftP50Ms: "number?",
        ttftP95Ms: "number?",
        itlP50Ms: "number?",
        itlP95Ms: "number?",
      },
    ],
  },
};

/** Beyond it a date is none. */
const UNIX_MS_MAX = 8.64e15;

/** The report, or what is wrong with the text, as the end of a sentence. */
export function readReport(text: string): LoadReport | string {
  let tree: unknown;
  try {
    tree = JSON.parse(text);
  } catch {
    return "is no JSON";
  }
  if (!isRecord(tree) || tree["kind"] !== "infermesh-load")
    return "is no report of infermesh load (report.json of --out)";
  if (tree["version"] !== 2) {
    return `is a report of version ${JSON.stringify(tree["version"] ?? null).slice(0, 20)}, made by another infermesh; this one reads version 2, so run the load again`;
  }
  const taken = take(tree, REPORT, "");
  if (typeof taken.fault === "string") return `is no whole report: ${taken.fault}`;
  const report = { kind: "infermesh-load", version: 2, ...(taken.value as object) } as LoadReport;
  if (report.startedAtMs > UNIX_MS_MAX) return "is no whole report: startedAtMs is no time";
  return report.course.sliceMs > 0 ? report : "is no whole report: course.sliceMs is not above 0";
}

interface Taken {
  readonly value: unknown;
  readonly fault?: string;
}

function take(value: unknown, shape: Shape, path: string): Taken {
  if (typeof shape === "string") {
    return isOf(value, shape) ? { value } : { value: null, fault: `${path} is no ${WORDS[shape]}` };
  }
  if (isList(shape)) {
    if (!Array.isArray(value)) return { value: null, fault: `${path} is no list` };
    if (value.length > LIST_MAX) return { value: null, fault: `${path} has more than ${LIST_MAX} entries` };
    const each = value.map((item: unknown, at) => take(item, shape[1], `${path}[${at}]`));
    const bad = each.find(({ fault }) => fault !== undefined);
    return bad ?? { value: each.map(({ value: item }) => item) };
  }
  if (!isRecord(value)) return { value: null, fault: `${path === "" ? "it" : path} is no object` };
  const found: Record<string, unknown> = {};
  for (const [name, of] of Object.entries(shape)) {
    const own = Object.hasOwn(value, name) ? value[name] : undefined;
    const taken = take(own, of, path === "" ? name : `${path}.${name}`);
    if (taken.fault !== undefined) return taken;
    found[name] = taken.value;
  }
  return { value: found };
}

const WORDS = {
  number: "number",
  "number?": "number or null",
  count: "count",
  text: "text",
  flag: "true or false",
} as const;

function isOf(value: unknown, shape: keyof typeof WORDS): boolean {
  if (shape === "number?") return value === null || Number.isFinite(value);
  if (shape === "number") return Number.isFinite(value);
  if (shape === "count") return Number.isFinite(value) && Number(value) >= 0;
  return typeof value === (shape === "text" ? "string" : "boolean");
}

function isList(shape: Exclude<Shape, string>): shape is readonly ["list", Shape] {
  return Array.isArray(shape);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
