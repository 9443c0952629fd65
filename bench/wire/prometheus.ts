/**
 * ms to read 500 KB of a vLLM-like scrape: to the figures of its adapter, of a first page and of those that follow, families
 * alone, and what stays behind.
 */
import { heapStats } from "bun:jsc";
import { measure } from "mitata";
import { MetricPages } from "../../src/runtimes/metric-pages.ts";
import { VLLM } from "../../src/runtimes/vllm.ts";
import { openFollower } from "../../src/native-pages.ts";
import { type FollowLines, followLines } from "../../src/wire/prometheus-lines.ts";
import { PrometheusReader } from "../../src/wire/prometheus.ts";
import { report } from "../report.ts";
import { GAUGES, HISTOGRAMS, vllmPage } from "./vllm-page.ts";

const BYTES = 500_000;
const WANTED = [
  "num_requests_running",
  "num_requests_waiting",
  "kv_cache_usage_perc",
  "time_to_first_token_seconds",
  "inter_token_latency_seconds",
].map((name) => `vllm:${name}`);

const TEXT = vllmPage(BYTES);
/** All that counts moves from one to the next. */
const TEXTS = [1, 2, 3, 4].map((tick) => vllmPage(BYTES, tick));
const NOT_AT_ALL: FollowLines = (table, _page, _end, into) => into.begin(table.figures);
let taken = 0;

function reading(families: readonly string[], doesDecode: boolean): () => void {
  const reader = new PrometheusReader({
    families,
    isOpenMetrics: false,
    sample({ labels, value }) {
      taken += value;
      if (doesDecode) taken += (labels.get("model_name") ?? "").length + (labels.get("le") ?? "").length;
    },
  });
  return () => {
    reader.reset();
    reader.push(TEXT);
    const { bad, malformed } = reader.finish();
    if (bad !== "" || malformed > 0) throw new Error(bad);
  };
}

/** A scrape each second, to the figures that the agent tells of the runtime and its models. */
function figures(follow: FollowLines): () => void {
  const { metrics } = VLLM;
  if (metrics === undefined) throw new Error("vLLM's adapter reads no metrics");
  const pages = new MetricPages(metrics, follow);
  let nowMs = 0;
  return () => {
    const text = TEXTS[(nowMs / 1000) % TEXTS.length]!;
    const why = pages.read(text, false, (nowMs += 1000));
    if (why !== "") throw new Error(why);
    taken += pages.figures.runningRequests ?? Number.NaN;
  };
}

/** What a thousand readings leave behind after a collection; the runtime does not tell what was allocated in between. */
function keptBytes(run: () => void): number {
  const heapBytes = (): number => {
    Bun.gc(true);
    return heapStats().heapSize;
  };
  run();
  const before = heapBytes();
  for (let i = 0; i < 1000; i++) run();
  return heapBytes() - before;
}

const FOLLOWER = openFollower();
const ALL = [...GAUGES, ...HISTOGRAMS].map((name) => `vllm:${name}`);
const CASES: readonly (readonly [string, () => void])[] = [
  ["figures of vLLM's adapter", figures(NOT_AT_ALL)],
  [`figures of pages of which only the numbers move, in ${FOLLOWER.kind}`, figures(FOLLOWER.follow)],
  ["the same in TypeScript", figures(followLines)],
  ["what an adapter wants, with labels", reading(WANTED, true)],
  ["every family, with labels", reading(ALL, true)],
  ["none of the families", reading(["other"], false)],
];

const rows = [];
for (const [name, run] of CASES) {
  const { p50, p99, min } = await measure(run);
  const per500Kb = (ns: number): number => Number(((ns / 1e6) * (500_000 / TEXT.length)).toFixed(3));
  rows.push({
    name,
    msLeast: per500Kb(min),
    msMedian: per500Kb(p50),
    msP99: per500Kb(p99),
    keptBytesPerThousand: keptBytes(run),
  });
}
if (Number.isNaN(taken)) throw new Error("a value was lost");
await report("prometheus", { bytes: TEXT.length, rows });
