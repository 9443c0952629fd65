/** ms to read 500 KB of a vLLM-like scrape: to the figures of its adapter, families alone, and what stays behind. */
import { heapStats } from "bun:jsc";
import { measure } from "mitata";
import { MetricPages } from "../../src/runtimes/metric-pages.ts";
import { VLLM } from "../../src/runtimes/vllm.ts";
import { PrometheusReader } from "../../src/wire/prometheus.ts";
import { report } from "../report.ts";

const BYTES = 500_000;
const MODELS = ["meta-llama/Llama-3.1-8B-Instruct", "adapter-a", "adapter-b"];
const BOUNDS = [
  "0.001",
  "0.005",
  "0.01",
  "0.02",
  "0.04",
  "0.06",
  "0.08",
  "0.1",
  "0.25",
  "0.5",
  "0.75",
  "1.0",
  "2.5",
  "5.0",
  "7.5",
  "10.0",
  "20.0",
  "40.0",
  "80.0",
  "+Inf",
];
const GAUGES = ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "lora_requests_info"];
const HISTOGRAMS = [
  "time_to_first_token_seconds",
  "inter_token_latency_seconds",
  "e2e_request_latency_seconds",
  "request_queue_time_seconds",
  "request_inference_time_seconds",
  "request_prefill_time_seconds",
  "request_decode_time_seconds",
  "request_prompt_tokens",
  "request_generation_tokens",
  "iteration_tokens_total",
];
const WANTED = [
  "num_requests_running",
  "num_requests_waiting",
  "kv_cache_usage_perc",
  "time_to_first_token_seconds",
  "inter_token_latency_seconds",
].map((name) => `vllm:${name}`);

function scrape(): Uint8Array {
  const lines: string[] = [];
  let engine = 0;
  let bytes = 0;
  const add = (line: string): void => {
    lines.push(line);
    bytes += line.length + 1;
  };
  while (bytes < BYTES) {
    for (const model of MODELS) {
      const labels = `engine="${engine}",model_name="${model}"`;
      for (const name of GAUGES) {
        add(`# HELP vllm:${name} What it is of.`);
        add(`# TYPE vllm:${name} gauge`);
        add(`vllm:${name}{${labels}} ${(engine * 37) % 101}.0`);
      }
      for (const name of HISTOGRAMS) {
        add(`# HELP vllm:${name} Histogram of it.`);
        add(`# TYPE vllm:${name} histogram`);
        for (const [i, le] of BOUNDS.entries()) add(`vllm:${name}_bucket{${labels},le="${le}"} ${i * 1234}.0`);
        add(`vllm:${name}_sum{${labels}} 12345.678901234${engine}`);
        add(`vllm:${name}_count{${labels}} 24680.0`);
      }
    }
    engine++;
  }
  return new TextEncoder().encode(`${lines.join("\n")}\n`);
}

const TEXT = scrape();
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
function figures(): () => void {
  const { metrics } = VLLM;
  if (metrics === undefined) throw new Error("vLLM's adapter reads no metrics");
  const pages = new MetricPages(metrics);
  let nowMs = 0;
  return () => {
    const why = pages.read(TEXT, false, (nowMs += 1000));
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

const ALL = [...GAUGES, ...HISTOGRAMS].map((name) => `vllm:${name}`);
const CASES: readonly (readonly [string, () => void])[] = [
  ["figures of vLLM's adapter", figures()],
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
